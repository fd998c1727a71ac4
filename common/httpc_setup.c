/* Owns the preparing of an HTTPS exchange: whom it may reach, whom it trusts, what it sends. */
#include "common/httpc_exchange.h"

#include <stdlib.h>

#include "common/httpc_tls.h"

/* Longest wait for DNS, TCP and TLS together, when the caller's own timeout is longer. */
#define CONNECT_TIMEOUT_MS 10000

/* Silence on a connection after which the kernel asks whether the peer is there. */
#define KEEPALIVE_SECONDS 30L

/* libcurl by itself takes a common name for a host, and would send the request before anybody else can look. */
static CURLcode on_tls(CURL *c, void *ssl_ctx, void *arg)
{
	(void)c;
	struct exchange *x = arg;
	/* Through an HTTPS proxy each connection is two handshakes: the proxy's, then within it the server's. */
	bool proxy = x->proxy_host && !x->proxy_done;
	x->proxy_done = proxy;
	const char *host = proxy ? x->proxy_host : x->host;
	return httpc_tls_demand_host(ssl_ctx, host) ? CURLE_OK : CURLE_SSL_CERTPROBLEM;
}

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

/* The host as certificates write it: an IPv6 address without brackets, a name without its last dot. To be freed
 * with curl_free. */
static enum err_code host_of(CURLU *u, char **out)
{
	if (curl_url_get(u, CURLUPART_HOST, out, 0) != CURLUE_OK)
		return ERR_INVALID;
	char *host = *out;
	size_t n = strlen(host);
	if (n > 2 && host[0] == '[') {
		memmove(host, host + 1, n - 2);
		host[n - 2] = '\0';
	} else if (n > 1 && host[n - 1] == '.') {
		host[n - 1] = '\0';
	}
	return ERR_OK;
}

static enum err_code find_host(const char *url, struct exchange *x, struct err *e)
{
	AUTO(free_url) CURLU *u = curl_url();
	if (!u || curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK || host_of(u, &x->host) != ERR_OK)
		return err_set(e, ERR_INVALID, "the URL cannot be used");
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

/* http_proxy and friends must not decide whom we talk to. */
static enum err_code set_proxy(CURL *c, const struct httpc_request *req, struct exchange *x, struct err *e)
{
	SET(CURLOPT_NOPROXY, "");
	SET(CURLOPT_PROXY, "");
	if (!req->proxy)
		return ERR_OK;
	AUTO(free_url) CURLU *u = curl_url();
	char *scheme = NULL;
	if (!u || curl_url_set(u, CURLUPART_URL, req->proxy, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK)
		return err_set(e, ERR_INVALID, "the proxy's URL cannot be used");
	bool https = strcmp(scheme, "https") == 0, socks = strcmp(scheme, "socks5") == 0;
	curl_free(scheme);
	if (https && host_of(u, &x->proxy_host) != ERR_OK)
		return err_set(e, ERR_INVALID, "the proxy's URL cannot be used");
	/* socks5h: the proxy looks the name up, as with Go's client. */
	struct buf url; /* libcurl copies it */
	buf_init(&url, 8192);
	buf_printf(&url, "%s%s", socks ? "socks5h" : "", req->proxy + (socks ? strlen("socks5") : 0));
	SET(CURLOPT_PROXY, buf_cstr(&url));
	buf_wipe_done(&url);
	SET(CURLOPT_HTTPPROXYTUNNEL, 1L);
	SET(CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE); /* the proxy gets no credentials of ours */
	SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	SET(CURLOPT_PROXY_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_PROXY_SSL_VERIFYHOST, 2L);
	if (req->ca_pem.len) {
		SET(CURLOPT_PROXY_CAPATH, NULL);
		SET(CURLOPT_PROXY_CAINFO, NULL);
		set_blob(c, CURLOPT_PROXY_CAINFO_BLOB, req->ca_pem);
	}
	return ERR_OK;
}

static enum err_code set_options(
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
	/* Else the end of an exchange waits for a resolver that is still asking, however long. */
	SET(CURLOPT_QUICK_EXIT, 1L);
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(CURLOPT_TIMEOUT_MS, (long)req->timeout_ms);
	SET(CURLOPT_CONNECTTIMEOUT_MS,
	    (long)(req->timeout_ms < CONNECT_TIMEOUT_MS ? req->timeout_ms : CONNECT_TIMEOUT_MS));
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_TCP_KEEPIDLE, KEEPALIVE_SECONDS);
	SET(CURLOPT_TCP_KEEPINTVL, KEEPALIVE_SECONDS);
	SET(CURLOPT_USERAGENT, "portcullis");
	SET(CURLOPT_HTTPHEADER, x->headers);
	SET(CURLOPT_CONNECT_TO, x->connect_to);
	if (!x->reader)
		SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)req->max_bytes);
	exchange_listen(x);
	TRY(set_proxy(c, req, x, e));
	set_tls(c, req);
	set_method(c, req);
	SET(CURLOPT_SSL_CTX_DATA, x);
	if (curl_easy_setopt(c, CURLOPT_SSL_CTX_FUNCTION, on_tls) != CURLE_OK)
		return err_set(e, ERR_INTERNAL, "libcurl is not built with OpenSSL");
	return ERR_OK;
}

enum err_code exchange_set_up(
    struct httpc *h, const struct httpc_request *req, struct exchange *x, struct err *e)
{
	if (req->tls_server_name)
		TRY(override_name(req->url, req->tls_server_name, x, e));
	TRY(find_host(x->url ? x->url : req->url, x, e));
	TRY(add_headers(req, x, e));
	return set_options(h, req, x, e);
}

void exchange_done(struct exchange *x)
{
	for (struct curl_slist *l = x->headers; l; l = l->next)
		explicit_bzero(l->data, strlen(l->data)); /* some are credentials */
	curl_slist_free_all(x->headers);
	curl_slist_free_all(x->connect_to);
	curl_free(x->url);
	curl_free(x->host);
	curl_free(x->proxy_host);
}
