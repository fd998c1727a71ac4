/* Owns the comparison of the engine with the second evaluator, and the shortest policy that shows a
 * difference. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/naive_authz.h"

static bool same(const char *id, const struct naive_rule *by)
{
	return by ? id && strcmp(id, by->id) == 0 : !id;
}

bool naive_agrees(const struct policy *p, const struct naive_policy *model,
    const struct access_request *r, struct naive_answer *want)
{
	struct decision d;
	authz_evaluate(p, r, &d);
	naive_evaluate(model, r, want);
	if (d.verdict != want->verdict || !same(d.rule, want->by) || d.exempt != want->exempt)
		return false;
	if (d.effect != (want->by ? want->by->effect : POLICY_NO_EFFECT))
		return false;
	if (d.shadow.differs != want->shadow.differs)
		return false;
	return !d.shadow.differs || (d.shadow.verdict == want->shadow.verdict &&
					same(d.shadow.rule, want->shadow.by));
}

static bool differs(const struct naive_policy *model, const struct access_request *r)
{
	struct naive_answer want;
	struct policy *p = naive_compile(model);
	bool same_answer = naive_agrees(p, model, r, &want);
	policy_free(&p);
	return !same_answer;
}

static void without(struct naive_policy *p, int at)
{
	memmove(&p->rules[at], &p->rules[at + 1],
	    (size_t)(p->n - at - 1) * sizeof(p->rules[0]));
	p->n--;
	if (at < p->first)
		p->first--;
}

/* Drops every rule that the difference does not need. */
void naive_shrink(struct naive_policy *model, const struct access_request *r)
{
	for (int at = model->n - 1; at >= 0 && model->n > 1; at--) {
		struct naive_policy less;
		naive_copy(&less, model);
		without(&less, at);
		if (differs(&less, r))
			without(model, at);
		naive_done(&less);
	}
}

static void print_answer(struct buf *b, const char *who, enum verdict v, const char *rule, bool differ,
    enum verdict shadow, const char *shadow_rule)
{
	buf_printf(b, "%s: %s by %s", who, verdict_name(v), rule ? rule : "nothing");
	if (differ)
		buf_printf(b, ", shadow %s by %s", verdict_name(shadow),
		    shadow_rule ? shadow_rule : "nothing");
	buf_adds(b, "\n");
}

void naive_tell(const struct naive_policy *model, const struct access_request *r)
{
	struct buf b, texts[NAIVE_FILES];
	struct naive_answer want;
	struct decision d;
	buf_init(&b, 1 << 24);
	for (int k = 0; k < NAIVE_FILES; k++)
		buf_init(&texts[k], 1 << 24);
	int n = naive_print(texts, model);
	for (int k = 0; k < n; k++)
		buf_printf(&b, "--- file %d\n%s", k, buf_cstr(&texts[k]));
	for (int k = 0; k < NAIVE_FILES; k++)
		buf_done(&texts[k]);
	naive_print_request(&b, r);
	buf_adds(&b, "\n");
	struct policy *p = naive_compile(model);
	authz_evaluate(p, r, &d);
	naive_evaluate(model, r, &want);
	print_answer(&b, "engine", d.verdict, d.rule, d.shadow.differs, d.shadow.verdict,
	    d.shadow.rule);
	print_answer(&b, "naive", want.verdict, want.by ? want.by->id : NULL, want.shadow.differs,
	    want.shadow.verdict, want.shadow.by ? want.shadow.by->id : NULL);
	policy_free(&p);
	fputs(buf_cstr(&b), stderr);
	buf_done(&b);
}

unsigned naive_cases(unsigned plain)
{
	const char *set = getenv("NAIVE_CASES");
	if (set)
		return (unsigned)strtoul(set, NULL, 10);
#ifdef __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
	return plain / 20;
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return plain / 20;
#else
	return plain;
#endif
}
