/* Proves time zones: names, files of the system against known moments, forged files, rules for later years. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/clock.h"
#include "common/zone.h"

static int64_t moment(const char *text)
{
	int64_t ns = 0;
	if (!clock_parse_rfc3339(slice_of(text), &ns))
		fail_msg("not a time: %s", text);
	return ns / CLOCK_SECOND;
}

static void test_names(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		enum err_code code;
		const char *says;
	} rows[] = {
	    {"UTC", ERR_OK, ""},
	    {"Europe/Berlin", ERR_OK, ""},
	    {"America/Argentina/Buenos_Aires", ERR_OK, ""},
	    {"Etc/GMT+5", ERR_OK, ""},
	    {"Europe/Berln", ERR_NOT_FOUND, "did you mean `Europe/Berlin`?"},
	    {"Mars/Olympus_Mons", ERR_NOT_FOUND, "unknown time zone"},
	    {"Europe", ERR_INVALID, ""},
	    {"", ERR_INVALID, "not the name of a time zone"},
	    {"europe/berlin", ERR_INVALID, "not the name"},
	    {"posixrules", ERR_INVALID, "not the name"},
	    {"../../etc/passwd", ERR_INVALID, "not the name"},
	    {"Europe/../Europe/Berlin", ERR_INVALID, "not the name"},
	    {"/usr/share/zoneinfo/Europe/Berlin", ERR_INVALID, "not the name"},
	    {"Europe//Berlin", ERR_INVALID, "not the name"},
	    {"Europe/", ERR_INVALID, "not the name"},
	    {"Europe/Berlin\n", ERR_INVALID, "not the name"},
	    {"A23456789012345678901234567890123456789012345678901234567890123456", ERR_INVALID,
		"not the name"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena a = {0};
		struct err e = {0};
		const struct zone *z;
		enum err_code code = zone_load(&a, ZONE_DIR, rows[i].name, &z, &e);
		if (code != rows[i].code || !strstr(e.msg, rows[i].says))
			fail_msg("%s: %s %s", rows[i].name, err_name(code), e.msg);
		arena_done(&a);
	}
}

static void test_utc_needs_no_files(void **state)
{
	(void)state;
	struct arena a = {0};
	struct err e = {0};
	const struct zone *z;
	int64_t until;
	assert_int_equal(zone_load(&a, "/nonexistent", "UTC", &z, &e), ERR_OK);
	assert_int_equal(zone_offset(z, 0, &until), 0);
	assert_int_equal(until, INT64_MAX);
	assert_int_equal(zone_load(&a, "/nonexistent", "Europe/Berlin", &z, &e), ERR_NOT_FOUND);
	arena_done(&a);
}

/* The last second before a change, and the change. */
static void test_known_changes(void **state)
{
	(void)state;
	static const struct {
		const char *zone, *at;
		int32_t before, after;
	} rows[] = {
	    {"Europe/Berlin", "2026-03-29T01:00:00Z", 3600, 7200},
	    {"Europe/Berlin", "2026-10-25T01:00:00Z", 7200, 3600},
	    {"Europe/Berlin", "2039-10-30T01:00:00Z", 7200, 3600},
	    {"Europe/Berlin", "2199-03-31T01:00:00Z", 3600, 7200},
	    {"America/New_York", "2026-03-08T07:00:00Z", -5 * 3600, -4 * 3600},
	    {"America/New_York", "2040-11-04T06:00:00Z", -4 * 3600, -5 * 3600},
	    {"Australia/Lord_Howe", "2026-04-04T15:00:00Z", 11 * 3600, 37800},
	    {"Australia/Lord_Howe", "2040-10-06T15:30:00Z", 37800, 11 * 3600},
	    {"Pacific/Apia", "2011-12-30T10:00:00Z", -10 * 3600, 14 * 3600},
	    {"Africa/Casablanca", "2026-02-15T02:00:00Z", 3600, 0},
	    {"Africa/Casablanca", "2026-03-22T02:00:00Z", 0, 3600},
	    {"Europe/Dublin", "2026-10-25T01:00:00Z", 3600, 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena a = {0};
		struct err e = {0};
		const struct zone *z;
		int64_t at = moment(rows[i].at), until;
		if (zone_load(&a, ZONE_DIR, rows[i].zone, &z, &e) != ERR_OK)
			fail_msg("%s", e.msg);
		int32_t before = zone_offset(z, at - 1, &until);
		if (before != rows[i].before || until != at ||
		    zone_offset(z, at, &until) != rows[i].after)
			fail_msg("%s %s: %d, %lld", rows[i].zone, rows[i].at, before,
			    (long long)(until - at));
		arena_done(&a);
	}
}

static void test_zones_without_changes_to_come(void **state)
{
	(void)state;
	struct arena a = {0};
	struct err e = {0};
	const struct zone *z;
	int64_t until;
	assert_int_equal(zone_load(&a, ZONE_DIR, "Asia/Kolkata", &z, &e), ERR_OK);
	assert_int_equal(zone_offset(z, moment("2026-11-22T00:00:00Z"), &until), 19800);
	assert_int_equal(until, INT64_MAX);
	assert_true(zone_offset(z, INT64_MIN, &until) > 0);
	assert_true(until < 0);
	const struct zone *copy = zone_copy(&a, z);
	assert_string_equal(copy->name, "Asia/Kolkata");
	assert_int_equal(copy->n, z->n);
	assert_memory_equal(copy->changes, z->changes, z->n * sizeof(*z->changes));
	arena_done(&a);
}

/* --- forged files --- */

struct parts {
	char version;
	const char *data; /* of the second block: times, types of times, types, letters, leap seconds */
	size_t len;
	uint32_t leap, times, types, chars;
	const char *footer;
};

static void put32(struct buf *b, uint32_t v)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		buf_addc(b, (char)(v >> shift));
}

static void put_header(struct buf *b, const struct parts *p)
{
	buf_adds(b, "TZif");
	buf_addc(b, p->version);
	for (int i = 0; i < 15; i++)
		buf_addc(b, 0);
	put32(b, 0);
	put32(b, 0);
	put32(b, p->leap);
	put32(b, p->times);
	put32(b, p->types);
	put32(b, p->chars);
}

static struct slice build(struct buf *b, const struct parts *p)
{
	static const struct parts stub = {.data = "\0\0\0\0\0\0UTC\0", .len = 10, .types = 1, .chars = 4};
	struct parts first = stub;
	first.version = p->version;
	buf_init(b, 1 << 20);
	if (p->version) {
		put_header(b, &first);
		buf_add(b, first.data, first.len);
	}
	put_header(b, p);
	buf_add(b, p->data, p->len);
	if (p->footer)
		buf_adds(b, p->footer);
	return buf_view(b);
}

#define CET .data = "\0\0\x0e\x10\0\0CET\0", .len = 10
#define ONE_TYPE CET, .types = 1, .chars = 4
#define T8(last) "\0\0\0\0\0\0\0" last

static void test_forged_files(void **state)
{
	(void)state;
	static const struct {
		const char *what;
		struct parts parts;
		bool ok;
	} rows[] = {
	    {"version 1", {.version = 0, ONE_TYPE}, true},
	    {"version 2, no rule", {.version = '2', ONE_TYPE, .footer = "\n\n"}, true},
	    {"version 3, a rule", {.version = '3', ONE_TYPE, .footer = "\nCET-1\n"}, true},
	    {"version 4", {.version = '4', ONE_TYPE, .footer = "\n<+01>-1\n"}, true},
	    {"a version below 2", {.version = '1', ONE_TYPE, .footer = "\n\n"}, false},
	    {"no footer", {.version = '2', ONE_TYPE}, false},
	    {"a footer without its end", {.version = '2', ONE_TYPE, .footer = "\nCET-1"}, false},
	    {"more behind the footer", {.version = '2', ONE_TYPE, .footer = "\nCET-1\nx\n"}, false},
	    {"more behind version 1", {.version = 0, ONE_TYPE, .footer = "x"}, false},
	    {"no type", {.version = '2', .data = "CET\0", .len = 4, .chars = 4, .footer = "\n\n"}, false},
	    {"too many types", {.version = '2', CET, .footer = "\n\n", .types = 257, .chars = 4}, false},
	    {"types past the end", {.version = '2', CET, .footer = "\n\n", .types = 9, .chars = 4}, false},
	    {"counts that overflow",
		{.version = '2', ONE_TYPE, .footer = "\n\n", .times = 0xFFFFFFFF}, false},
	    {"letters that overflow",
		{.version = '2', CET, .footer = "\n\n", .types = 1, .chars = 0xFFFFFFFF}, false},
	    {"an offset of a week",
		{.version = '2', .data = "\0\x09\x3a\x80\0\0CET\0", .len = 10, .types = 1, .chars = 4,
		    .footer = "\n\n"},
		false},
	    {"an index past the letters",
		{.version = '2', .data = "\0\0\x0e\x10\0\x09" "CET\0", .len = 10, .types = 1,
		    .chars = 4, .footer = "\n\n"},
		false},
	    {"leap seconds",
		{.version = '2', .data = "\0\0\x0e\x10\0\0CET\0" T8("\1") "\0\0\0\1", .len = 22,
		    .types = 1, .chars = 4, .leap = 1, .footer = "\n\n"},
		false},
	    {"times in order",
		{.version = '2', .data = T8("\1") T8("\2") "\0\1\0\0\x0e\x10\0\0\0\0\0\0\0\0CET\0",
		    .len = 34, .times = 2, .types = 2, .chars = 4, .footer = "\n\n"},
		true},
	    {"times out of order",
		{.version = '2', .data = T8("\2") T8("\2") "\0\1\0\0\x0e\x10\0\0\0\0\0\0\0\0CET\0",
		    .len = 34, .times = 2, .types = 2, .chars = 4, .footer = "\n\n"},
		false},
	    {"a type that is none",
		{.version = '2', .data = T8("\1") T8("\2") "\0\2\0\0\x0e\x10\0\0\0\0\0\0\0\0CET\0",
		    .len = 34, .times = 2, .types = 2, .chars = 4, .footer = "\n\n"},
		false},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena a = {0};
		struct err e = {0};
		struct buf b;
		const struct zone *z;
		struct slice whole = build(&b, &rows[i].parts);
		enum err_code code = zone_parse(&a, "X", whole, &z, &e);
		if ((code == ERR_OK) != rows[i].ok)
			fail_msg("%s: %s", rows[i].what, err_name(code));
		for (size_t n = 0; rows[i].ok && n < whole.len; n++)
			assert_int_not_equal(
			    zone_parse(&a, "X", (struct slice){whole.p, n}, &z, &e), ERR_OK);
		buf_done(&b);
		arena_done(&a);
	}
}

/* The change of a rule's year, as a moment of the first after the given one. */
static void test_rules(void **state)
{
	(void)state;
	static const struct {
		const char *rule, *after, *change; /* change NULL: none; rule refused when after is */
		int32_t offset; /* from then on */
	} rows[] = {
	    {"CET-1CEST,M3.5.0,M10.5.0/3", "2050-01-01T00:00:00Z", "2050-03-27T01:00:00Z", 7200},
	    {"CET-1CEST,M3.5.0,M10.5.0/3", "2050-04-01T00:00:00Z", "2050-10-30T01:00:00Z", 3600},
	    {"EST5EDT,M3.2.0,M11.1.0", "2050-01-01T00:00:00Z", "2050-03-13T07:00:00Z", -4 * 3600},
	    {"<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", "2050-05-01T00:00:00Z",
		"2050-10-01T15:30:00Z", 11 * 3600},
	    {"IST-1GMT0,M10.5.0,M3.5.0/1", "2050-01-01T00:00:00Z", "2050-03-27T01:00:00Z", 3600},
	    /* Hours on other days: RFC 9636, 3.3.1. */
	    {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2050-01-01T00:00:00Z", "2050-03-27T01:00:00Z", -3600},
	    {"IST-2IDT,M3.4.4/26,M10.5.0", "2050-01-01T00:00:00Z", "2050-03-25T00:00:00Z", 3 * 3600},
	    /* Days of the year, which know 29 February or do not. */
	    {"AAA0BBB,J60/0,J61/0", "2052-01-01T00:00:00Z", "2052-03-01T00:00:00Z", 3600},
	    {"AAA0BBB,59/0,60/0", "2052-01-01T00:00:00Z", "2052-02-29T00:00:00Z", 3600},
	    /* Summer time all the year. */
	    {"AAA3EDT4,0/0,J365/23", "2050-01-02T00:00:00Z", NULL, -4 * 3600},
	    {"CET-1", "2050-01-02T00:00:00Z", NULL, 3600},
	    {"", NULL, NULL, 0},
	    {"C", NULL, NULL, 0},
	    {"CET", NULL, NULL, 0},
	    {"CET-25", NULL, NULL, 0},
	    {"CET-1CEST", NULL, NULL, 0},
	    {"CET-1CEST,M3.5.0", NULL, NULL, 0},
	    {"CET-1CEST,M13.5.0,M10.5.0", NULL, NULL, 0},
	    {"CET-1CEST,M3.6.0,M10.5.0", NULL, NULL, 0},
	    {"CET-1CEST,M3.5.7,M10.5.0", NULL, NULL, 0},
	    {"CET-1CEST,J0,J3", NULL, NULL, 0},
	    {"CET-1CEST,366,J3", NULL, NULL, 0},
	    {"CET-1CEST,M3.5.0/168,M10.5.0", NULL, NULL, 0},
	    {"CET-1CEST,M3.5.0,M10.5.0 ", NULL, NULL, 0},
	    {"<CET-1", NULL, NULL, 0},
	    {"CET-1:60", NULL, NULL, 0},
	    {"CET-1:", NULL, NULL, 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena a = {0};
		struct zone_list l = {.arena = &a};
		bool ok = zone_add_rule(&l, INT64_MIN, slice_of(rows[i].rule));
		if (ok != (rows[i].after != NULL))
			fail_msg("`%s`: %d", rows[i].rule, ok);
		struct zone z = {.changes = l.v, .n = (uint32_t)l.n};
		int64_t until, later;
		if (ok) {
			int32_t now = zone_offset(&z, moment(rows[i].after), &until);
			int64_t want = rows[i].change ? moment(rows[i].change) : INT64_MAX;
			if (want != INT64_MAX)
				now = zone_offset(&z, want, &later);
			if (until != want || now != rows[i].offset)
				fail_msg("`%s`: %lld off, %d", rows[i].rule,
				    (long long)(until - want), now);
		}
		arena_done(&a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_utc_needs_no_files),
	    cmocka_unit_test(test_known_changes),
	    cmocka_unit_test(test_zones_without_changes_to_come),
	    cmocka_unit_test(test_forged_files),
	    cmocka_unit_test(test_rules),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
