/* Fuzzes policies from text to verdict: findings have places, compiling is repeatable, and verdicts keep
 * their promises on requests made of the words of the text itself. */
#include "tests/fuzz/asked.h"

static void check_findings(const struct diags *d, size_t size)
{
	for (size_t i = 0; i < d->len; i++) {
		FUZZ_CHECK(d->items[i].line <= size + 1 && d->items[i].col <= size + 1);
		FUZZ_CHECK(slice_utf8(slice_of(d->items[i].text)) && d->items[i].text[0]);
	}
}

/* NULL after findings. */
static struct policy *compile(struct slice text)
{
	struct policy_file file = {.name = "f.yaml", .text = text};
	struct policy *p = NULL;
	struct diags d = {0};
	enum err_code rc = policy_compile(&file, 1, authz_run_tests, &p, &d);
	FUZZ_CHECK((rc == ERR_OK) == (d.errors == 0) && (rc == ERR_OK) == (p != NULL));
	check_findings(&d, text.len);
	diags_done(&d);
	return p;
}

static void check_dumps(const struct policy *p, const struct policy *again)
{
	struct buf a, b;
	buf_init(&a, 1 << 26);
	buf_init(&b, 1 << 26);
	policy_dump(p, &a);
	policy_dump(again, &b);
	FUZZ_CHECK(slice_eq(buf_view(&a), buf_view(&b)) && slice_utf8(buf_view(&a)));
	FUZZ_CHECK(strcmp(policy_info(p)->sha256, policy_info(again)->sha256) == 0);
	buf_done(&a);
	buf_done(&b);
}

static void check_decision(const struct policy *p, const struct access_request *r, const struct decision *d)
{
	struct buf b;
	FUZZ_CHECK((d->rule != NULL) == (d->effect != POLICY_NO_EFFECT));
	FUZZ_CHECK(d->verdict != VERDICT_ALLOW || d->effect == POLICY_ALLOW);
	FUZZ_CHECK(!d->exempt || d->verdict != VERDICT_DENY);
	buf_init(&b, 1 << 26);
	authz_explain(p, r, true, &b);
	FUZZ_CHECK((d->rule != NULL) == (strstr(buf_cstr(&b), "\"decides\":true") != NULL));
	buf_done(&b);
	buf_init(&b, 4096);
	authz_reason(p, d, "id", &b);
	FUZZ_CHECK(b.len > 0 && b.len <= AUTHZ_REASON_MAX && slice_printable(buf_view(&b)));
	buf_done(&b);
}

static void ask(const struct policy *p, struct asked *a)
{
	struct access_request r = asked_next(a);
	struct slice turned[ASKED_GROUPS], values[2] = {asked_word(a), asked_word(a)};
	for (size_t i = 0; i < ASKED_GROUPS; i++)
		turned[ASKED_GROUPS - 1 - i] = r.groups[i];
	static const struct slice ops[] = {
	    SLICE("In"), SLICE("NotIn"), SLICE("Exists"), SLICE("DoesNotExist"), SLICE("Gt")};
	struct access_requirement asked[2];
	for (size_t i = 0; i < 2; i++) {
		asked[i] = (struct access_requirement){.key = asked_word(a), .values = values};
		asked[i].op = ops[a->seed % ARRAY_LEN(ops)];
		asked[i].n = a->seed >> 20 & 1 ? 2 : 0;
	}
	r.field_selector = asked;
	r.nfield = a->seed >> 24 & 1;
	r.label_selector = asked;
	r.nlabel = a->seed >> 25 & 1 ? 2 : 0;
	r.now = a->seed >> 26 & 1 ? AUTHZ_TIMELESS : INT64_C(1795341600000000000);
	struct decision d, again;
	authz_evaluate(p, &r, &d);
	check_decision(p, &r, &d);
	/* The order of groups says nothing. */
	r.groups = turned;
	authz_evaluate(p, &r, &again);
	FUZZ_CHECK(d.verdict == again.verdict && d.rule == again.rule && d.exempt == again.exempt);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = fuzz_slice(data, size);
	struct policy *p = compile(text);
	if (!p)
		return 0;
	struct policy *again = compile(text);
	FUZZ_CHECK(again);
	check_dumps(p, again);
	struct asked a;
	asked_init(&a, text, " \n\t,:[]{}\"'");
	for (int i = 0; i < 32; i++)
		ask(p, &a);
	policy_free(&p);
	policy_free(&again);
	return 0;
}
