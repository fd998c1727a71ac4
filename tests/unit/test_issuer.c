/* Proves that an issuer's keys outlast its outages and our restarts, for as long as they may and no longer, and
 * that nothing but a good set takes their place: rows 37, 51 and 100 of the list of attacks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "authn/issuer_state.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/jsonx.h"
#include "common/metrics.h"
#include "tests/support/tls_server.h"

#define HOUR (3600 * CLOCK_SECOND)
#define FAR (20 * CLOCK_SECOND)

static char dir[] = "/tmp/portcullis-issuer-XXXXXX";

/* What the issuer at https://localhost:PORT/a says. */
static struct {
	struct crypto_cert ca, leaf;
	struct tls_server *server;
	EVP_PKEY *key, *other;
	char *good, *rotated, discovery[256], url[64];
	struct tls_reply jwks; /* under lock */
	pthread_mutex_t lock;
	atomic_uint asked; /* for the set */
	struct jwt_issuer_config cfg;
	struct arena arena;
	/* told by events, under lock */
	unsigned bad, well;
	char last[sizeof(((struct err *)0)->msg)];
} fx = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void handler(void *arg, const char *path, const char *request, struct tls_reply *r)
{
	(void)arg, (void)request;
	pthread_mutex_lock(&fx.lock);
	if (strcmp(path, "/a/jwks") == 0) {
		*r = fx.jwks;
		atomic_fetch_add(&fx.asked, 1);
	} else {
		r->status = 200;
		r->body = fx.discovery;
	}
	pthread_mutex_unlock(&fx.lock);
}

static void say(struct tls_reply reply)
{
	pthread_mutex_lock(&fx.lock);
	fx.jwks = reply;
	pthread_mutex_unlock(&fx.lock);
}

static const struct tls_reply down = {.status = 503};

static struct tls_reply answer(const char *jwks)
{
	return (struct tls_reply){.status = 200, .body = jwks};
}

static void on_event(void *arg, const char *issuer, const struct err *e)
{
	(void)arg;
	assert_string_equal(issuer, fx.url);
	pthread_mutex_lock(&fx.lock);
	if (e) {
		fx.bad++;
		memcpy(fx.last, e->msg, sizeof(fx.last));
	} else {
		fx.well++;
	}
	pthread_mutex_unlock(&fx.lock);
}

static bool was_told(const char *part)
{
	pthread_mutex_lock(&fx.lock);
	bool said = strstr(fx.last, part) != NULL;
	pthread_mutex_unlock(&fx.lock);
	return said;
}

static char *one_key_set(EVP_PKEY *key, const char *kid)
{
	char *jwk = crypto_jwk(key, kid, NULL);
	char *set = crypto_jwks((const char *const[]){jwk}, 1);
	free(jwk);
	return set;
}

static int set_up(void **state)
{
	(void)state;
	jsonx_init();
	arena_init(&fx.arena, 0);
	if (!mkdtemp(dir))
		return -1;
	fx.ca = crypto_cert(NULL, "test CA", NULL, 10);
	fx.leaf = crypto_cert(&fx.ca, "idp", "DNS:localhost", 10);
	fx.key = crypto_ec("P-256");
	fx.other = crypto_ec("P-256");
	fx.good = one_key_set(fx.key, "k1");
	fx.rotated = one_key_set(fx.other, "k2");
	const struct tls_options opt = {.cert = &fx.leaf};
	fx.server = tls_server_start(&opt, handler, NULL);
	snprintf(fx.url, sizeof(fx.url), "https://localhost:%u/a", tls_server_port(fx.server));
	snprintf(fx.discovery, sizeof(fx.discovery), "{\"issuer\":\"%s\",\"jwks_uri\":\"%s/jwks\"}", fx.url,
	    fx.url);
	fx.cfg = (struct jwt_issuer_config){.url = fx.url, .certificate_authority = fx.ca.cert};
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	tls_server_stop(&fx.server);
	EVP_PKEY_free(fx.key);
	EVP_PKEY_free(fx.other);
	free(fx.good);
	free(fx.rotated);
	crypto_cert_free(&fx.ca);
	crypto_cert_free(&fx.leaf);
	arena_done(&fx.arena);
	return rmdir(dir);
}

/* --- one process's life --- */

struct life {
	struct issuers *all;
	struct issuer *i;
};

static struct life live_with(const struct issuers_options *opt)
{
	struct life l = {.all = issuers_new(opt)};
	struct err e = {0};
	pthread_mutex_lock(&fx.lock);
	fx.bad = fx.well = 0;
	fx.last[0] = '\0';
	pthread_mutex_unlock(&fx.lock);
	assert_int_equal(issuer_acquire(l.all, &fx.cfg, &l.i, &e), ERR_OK);
	return l;
}

static struct life live(void)
{
	return live_with(&(struct issuers_options){.waiters = 2, .state_dir = dir, .event = on_event});
}

/* And its first fetch is over. */
static struct life settled(void)
{
	struct err e = {0};
	struct life l = live();
	assert_int_equal(issuers_start(l.all, &e), ERR_OK);
	issuers_settle(l.all, clock_mono() + FAR);
	return l;
}

static void die(struct life *l)
{
	issuer_release(&l->i);
	issuers_free(&l->all);
}

/* True when a token of KEY under KID verifies with the keys that are there. */
static bool verifies(const struct life *l, EVP_PKEY *key, const char *kid)
{
	AUTO(keyset_unref) struct keyset *set = issuer_keys(l->i);
	AUTO(arena_done) struct arena a = {0};
	struct jose_token t;
	struct err e = {0};
	char *text = crypto_token(key, "ES256", kid, NULL, "{\"sub\":\"jane\"}");
	assert_int_equal(jose_parse(&a, slice_of(text), &t, &e), ERR_OK);
	bool ok = set && keyset_verify(set, &t, JOSE_ALGS_ALL, NULL, &e) == KEYSET_VERIFIED;
	free(text);
	return ok;
}

/* What a token with an unknown key, issued AGE seconds ago, comes to without waiting. */
static enum issuer_advice ask(const struct life *l, int64_t age)
{
	AUTO(keyset_unref) struct keyset *seen = issuer_keys(l->i);
	int64_t now = clock_mono();
	const struct issuer_question q = {
	    .arrived = now, .deadline = now + CLOCK_SECOND, .issued = clock_unix() - age, .seen = seen};
	return issuer_ask(l->i, &q);
}

static double value(const char *name, const char *result, bool gauge)
{
	AUTO(buf_done) struct buf b;
	buf_init(&b, 1024);
	metrics_label(&b, "issuer", slice_of(fx.url));
	if (result)
		metrics_label(&b, "result", slice_of(result));
	return metric_value(gauge ? metrics_gauge(name, "", buf_cstr(&b))
				  : metrics_counter(name, "", buf_cstr(&b)));
}

static double failures(void)
{
	return value("portcullis_jwks_fetch_total", "error", false);
}

static double successes(void)
{
	return value("portcullis_jwks_fetch_total", "ok", false);
}

/* Looks again and again, since threads tell of what they did through state alone. */
#define WAIT_FOR(cond)                                                                             \
	do {                                                                                       \
		struct timespec start_, now_, pause_ = {0, 1000000};                               \
		clock_gettime(CLOCK_MONOTONIC, &start_);                                           \
		while (!(cond)) {                                                                  \
			clock_gettime(CLOCK_MONOTONIC, &now_);                                     \
			if (now_.tv_sec - start_.tv_sec > 30)                                      \
				fail_msg("in vain: %s", #cond);                                    \
			nanosleep(&pause_, NULL);                                                  \
		}                                                                                  \
	} while (0)

/* Time passes, and a fetch that it made due fails or succeeds. */
static void pass(const struct life *l, int64_t ns, bool ok)
{
	double before = ok ? successes() : failures();
	clock_advance(ns);
	issuers_poke(l->all);
	WAIT_FOR((ok ? successes() : failures()) > before);
}

static const char *status(const struct life *l)
{
	struct buf b;
	buf_init(&b, 4096);
	issuers_status(l->all, &b);
	const char *text = arena_strdup(&fx.arena, buf_cstr(&b));
	buf_done(&b);
	return text;
}

static struct keyfile_source source(void)
{
	return (struct keyfile_source){slice_of(fx.url),
	    slice_of(arena_printf(&fx.arena, "%s/.well-known/openid-configuration", fx.url)),
	    slice_of(fx.ca.cert)};
}

static const char *kept(void)
{
	const struct keyfile_source src = source();
	return keyfile_path(&fx.arena, dir, &src);
}

/* When the set `good` that is kept was fetched; 0: that is not what is kept. */
static int64_t kept_time(void)
{
	const struct keyfile_source src = source();
	struct keyfile k = {0};
	struct err e = {0};
	bool good = keyfile_load(&fx.arena, kept(), &src, clock_unix(), &k, &e) == ERR_OK &&
		    slice_is(k.jwks, fx.good);
	return good ? k.fetched : 0;
}

/* --- the tests --- */

static void test_an_hour_of_outage_with_a_restart_in_it(void **state)
{
	(void)state;
	say(answer(fx.good));
	struct life l = settled();
	assert_true(verifies(&l, fx.key, "k1"));
	WAIT_FOR(kept_time() > 0);
	struct stat st;
	assert_int_equal(stat(kept(), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	say(down);
	for (int i = 0; i < 3; i++) {
		pass(&l, HOUR / 6, false);
		assert_true(verifies(&l, fx.key, "k1"));
		assert_false(verifies(&l, fx.other, "k1"));
		assert_int_equal(ask(&l, 60), ISSUER_GONE);
	}
	die(&l);
	clock_advance(HOUR / 12);
	/* Before and after the first fetch, which fails. */
	l = live();
	assert_true(verifies(&l, fx.key, "k1"));
	assert_int_equal(issuers_generation(l.all), 1);
	die(&l);
	l = settled();
	for (int i = 0; i < 5; i++) {
		assert_true(verifies(&l, fx.key, "k1"));
		assert_false(verifies(&l, fx.other, "k2"));
		assert_int_equal(ask(&l, 60), ISSUER_GONE);
		pass(&l, HOUR / 12, false);
	}
	assert_non_null(strstr(status(&l), ": 1 keys, read 1h0m ago; last fetch failed: "));
	assert_int_equal(status(&l)[0], '-');
	issuers_measure(l.all);
	assert_in_range((long)value("portcullis_jwks_age_seconds", NULL, true), 3600, 3700);
	/* The same keys again are no change; other ones are. */
	assert_int_equal(issuers_generation(l.all), 1);
	say(answer(fx.good));
	pass(&l, HOUR / 12, true);
	assert_int_equal(issuers_generation(l.all), 1);
	say(answer(fx.rotated));
	pass(&l, HOUR, true);
	assert_int_equal(issuers_generation(l.all), 2);
	assert_true(verifies(&l, fx.other, "k2"));
	assert_false(verifies(&l, fx.key, "k1"));
	die(&l);
	unlink(kept());
}

static void test_keys_serve_for_a_day_and_not_longer(void **state)
{
	(void)state;
	say(answer(fx.good));
	struct life l = settled();
	WAIT_FOR(kept_time() > 0);
	say(down);
	pass(&l, 17 * HOUR, false);
	assert_false(was_told("old"));
	pass(&l, HOUR + CLOCK_SECOND, false);
	WAIT_FOR(was_told("its key set is 18h0m old and serves up to 24h0m; last fetch: "));
	assert_true(verifies(&l, fx.key, "k1"));
	assert_non_null(strstr(status(&l), "1 keys, read 18h0m ago, serve up to 24h0m; last fetch failed: "));
	die(&l);
	/* The restart does not make them younger. */
	l = settled();
	WAIT_FOR(was_told("its key set is 18h"));
	pass(&l, 6 * HOUR - 60 * CLOCK_SECOND, false);
	assert_true(verifies(&l, fx.key, "k1"));
	assert_int_equal(issuers_generation(l.all), 1);
	pass(&l, 61 * CLOCK_SECOND, false);
	assert_false(verifies(&l, fx.key, "k1"));
	assert_null(issuer_keys(l.i));
	assert_int_equal(ask(&l, 60), ISSUER_GONE);
	WAIT_FOR(was_told("serves no more"));
	assert_int_equal(issuers_generation(l.all), 2);
	assert_non_null(strstr(status(&l), "no keys: the last ones grew too old; last fetch failed: "));
	issuers_measure(l.all);
	assert_int_equal((long)value("portcullis_jwks_keys", NULL, true), 0);
	die(&l);
	l = settled();
	assert_null(issuer_keys(l.i));
	assert_int_equal(ask(&l, 60), ISSUER_GONE);
	say(answer(fx.good));
	pass(&l, 60 * CLOCK_SECOND, true);
	assert_true(verifies(&l, fx.key, "k1"));
	die(&l);
	unlink(kept());
}

static void test_the_time_can_be_configured(void **state)
{
	(void)state;
	say(answer(fx.good));
	struct life l = settled();
	say(down);
	pass(&l, 2 * HOUR, false);
	issuers_set_max_age(l.all, HOUR);
	assert_true(verifies(&l, fx.key, "k1")); /* said, not in force yet */
	issuers_apply_max_age(l.all);
	assert_false(verifies(&l, fx.key, "k1"));
	die(&l);
	l = live();
	issuers_set_max_age(l.all, 30 * HOUR);
	issuers_apply_max_age(l.all);
	clock_advance(26 * HOUR);
	assert_true(verifies(&l, fx.key, "k1"));
	die(&l);
	unlink(kept());
}

static void put(const char *text, size_t n, mode_t mode)
{
	struct err e = {0};
	assert_int_equal(file_write_atomic(kept(), text, n, mode, &e), ERR_OK);
}

/* A new process does not use what lies there, and says so. */
static void assert_not_used(const char *why)
{
	struct life l = live();
	assert_null(issuer_keys(l.i));
	assert_int_equal(issuers_generation(l.all), 0);
	assert_int_equal(fx.bad, 1);
	if (!was_told("the key set kept on disk is not used: ") || !was_told(why))
		fail_msg("%s instead of %s", fx.last, why);
	die(&l);
}

static void test_a_copy_that_is_not_right_is_never_used(void **state)
{
	(void)state;
	const struct keyfile_source src = source();
	struct keyfile_source other = src;
	struct keyfile k = {slice_of(fx.good), clock_unix()}, got;
	struct err e = {0};
	struct buf b;
	buf_init(&b, KEYFILE_BYTES_MAX);
	keyfile_format(&k, &src, &b);
	assert_int_equal(keyfile_parse(buf_view(&b), &src, &got, &e), ERR_OK);
	assert_true(slice_eq(got.jwks, k.jwks));
	assert_int_equal(got.fetched, k.fetched);
	/* Any byte changed, any end cut off, anything added. */
	for (size_t i = 0; i < b.len; i++) {
		b.p[i] ^= 1;
		assert_int_not_equal(keyfile_parse(buf_view(&b), &src, &got, &e), ERR_OK);
		b.p[i] ^= 1;
		assert_int_not_equal(keyfile_parse((struct slice){b.p, i}, &src, &got, &e), ERR_OK);
	}
	b.p[b.len / 2] ^= 1;
	put(b.p, b.len, 0600);
	assert_not_used("damaged");
	b.p[b.len / 2] ^= 1;
	put(b.p, b.len - 1, 0600);
	assert_not_used("damaged");
	buf_addc(&b, '\n');
	put(b.p, b.len, 0600);
	assert_not_used("damaged");
	b.len--;
	put(b.p, b.len, 0660);
	assert_not_used("others may write it");
	/* Where everybody may put a file, its mode says nothing. */
	if (geteuid() == 0) {
		put(b.p, b.len, 0644);
		assert_int_equal(chown(kept(), 4711, (gid_t)-1), 0);
		assert_not_used("belongs to user 4711");
		assert_int_equal(chown(dir, 4711, (gid_t)-1), 0);
		struct life l = live();
		struct keyset *set = issuer_keys(l.i);
		assert_non_null(set);
		keyset_unref(&set);
		die(&l);
		assert_int_equal(chown(dir, 0, (gid_t)-1), 0);
	}
	put("", 0, 0600);
	assert_not_used("damaged");
	/* Of another issuer, or fetched from elsewhere. */
	other.ca_pem = SLICE("another CA");
	b.len = 0;
	keyfile_format(&k, &other, &b);
	put(b.p, b.len, 0600);
	assert_not_used("belongs to another");
	k.fetched = clock_unix() + 60;
	b.len = 0;
	keyfile_format(&k, &src, &b);
	put(b.p, b.len, 0600);
	assert_not_used("dated after the present");
	k = (struct keyfile){SLICE("{\"keys\":[]}"), clock_unix()};
	b.len = 0;
	keyfile_format(&k, &src, &b);
	put(b.p, b.len, 0600);
	assert_not_used("no usable key");
	buf_done(&b);
	/* The next good set takes its place. */
	say(answer(fx.good));
	struct life l = settled();
	WAIT_FOR(kept_time() > 0);
	die(&l);
	unlink(kept());
}

static void test_the_copy_keeps_its_date_up_and_is_left_alone_when_read_only(void **state)
{
	(void)state;
	say(answer(fx.good));
	struct life l = settled();
	WAIT_FOR(kept_time() > 0);
	int64_t first = kept_time();
	pass(&l, HOUR / 4, true);
	WAIT_FOR(kept_time() > first + 800);
	die(&l);
	first = kept_time();
	l = live_with(&(struct issuers_options){.waiters = 2, .state_dir = dir, .read_only = true});
	struct err e = {0};
	assert_true(verifies(&l, fx.key, "k1"));
	assert_int_equal(issuers_start(l.all, &e), ERR_OK);
	pass(&l, HOUR, true);
	die(&l);
	assert_int_equal(kept_time(), first);
	/* Where nothing can be written that is told once, and the keys serve. */
	unlink(kept());
	assert_int_equal(mkdir(kept(), 0700), 0);
	l = settled();
	WAIT_FOR(was_told("its key set cannot be kept on disk"));
	unsigned told = fx.bad;
	pass(&l, HOUR, true);
	pass(&l, HOUR, true);
	assert_true(verifies(&l, fx.key, "k1"));
	die(&l);
	assert_int_equal(fx.bad, told);
	rmdir(kept());
}

static void test_row51_no_bad_answer_takes_the_place_of_a_good_set(void **state)
{
	(void)state;
	static const struct tls_reply bad[] = {
	    {.status = 404, .body = "not here"},
	    {.status = 200, .body = "<html>please log in</html>"},
	    {.status = 302, .headers = "Location: http://localhost/jwks\r\n"},
	    {.status = 200, .headers = "Content-Encoding: gzip\r\n", .body = "\x1f\x8b\x08 bomb"},
	    {.status = 200, .headers = "Content-Length: 104857600\r\n", .how = TLS_ENDLESS},
	    {.status = 200, .how = TLS_ENDLESS},
	    {.status = 200, .how = TLS_CUT, .body = "{\"keys\":["},
	    {.status = 200, .body = ""},
	    {.status = 200, .body = "{\"keys\":[]}"},
	    {.status = 200, .body = "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}"},
	    {.status = 200, .body = "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQ\",\"e\":\"AQAB\"}]}"},
	    {.status = 204},
	};
	say(answer(fx.good));
	struct life l = settled();
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		say(bad[i]);
		pass(&l, HOUR / 6, false);
		assert_true(verifies(&l, fx.key, "k1"));
	}
	/* One that never ends is under way: nobody waits for it. */
	unsigned asked = atomic_load(&fx.asked);
	say((struct tls_reply){.status = 200, .how = TLS_DRIP});
	clock_advance(HOUR / 6);
	issuers_poke(l.all);
	WAIT_FOR(atomic_load(&fx.asked) > asked);
	assert_true(verifies(&l, fx.key, "k1"));
	assert_int_equal(ask(&l, 60), ISSUER_GONE);
	assert_int_equal(issuers_generation(l.all), 1);
	die(&l);
	assert_true(kept_time() > 0);
	unlink(kept());
}

static void test_row100_a_stepped_clock_changes_no_age(void **state)
{
	(void)state;
	static const int64_t steps[] = {3600, -3600, -3600, 3600, 1, -1, 48 * 3600, -48 * 3600};
	say(answer(fx.good));
	struct life l = settled();
	/* The window is open: an unknown key may ask once. Afterwards it may not, for ten seconds. */
	int64_t now = clock_mono();
	const struct issuer_question q = {.arrived = now, .deadline = now + FAR, .issued = clock_unix(),
	    .seen = l.i->keys};
	assert_int_equal(ask(&l, 60), ISSUER_WAIT);
	assert_int_not_equal(issuer_wait_keys(l.i, &q), ISSUER_GONE);
	double fetches = successes();
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		clock_step_wall(steps[i] * CLOCK_SECOND);
		issuers_poke(l.all);
		assert_true(verifies(&l, fx.key, "k1"));
		assert_non_null(strstr(status(&l), "1 keys, read 0s ago"));
		/* Older than the set: refused. As young as it: undecided, by whatever clock both are now. */
		assert_int_equal(ask(&l, 60), ISSUER_UNKNOWN_KEY);
		assert_int_equal(ask(&l, 0), ISSUER_GONE);
	}
	assert_int_equal((long)(successes() - fetches), 0);
	die(&l);
	unlink(kept());
}

static void test_row100_the_issuers_clock_is_measured(void **state)
{
	(void)state;
	char date[64], headers[128];
	time_t ahead = time(NULL) + (time_t)(clock_unix() - time(NULL)) + 7200;
	struct tm tm;
	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&ahead, &tm));
	snprintf(headers, sizeof(headers), "Date: %s\r\nAge: 600\r\nCache-Control: max-age=610\r\n", date);
	say((struct tls_reply){.status = 200, .headers = headers, .body = fx.good});
	struct life l = settled();
	assert_in_range((long)value("portcullis_jwks_clock_skew_seconds", NULL, true), 7200 + 600 - 30,
	    7200 + 600 + 30);
	/* Ten seconds of freshness are left, a minute is the least we leave between two fetches. */
	pthread_mutex_lock(&l.i->lock);
	int64_t wait = l.i->next_fetch - clock_mono();
	pthread_mutex_unlock(&l.i->lock);
	assert_true(wait <= ISSUER_REFRESH_MIN_S * CLOCK_SECOND);
	assert_true(wait >= (ISSUER_REFRESH_MIN_S * 9 / 10 - 30) * CLOCK_SECOND);
	die(&l);
	unlink(kept());
}

static void test_replicas_do_not_fetch_in_step(void **state)
{
	(void)state;
	int64_t least = INT64_MAX, most = 0;
	say(answer(fx.good));
	struct life l = settled();
	for (int n = 0; n < 16; n++) {
		pass(&l, ISSUER_REFRESH_MAX_S * CLOCK_SECOND, true);
		pthread_mutex_lock(&l.i->lock);
		int64_t span = l.i->next_fetch - l.i->started;
		pthread_mutex_unlock(&l.i->lock);
		least = span < least ? span : least;
		most = span > most ? span : most;
	}
	assert_true(least >= ISSUER_REFRESH_MAX_S * CLOCK_SECOND * 9 / 10);
	assert_true(most <= (ISSUER_REFRESH_MAX_S + 30) * CLOCK_SECOND);
	/* Sixteen draws from a minute all within a second: one chance in 10^26. */
	assert_true(most - least > CLOCK_SECOND);
	die(&l);
	unlink(kept());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_an_hour_of_outage_with_a_restart_in_it),
	    cmocka_unit_test(test_keys_serve_for_a_day_and_not_longer),
	    cmocka_unit_test(test_the_time_can_be_configured),
	    cmocka_unit_test(test_a_copy_that_is_not_right_is_never_used),
	    cmocka_unit_test(test_the_copy_keeps_its_date_up_and_is_left_alone_when_read_only),
	    cmocka_unit_test(test_row51_no_bad_answer_takes_the_place_of_a_good_set),
	    cmocka_unit_test(test_row100_a_stepped_clock_changes_no_age),
	    cmocka_unit_test(test_row100_the_issuers_clock_is_measured),
	    cmocka_unit_test(test_replicas_do_not_fetch_in_step),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
