/* Proves access reviews as documents: both versions read, strictness, replies; differential to jansson. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "authz/sar.h"
#include "policy/index.h"
#include "tests/support/policy_text.h"
#include "tests/support/sar_twin.h"

#define V1 "\"apiVersion\":\"authorization.k8s.io/v1\",\"kind\":\"SubjectAccessReview\""
#define BETA "\"apiVersion\":\"authorization.k8s.io/v1beta1\",\"kind\":\"SubjectAccessReview\""
#define PODS "\"resourceAttributes\":{\"verb\":\"get\",\"resource\":\"pods\"}"

struct parsed {
	struct arena arena;
	struct sar sar;
	struct err err;
	enum err_code rc;
};

static struct parsed parse(const char *text)
{
	struct parsed p = {0};
	p.rc = sar_parse(slice_of(text), &p.arena, &p.sar, &p.err);
	const char *why = sar_twin_differ(slice_of(text));
	if (why)
		fail_msg("%s: %s", why, text);
	return p;
}

static void assert_slice(struct slice s, const char *want)
{
	if (!slice_is(s, want))
		fail_msg("`" SLICE_FMT "` is not `%s`", SLICE_ARG(s), want);
}

/* What the apiserver sends, as golden files of upstream show it. */
static void test_every_field_of_v1(void **state)
{
	(void)state;
	struct parsed p = parse(
	    "{\"kind\":\"SubjectAccessReview\",\"apiVersion\":\"authorization.k8s.io/v1\","
	    "\"metadata\":{\"creationTimestamp\":null,\"name\":\"x\",\"labels\":{\"a\":\"b\"}},"
	    "\"spec\":{\"resourceAttributes\":{\"namespace\":\"team-a\",\"verb\":\"list\","
	    "\"group\":\"apps\",\"version\":\"v1\",\"resource\":\"deployments\","
	    "\"subresource\":\"scale\",\"name\":\"web\",\"fieldSelector\":{\"rawSelector\":\"a=b\","
	    "\"requirements\":[{\"key\":\"spec.nodeName\",\"operator\":\"In\",\"values\":[\"n1\"]}]},"
	    "\"labelSelector\":{\"requirements\":[{\"key\":\"team\",\"operator\":\"In\","
	    "\"values\":[\"a\",\"b\"]},{\"key\":\"x\",\"operator\":\"Exists\"}]}},"
	    "\"user\":\"jane@example.com\",\"groups\":[\"dev\",\"system:authenticated\"],"
	    "\"extra\":{\"authentication.kubernetes.io/credential-id\":[\"JTI=1\"],\"none\":null},"
	    "\"uid\":\"1234\"},\"status\":{\"allowed\":false}}");
	const struct access_request *r = &p.sar.request;
	assert_int_equal(p.rc, ERR_OK);
	assert_string_equal(p.sar.api_version, "authorization.k8s.io/v1");
	assert_null(p.sar.unanswerable);
	assert_true(r->resource_request);
	assert_slice(r->user, "jane@example.com");
	assert_slice(r->uid, "1234");
	assert_int_equal(r->ngroups, 2);
	assert_slice(r->groups[1], "system:authenticated");
	assert_int_equal(r->nextra, 2);
	assert_slice(r->extra[0].key, "authentication.kubernetes.io/credential-id");
	assert_slice(r->extra[0].values[0], "JTI=1");
	assert_slice(r->namespace_, "team-a");
	assert_slice(r->verb, "list");
	assert_slice(r->api_group, "apps");
	assert_slice(r->version, "v1");
	assert_slice(r->resource, "deployments");
	assert_slice(r->subresource, "scale");
	assert_slice(r->name, "web");
	assert_int_equal(r->nfield, 1);
	assert_slice(r->field_selector[0].op, "In");
	assert_int_equal(r->nlabel, 2);
	assert_slice(r->label_selector[0].values[1], "b");
	assert_int_equal(r->label_selector[1].n, 0);
	arena_done(&p.arena);
}

/* Rows 55 and 56: the versions name the groups differently, and only that way. */
static void test_groups_have_another_name_in_v1beta1(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		size_t groups;
	} rows[] = {
	    {"{" BETA ",\"spec\":{" PODS ",\"group\":[\"a\",\"b\"]}}", 2},
	    {"{" BETA ",\"spec\":{" PODS ",\"groups\":[\"a\",\"b\"]}}", 0},
	    {"{" BETA ",\"spec\":{" PODS ",\"groups\":[\"a\",\"b\"],\"group\":[\"c\"]}}", 1},
	    {"{" V1 ",\"spec\":{" PODS ",\"groups\":[\"a\",\"b\"]}}", 2},
	    {"{" V1 ",\"spec\":{" PODS ",\"group\":[\"a\",\"b\"]}}", 0},
	    {"{" V1 ",\"spec\":{" PODS ",\"group\":17}}", 0},
	    /* The version may come last. */
	    {"{\"spec\":{" PODS ",\"group\":[\"a\",\"b\"]}," BETA "}", 2},
	    {"{\"spec\":{" PODS ",\"group\":[\"a\",\"b\"]}," V1 "}", 0},
	    {"{ \"spec\" : { " PODS " , \"group\" : [ \"a\" ] } , " BETA " } ", 1},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct parsed p = parse(rows[i].text);
		if (p.rc != ERR_OK || p.sar.request.ngroups != rows[i].groups)
			fail_msg("%s: %s, %zu groups", rows[i].text, p.err.msg, p.sar.request.ngroups);
		assert_slice(p.sar.request.resource, "pods");
		arena_done(&p.arena);
	}
}

/* Rows 57 to 59. */
static void test_absent_and_unknown_fields(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool answerable;
	} rows[] = {
	    {"{" V1 ",\"spec\":{" PODS "}}", true},
	    {"{" V1 ",\"spec\":{" PODS ",\"user\":null,\"groups\":null,\"extra\":null,\"uid\":null}}", true},
	    {"{" V1 ",\"spec\":{\"resourceAttributes\":{}}}", true},
	    {"{" V1 ",\"spec\":{\"nonResourceAttributes\":{}}}", true},
	    {"{" V1 ",\"spec\":{\"nonResourceAttributes\":{\"path\":\"/a\",\"verb\":\"get\"}}}", true},
	    {"{" V1 ",\"spec\":{\"resourceAttributes\":null,\"nonResourceAttributes\":{}}}", true},
	    {"{" V1 ",\"spec\":{" PODS ",\"conditionalAuthorization\":{\"mode\":\"x\"}}}", true},
	    {"{" V1 ",\"status\":{\"allowed\":true},\"spec\":{" PODS "},\"more\":[1,{}]}", true},
	    {"{" V1 ",\"spec\":{" PODS ",\"nonResourceAttributes\":{}}}", false},
	    {"{" V1 ",\"spec\":{\"user\":\"u\"}}", false},
	    {"{" V1 ",\"spec\":{}}", false},
	    {"{" V1 ",\"spec\":null}", false},
	    {"{" V1 "}", false},
	    {"{" V1 ",\"spec\":{\"resourceAttributes\":null}}", false},
	    {"{" V1 ",\"spec\":{\"ResourceAttributes\":{}}}", false},
	};
	struct policy *p = policy_must(POLICY_HEAD
	    "rules:\n- {id: a, effect: allow, subjects: {all: everyone}, apiGroups: [\"*\"], "
	    "resources: [\"*\"], verbs: [\"*\"]}\n"
	    "- {id: b, effect: allow, subjects: {all: everyone}, nonResourceURLs: [\"*\"], verbs: [\"*\"]}\n");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct parsed got = parse(rows[i].text);
		struct decision d;
		struct buf b;
		if (got.rc != ERR_OK || (got.sar.unanswerable == NULL) != rows[i].answerable)
			fail_msg("%s: %s", rows[i].text, got.err.msg);
		/* Even when the policy would allow it: what asks nothing is never allowed. */
		authz_evaluate(p, &got.sar.request, &d);
		assert_int_equal(d.verdict, VERDICT_ALLOW);
		buf_init(&b, 4096);
		sar_write(&got.sar, d.verdict, SLICE("x"), NULL, &b);
		assert_int_equal(strstr(buf_cstr(&b), "\"allowed\":true") != NULL, rows[i].answerable);
		assert_int_equal(strstr(buf_cstr(&b), "evaluationError") == NULL, rows[i].answerable);
		buf_done(&b);
		arena_done(&got.arena);
	}
	policy_free(&p);
}

/* Row 60 and design 3.4: what is no review is refused with a reason. */
static void test_malformed_reviews(void **state)
{
	(void)state;
	static const char *const rows[] = {
	    "",
	    "{",
	    "null",
	    "[]",
	    "{}",
	    "{" V1 "",
	    "{" V1 "} x",
	    "{" V1 "}{}",
	    "{\"apiVersion\":\"authorization.k8s.io/v1\"}",
	    "{\"kind\":\"SubjectAccessReview\"}",
	    "{\"apiVersion\":\"authorization.k8s.io/v1\",\"kind\":null}",
	    "{\"apiVersion\":null,\"kind\":\"SubjectAccessReview\"}",
	    "{\"apiVersion\":\"authorization.k8s.io/v1\",\"kind\":\"TokenReview\"}",
	    "{\"apiVersion\":\"authorization.k8s.io/v1\",\"kind\":\"subjectaccessreview\"}",
	    "{\"apiVersion\":\"authorization.k8s.io/v2\",\"kind\":\"SubjectAccessReview\"}",
	    "{\"apiVersion\":\"authorization.k8s.io/v1 \",\"kind\":\"SubjectAccessReview\"}",
	    "{\"apiVersion\":\"v1\",\"kind\":\"SubjectAccessReview\"}",
	    "{\"apiVersion\":1,\"kind\":\"SubjectAccessReview\"}",
	    "{" V1 "," V1 "}",
	    "{" V1 ",\"spec\":{},\"spec\":{" PODS "}}",
	    "{" V1 ",\"spec\":{" PODS "," PODS "}}",
	    "{" V1 ",\"spec\":{\"user\":\"a\",\"user\":\"b\"}}",
	    "{" V1 ",\"spec\":{\"user\":\"a\",\"us\\u0065r\":\"b\"}}",
	    "{\"spec\":{\"user\":\"a\",\"user\":\"b\"}," V1 "}",
	    "{" V1 ",\"spec\":[]}",
	    "{" V1 ",\"spec\":\"x\"}",
	    "{" V1 ",\"spec\":{\"resourceAttributes\":[]}}",
	    "{" V1 ",\"spec\":{\"resourceAttributes\":{\"verb\":1}}}",
	    "{" V1 ",\"spec\":{\"nonResourceAttributes\":\"/\"}}",
	    "{" V1 ",\"spec\":{" PODS ",\"nonResourceAttributes\":{\"verb\":{}}}}",
	    "{" V1 ",\"spec\":{" PODS ",\"user\":5}}",
	    "{" V1 ",\"spec\":{" PODS ",\"groups\":\"a\"}}",
	    "{" V1 ",\"spec\":{" PODS ",\"groups\":[1]}}",
	    "{" V1 ",\"spec\":{" PODS ",\"groups\":[null]}}",
	    "{" BETA ",\"spec\":{" PODS ",\"group\":\"a\"}}",
	    "{" V1 ",\"spec\":{" PODS ",\"extra\":[]}}",
	    "{" V1 ",\"spec\":{" PODS ",\"extra\":{\"a\":\"b\"}}}",
	    "{" V1 ",\"spec\":{" PODS ",\"extra\":{\"a\":[],\"a\":[]}}}",
	    "{" V1 ",\"spec\":{\"resourceAttributes\":{\"labelSelector\":[]}}}",
	    "{" V1 ",\"spec\":{\"resourceAttributes\":{\"labelSelector\":{\"requirements\":{}}}}}",
	    "{" V1 ",\"spec\":{\"resourceAttributes\":{\"labelSelector\":{\"requirements\":[1]}}}}",
	    "{" V1 ",\"spec\":{" PODS ",\"user\":\"\xff\"}}",
	    "{" V1 ",\"spec\":{" PODS ",\"user\":\"a\\u0000b\"}}",
	    "{" V1 ",\"spec\":{" PODS ",\"user\":\"\\ud800\"}}",
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct parsed p = parse(rows[i]);
		if (p.rc != ERR_INVALID || p.err.msg[0] == '\0' || strchr(p.err.msg, '\n'))
			fail_msg("%s: %d `%s`", rows[i], p.rc, p.err.msg);
		arena_done(&p.arena);
	}
}

static void repeat(struct buf *b, const char *piece, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_adds(b, piece);
}

static enum err_code parse_buf(struct buf *b, struct sar *s, struct arena *a)
{
	struct err e;
	buf_cstr(b);
	return sar_parse(buf_view(b), a, s, &e);
}

/* Row 60 again: sizes. */
static void test_limits(void **state)
{
	(void)state;
	static const struct {
		size_t groups;
		enum err_code rc;
	} rows[] = {{2000, ERR_OK}, {SAR_GROUPS_MAX, ERR_OK}, {SAR_GROUPS_MAX + 1, ERR_INVALID}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(arena_done) struct arena a = {0};
		AUTO(buf_done) struct buf b;
		struct sar s;
		buf_init(&b, 1 << 22);
		buf_adds(&b, "{" V1 ",\"spec\":{" PODS ",\"groups\":[\"g\"");
		repeat(&b, ",\"x\"", rows[i].groups - 1);
		buf_adds(&b, "]}}");
		assert_int_equal(parse_buf(&b, &s, &a), rows[i].rc);
	}
	AUTO(arena_done) struct arena a = {0};
	AUTO(buf_done) struct buf b;
	struct sar s;
	buf_init(&b, 1 << 22);
	buf_adds(&b, "{" V1 ",\"deep\":");
	repeat(&b, "[", 10000);
	repeat(&b, "]", 10000);
	buf_addc(&b, '}');
	assert_int_equal(parse_buf(&b, &s, &a), ERR_INVALID);
}

/* Who asks chooses the selectors of a list. If many made the review unreadable, the apiserver would go on
 * to RBAC (failurePolicy: NoOpinion), and no deny would hold. */
static void test_no_number_of_selectors_keeps_a_review_from_being_decided(void **state)
{
	(void)state;
	static const struct {
		const char *head, *item, *tail;
		size_t n, kept, values;
	} rows[] = {
	    {"{\"key\":\"k\",\"operator\":\"Exists\"}", ",{\"key\":\"a\",\"operator\":\"Exists\"}", "",
		SAR_REQUIREMENTS_MAX + 10, SAR_REQUIREMENTS_MAX, 0},
	    {"{\"key\":\"k\",\"operator\":\"In\",\"values\":[\"\"", ",\"\"", "]}", 340000, 1, 340001},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(arena_done) struct arena a = {0};
		AUTO(buf_done) struct buf b;
		struct sar s;
		buf_init(&b, 1 << 22);
		buf_adds(&b, "{" V1 ",\"spec\":{\"user\":\"u\",\"resourceAttributes\":{\"verb\":\"list\","
			     "\"resource\":\"pods\",\"labelSelector\":{\"requirements\":[");
		buf_adds(&b, rows[i].head);
		repeat(&b, rows[i].item, rows[i].n);
		buf_adds(&b, rows[i].tail);
		buf_adds(&b, "]}}}}");
		assert_int_equal(parse_buf(&b, &s, &a), ERR_OK);
		assert_int_equal(s.request.nlabel, rows[i].kept);
		assert_int_equal(s.request.label_selector[0].n, rows[i].values);
		assert_slice(s.request.verb, "list");
	}
}

/* fieldSelector=metadata.name!=%00 is a selector that the apiserver takes. */
static void test_a_selector_with_nul_is_decided(void **state)
{
	(void)state;
	AUTO(arena_done) struct arena a = {0};
	AUTO(buf_done) struct buf b;
	struct sar s;
	static const char head[] = "{" V1 ",\"spec\":{\"user\":\"u\",\"resourceAttributes\":{\"verb\":\"list\","
				   "\"resource\":\"pods\",\"fieldSelector\":{\"requirements\":[{\"key\":"
				   "\"metadata.name\",\"operator\":\"NotIn\",\"values\":[\"\\u0000\"]}]}";
	buf_init(&b, 4096);
	buf_adds(&b, head);
	buf_adds(&b, "}}}");
	assert_int_equal(parse_buf(&b, &s, &a), ERR_OK);
	assert_int_equal(s.request.nfield, 1);
	assert_slice(s.request.field_selector[0].values[0], "\xef\xbf\xbd");
	/* But nowhere else. */
	b.len = 0;
	buf_adds(&b, head);
	buf_adds(&b, ",\"namespace\":\"\\u0000\"}}}");
	assert_int_equal(parse_buf(&b, &s, &a), ERR_INVALID);
}

/* Rows 85 and 90: long names and many groups get the right verdict, and a reason of bounded size. */
static void test_huge_reviews_are_decided(void **state)
{
	(void)state;
	struct policy *p = policy_must(POLICY_HEAD
	    "defaults: {exempt: {users: [root]}}\n"
	    "rules:\n- {id: last, effect: deny, subjects: {groups: [last]}, except: {subjects: "
	    "{groups: [friend]}}, apiGroups: [\"*\"], resources: [\"*\"], verbs: [\"*\"]}\n"
	    "- {id: long, effect: deny, subjects: {groups: [\"*y\"]}, apiGroups: [\"*\"], "
	    "resources: [\"*\"], verbs: [\"*\"]}\n");
	static const struct {
		const char *tail, *rule;
	} rows[] = {{"\"last\"", "last"}, {"\"last\",\"friend\"", NULL}, {"\"other\"", NULL}, {"\"xxy\"", "long"}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(arena_done) struct arena a = {0};
		AUTO(buf_done) struct buf b;
		AUTO(buf_done) struct buf reason;
		struct sar s;
		struct decision d;
		buf_init(&b, 1 << 22);
		buf_init(&reason, 1 << 16);
		buf_adds(&b, "{" V1 ",\"spec\":{" PODS ",\"groups\":[\"");
		repeat(&b, "0123456789", 1024);
		buf_adds(&b, "\"");
		repeat(&b, ",\"group-of-all\"", 1999);
		buf_printf(&b, ",%s],\"user\":\"", rows[i].tail);
		repeat(&b, "u", 20000);
		buf_adds(&b, "\"}}");
		assert_int_equal(parse_buf(&b, &s, &a), ERR_OK);
		assert_int_equal(s.request.groups[0].len, 10240);
		assert_int_equal(s.request.user.len, 20000);
		authz_evaluate(p, &s.request, &d);
		if (rows[i].rule)
			assert_string_equal(d.rule, rows[i].rule);
		else
			assert_null(d.rule);
		authz_reason(p, &d, "01ARZ3NDEKTSV4RRFFQ69G5FAV", &reason);
		assert_true(reason.len > 0 && reason.len <= AUTHZ_REASON_MAX);
	}
	policy_free(&p);
}

/* Row 83 and the exact bytes of replies. */
static void test_replies(void **state)
{
	(void)state;
	static const struct {
		bool beta;
		enum verdict v;
		const char *reason, *error, *want;
	} rows[] = {
	    {false, VERDICT_ALLOW, "r", NULL, "{" V1 ",\"status\":{\"allowed\":true,\"reason\":\"r\"}}"},
	    {false, VERDICT_DENY, "r", NULL,
		"{" V1 ",\"status\":{\"allowed\":false,\"denied\":true,\"reason\":\"r\"}}"},
	    {true, VERDICT_NO_OPINION, "", NULL, "{" BETA ",\"status\":{\"allowed\":false}}"},
	    {true, VERDICT_DENY, "a\"b\n", "e\"",
		"{" BETA ",\"status\":{\"allowed\":false,\"denied\":true,\"reason\":\"a\\\"b\\n\","
		"\"evaluationError\":\"e\\\"\"}}"},
	    {false, (enum verdict)99, "", NULL, "{" V1 ",\"status\":{\"allowed\":false}}"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct parsed p = parse(rows[i].beta ? "{" BETA ",\"spec\":{" PODS "}}" : "{" V1 ",\"spec\":{" PODS "}}");
		struct buf b;
		buf_init(&b, 4096);
		sar_write(&p.sar, rows[i].v, slice_of(rows[i].reason), rows[i].error, &b);
		assert_string_equal(buf_cstr(&b), rows[i].want);
		assert_false(strstr(b.p, "\"allowed\":true") && strstr(b.p, "\"denied\":true"));
		buf_done(&b);
		arena_done(&p.arena);
	}
}

static void test_the_full_reply_repeats_the_spec(void **state)
{
	(void)state;
	struct parsed p = parse("{" V1 ",\n \"spec\" : {\t" PODS " ,\r\n \"user\": \"a \\\" \\\\\", \"groups\":[ ]}}");
	struct buf b;
	buf_init(&b, 4096);
	sar_write_full(&p.sar, VERDICT_ALLOW, SLICE("r"), NULL, &b);
	assert_string_equal(buf_cstr(&b), "{" V1 ",\"spec\":{" PODS ",\"user\":\"a \\\" \\\\\",\"groups\":[]},"
					  "\"status\":{\"allowed\":true,\"reason\":\"r\"}}");
	buf_done(&b);
	arena_done(&p.arena);
	p = parse("{" V1 "}");
	buf_init(&b, 4096);
	sar_write_full(&p.sar, VERDICT_ALLOW, SLICE(""), NULL, &b);
	assert_non_null(strstr(buf_cstr(&b), "\"status\":{\"allowed\":false,\"evaluationError\":\"exactly one of"));
	assert_null(strstr(b.p, "spec"));
	buf_done(&b);
	arena_done(&p.arena);
}

/* Row 89: a name cannot forge a reply, as it never stands in one; messages of rules are escaped. */
static void test_names_do_not_reach_the_reason(void **state)
{
	(void)state;
	struct policy *p = policy_must(POLICY_HEAD
	    "metadata: {generation: 42}\ndefaults: {exempt: {users: [root]}}\n"
	    "rules:\n- {id: no, effect: deny, subjects: {all: everyone}, apiGroups: [\"*\"], resources: "
	    "[\"*\"], verbs: [\"*\"], message: 'say \"no\"'}\n");
	struct parsed got = parse("{" V1 ",\"spec\":{" PODS ",\"user\":\"a\\\",\\\"denied\\\":false,\\\"x\\\":\\\"\"}}");
	struct decision d;
	struct buf reason, b;
	buf_init(&reason, 4096);
	buf_init(&b, 4096);
	assert_slice(got.sar.request.user, "a\",\"denied\":false,\"x\":\"");
	authz_evaluate(p, &got.sar.request, &d);
	authz_reason(p, &d, "ID", &reason);
	assert_string_equal(buf_cstr(&reason), "deny rule=no gen=42 id=ID: say \"no\"");
	sar_write(&got.sar, d.verdict, buf_view(&reason), NULL, &b);
	assert_string_equal(buf_cstr(&b), "{" V1 ",\"status\":{\"allowed\":false,\"denied\":true,\"reason\":"
					  "\"deny rule=no gen=42 id=ID: say \\\"no\\\"\"}}");
	buf_done(&b);
	buf_done(&reason);
	arena_done(&got.arena);
	policy_free(&p);
}

static void test_reasons(void **state)
{
	(void)state;
#define X50 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X199 X50 X50 X50 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
	struct policy *p = policy_must(POLICY_HEAD "metadata: {generation: 7}\n");
	static const struct break_glass inc = {.ticket = "INC-4711", .until = 1763812800000000000},
				       odd = {.ticket = "a\nb\u202e" X50 X50};
	static const struct {
		struct decision d;
		const char *id, *want;
	} rows[] = {
	    {{.verdict = VERDICT_ALLOW, .effect = POLICY_ALLOW, .rule = "r", .break_glass = &inc, .message = "m"}, "I",
		"allow rule=r gen=7 id=I breakGlass=INC-4711 until=2025-11-22T12:00:00Z: m"},
	    {{.verdict = VERDICT_ALLOW, .effect = POLICY_ALLOW, .rule = "r", .break_glass = &odd}, NULL,
		"allow rule=r gen=7 breakGlass=ab" X50 "xxxxxxxxxxxx… until=1970-01-01T00:00:00Z"},
	    {{.note = "RBAC: clusterrole \"x\" not found"}, "I",
		"noOpinion default gen=7 id=I: RBAC: clusterrole \"x\" not found"},
	    {{.note = X199 "x"}, NULL, "noOpinion default gen=7: " X199 "x"},
	    {{.note = X199 "é"}, NULL, "noOpinion default gen=7: " X199 "…"},
	    {{.note = "\033[1m\xff" X50}, NULL, "noOpinion default gen=7: [1m" X50},
	    {{.verdict = VERDICT_NO_OPINION}, "I", "noOpinion default gen=7 id=I"},
	    {{.verdict = VERDICT_DENY}, NULL, "deny default gen=7"},
	    {{.verdict = VERDICT_NO_OPINION, .exempt = true}, "I", "noOpinion exempt gen=7 id=I"},
	    {{.verdict = VERDICT_NO_OPINION, .effect = POLICY_ABSTAIN, .rule = "r"}, "I",
		"abstain rule=r gen=7 id=I"},
	    {{.verdict = VERDICT_ALLOW, .effect = POLICY_ALLOW, .rule = "r", .message = "m"}, "I",
		"allow rule=r gen=7 id=I: m"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b;
		buf_init(&b, 4096);
		authz_reason(p, &rows[i].d, rows[i].id, &b);
		assert_string_equal(buf_cstr(&b), rows[i].want);
		buf_done(&b);
	}
	/* All at their longest still fit. */
	struct decision longest = {.verdict = VERDICT_NO_OPINION,
	    .effect = POLICY_ABSTAIN,
	    .rule = X199,
	    .break_glass = &odd,
	    .message = X199 X199};
	struct buf b;
	buf_init(&b, 4096);
	authz_reason(p, &longest, "01ARZ3NDEKTSV4RRFFQ69G5FAV", &b);
	assert_true(b.len <= AUTHZ_REASON_MAX && b.len > 440);
	assert_string_equal(buf_cstr(&b) + b.len - 6, "xxx…");
	buf_done(&b);
	policy_free(&p);
}

static uint32_t rnd(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*seed >> 33);
}

/* Pieces that a mutation puts in: what the grammar and the field names are made of. */
static const char *const pieces[] = {"{", "}", "[", "]", ",", ":", "\"", "null", "true", "1", "\\u0041", "\\",
    "\"groups\":[\"a\"],", "\"group\":[\"b\"],", "\"user\":null,", "\"spec\":{},", " ", "\"\":", "\"x\":{},",
    "authorization.k8s.io/v1beta1", "\"values\":[]", "\xc3\xa9", "\xff", "\"extra\":{\"k\":[\"v\"]},"};

static size_t mutate(char *text, size_t n, size_t cap, uint64_t *seed)
{
	size_t at = n ? rnd(seed) % n : 0, len = n ? rnd(seed) % (n - at < 8 ? n - at + 1 : 8) : 0;
	switch (rnd(seed) % 4) {
	case 0: /* cut out */
		memmove(text + at, text + at + len, n - at - len);
		return n - len;
	case 1: /* change a byte */
		if (n && rnd(seed) % 4 == 0)
			text[at] = (char)rnd(seed);
		else if (n)
			text[at] = " \"{}[],:\\"[rnd(seed) % 9];
		return n;
	case 2: /* say twice */
		if (n + len > cap)
			return n;
		memmove(text + at + len, text + at, n - at);
		return n + len;
	default: {
		const char *piece = pieces[rnd(seed) % ARRAY_LEN(pieces)];
		size_t m = strlen(piece);
		if (n + m > cap)
			return n;
		memmove(text + at + m, text + at, n - at);
		memcpy(text + at, piece, m);
		return n + m;
	}
	}
}

static void test_mutated_reviews_read_as_jansson_reads_them(void **state)
{
	(void)state;
	static const char *const seeds[] = {
	    "{" V1 ",\"metadata\":{\"creationTimestamp\":null},\"spec\":{" PODS
	    ",\"user\":\"jane\",\"groups\":[\"a\",\"b\"],\"uid\":\"1\",\"extra\":{\"k\":[\"v\",\"w\"]}},"
	    "\"status\":{\"allowed\":false}}",
	    "{" BETA ",\"spec\":{\"nonResourceAttributes\":{\"path\":\"/a\",\"verb\":\"get\"},"
	    "\"group\":[\"a\"],\"user\":\"u\"}}",
	    "{\"spec\":{\"resourceAttributes\":{\"namespace\":\"n\",\"group\":\"apps\",\"resource\":\"d\","
	    "\"labelSelector\":{\"rawSelector\":\"x\",\"requirements\":[{\"key\":\"k\",\"operator\":\"In\","
	    "\"values\":[\"a\"]}]}},\"group\":[\"x\"]}," BETA "}",
	};
	uint64_t seed = 3;
	unsigned accepted = 0;
	char text[2048];
	for (int i = 0; i < 300000; i++) {
		const char *from = seeds[rnd(&seed) % ARRAY_LEN(seeds)];
		size_t n = strlen(from);
		memcpy(text, from, n);
		for (uint32_t k = rnd(&seed) % 4; k > 0; k--)
			n = mutate(text, n, sizeof(text), &seed);
		struct slice body = {text, n};
		const char *why = sar_twin_differ(body);
		if (why)
			fail_msg("%s: " SLICE_FMT, why, SLICE_ARG(body));
		struct arena a = {0};
		struct sar s;
		accepted += sar_parse(body, &a, &s, NULL) == ERR_OK;
		arena_done(&a);
	}
	assert_true(accepted > 10000); /* else the mutations are too wild to tell anything */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_field_of_v1),
	    cmocka_unit_test(test_groups_have_another_name_in_v1beta1),
	    cmocka_unit_test(test_absent_and_unknown_fields),
	    cmocka_unit_test(test_malformed_reviews),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_a_selector_with_nul_is_decided),
	    cmocka_unit_test(test_no_number_of_selectors_keeps_a_review_from_being_decided),
	    cmocka_unit_test(test_huge_reviews_are_decided),
	    cmocka_unit_test(test_replies),
	    cmocka_unit_test(test_the_full_reply_repeats_the_spec),
	    cmocka_unit_test(test_names_do_not_reach_the_reason),
	    cmocka_unit_test(test_reasons),
	    cmocka_unit_test(test_mutated_reviews_read_as_jansson_reads_them),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
