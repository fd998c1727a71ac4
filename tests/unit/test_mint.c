/* Proves our issuer: keys that survive, tokens that verify, claims that come back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "authn/mint.h"
#include "common/file.h"
#include "common/jsonx.h"
#include "tests/support/tree.h"

static const struct slice audiences[] = {{"https://kubernetes.default.svc", 30}, {"b", 1}};

static struct mint_claims claims(void)
{
	return (struct mint_claims){
	    .issuer = SLICE("https://login.example.com"),
	    .subject = SLICE("corp:1234"),
	    .username = SLICE("corp:jane \"q\""),
	    .directory = SLICE("corp"),
	    .account = SLICE("jane \"q\""),
	    .uid = SLICE("1234"),
	    .audiences = audiences,
	    .naudiences = 2,
	    .issued = 1700000000,
	    .expires = 1700000900,
	};
}

static struct slice sign(struct mint *m, struct arena *a)
{
	struct slice token;
	struct mint_claims c = claims();
	assert_int_equal(mint_sign(m, &c, a, &token, NULL), ERR_OK);
	return token;
}

static enum err_code verify(struct mint *m, struct arena *a, struct slice token)
{
	struct jose_token t;
	enum err_code code = jose_parse(a, token, &t, NULL);
	return code == ERR_OK ? mint_verify(m, &t, NULL) : code;
}

static char *make_dir(char *template)
{
	char *dir = mkdtemp(template);
	assert_non_null(dir);
	return dir;
}

static void key_path(const char *dir, char *out, size_t n)
{
	snprintf(out, n, "%s/login-keys", dir);
}

static void test_token_verifies_and_reads_back(void **state UNUSED)
{
	AUTO(mint_free) struct mint *m = NULL;
	AUTO(arena_done) struct arena a = {0};
	assert_int_equal(mint_open(NULL, &m, NULL), ERR_OK);
	struct slice token = sign(m, &a);
	struct jose_token t;
	assert_int_equal(jose_parse(&a, token, &t, NULL), ERR_OK);
	assert_int_equal(t.alg, JOSE_ES256);
	assert_int_equal(mint_verify(m, &t, NULL), ERR_OK);
	struct mint_claims c, want = claims();
	assert_int_equal(mint_read(&t, &a, &c, NULL), ERR_OK);
	assert_true(slice_eq(c.issuer, want.issuer) && slice_eq(c.subject, want.subject));
	assert_true(slice_eq(c.username, want.username) && slice_eq(c.account, want.account));
	assert_true(slice_eq(c.directory, want.directory) && slice_eq(c.uid, want.uid));
	assert_int_equal(c.naudiences, 2);
	assert_true(slice_eq(c.audiences[0], audiences[0]));
	assert_int_equal(c.issued, want.issued);
	assert_int_equal(c.expires, want.expires);
	/* jti: no two alike. */
	struct slice one, two;
	struct jose_token u;
	struct slice again = sign(m, &a);
	assert_int_equal(jose_parse(&a, again, &u, NULL), ERR_OK);
	assert_int_equal(jsonx_string(t.claims, "jti", &one, NULL), ERR_OK);
	assert_int_equal(jsonx_string(u.claims, "jti", &two, NULL), ERR_OK);
	assert_int_equal(one.len, 26);
	assert_false(slice_eq(one, two));
	/* Groups are never in a token: they would outlive a membership. */
	assert_null(json_object_get(t.claims, "groups"));
}

static void test_changed_or_foreign_tokens_do_not_verify(void **state UNUSED)
{
	AUTO(mint_free) struct mint *m = NULL, *other = NULL;
	AUTO(arena_done) struct arena a = {0};
	assert_int_equal(mint_open(NULL, &m, NULL), ERR_OK);
	assert_int_equal(mint_open(NULL, &other, NULL), ERR_OK);
	struct slice token = sign(m, &a);
	assert_int_equal(verify(m, &a, token), ERR_OK);
	assert_int_not_equal(verify(other, &a, token), ERR_OK);
	size_t changed = 0;
	for (size_t i = 0; i < token.len; i++) {
		struct slice bad = slice_dup(&a, token);
		char *p = (char *)(uintptr_t)bad.p;
		if (p[i] == '.')
			continue;
		p[i] = p[i] == 'A' ? 'B' : 'A';
		assert_int_not_equal(verify(m, &a, bad), ERR_OK);
		changed++;
	}
	assert_true(changed > 300);
}

static void test_keys_survive_and_are_private(void **state UNUSED)
{
	char template[] = "/tmp/test-mint-XXXXXX";
	const char *dir = make_dir(template);
	char path[100];
	key_path(dir, path, sizeof(path));
	AUTO(arena_done) struct arena a = {0};
	AUTO(mint_free) struct mint *m = NULL, *again = NULL;
	assert_int_equal(mint_open(dir, &m, NULL), ERR_OK);
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	struct slice token = sign(m, &a);
	assert_int_equal(mint_open(dir, &again, NULL), ERR_OK);
	assert_int_equal(verify(again, &a, token), ERR_OK);
	remove_tree(dir);
}

static void test_older_keys_still_verify_but_do_not_sign(void **state UNUSED)
{
	char template[] = "/tmp/test-mint-XXXXXX";
	const char *dir = make_dir(template);
	char path[100];
	key_path(dir, path, sizeof(path));
	AUTO(arena_done) struct arena a = {0};
	AUTO(mint_free) struct mint *first = NULL, *both = NULL, *second = NULL;
	struct slice old_line, new_line;
	assert_int_equal(mint_open(dir, &first, NULL), ERR_OK);
	struct slice old_token = sign(first, &a);
	assert_int_equal(file_read(&a, path, 4096, &old_line, NULL), ERR_OK);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mint_open(dir, &second, NULL), ERR_OK);
	assert_int_equal(file_read(&a, path, 4096, &new_line, NULL), ERR_OK);
	const char *two = arena_printf(&a, "%s\n%s", new_line.p, old_line.p);
	assert_int_equal(file_write_atomic(path, two, strlen(two), 0600, NULL), ERR_OK);
	assert_int_equal(mint_open(dir, &both, NULL), ERR_OK);
	assert_int_equal(verify(both, &a, old_token), ERR_OK);
	assert_int_equal(verify(second, &a, sign(both, &a)), ERR_OK);
	assert_int_not_equal(verify(first, &a, sign(both, &a)), ERR_OK);
	/* The public document holds both, and no private part. */
	AUTO(buf_done) struct buf out;
	AUTO(jsonx_unref) json_t *jwks = NULL;
	buf_init(&out, 1 << 16);
	mint_jwks(both, &out);
	assert_int_equal(jsonx_object(buf_view(&out), 1 << 16, &jwks, NULL), ERR_OK);
	assert_int_equal(json_array_size(json_object_get(jwks, "keys")), 2);
	for (size_t i = 0; i < 2; i++) {
		const json_t *k = json_array_get(json_object_get(jwks, "keys"), i);
		AUTO(jose_key_free) struct jose_key *key = NULL;
		assert_null(json_object_get(k, "d"));
		assert_non_null(json_object_get(k, "kid"));
		assert_int_equal(jose_key_import(k, &key, NULL), ERR_OK);
	}
	remove_tree(dir);
}

static void test_unfit_key_files_are_refused_and_left_alone(void **state UNUSED)
{
	static const struct {
		const char *text;
		mode_t mode;
		enum err_code code;
	} cases[] = {
	    {"", 0600, ERR_INVALID},
	    {"\n\n", 0600, ERR_INVALID},
	    {"not a key\n", 0600, ERR_INVALID},
	    {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\",\"d\":\"AA\"}\n", 0600,
		ERR_INVALID},
	    {"", 0644, ERR_REFUSED},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char template[] = "/tmp/test-mint-XXXXXX";
		const char *dir = make_dir(template);
		char path[100];
		key_path(dir, path, sizeof(path));
		AUTO(arena_done) struct arena a = {0};
		AUTO(mint_free) struct mint *m = NULL;
		struct err e;
		struct slice after;
		assert_int_equal(file_write_atomic(path, cases[i].text, strlen(cases[i].text),
				     cases[i].mode, NULL),
		    ERR_OK);
		assert_int_equal(mint_open(dir, &m, &e), cases[i].code);
		assert_non_null(strstr(e.msg, path));
		assert_int_equal(file_read(&a, path, 4096, &after, NULL), ERR_OK);
		assert_true(slice_is(after, cases[i].text));
		remove_tree(dir);
	}
}

static void test_a_state_directory_that_is_missing_is_an_error(void **state UNUSED)
{
	AUTO(mint_free) struct mint *m = NULL;
	assert_int_not_equal(mint_open("/nonexistent/state", &m, NULL), ERR_OK);
	assert_null(m);
}

int main(void)
{
	jsonx_init();
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_token_verifies_and_reads_back),
	    cmocka_unit_test(test_changed_or_foreign_tokens_do_not_verify),
	    cmocka_unit_test(test_keys_survive_and_are_private),
	    cmocka_unit_test(test_older_keys_still_verify_but_do_not_sign),
	    cmocka_unit_test(test_unfit_key_files_are_refused_and_left_alone),
	    cmocka_unit_test(test_a_state_directory_that_is_missing_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
