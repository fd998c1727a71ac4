/* Fuzzes access reviews from body to reply: read as jansson reads them, answered by valid JSON that never
 * says allowed and denied. */
#include "authz/sar.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/sar_twin.h"

static const char policy_text[] =
    "apiVersion: portcullis.dev/v1alpha1\nkind: AccessPolicy\n"
    "defaults: {exempt: {users: [root]}}\n"
    "rules:\n"
    "- {id: a, effect: allow, subjects: {groups: [\"d*\", a], users: [u]}, apiGroups: [\"*\"], "
    "resources: [\"*\"], verbs: [\"*\"]}\n"
    "- {id: b, effect: allow, subjects: {all: everyone}, nonResourceURLs: [\"/a*\"], verbs: [get]}\n"
    "- {id: c, effect: deny, subjects: {all: everyone}, namespaces: [\"k*\"], resources: [\"*\"], "
    "verbs: [get, list], message: \"not \\\"here\\\"\"}\n"
    "- {id: d, effect: abstain, subjects: {serviceAccounts: [\"n/*\"]}, resources: [pods], verbs: [list]}\n";

/* Built once: libFuzzer calls from one thread. */
static struct policy *policy(void)
{
	static struct policy *p;
	struct policy_file file = {.name = "f.yaml", .text = {policy_text, sizeof(policy_text) - 1}};
	struct diags d = {0};
	if (!p)
		FUZZ_CHECK(policy_compile(&file, 1, NULL, &p, &d) == ERR_OK);
	diags_done(&d);
	return p;
}

static void check_reply(const struct sar *s, struct buf *b, enum verdict v, bool full)
{
	json_error_t error;
	json_t *j = json_loadb(b->p, b->len, JSON_REJECT_DUPLICATES, &error);
	/* A repeated spec may hold numbers that jansson cannot. */
	if (!j && full && json_error_code(&error) == json_error_numeric_overflow)
		return;
	FUZZ_CHECK(j && !b->over && !memchr(b->p, '\n', b->len));
	const char *version = json_string_value(json_object_get(j, "apiVersion"));
	json_t *status = json_object_get(j, "status");
	bool allowed = json_is_true(json_object_get(status, "allowed"));
	bool denied = json_is_true(json_object_get(status, "denied"));
	FUZZ_CHECK(version && strcmp(version, s->api_version) == 0);
	FUZZ_CHECK(!(allowed && denied));
	FUZZ_CHECK(allowed == (v == VERDICT_ALLOW && !s->unanswerable));
	FUZZ_CHECK(denied == (v == VERDICT_DENY && !s->unanswerable));
	json_decref(j);
}

static void answer(const struct sar *s, size_t size)
{
	struct decision d;
	struct buf reason, b;
	authz_evaluate(policy(), &s->request, &d);
	buf_init(&reason, AUTHZ_REASON_MAX);
	buf_init(&b, size + 4096);
	authz_reason(policy(), &d, "01ARZ3NDEKTSV4RRFFQ69G5FAV", &reason);
	sar_write(s, d.verdict, buf_view(&reason), NULL, &b);
	check_reply(s, &b, d.verdict, false);
	buf_done(&b);
	sar_write_full(s, d.verdict, buf_view(&reason), NULL, &b);
	check_reply(s, &b, d.verdict, true);
	buf_done(&b);
	buf_done(&reason);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice body = fuzz_slice(data, size);
	const char *why = sar_twin_differ(body);
	if (why)
		fprintf(stderr, "%s\n", why);
	FUZZ_CHECK(!why);
	struct arena arena = {0};
	struct sar s;
	if (sar_parse(body, &arena, &s, NULL) == ERR_OK)
		answer(&s, size);
	arena_done(&arena);
	return 0;
}
