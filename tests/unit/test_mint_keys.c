/* Proves the succession of our issuer's signing keys: each is known before it signs and for as long as what
 * it signed can live, through crashes, other processes and edited files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "authn/limits.h"
#include "authn/mint.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/jsonx.h"

#define HOUR INT64_C(3600)
#define DAY (24 * HOUR)
#define PERIOD (30 * DAY * CLOCK_SECOND)

struct world {
	char dir[40], path[100], lock[100];
	struct mint *m;
	struct arena arena;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	memcpy(w->dir, "/tmp/test-keys-XXXXXX", sizeof("/tmp/test-keys-XXXXXX"));
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->path, sizeof(w->path), "%s/login-keys", w->dir);
	snprintf(w->lock, sizeof(w->lock), "%s/login-keys.lock", w->dir);
	assert_int_equal(mint_open(w->dir, &w->m, NULL), ERR_OK);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	mint_free(&w->m);
	unlink(w->path);
	unlink(w->lock);
	rmdir(w->dir);
	arena_done(&w->arena);
	free(w);
	return 0;
}

static struct slice sign(struct world *w, struct mint *m)
{
	static const struct slice audience = SLICE("a");
	struct slice token;
	struct mint_claims c = {.issuer = SLICE("https://i"), .subject = SLICE("s"), .username = SLICE("u"),
	    .directory = SLICE("d"), .account = SLICE("x"), .audiences = &audience, .naudiences = 1,
	    .issued = 1, .expires = 2};
	assert_int_equal(mint_sign(m, &c, &w->arena, &token, NULL), ERR_OK);
	return token;
}

static bool verifies(struct world *w, struct mint *m, struct slice token)
{
	struct jose_token t;
	assert_int_equal(jose_parse(&w->arena, token, &t, NULL), ERR_OK);
	return mint_verify(m, &t, NULL) == ERR_OK;
}

static struct slice kid_of(struct world *w, struct slice token)
{
	struct jose_token t;
	assert_int_equal(jose_parse(&w->arena, token, &t, NULL), ERR_OK);
	return t.kid;
}

static size_t published(struct mint *m, struct slice kid, bool *there)
{
	AUTO(buf_done) struct buf out;
	AUTO(jsonx_unref) json_t *jwks = NULL;
	buf_init(&out, 1 << 16);
	mint_jwks(m, &out);
	assert_int_equal(jsonx_object(buf_view(&out), 1 << 16, &jwks, NULL), ERR_OK);
	const json_t *keys = json_object_get(jwks, "keys");
	*there = false;
	for (size_t i = 0; i < json_array_size(keys); i++) {
		struct slice k;
		assert_int_equal(jsonx_string(json_array_get(keys, i), "kid", &k, NULL), ERR_OK);
		*there = *there || slice_eq(k, kid);
		assert_null(json_object_get(json_array_get(keys, i), "d"));
	}
	return json_array_size(keys);
}

static size_t number(struct mint *m)
{
	bool there;
	return published(m, SLICE(""), &there);
}

static bool tick(struct mint *m, int64_t period)
{
	bool changed;
	struct err e = {0};
	if (mint_tick(m, period, &changed, &e) != ERR_OK)
		fail_msg("%s", e.msg);
	return changed;
}

/* A year, an hour at a time; what others know is as old as they may keep it. */
static void test_no_rotation_fails_a_token(void **state)
{
	struct world *w = *state;
	AUTO(mint_free) struct mint *other = NULL;
	struct slice old = sign(w, w->m), first = old;
	int64_t signed_at = clock_unix();
	size_t most = 0, rotations = 0;
	assert_int_equal(mint_open(w->dir, &other, NULL), ERR_OK);
	for (int hour = 0; hour < 365 * 24; hour++) {
		bool known;
		clock_advance(HOUR / 2 * CLOCK_SECOND);
		tick(hour % 2 ? other : w->m, PERIOD);
		clock_advance(HOUR / 2 * CLOCK_SECOND);
		/* Who read the set at the last tick knows what signs now. */
		size_t n = published(hour % 2 ? other : w->m, kid_of(w, sign(w, w->m)), &known);
		assert_true(known);
		most = n > most ? n : most;
		struct slice token = sign(w, w->m);
		if (!slice_eq(kid_of(w, token), kid_of(w, old))) {
			rotations++;
			tick(other, PERIOD);
			tick(w->m, PERIOD);
			assert_true(verifies(w, w->m, old) && verifies(w, other, old));
			assert_true(verifies(w, other, token));
			old = token;
			signed_at = clock_unix();
		}
		if (clock_unix() - signed_at <= MINT_SESSION_MAX_S)
			assert_true(verifies(w, w->m, old) && verifies(w, other, old));
	}
	assert_in_range(rotations, 11, 13);
	assert_in_range(most, 2, 3);
	assert_false(verifies(w, w->m, first));
	/* What is on disk is what serves. */
	AUTO(mint_free) struct mint *again = NULL;
	assert_int_equal(mint_open(w->dir, &again, NULL), ERR_OK);
	assert_true(verifies(w, again, sign(w, w->m)));
	struct stat st;
	assert_int_equal(stat(w->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_the_shortest_period_keeps_few_keys(void **state)
{
	struct world *w = *state;
	for (int hour = 0; hour < 30 * 24; hour++) {
		clock_advance(HOUR * CLOCK_SECOND);
		tick(w->m, DAY * CLOCK_SECOND);
		assert_in_range(number(w->m), 1, MINT_KEYS_MAX - 4);
	}
	assert_in_range(number(w->m), 8, MINT_KEYS_MAX - 4);
}

static void test_without_a_period_nothing_changes(void **state)
{
	struct world *w = *state;
	struct slice kid = kid_of(w, sign(w, w->m));
	for (int month = 0; month < 24; month++) {
		clock_advance(30 * DAY * CLOCK_SECOND);
		assert_false(tick(w->m, 0));
	}
	assert_int_equal(number(w->m), 1);
	assert_true(slice_eq(kid, kid_of(w, sign(w, w->m))));
}

static void test_two_processes_make_one_successor(void **state)
{
	struct world *w = *state;
	AUTO(mint_free) struct mint *other = NULL;
	assert_int_equal(mint_open(w->dir, &other, NULL), ERR_OK);
	clock_advance(PERIOD);
	assert_true(tick(w->m, PERIOD));
	assert_true(tick(other, PERIOD)); /* reads the other's */
	assert_false(tick(other, PERIOD));
	assert_int_equal(number(w->m), 2);
	assert_int_equal(number(other), 2);
	clock_advance(2 * HOUR * CLOCK_SECOND);
	assert_true(slice_eq(kid_of(w, sign(w, w->m)), kid_of(w, sign(w, other))));
}

static void test_who_holds_the_lock_holds_up_nobody(void **state)
{
	struct world *w = *state;
	int fd;
	bool changed;
	struct err e = {0};
	assert_int_equal(file_lock(w->lock, true, &fd, NULL), ERR_OK);
	clock_advance(PERIOD);
	assert_int_equal(mint_tick(w->m, PERIOD, &changed, &e), ERR_UNAVAILABLE);
	assert_non_null(strstr(e.msg, "login keys"));
	file_unlock(&fd);
	/* It tries again, but not at once, and says why all the time. */
	assert_int_equal(mint_tick(w->m, PERIOD, &changed, &e), ERR_UNAVAILABLE);
	clock_advance(61 * CLOCK_SECOND);
	assert_true(tick(w->m, PERIOD));
	assert_int_equal(number(w->m), 2);
}

static void write_keys(const struct world *w, const char *text, mode_t mode)
{
	assert_int_equal(file_write_atomic(w->path, text, strlen(text), mode, NULL), ERR_OK);
}

static struct slice key_line(struct world *w, const char *member)
{
	AUTO(jose_key_free) struct jose_key *k = NULL;
	AUTO(buf_wipe_done) struct buf b;
	buf_init(&b, 4096);
	assert_int_equal(jose_key_generate(&k, NULL), ERR_OK);
	assert_int_equal(jose_key_export(k, true, &b, NULL), ERR_OK);
	b.len--;
	buf_adds(&b, member);
	return slice_dup(&w->arena, buf_view(&b));
}

static void test_an_edited_file_is_taken_up_and_a_broken_one_is_not(void **state)
{
	struct world *w = *state;
	static const struct {
		const char *text;
		mode_t mode;
	} broken[] = {{"", 0600}, {"{\"kty\":\"EC\"", 0600}, {"{}\n", 0600}, {"x", 0604}};
	struct slice old = sign(w, w->m);
	for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
		bool changed;
		struct err e = {0};
		write_keys(w, broken[i].text, broken[i].mode);
		assert_int_not_equal(mint_tick(w->m, PERIOD, &changed, &e), ERR_OK);
		assert_false(changed);
		assert_true(verifies(w, w->m, old) && verifies(w, w->m, sign(w, w->m)));
		/* Never replaced, whatever is due. */
		struct slice left;
		assert_int_equal(file_read(&w->arena, w->path, 4096, &left, NULL), ERR_OK);
		assert_true(slice_is(left, broken[i].text));
	}
	assert_int_equal(unlink(w->path), 0);
	bool changed;
	assert_int_equal(mint_tick(w->m, 0, &changed, NULL), ERR_NOT_FOUND);
	assert_true(verifies(w, w->m, old));
	struct slice line = key_line(w, "}\n");
	write_keys(w, line.p, 0600);
	assert_true(tick(w->m, 0));
	assert_false(tick(w->m, 0));
	assert_false(verifies(w, w->m, old)); /* the operator took the key away */
	assert_true(verifies(w, w->m, sign(w, w->m)));
}

static void test_a_key_signs_from_its_time_on(void **state)
{
	struct world *w = *state;
	int64_t now = clock_unix();
	struct slice soon = key_line(w, arena_printf(&w->arena, ",\"nbf\":%lld}\n", (long long)now + 100));
	struct slice past = key_line(w, arena_printf(&w->arena, ",\"nbf\":%lld}\n", (long long)now - 100));
	struct slice always = key_line(w, "}\n"), second = key_line(w, "}\n");
	write_keys(w, arena_printf(&w->arena, "%s%s%s%s", soon.p, always.p, past.p, second.p), 0600);
	assert_true(tick(w->m, 0));
	assert_int_equal(number(w->m), 4);
	struct slice a = sign(w, w->m);
	assert_non_null(strstr(past.p, arena_strndup(&w->arena, kid_of(w, a).p, kid_of(w, a).len)));
	clock_advance(101 * CLOCK_SECOND);
	struct slice b = sign(w, w->m);
	assert_non_null(strstr(soon.p, arena_strndup(&w->arena, kid_of(w, b).p, kid_of(w, b).len)));
	assert_true(verifies(w, w->m, a));
	/* Of keys without a time the first signs. */
	write_keys(w, arena_printf(&w->arena, "%s%s", always.p, second.p), 0600);
	assert_true(tick(w->m, 0));
	struct slice c = sign(w, w->m);
	assert_non_null(strstr(always.p, arena_strndup(&w->arena, kid_of(w, c).p, kid_of(w, c).len)));
	static const char *const bad[] = {",\"nbf\":-1}\n", ",\"nbf\":\"1\"}\n", ",\"nbf\":1.5}\n"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		bool changed;
		write_keys(w, key_line(w, bad[i]).p, 0600);
		assert_int_equal(mint_tick(w->m, 0, &changed, NULL), ERR_INVALID);
	}
}

static void test_a_disk_that_takes_nothing_leaves_the_keys_as_they_are(void **state)
{
	struct world *w = *state;
	bool changed;
	struct err e = {0};
	if (geteuid() == 0) {
		/* Root writes anywhere: a folder in the temporary file's place stops it as well. */
		assert_int_equal(unlink(w->lock), 0);
		assert_int_equal(mkdir(w->lock, 0700), 0);
	} else {
		assert_int_equal(chmod(w->dir, 0500), 0);
	}
	struct slice old = sign(w, w->m);
	clock_advance(PERIOD);
	enum err_code code = mint_tick(w->m, PERIOD, &changed, &e);
	chmod(w->dir, 0700);
	rmdir(w->lock);
	assert_int_not_equal(code, ERR_OK);
	assert_false(changed);
	assert_int_equal(number(w->m), 1);
	assert_true(verifies(w, w->m, old) && verifies(w, w->m, sign(w, w->m)));
	clock_advance(61 * CLOCK_SECOND);
	assert_true(tick(w->m, PERIOD));
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	jsonx_init();
	const struct CMUnitTest tests[] = {
	    WITH_WORLD(test_no_rotation_fails_a_token),
	    WITH_WORLD(test_the_shortest_period_keeps_few_keys),
	    WITH_WORLD(test_without_a_period_nothing_changes),
	    WITH_WORLD(test_two_processes_make_one_successor),
	    WITH_WORLD(test_who_holds_the_lock_holds_up_nobody),
	    WITH_WORLD(test_an_edited_file_is_taken_up_and_a_broken_one_is_not),
	    WITH_WORLD(test_a_key_signs_from_its_time_on),
	    WITH_WORLD(test_a_disk_that_takes_nothing_leaves_the_keys_as_they_are),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
