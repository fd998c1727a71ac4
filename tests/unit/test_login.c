/* Proves the verdicts on our own tokens, and logins, without a directory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "authn/login.h"
#include "authn/login_state.h"
#include "common/clock.h"
#include "common/jsonx.h"
#include "tests/support/tree.h"

#define AUDIENCE "https://kubernetes.default.svc"
#define ISSUER "https://login.example.com"

/* --- the chain with a login; the directory does not listen --- */

struct world {
	char dir[40];
	struct ldap_config ldap;
	struct login_config login;
	struct authn_config cfg;
	struct authn_services *services;
	struct authn_chain *chain;
	struct mint *mint; /* the same keys, opened apart */
	struct arena arena;
};

static const char *const audiences[] = {AUDIENCE};
static const char *const urls[] = {"ldapi://%2Fnonexistent%2Fldapi"};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	memcpy(w->dir, "/tmp/test-login-XXXXXX", sizeof("/tmp/test-login-XXXXXX"));
	assert_non_null(mkdtemp(w->dir));
	w->ldap = (struct ldap_config){.name = "corp",
	    .urls = {urls, 1},
	    .username_prefix = "corp:",
	    .timeout = CLOCK_SECOND,
	    .cache_ttl = 30 * CLOCK_SECOND,
	    .user_search = {.base_dn = "ou=p", .filter = "(a=b)", .username = "uid"}};
	w->login = (struct login_config){
	    .present = true, .issuer = ISSUER, .token_lifetime = 900 * CLOCK_SECOND};
	w->cfg = (struct authn_config){
	    .audiences = {audiences, 1}, .ldap = {&w->ldap, 1}, .login = &w->login};
	struct authn_services_options opt = {.state_dir = w->dir, .workers = 1};
	AUTO(diags_done) struct diags d = {0};
	assert_int_equal(authn_services_new(&opt, &w->services, NULL), ERR_OK);
	assert_int_equal(authn_chain_new(&w->cfg, w->services, &w->chain, &d), ERR_OK);
	assert_int_equal(mint_open(w->dir, &w->mint, NULL), ERR_OK);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	authn_chain_free(&w->chain);
	authn_services_free(&w->services);
	mint_free(&w->mint);
	arena_done(&w->arena);
	remove_tree(w->dir);
	free(w);
	return 0;
}

static struct mint_claims claims(const struct slice *aud)
{
	int64_t now = clock_unix();
	return (struct mint_claims){
	    .issuer = SLICE(ISSUER),
	    .subject = SLICE("corp:jane"),
	    .username = SLICE("corp:jane"),
	    .directory = SLICE("corp"),
	    .account = SLICE("jane"),
	    .audiences = aud,
	    .naudiences = 1,
	    .issued = now,
	    .expires = now + 900,
	};
}

static struct authn_call review(struct world *w, struct slice token)
{
	return (struct authn_call){.arena = &w->arena,
	    .token = token,
	    .now = clock_now(),
	    .deadline = clock_mono() + 5 * CLOCK_SECOND};
}

static struct slice signed_by(struct world *w, struct mint *m, const struct mint_claims *c)
{
	struct slice token;
	assert_int_equal(mint_sign(m, c, &w->arena, &token, NULL), ERR_OK);
	return token;
}

static const struct slice ours[] = {SLICE(AUDIENCE)}, foreign[] = {SLICE("other")};

static void test_token_needs_its_account_and_an_outage_is_no_refusal(void **state)
{
	struct world *w = *state;
	struct mint_claims m = claims(ours);
	struct authn_call c = review(w, signed_by(w, w->mint, &m));
	assert_int_equal(authn_try_now(w->chain, &c), AUTHN_NEEDS_WORK);
	assert_int_equal(authn_work(w->chain, &c), AUTHN_UNAVAILABLE);
	assert_string_equal(c.reason, "directoryDown");
	assert_int_equal(c.id.username.len, 0);
}

static void cache_jane(struct world *w, const struct identity *id)
{
	struct slice key = directories_cache_key(&w->arena, SLICE("corp"), SLICE("jane"), SLICE(""));
	account_cache_put(
	    w->chain->directories->cache, key, id, clock_mono(), clock_mono() + 30 * CLOCK_SECOND);
}

static void test_known_account_is_accepted_until_the_cache_forgets(void **state)
{
	struct world *w = *state;
	const struct slice groups[] = {SLICE("corp:dev"), SLICE("system:masters")};
	struct identity id = {.username = SLICE("corp:jane"),
	    .groups = groups,
	    .ngroups = 2,
	    .provider = SLICE("ldap:corp")};
	struct mint_claims m = claims(ours);
	struct slice token = signed_by(w, w->mint, &m);
	cache_jane(w, &id);
	struct authn_call c = review(w, token);
	assert_int_equal(authn_try_now(w->chain, &c), AUTHN_ACCEPT);
	assert_true(slice_is(c.id.username, "corp:jane"));
	assert_int_equal(c.id.ngroups, 1); /* the reserved one is dropped */
	assert_true(slice_is(c.id.issuer, ISSUER));
	assert_int_equal(c.id.expires, m.expires);
	clock_advance(31 * CLOCK_SECOND);
	c = review(w, token);
	assert_int_equal(authn_try_now(w->chain, &c), AUTHN_NEEDS_WORK);
}

static void test_reserved_name_from_a_directory_is_refused(void **state)
{
	struct world *w = *state;
	struct identity id = {.username = SLICE("system:admin"), .provider = SLICE("ldap:corp")};
	struct mint_claims m = claims(ours);
	cache_jane(w, &id);
	struct authn_call c = review(w, signed_by(w, w->mint, &m));
	assert_int_equal(authn_try_now(w->chain, &c), AUTHN_REJECT);
	assert_int_equal(c.id.username.len, 0);
}

static void test_unfit_tokens_are_refused_without_the_directory(void **state)
{
	struct world *w = *state;
	int64_t now = clock_unix();
	struct identity id = {.username = SLICE("corp:jane"), .provider = SLICE("ldap:corp")};
	cache_jane(w, &id);
	struct {
		struct mint_claims m;
		const char *reason;
	} cases[] = {
	    {claims(ours), "expired"},
	    {claims(ours), "expired"},
	    {claims(ours), "notYetValid"},
	    {claims(ours), "badClaim"},
	    {claims(ours), "badClaim"},
	    {claims(foreign), "badAudience"},
	    {claims(ours), "unknownDirectory"},
	    {claims(ours), "badClaim"},
	    {claims(ours), "noMatch"},
	    {claims(ours), "noMatch"},
	};
	cases[0].m.issued = now - 901, cases[0].m.expires = now - 1;
	cases[1].m.issued = now - 900, cases[1].m.expires = now;
	cases[2].m.issued = now + 60, cases[2].m.expires = now + 960;
	cases[3].m.expires = now + 7200;
	cases[4].m.naudiences = 0;
	cases[6].m.directory = SLICE("other");
	cases[7].m.account = SLICE("");
	cases[8].m.issuer = SLICE(ISSUER "/");
	cases[9].m.issuer = SLICE("");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct authn_call c = review(w, signed_by(w, w->mint, &cases[i].m));
		if (authn_try_now(w->chain, &c) != AUTHN_REJECT ||
		    strcmp(c.reason, cases[i].reason) != 0)
			fail_msg("case %zu: %s", i, c.reason);
		assert_int_equal(c.id.username.len, 0);
	}
	AUTO(mint_free) struct mint *other = NULL;
	assert_int_equal(mint_open(NULL, &other, NULL), ERR_OK);
	struct mint_claims m = claims(ours);
	struct authn_call c = review(w, signed_by(w, other, &m));
	assert_int_equal(authn_try_now(w->chain, &c), AUTHN_REJECT);
	assert_string_equal(c.reason, "badSignature");
	/* Unsigned, in our name. */
	c = review(
	    w, slice_of("eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2xvZ2luLmV4YW1wbGUuY29tIn0."));
	assert_int_equal(authn_try_now(w->chain, &c), AUTHN_REJECT);
}

static struct login_call login_of(struct world *w, const char *body)
{
	return (struct login_call){.arena = &w->arena,
	    .body = slice_of(body),
	    .now = clock_now(),
	    .deadline = clock_mono() + 5 * CLOCK_SECOND};
}

static void test_login_answers_without_a_directory(void **state)
{
	struct world *w = *state;
	static const struct {
		const char *body;
		enum login_result result;
		const char *reason;
	} cases[] = {
	    {"{\"username\":\"jane\",\"password\":\"\"}", LOGIN_REFUSED, "emptyPassword"},
	    {"{\"username\":\"\",\"password\":\"p\"}", LOGIN_REFUSED, "badName"},
	    {"{\"username\":\"  \",\"password\":\"p\"}", LOGIN_REFUSED, "badName"},
	    {"{\"username\":\"a\\nb\",\"password\":\"p\"}", LOGIN_REFUSED, "badName"},
	    {"{\"username\":\"jane\",\"password\":\"p\",\"directory\":\"x\"}", LOGIN_REFUSED,
		"unknownDirectory"},
	    {"{}", LOGIN_BAD_REQUEST, "badRequest"},
	    {"{\"username\":\"jane\",\"password\":\"p\"}", LOGIN_UNAVAILABLE, "directoryDown"},
	    {"{\"username\":\"jane\",\"password\":\"p\",\"directory\":\"corp\"}", LOGIN_UNAVAILABLE,
		"directoryDown"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct login_call c = login_of(w, cases[i].body);
		assert_int_equal(authn_login(w->chain, &c), cases[i].result);
		assert_string_equal(c.reason, cases[i].reason);
		assert_int_equal(c.token.len, 0);
		assert_int_equal(c.id.username.len, 0);
	}
}

static void test_outages_cost_nobody_their_tries_but_failures_do(void **state)
{
	struct world *w = *state;
	for (int i = 0; i < 50; i++) {
		struct login_call c = login_of(w, "{\"username\":\"jane\",\"password\":\"p\"}");
		assert_int_equal(authn_login(w->chain, &c), LOGIN_UNAVAILABLE);
	}
	/* Five failures, in whatever spelling; then even the right directory is not asked. */
	static const char *const spellings[] = {"jane", "JANE", " jane", "Jane  ", "janE"};
	for (size_t i = 0; i < 5; i++) {
		struct login_call c =
		    login_of(w, arena_printf(&w->arena,
				    "{\"username\":\"%s\",\"password\":\"p\",\"directory\":\"x\"}",
				    spellings[i]));
		assert_int_equal(authn_login(w->chain, &c), LOGIN_REFUSED);
	}
	struct login_call c = login_of(w, "{\"username\":\"jane\",\"password\":\"p\"}");
	assert_int_equal(authn_login(w->chain, &c), LOGIN_LIMITED);
	assert_in_range(c.retry_after, 1, 30);
	/* A reload makes a new chain, not a clean slate. */
	AUTO(diags_done) struct diags d = {0};
	struct authn_chain *again = NULL;
	assert_int_equal(authn_chain_new(&w->cfg, w->services, &again, &d), ERR_OK);
	c = login_of(w, "{\"username\":\"jane\",\"password\":\"p\"}");
	assert_int_equal(authn_login(again, &c), LOGIN_LIMITED);
	authn_chain_free(&again);
	c = login_of(w, "{\"username\":\"bob\",\"password\":\"p\"}");
	assert_int_equal(authn_login(w->chain, &c), LOGIN_UNAVAILABLE);
	clock_advance(31 * CLOCK_SECOND);
	c = login_of(w, "{\"username\":\"jane\",\"password\":\"p\"}");
	assert_int_equal(authn_login(w->chain, &c), LOGIN_UNAVAILABLE);
}

/* --- a directory that knows jane and says nothing to binds --- */

#define CONNECTIONS_MAX 32

struct mute {
	char path[108], url[160];
	struct pollfd
	    fds[CONNECTIONS_MAX + 2]; /* the listener, the pipe that ends it, connections */
	nfds_t n;
	int stop;
	size_t binds;
	pthread_t thread;
};

/* RFC 4511: an entry uid=jane and the end of the search, for the message N. */
static void answer_search(int fd, char n)
{
	char text[] = "\x30\x20\x02\x01?\x64\x1b\x04\x08uid=jane\x30\x0f\x30\x0d\x04\x03uid"
		      "\x31\x06\x04\x04jane"
		      "\x30\x0c\x02\x01?\x65\x07\x0a\x01\x00\x04\x00\x04\x00";
	text[4] = text[sizeof(text) - 1 - 10] = n;
	if (write(fd, text, sizeof(text) - 1) != sizeof(text) - 1)
		abort();
}

/* A message is short and comes as one piece: libldap writes it at once. */
static bool serve(struct mute *m, int fd)
{
	unsigned char in[1024];
	ssize_t n = read(fd, in, sizeof(in));
	if (n < 8)
		return false;
	size_t at = in[1] & 0x80 ? 2 + (in[1] & 0x7F) : 2;
	if (in[at + 3] == 0x63)
		answer_search(fd, (char)in[at + 2]);
	/* Those as jane; one as nobody makes the refusals take as long. */
	m->binds += in[at + 3] == 0x60 && n > 18 && memcmp(&in[at + 10], "uid=jane", 8) == 0;
	return in[at + 3] != 0x42;
}

static void *mute_run(void *arg)
{
	struct mute *m = arg;
	while (poll(m->fds, m->n, -1) > 0 && !m->fds[1].revents) {
		for (nfds_t i = 2; i < m->n; i++) {
			if (m->fds[i].revents && !serve(m, m->fds[i].fd)) {
				close(m->fds[i].fd);
				m->fds[i].fd = -1;
			}
		}
		if (m->fds[0].revents && m->n < ARRAY_LEN(m->fds))
			m->fds[m->n++] = (struct pollfd){
			    .fd = accept(m->fds[0].fd, NULL, NULL), .events = POLLIN};
	}
	return NULL;
}

static void mute_start(struct mute *m, const char *dir)
{
	int ends[2], fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	*m = (struct mute){0};
	snprintf(m->path, sizeof(m->path), "%s/ldapi", dir);
	memcpy(addr.sun_path, m->path, sizeof(m->path));
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, CONNECTIONS_MAX), 0);
	assert_int_equal(pipe(ends), 0);
	AUTO(buf_done) struct buf url;
	buf_init(&url, sizeof(m->url) - 1);
	buf_adds(&url, "ldapi://");
	for (const char *p = m->path; *p; p++) {
		if (*p == '/')
			buf_adds(&url, "%2F");
		else
			buf_addc(&url, *p);
	}
	memcpy(m->url, url.p, url.len);
	m->fds[0] = (struct pollfd){.fd = fd, .events = POLLIN};
	m->fds[1] = (struct pollfd){.fd = ends[0], .events = POLLIN};
	m->n = 2;
	m->stop = ends[1];
	assert_int_equal(pthread_create(&m->thread, NULL, mute_run, m), 0);
}

static void mute_stop(struct mute *m)
{
	close(m->stop);
	pthread_join(m->thread, NULL);
	for (nfds_t i = 0; i < m->n; i++)
		if (m->fds[i].fd >= 0)
			close(m->fds[i].fd);
	unlink(m->path);
}

/* A directory that answers wrong passwords late and right ones at once would else be free to guess
 * at. */
static void test_a_bind_without_an_answer_counts_as_a_try(void **state)
{
	struct world *w = *state;
	static struct mute m;
	mute_start(&m, w->dir);
	const char *const url = m.url;
	w->ldap.urls = (struct string_list){&url, 1};
	w->ldap.timeout = 200 * CLOCK_MS;
	struct diags d = {0};
	authn_chain_free(&w->chain);
	assert_int_equal(authn_chain_new(&w->cfg, w->services, &w->chain, &d), ERR_OK);
	for (int i = 0; i < 6; i++) {
		struct login_call c = login_of(w, "{\"username\":\"jane\",\"password\":\"p\"}");
		assert_int_equal(
		    authn_login(w->chain, &c), i < 5 ? LOGIN_UNAVAILABLE : LOGIN_LIMITED);
		assert_string_equal(c.reason, i < 5 ? "directoryTimeout" : "limited");
	}
	/* No kept handle is to outlive its server. */
	authn_chain_free(&w->chain);
	mute_stop(&m);
	assert_int_equal(m.binds, 5);
}

static void test_documents_let_others_verify(void **state)
{
	struct world *w = *state;
	AUTO(buf_done) struct buf disc, keys;
	AUTO(jsonx_unref) json_t *d = NULL, *k = NULL;
	struct slice issuer, uri;
	buf_init(&disc, 1 << 16);
	buf_init(&keys, 1 << 16);
	authn_login_discovery(w->chain, &disc);
	authn_login_jwks(w->chain, &keys);
	assert_int_equal(jsonx_object(buf_view(&disc), 1 << 16, &d, NULL), ERR_OK);
	assert_int_equal(jsonx_string(d, "issuer", &issuer, NULL), ERR_OK);
	assert_int_equal(jsonx_string(d, "jwks_uri", &uri, NULL), ERR_OK);
	assert_true(slice_is(issuer, ISSUER) && slice_is(uri, ISSUER "/jwks"));
	/* The published key verifies what the mint signs. */
	assert_int_equal(jsonx_object(buf_view(&keys), 1 << 16, &k, NULL), ERR_OK);
	AUTO(jose_key_free) struct jose_key *key = NULL;
	assert_int_equal(
	    jose_key_import(json_array_get(json_object_get(k, "keys"), 0), &key, NULL), ERR_OK);
	struct mint_claims m = claims(ours);
	struct jose_token t;
	struct slice token = signed_by(w, w->mint, &m);
	assert_int_equal(jose_parse(&w->arena, token, &t, NULL), ERR_OK);
	assert_int_equal(jose_verify(&t, key, JOSE_BIT(JOSE_ES256), NULL), ERR_OK);
}

static void test_a_key_file_that_is_no_good_stops_the_load(void **state UNUSED)
{
	AUTO(diags_done) struct diags d = {0};
	struct ldap_config ldap = {.name = "corp", .urls = {urls, 1}, .username_prefix = ""};
	struct login_config login = {.present = true, .issuer = ISSUER};
	struct authn_config cfg = {
	    .audiences = {audiences, 1}, .ldap = {&ldap, 1}, .login = &login};
	struct authn_services_options opt = {.state_dir = "/nonexistent/state", .workers = 1};
	struct authn_services *services;
	struct authn_chain *chain = NULL;
	assert_int_equal(authn_services_new(&opt, &services, NULL), ERR_OK);
	assert_int_not_equal(authn_chain_new(&cfg, services, &chain, &d), ERR_OK);
	assert_null(chain);
	assert_non_null(strstr(d.items[0].text, "login"));
	authn_services_free(&services);
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	jsonx_init();
	const struct CMUnitTest tests[] = {
	    WITH_WORLD(test_token_needs_its_account_and_an_outage_is_no_refusal),
	    WITH_WORLD(test_known_account_is_accepted_until_the_cache_forgets),
	    WITH_WORLD(test_reserved_name_from_a_directory_is_refused),
	    WITH_WORLD(test_unfit_tokens_are_refused_without_the_directory),
	    WITH_WORLD(test_login_answers_without_a_directory),
	    WITH_WORLD(test_outages_cost_nobody_their_tries_but_failures_do),
	    WITH_WORLD(test_a_bind_without_an_answer_counts_as_a_try),
	    WITH_WORLD(test_documents_let_others_verify),
	    cmocka_unit_test(test_a_key_file_that_is_no_good_stops_the_load),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
