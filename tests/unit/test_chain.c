/* Proves the chain as a whole against real issuers over TLS: who is accepted and for which audiences, what
 * touches the network, how key sets rotate, and what happens when an issuer misbehaves. Rows 14, 17, 32, 36, 37,
 * 41, 51 to 54, 85 and 86 of the list of attacks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "authn/authn.h"
#include "authn/config.h"
#include "authn/issuer.h"
#include "authn/services.h"
#include "common/clock.h"
#include "common/jsonx.h"
#include "common/metrics.h"
#include "tests/support/tls_server.h"

#define FAR (20 * CLOCK_SECOND)

/* What the server at https://localhost:PORT says for each path; see handler. */
static struct {
	struct crypto_cert ca, leaf;
	struct tls_server *server;
	EVP_PKEY *a, *b, *fresh;
	_Atomic(char *) jwks_a; /* of /a: replaced by rotations, freed at the end */
	char *jwks_b, *sets[64];
	size_t nsets;
	atomic_uint discoveries, fetches; /* of /a */
	atomic_int broken;		  /* /a answers 503 */
	char base[64], discovery[32][256];
	size_t ndiscovery;
	struct arena arena;
	struct authn_services *services;
	sem_t well;	     /* posted when an issuer is well again */
	atomic_uint failing; /* how often one began to fail */
} fx;

static void on_event(void *arg, const char *issuer, const struct err *e)
{
	(void)arg;
	assert_true(strncmp(issuer, fx.base, strlen(fx.base)) == 0);
	if (e)
		atomic_fetch_add(&fx.failing, 1);
	else
		sem_post(&fx.well);
}

/* --- the issuers --- */

/* A discovery document; lives until the end. */
static const char *document(const char *issuer, const char *jwks)
{
	char *text = fx.discovery[fx.ndiscovery++];
	snprintf(text, 256, "{\"issuer\":\"%s%s\",\"jwks_uri\":\"%s\"}", fx.base, issuer, jwks);
	return text;
}

static void handler_a(const char *path, struct tls_reply *r)
{
	if (atomic_load(&fx.broken)) {
		r->status = 503;
	} else if (strcmp(path, "/a/jwks") == 0) {
		atomic_fetch_add(&fx.fetches, 1);
		r->body = atomic_load(&fx.jwks_a);
	} else {
		atomic_fetch_add(&fx.discoveries, 1);
		r->body = fx.discovery[0];
	}
}

/* Paths of issuers that never become ready. */
static const struct {
	const char *path, *body, *headers;
	int status, how;
} broken[] = {
    {"/notfound", "", NULL, 404, TLS_PLAIN},
    {"/html", "<html>login</html>", NULL, 200, TLS_PLAIN},
    {"/empty", "", NULL, 200, TLS_PLAIN},
    {"/redirect", "", "Location: https://localhost/\r\n", 302, TLS_PLAIN},
    {"/tohttp", "", "Location: http://localhost/\r\n", 301, TLS_PLAIN},
    {"/endless", "", NULL, 200, TLS_ENDLESS},
    {"/cut", "{", NULL, 200, TLS_CUT},
    {"/noissuer", "{\"jwks_uri\":\"https://localhost/jwks\"}", NULL, 200, TLS_PLAIN},
    {"/other", "{\"issuer\":\"https://evil.example\",\"jwks_uri\":\"https://localhost/jwks\"}", NULL, 200,
	TLS_PLAIN},
};

/* Issuers whose document is right and whose key set is not: /s0/…, /s1/…. */
static const struct {
	const char *jwks_uri; /* NULL: below */
	const char *body;
	int how;
} bad_sets[] = {
    {"http://localhost/jwks", NULL, TLS_PLAIN},
    {"file:///etc/passwd", NULL, TLS_PLAIN},
    {"https://user:pw@localhost/jwks", NULL, TLS_PLAIN},
    {"", NULL, TLS_PLAIN},
    {NULL, "{\"keys\":[]}", TLS_PLAIN},
    {NULL, "<html>", TLS_PLAIN},
    {NULL, "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}", TLS_PLAIN},
    {NULL, "\x1f\x8b\x08", TLS_PLAIN},
    {NULL, "", TLS_ENDLESS},
};

static void handler_bad_set(const char *path, struct tls_reply *r)
{
	unsigned i = (unsigned)(path[2] - '0');
	r->status = 200;
	if (!strstr(path, "jwks")) {
		r->body = fx.discovery[2 + i];
		return;
	}
	r->body = bad_sets[i].body;
	r->how = bad_sets[i].how;
}

static void handler(void *arg, const char *path, const char *request, struct tls_reply *r)
{
	(void)arg, (void)request;
	r->status = 200;
	if (strncmp(path, "/a/", 3) == 0) {
		handler_a(path, r);
	} else if (strcmp(path, "/b/jwks") == 0) {
		r->body = fx.jwks_b;
	} else if (strncmp(path, "/b/", 3) == 0) {
		r->body = fx.discovery[1];
	} else if (path[1] == 's' && path[2] >= '0' && path[2] <= '9') {
		handler_bad_set(path, r);
	} else if (strncmp(path, "/hang/", 6) == 0) {
		r->how = TLS_HANG;
	} else {
		r->status = 404;
		for (size_t i = 0; i < ARRAY_LEN(broken); i++)
			if (strncmp(path, broken[i].path, strlen(broken[i].path)) == 0)
				r->status = broken[i].status, r->headers = broken[i].headers,
				r->body = broken[i].body, r->how = broken[i].how;
	}
}

/* Makes the set of /a: KEYS with kids KIDS. */
static void publish(EVP_PKEY *const *keys, const char *const *kids, size_t n)
{
	const char *jwks[8] = {0};
	for (size_t i = 0; i < n; i++)
		jwks[i] = crypto_jwk(keys[i], kids[i], NULL);
	char *text = crypto_jwks(jwks, n);
	for (size_t i = 0; i < n; i++)
		free((void *)(uintptr_t)jwks[i]);
	assert_true(fx.nsets < ARRAY_LEN(fx.sets));
	fx.sets[fx.nsets++] = text;
	atomic_store(&fx.jwks_a, text);
}

static void publish_first(void)
{
	publish(&fx.a, (const char *const[]){"ka"}, 1);
}

static int set_up(void **state)
{
	(void)state;
	jsonx_init();
	arena_init(&fx.arena, 0);
	sem_init(&fx.well, 0, 0);
	fx.ca = crypto_cert(NULL, "test CA", NULL, 10);
	fx.leaf = crypto_cert(&fx.ca, "idp", "DNS:localhost", 10);
	fx.a = crypto_ec("P-256");
	fx.b = crypto_ec("P-256");
	fx.fresh = crypto_rsa(2048, 65537);
	char *jwk = crypto_jwk(fx.b, "kb", NULL);
	fx.jwks_b = crypto_jwks((const char *const[]){jwk}, 1);
	free(jwk);
	struct tls_options opt = {.cert = &fx.leaf};
	fx.server = tls_server_start(&opt, handler, NULL);
	snprintf(fx.base, sizeof(fx.base), "https://localhost:%u", tls_server_port(fx.server));
	char uri[128];
	snprintf(uri, sizeof(uri), "%s/a/jwks", fx.base);
	document("/a", uri);
	snprintf(uri, sizeof(uri), "%s/b/jwks", fx.base);
	document("/b", uri);
	for (unsigned i = 0; i < ARRAY_LEN(bad_sets); i++) {
		char issuer[8];
		snprintf(issuer, sizeof(issuer), "/s%u", i);
		snprintf(uri, sizeof(uri), "%s/s%u/jwks", fx.base, i);
		document(issuer, bad_sets[i].jwks_uri ? bad_sets[i].jwks_uri : uri);
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	tls_server_stop(&fx.server);
	EVP_PKEY_free(fx.a);
	EVP_PKEY_free(fx.b);
	EVP_PKEY_free(fx.fresh);
	for (size_t i = 0; i < fx.nsets; i++)
		free(fx.sets[i]);
	free(fx.jwks_b);
	crypto_cert_free(&fx.ca);
	crypto_cert_free(&fx.leaf);
	arena_done(&fx.arena);
	sem_destroy(&fx.well);
	return 0;
}

/* Each test has services of its own. */
static int begin(void **state)
{
	(void)state;
	struct authn_services_options opt = {.workers = 4, .event = on_event};
	struct err e = {0};
	atomic_store(&fx.broken, 0);
	atomic_store(&fx.fetches, 0);
	atomic_store(&fx.discoveries, 0);
	publish_first();
	if (authn_services_new(&opt, &fx.services, &e) != ERR_OK)
		return -1;
	return 0;
}

static int end(void **state)
{
	(void)state;
	authn_services_free(&fx.services);
	return 0;
}

/* --- the chain --- */

/* A chain for the issuers at PATHS (NULL-terminated), prefixes "0:", "1:", …, and MORE lines of YAML. */
static struct authn_chain *chain(const char *const *paths, const char *more)
{
	struct buf b;
	struct yaml_node *node;
	struct diags d = {0};
	struct authn_config *cfg = ARENA_NEW(&fx.arena, struct authn_config);
	struct authn_chain *c = NULL;
	buf_init(&b, 1 << 20);
	buf_adds(&b, "audiences: [https://kubernetes.default.svc, second]\n");
	buf_adds(&b, *paths ? "jwt:\n" : "");
	for (int i = 0; paths[i]; i++) {
		buf_printf(&b, "- issuer:\n    url: %s%s\n    audiences: [kubernetes]\n"
			       "    certificateAuthority: \"", fx.base, paths[i]);
		for (const char *p = fx.ca.cert; *p; p++)
			buf_adds(&b, *p == '\n' ? "\\n" : (char[]){*p, '\0'});
		buf_printf(&b, "\"\n  claimMappings:\n    username: {claim: sub, prefix: \"%d:\"}\n"
			       "    groups: {claim: groups, prefix: \"\"}\n", i);
	}
	buf_adds(&b, more);
	struct slice text = slice_dup(&fx.arena, buf_view(&b));
	buf_done(&b);
	if (yamlx_parse(&fx.arena, "t.yaml", text, &node, &d) != ERR_OK ||
	    schema_bind(&fx.arena, &authn_config_schema, "t.yaml", node, cfg, &d) != ERR_OK ||
	    authn_chain_new(cfg, fx.services, &c, &d) != ERR_OK)
		fail_msg("%s", d.items[0].text);
	diags_done(&d);
	return c;
}

static struct authn_chain *settled(const char *const *paths, const char *more)
{
	struct err e = {0};
	assert_int_equal(authn_services_start(fx.services, &e), ERR_OK);
	struct authn_chain *c = chain(paths, more);
	authn_services_settle(fx.services, clock_mono() + FAR);
	return c;
}

static const char *const issuer_a[] = {"/a", NULL};
static const char *const issuers_ab[] = {"/a", "/b", NULL};
static const char *const no_issuer[] = {NULL};

/* A token of the issuer at PATH; IAT relative to now. */
static char *token(const char *path, EVP_PKEY *key, const char *kid, long iat, const char *more)
{
	char payload[2048];
	snprintf(payload, sizeof(payload),
	    "{\"iss\":\"%s%s\",\"aud\":\"kubernetes\",\"exp\":%lld,\"iat\":%lld,\"sub\":\"jane\"%s}", fx.base,
	    path, (long long)clock_unix() + 3600, (long long)clock_unix() + iat, more);
	return crypto_token(key, EVP_PKEY_is_a(key, "RSA") ? "RS256" : "ES256", kid, NULL, payload);
}

struct answer {
	struct arena arena;
	struct authn_call call;
	enum authn_step step;
	bool worked;
};

static void ask_until(const struct authn_chain *c, struct slice token, const struct slice *audiences,
    size_t n, int64_t patience, struct answer *a)
{
	memset(a, 0, sizeof(*a));
	arena_init(&a->arena, 0);
	a->call = (struct authn_call){
	    .arena = &a->arena,
	    .token = token,
	    .audiences = audiences,
	    .naudiences = n,
	    .now = clock_now(),
	    .deadline = clock_mono() + patience,
	};
	a->step = authn_try_now(c, &a->call);
	if (a->step == AUTHN_NEEDS_WORK) {
		a->worked = true;
		a->step = authn_work(c, &a->call);
	}
	assert_int_not_equal(a->step, AUTHN_PASS);
	assert_int_not_equal(a->step, AUTHN_NEEDS_WORK);
	assert_non_null(a->call.reason);
	if (a->step != AUTHN_ACCEPT) {
		assert_int_equal(a->call.id.username.len, 0);
		assert_int_equal(a->call.ngranted, 0);
	}
}

/* Asks, frees TOKEN, checks step and (when not NULL) reason. */
static void expect(const struct authn_chain *c, char *text, enum authn_step step, const char *reason)
{
	struct answer a;
	ask_until(c, slice_of(text), NULL, 0, FAR, &a);
	if (a.step != step || (reason && strcmp(a.call.reason, reason) != 0))
		fail_msg("%d %s (%s) instead of %d %s", a.step, a.call.reason, a.call.why.msg, step, reason);
	arena_done(&a.arena);
	free(text);
}

static void test_accepts_and_maps(void **state)
{
	(void)state;
	struct authn_chain *c = settled(issuers_ab, "");
	struct answer a;
	char *t = token("/b", fx.b, "kb", 0, ",\"groups\":[\"dev\",\"system:masters\"],\"jti\":\"x\"");
	struct metric *dropped = metrics_counter("portcullis_reserved_names_total", "", "kind=\"group\"");
	double before = metric_value(dropped);
	ask_until(c, slice_of(t), NULL, 0, FAR, &a);
	assert_int_equal(a.step, AUTHN_ACCEPT);
	assert_false(a.worked);
	assert_true(slice_is(a.call.id.username, "1:jane"));
	assert_int_equal(a.call.id.ngroups, 1);
	assert_true(slice_is(a.call.id.groups[0], "dev"));
	assert_int_equal((long)(metric_value(dropped) - before), 1);
	char name[128];
	snprintf(name, sizeof(name), "jwt:%s/b", fx.base);
	assert_string_equal(a.call.authenticator, name);
	assert_true(slice_is(a.call.id.provider, name));
	assert_true(slice_is(a.call.id.issuer, name + 4));
	assert_true(a.call.id.expires > clock_unix());
	arena_done(&a.arena);
	free(t);
	authn_chain_free(&c);
}

static void test_rows85_and_86_audiences(void **state)
{
	(void)state;
	static const struct slice asked[] = {SLICE("vault"), SLICE("second"),
	    SLICE("https://kubernetes.default.svc"), SLICE("second"), SLICE("Second"), SLICE("")};
	static const struct {
		size_t from, n, granted;
	} cases[] = {{0, 0, 0}, {0, 1, 0}, {0, 2, 1}, {1, 1, 1}, {0, 6, 2}, {4, 2, 0}, {1, 3, 2}};
	struct authn_chain *c = settled(issuer_a, "");
	char *t = token("/a", fx.a, "ka", 0, "");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct answer a;
		ask_until(c, slice_of(t), asked + cases[i].from, cases[i].n, FAR, &a);
		bool ok = cases[i].n == 0 || cases[i].granted > 0;
		assert_int_equal(a.step, ok ? AUTHN_ACCEPT : AUTHN_REJECT);
		assert_int_equal(a.call.ngranted, cases[i].granted);
		for (size_t k = 0; k < a.call.ngranted; k++)
			assert_false(slice_is(a.call.granted[k], "vault"));
		if (!ok)
			assert_string_equal(a.call.reason, "foreignAudience");
		arena_done(&a.arena);
	}
	free(t);
	authn_chain_free(&c);
}

static void test_row17_keys_belong_to_their_issuer(void **state)
{
	(void)state;
	struct authn_chain *c = settled(issuers_ab, "");
	expect(c, token("/a", fx.a, "ka", 0, ""), AUTHN_ACCEPT, "ok");
	expect(c, token("/a", fx.b, "ka", 0, ""), AUTHN_REJECT, "badSignature");
	expect(c, token("/a", fx.b, "kb", -100, ""), AUTHN_REJECT, "unknownKey");
	expect(c, token("/b", fx.a, "kb", 0, ""), AUTHN_REJECT, "badSignature");
	authn_chain_free(&c);
}

static void test_rows14_32_and_36_foreign_tokens_touch_no_network(void **state)
{
	(void)state;
	struct authn_chain *c = settled(issuer_a, "");
	unsigned connections = tls_server_connections(fx.server);
	char payload[512];
	const char *upper = arena_printf(&fx.arena, "HTTPS%s/a", fx.base + 5);
	static const char *const suffixes[] = {"/", "/a/", "/A", "/a ", " /a", "/a#", "/a?x", "/", "/ab", "",
	    "/%61", "/a.evil.example"};
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++)
		expect(c, token(suffixes[i], fx.a, "ka", 0, ""), AUTHN_REJECT, "noMatch");
	const char *const others[] = {"https://kubernetes.default.svc", "kubernetes/serviceaccount", upper,
	    "https://loc\xd0\xb0lhost/a", ""};
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		snprintf(payload, sizeof(payload),
		    "{\"iss\":\"%s\",\"aud\":\"kubernetes\",\"exp\":4000000000,\"sub\":\"x\"}",
		    others[i]);
		expect(c, crypto_token(fx.a, "ES256", "ka", NULL, payload), AUTHN_REJECT, "noMatch");
	}
	snprintf(payload, sizeof(payload), "{\"iss\":[\"%s/a\"],\"aud\":\"kubernetes\",\"exp\":4000000000}",
	    fx.base);
	expect(c, crypto_token(fx.a, "ES256", "ka", NULL, payload), AUTHN_REJECT, "noMatch");
	/* Ours, but pointing elsewhere for its key. */
	snprintf(payload, sizeof(payload), "{\"alg\":\"ES256\",\"kid\":\"k2\",\"jku\":\"https://127.0.0.1:%u/b/jwks\"}",
	    tls_server_port(fx.server));
	char *good = token("/a", fx.a, "ka", 0, ""), claims[512];
	snprintf(claims, sizeof(claims), "{\"iss\":\"%s/a\",\"aud\":\"kubernetes\",\"exp\":4000000000}", fx.base);
	expect(c, crypto_token(fx.a, "ES256", NULL, payload, claims), AUTHN_REJECT, "badHeader");
	/* One at our issuer's own host is not asked either, however well it would fit. */
	snprintf(payload, sizeof(payload), "{\"alg\":\"ES256\",\"kid\":\"kb\",\"jku\":\"%s/b/jwks\"}", fx.base);
	expect(c, crypto_token(fx.b, "ES256", NULL, payload, claims), AUTHN_REJECT, "badUsername");
	expect(c, crypto_token(fx.a, "ES256", NULL, "{\"alg\":\"ES256\",\"kid\":\"ka\",\"typ\":\"at+jwt\"}", claims),
	    AUTHN_REJECT, "tokenKind");
	/* What claims refuse anyway is not worth a fetch for an unknown key. */
	expect(c, token("/a", fx.a, "nobody", 0, ",\"typ\":\"Bearer\""), AUTHN_REJECT, "tokenKind");
	expect(c, strdup("opaque"), AUTHN_REJECT, "noMatch");
	expect(c, strdup(""), AUTHN_REJECT, "empty");
	free(good);
	assert_int_equal(tls_server_connections(fx.server), connections);
	assert_int_equal(atomic_load(&fx.fetches), 1);
	authn_chain_free(&c);
}

static void test_a_token_that_comes_before_the_first_keys_waits_for_them(void **state)
{
	(void)state;
	struct err e = {0};
	struct authn_chain *c = chain(issuer_a, "");
	struct answer a;
	char *t = token("/a", fx.a, "ka", 0, "");
	arena_init(&a.arena, 0);
	a.call = (struct authn_call){.arena = &a.arena, .token = slice_of(t), .now = clock_now(),
	    .deadline = clock_mono() + FAR};
	assert_int_equal(authn_try_now(c, &a.call), AUTHN_NEEDS_WORK);
	assert_int_equal(authn_services_start(fx.services, &e), ERR_OK);
	assert_int_equal(authn_work(c, &a.call), AUTHN_ACCEPT);
	assert_true(slice_is(a.call.id.username, "0:jane"));
	arena_done(&a.arena);
	free(t);
	authn_chain_free(&c);
}

static void test_row37_rotation_is_picked_up_at_once(void **state)
{
	(void)state;
	struct authn_chain *c = settled(issuer_a, "");
	EVP_PKEY *both[] = {fx.a, fx.fresh};
	assert_int_equal(issuers_generation(fx.services->issuers), 1);
	expect(c, token("/a", fx.a, "ka", 0, ""), AUTHN_ACCEPT, NULL);
	publish(both, (const char *const[]){"ka", "kf"}, 2);
	expect(c, token("/a", fx.fresh, "kf", 0, ""), AUTHN_ACCEPT, NULL);
	expect(c, token("/a", fx.a, "ka", 0, ""), AUTHN_ACCEPT, NULL);
	assert_int_equal(atomic_load(&fx.fetches), 2);
	assert_int_equal(atomic_load(&fx.discoveries), 1);
	assert_int_equal(issuers_generation(fx.services->issuers), 2);
	/* The old key goes: its tokens end with the next refresh. */
	publish(both + 1, (const char *const[]){"kf"}, 1);
	clock_advance((ISSUER_REFRESH_MAX_S + 1) * CLOCK_SECOND);
	issuers_poke(fx.services->issuers);
	expect(c, token("/a", fx.fresh, "kx", 0, ""), AUTHN_REJECT, "unknownKey");
	expect(c, token("/a", fx.a, "ka", -60, ""), AUTHN_REJECT, "unknownKey");
	expect(c, token("/a", fx.fresh, "kf", 0, ""), AUTHN_ACCEPT, NULL);
	/* Sets are counted, not fetches; then the issuer goes. */
	assert_int_equal(issuers_generation(fx.services->issuers), 3);
	authn_chain_free(&c);
	assert_int_equal(issuers_generation(fx.services->issuers), 4);
}

struct waiter {
	pthread_t thread;
	const struct authn_chain *chain;
	char *token;
	struct answer a;
};

static void *wait_for_answer(void *arg)
{
	struct waiter *w = arg;
	ask_until(w->chain, slice_of(w->token), NULL, 0, FAR, &w->a);
	return NULL;
}

static void test_a_second_rotation_within_the_window_is_waited_for(void **state)
{
	(void)state;
	struct authn_chain *c = settled(issuer_a, "");
	/* An unknown key uses the window up. */
	expect(c, token("/a", fx.b, "nobody", 0, ""), AUTHN_REJECT, "unknownKey");
	assert_int_equal(atomic_load(&fx.fetches), 2);
	publish(&fx.fresh, (const char *const[]){"kf"}, 1);
	/* No time to wait for the next: not refused, but not decided either. */
	char *t = token("/a", fx.fresh, "kf", 1, "");
	struct answer a;
	ask_until(c, slice_of(t), NULL, 0, CLOCK_SECOND, &a);
	assert_int_equal(a.step, AUTHN_UNAVAILABLE);
	arena_done(&a.arena);
	/* With time: waits until the window opens. */
	struct waiter w = {.chain = c, .token = t};
	assert_int_equal(pthread_create(&w.thread, NULL, wait_for_answer, &w), 0);
	clock_advance((ISSUER_WINDOW_S + 1) * CLOCK_SECOND);
	issuers_poke(fx.services->issuers);
	pthread_join(w.thread, NULL);
	assert_int_equal(w.a.step, AUTHN_ACCEPT);
	assert_int_equal(atomic_load(&fx.fetches), 3);
	arena_done(&w.a.arena);
	free(t);
	authn_chain_free(&c);
}

static void *flood(void *arg)
{
	const struct authn_chain *c = arg;
	for (int i = 0; i < 2500; i++) {
		char kid[32];
		struct answer a;
		snprintf(kid, sizeof(kid), "%p-%d", (void *)&a, i);
		char *t = token("/a", fx.b, kid, -60, "");
		ask_until(c, slice_of(t), NULL, 0, FAR, &a);
		assert_int_equal(a.step, AUTHN_REJECT);
		arena_done(&a.arena);
		free(t);
	}
	return NULL;
}

static void test_row52_ten_thousand_random_kids_cause_one_fetch(void **state)
{
	(void)state;
	struct authn_chain *c = settled(issuer_a, "");
	pthread_t threads[4];
	unsigned before = atomic_load(&fx.fetches);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, flood, c), 0);
	for (int i = 0; i < 200; i++)
		expect(c, token("/a", fx.a, "ka", 0, ""), AUTHN_ACCEPT, NULL);
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	/* One in each window that began meanwhile; a slow machine may see a second. */
	assert_in_range(atomic_load(&fx.fetches) - before, 1, 3);
	/* Young ones wait or are left undecided, and cause no more. */
	before = atomic_load(&fx.fetches);
	for (int i = 0; i < 100; i++) {
		char kid[16];
		struct answer a;
		snprintf(kid, sizeof(kid), "y%d", i);
		char *t = token("/a", fx.b, kid, 0, "");
		ask_until(c, slice_of(t), NULL, 0, CLOCK_MS, &a);
		assert_int_not_equal(a.step, AUTHN_ACCEPT);
		arena_done(&a.arena);
		free(t);
	}
	assert_in_range(atomic_load(&fx.fetches) - before, 0, 1);
	authn_chain_free(&c);
}

static void test_an_issuer_that_went_away_keeps_its_known_keys(void **state)
{
	(void)state;
	struct authn_chain *c = settled(issuer_a, "");
	atomic_store(&fx.broken, 1);
	atomic_store(&fx.failing, 0);
	for (int hour = 0; hour < 3; hour++) {
		expect(c, token("/a", fx.b, "nobody", 0, ""), AUTHN_UNAVAILABLE, "issuerUnavailable");
		expect(c, token("/a", fx.a, "ka", 0, ""), AUTHN_ACCEPT, NULL);
		clock_advance(1200 * CLOCK_SECOND);
		issuers_poke(fx.services->issuers);
	}
	struct buf b;
	buf_init(&b, 4096);
	authn_services_status(fx.services, &b);
	assert_non_null(strstr(buf_cstr(&b), "; last fetch failed: "));
	assert_int_equal(buf_cstr(&b)[0], '-');
	assert_non_null(strstr(buf_cstr(&b), "HTTP 503"));
	buf_done(&b);
	/* Back again, with an empty set at first: that one replaces nothing. */
	fx.sets[fx.nsets++] = strdup("{\"keys\":[]}");
	atomic_store(&fx.jwks_a, fx.sets[fx.nsets - 1]);
	atomic_store(&fx.broken, 0);
	clock_advance(1200 * CLOCK_SECOND);
	issuers_poke(fx.services->issuers);
	expect(c, token("/a", fx.b, "nobody", 0, ""), AUTHN_UNAVAILABLE, "issuerUnavailable");
	expect(c, token("/a", fx.a, "ka", 0, ""), AUTHN_ACCEPT, NULL);
	publish(&fx.fresh, (const char *const[]){"kf"}, 1);
	/* A fetch that was under way has not seen it: let time pass until one has. */
	struct timespec soon;
	do {
		clock_advance(1200 * CLOCK_SECOND);
		issuers_poke(fx.services->issuers);
		clock_gettime(CLOCK_REALTIME, &soon);
		soon.tv_sec += 1;
	} while (sem_timedwait(&fx.well, &soon) != 0);
	expect(c, token("/a", fx.fresh, "kf", 0, ""), AUTHN_ACCEPT, NULL);
	/* Told once that it failed, once that it failed otherwise. */
	assert_in_range(atomic_load(&fx.failing), 1, 3);
	authn_chain_free(&c);
}

static void assert_never_ready(const char *path)
{
	const char *const paths[] = {path, NULL};
	struct authn_chain *c = settled(paths, "tokenFiles: []\n");
	char *t = token(path, fx.a, "ka", 0, "");
	struct answer a;
	ask_until(c, slice_of(t), NULL, 0, FAR, &a);
	if (a.step != AUTHN_UNAVAILABLE || a.worked)
		fail_msg("%s: %d %s", path, a.step, a.call.reason);
	struct buf b;
	buf_init(&b, 8192);
	authn_services_status(fx.services, &b);
	assert_non_null(strstr(buf_cstr(&b), "no keys yet; last fetch failed: "));
	buf_done(&b);
	arena_done(&a.arena);
	free(t);
	authn_chain_free(&c);
}

static void test_rows51_53_and_54_bad_documents_and_sets(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(broken); i++)
		assert_never_ready(broken[i].path);
	for (unsigned i = 0; i < ARRAY_LEN(bad_sets); i++) {
		char path[8];
		snprintf(path, sizeof(path), "/s%u", i);
		assert_never_ready(path);
	}
}

static void test_a_hung_issuer_disturbs_no_other_and_no_shutdown(void **state)
{
	(void)state;
	static const char *const paths[] = {"/hang", "/a", NULL};
	struct err e = {0};
	struct authn_chain *c = chain(paths, "");
	assert_int_equal(authn_services_start(fx.services, &e), ERR_OK);
	expect(c, token("/a", fx.a, "ka", 0, ""), AUTHN_ACCEPT, NULL);
	char *t = token("/hang", fx.a, "ka", 0, "");
	struct answer a;
	ask_until(c, slice_of(t), NULL, 0, 10 * CLOCK_MS, &a);
	assert_int_equal(a.step, AUTHN_UNAVAILABLE);
	assert_true(a.worked);
	arena_done(&a.arena);
	free(t);
	assert_false(authn_services_settle(fx.services, clock_mono()));
	authn_chain_free(&c); /* ends the thread in the middle of its fetch */
}

static void test_a_reload_keeps_the_keys(void **state)
{
	(void)state;
	struct authn_chain *old = settled(issuer_a, ""), *new = chain(issuers_ab, "");
	assert_true(authn_services_settle(fx.services, clock_mono() + FAR));
	expect(new, token("/a", fx.a, "ka", 0, ""), AUTHN_ACCEPT, NULL);
	authn_chain_free(&old);
	expect(new, token("/a", fx.a, "ka", 0, ""), AUTHN_ACCEPT, NULL);
	expect(new, token("/b", fx.b, "kb", 0, ""), AUTHN_ACCEPT, NULL);
	assert_int_equal(atomic_load(&fx.fetches), 1);
	authn_chain_free(&new);
	struct buf b;
	buf_init(&b, 1 << 20);
	metrics_write(&b);
	assert_null(strstr(buf_cstr(&b), fx.base)); /* series of issuers that are gone are, too */
	buf_done(&b);
}

static char *write_file(char path[64], const char *text)
{
	snprintf(path, 64, "/tmp/test_chain.XXXXXX");
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	return path;
}

static void test_token_files_and_the_firewall(void **state)
{
	(void)state;
	char path[64], more[128];
	write_file(path, "one,jane,u1,\"dev,system:masters\"\ntwo,system:admin,u2\nthree,kubernetes-admin,u3\n");
	snprintf(more, sizeof(more), "tokenFiles: [%s]\n", path);
	struct authn_chain *c = chain(no_issuer, more);
	struct answer a;
	ask_until(c, SLICE("one"), NULL, 0, FAR, &a);
	assert_int_equal(a.step, AUTHN_ACCEPT);
	assert_string_equal(a.call.authenticator, "tokenFile");
	assert_int_equal(a.call.id.ngroups, 1);
	arena_done(&a.arena);
	expect(c, strdup("two"), AUTHN_REJECT, "reservedName");
	expect(c, strdup("three"), AUTHN_REJECT, "reservedName");
	expect(c, strdup("four"), AUTHN_REJECT, "noMatch");
	struct buf b;
	buf_init(&b, 1 << 20);
	for (int i = 0; i < (64 << 10) + 1; i++)
		buf_addc(&b, 'x');
	expect(c, strdup(buf_cstr(&b)), AUTHN_REJECT, "tooLong");
	buf_done(&b);
	authn_chain_free(&c);
	unlink(path);
}

static void test_a_key_set_file_needs_no_network(void **state)
{
	(void)state;
	char path[64], more[512];
	write_file(path, fx.jwks_b);
	snprintf(more, sizeof(more), "jwt:\n- issuer: {url: \"%s/file\", audiences: [kubernetes], jwksFile: %s}\n"
				     "  claimMappings: {username: {claim: sub, prefix: \"f:\"}}\n", fx.base, path);
	unsigned connections = tls_server_connections(fx.server);
	struct authn_chain *c = settled(no_issuer, more);
	expect(c, token("/file", fx.b, "kb", 0, ""), AUTHN_ACCEPT, NULL);
	expect(c, token("/file", fx.a, "kb", 0, ""), AUTHN_REJECT, "badSignature");
	expect(c, token("/file", fx.a, "ka", 0, ""), AUTHN_REJECT, "unknownKey");
	assert_int_equal(tls_server_connections(fx.server), connections);
	authn_chain_free(&c);
	unlink(path);
}

static void test_a_denied_key_is_known_by_what_it_verified(void **state)
{
	(void)state;
	char path[] = "/tmp/portcullis-chain-XXXXXX";
	static const char list[] = "apiVersion: portcullis.dev/v1alpha1\nkind: Denylist\n"
				   "entries:\n- {kid: ka}\n";
	int fd = mkstemp(path);
	assert_int_equal(write(fd, list, sizeof(list) - 1), sizeof(list) - 1);
	close(fd);
	struct authn_chain *c =
	    settled(issuers_ab, arena_printf(&fx.arena, "denylistFile: %s\n", path));
	expect(c, token("/a", fx.a, "ka", 0, ""), AUTHN_REJECT, "revoked");
	/* The thief of a key need not say which it is. */
	expect(c, token("/a", fx.a, NULL, 0, ""), AUTHN_REJECT, "revoked");
	expect(c, token("/b", fx.b, NULL, 0, ""), AUTHN_ACCEPT, "ok");
	authn_chain_free(&c);
	unlink(path);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
	    TEST(test_accepts_and_maps),
	    TEST(test_rows85_and_86_audiences),
	    TEST(test_row17_keys_belong_to_their_issuer),
	    TEST(test_rows14_32_and_36_foreign_tokens_touch_no_network),
	    TEST(test_a_token_that_comes_before_the_first_keys_waits_for_them),
	    TEST(test_row37_rotation_is_picked_up_at_once),
	    TEST(test_a_second_rotation_within_the_window_is_waited_for),
	    TEST(test_row52_ten_thousand_random_kids_cause_one_fetch),
	    TEST(test_an_issuer_that_went_away_keeps_its_known_keys),
	    TEST(test_rows51_53_and_54_bad_documents_and_sets),
	    TEST(test_a_hung_issuer_disturbs_no_other_and_no_shutdown),
	    TEST(test_a_reload_keeps_the_keys),
	    TEST(test_token_files_and_the_firewall),
	    TEST(test_a_key_set_file_needs_no_network),
	    TEST(test_a_denied_key_is_known_by_what_it_verified),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
