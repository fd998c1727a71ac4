/* What the files of the HTTPS client share: one exchange. Nobody else includes it. */
#ifndef COMMON_HTTPC_EXCHANGE_H
#define COMMON_HTTPC_EXCHANGE_H

#include <curl/curl.h>

#include "common/httpc.h"

/* All header lines of one answer: libcurl keeps them, and bounds only each line. */
#define HTTPC_HEADER_BYTES_MAX ((size_t)64 << 10)

struct httpc {
	CURL *easy;
	CURLM *multi; /* of that one handle: whose waits can be ended, and which keeps the connections */
	char errbuf[CURL_ERROR_SIZE];
};

/* One exchange: what the callbacks fill, and lists libcurl borrows. */
struct exchange {
	CURL *easy;
	struct httpc_response *res;
	const struct httpc_reader *reader; /* or NULL */
	size_t header_bytes;
	bool header_over, has_retry_after;
	bool ended, idle, cancelled; /* by the reader, for want of bytes, by CANCEL */
	int64_t last;	  /* clock_mono of the last byte */
	struct curl_slist *headers, *connect_to;
	const struct cancel *cancel;
	const char *want_header;
	char *url;	  /* rewritten for tls_server_name; NULL: the request's own */
	char *host;	  /* of the URL in use: whose certificate it must be */
	char *proxy_host; /* of an HTTPS proxy; else NULL */
	bool proxy_done;  /* its handshake was the last one that began */
};

/* Prepares the handle for REQ; what it borrows is in X. */
enum err_code exchange_set_up(
    struct httpc *h, const struct httpc_request *req, struct exchange *x, struct err *e) MUST_CHECK;
void exchange_done(struct exchange *x);

/* Have libcurl tell X of the answer. */
void exchange_listen(struct exchange *x);

/* To be asked before each wait, about once a second: false when X is to be broken off. */
bool exchange_goes_on(struct exchange *x);

/* After libcurl's success: what it knows of the answer. */
void exchange_finish(struct exchange *x);

/* After its failure: what to call it. */
enum err_code exchange_failure(
    const struct httpc *h, const struct exchange *x, CURLcode rc, struct err *e) MUST_CHECK;

#endif
