/* The measuring half of `make bench`: a TLS client with kept connections, and the bare cost of a signature. */
#include <arpa/inet.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "authn/jose.h"
#include "authn/limits.h"
#include "common/base64url.h"
#include "common/clock.h"
#include "common/file.h"
#include "tests/support/must.h"

#define BODIES_BYTES_MAX ((size_t)256 << 20)
#define ANSWER_MAX 65536

/* --- load --- */

struct load {
	SSL_CTX *ctx;
	const char *path;
	unsigned port, connections;
	size_t total;
	double rate; /* a second; 0: as fast as the answers come */
	struct slice *bodies;
	size_t nbodies;
	int64_t began;
	atomic_size_t next;
	atomic_size_t ok, accepted, other;
	int64_t *took; /* ns of each request */
};

static SSL *dial(const struct load *l)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)l->port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	MUST(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0);
	MUST(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == 0);
	SSL *ssl = SSL_new(l->ctx);
	MUST(ssl && SSL_set_fd(ssl, fd) == 1 && SSL_connect(ssl) == 1);
	return ssl;
}

static void hang_up(SSL *ssl)
{
	int fd = SSL_get_fd(ssl);
	SSL_free(ssl);
	close(fd);
}

/* Reads one answer with Content-Length into BUF; its whole length. */
static size_t read_answer(SSL *ssl, char *buf, size_t *body_at)
{
	size_t have = 0, need = 0;
	while (need == 0 || have < need) {
		MUST(have < ANSWER_MAX - 1);
		int n = SSL_read(ssl, buf + have, (int)(ANSWER_MAX - 1 - have));
		MUST(n > 0);
		have += (size_t)n;
		buf[have] = '\0';
		char *end = need ? NULL : strstr(buf, "\r\n\r\n");
		if (!end)
			continue;
		char *length = strcasestr(buf, "\r\ncontent-length:");
		MUST(length && length < end);
		*body_at = (size_t)(end + 4 - buf);
		need = *body_at + strtoul(length + 17, NULL, 10);
	}
	return have;
}

static void count(struct load *l, const char *answer, size_t body_at)
{
	const char *body = answer + body_at;
	if (strncmp(answer, "HTTP/1.1 200", 12) != 0)
		atomic_fetch_add(&l->other, 1);
	else
		atomic_fetch_add(&l->ok, 1);
	if (strstr(body, "\"authenticated\":true") || strstr(body, "\"allowed\":true"))
		atomic_fetch_add(&l->accepted, 1);
}

static void sleep_until(int64_t t)
{
	struct timespec ts = {t / CLOCK_SECOND, t % CLOCK_SECOND};
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

static void *client(void *arg)
{
	struct load *l = arg;
	SSL *ssl = dial(l);
	char *answer = malloc(ANSWER_MAX);
	struct buf request;
	buf_init(&request, 1 << 20);
	size_t i, body_at;
	while ((i = atomic_fetch_add(&l->next, 1)) < l->total) {
		struct slice body = l->bodies[i % l->nbodies];
		request.len = 0;
		buf_printf(&request,
		    "POST %s?timeout=30s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
		    "Content-Length: %zu\r\n\r\n",
		    l->path, body.len);
		buf_slice(&request, body);
		int64_t at = clock_mono();
		/* Late starts count: an answer that holds up the next request is slow twice. */
		if (l->rate > 0) {
			at = l->began + (int64_t)((double)i / l->rate * (double)CLOCK_SECOND);
			sleep_until(at);
		}
		MUST(SSL_write(ssl, request.p, (int)request.len) == (int)request.len);
		read_answer(ssl, answer, &body_at);
		l->took[i] = clock_mono() - at;
		count(l, answer, body_at);
	}
	hang_up(ssl);
	buf_done(&request);
	free(answer);
	return NULL;
}

static int by_time(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

static void read_bodies(struct load *l, const char *file, struct arena *a)
{
	struct slice text;
	struct err e;
	size_t cap = 0;
	MUST(file_read(a, file, BODIES_BYTES_MAX, &text, &e) == ERR_OK);
	while (text.len) {
		struct slice line = {text.p, slice_find(text, '\n')};
		ARENA_ROOM(a, l->bodies, l->nbodies, cap, 1024);
		l->bodies[l->nbodies++] = line;
		text = slice_skip(text, line.len + 1);
	}
	MUST(l->nbodies > 0);
}

static void run_clients(struct load *l)
{
	pthread_t *threads = calloc(l->connections, sizeof(*threads));
	MUST(threads);
	l->began = clock_mono();
	for (unsigned i = 0; i < l->connections; i++)
		MUST(pthread_create(&threads[i], NULL, client, l) == 0);
	for (unsigned i = 0; i < l->connections; i++)
		pthread_join(threads[i], NULL);
	free(threads);
}

/* load PORT CA CERT KEY PATH BODIES CONNECTIONS REQUESTS RATE */
static int load(char **argv)
{
	struct arena a;
	arena_init(&a, 0);
	struct load l = {
	    .ctx = SSL_CTX_new(TLS_client_method()),
	    .port = (unsigned)strtoul(argv[0], NULL, 10),
	    .path = argv[4],
	    .connections = (unsigned)strtoul(argv[6], NULL, 10),
	    .total = strtoul(argv[7], NULL, 10),
	    .rate = strtod(argv[8], NULL),
	};
	SSL_CTX_set_verify(l.ctx, SSL_VERIFY_PEER, NULL);
	MUST(SSL_CTX_load_verify_locations(l.ctx, argv[1], NULL) == 1);
	MUST(SSL_CTX_use_certificate_file(l.ctx, argv[2], SSL_FILETYPE_PEM) == 1);
	MUST(SSL_CTX_use_PrivateKey_file(l.ctx, argv[3], SSL_FILETYPE_PEM) == 1);
	read_bodies(&l, argv[5], &a);
	l.took = ARENA_ARRAY(&a, int64_t, l.total);
	MUST(l.total > 0);
	run_clients(&l);
	double seconds = (double)(clock_mono() - l.began) / (double)CLOCK_SECOND;
	qsort(l.took, l.total, sizeof(*l.took), by_time);
	printf("{\"requests\":%zu,\"ok\":%zu,\"accepted\":%zu,\"other\":%zu,\"seconds\":%.3f,"
	       "\"p50\":%.1f,\"p99\":%.1f,\"max\":%.1f}\n",
	    l.total, atomic_load(&l.ok), atomic_load(&l.accepted), atomic_load(&l.other), seconds,
	    (double)l.took[l.total / 2] / 1e3, (double)l.took[l.total * 99 / 100] / 1e3,
	    (double)l.took[l.total - 1] / 1e3);
	SSL_CTX_free(l.ctx);
	arena_done(&a);
	return 0;
}

/* --- bare costs --- */

static int64_t cpu_now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * CLOCK_SECOND + ts.tv_nsec;
}

static void told(int64_t began, size_t n)
{
	printf("{\"us\":%.2f}\n", (double)(cpu_now() - began) / 1e3 / (double)n);
}

/* A JWS carries r and s side by side, libcrypto wants them in DER. */
static struct slice ecdsa_der(struct slice raw)
{
	ECDSA_SIG *sig = ECDSA_SIG_new();
	const unsigned char *p = (const unsigned char *)raw.p;
	int half = (int)raw.len / 2;
	unsigned char *der = NULL;
	MUST(sig && ECDSA_SIG_set0(sig, BN_bin2bn(p, half, NULL), BN_bin2bn(p + half, half, NULL)) == 1);
	int n = i2d_ECDSA_SIG(sig, &der);
	MUST(n > 0);
	ECDSA_SIG_free(sig);
	return (struct slice){(char *)der, (size_t)n};
}

static void verify_once(EVP_PKEY *key, const EVP_MD *md, struct slice text, struct slice sig)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	MUST(c && EVP_DigestVerifyInit(c, NULL, md, NULL, key) == 1);
	MUST(EVP_DigestVerify(c, (const unsigned char *)sig.p, sig.len, (const unsigned char *)text.p,
		 text.len) == 1);
	EVP_MD_CTX_free(c);
}

/* verify ALG PEM TOKEN N: the signature of one token, by libcrypto alone, key and digest kept. */
static int verify(char **argv)
{
	struct arena a;
	struct err e;
	struct slice token, sig;
	arena_init(&a, 0);
	FILE *f = fopen(argv[1], "r");
	MUST(f);
	EVP_PKEY *key = PEM_read_PUBKEY(f, NULL, NULL, NULL);
	fclose(f);
	MUST(key && file_read(&a, argv[2], JOSE_TOKEN_MAX, &token, &e) == ERR_OK);
	size_t dot = token.len;
	while (token.p[dot - 1] != '.')
		dot--;
	MUST(base64url_decode(&a, slice_skip(token, dot), &sig));
	bool ed = strcmp(argv[0], "EdDSA") == 0;
	if (strcmp(argv[0], "ES256") == 0)
		sig = ecdsa_der(sig);
	EVP_MD *md = ed ? NULL : EVP_MD_fetch(NULL, "SHA256", NULL);
	size_t n = strtoul(argv[3], NULL, 10);
	int64_t began = cpu_now();
	for (size_t i = 0; i < n; i++)
		verify_once(key, md, (struct slice){token.p, dot - 1}, sig);
	told(began, n);
	EVP_MD_free(md);
	EVP_PKEY_free(key);
	arena_done(&a);
	return 0;
}

/* peek TOKEN N: the filter that each foreign token meets. */
static int peek(char **argv)
{
	struct arena a, scratch;
	struct err e;
	struct slice token;
	arena_init(&a, 0);
	MUST(file_read(&a, argv[0], JOSE_TOKEN_MAX, &token, &e) == ERR_OK);
	size_t n = strtoul(argv[1], NULL, 10);
	int64_t began = cpu_now();
	for (size_t i = 0; i < n; i++) {
		arena_init(&scratch, 0);
		MUST(jose_peek_issuer(&scratch, token).len > 0);
		arena_done(&scratch);
	}
	told(began, n);
	arena_done(&a);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 11 && strcmp(argv[1], "load") == 0)
		return load(argv + 2);
	if (argc == 6 && strcmp(argv[1], "verify") == 0)
		return verify(argv + 2);
	if (argc == 4 && strcmp(argv[1], "peek") == 0)
		return peek(argv + 2);
	fputs("bench_client load|verify|peek …: called by run.py\n", stderr);
	return 2;
}
