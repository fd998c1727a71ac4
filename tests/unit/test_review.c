/* Proves the TokenReview document: what is read, what is refused, what is said. Rows 79, 81, 83, 84 and 86 of the
 * list of attacks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "authn/review.h"

#define V1 "authentication.k8s.io/v1"
#define V1BETA1 "authentication.k8s.io/v1beta1"

static struct arena arena;

static enum err_code parse(const char *text, struct token_review *r, struct err *e)
{
	return token_review_parse(slice_of(text), &arena, r, e);
}

static void test_reads_what_an_apiserver_sends(void **state)
{
	(void)state;
	static const struct {
		const char *text, *version, *token;
		size_t naudiences;
	} cases[] = {
	    {"{\"kind\":\"TokenReview\",\"apiVersion\":\"" V1 "\",\"metadata\":{},\"spec\":{\"token\":\"abc\","
	     "\"audiences\":[\"https://kubernetes.default.svc\"]},\"status\":{\"user\":{}}}\n",
		V1, "abc", 1},
	    {"{\"kind\":\"TokenReview\",\"apiVersion\":\"" V1BETA1 "\",\"metadata\":{\"creationTimestamp\":null},"
	     "\"spec\":{\"token\":\"a\\u003cb\"},\"status\":{\"user\":{}}}",
		V1BETA1, "a<b", 0},
	    /* Row 83, row 86, row 84, unknown fields, any order */
	    {"{\"kind\":\"TokenReview\",\"apiVersion\":\"" V1 "\",\"spec\":{}}", V1, "", 0},
	    {"{\"kind\":\"TokenReview\",\"apiVersion\":\"" V1 "\",\"spec\":{\"token\":\"\"}}", V1, "", 0},
	    {"{\"kind\":\"TokenReview\",\"apiVersion\":\"" V1 "\",\"spec\":{\"token\":null,\"audiences\":null}}",
		V1, "", 0},
	    {"{\"spec\":{\"audiences\":[],\"x\":{\"token\":\"no\"},\"token\":\"t\"},\"status\":{\"authenticated\":"
	     "true,\"user\":{\"username\":\"root\"}},\"apiVersion\":\"" V1 "\",\"y\":[1,2],\"kind\":\"TokenReview\"}",
		V1, "t", 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct token_review r;
		struct err e = {0};
		if (parse(cases[i].text, &r, &e) != ERR_OK)
			fail_msg("%s: %s", cases[i].text, e.msg);
		assert_string_equal(r.api_version, cases[i].version);
		assert_true(slice_is(r.token, cases[i].token));
		assert_int_equal(r.naudiences, cases[i].naudiences);
	}
}

static void test_rows79_and_81_refuses(void **state)
{
	(void)state;
#define HEAD "{\"kind\":\"TokenReview\",\"apiVersion\":\"" V1 "\""
	static const char *const cases[] = {
	    "",
	    "{",
	    "[]",
	    "null",
	    "5",
	    "\"TokenReview\"",
	    HEAD "}",
	    HEAD ",\"spec\":[]}",
	    HEAD ",\"spec\":null}",
	    HEAD ",\"spec\":\"x\"}",
	    HEAD ",\"spec\":{\"token\":5}}",
	    HEAD ",\"spec\":{\"token\":[\"x\"]}}",
	    HEAD ",\"spec\":{\"token\":{}}}",
	    HEAD ",\"spec\":{\"token\":true}}",
	    HEAD ",\"spec\":{\"audiences\":\"x\"}}",
	    HEAD ",\"spec\":{\"audiences\":[5]}}",
	    HEAD ",\"spec\":{\"audiences\":{}}}",
	    HEAD ",\"spec\":{\"token\":\"a\",\"token\":\"b\"}}",
	    HEAD ",\"spec\":{\"token\":\"a\"},\"spec\":{\"token\":\"b\"}}",
	    HEAD ",\"kind\":\"TokenReview\",\"spec\":{}}",
	    HEAD ",\"spec\":{\"token\":\"a\"}} x",
	    HEAD ",\"spec\":{\"token\":\"a\"}}{}",
	    HEAD ",\"spec\":{\"token\":\"a\",}}",
	    HEAD ",\"spec\":{\"token\":\"a\"},\"status\":{\"a\":1,\"a\":2}}",
	    HEAD ",\"spec\":{\"token\":\"\xff\"}}",
	    "{\"apiVersion\":\"" V1 "\",\"spec\":{\"token\":\"a\"}}",
	    "{\"kind\":\"TokenReview\",\"spec\":{\"token\":\"a\"}}",
	    "{\"kind\":\"tokenreview\",\"apiVersion\":\"" V1 "\",\"spec\":{\"token\":\"a\"}}",
	    "{\"kind\":\"SubjectAccessReview\",\"apiVersion\":\"authorization.k8s.io/v1\",\"spec\":{}}",
	    "{\"kind\":\"TokenReview\",\"apiVersion\":\"authentication.k8s.io/v2\",\"spec\":{}}",
	    "{\"kind\":\"TokenReview\",\"apiVersion\":\"authentication.k8s.io/v1alpha1\",\"spec\":{}}",
	    "{\"kind\":\"TokenReview\",\"apiVersion\":\"v1\",\"spec\":{}}",
	    "{\"kind\":5,\"apiVersion\":\"" V1 "\",\"spec\":{}}",
	    "{\"Kind\":\"TokenReview\",\"apiVersion\":\"" V1 "\",\"Spec\":{\"Token\":\"a\"}}",
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct token_review r;
		struct err e = {0};
		if (parse(cases[i], &r, &e) != ERR_INVALID)
			fail_msg("taken: %s", cases[i]);
		assert_true(e.msg[0] != '\0');
	}
}

static void test_too_many_audiences(void **state)
{
	(void)state;
	for (int extra = 0; extra <= 1; extra++) {
		struct buf b;
		struct token_review r;
		struct err e = {0};
		buf_init(&b, 1 << 16);
		buf_adds(&b, HEAD ",\"spec\":{\"audiences\":[\"0\"");
		for (int i = 1; i < AUDIENCES_MAX + extra; i++)
			buf_printf(&b, ",\"%d\"", i);
		buf_adds(&b, "]}}");
		assert_int_equal(parse(buf_cstr(&b), &r, &e), extra ? ERR_INVALID : ERR_OK);
		buf_done(&b);
	}
}

static void test_writes(void **state)
{
	(void)state;
	static const struct slice groups[] = {SLICE("a"), SLICE("b\"c")}, values[] = {SLICE("1"), SLICE("2")},
				  granted[] = {SLICE("https://kubernetes.default.svc")};
	const struct identity_extra extra[] = {{SLICE("example.com/k"), values, 2}};
	struct token_review r = {.api_version = V1BETA1};
	struct authn_call call = {
	    .id = {.username = SLICE("jane"), .uid = SLICE("42"), .groups = groups, .ngroups = 2,
		.extra = extra, .nextra = 1, .provider = SLICE("jwt:x")},
	    .granted = granted,
	    .ngranted = 1,
	    .reason = "why",
	};
	err_set(&call.why, ERR_REFUSED, "because");
	struct buf b;
	buf_init(&b, 4096);
	token_review_write(&r, true, &call, &b);
	assert_string_equal(buf_cstr(&b),
	    "{\"apiVersion\":\"" V1BETA1 "\",\"kind\":\"TokenReview\",\"status\":{\"authenticated\":true,"
	    "\"user\":{\"username\":\"jane\",\"uid\":\"42\",\"groups\":[\"a\",\"b\\\"c\"],"
	    "\"extra\":{\"example.com/k\":[\"1\",\"2\"]}},"
	    "\"audiences\":[\"https://kubernetes.default.svc\"]}}");
	b.len = 0;
	r.api_version = V1;
	call = (struct authn_call){.id = {.username = SLICE("jane")}};
	token_review_write(&r, true, &call, &b);
	assert_string_equal(buf_cstr(&b),
	    "{\"apiVersion\":\"" V1 "\",\"kind\":\"TokenReview\",\"status\":{\"authenticated\":true,"
	    "\"user\":{\"username\":\"jane\"}}}");
	b.len = 0;
	token_review_write(&r, false, NULL, &b);
	assert_string_equal(buf_cstr(&b),
	    "{\"apiVersion\":\"" V1 "\",\"kind\":\"TokenReview\",\"status\":{\"authenticated\":false}}");
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_reads_what_an_apiserver_sends),
	    cmocka_unit_test(test_rows79_and_81_refuses),
	    cmocka_unit_test(test_too_many_audiences),
	    cmocka_unit_test(test_writes),
	};
	arena_init(&arena, 0);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	arena_done(&arena);
	return failed;
}
