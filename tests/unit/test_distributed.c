/* Proves distributed groups against a real endpoint over TLS: who is asked and who is not (row 46 of the list of
 * attacks), whose answer counts, and what an endpoint that misbehaves comes to. The cases of Kubernetes' own
 * tests named groups-distributed-… have their counterparts here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "authn/authn.h"
#include "authn/config.h"
#include "authn/limits.h"
#include "authn/services.h"
#include "common/clock.h"
#include "common/jsonx.h"
#include "tests/support/tls_server.h"

#define FAR (20 * CLOCK_SECOND)

/* One server is everything that is to be asked: the issuer /idp, the issuer /src of other answers, and the
 * endpoints below /claims. The other one is what only tokens name. */
static struct {
	struct crypto_cert ca, leaf;
	struct tls_server *server, *trap;
	EVP_PKEY *idp, *src;
	char *jwks_idp, *jwks_src, base[64], trap_base[64], doc_idp[256], doc_src[256];
	struct tls_reply answer; /* of the endpoints */
	char request[4096];	 /* that reached one of them last */
	atomic_uint asked;
	struct arena arena;
	struct authn_services *services;
} fx;

/* Endpoints answer when it opens, while they are gated. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool gated;

/* A connection that was given up may still be served while the next answer is set. */
static pthread_mutex_t answer_lock = PTHREAD_MUTEX_INITIALIZER;

static void set_answer(struct tls_reply answer)
{
	pthread_mutex_lock(&answer_lock);
	fx.answer = answer;
	pthread_mutex_unlock(&answer_lock);
}

static void handler(void *arg, const char *path, const char *request, struct tls_reply *r)
{
	(void)arg;
	r->status = 200;
	if (strncmp(path, "/claims/", 8) == 0) {
		pthread_mutex_lock(&answer_lock);
		*r = fx.answer;
		if (!atomic_load(&gated))
			snprintf(fx.request, sizeof(fx.request), "%s", request);
		pthread_mutex_unlock(&answer_lock);
		atomic_fetch_add(&fx.asked, 1);
		if (atomic_load(&gated)) {
			pthread_mutex_lock(&gate);
			pthread_mutex_unlock(&gate);
		}
	} else if (strcmp(path, "/idp/jwks") == 0) {
		r->body = fx.jwks_idp;
	} else if (strcmp(path, "/src/jwks") == 0) {
		r->body = fx.jwks_src;
	} else {
		r->body = strncmp(path, "/idp/", 5) == 0 ? fx.doc_idp : fx.doc_src;
	}
}

static char *set_of(EVP_PKEY *key, const char *kid)
{
	char *jwk = crypto_jwk(key, kid, NULL), *set = crypto_jwks((const char *const[]){jwk}, 1);
	free(jwk);
	return set;
}

static int set_up(void **state)
{
	(void)state;
	jsonx_init();
	arena_init(&fx.arena, 0);
	fx.ca = crypto_cert(NULL, "test CA", NULL, 10);
	fx.leaf = crypto_cert(&fx.ca, "idp", "DNS:localhost", 10);
	fx.idp = crypto_ec("P-256");
	fx.src = crypto_ec("P-256");
	fx.jwks_idp = set_of(fx.idp, "ki");
	fx.jwks_src = set_of(fx.src, "ks");
	struct tls_options opt = {.cert = &fx.leaf};
	fx.server = tls_server_start(&opt, handler, NULL);
	fx.trap = tls_server_start(&opt, handler, NULL);
	snprintf(fx.base, sizeof(fx.base), "https://localhost:%u", tls_server_port(fx.server));
	snprintf(fx.trap_base, sizeof(fx.trap_base), "https://localhost:%u", tls_server_port(fx.trap));
	snprintf(fx.doc_idp, sizeof(fx.doc_idp), "{\"issuer\":\"%s/idp\",\"jwks_uri\":\"%s/idp/jwks\"}",
	    fx.base, fx.base);
	snprintf(fx.doc_src, sizeof(fx.doc_src), "{\"issuer\":\"%s/src\",\"jwks_uri\":\"%s/src/jwks\"}",
	    fx.base, fx.base);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	tls_server_stop(&fx.server);
	tls_server_stop(&fx.trap);
	EVP_PKEY_free(fx.idp);
	EVP_PKEY_free(fx.src);
	free(fx.jwks_idp);
	free(fx.jwks_src);
	crypto_cert_free(&fx.ca);
	crypto_cert_free(&fx.leaf);
	arena_done(&fx.arena);
	return 0;
}

static int begin(void **state)
{
	(void)state;
	struct authn_services_options opt = {.workers = 4};
	struct err e = {0};
	set_answer((struct tls_reply){.status = 404});
	atomic_store(&fx.asked, 0);
	return authn_services_new(&opt, &fx.services, &e) == ERR_OK ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	authn_services_free(&fx.services);
	return 0;
}

/* The chain of the issuer /idp; MORE is the YAML of its `distributed`, BASE standing for the server. */
static struct authn_chain *chain(const char *claim, const char *more)
{
	struct buf b;
	struct yaml_node *node;
	struct diags d = {0};
	struct err e = {0};
	struct authn_config *cfg = ARENA_NEW(&fx.arena, struct authn_config);
	struct authn_chain *c = NULL;
	buf_init(&b, 1 << 16);
	buf_printf(&b, "audiences: [k]\njwt:\n- issuer:\n    url: %s/idp\n    audiences: [my-client]\n"
		       "    certificateAuthority: \"", fx.base);
	for (const char *p = fx.ca.cert; *p; p++)
		buf_adds(&b, *p == '\n' ? "\\n" : (char[]){*p, '\0'});
	buf_printf(&b, "\"\n  claimMappings:\n    username: {claim: username, prefix: \"\"}\n"
		       "    groups:\n      claim: %s\n      prefix: \"g:\"\n", claim);
	for (const char *p = more; *p; p++) {
		if (strncmp(p, "BASE", 4) != 0) {
			buf_addc(&b, *p);
			continue;
		}
		buf_adds(&b, fx.base);
		p += 3;
	}
	struct slice text = slice_dup(&fx.arena, buf_view(&b));
	buf_done(&b);
	if (yamlx_parse(&fx.arena, "t.yaml", text, &node, &d) != ERR_OK ||
	    schema_bind(&fx.arena, &authn_config_schema, "t.yaml", node, cfg, &d) != ERR_OK ||
	    authn_chain_new(cfg, fx.services, &c, &d) != ERR_OK)
		fail_msg("%s", d.items[0].text);
	diags_done(&d);
	assert_int_equal(authn_services_start(fx.services, &e), ERR_OK);
	assert_true(authn_services_settle(fx.services, clock_mono() + FAR));
	return c;
}

#define LISTED "      distributed: {endpoints: [\"BASE/claims/\"]}\n"

/* A token of /idp with MORE (",\"k\":v"). */
static const char *token(const char *more)
{
	const char *payload = arena_printf(&fx.arena,
	    "{\"iss\":\"%s/idp\",\"aud\":\"my-client\",\"exp\":%lld,\"username\":\"jane\"%s}", fx.base,
	    (long long)clock_unix() + 3600, more);
	char *t = crypto_token(fx.idp, "ES256", "ki", NULL, payload);
	const char *copy = arena_strdup(&fx.arena, t);
	free(t);
	return copy;
}

/* One whose CLAIM is at URL, with ACCESS as the token for it (NULL: none). */
static const char *token_at(const char *claim, const char *url, const char *access)
{
	return token(arena_printf(&fx.arena,
	    ",\"sub\":\"s1\",\"_claim_names\":{\"%s\":\"src1\"},\"_claim_sources\":{\"src1\":{\"endpoint\":\"%s\"%s%s%s}}",
	    claim, url, access ? ",\"access_token\":\"" : "", access ? access : "", access ? "\"" : ""));
}

static const char *usual_token(void)
{
	return token_at("groups", arena_printf(&fx.arena, "%s/claims/groups", fx.base), "groups_token");
}

/* What an endpoint says: claims of ISSUER ("/idp") for AUD, SECONDS from now, and MORE, signed by KEY. */
static const char *signed_by(EVP_PKEY *key, const char *kid, const char *issuer, const char *aud, long seconds,
    const char *more)
{
	const char *payload =
	    arena_printf(&fx.arena, "{\"iss\":\"%s%s\",\"aud\":\"%s\",\"exp\":%lld%s}", fx.base, issuer, aud,
		(long long)clock_unix() + seconds, more);
	char *t = crypto_token(key, "ES256", kid, NULL, payload);
	const char *copy = arena_strdup(&fx.arena, t);
	free(t);
	return copy;
}

static void says(const char *body)
{
	set_answer((struct tls_reply){.status = 200, .body = body});
}

static const char *good_answer(void)
{
	return signed_by(fx.idp, "ki", "/idp", "my-client", 600, ",\"groups\":[\"team1\",\"team2\"]");
}

struct answer {
	struct arena arena;
	struct authn_call call;
	enum authn_step step;
	bool worked;
};

static void ask(const struct authn_chain *c, const char *token, int64_t patience, struct answer *a)
{
	memset(a, 0, sizeof(*a));
	arena_init(&a->arena, 0);
	a->call = (struct authn_call){
	    .arena = &a->arena,
	    .token = slice_of(token),
	    .now = clock_now(),
	    .deadline = clock_mono() + patience,
	};
	a->step = authn_try_now(c, &a->call);
	if (a->step == AUTHN_NEEDS_WORK) {
		a->worked = true;
		a->step = authn_work(c, &a->call);
	}
}

static void expect(const struct authn_chain *c, const char *what, const char *token, enum authn_step step,
    const char *reason)
{
	struct answer a;
	ask(c, token, FAR, &a);
	if (a.step != step || strcmp(a.call.reason, reason) != 0)
		fail_msg("%s: %d %s: %s", what, a.step, a.call.reason, a.call.why.msg);
	assert_true(step == AUTHN_ACCEPT || a.call.id.ngroups == 0);
	arena_done(&a.arena);
}

static void test_groups_come_from_the_endpoint(void **state)
{
	(void)state;
	struct authn_chain *c = chain("groups", LISTED);
	struct answer a;
	says(good_answer());
	ask(c, usual_token(), FAR, &a);
	assert_int_equal(a.step, AUTHN_ACCEPT);
	assert_true(a.worked);
	assert_true(slice_is(a.call.id.username, "jane"));
	assert_int_equal(a.call.id.ngroups, 2);
	assert_true(slice_is(a.call.id.groups[0], "g:team1"));
	/* The access token is presented, nothing of the token itself; the answer ends first, so does the
	 * identity; nobody may keep it. */
	assert_non_null(strstr(fx.request, "GET /claims/groups HTTP/1.1\r\n"));
	assert_non_null(strstr(fx.request, "Authorization: Bearer groups_token\r\n"));
	assert_true(a.call.id.expires <= clock_unix() + 600);
	assert_int_equal(a.call.keep, 0);
	assert_true(slice_is(a.call.credential.subject, "s1"));
	assert_true(slice_is(a.call.credential.kid, "ki"));
	arena_done(&a.arena);
	/* Without an access token there is no such header; a single string is one group. */
	says(signed_by(fx.idp, "ki", "/idp", "my-client", 600, ",\"groups\":\"team1\",\"sub\":\"s1\""));
	ask(c, token_at("groups", arena_printf(&fx.arena, "%s/claims/x", fx.base), NULL), FAR, &a);
	assert_int_equal(a.step, AUTHN_ACCEPT);
	assert_int_equal(a.call.id.ngroups, 1);
	assert_null(strstr(fx.request, "Authorization"));
	arena_done(&a.arena);
	authn_chain_free(&c);
	/* Another claim, and one further inside: the source is that of its first name. */
	c = chain("rabbits", LISTED);
	says(signed_by(fx.idp, "ki", "/idp", "my-client", 600, ",\"rabbits\":[\"team1\"]"));
	expect(c, "rabbits", token_at("rabbits", arena_printf(&fx.arena, "%s/claims/r", fx.base), "t"),
	    AUTHN_ACCEPT, "ok");
	authn_chain_free(&c);
	c = chain("[realm, roles]", LISTED);
	says(signed_by(fx.idp, "ki", "/idp", "my-client", 600, ",\"realm\":{\"roles\":[\"team1\"]}"));
	expect(c, "realm", token_at("realm", arena_printf(&fx.arena, "%s/claims/r", fx.base), "t"), AUTHN_ACCEPT,
	    "ok");
	authn_chain_free(&c);
}

static void test_the_normal_claim_wins_and_nobody_is_asked(void **state)
{
	(void)state;
	struct authn_chain *c = chain("groups", LISTED);
	struct answer a;
	says(good_answer());
	ask(c, token(arena_printf(&fx.arena,
		   ",\"groups\":\"team1\",\"_claim_names\":{\"groups\":\"s\"},\"_claim_sources\":{\"s\":"
		   "{\"endpoint\":\"%s/claims/groups\",\"access_token\":\"t\"}}", fx.base)), FAR, &a);
	assert_int_equal(a.step, AUTHN_ACCEPT);
	assert_false(a.worked);
	assert_int_equal(a.call.id.ngroups, 1);
	assert_int_equal(atomic_load(&fx.asked), 0);
	arena_done(&a.arena);
	authn_chain_free(&c);
}

static void test_answers_that_do_not_count(void **state)
{
	(void)state;
	struct authn_chain *c = chain("groups", LISTED);
	EVP_PKEY *stranger = crypto_ec("P-256");
#define GROUPS ",\"groups\":[\"team1\"]"
	const struct {
		const char *what, *body;
	} cases[] = {
	    {"wrong audience", signed_by(fx.idp, "ki", "/idp", "your-client", 600, GROUPS)},
	    {"expired", signed_by(fx.idp, "ki", "/idp", "my-client", -1, GROUPS)},
	    {"not yet valid", signed_by(fx.idp, "ki", "/idp", "my-client", 600, GROUPS ",\"nbf\":4000000000")},
	    {"without the claim", signed_by(fx.idp, "ki", "/idp", "my-client", 600, "")},
	    {"the claim null", signed_by(fx.idp, "ki", "/idp", "my-client", 600, ",\"groups\":null")},
	    {"the claim a number", signed_by(fx.idp, "ki", "/idp", "my-client", 600, ",\"groups\":42")},
	    {"elsewhere again", signed_by(fx.idp, "ki", "/idp", "my-client", 600,
				    ",\"_claim_names\":{\"groups\":\"s\"},\"_claim_sources\":{\"s\":{\"endpoint\":"
				    "\"https://localhost/claims/x\"}}")},
	    {"another issuer", signed_by(fx.src, "ks", "/src", "my-client", 600, GROUPS)},
	    {"its key, our name", signed_by(fx.src, "ks", "/idp", "my-client", 600, GROUPS)},
	    {"its key, our kid", signed_by(fx.src, "ki", "/idp", "my-client", 600, GROUPS)},
	    {"a stranger's key", signed_by(stranger, "ki", "/idp", "my-client", 600, GROUPS)},
	    {"about somebody else", signed_by(fx.idp, "ki", "/idp", "my-client", 600, GROUPS ",\"sub\":\"s2\"")},
	    {"about nobody", signed_by(fx.idp, "ki", "/idp", "my-client", 600, GROUPS ",\"sub\":5")},
	    {"an event", signed_by(fx.idp, "ki", "/idp", "my-client", 600, GROUPS ",\"events\":{}")},
	    {"nothing", ""},
	    {"plain JSON", "{\"groups\":[\"team1\"]}"},
	    {"a page", "<html>"},
	    {"alg none", "eyJhbGciOiJub25lIn0.eyJncm91cHMiOiJ4In0."},
	    {"garbage after", arena_printf(&fx.arena, "%s x", good_answer())},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		says(cases[i].body);
		expect(c, cases[i].what, usual_token(), AUTHN_REJECT, "distributedClaims");
	}
	assert_int_equal(atomic_load(&fx.asked), ARRAY_LEN(cases));
	says(arena_printf(&fx.arena, "%s\r\n", good_answer()));
	expect(c, "a line break at the end", usual_token(), AUTHN_ACCEPT, "ok");
	authn_chain_free(&c);
	EVP_PKEY_free(stranger);
}

static void test_answers_of_an_issuer_of_their_own(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 1 << 16);
	buf_adds(&b, "      distributed:\n        endpoints: [\"BASE/claims/groups\"]\n        issuer:\n"
		     "          url: BASE/src\n          audiences: [claims]\n          certificateAuthority: \"");
	for (const char *p = fx.ca.cert; *p; p++)
		buf_adds(&b, *p == '\n' ? "\\n" : (char[]){*p, '\0'});
	buf_adds(&b, "\"\n          signingAlgorithms: [ES256]\n");
	struct authn_chain *c = chain("groups", buf_cstr(&b));
	buf_done(&b);
	says(signed_by(fx.src, "ks", "/src", "claims", 600, GROUPS ",\"sub\":\"its own name for jane\""));
	expect(c, "its own", usual_token(), AUTHN_ACCEPT, "ok");
	says(good_answer());
	expect(c, "the token's issuer", usual_token(), AUTHN_REJECT, "distributedClaims");
	says(signed_by(fx.src, "ks", "/src", "my-client", 600, GROUPS));
	expect(c, "the token's audience", usual_token(), AUTHN_REJECT, "distributedClaims");
	authn_chain_free(&c);
}

static void test_row46_what_a_token_names_is_not_asked(void **state)
{
	(void)state;
	struct authn_chain *c = chain("groups", LISTED), *closed = chain("groups", "");
	says(good_answer());
	unsigned before = tls_server_connections(fx.server);
	const char *const urls[] = {"http://169.254.169.254/latest/meta-data/", "https://127.0.0.1:1/claims/",
	    arena_printf(&fx.arena, "%s/claims/groups", fx.trap_base), arena_printf(&fx.arena, "%s/other", fx.base),
	    arena_printf(&fx.arena, "%s/claims/../idp/jwks", fx.base),
	    arena_printf(&fx.arena, "%s/claims/%%2e%%2e/x", fx.base), arena_printf(&fx.arena, "%s/claims", fx.base),
	    arena_printf(&fx.arena, "%s@evil.example/claims/", fx.base),
	    arena_printf(&fx.arena, "http%s/claims/groups", fx.base + 5), "file:///etc/passwd", ""};
	for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
		expect(c, urls[i], token_at("groups", urls[i], "t"), AUTHN_REJECT, "distributedClaims");
		expect(closed, urls[i], token_at("groups", urls[i], "t"), AUTHN_REJECT, "distributedClaims");
	}
	expect(closed, "not configured", usual_token(), AUTHN_REJECT, "distributedClaims");
	/* Nor what an unverified token names, though it is listed. */
	char *forged = crypto_token(fx.src, "ES256", "ki", NULL,
	    arena_printf(&fx.arena,
		"{\"iss\":\"%s/idp\",\"aud\":\"my-client\",\"exp\":%lld,\"username\":\"jane\",\"_claim_names\":{"
		"\"groups\":\"s\"},\"_claim_sources\":{\"s\":{\"endpoint\":\"%s/claims/groups\"}}}",
		fx.base, (long long)clock_unix() + 60, fx.base));
	expect(c, "forged", forged, AUTHN_REJECT, "badSignature");
	free(forged);
	forged = crypto_token(fx.src, "ES256", NULL, "{\"alg\":\"ES256\"}",
	    arena_printf(&fx.arena,
		"{\"iss\":\"%s/idp\",\"aud\":\"my-client\",\"exp\":%lld,\"username\":\"jane\",\"_claim_names\":{"
		"\"groups\":\"s\"},\"_claim_sources\":{\"s\":{\"endpoint\":\"%s/claims/groups\"}}}",
		fx.base, (long long)clock_unix() + 60, fx.base));
	expect(c, "forged without a kid", forged, AUTHN_REJECT, "unknownKey");
	free(forged);
	assert_int_equal(atomic_load(&fx.asked), 0);
	assert_int_equal(atomic_load(&fx.asked), 0);
	assert_int_equal(tls_server_connections(fx.server), before);
	assert_int_equal(tls_server_connections(fx.trap), 0);
	authn_chain_free(&c);
	authn_chain_free(&closed);
}

static void test_an_endpoint_that_misbehaves(void **state)
{
	(void)state;
	struct authn_chain *c = chain("groups", LISTED);
	const char *redirect = arena_printf(&fx.arena, "Location: %s/claims/groups\r\n", fx.trap_base);
	const struct {
		const char *what;
		struct tls_reply reply;
		enum authn_step step;
		const char *reason;
	} cases[] = {
	    {"401", {.status = 401}, AUTHN_REJECT, "distributedClaims"},
	    {"403", {.status = 403}, AUTHN_REJECT, "distributedClaims"},
	    {"404", {.status = 404}, AUTHN_REJECT, "distributedClaims"},
	    {"408", {.status = 408}, AUTHN_UNAVAILABLE, "claimsUnavailable"},
	    {"429", {.status = 429}, AUTHN_UNAVAILABLE, "claimsUnavailable"},
	    {"500", {.status = 500, .body = good_answer()}, AUTHN_UNAVAILABLE, "claimsUnavailable"},
	    {"204", {.status = 204}, AUTHN_UNAVAILABLE, "claimsUnavailable"},
	    {"redirect", {.status = 302, .headers = redirect}, AUTHN_UNAVAILABLE, "claimsUnavailable"},
	    {"redirect that keeps the method", {.status = 307, .headers = redirect}, AUTHN_UNAVAILABLE,
		"claimsUnavailable"},
	    {"endless", {.status = 200, .how = TLS_ENDLESS}, AUTHN_UNAVAILABLE, "claimsUnavailable"},
	    {"cut", {.status = 200, .body = good_answer(), .how = TLS_CUT}, AUTHN_UNAVAILABLE,
		"claimsUnavailable"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		set_answer(cases[i].reply);
		expect(c, cases[i].what, usual_token(), cases[i].step, cases[i].reason);
	}
	assert_int_equal(tls_server_connections(fx.trap), 0);
	struct answer a;
	static const int silent[] = {TLS_HANG, TLS_DRIP};
	for (size_t i = 0; i < ARRAY_LEN(silent); i++) {
		set_answer((struct tls_reply){.status = 200, .how = silent[i]});
		int64_t start = clock_mono();
		ask(c, usual_token(), 300 * CLOCK_MS, &a);
		assert_int_equal(a.step, AUTHN_UNAVAILABLE);
		assert_true(a.worked && clock_mono() - start < FAR);
		assert_null(strstr(a.call.why.msg, "groups_token"));
		arena_done(&a.arena);
	}
	authn_chain_free(&c);
}

/* A token and a chain for a thread. */
struct asker {
	const struct authn_chain *chain;
	const char *token;
	enum authn_step step;
};

static void *ask_patiently(void *arg)
{
	struct asker *k = arg;
	struct answer a;
	ask(k->chain, k->token, FAR, &a);
	k->step = a.step;
	arena_done(&a.arena);
	return NULL;
}

/* They hold workers: whoever comes when all slots are taken is told so at once. */
static void test_no_more_than_a_few_wait_for_an_endpoint(void **state)
{
	(void)state;
	struct authn_chain *c = chain("groups", LISTED);
	struct asker askers[CLAIM_ASKERS_MAX];
	pthread_t threads[CLAIM_ASKERS_MAX];
	const char *t = usual_token();
	says(good_answer());
	pthread_mutex_lock(&gate);
	atomic_store(&gated, true);
	for (size_t i = 0; i < ARRAY_LEN(askers); i++) {
		askers[i] = (struct asker){c, t, AUTHN_PASS};
		assert_int_equal(pthread_create(&threads[i], NULL, ask_patiently, &askers[i]), 0);
	}
	while (atomic_load(&fx.asked) < ARRAY_LEN(askers))
		sched_yield();
	expect(c, "one more", t, AUTHN_UNAVAILABLE, "claimsUnavailable");
	pthread_mutex_unlock(&gate);
	for (size_t i = 0; i < ARRAY_LEN(askers); i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(askers[i].step, AUTHN_ACCEPT);
	}
	atomic_store(&gated, false);
	expect(c, "when the slots are free again", t, AUTHN_ACCEPT, "ok");
	authn_chain_free(&c);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_groups_come_from_the_endpoint),
	    TEST(test_the_normal_claim_wins_and_nobody_is_asked),
	    TEST(test_answers_that_do_not_count),
	    TEST(test_answers_of_an_issuer_of_their_own),
	    TEST(test_row46_what_a_token_names_is_not_asked),
	    TEST(test_an_endpoint_that_misbehaves),
	    TEST(test_no_more_than_a_few_wait_for_an_endpoint),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
