/* Owns libcurl: one easy handle a thread, each exchange bounded in time, bytes and trust. */
#include <pthread.h>
#include <stdlib.h>

#include "common/httpc_exchange.h"

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

static CURL *easy_new(void)
{
	CURL *easy = curl_easy_init();
	if (!easy)
		abort();
	return easy;
}

struct httpc *httpc_new(void)
{
	httpc_init();
	struct httpc *h = calloc(1, sizeof(*h));
	if (!h)
		abort();
	h->easy = easy_new();
	return h;
}

void httpc_free(struct httpc **h)
{
	if (!h || !*h)
		return;
	curl_easy_cleanup((*h)->easy);
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
	curl_easy_cleanup(h->easy);
	h->easy = easy_new();
}

static enum err_code perform(struct httpc *h, struct exchange *x, struct err *e)
{
	CURLcode rc = curl_easy_perform(h->easy);
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
