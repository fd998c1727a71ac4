/* HTTPS client over libcurl: hard deadline, hard byte cap, no redirects, no proxy from the environment,
 * peer always verified. The only user of <curl/curl.h>: httpc*.c. */
#ifndef COMMON_HTTPC_H
#define COMMON_HTTPC_H

#include "common/cancel.h"
#include "common/err.h"
#include "common/str.h"

struct httpc; /* one per thread: keeps connections */

struct httpc_request {
	const char *method; /* "GET" when NULL */
	const char *url;    /* https only, unless allow_http */
	bool allow_http;
	struct slice ca_pem;		 /* trust anchors; empty: the system's */
	const char *client_cert, *client_key; /* PEM files, re-read for each new connection; or NULL */
	struct slice client_cert_pem, client_key_pem; /* or blobs */
	const char *tls_server_name;	 /* verified instead of the URL's host; or NULL */
	const char *const *headers;	 /* NULL-terminated "Name: value", wiped after use; or NULL */
	const char *want_header;	 /* name of the answer's header to keep; or NULL */
	const char *proxy;		 /* http, https or socks5 URL, with credentials or not; or NULL: none */
	struct slice body;
	int64_t timeout_ms;		 /* whole exchange, DNS included */
	size_t max_bytes;		 /* of the answer's body; nothing is ever decompressed */
	const struct cancel *cancel;	 /* as soon as it is asked: ERR_UNAVAILABLE; or NULL */
};

struct httpc_response {
	long status;
	struct buf body;
	char content_type[128]; /* without parameters, lower case */
	int64_t max_age;	/* Cache-Control: max-age in seconds, -1 when absent, 0 for no-store/no-cache */
	int64_t age;		/* Age: seconds that a cache on the way kept the answer; 0 when absent */
	int64_t date;		/* Date, unix seconds: when the origin made it; 0 when absent or malformed */
	int64_t retry_after;	/* seconds, -1 when absent */
	struct buf header;	/* value of want_header, the last one; wiped in the end */
};

/* For answers without an end. All is called in the thread of httpc_stream. */
struct httpc_reader {
	/* With an empty piece when a 2xx answer has begun, then with each piece of its body. False ends the exchange. */
	bool (*piece)(void *ctx, struct slice piece);
	bool (*tick)(void *ctx); /* about once a second; false ends the exchange; or NULL */
	void *ctx;
	int64_t idle_ms; /* so long without any byte: ERR_TIMEOUT */
};

/* Before any thread. */
void httpc_init(void);

struct httpc *httpc_new(void);
void httpc_free(struct httpc **h);

/* Closes the connections that are kept and drops their TLS sessions: what comes next shows the certificate that is
 * in the files now. */
void httpc_forget(struct httpc *h);

/* ERR_OK whenever an HTTP answer of any status arrived whole. ERR_TIMEOUT, ERR_LIMIT (byte cap),
 * ERR_UNAVAILABLE (DNS, connect, TLS, reset; E says which). RES is initialised here; free with
 * httpc_response_done also after an error. */
enum err_code httpc_do(struct httpc *h, const struct httpc_request *req, struct httpc_response *res,
    struct err *e) MUST_CHECK;

/* The same, but the body of a 2xx answer goes to READER piece by piece and has no byte cap. ERR_REFUSED when READER
 * ended the exchange. READER NULL: as httpc_do. */
enum err_code httpc_stream(struct httpc *h, const struct httpc_request *req,
    const struct httpc_reader *reader, struct httpc_response *res, struct err *e) MUST_CHECK;
void httpc_response_done(struct httpc_response *res);

#endif
