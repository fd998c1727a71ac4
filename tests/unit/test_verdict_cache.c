/* Proves what the cache of verdicts keeps, for how long, in how much memory, and that no flood of refusals costs
 * an acceptance its place. Rows 87b, 88 and 100 of the list of attacks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "authn/limits.h"
#include "authn/verdict_cache.h"
#include "common/clock.h"
#include "common/metrics.h"

#define MINUTE (60 * CLOCK_SECOND)

static const struct verdict_cache_options usual = {
    .ttl = MINUTE, .refused_ttl = MINUTE, .entries = 1600, .bytes = (size_t)16 << 20};

static struct verdict_key key_of(uint64_t n)
{
	struct verdict_key k;
	sha256(&n, sizeof(n), k.b);
	return k;
}

static struct verdict *verdict_of(enum authn_step step, const char *user, int64_t expires)
{
	struct authn_call call = {.reason = "word", .authenticator = "test"};
	call.id = (struct identity){.username = slice_of(user), .expires = expires};
	return verdict_new(&call, step);
}

static void put(struct verdict_cache *c, uint64_t n, enum authn_step step, int64_t keep, int64_t expires)
{
	struct verdict_key k = key_of(n);
	struct verdict *v = verdict_of(step, "jane", expires);
	verdict_cache_put(c, &k, v, keep, clock_mono(), clock_now());
	verdict_unref(&v);
}

static bool has(struct verdict_cache *c, uint64_t n, enum authn_step step)
{
	struct verdict_key k = key_of(n);
	struct verdict *v = verdict_cache_get(c, &k, clock_mono());
	bool found = v && verdict_step(v) == step;
	assert_true(!v || found);
	verdict_unref(&v);
	return found;
}

static double gauge(const char *name, const char *kind)
{
	char labels[64];
	snprintf(labels, sizeof(labels), "kind=\"%s\"", kind);
	return metric_value(metrics_gauge(name, "", labels));
}

static double counter(const char *name, const char *kind)
{
	char labels[64];
	snprintf(labels, sizeof(labels), "kind=\"%s\"", kind ? kind : "");
	return metric_value(metrics_counter(name, "", kind ? labels : ""));
}

#define ENTRIES "portcullis_verdict_cache_entries"
#define BYTES "portcullis_verdict_cache_bytes"
#define HITS "portcullis_verdict_cache_hits_total"
#define MISSES "portcullis_verdict_cache_misses_total"
#define EVICTIONS "portcullis_verdict_cache_evictions_total"

static void test_gives_back_what_was_put(void **state)
{
	(void)state;
	static const struct slice groups[] = {SLICE("a"), SLICE("bb"), SLICE("")};
	static const struct slice values[] = {SLICE("v1"), SLICE("v22")};
	static const struct identity_extra extra[] = {
	    {SLICE("example.com/x"), values, 2}, {SLICE("example.com/y"), NULL, 0}};
	struct arena a;
	arena_init(&a, 0);
	struct authn_call in = {.reason = "ok",
	    .authenticator = "jwt:x",
	    .id = {SLICE("jane"), SLICE("u1"), groups, 3, extra, 2, SLICE("jwt:x"), SLICE("https://x"), 77},
	    .credential = {SLICE("sub"), SLICE("id"), SLICE("kid"), 55, SLICE("sid")}};
	struct authn_call out = {.arena = &a};
	struct verdict *v = verdict_new(&in, AUTHN_ACCEPT);
	struct verdict_cache *c = verdict_cache_new(&usual);
	struct verdict_key k = key_of(1);
	in.id.expires = clock_unix() + 60;
	verdict_unref(&v);
	v = verdict_new(&in, AUTHN_ACCEPT);
	verdict_cache_put(c, &k, v, MINUTE, clock_mono(), clock_now());
	verdict_unref(&v);
	v = verdict_cache_get(c, &k, clock_mono());
	assert_non_null(v);
	assert_int_equal(verdict_give(&v, &out), AUTHN_ACCEPT);
	assert_null(v);
	verdict_cache_free(&c); /* what was given lives on */
	assert_string_equal(out.reason, "ok");
	assert_string_equal(out.authenticator, "jwt:x");
	assert_true(slice_is(out.id.username, "jane") && slice_is(out.id.uid, "u1"));
	assert_true(slice_is(out.id.provider, "jwt:x") && slice_is(out.id.issuer, "https://x"));
	assert_int_equal(out.id.expires, in.id.expires);
	assert_int_equal(out.id.ngroups, 3);
	for (size_t i = 0; i < 3; i++)
		assert_true(slice_eq(out.id.groups[i], groups[i]));
	assert_int_equal(out.id.nextra, 2);
	assert_true(slice_is(out.id.extra[0].key, "example.com/x"));
	assert_int_equal(out.id.extra[0].n, 2);
	assert_true(slice_is(out.id.extra[0].values[1], "v22"));
	assert_true(slice_is(out.id.extra[1].key, "example.com/y") && out.id.extra[1].n == 0);
	assert_true(slice_is(out.credential.subject, "sub") && slice_is(out.credential.id, "id"));
	assert_true(slice_is(out.credential.kid, "kid") && out.credential.issued == 55);
	assert_int_equal(out.why.code, ERR_OK);
	arena_done(&a);
}

static void test_a_refusal_keeps_its_reason(void **state)
{
	(void)state;
	struct arena a;
	arena_init(&a, 0);
	struct authn_call in = {.reason = "badSignature"}, out = {.arena = &a};
	err_set(&in.why, ERR_REFUSED, "the signature is not its own");
	struct verdict *v = verdict_new(&in, AUTHN_REJECT);
	assert_int_equal(verdict_give(&v, &out), AUTHN_REJECT);
	assert_string_equal(out.reason, "badSignature");
	assert_string_equal(out.why.msg, "the signature is not its own");
	assert_int_equal(out.why.code, ERR_REFUSED);
	arena_done(&a);
}

static void test_what_cannot_be_decided_is_not_kept(void **state)
{
	(void)state;
	struct verdict_cache *c = verdict_cache_new(&usual);
	put(c, 1, AUTHN_UNAVAILABLE, MINUTE, 0);
	put(c, 2, AUTHN_ACCEPT, 0, 0);
	put(c, 3, AUTHN_ACCEPT, -1, 0);
	put(c, 4, AUTHN_REJECT, 0, 0);
	for (uint64_t n = 1; n <= 4; n++)
		assert_false(has(c, n, AUTHN_ACCEPT));
	verdict_cache_free(&c);
}

static void test_row88_nothing_outlives_keep_ttl_or_the_token(void **state)
{
	(void)state;
	struct verdict_cache_options o = usual;
	o.refused_ttl = 10 * CLOCK_SECOND;
	struct verdict_cache *c = verdict_cache_new(&o);
	put(c, 1, AUTHN_ACCEPT, 20 * CLOCK_SECOND, 0);
	put(c, 2, AUTHN_ACCEPT, 3600 * CLOCK_SECOND, 0);
	put(c, 3, AUTHN_ACCEPT, INT64_MAX, clock_unix() + 30);
	put(c, 4, AUTHN_REJECT, MINUTE, 0);
	put(c, 5, AUTHN_ACCEPT, MINUTE, clock_unix() - 1);
	put(c, 6, AUTHN_ACCEPT, MINUTE, INT64_MAX);
	put(c, 7, AUTHN_ACCEPT, MINUTE, INT64_MIN);
	static const struct {
		int64_t after; /* s */
		bool has[8];
	} steps[] = {
	    {0, {0, 1, 1, 1, 1, 0, 1, 0}},
	    {9, {0, 1, 1, 1, 1, 0, 1, 0}},
	    {2, {0, 1, 1, 1, 0, 0, 1, 0}},
	    {10, {0, 0, 1, 1, 0, 0, 1, 0}},
	    {10, {0, 0, 1, 0, 0, 0, 1, 0}},
	    {30, {0, 0, 0, 0, 0, 0, 0, 0}},
	};
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		clock_advance(steps[i].after * CLOCK_SECOND);
		for (uint64_t n = 1; n <= 7; n++)
			assert_int_equal(has(c, n, n == 4 ? AUTHN_REJECT : AUTHN_ACCEPT), steps[i].has[n]);
	}
	verdict_cache_free(&c);
}

static void test_a_kind_with_no_time_is_not_kept(void **state)
{
	(void)state;
	struct verdict_cache_options o = usual;
	o.refused_ttl = 0;
	struct verdict_cache *c = verdict_cache_new(&o);
	put(c, 1, AUTHN_REJECT, MINUTE, 0);
	put(c, 2, AUTHN_ACCEPT, MINUTE, 0);
	assert_false(has(c, 1, AUTHN_REJECT));
	assert_true(has(c, 2, AUTHN_ACCEPT));
	verdict_cache_free(&c);
}

static void test_row87b_refusals_push_out_no_acceptance(void **state)
{
	(void)state;
	struct verdict_cache *c = verdict_cache_new(&usual);
	double before = counter(EVICTIONS, "accepted");
	for (uint64_t n = 0; n < 100; n++)
		put(c, n, AUTHN_ACCEPT, MINUTE, 0);
	for (uint64_t n = 1000; n < 101000; n++)
		put(c, n, AUTHN_REJECT, MINUTE, 0);
	for (uint64_t n = 0; n < 100; n++)
		assert_true(has(c, n, AUTHN_ACCEPT));
	assert_in_range((uintmax_t)gauge(ENTRIES, "refused"), 1, VERDICT_REFUSALS_MAX);
	assert_in_range((uintmax_t)gauge(BYTES, "refused"), 1, VERDICT_REFUSALS_BYTES);
	assert_true(counter(EVICTIONS, "accepted") == before);
	assert_true(counter(EVICTIONS, "refused") > 0);
	verdict_cache_free(&c);
	assert_true(gauge(ENTRIES, "refused") == 0 && gauge(BYTES, "refused") == 0);
	assert_true(gauge(ENTRIES, "accepted") == 0 && gauge(BYTES, "accepted") == 0);
}

static void test_acceptances_are_bounded_and_the_used_ones_stay(void **state)
{
	(void)state;
	struct verdict_cache *c = verdict_cache_new(&usual);
	for (uint64_t n = 0; n < 50000; n++) {
		put(c, n, AUTHN_ACCEPT, MINUTE, 0);
		assert_true(has(c, 0, AUTHN_ACCEPT));
	}
	assert_in_range((uintmax_t)gauge(ENTRIES, "accepted"), 1, 1600 + 16);
	verdict_cache_free(&c);
}

static void test_large_verdicts_are_bounded_by_bytes(void **state)
{
	(void)state;
	struct verdict_cache *c = verdict_cache_new(&usual);
	char *name = malloc(VERDICT_BYTES_MAX + 1);
	memset(name, 'x', VERDICT_BYTES_MAX);
	name[VERDICT_BYTES_MAX] = '\0';
	struct verdict_key k = key_of(0);
	struct verdict *v = verdict_of(AUTHN_ACCEPT, name, 0);
	verdict_cache_put(c, &k, v, MINUTE, clock_mono(), clock_now());
	verdict_unref(&v);
	assert_false(has(c, 0, AUTHN_ACCEPT));
	name[100000] = '\0';
	for (uint64_t n = 1; n < 1000; n++) {
		k = key_of(n);
		v = verdict_of(AUTHN_ACCEPT, name, 0);
		verdict_cache_put(c, &k, v, MINUTE, clock_mono(), clock_now());
		verdict_unref(&v);
		assert_true(has(c, n, AUTHN_ACCEPT));
	}
	assert_in_range((uintmax_t)gauge(BYTES, "accepted"), 1, usual.bytes);
	free(name);
	verdict_cache_free(&c);
}

static void test_hits_and_misses_are_counted(void **state)
{
	(void)state;
	struct verdict_cache *c = verdict_cache_new(&usual);
	double hits = counter(HITS, "accepted"), refused = counter(HITS, "refused");
	double misses = counter(MISSES, NULL);
	put(c, 1, AUTHN_ACCEPT, MINUTE, 0);
	put(c, 2, AUTHN_REJECT, MINUTE, 0);
	assert_true(has(c, 1, AUTHN_ACCEPT) && has(c, 2, AUTHN_REJECT) && !has(c, 3, AUTHN_ACCEPT));
	assert_true(counter(HITS, "accepted") == hits + 1 && counter(HITS, "refused") == refused + 1);
	assert_true(counter(MISSES, NULL) == misses);
	verdict_cache_missed(c);
	assert_true(counter(MISSES, NULL) == misses + 1);
	verdict_cache_free(&c);
}

static void *hammer(void *arg)
{
	struct verdict_cache *c = arg;
	uint64_t x = (uint64_t)(uintptr_t)&c;
	for (int i = 0; i < 20000; i++) {
		x = x * UINT64_C(6364136223846793005) + 1;
		uint64_t n = (x >> 33) % 3000;
		if (!has(c, n, n % 2 ? AUTHN_ACCEPT : AUTHN_REJECT))
			put(c, n, n % 2 ? AUTHN_ACCEPT : AUTHN_REJECT, MINUTE, 0);
	}
	return NULL;
}

static void test_threads(void **state)
{
	(void)state;
	struct verdict_cache_options o = usual;
	o.entries = 512;
	struct verdict_cache *c = verdict_cache_new(&o);
	pthread_t t[4];
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, hammer, c), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	verdict_cache_free(&c);
	assert_true(gauge(ENTRIES, "accepted") == 0 && gauge(BYTES, "accepted") == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_gives_back_what_was_put),
	    cmocka_unit_test(test_a_refusal_keeps_its_reason),
	    cmocka_unit_test(test_what_cannot_be_decided_is_not_kept),
	    cmocka_unit_test(test_row88_nothing_outlives_keep_ttl_or_the_token),
	    cmocka_unit_test(test_a_kind_with_no_time_is_not_kept),
	    cmocka_unit_test(test_row87b_refusals_push_out_no_acceptance),
	    cmocka_unit_test(test_acceptances_are_bounded_and_the_used_ones_stay),
	    cmocka_unit_test(test_large_verdicts_are_bounded_by_bytes),
	    cmocka_unit_test(test_hits_and_misses_are_counted),
	    cmocka_unit_test(test_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
