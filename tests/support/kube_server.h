/* An apiserver of unit tests that answers from a list, and a client of it. Included by one test program each. */
#ifndef TESTS_SUPPORT_KUBE_SERVER_H
#define TESTS_SUPPORT_KUBE_SERVER_H

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/httpc.h"
#include "common/jsonx.h"
#include "rbac-sync/kube.h"
#include "tests/support/tls_server.h"

#define REPLIES_MAX 16

static struct {
	struct crypto_cert ca, leaf, client, next_client;
	struct tls_server *server;
	char dir[64], config[96];
	pthread_mutex_t lock;
	struct tls_reply replies[REPLIES_MAX];
	size_t len, asked;
	char requests[REPLIES_MAX * 4][2048]; /* heads and bodies, in order */
	int64_t times[REPLIES_MAX * 4];	      /* clock_mono of each */
} ks = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void ks_handler(void *arg, const char *path, const char *request, struct tls_reply *r)
{
	(void)arg, (void)path;
	pthread_mutex_lock(&ks.lock);
	if (ks.asked < ARRAY_LEN(ks.requests)) {
		ks.times[ks.asked] = clock_mono();
		snprintf(ks.requests[ks.asked], sizeof(ks.requests[0]), "%s", request);
	}
	if (ks.len) /* the last one again and again */
		*r = ks.replies[ks.asked < ks.len ? ks.asked : ks.len - 1];
	ks.asked++;
	pthread_mutex_unlock(&ks.lock);
}

/* Forgets what was asked; the next replies. */
static void ks_script(const struct tls_reply *replies, size_t n)
{
	pthread_mutex_lock(&ks.lock);
	for (size_t i = 0; i < n && i < REPLIES_MAX; i++)
		ks.replies[i] = replies[i];
	ks.len = n;
	ks.asked = 0;
	pthread_mutex_unlock(&ks.lock);
}

#define KS_SCRIPT(...)                                                                             \
	ks_script((const struct tls_reply[]){__VA_ARGS__},                                         \
	    sizeof((const struct tls_reply[]){__VA_ARGS__}) / sizeof(struct tls_reply))

static UNUSED size_t ks_asked(void)
{
	pthread_mutex_lock(&ks.lock);
	size_t n = ks.asked;
	pthread_mutex_unlock(&ks.lock);
	return n;
}

static UNUSED const char *ks_file(const char *name)
{
	static char paths[8][128];
	static size_t next;
	char *path = paths[next++ % ARRAY_LEN(paths)];
	snprintf(path, sizeof(paths[0]), "%s/%s", ks.dir, name);
	return path;
}

/* Replaces a file as an editor does: by a new one. */
static void ks_put(const char *name, const char *text)
{
	char temporary[160];
	snprintf(temporary, sizeof(temporary), "%s/.new", ks.dir);
	FILE *f = fopen(temporary, "w");
	if (!f || fputs(text, f) < 0 || fclose(f) != 0 || rename(temporary, ks_file(name)) != 0)
		abort();
}

/* A kubeconfig for the server, with USER ("token: x"). The CA stands in it: a file that is new may look like one that is
 * still being written, which would end connections where a test expects none to end. */
static void ks_configure(const char *user)
{
	char text[8192];
	unsigned char ca[4096];
	EVP_EncodeBlock(ca, (const unsigned char *)ks.ca.cert, (int)strlen(ks.ca.cert));
	snprintf(text, sizeof(text),
	    "clusters: [{name: c, cluster: {server: \"https://localhost:%u\", certificate-authority-data: %s}}]\n"
	    "users: [{name: u, user: {%s}}]\n"
	    "contexts: [{name: x, context: {cluster: c, user: u}}]\ncurrent-context: x\n",
	    tls_server_port(ks.server), (const char *)ca, user);
	ks_put("config", text);
}

static struct kube *ks_open(struct kube_options o)
{
	struct kube *k = NULL;
	struct err e;
	o.path = ks.config;
	o.timeout_ms = o.timeout_ms ? o.timeout_ms : 20000;
	if (kube_open(&o, &k, &e) != ERR_OK) {
		fprintf(stderr, "%s\n", e.msg);
		abort();
	}
	return k;
}

static UNUSED json_t *ks_json(const char *text)
{
	json_t *o = NULL;
	if (jsonx_object(slice_of(text), (size_t)1 << 20, &o, NULL) != ERR_OK)
		abort();
	return o;
}

static void ks_start(const char *client_ca)
{
	struct tls_options opt = {.cert = &ks.leaf, .client_ca = client_ca};
	ks.server = tls_server_start(&opt, ks_handler, NULL);
}

static int ks_setup(void **state)
{
	(void)state;
	httpc_init();
	ks.ca = crypto_cert(NULL, "test CA", NULL, 10);
	ks.leaf = crypto_cert(&ks.ca, "server", "DNS:localhost,IP:127.0.0.1", 10);
	ks.client = crypto_cert(&ks.ca, "client", "DNS:client", 10);
	ks.next_client = crypto_cert(&ks.ca, "next client", "DNS:client", 10);
	snprintf(ks.dir, sizeof(ks.dir), "/tmp/portcullis-kube-XXXXXX");
	if (!mkdtemp(ks.dir))
		abort();
	snprintf(ks.config, sizeof(ks.config), "%s/config", ks.dir);
	ks_start(NULL);
	return 0;
}

static int ks_teardown(void **state)
{
	(void)state;
	static const char *const files[] = {"config", "client.crt", "client.key", "token", "plugin", "runs", "says"};
	tls_server_stop(&ks.server);
	struct crypto_cert *certs[] = {&ks.ca, &ks.leaf, &ks.client, &ks.next_client};
	for (size_t i = 0; i < ARRAY_LEN(certs); i++)
		crypto_cert_free(certs[i]);
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		unlink(ks_file(files[i]));
	return rmdir(ks.dir);
}

#endif
