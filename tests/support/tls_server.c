/* Owns the HTTPS server of the unit tests: a thread for each connection, each answer by a handler. */
#include "tests/support/tls_server.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/must.h"

#define CONNECTIONS_MAX 4096

struct connection {
	struct tls_server *server;
	pthread_t thread;
	int fd;
};

struct tls_server {
	SSL_CTX *ctx;
	tls_handler *handler;
	void *arg;
	int fd, wake[2];
	unsigned port;
	pthread_t thread;
	pthread_mutex_t accepting;
	atomic_uint accepted;
	atomic_bool stop;
	struct connection connections[CONNECTIONS_MAX];
};

static X509 *read_cert(const char *pem)
{
	BIO *b = BIO_new_mem_buf(pem, -1);
	X509 *x = PEM_read_bio_X509(b, NULL, NULL, NULL);
	BIO_free(b);
	MUST(x);
	return x;
}

static SSL_CTX *context(const struct tls_options *opt)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	X509 *x = read_cert(opt->cert->cert);
	BIO *b = BIO_new_mem_buf(opt->cert->key, -1);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(b, NULL, NULL, NULL);
	MUST(SSL_CTX_use_certificate(ctx, x) == 1 && SSL_CTX_use_PrivateKey(ctx, key) == 1);
	if (opt->max_version) {
		/* TLS 1.0 and 1.1 need SHA-1, which level 1 and above forbid. */
		SSL_CTX_set_security_level(ctx, 0);
		SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
		SSL_CTX_set_max_proto_version(ctx, opt->max_version);
	}
	if (opt->client_ca) {
		X509 *ca = read_cert(opt->client_ca);
		X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca);
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
		X509_free(ca);
	}
	EVP_PKEY_free(key);
	BIO_free(b);
	X509_free(x);
	return ctx;
}

/* True when the peer or the server's end has something to say within MS. */
static bool wait_end(struct connection *c, int ms)
{
	struct pollfd p[2] = {{.fd = c->fd, .events = POLLIN}, {.fd = c->server->wake[0], .events = POLLIN}};
	return poll(p, 2, ms) > 0;
}

static bool put(SSL *ssl, const char *p, size_t n)
{
	return n == 0 || SSL_write(ssl, p, (int)n) == (int)n;
}

static void endless(struct connection *c, SSL *ssl, const char *piece, size_t n, int pause_ms)
{
	while (!atomic_load(&c->server->stop) && put(ssl, piece, n))
		if (pause_ms && wait_end(c, pause_ms))
			return;
}

static bool reply(struct connection *c, SSL *ssl, const struct tls_reply *r)
{
	char head[8192];
	size_t len = r->len ? r->len : r->body ? strlen(r->body) : 0;
	int n = snprintf(head, sizeof(head), "HTTP/1.1 %d Answer\r\n%s", r->status,
	    r->headers ? r->headers : "");
	if (r->how == TLS_HANG) {
		wait_end(c, -1);
		return false;
	}
	if (r->how == TLS_PLAIN || r->how == TLS_CUT)
		n += snprintf(head + n, sizeof(head) - (size_t)n, "Content-Length: %zu\r\n\r\n",
		    r->how == TLS_CUT ? len + 100 : len);
	else if (r->how != TLS_HEADERS)
		n += snprintf(head + n, sizeof(head) - (size_t)n, "\r\n");
	if (!put(ssl, head, (size_t)n))
		return false;
	static const char filler[4096] = "x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n";
	if (r->how == TLS_SILENT) {
		if (!len || put(ssl, r->body, len))
			wait_end(c, -1);
		return false;
	}
	if (r->how == TLS_DRIP)
		endless(c, ssl, "{", 1, 20);
	else if (r->how == TLS_ENDLESS)
		endless(c, ssl, filler, sizeof(filler), 0);
	else if (r->how == TLS_HEADERS)
		endless(c, ssl, filler, strlen(filler), 0);
	else
		return put(ssl, r->body, len) && r->how == TLS_PLAIN;
	return false;
}

/* A whole request into TEXT; false at the end of the connection. */
static bool read_request(SSL *ssl, char *text, size_t cap)
{
	size_t n = 0, need = 0;
	for (;;) {
		int got = SSL_read(ssl, text + n, (int)(cap - 1 - n));
		if (got <= 0)
			return false;
		n += (size_t)got;
		text[n] = '\0';
		const char *end = strstr(text, "\r\n\r\n"), *cl = strcasestr(text, "\r\nContent-Length:");
		if (!end)
			continue;
		need = (size_t)(end + 4 - text) + (cl && cl < end ? strtoul(cl + 17, NULL, 10) : 0);
		if (n >= need)
			return true;
	}
}

static void *serve(void *arg)
{
	struct connection *c = arg;
	SSL *ssl = SSL_new(c->server->ctx);
	char *text = malloc(1 << 16), path[1024];
	SSL_set_fd(ssl, c->fd);
	bool go = SSL_accept(ssl) == 1;
	while (go && read_request(ssl, text, 1 << 16)) {
		struct tls_reply r = {.status = 404};
		path[0] = '\0';
		(void)sscanf(text, "%*15s %1023s", path);
		c->server->handler(c->server->arg, path, text, &r);
		go = reply(c, ssl, &r);
	}
	SSL_shutdown(ssl);
	SSL_free(ssl);
	shutdown(c->fd, SHUT_RDWR);
	free(text);
	return NULL;
}

static void accept_one(struct tls_server *s)
{
	int fd = accept(s->fd, NULL, NULL);
	unsigned n = atomic_load(&s->accepted);
	MUST(n < CONNECTIONS_MAX);
	if (fd < 0)
		return;
	struct connection *c = &s->connections[n];
	*c = (struct connection){.server = s, .fd = fd};
	MUST(pthread_create(&c->thread, NULL, serve, c) == 0);
	atomic_store(&s->accepted, n + 1);
}

static void *accept_all(void *arg)
{
	struct tls_server *s = arg;
	for (;;) {
		struct pollfd p[2] = {{.fd = s->fd, .events = POLLIN}, {.fd = s->wake[0], .events = POLLIN}};
		if (poll(p, 2, -1) < 0 || p[1].revents)
			return NULL;
		pthread_mutex_lock(&s->accepting);
		accept_one(s);
		pthread_mutex_unlock(&s->accepting);
	}
}

struct tls_server *tls_server_start(const struct tls_options *opt, tls_handler *handler, void *arg)
{
	struct tls_server *s = calloc(1, sizeof(*s));
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sa);
	signal(SIGPIPE, SIG_IGN);
	pthread_mutex_init(&s->accepting, NULL);
	s->ctx = context(opt);
	s->handler = handler;
	s->arg = arg;
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	MUST(bind(s->fd, (struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(s->fd, 64) == 0);
	MUST(getsockname(s->fd, (struct sockaddr *)&sa, &len) == 0 && pipe(s->wake) == 0);
	s->port = ntohs(sa.sin_port);
	MUST(pthread_create(&s->thread, NULL, accept_all, s) == 0);
	return s;
}

unsigned tls_server_port(const struct tls_server *s)
{
	return s->port;
}

unsigned tls_server_connections(struct tls_server *s)
{
	for (;;) {
		pthread_mutex_lock(&s->accepting);
		struct pollfd p = {.fd = s->fd, .events = POLLIN};
		bool waits = poll(&p, 1, 0) > 0;
		unsigned n = atomic_load(&s->accepted);
		pthread_mutex_unlock(&s->accepting);
		if (!waits)
			return n;
		sched_yield();
	}
}

void tls_server_stop(struct tls_server **server)
{
	struct tls_server *s = TAKE(*server);
	atomic_store(&s->stop, true);
	MUST(write(s->wake[1], "x", 1) == 1);
	pthread_join(s->thread, NULL);
	for (unsigned i = 0; i < atomic_load(&s->accepted); i++)
		shutdown(s->connections[i].fd, SHUT_RDWR);
	for (unsigned i = 0; i < atomic_load(&s->accepted); i++) {
		pthread_join(s->connections[i].thread, NULL);
		close(s->connections[i].fd);
	}
	close(s->fd);
	close(s->wake[0]);
	close(s->wake[1]);
	SSL_CTX_free(s->ctx);
	pthread_mutex_destroy(&s->accepting);
	free(s);
}
