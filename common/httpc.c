/* Owns libcurl: one handle a thread, each exchange bounded in time, bytes and trust, its waits open to who ends them. */
#include <pthread.h>
#include <stdlib.h>

#include "common/httpc_exchange.h"

/* How often an exchange is looked at while nothing comes; and the connections that are kept, as many as libcurl's easy
 * interface keeps by itself. */
#define LOOK_EVERY_MS 1000
#define CONNECTIONS_MAX 5L

static pthread_once_t init_once = PTHREAD_ONCE_INIT;

static void init_curl(void)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		abort();
}

void httpc_init(void)
{
	pthread_once(&init_once, init_curl);
}

static void open_handles(struct httpc *h)
{
	h->easy = curl_easy_init();
	h->multi = curl_multi_init();
	if (!h->easy || !h->multi)
		abort();
	(void)curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, CONNECTIONS_MAX);
}

static void close_handles(struct httpc *h)
{
	curl_easy_cleanup(h->easy);
	curl_multi_cleanup(h->multi);
}

struct httpc *httpc_new(void)
{
	httpc_init();
	struct httpc *h = calloc(1, sizeof(*h));
	if (!h)
		abort();
	open_handles(h);
	return h;
}

void httpc_free(struct httpc **h)
{
	if (!h || !*h)
		return;
	close_handles(*h);
	free(*h);
	*h = NULL;
}

void httpc_response_done(struct httpc_response *res)
{
	buf_done(&res->body);
	buf_wipe_done(&res->header);
}

void httpc_forget(struct httpc *h)
{
	close_handles(h);
	open_handles(h);
}

/* What became of the transfer, which is over. */
static CURLcode result_of(struct httpc *h)
{
	int left;
	const CURLMsg *m = curl_multi_info_read(h->multi, &left);
	return m && m->msg == CURLMSG_DONE ? m->data.result : CURLE_OUT_OF_MEMORY;
}

/* As curl_easy_perform, which cannot be woken. */
static CURLcode transfer(struct httpc *h, struct exchange *x)
{
	struct curl_waitfd wake = {.fd = cancel_fd(x->cancel), .events = CURL_WAIT_POLLIN};
	CURLcode rc = CURLE_ABORTED_BY_CALLBACK;
	int running = 1;
	if (curl_multi_add_handle(h->multi, h->easy) != CURLM_OK)
		return CURLE_FAILED_INIT;
	while (running && exchange_goes_on(x)) {
		if (curl_multi_poll(h->multi, &wake, wake.fd >= 0, LOOK_EVERY_MS, NULL) != CURLM_OK ||
		    curl_multi_perform(h->multi, &running) != CURLM_OK)
			break;
		if (!running)
			rc = result_of(h);
	}
	curl_multi_remove_handle(h->multi, h->easy);
	return rc;
}

static enum err_code perform(struct httpc *h, struct exchange *x, struct err *e)
{
	CURLcode rc = transfer(h, x);
	if (rc != CURLE_OK)
		return exchange_failure(h, x, rc, e);
	exchange_finish(x);
	return ERR_OK;
}

enum err_code httpc_stream(struct httpc *h, const struct httpc_request *req,
    const struct httpc_reader *reader, struct httpc_response *res, struct err *e)
{
	*res = (struct httpc_response){.max_age = -1, .retry_after = -1};
	buf_init(&res->body, req->max_bytes);
	buf_init(&res->header, HTTPC_HEADER_BYTES_MAX);
	if (req->timeout_ms <= 0)
		return err_set(e, ERR_TIMEOUT, "no time left");
	struct exchange x = {
	    .easy = h->easy,
	    .res = res,
	    .reader = reader,
	    .cancel = req->cancel,
	    .want_header = req->want_header,
	};
	enum err_code code = exchange_set_up(h, req, &x, e);
	if (code == ERR_OK)
		code = perform(h, &x, e);
	curl_easy_reset(h->easy); /* the handle must not keep pointers into this frame */
	exchange_done(&x);
	return code;
}

enum err_code httpc_do(struct httpc *h, const struct httpc_request *req, struct httpc_response *res,
    struct err *e)
{
	return httpc_stream(h, req, NULL, res, e);
}
