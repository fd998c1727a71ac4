/* Proves the configuration: valid files load with the values they state, invalid ones say why and where,
 * listen addresses are literal, and the reference manual is what the tables print. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/listen.h"
#include "server/config.h"

static const char *source(struct arena *a, const char *rel)
{
	const char *top = getenv("top_srcdir");
	return arena_printf(a, "%s/%s", top ? top : ".", rel);
}

static struct slice read_source(struct arena *a, const char *path)
{
	struct slice text;
	struct err e = {0};
	if (file_read(a, path, CONFIG_BYTES_MAX, &text, &e) != ERR_OK)
		fail_msg("%s: %s", path, e.msg);
	return text;
}

static struct config *load(struct arena *a, const char *rel)
{
	struct config *c = NULL;
	struct diags d = {0};
	if (config_load(source(a, rel), &c, &d) != ERR_OK) {
		struct err e;
		diags_to_err(&d, &e);
		fail_msg("%s", e.msg);
	}
	assert_int_equal(d.errors, 0);
	diags_done(&d);
	return c;
}

static void test_tables_are_sound(void **state)
{
	(void)state;
	struct buf why;
	buf_init(&why, 4096);
	if (!schema_sound(&config_schema, &why))
		fail_msg("%s", buf_cstr(&why));
	buf_done(&why);
}

static void test_full_file_gives_its_values(void **state)
{
	(void)state;
	struct arena a;
	arena_init(&a, 0);
	struct config *c = load(&a, "tests/cases/config/valid/full.yaml");
	assert_string_equal(c->webhook.listen, "127.0.0.1:8443");
	assert_string_equal(c->webhook.certificate_file,
	    source(&a, "tests/cases/config/valid/pki/server.crt"));
	assert_string_equal(c->webhook.key_file, "/etc/keys/server.key");
	assert_int_equal(c->webhook.allowed_clients.len, 2);
	assert_string_equal(c->webhook.allowed_clients.items[1], "apiserver.example.com");
	assert_int_equal(c->webhook.deadline, 3 * CLOCK_SECOND);
	assert_string_equal(c->ops.listen, "[::1]:8081");
	assert_true(c->login.present);
	assert_ptr_equal(c->authentication.login, &c->login);
	assert_int_equal(c->authentication.jwt.len, 1);
	assert_int_equal(c->authentication.ldap.len, 1);
	assert_string_equal(c->authorization.policy, source(&a, "tests/cases/config/valid/policy/"));
	assert_int_equal(c->audit.mode, AUDIT_MODE_ASYNC);
	assert_int_equal(c->new_users.touch_interval, 12 * 3600 * CLOCK_SECOND);
	assert_int_equal(c->new_users.durability, SPOOL_DURABILITY_ASYNC);
	assert_int_equal(strlen(c->sha256), 64);
	config_free(&c);
	arena_done(&a);
}

static void test_minimal_file_gets_defaults(void **state)
{
	(void)state;
	struct arena a;
	arena_init(&a, 0);
	struct config *c = load(&a, "tests/cases/config/valid/minimal.yaml");
	assert_string_equal(c->state_dir, "/var/lib/portcullis");
	assert_int_equal(c->webhook.deadline, 5 * CLOCK_SECOND);
	assert_false(c->ops.present);
	assert_false(c->login.present);
	assert_null(c->authentication.login);
	assert_false(c->authorization.present);
	assert_false(c->audit.present);
	assert_false(c->new_users.present);
	config_free(&c);
	arena_done(&a);
}

/* Each line "# expect: LINE:COL: error: …" at the head is one finding; together they are all. */
static void check_invalid(struct arena *a, const char *dir, const char *name)
{
	const char *path = arena_printf(a, "%s/%s", dir, name);
	struct slice text = read_source(a, path);
	struct buf want, got;
	buf_init(&want, 1 << 16);
	buf_init(&got, 1 << 16);
	for (struct slice mark = SLICE("# expect: "); slice_starts(text, mark);) {
		text = slice_skip(text, mark.len);
		size_t end = slice_find(text, '\n');
		buf_printf(&want, "%s:", name);
		buf_add(&want, text.p, end);
		buf_addc(&want, '\n');
		text = slice_skip(text, end + 1);
	}
	assert_true(want.len > 0);
	struct config *c = NULL;
	struct diags d = {0};
	assert_int_not_equal(config_load(path, &c, &d), ERR_OK);
	assert_null(c);
	for (size_t i = 0; i < d.len; i++) {
		assert_string_equal(d.items[i].file, path);
		buf_printf(&got, "%s:%u:%u: %s: %s\n", name, d.items[i].line, d.items[i].col,
		    d.items[i].level == DIAG_ERROR ? "error" : "warning", d.items[i].text);
	}
	assert_string_equal(buf_cstr(&got), buf_cstr(&want));
	diags_done(&d);
	buf_done(&want);
	buf_done(&got);
}

static void test_invalid_files_say_why_and_where(void **state)
{
	(void)state;
	struct arena a;
	arena_init(&a, 0);
	const char *dir = source(&a, "tests/cases/config/invalid");
	const char *const *names;
	size_t n;
	struct err e = {0};
	assert_int_equal(file_list(&a, dir, ".yaml", 1000, &names, &n, &e), ERR_OK);
	assert_true(n >= 15);
	for (size_t i = 0; i < n; i++)
		check_invalid(&a, dir, names[i]);
	arena_done(&a);
}

static void test_missing_file_is_an_error(void **state)
{
	(void)state;
	struct config *c = NULL;
	struct diags d = {0};
	assert_int_not_equal(config_load("/nonexistent/portcullis.yaml", &c, &d), ERR_OK);
	assert_int_equal(d.errors, 1);
	diags_done(&d);
}

static void test_listen_takes_literals_only(void **state)
{
	(void)state;
	static const struct {
		const char *text, *host;
		int port;
	} cases[] = {
	    {"127.0.0.1:8443", "127.0.0.1", 8443},
	    {"[::1]:1", "::1", 1},
	    {":0", "", 0},
	    {"[::ffff:10.0.0.1]:65535", "::ffff:10.0.0.1", 65535},
	    {"localhost:80", NULL, 0},
	    {"127.0.0.1", NULL, 0},
	    {"127.0.0.1:", NULL, 0},
	    {"127.0.0.1:65536", NULL, 0},
	    {"127.0.0.1:-1", NULL, 0},
	    {"127.0.0.1:+1", NULL, 0},
	    {"127.0.0.1: 1", NULL, 0},
	    {"127.0.0.1:123456", NULL, 0},
	    {"::1:80", NULL, 0},
	    {"[::1:80", NULL, 0},
	    {"[]:80", NULL, 0},
	    {"[127.0.0.1]:80", NULL, 0},
	    {"", NULL, 0},
	    {"[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa]:1", NULL, 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char host[LISTEN_HOST_MAX];
		uint16_t port = 0;
		bool ok = listen_parse(cases[i].text, host, &port);
		if (ok != (cases[i].host != NULL))
			fail_msg("%s: %s", cases[i].text, ok ? "accepted" : "refused");
		if (!ok)
			continue;
		assert_string_equal(host, cases[i].host);
		assert_int_equal(port, cases[i].port);
	}
}

static void test_reference_manual_is_what_the_tables_print(void **state)
{
	(void)state;
	struct arena a;
	arena_init(&a, 0);
	struct buf got;
	buf_init(&got, 1 << 20);
	config_print_reference(&got);
	struct slice have = read_source(&a, source(&a, "docs/configuration-reference.md"));
	if (!slice_eq(buf_view(&got), have))
		fail_msg("docs/configuration-reference.md is not what the tables say: run "
			 "portcullisd --print-config-reference >docs/configuration-reference.md");
	buf_done(&got);
	arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_tables_are_sound),
	    cmocka_unit_test(test_full_file_gives_its_values),
	    cmocka_unit_test(test_minimal_file_gets_defaults),
	    cmocka_unit_test(test_invalid_files_say_why_and_where),
	    cmocka_unit_test(test_missing_file_is_an_error),
	    cmocka_unit_test(test_listen_takes_literals_only),
	    cmocka_unit_test(test_reference_manual_is_what_the_tables_print),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
