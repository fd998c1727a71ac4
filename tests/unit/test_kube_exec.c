/* Proves the running of credential plugins: what they get, what is taken from them, and that none can hold us up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "rbac-sync/kube_exec.h"

#define V1 "client.authentication.k8s.io/v1"
#define HEAD "{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1 "\",\"status\":"

static char dir[64], script[96], note[96];

static bool same(struct secret s, const char *text)
{
	return s.len == strlen(text) && (s.len == 0 || memcmp(s.p, text, s.len) == 0);
}

static void test_what_is_an_answer(void **state)
{
	(void)state;
	static const struct {
		const char *text, *token, *cert, *finding;
	} rows[] = {
	    {HEAD "{\"token\":\"t\"}}", "t", "", NULL},
	    {HEAD "{\"clientCertificateData\":\"c\",\"clientKeyData\":\"k\"}}", "", "c", NULL},
	    {HEAD "{\"token\":\"t\",\"clientCertificateData\":\"c\",\"clientKeyData\":\"k\",\"x\":1},\"spec\":{}}", "t",
		"c", NULL},
	    {"", NULL, NULL, "not JSON"},
	    {"hunter2", NULL, NULL, "not JSON"},
	    {"{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1 "beta1\",\"status\":{\"token\":\"hunter2\"}}", NULL, NULL,
		"version " V1},
	    {"{\"kind\":\"Config\",\"apiVersion\":\"" V1 "\",\"status\":{\"token\":\"hunter2\"}}", NULL, NULL,
		"no ExecCredential"},
	    {HEAD "{}}", NULL, NULL, "without token"},
	    {HEAD "null}", NULL, NULL, "without token"},
	    {HEAD "{\"token\":\"\"}}", NULL, NULL, "without token"},
	    {HEAD "{\"token\":7}}", NULL, NULL, "token: not a string"},
	    {HEAD "{\"clientCertificateData\":\"c\"}}", NULL, NULL, "no key"},
	    {HEAD "{\"token\":\"hunter2\",\"clientKeyData\":\"k\"}}", NULL, NULL, "no certificate"},
	    {HEAD "{\"token\":\"hunter2\",\"expirationTimestamp\":\"soon\"}}", NULL, NULL, "no time"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct exec_credential c;
		struct err e = {0};
		enum err_code rc = exec_credential_parse(slice_of(rows[i].text), V1, &c, &e);
		if (rows[i].finding) {
			if (rc == ERR_OK || !strstr(e.msg, rows[i].finding) || strstr(e.msg, "hunter2") || c.token.p)
				fail_msg("row %zu: %s", i, e.msg);
			continue;
		}
		if (rc != ERR_OK || !same(c.token, rows[i].token) || !same(c.cert_pem, rows[i].cert) || c.expires)
			fail_msg("row %zu: %s", i, e.msg);
		exec_credential_free(&c);
	}
	struct exec_credential c;
	assert_int_equal(exec_credential_parse(
			     SLICE(HEAD "{\"token\":\"t\",\"expirationTimestamp\":\"2026-11-23T00:00:00Z\"}}"), V1, &c, NULL),
	    ERR_OK);
	assert_int_equal(c.expires / CLOCK_SECOND, 1795392000);
	exec_credential_free(&c);
}

/* Runs BODY as a shell script with ARGV behind it. */
static enum err_code run(const char *body, const char *const *env, int64_t timeout_ms, const struct cancel *cancel,
    struct exec_credential *c, struct err *e)
{
	static const char *const none[] = {NULL};
	FILE *f = fopen(script, "w");
	assert_non_null(f);
	fprintf(f, "#!/bin/sh\n%s\n", body);
	fclose(f);
	assert_int_equal(chmod(script, 0700), 0);
	const char *const argv[] = {script, "one", "two words", NULL};
	const struct kubeconfig_exec x = {.api_version = V1, .argv = argv, .env = env ? env : none};
	return exec_credential_get(&x, timeout_ms, cancel, c, e);
}

static void test_what_a_plugin_gets(void **state)
{
	(void)state;
	struct exec_credential c;
	struct err e = {0};
	const char *const env[] = {"MINE=m", "PATH_KEPT=", "TWICE=plugin", NULL};
	setenv("TWICE", "ours", 1);
	setenv("INHERITED", "i", 1);
	setenv("KUBERNETES_EXEC_INFO", "of another", 1);
	int fd = open("/dev/null", O_RDONLY); /* without O_CLOEXEC */
	/* Its input is empty, it has no terminal, and of descriptors only 0, 1, 2 (and 3: the listing's own). */
	enum err_code rc = run("test -z \"$(cat)\" || exit 3\n"
			       "test \"$1:$2:$#\" = 'one:two words:2' || exit 4\n"
			       "test \"$MINE:$TWICE:$INHERITED\" = m:plugin:i || exit 5\n"
			       "test \"$(ls /proc/self/fd | tr '\\n' ,)\" = 0,1,2,3, || exit 6\n"
			       "(: >/dev/tty) 2>/dev/null && exit 7\n"
			       "test \"$(env | grep -c ^TWICE=)$(env | grep -c ^KUBERNETES_EXEC_INFO=)\" = 11 || exit 8\n"
			       "case $KUBERNETES_EXEC_INFO in *'\"apiVersion\":\"" V1 "\"'*'\"interactive\":false'*) ;; *) exit 9;; esac\n"
			       "echo '" HEAD "{\"token\":\"t\"}}'",
	    env, 60000, NULL, &c, &e);
	close(fd);
	if (rc != ERR_OK)
		fail_msg("%s", e.msg);
	assert_true(same(c.token, "t"));
	exec_credential_free(&c);
}

static void test_failures_say_nothing_secret(void **state)
{
	(void)state;
	static const struct {
		const char *body;
		enum err_code code;
		const char *finding;
	} rows[] = {
	    {"echo hunter2; exit 7", ERR_UNAVAILABLE, "exit code 7"},
	    {"echo '" HEAD "{\"token\":\"hunter2\"}}'; exit 1", ERR_UNAVAILABLE, "exit code 1"},
	    {"kill -KILL $$", ERR_UNAVAILABLE, "signal 9"},
	    {"echo hunter2", ERR_INVALID, "not JSON"},
	    {"exec head -c 1100000 /dev/zero", ERR_LIMIT, "more than"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct exec_credential c;
		struct err e = {0};
		if (run(rows[i].body, NULL, 60000, NULL, &c, &e) != rows[i].code || !strstr(e.msg, rows[i].finding) ||
		    strstr(e.msg, "hunter2") || !strstr(e.msg, script))
			fail_msg("row %zu: %s", i, e.msg);
	}
	const char *const argv[] = {"portcullis-no-such-program", NULL}, *const env[] = {NULL};
	const struct kubeconfig_exec x = {.api_version = V1, .argv = argv, .env = env};
	struct exec_credential c;
	struct err e;
	assert_int_equal(exec_credential_get(&x, 1000, NULL, &c, &e), ERR_UNAVAILABLE);
	assert_non_null(strstr(e.msg, "cannot be run"));
}

/* The process whose number is in the note is gone. */
static bool is_gone(void)
{
	long pid = 0;
	FILE *f = fopen(note, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%ld", &pid), 1);
	fclose(f);
	for (int i = 0; i < 500 && kill((pid_t)pid, 0) == 0; i++)
		usleep(10000); /* till whoever inherited it has reaped it */
	return kill((pid_t)pid, 0) != 0;
}

static void test_one_that_does_not_end_is_ended_with_its_children(void **state)
{
	(void)state;
	struct exec_credential c;
	struct err e;
	char body[256];
	snprintf(body, sizeof(body), "sleep 1000 & echo $! >%s; wait", note);
	assert_int_equal(run(body, NULL, 500, NULL, &c, &e), ERR_TIMEOUT);
	assert_true(is_gone());
	/* It closes what we listen to and stays. */
	snprintf(body, sizeof(body), "echo $$ >%s; exec >/dev/null; exec sleep 1000", note);
	assert_int_equal(run(body, NULL, 500, NULL, &c, &e), ERR_TIMEOUT);
	assert_true(is_gone());
	struct cancel cancel;
	cancel_init(&cancel);
	cancel_ask(&cancel);
	assert_int_equal(run("exec sleep 1000", NULL, 600000, &cancel, &c, &e), ERR_UNAVAILABLE);
	cancel_done(&cancel);
}

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/portcullis-exec-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(script, sizeof(script), "%s/plugin", dir);
	snprintf(note, sizeof(note), "%s/note", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(script);
	unlink(note);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_is_an_answer),
	    cmocka_unit_test(test_what_a_plugin_gets),
	    cmocka_unit_test(test_failures_say_nothing_secret),
	    cmocka_unit_test(test_one_that_does_not_end_is_ended_with_its_children),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
