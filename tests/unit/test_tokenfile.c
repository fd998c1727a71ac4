/* Proves that token files read as Kubernetes reads them, or are refused with file and line, and that only the
 * exact token opens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "authn/chain.h"
#include "authn/ldap_config.h"
#include "common/secret.h"

static char dir[] = "/tmp/test_tokenfile.XXXXXX";
static char path[64], path2[64];

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/tokens.csv", dir);
	snprintf(path2, sizeof(path2), "%s/more.csv", dir);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	unlink(path2);
	return rmdir(dir);
}

static void put(const char *name, const char *text, size_t n, mode_t mode)
{
	FILE *f = fopen(name, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(name, mode), 0);
}

static enum err_code load_files(size_t n, struct authn **out, struct diags *d)
{
	const char *const paths[] = {path, path2};
	struct authn_config cfg = {.token_files = {paths, n}};
	*d = (struct diags){0};
	return authn_tokenfiles_new(&cfg, out, d);
}

static enum err_code load(const char *text, struct authn **out, struct diags *d)
{
	put(path, text, strlen(text), 0600);
	return load_files(1, out, d);
}

/* "user|uid|group,group" of TOKEN, "" when it passes by. */
static const char *ask(const struct authn *a, const char *token, struct buf *b)
{
	struct arena arena;
	arena_init(&arena, 0);
	struct authn_call call = {.arena = &arena, .token = slice_of(token)};
	enum authn_step step = a->ops->try_now(a, &call);
	b->len = 0;
	assert_true(step == AUTHN_PASS || step == AUTHN_ACCEPT);
	if (step == AUTHN_ACCEPT) {
		buf_printf(b, SLICE_FMT "|" SLICE_FMT "|", SLICE_ARG(call.id.username),
		    SLICE_ARG(call.id.uid));
		for (size_t i = 0; i < call.id.ngroups; i++)
			buf_printf(b, "%s" SLICE_FMT, i ? "," : "", SLICE_ARG(call.id.groups[i]));
	}
	arena_done(&arena);
	return buf_cstr(b);
}

static void test_reads_what_kubernetes_reads(void **state)
{
	(void)state;
	struct authn *a = NULL;
	struct diags d;
	struct buf b;
	buf_init(&b, 1000);
	assert_int_equal(load("t1,jane,u1\n"
			      "t2,joe,u2,dev\r\n"
			      "t3,jim,u3,\"dev,ops\"\n"
			      "\n"
			      "\"t\"\"4\",\"o'neil, jo\",,\"\"\n"
			      "t 5,caf\xc3\xa9,u5,\"a,,b\"\n"
			      "t6,x,y,",
			     &a, &d),
	    ERR_OK);
	assert_string_equal(ask(a, "t1", &b), "jane|u1|");
	assert_string_equal(ask(a, "t2", &b), "joe|u2|dev");
	assert_string_equal(ask(a, "t3", &b), "jim|u3|dev,ops");
	assert_string_equal(ask(a, "t\"4", &b), "o'neil, jo||");
	assert_string_equal(ask(a, "t 5", &b), "caf\xc3\xa9|u5|a,b");
	assert_string_equal(ask(a, "t6", &b), "x|y|");
	static const char *const others[] = {"", "t", "t11", "T1", "t1 ", " t1", "t1,jane,u1", "jane"};
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		assert_string_equal(ask(a, others[i], &b), "");
	a->ops->destroy(a);
	buf_done(&b);
	diags_done(&d);
}

static void test_hashes_stand_for_tokens(void **state)
{
	(void)state;
	struct authn *a = NULL;
	struct diags d;
	struct buf b;
	char hex[65], text[300];
	buf_init(&b, 1000);
	sha256_hex("top secret", 10, hex);
	snprintf(text, sizeof(text), "sha256:%s,jane,u1\n", hex);
	assert_int_equal(load(text, &a, &d), ERR_OK);
	assert_string_equal(ask(a, "top secret", &b), "jane|u1|");
	/* Who reads the file has no token. */
	text[71] = '\0';
	assert_string_equal(ask(a, text, &b), "");
	assert_string_equal(ask(a, hex, &b), "");
	a->ops->destroy(a);
	/* The hash of a token that also stands in clear is the same token. */
	snprintf(text, sizeof(text), "top secret,jane,u1\nsha256:%s,joe,u2\n", hex);
	assert_int_equal(load(text, &a, &d), ERR_INVALID);
	diags_done(&d);
	buf_done(&b);
}

static void test_refuses_with_the_line(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint32_t line;
		const char *says;
	} cases[] = {
	    {"SECRET\n", 1, "three columns"},
	    {"SECRET,jane\n", 1, "three columns"},
	    {"t1,jane,u1\n\nSECRET,jane\n", 3, "three columns"},
	    {"", 0, "the file is empty"},
	    {",jane,u1\n", 1, "token is empty"},
	    {"\"\",jane,u1\n", 1, "token is empty"},
	    {"SECRET,,u1\n", 1, "user name is empty"},
	    {"SECRET,jane,u1,g1,g2\n", 1, "more than four columns"},
	    {"SECRET,jane,u1,\"g1\n", 1, "does not end"},
	    {"SECRET,jane,u1,\"g1\"x\n", 1, "after the closing quote"},
	    {"SEC\"RET,jane,u1\n", 1, "a quote in a column"},
	    {"SECRET,ja\x1bne,u1\n", 1, "not printable"},
	    {"SECRET,jane,u\xff\n", 1, "not printable"},
	    {"SECRET,jane,u1,\"g\x07\"\n", 1, "not printable"},
	    {"SECRET,jane,u1\nother,joe,u2\nSECRET,jim,u3\n", 3, "stands already in"},
	    {"sha256:SECRET,jane,u1\n", 1, "64 hexadecimal"},
	    {"sha256:,jane,u1\n", 1, "64 hexadecimal"},
	    {"SHA256:SECRET,jane,u1\n", 1, "64 hexadecimal"},
	    {" sha256:SECRET,jane,u1\n", 1, "64 hexadecimal"},
	    {"sha-512:SECRET,jane,u1\n", 1, "64 hexadecimal"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct authn *a = NULL;
		struct diags d;
		assert_int_equal(load(cases[i].text, &a, &d), ERR_INVALID);
		assert_null(a);
		assert_int_equal(d.errors, 1);
		assert_string_equal(d.items[0].file, path);
		assert_int_equal(d.items[0].line, cases[i].line);
		if (!strstr(d.items[0].text, cases[i].says))
			fail_msg("%s: %s", cases[i].text, d.items[0].text);
		assert_null(strstr(d.items[0].text, "SECRET"));
		diags_done(&d);
	}
}

static void test_several_files_share_one_space(void **state)
{
	(void)state;
	struct authn *a = NULL;
	struct diags d;
	struct buf b;
	buf_init(&b, 1000);
	put(path, "t1,jane,u1\n", 11, 0600);
	put(path2, "t2,joe,u2\n", 10, 0600);
	assert_int_equal(load_files(2, &a, &d), ERR_OK);
	assert_string_equal(ask(a, "t1", &b), "jane|u1|");
	assert_string_equal(ask(a, "t2", &b), "joe|u2|");
	a->ops->destroy(a);
	diags_done(&d);
	put(path2, "t1,joe,u2\n", 10, 0600);
	assert_int_equal(load_files(2, &a, &d), ERR_INVALID);
	assert_string_equal(d.items[0].file, path2);
	diags_done(&d);
	unlink(path2);
	assert_int_equal(load_files(2, &a, &d), ERR_INVALID);
	diags_done(&d);
	assert_int_equal(load_files(0, &a, &d), ERR_OK);
	assert_null(a);
	buf_done(&b);
}

static void test_warns(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		mode_t mode;
		size_t warnings;
	} cases[] = {
	    {"t1,jane,u1\n", 0600, 0},
	    {"t1,jane,u1\n", 0640, 0},
	    {"t1,jane,u1\n", 0644, 1},
	    {"t1,system:admin,u1\n", 0600, 1},
	    {"t1,jane,u1,\"system:masters,x\"\n", 0600, 1},
	    {"t1,jane,u1,\"a, b\"\n", 0600, 1},
	    {"\n", 0600, 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct authn *a = NULL;
		struct diags d;
		put(path, cases[i].text, strlen(cases[i].text), cases[i].mode);
		assert_int_equal(load_files(1, &a, &d), ERR_OK);
		assert_int_equal(d.warnings, cases[i].warnings);
		a->ops->destroy(a);
		diags_done(&d);
	}
}

static void test_row44_a_name_that_an_issuer_or_a_directory_may_give(void **state)
{
	(void)state;
	struct jwt_config jwt = {.issuer = {.url = "https://a.example"}};
	struct ldap_config ldap = {.name = "corp", .username_prefix = "corp:"};
	static const struct {
		const char *issuer, *user, *says; /* NULL: fine */
	} cases[] = {
	    {"dex:", "jane", NULL},
	    {"dex:", "dex", NULL},
	    {"dex:", "Dex:jane", NULL},
	    {"dex:", "dex:jane", "issuer https://a.example"},
	    {"dex:", "dex:", "issuer https://a.example"},
	    {"dex:", "corp:jane", "directory corp"},
	    {"", "jane", "issuer https://a.example"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[128];
		const char *const paths[] = {path};
		struct authn_config cfg = {.token_files = {paths, 1}, .jwt = {&jwt, 1}, .ldap = {&ldap, 1}};
		struct diags d = {0};
		struct authn *a = NULL;
		jwt.claim_mappings.username.prefix = cases[i].issuer;
		snprintf(text, sizeof(text), "t0,x y,u\nt1,%s,u1\n", cases[i].user);
		if (!*cases[i].issuer)
			snprintf(text, sizeof(text), "\nt1,%s,u1\n", cases[i].user);
		put(path, text, strlen(text), 0600);
		enum err_code code = authn_tokenfiles_new(&cfg, &a, &d);
		assert_int_equal(code == ERR_OK, cases[i].says == NULL);
		if (cases[i].says) {
			assert_non_null(strstr(d.items[0].text, cases[i].says));
			assert_string_equal(d.items[0].file, path);
			assert_int_equal(d.items[0].line, 2);
		} else {
			a->ops->destroy(a);
		}
		diags_done(&d);
	}
}

static void test_a_denylist_may_name_a_token_by_its_hash(void **state)
{
	(void)state;
	struct authn *a;
	struct diags d;
	assert_int_equal(load("SECRET,jane,u1\n", &a, &d), ERR_OK);
	struct authn_call call = {.token = SLICE("SECRET")};
	char want[128] = "sha256:";
	sha256_hex("SECRET", 6, want + 7);
	assert_int_equal(a->ops->try_now(a, &call), AUTHN_ACCEPT);
	assert_true(slice_is(call.credential.id, want));
	a->ops->destroy(a);
	diags_done(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_reads_what_kubernetes_reads),
	    cmocka_unit_test(test_hashes_stand_for_tokens),
	    cmocka_unit_test(test_refuses_with_the_line),
	    cmocka_unit_test(test_several_files_share_one_space),
	    cmocka_unit_test(test_warns),
	    cmocka_unit_test(test_row44_a_name_that_an_issuer_or_a_directory_may_give),
	    cmocka_unit_test(test_a_denylist_may_name_a_token_by_its_hash),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
