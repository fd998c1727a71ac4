/* Proves the audit log on real files: chain, rotation, truncation, full disks, lost records, crashes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/audit.h"
#include "common/file.h"
#include "common/metrics.h"
#include "common/secret.h"

static char dir[PATH_MAX];
static struct arena arena;

static const char *at(const char *name)
{
	return arena_printf(&arena, "%s/%s", dir, name);
}

static int setup(void **state)
{
	(void)state;
	memcpy(dir, "audit-test-XXXXXX", 18);
	arena_init(&arena, 0);
	signal(SIGXFSZ, SIG_IGN);
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	DIR *d = opendir(dir);
	struct dirent *entry;
	while (d && (entry = readdir(d)) != NULL)
		unlink(at(entry->d_name));
	if (d)
		closedir(d);
	rmdir(dir);
	arena_done(&arena);
	return 0;
}

static struct audit_log *open_log(const char *path)
{
	struct audit_log *log;
	struct err e = {0};
	if (audit_open(path, &log, &e) != ERR_OK)
		fail_msg("%s", e.msg);
	return log;
}

static void decide(struct audit_log *log, int n)
{
	char id[32];
	snprintf(id, sizeof(id), "id-%d", n);
	struct audit_authz r = {.id = id, .api_version = "authorization.k8s.io/v1",
	    .user = {.name = SLICE("jane")}, .resource_request = true, .verb = SLICE("get"),
	    .resource = SLICE("pods"), .decision = "allow", .rule = "r"};
	audit_write_authz(log, &r);
}

static double metric_of(const char *name, const char *labels)
{
	return metric_value(metrics_counter(name, "", labels));
}

static struct slice content(const char *name)
{
	struct slice text;
	struct err e = {0};
	if (file_read(&arena, at(name), 64 << 20, &text, &e) != ERR_OK)
		fail_msg("%s", e.msg);
	return text;
}

/* What a verifier keeps from line to line. */
struct verifier {
	char prev[65], chain[27];
	json_int_t seq;
	int decisions, gaps, skipped;
	json_int_t lost;
	json_t *last;
};

static const char *str(json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));
	return s ? s : "";
}

/* The rule as docs/audit-record.md has it, written a second time. */
static void verify_line(struct verifier *v, struct slice line)
{
	json_t *j = json_loadb(line.p, line.len, JSON_REJECT_DUPLICATES, NULL);
	if (!j) {
		v->skipped++;
		return;
	}
	struct buf b;
	char want[65];
	buf_init(&b, SIZE_MAX);
	buf_add(&b, line.p, line.len - strlen(",\"hash\":\"\"}") - 64);
	buf_addc(&b, '}');
	sha256_hex(b.p, b.len, want);
	buf_done(&b);
	assert_string_equal(str(j, "hash"), want);
	if (v->prev[0]) {
		assert_string_equal(str(j, "prev"), v->prev);
		assert_string_equal(str(j, "chain"), v->chain);
	}
	json_int_t seq = json_integer_value(json_object_get(j, "seq"));
	json_t *self = json_object_get(j, "audit");
	if (strcmp(str(j, "type"), "audit.gap") == 0) {
		json_int_t from = json_integer_value(json_object_get(self, "from"));
		json_int_t to = json_integer_value(json_object_get(self, "to"));
		assert_int_equal(from, v->seq + 1);
		assert_int_equal(to, seq - 1);
		assert_int_equal(json_integer_value(json_object_get(self, "count")), to - from + 1);
		v->lost += to - from + 1;
		v->gaps++;
	} else if (v->seq > 0) {
		assert_int_equal(seq, v->seq + 1);
	}
	v->decisions += strcmp(str(j, "type"), "authz.decision") == 0;
	v->seq = seq;
	memcpy(v->prev, want, sizeof(v->prev));
	snprintf(v->chain, sizeof(v->chain), "%s", str(j, "chain"));
	json_decref(v->last);
	v->last = j;
}

static void verify(struct verifier *v, const char *name)
{
	struct slice text = content(name);
	assert_true(text.len == 0 || text.p[text.len - 1] == '\n');
	while (text.len > 0) {
		size_t n = slice_find(text, '\n');
		verify_line(v, (struct slice){text.p, n});
		text = slice_skip(text, n + 1);
	}
}

static void verifier_done(struct verifier *v)
{
	json_decref(v->last);
}

static json_int_t self_number(const struct verifier *v, const char *key)
{
	return json_integer_value(json_object_get(json_object_get(v->last, "audit"), key));
}

/* The only record of TYPE in the text, parsed; the caller frees. */
static json_t *find(const char *name, const char *type)
{
	struct slice text = content(name);
	json_t *found = NULL;
	while (text.len > 0) {
		size_t n = slice_find(text, '\n');
		json_t *j = json_loadb(text.p, n, 0, NULL);
		if (j && strcmp(str(j, "type"), type) == 0) {
			assert_null(found);
			found = json_incref(j);
		}
		json_decref(j);
		text = slice_skip(text, n + 1);
	}
	return found;
}

static void test_records_are_chained_and_counted(void **state)
{
	(void)state;
	struct stat st;
	double before = metric_of("portcullis_audit_records_total", "type=\"authz.decision\"");
	struct audit_log *log = open_log(at("a"));
	audit_write_event(log, "server.start", NULL);
	for (int i = 0; i < 100; i++)
		decide(log, i);
	audit_write_policy(log, &(struct audit_policy){.source = "p", .generation = 1});
	audit_write_authn(log, &(struct audit_authn){.decision = "refused"});
	assert_true(audit_flush(log));
	assert_int_equal(stat(at("a"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	struct verifier v = {0};
	verify(&v, "a");
	assert_int_equal(v.seq, 104);
	assert_int_equal(v.decisions, 100);
	assert_string_equal(str(v.last, "type"), "authn.review");
	verifier_done(&v);
	assert_true(metric_of("portcullis_audit_records_total", "type=\"authz.decision\"") ==
		    before + 100);
	assert_true(metric_value(metrics_gauge("portcullis_audit_queue_depth", "", "")) == 0);
	audit_close(&log);
	assert_null(log);
	audit_close(&log);
}

static void test_no_log_is_no_error(void **state)
{
	(void)state;
	decide(NULL, 1);
	audit_write_event(NULL, "server.start", NULL);
	audit_write_policy(NULL, NULL);
	audit_write_authn(NULL, NULL);
	audit_reopen(NULL);
	assert_true(audit_flush(NULL));
	assert_false(audit_trouble(NULL, NULL, NULL));
	audit_close(NULL);
}

static void test_restart_goes_on_with_the_chain(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		struct audit_log *log = open_log(at("a"));
		decide(log, i);
		audit_close(&log);
	}
	struct verifier v = {0};
	verify(&v, "a");
	assert_int_equal(v.seq, 6);
	assert_int_equal(v.decisions, 3);
	verifier_done(&v);
}

static void append(const char *name, const void *p, size_t n)
{
	FILE *f = fopen(at(name), "a");
	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

static void test_torn_last_line_is_ended_and_told(void **state)
{
	(void)state;
	struct audit_log *log = open_log(at("a"));
	decide(log, 1);
	audit_close(&log);
	append("a", "{\"v\":1,\"ts\":\"20", 15);
	log = open_log(at("a"));
	audit_close(&log);
	struct verifier v = {0};
	verify(&v, "a");
	assert_int_equal(v.skipped, 1);
	assert_int_equal(v.seq, 3);
	assert_int_equal(self_number(&v, "tornBytes"), 15);
	verifier_done(&v);
}

static void test_last_line_that_lost_its_newline_is_whole(void **state)
{
	(void)state;
	struct audit_log *log = open_log(at("a"));
	decide(log, 1);
	audit_close(&log);
	assert_int_equal(truncate(at("a"), (off_t)content("a").len - 1), 0);
	log = open_log(at("a"));
	audit_close(&log);
	struct verifier v = {0};
	verify(&v, "a");
	assert_int_equal(v.skipped, 0);
	assert_int_equal(v.seq, 3);
	assert_null(json_object_get(json_object_get(v.last, "audit"), "tornBytes"));
	verifier_done(&v);
}

/* A last record that was tampered with, a foreign file, one long line: a new chain, nothing erased. */
static void test_unsound_files_get_a_new_chain(void **state)
{
	(void)state;
	static char junk[100000];
	memset(junk, 'x', sizeof(junk));
	struct audit_log *log = open_log(at("tampered"));
	decide(log, 1);
	audit_close(&log);
	struct slice text = content("tampered");
	char *verb = memmem(text.p, text.len, "\"allow\"", 7);
	assert_non_null(verb);
	verb[1] = 'A';
	struct err e = {0};
	assert_int_equal(file_write_atomic(at("tampered"), text.p, text.len, 0600, &e), ERR_OK);
	append("foreign", "hello\nworld\n", 12);
	append("long", junk, sizeof(junk));
	static const char *const names[] = {"tampered", "foreign", "long"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		size_t before = content(names[i]).len;
		log = open_log(at(names[i]));
		audit_close(&log);
		struct slice after = content(names[i]);
		const char *line = memrchr(after.p, '\n', after.len - 1);
		json_t *j = json_loads(line + 1, 0, NULL);
		assert_non_null(j);
		assert_true((size_t)(line + 1 - after.p) - before <= 1);
		assert_int_equal(json_integer_value(json_object_get(j, "seq")), 1);
		assert_int_equal(strspn(str(j, "prev"), "0"), 64);
		assert_null(json_object_get(json_object_get(j, "audit"), "continued"));
		json_decref(j);
	}
}

static void test_paths_that_are_refused(void **state)
{
	(void)state;
	struct audit_log *log = NULL, *first = open_log(at("a"));
	struct err e = {0};
	assert_int_equal(symlink("b", at("link")), 0);
	assert_int_equal(mkfifo(at("fifo"), 0600), 0);
	static const struct {
		const char *name;
		enum err_code code;
	} cases[] = {
	    {"a", ERR_UNAVAILABLE}, /* in use */
	    {"link", ERR_INVALID},  {"none/a", ERR_NOT_FOUND}, {"a/b", ERR_NOT_FOUND},
	    {".", ERR_INVALID},	    {"fifo", ERR_INVALID},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(audit_open(at(cases[i].name), &log, &e), cases[i].code);
		assert_null(log);
		assert_non_null(strstr(e.msg, cases[i].name));
	}
	audit_close(&first);
	first = open_log(at("a"));
	audit_close(&first);
}

static void check_rotated(const char *first, const char *second, int in_first, int in_second)
{
	struct verifier v = {0};
	verify(&v, first);
	assert_int_equal(v.decisions, in_first);
	verify(&v, second);
	assert_int_equal(v.decisions, in_first + in_second);
	assert_int_equal(v.gaps + v.skipped, 0);
	verifier_done(&v);
}

static void test_rotation_with_sighup_loses_nothing(void **state)
{
	(void)state;
	struct audit_log *log = open_log(at("a"));
	decide(log, 1);
	assert_true(audit_flush(log));
	assert_int_equal(rename(at("a"), at("a.1")), 0);
	audit_reopen(log);
	decide(log, 2);
	decide(log, 3);
	assert_true(audit_flush(log));
	check_rotated("a.1", "a", 1, 2);
	json_t *j = find("a", "audit.rotated");
	assert_non_null(j);
	json_decref(j);
	audit_reopen(log); /* nothing to do: no record */
	decide(log, 4);
	audit_close(&log);
	check_rotated("a.1", "a", 1, 3);
}

static void test_rotation_is_noticed_without_sighup(void **state)
{
	(void)state;
	struct audit_log *log = open_log(at("a"));
	decide(log, 1);
	assert_true(audit_flush(log));
	assert_int_equal(rename(at("a"), at("a.1")), 0);
	decide(log, 2);
	assert_true(audit_flush(log));
	check_rotated("a.1", "a", 1, 1);
	/* Deleted, and replaced by a file that is not empty. */
	assert_int_equal(unlink(at("a")), 0);
	append("a", "torn", 4);
	decide(log, 3);
	audit_close(&log);
	struct verifier v = {0};
	verify(&v, "a");
	assert_int_equal(v.skipped, 1);
	assert_int_equal(v.decisions, 1);
	verifier_done(&v);
	json_t *j = find("a", "audit.rotated");
	assert_int_equal(json_integer_value(
			     json_object_get(json_object_get(j, "audit"), "tornBytes")),
	    4);
	json_decref(j);
}

/* The directory cannot be written: the renamed file goes on being used; a deleted one is not. */
static void test_rotation_into_nowhere(void **state)
{
	(void)state;
	char away[PATH_MAX + 8];
	struct audit_log *log = open_log(at("a"));
	decide(log, 1);
	assert_true(audit_flush(log));
	snprintf(away, sizeof(away), "%s.away", dir);
	assert_int_equal(rename(dir, away), 0);
	decide(log, 2);
	assert_true(audit_flush(log));
	snprintf(away, sizeof(away), "%s.away/a", dir);
	assert_int_equal(unlink(away), 0);
	int64_t since;
	struct err why = {0};
	assert_false(audit_trouble(log, &since, &why));
	decide(log, 3);
	assert_false(audit_flush(log));
	assert_true(audit_trouble(log, &since, &why));
	assert_string_equal(why.msg, "No such file or directory");
	snprintf(away, sizeof(away), "%s.away", dir);
	assert_int_equal(rename(away, dir), 0);
	audit_reopen(log);
	while (!audit_flush(log))
		;
	assert_false(audit_trouble(log, &since, &why));
	struct verifier v = {0};
	verify(&v, "a");
	assert_int_equal(v.decisions, 1);
	verifier_done(&v);
	audit_close(&log);
}

static void test_truncation_is_recorded(void **state)
{
	(void)state;
	struct audit_log *log = open_log(at("a"));
	for (int i = 0; i < 10; i++)
		decide(log, i);
	assert_true(audit_flush(log));
	size_t had = content("a").len;
	assert_int_equal(truncate(at("a"), 100), 0);
	decide(log, 10);
	audit_close(&log);
	struct verifier v = {0};
	verify(&v, "a");
	assert_int_equal(v.skipped, 1); /* the 100 bytes, ended by a newline */
	assert_int_equal(v.decisions, 1);
	assert_int_equal(v.seq, 13);
	verifier_done(&v);
	json_t *j = find("a", "audit.truncated"), *self = json_object_get(j, "audit");
	assert_int_equal(json_integer_value(json_object_get(self, "offset")), had);
	assert_int_equal(json_integer_value(json_object_get(self, "size")), 100);
	json_decref(j);
}

static struct rlimit unlimited;

static void limit_files(rlim_t bytes)
{
	getrlimit(RLIMIT_FSIZE, &unlimited);
	struct rlimit small = {bytes, unlimited.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
}

static void lift_limit(void)
{
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &unlimited), 0);
}

static void test_full_disk_loses_nothing_that_fits_the_queue(void **state)
{
	(void)state;
	struct audit_log *log = open_log(at("a"));
	assert_true(audit_flush(log));
	limit_files((rlim_t)content("a").len + 700); /* ends within the second record */
	double before = metric_of("portcullis_audit_write_errors_total", "");
	for (int i = 0; i < 20; i++)
		decide(log, i);
	bool written = audit_flush(log);
	lift_limit();
	assert_false(written);
	assert_true(metric_of("portcullis_audit_write_errors_total", "") > before);
	audit_reopen(log);
	while (!audit_flush(log))
		;
	struct verifier v = {0};
	verify(&v, "a");
	assert_int_equal(v.decisions, 20);
	assert_int_equal(v.gaps + v.skipped, 0);
	verifier_done(&v);
	audit_close(&log);
}

/* Full within a line, then rotated away: the line that was cut is whole in the next file. */
static void test_full_file_rotated_away(void **state)
{
	(void)state;
	struct audit_log *log = open_log(at("a"));
	assert_true(audit_flush(log));
	size_t had = content("a").len;
	limit_files((rlim_t)had + 700);
	for (int i = 0; i < 20; i++)
		decide(log, i);
	bool written = audit_flush(log);
	assert_int_equal(rename(at("a"), at("a.1")), 0);
	lift_limit();
	assert_false(written);
	audit_reopen(log);
	while (!audit_flush(log))
		;
	audit_close(&log);
	struct slice torn = content("a.1");
	assert_int_equal(torn.len, had + 700);
	append("a.1", "\n", 1);
	struct verifier v = {0};
	verify(&v, "a.1");
	assert_int_equal(v.skipped, 1);
	verify(&v, "a");
	assert_int_equal(v.decisions, 20);
	assert_int_equal(v.skipped, 1);
	verifier_done(&v);
}

static void test_overflow_leaves_a_gap_record(void **state)
{
	(void)state;
	struct audit_log *log = open_log(at("a"));
	assert_true(audit_flush(log));
	double before = metric_of("portcullis_audit_dropped_total", "");
	limit_files(1);
	decide(log, 0);
	bool written = audit_flush(log); /* the writer holds one record and backs off */
	for (int i = 0; i < AUDIT_QUEUE_MAX + 50; i++)
		decide(log, i);
	lift_limit();
	assert_false(written);
	assert_int_equal(metric_of("portcullis_audit_dropped_total", "") - before, 50);
	audit_reopen(log);
	while (!audit_flush(log))
		;
	decide(log, 1);
	audit_close(&log);
	struct verifier v = {0};
	verify(&v, "a");
	assert_int_equal(v.decisions, AUDIT_QUEUE_MAX + 2);
	assert_int_equal(v.gaps, 1);
	assert_int_equal(v.lost, 50);
	verifier_done(&v);
}

/* Records of the greatest length fill the queue by bytes long before they do by number. */
static void test_queue_is_bounded_in_bytes(void **state)
{
	(void)state;
	static char big[4000];
	static struct slice many[40];
	memset(big, 'g', sizeof(big));
	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		many[i] = (struct slice){big, 1000};
	struct audit_authz r = {.decision = "allow",
	    .user = {.groups = many, .ngroups = ARRAY_LEN(many)}};
	struct audit_log *log = open_log(at("a"));
	assert_true(audit_flush(log));
	double before = metric_of("portcullis_audit_dropped_total", "");
	limit_files(1);
	decide(log, 0);
	bool written = audit_flush(log);
	for (int i = 0; i < 4000; i++)
		audit_write_authz(log, &r);
	double dropped = metric_of("portcullis_audit_dropped_total", "") - before;
	lift_limit();
	assert_false(written);
	assert_true(dropped > 1000 && dropped < 3000);
	audit_close(&log);
	struct verifier v = {0};
	verify(&v, "a");
	assert_int_equal(v.decisions + v.lost, 4001);
	assert_int_equal(v.lost, (json_int_t)dropped);
	assert_int_equal(v.gaps, 1); /* at the end: no record came after it */
	verifier_done(&v);
}

static void test_close_does_not_wait_for_a_dead_disk(void **state)
{
	(void)state;
	double before = metric_of("portcullis_audit_dropped_total", "");
	struct audit_log *log = open_log("/dev/full");
	for (int i = 0; i < 3; i++)
		decide(log, i);
	assert_false(audit_flush(log));
	int64_t since = 0;
	struct err why = {0};
	assert_true(audit_trouble(log, &since, &why) && since > 0);
	assert_string_equal(why.msg, "No space left on device");
	audit_close(&log);
	assert_true(metric_of("portcullis_audit_dropped_total", "") == before + 4); /* audit.opened too */
}

#define WRITERS 4
#define EACH 500

static void *write_many(void *log)
{
	for (int i = 0; i < EACH; i++)
		decide(log, i);
	return NULL;
}

static void test_threads_rotation_and_flush_together(void **state)
{
	(void)state;
	pthread_t t[WRITERS];
	struct audit_log *log = open_log(at("a"));
	for (size_t i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, write_many, log), 0);
	assert_true(audit_flush(log));
	assert_int_equal(rename(at("a"), at("a.1")), 0);
	audit_reopen(log);
	assert_true(audit_flush(log));
	for (size_t i = 0; i < WRITERS; i++)
		pthread_join(t[i], NULL);
	audit_close(&log);
	struct verifier v = {0};
	verify(&v, "a.1");
	verify(&v, "a");
	assert_int_equal(v.decisions, WRITERS * EACH);
	assert_int_equal(v.gaps + v.skipped, 0);
	verifier_done(&v);
}

static void test_standard_output(void **state)
{
	(void)state;
	int saved = dup(STDOUT_FILENO);
	int fd = open(at("out"), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
	fflush(stdout);
	dup2(fd, STDOUT_FILENO);
	struct audit_log *log = open_log("-");
	dup2(saved, STDOUT_FILENO);
	close(saved);
	close(fd);
	decide(log, 1);
	audit_reopen(log);
	decide(log, 2);
	audit_close(&log);
	struct verifier v = {0};
	verify(&v, "out");
	assert_int_equal(v.seq, 3);
	verifier_done(&v);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_records_are_chained_and_counted),
	    CASE(test_no_log_is_no_error),
	    CASE(test_restart_goes_on_with_the_chain),
	    CASE(test_torn_last_line_is_ended_and_told),
	    CASE(test_last_line_that_lost_its_newline_is_whole),
	    CASE(test_unsound_files_get_a_new_chain),
	    CASE(test_paths_that_are_refused),
	    CASE(test_rotation_with_sighup_loses_nothing),
	    CASE(test_rotation_is_noticed_without_sighup),
	    CASE(test_rotation_into_nowhere),
	    CASE(test_truncation_is_recorded),
	    CASE(test_full_disk_loses_nothing_that_fits_the_queue),
	    CASE(test_full_file_rotated_away),
	    CASE(test_overflow_leaves_a_gap_record),
	    CASE(test_queue_is_bounded_in_bytes),
	    CASE(test_close_does_not_wait_for_a_dead_disk),
	    CASE(test_threads_rotation_and_flush_together),
	    CASE(test_standard_output),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
