/* Proves that a denylist reads strictly, finds what it names and nothing else, and stays in force whatever its
 * file is put through. Rows 92 and 96 of the list of attacks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "authn/denylist.h"
#include "authn/limits.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/metrics.h"

#define HEAD "apiVersion: portcullis.dev/v1alpha1\nkind: Denylist\n"

static char dir[] = "/tmp/test_denylist.XXXXXX";
static char path[64];

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/denylist.yaml", dir);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

/* --- the file --- */

static void test_refuses_with_a_place(void **state)
{
	(void)state;
	static const struct {
		const char *text, *want;
		unsigned line;
	} cases[] = {
	    {"", "empty", 0},
	    {"# nothing\n", "", 0},
	    {HEAD, "entries", 1},
	    {"kind: Denylist\nentries: []\n", "not a denylist", 1},
	    {"apiVersion: portcullis.dev/v1alpha1\nkind: AccessPolicy\nrules: []\n", "not a denylist", 1},
	    {"apiVersion: portcullis.dev/v2\nkind: Denylist\nentries: []\n", "not a denylist", 1},
	    {"[]\n", "not a denylist", 1},
	    {HEAD "entries: [{jti: a}]", "line break", 0},
	    {HEAD "entries: [{jti: a}\n", "", 0},
	    {HEAD "entries:\n- {}\n", "needs one of", 4},
	    {HEAD "entries:\n- {reason: x}\n", "needs one of", 4},
	    {HEAD "entries:\n- {issuedBefore: 2026-01-01T00:00:00Z}\n", "needs one of", 4},
	    {HEAD "entries:\n- jti: a\n- sub: b\n", "unknown key `sub`", 5},
	    {HEAD "entries:\n- {jti: a, jti: b}\n", "jti", 4},
	    {HEAD "entries:\n- {jti: \"\"}\n", "empty", 4},
	    {HEAD "entries:\n- {jti: }\n", "no value", 4},
	    {HEAD "entries:\n- {jti: [a]}\n", "a string", 4},
	    {HEAD "entries:\n- {user: \"a\\nb\"}\n", "one line", 4},
	    {HEAD "entries:\n- {subject: a, issuedBefore: yesterday}\n", "`issuedBefore`: expected a time", 4},
	    {HEAD "entries:\n- {subject: a, issuedBefore: -5}\n", "`issuedBefore`: expected a time", 4},
	    {HEAD "entries:\n- {subject: a, issuedBefore: 99999999999}\n", "`issuedBefore`", 4},
	    {HEAD "entries:\n- {subject: a, issuedBefore: 999999999999}\n", "`issuedBefore`", 4},
	    {HEAD "entries:\n- {subject: a, until: 2026-13-01T00:00:00Z}\n", "`until`: expected a time", 4},
	    {HEAD "expect: {entries: 2}\nentries:\n- {jti: a}\n", "is it whole", 3},
	    {HEAD "expect: {}\nentries: []\n", "entries", 3},
	    {HEAD "entries: {}\n", "list", 3},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct denylist_file *f = (void *)(uintptr_t)&cases;
		struct diags d = {0};
		bool found = false;
		assert_int_not_equal(denylist_parse("d.yaml", slice_of(cases[i].text), &f, &d), ERR_OK);
		assert_null(f);
		assert_true(d.errors > 0);
		for (size_t k = 0; k < d.len; k++) {
			assert_string_equal(d.items[k].file, "d.yaml");
			found = found || (strstr(d.items[k].text, cases[i].want) &&
					     (cases[i].line == 0 || d.items[k].line == cases[i].line));
		}
		if (!found)
			fail_msg("%s: %u: %s", cases[i].text, d.items[0].line, d.items[0].text);
		diags_done(&d);
	}
}

static struct denylist_file *parse(const char *entries)
{
	struct buf b;
	struct diags d = {0};
	struct denylist_file *f = NULL;
	buf_init(&b, (size_t)64 << 20);
	buf_adds(&b, HEAD "entries:\n");
	buf_adds(&b, entries);
	if (denylist_parse("d.yaml", buf_view(&b), &f, &d) != ERR_OK)
		fail_msg("%u: %s", d.items[0].line, d.items[0].text);
	buf_done(&b);
	diags_done(&d);
	return f;
}

static const struct identity jane = {
    .username = SLICE("dex:jane"), .issuer = SLICE("https://dex.example")};
static const struct credential card = {
    .subject = SLICE("sub1"), .id = SLICE("id1"), .kid = SLICE("k1"), .issued = 1000};
#define NOW (2000 * CLOCK_SECOND)

static void test_finds_what_fits_all_that_an_entry_tells(void **state)
{
	(void)state;
	static const struct {
		const char *entry;
		bool has;
	} cases[] = {
	    {"{jti: id1}", true},
	    {"{jti: id2}", false},
	    {"{jti: id}", false},
	    {"{jti: ID1}", false},
	    {"{jti: sub1}", false},
	    {"{jti: id1, issuer: \"https://dex.example\"}", true},
	    {"{jti: id1, issuer: \"https://dex.example/\"}", false},
	    {"{subject: sub1}", true},
	    {"{subject: sub1, issuer: \"https://other.example\"}", false},
	    {"{subject: sub2, issuer: \"https://dex.example\"}", false},
	    {"{kid: k1, issuer: \"https://dex.example\"}", true},
	    {"{kid: k2}", false},
	    {"{issuer: \"https://dex.example\"}", true},
	    {"{issuer: \"https://dex.exampl\"}", false},
	    {"{user: \"dex:jane\"}", true},
	    {"{user: jane}", false},
	    {"{user: \"dex:jane\", jti: id1, subject: sub1, kid: k1, issuer: \"https://dex.example\"}", true},
	    {"{user: \"dex:joe\", jti: id1, subject: sub1, kid: k1, issuer: \"https://dex.example\"}", false},
	    {"{subject: sub1, issuedBefore: 1001}", true},
	    {"{subject: sub1, issuedBefore: 1000}", false},
	    {"{subject: sub1, issuedBefore: 999}", false},
	    {"{subject: sub1, issuedBefore: 1970-01-01T00:16:41Z}", true},
	    {"{subject: sub1, issuedBefore: 1970-01-01T00:16:40Z}", false},
	    {"{subject: sub1, issuedBefore: 1970-01-01T00:16:40.5Z}", true},
	    {"{subject: sub1, issuedBefore: \"1970-01-01T01:16:41+01:00\"}", true},
	    {"{subject: sub1, until: 2001}", true},
	    {"{subject: sub1, until: 2000}", false},
	    {"{subject: sub1, until: 1970-01-01T00:00:00Z}", false},
	    {"{subject: sub2}\n- {subject: sub1, until: 10}\n- {subject: sub1}", true},
	    {"{subject: sub1, issuedBefore: 1}\n- {jti: id1}", true},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[512];
		snprintf(text, sizeof(text), "- %s\n", cases[i].entry);
		struct denylist_file *f = parse(text);
		struct err e = {0};
		if (denylist_file_has(f, &jane, &card, NOW, &e) != cases[i].has)
			fail_msg("%s", cases[i].entry);
		assert_true(cases[i].has == (e.code == ERR_REFUSED));
		denylist_file_free(&f);
	}
}

static void test_without_a_time_of_issue_everything_is_old(void **state)
{
	(void)state;
	struct denylist_file *f = parse("- {subject: sub1, issuedBefore: 5}\n");
	struct credential c = {.subject = SLICE("sub1")};
	assert_true(denylist_file_has(f, &jane, &c, NOW, NULL));
	c.issued = -7;
	assert_true(denylist_file_has(f, &jane, &c, NOW, NULL));
	c.issued = 6;
	assert_false(denylist_file_has(f, &jane, &c, NOW, NULL));
	denylist_file_free(&f);
}

static void test_an_identity_that_tells_nothing_fits_nothing(void **state)
{
	(void)state;
	struct denylist_file *f = parse("- {jti: a}\n- {subject: b}\n- {kid: c}\n- {issuer: d}\n- {user: e}\n");
	struct identity id = {0};
	struct credential c = {0};
	assert_int_equal(denylist_file_len(f), 5);
	assert_false(denylist_file_has(f, &id, &c, NOW, NULL));
	denylist_file_free(&f);
}

static void test_says_which_entry_and_why(void **state)
{
	(void)state;
	struct denylist_file *f = parse("- {jti: x}\n- {jti: id1, reason: \"left the company\"}\n");
	struct err e = {0};
	assert_true(denylist_file_has(f, &jane, &card, NOW, &e));
	assert_string_equal(e.msg, "denied by d.yaml:5: left the company");
	denylist_file_free(&f);
}

static void test_a_hundred_thousand_entries(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, (size_t)64 << 20);
	for (int i = 0; i < DENYLIST_ENTRIES_MAX; i++)
		buf_printf(&b, "- {jti: id-%d, issuer: \"https://dex.example\"}\n", i);
	struct denylist_file *f = parse(buf_cstr(&b));
	struct credential c = {.id = SLICE("id-99999")};
	assert_int_equal(denylist_file_len(f), DENYLIST_ENTRIES_MAX);
	assert_true(denylist_file_has(f, &jane, &c, NOW, NULL));
	c.id = SLICE("id-100000");
	assert_false(denylist_file_has(f, &jane, &c, NOW, NULL));
	denylist_file_free(&f);
	/* One more is too many. */
	struct buf more;
	struct diags d = {0};
	buf_init(&more, (size_t)64 << 20);
	buf_adds(&more, HEAD "entries:\n");
	buf_slice(&more, buf_view(&b));
	buf_adds(&more, "- {jti: x}\n");
	assert_int_not_equal(denylist_parse("d.yaml", buf_view(&more), &f, &d), ERR_OK);
	diags_done(&d);
	buf_done(&more);
	buf_done(&b);
}

/* --- its life --- */

static struct {
	unsigned good, bad;
	char last[512];
	size_t entries;
} told;

static void on_event(void *arg, const char *file, size_t entries, const struct err *e)
{
	(void)arg;
	assert_string_equal(file, path);
	told.good += e == NULL;
	told.bad += e != NULL;
	told.entries = entries;
	if (e)
		snprintf(told.last, sizeof(told.last), "%s", e->msg);
}

static const struct place named = {"conf.yaml", 7, 3};
static const struct denylist_options options = {.event = on_event};

static void put(const char *text)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
}

static void put_entries(const char *entries)
{
	char text[1024];
	snprintf(text, sizeof(text), HEAD "entries: [%s]\n", entries);
	put(text);
}

static bool refuses(struct denylist *l)
{
	return denylist_refuses(l, &jane, &card, NOW, NULL);
}

static struct denylist *open_list(const char *entries)
{
	struct denylist *l = NULL;
	struct diags d = {0};
	memset(&told, 0, sizeof(told));
	put_entries(entries);
	assert_int_equal(denylist_open(path, &named, &options, &l, &d), ERR_OK);
	assert_int_equal(told.good, 1);
	diags_done(&d);
	return l;
}

static void settle(struct denylist *l)
{
	denylist_look(l);
	clock_advance(3 * CLOCK_SECOND);
	denylist_look(l);
}

static void test_is_effective_with_the_next_question(void **state)
{
	(void)state;
	struct denylist *l = open_list("");
	/* Faster than any file system counts time, and of one length. */
	for (int i = 0; i < 50; i++) {
		put_entries("{jti: id2}");
		settle(l);
		assert_false(refuses(l));
		put_entries("{jti: id1}");
		assert_true(refuses(l));
	}
	assert_int_equal(told.bad, 0);
	denylist_unref(&l);
}

static void test_what_is_taken_out_is_free_after_a_moment(void **state)
{
	(void)state;
	struct denylist *l = open_list("{jti: id1}");
	put_entries("");
	assert_true(refuses(l));
	put_entries("{jti: other}"); /* more changes do not shorten it */
	assert_true(refuses(l));
	clock_advance(3 * CLOCK_SECOND);
	assert_false(refuses(l));
	denylist_unref(&l);
}

static void test_row96_a_bad_file_changes_nothing(void **state)
{
	(void)state;
	static const char *const bad[] = {"", HEAD, HEAD "entries: [{jti: id2}", HEAD "entries:\n- {jti: id2}",
	    "<html>\n", HEAD "expect: {entries: 3}\nentries: []\n", "\x00\x01", "entries: []\n"};
	struct denylist *l = open_list("{jti: id1}");
	struct metric *stale = metrics_gauge("portcullis_denylist_stale", "", "");
	struct buf b;
	buf_init(&b, 4096);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		put(bad[i]);
		settle(l);
		assert_true(refuses(l));
		assert_true(metric_value(stale) == 1);
		assert_int_equal(told.entries, 1);
	}
	assert_in_range(told.bad, 2, ARRAY_LEN(bad)); /* once for each fault */
	denylist_status(l, &b);
	assert_int_equal(buf_cstr(&b)[0], '-');
	assert_non_null(strstr(buf_cstr(&b), "1 entries; the file cannot be used: "));
	unlink(path);
	unsigned before = told.bad;
	settle(l);
	assert_true(refuses(l) && refuses(l));
	assert_int_equal(told.bad, before + 1);
	assert_non_null(strstr(told.last, "No such file"));
	/* The same bytes again: well again. */
	put_entries("{jti: id1}");
	unsigned good = told.good;
	assert_true(refuses(l));
	assert_int_equal(told.good, good + 1);
	assert_true(metric_value(stale) == 0);
	b.len = 0;
	denylist_status(l, &b);
	assert_int_equal(buf_cstr(&b)[0], '+');
	buf_done(&b);
	denylist_unref(&l);
}

static void test_row96_links_and_renames_are_followed(void **state)
{
	(void)state;
	char target[80], other[80];
	struct denylist *l = NULL;
	struct diags d = {0};
	struct err e;
	memset(&told, 0, sizeof(told));
	snprintf(target, sizeof(target), "%s/a", dir);
	snprintf(other, sizeof(other), "%s/b", dir);
	static const char none[] = HEAD "entries: [{jti: idx}]\n", one[] = HEAD "entries: [{jti: id1}]\n";
	assert_int_equal(file_write_atomic(target, none, strlen(none), 0600, &e), ERR_OK);
	assert_int_equal(file_write_atomic(other, one, strlen(one), 0600, &e), ERR_OK);
	unlink(path);
	assert_int_equal(symlink(target, path), 0);
	assert_int_equal(denylist_open(path, &named, &options, &l, &d), ERR_OK);
	assert_false(refuses(l));
	unlink(path);
	assert_int_equal(symlink(other, path), 0);
	assert_true(refuses(l));
	assert_int_equal(file_write_atomic(other, none, strlen(none), 0600, &e), ERR_OK);
	settle(l);
	assert_false(refuses(l));
	assert_int_equal(file_write_atomic(other, one, strlen(one), 0600, &e), ERR_OK);
	assert_true(refuses(l));
	denylist_unref(&l);
	unlink(target);
	unlink(other);
	unlink(path);
	diags_done(&d);
}

static void test_at_start_the_file_must_be_good(void **state)
{
	(void)state;
	static const char *const bad[] = {NULL, "", "x\n", HEAD "entries: 5\n"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct denylist *l = (void *)(uintptr_t)&bad;
		struct diags d = {0};
		if (bad[i])
			put(bad[i]);
		else
			unlink(path);
		assert_int_not_equal(denylist_open(path, &named, NULL, &l, &d), ERR_OK);
		assert_null(l);
		assert_string_equal(d.items[0].file, bad[i] ? path : "conf.yaml");
		diags_done(&d);
	}
	struct denylist *l;
	struct diags d = {0};
	assert_int_not_equal(denylist_open(dir, &named, NULL, &l, &d), ERR_OK);
	diags_done(&d);
}

static void test_no_list_refuses_nobody(void **state)
{
	(void)state;
	assert_false(denylist_refuses(NULL, &jane, &card, NOW, NULL));
	assert_null(denylist_ref(NULL));
}

static atomic_bool stop;

static void *ask(void *arg)
{
	struct denylist *l = denylist_ref(arg);
	while (!atomic_load(&stop))
		assert_true(refuses(l));
	denylist_unref(&l);
	return NULL;
}

static void test_never_shrinks_while_it_is_written(void **state)
{
	(void)state;
	struct denylist *l = open_list("{jti: id1}");
	pthread_t t[3];
	atomic_store(&stop, false);
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		assert_int_equal(pthread_create(&t[i], NULL, ask, l), 0);
	/* In pieces, of which some read well and lack the entry. */
	static const char start[] = HEAD "entries:\n- {jti: other}\n", rest[] = "- {jti: id1}\n";
	for (int i = 0; i < 100; i++) {
		int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		assert_true(fd >= 0);
		assert_int_equal(write(fd, start, strlen(start)), (ssize_t)strlen(start));
		denylist_look(l);
		assert_int_equal(write(fd, rest, strlen(rest)), (ssize_t)strlen(rest));
		close(fd);
		denylist_look(l);
	}
	atomic_store(&stop, true);
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		pthread_join(t[i], NULL);
	denylist_unref(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_refuses_with_a_place),
	    cmocka_unit_test(test_finds_what_fits_all_that_an_entry_tells),
	    cmocka_unit_test(test_without_a_time_of_issue_everything_is_old),
	    cmocka_unit_test(test_an_identity_that_tells_nothing_fits_nothing),
	    cmocka_unit_test(test_says_which_entry_and_why),
	    cmocka_unit_test(test_a_hundred_thousand_entries),
	    cmocka_unit_test(test_is_effective_with_the_next_question),
	    cmocka_unit_test(test_what_is_taken_out_is_free_after_a_moment),
	    cmocka_unit_test(test_row96_a_bad_file_changes_nothing),
	    cmocka_unit_test(test_row96_links_and_renames_are_followed),
	    cmocka_unit_test(test_at_start_the_file_must_be_good),
	    cmocka_unit_test(test_no_list_refuses_nobody),
	    cmocka_unit_test(test_never_shrinks_while_it_is_written),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
