/* Owns libcurl: one easy handle a thread, each exchange bounded in time, bytes and trust. */
#include "common/httpc.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>
#include <strings.h>

#include "common/httpc_tls.h"

/* Longest wait for DNS, TCP and TLS together, when the caller's own timeout is longer. */
#define CONNECT_TIMEOUT_MS 10000

/* All header lines of one answer: libcurl keeps them, and bounds only each line. */
#define HEADER_BYTES_MAX ((size_t)64 << 10)

struct httpc {
	CURL *easy;
	char errbuf[CURL_ERROR_SIZE];
};

/* One exchange: what the callbacks fill, and lists libcurl borrows. */
struct exchange {
	struct httpc_response *res;
	size_t header_bytes;
	bool header_over, has_retry_after;
	struct curl_slist *headers, *connect_to;
	const atomic_bool *cancel;
	const char *want_header;
	char *url; /* rewritten for tls_server_name; NULL: the request's own */
	char *host; /* of the URL in use: whose certificate it must be */
};

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

/* --- callbacks --- */

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	struct exchange *x = arg;
	buf_add(&x->res->body, p, size * n);
	return x->res->body.over ? 0 : size * n;
}

static struct slice trim(struct slice s)
{
	while (s.len && strchr(" \t\r\n", s.p[0]))
		s = slice_skip(s, 1);
	while (s.len && strchr(" \t\r\n", s.p[s.len - 1]))
		s.len--;
	return s;
}

static bool is_nocase(struct slice s, const char *word)
{
	return s.len == strlen(word) && strncasecmp(s.p, word, s.len) == 0;
}

/* Digits only; saturates far beyond any sensible age. */
static bool read_seconds(struct slice s, int64_t *out)
{
	int64_t v = 0;
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		v = v > INT32_MAX ? v : v * 10 + (s.p[i] - '0');
	}
	*out = v;
	return s.len > 0;
}

/* RFC 9111 5.2.2: what forbids storing wins over any max-age. */
static void read_cache_control(struct slice value, struct httpc_response *res)
{
	while (value.len) {
		size_t comma = slice_find(value, ',');
		struct slice word = trim((struct slice){value.p, comma});
		int64_t age;
		if (is_nocase(word, "no-store") || is_nocase(word, "no-cache"))
			res->max_age = 0;
		else if (word.len > 8 && strncasecmp(word.p, "max-age=", 8) == 0 &&
			 read_seconds(slice_skip(word, 8), &age) && res->max_age != 0)
			res->max_age = age;
		value = slice_skip(value, comma + 1);
	}
}

/* RFC 9110 6.6.1. */
static int64_t read_date(struct slice value)
{
	char text[64];
	if (value.len >= sizeof(text))
		return 0;
	memcpy(text, value.p, value.len);
	text[value.len] = '\0';
	time_t t = curl_getdate(text, NULL);
	return t > 0 ? (int64_t)t : 0;
}

static void read_header(struct exchange *x, struct slice name, struct slice value)
{
	struct httpc_response *res = x->res;
	if (is_nocase(name, "cache-control"))
		read_cache_control(value, res);
	else if (is_nocase(name, "retry-after"))
		x->has_retry_after = true;
	else if (is_nocase(name, "date"))
		res->date = read_date(value);
	else if (is_nocase(name, "age") && !read_seconds(value, &res->age))
		res->age = 0;
	if (x->want_header && is_nocase(name, x->want_header)) {
		res->header.len = 0;
		buf_slice(&res->header, value);
	}
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	struct exchange *x = arg;
	struct slice line = {p, size * n};
	x->header_bytes += line.len;
	if (x->header_bytes > HEADER_BYTES_MAX) {
		x->header_over = true;
		return 0;
	}
	if (slice_starts(line, SLICE("HTTP/"))) { /* a 1xx answer may have come before */
		x->res->max_age = -1;
		x->res->age = x->res->date = 0;
		x->has_retry_after = false;
	}
	size_t colon = slice_find(line, ':');
	read_header(x, (struct slice){line.p, colon}, trim(slice_skip(line, colon + 1)));
	return line.len;
}

static int on_progress(
    void *arg, curl_off_t dlt, curl_off_t dln, curl_off_t ult, curl_off_t uln)
{
	(void)dlt, (void)dln, (void)ult, (void)uln;
	const atomic_bool *const *cancel = arg;
	return atomic_load_explicit(*cancel, memory_order_relaxed);
}

/* libcurl by itself takes a common name for a host, and would send the request before anybody else can look. */
static CURLcode on_tls(CURL *c, void *ssl_ctx, void *arg)
{
	(void)c;
	const struct exchange *x = arg;
	return httpc_tls_demand_host(ssl_ctx, x->host) ? CURLE_OK : CURLE_SSL_CERTPROBLEM;
}

/* --- setting up --- */

static struct curl_slist *append(struct curl_slist *list, const char *s)
{
	struct curl_slist *longer = curl_slist_append(list, s);
	if (!longer)
		abort();
	return longer;
}

static void free_url(CURLU **u)
{
	curl_url_cleanup(*u);
}

/* The certificate is to be checked (and SNI sent) for NAME while URL says where to connect and what Host
 * to ask for: the name goes into the URL, the address into CONNECT_TO. */
static enum err_code override_name(
    const char *url, const char *name, struct exchange *x, struct err *e)
{
	AUTO(free_url) CURLU *u = curl_url();
	char *host = NULL, *port = NULL;
	bool ok = u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
		  curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
		  curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
		  curl_url_set(u, CURLUPART_HOST, name, 0) == CURLUE_OK &&
		  curl_url_get(u, CURLUPART_URL, &x->url, 0) == CURLUE_OK;
	if (ok) {
		struct buf line;
		buf_init(&line, 2048);
		buf_printf(&line, "::%s:%s", host, port);
		x->connect_to = append(NULL, buf_cstr(&line));
		line.len = 0;
		buf_printf(&line, "Host: %s:%s", host, port);
		x->headers = append(x->headers, buf_cstr(&line));
		ok = !line.over;
		buf_done(&line);
	}
	curl_free(host);
	curl_free(port);
	return ok ? ERR_OK : err_set(e, ERR_INVALID, "the URL or server name cannot be used");
}

/* The host as certificates write it: an IPv6 address without brackets, a name without its last dot. */
static enum err_code find_host(const char *url, struct exchange *x, struct err *e)
{
	AUTO(free_url) CURLU *u = curl_url();
	if (!u || curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_HOST, &x->host, 0) != CURLUE_OK)
		return err_set(e, ERR_INVALID, "the URL cannot be used");
	size_t n = strlen(x->host);
	if (n > 2 && x->host[0] == '[') {
		memmove(x->host, x->host + 1, n - 2);
		x->host[n - 2] = '\0';
	} else if (n > 1 && x->host[n - 1] == '.') {
		x->host[n - 1] = '\0';
	}
	return ERR_OK;
}

static enum err_code add_headers(
    const struct httpc_request *req, struct exchange *x, struct err *e)
{
	for (const char *const *h = req->headers; h && *h; h++) {
		for (const char *p = *h; *p; p++)
			if ((unsigned char)*p < ' ' && *p != '\t')
				return err_set(e, ERR_INVALID, "a header holds a control character");
		x->headers = append(x->headers, *h);
	}
	/* Waiting for 100 Continue would cost a second with servers that do not know it. */
	x->headers = append(x->headers, "Expect:");
	return ERR_OK;
}

#define SET(opt, val) (void)curl_easy_setopt(c, (opt), (val))

static void set_blob(CURL *c, CURLoption opt, struct slice s)
{
	/* CURL_BLOB_COPY: the handle may outlive the caller's text in its connection cache. */
	struct curl_blob blob = {.len = s.len, .flags = CURL_BLOB_COPY};
	memcpy(&blob.data, &s.p, sizeof(s.p));
	SET(opt, &blob);
}

static void set_tls(CURL *c, const struct httpc_request *req)
{
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (req->ca_pem.len) {
		/* libcurl would go on trusting its built-in directory beside the blob. */
		SET(CURLOPT_CAPATH, NULL);
		SET(CURLOPT_CAINFO, NULL);
		set_blob(c, CURLOPT_CAINFO_BLOB, req->ca_pem);
	}
	if (req->client_cert)
		SET(CURLOPT_SSLCERT, req->client_cert);
	if (req->client_key)
		SET(CURLOPT_SSLKEY, req->client_key);
	if (req->client_cert_pem.len)
		set_blob(c, CURLOPT_SSLCERT_BLOB, req->client_cert_pem);
	if (req->client_key_pem.len)
		set_blob(c, CURLOPT_SSLKEY_BLOB, req->client_key_pem);
}

static void set_method(CURL *c, const struct httpc_request *req)
{
	const char *method = req->method ? req->method : "GET";
	if (strcmp(method, "HEAD") == 0) {
		SET(CURLOPT_NOBODY, 1L);
		return;
	}
	if (req->body.len) {
		SET(CURLOPT_POST, 1L);
		SET(CURLOPT_POSTFIELDS, req->body.p);
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)req->body.len);
	} else if (strcmp(method, "POST") == 0) {
		SET(CURLOPT_POST, 1L);
		SET(CURLOPT_POSTFIELDS, "");
	}
	SET(CURLOPT_CUSTOMREQUEST, method);
}

static enum err_code set_up(
    struct httpc *h, const struct httpc_request *req, struct exchange *x, struct err *e)
{
	CURL *c = h->easy;
	curl_easy_reset(c);
	h->errbuf[0] = '\0';
	SET(CURLOPT_ERRORBUFFER, h->errbuf);
	SET(CURLOPT_URL, x->url ? x->url : req->url);
	SET(CURLOPT_PROTOCOLS_STR, req->allow_http ? "https,http" : "https");
	SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_PROXY, ""); /* else http_proxy and friends would decide whom we talk to */
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(CURLOPT_TIMEOUT_MS, (long)req->timeout_ms);
	SET(CURLOPT_CONNECTTIMEOUT_MS,
	    (long)(req->timeout_ms < CONNECT_TIMEOUT_MS ? req->timeout_ms : CONNECT_TIMEOUT_MS));
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_USERAGENT, "portcullis");
	SET(CURLOPT_HTTPHEADER, x->headers);
	SET(CURLOPT_CONNECT_TO, x->connect_to);
	SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)req->max_bytes);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, x);
	SET(CURLOPT_HEADERFUNCTION, on_header);
	SET(CURLOPT_HEADERDATA, x);
	if (req->cancel) {
		SET(CURLOPT_NOPROGRESS, 0L);
		SET(CURLOPT_XFERINFOFUNCTION, on_progress);
		SET(CURLOPT_XFERINFODATA, &x->cancel);
	}
	set_tls(c, req);
	set_method(c, req);
	SET(CURLOPT_SSL_CTX_DATA, x);
	if (curl_easy_setopt(c, CURLOPT_SSL_CTX_FUNCTION, on_tls) != CURLE_OK)
		return err_set(e, ERR_INTERNAL, "libcurl is not built with OpenSSL");
	return ERR_OK;
}

/* --- reading the result --- */

static void read_content_type(CURL *c, struct httpc_response *res)
{
	char *text = NULL;
	curl_easy_getinfo(c, CURLINFO_CONTENT_TYPE, &text);
	struct slice s = slice_of(text);
	s = trim((struct slice){s.p, slice_find(s, ';')});
	if (s.len >= sizeof(res->content_type))
		s.len = 0;
	for (size_t i = 0; i < s.len; i++)
		res->content_type[i] = (char)(s.p[i] >= 'A' && s.p[i] <= 'Z' ? s.p[i] + 32 : s.p[i]);
	res->content_type[s.len] = '\0';
}

static enum err_code failure(
    const struct httpc *h, const struct exchange *x, CURLcode rc, struct err *e)
{
	const char *text = h->errbuf[0] ? h->errbuf : curl_easy_strerror(rc);
	if (x->res->body.over || rc == CURLE_FILESIZE_EXCEEDED)
		return err_set(e, ERR_LIMIT, "the answer is longer than %zu bytes", x->res->body.max);
	if (x->header_over)
		return err_set(e, ERR_LIMIT, "the answer's header is longer than %zu bytes",
		    HEADER_BYTES_MAX);
	switch (rc) {
	case CURLE_OPERATION_TIMEDOUT:
		return err_set(e, ERR_TIMEOUT, "%s", text);
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_URL_MALFORMAT:
	case CURLE_LOGIN_DENIED:
		return err_set(e, ERR_INVALID, "%s", text);
	case CURLE_OUT_OF_MEMORY:
	case CURLE_FAILED_INIT:
	case CURLE_BAD_FUNCTION_ARGUMENT:
		return err_set(e, ERR_INTERNAL, "%s", text);
	default:
		return err_set(e, ERR_UNAVAILABLE, "%s", text);
	}
}

static enum err_code perform(struct httpc *h, struct exchange *x, struct err *e)
{
	CURLcode rc = curl_easy_perform(h->easy);
	if (rc != CURLE_OK)
		return failure(h, x, rc, e);
	struct httpc_response *res = x->res;
	curl_off_t after = 0;
	curl_easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE, &res->status);
	curl_easy_getinfo(h->easy, CURLINFO_RETRY_AFTER, &after);
	res->retry_after = x->has_retry_after ? (int64_t)after : -1;
	read_content_type(h->easy, res);
	return ERR_OK;
}

enum err_code httpc_do(struct httpc *h, const struct httpc_request *req, struct httpc_response *res,
    struct err *e)
{
	*res = (struct httpc_response){.max_age = -1, .retry_after = -1};
	buf_init(&res->body, req->max_bytes);
	buf_init(&res->header, HEADER_BYTES_MAX);
	struct exchange x = {.res = res, .cancel = req->cancel, .want_header = req->want_header};
	enum err_code code = ERR_OK;
	if (req->timeout_ms <= 0)
		code = err_set(e, ERR_TIMEOUT, "no time left");
	if (code == ERR_OK && req->tls_server_name)
		code = override_name(req->url, req->tls_server_name, &x, e);
	if (code == ERR_OK)
		code = find_host(x.url ? x.url : req->url, &x, e);
	if (code == ERR_OK)
		code = add_headers(req, &x, e);
	if (code == ERR_OK)
		code = set_up(h, req, &x, e);
	if (code == ERR_OK) {
		code = perform(h, &x, e);
		/* The handle must not keep pointers into this frame. */
		curl_easy_reset(h->easy);
	}
	for (struct curl_slist *l = x.headers; l; l = l->next)
		explicit_bzero(l->data, strlen(l->data)); /* some are credentials */
	curl_slist_free_all(x.headers);
	curl_slist_free_all(x.connect_to);
	curl_free(x.url);
	curl_free(x.host);
	return code;
}
