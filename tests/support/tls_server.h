/* A small HTTPS server on loopback for unit tests, also for ill-behaved answers. */
#ifndef TESTS_SUPPORT_TLS_SERVER_H
#define TESTS_SUPPORT_TLS_SERVER_H

#include "tests/support/crypto.h"

struct tls_server;

struct tls_reply {
	int status;
	const char *headers; /* each line with CR LF; or NULL */
	const char *body;    /* or NULL */
	size_t len;	     /* 0: strlen */
	enum {
		TLS_PLAIN,
		TLS_HANG,    /* says nothing until the client gives up */
		TLS_DRIP,    /* a good header, then a byte now and then for ever */
		TLS_SILENT,  /* a good header without length and the body, then nothing */
		TLS_ENDLESS, /* a good header without length, then bytes as fast as they go */
		TLS_HEADERS, /* header lines without end */
		TLS_CUT	     /* promises a body and closes in its middle */
	} how;
};

/* Called in a thread of each connection; REQUEST is the whole text up to the end of its body. What the
 * reply points to must live until the server is stopped or be constant. */
typedef void tls_handler(void *arg, const char *path, const char *request, struct tls_reply *reply);

struct tls_options {
	const struct crypto_cert *cert;
	const char *client_ca; /* PEM: clients must show a certificate of it */
	int max_version;       /* TLS1_1_VERSION …; 0: any */
};

struct tls_server *tls_server_start(const struct tls_options *opt, tls_handler *handler, void *arg);
unsigned tls_server_port(const struct tls_server *s);
unsigned tls_server_connections(struct tls_server *s); /* so far, those of clients that gave up included */
void tls_server_stop(struct tls_server **s);

#endif
