/* Owns the comparison of the engine with the second evaluator, and the shortest policy that shows a
 * difference. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/naive_import.h"

static bool same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_rest(const struct decision *d, const struct naive_answer *want)
{
	const struct naive_verdict *v = &want->real;
	return d->exempt == want->exempt && d->effect == v->effect &&
	       (d->break_glass != NULL) == (v->by && v->by->break_glass) &&
	       strcmp(d->note ? d->note : "", want->note) == 0;
}

bool naive_agrees(const struct policy *p, const struct naive_policy *model,
    const struct access_request *r, struct naive_answer *want)
{
	struct decision d;
	authz_evaluate(p, r, &d);
	naive_evaluate(model, r, want);
	if (d.verdict != want->real.verdict || !same(d.rule, want->real.id) || !same_rest(&d, want))
		return false;
	if (d.shadow.differs != want->differs)
		return false;
	return !want->differs || (d.shadow.verdict == want->shadow.verdict &&
				     same(d.shadow.rule, want->shadow.id));
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

/* Leaves out the bindings and lines that the difference does not need. */
static void shrink_imports(struct naive_policy *model, const struct access_request *r)
{
	struct naive_imports *im = model->imports;
	for (int at = im ? im->nbindings - 1 : -1; at >= 0; at--) {
		struct naive_imports all = *im;
		memmove(&im->bindings[at], &im->bindings[at + 1],
		    (size_t)(im->nbindings - at - 1) * sizeof(im->bindings[0]));
		im->nbindings--;
		if (!differs(model, r))
			*im = all;
	}
	for (int n = im ? im->nlines : 0; n > 0; n--) {
		im->nlines = n - 1;
		if (!differs(model, r)) {
			im->nlines = n;
			break;
		}
	}
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
	shrink_imports(model, r);
}

static const char *word(const char *id)
{
	return id ? id : "nothing";
}

static void print_answers(struct buf *b, const struct naive_policy *model, const struct policy *p,
    const struct access_request *r)
{
	struct naive_answer want;
	struct decision d;
	authz_evaluate(p, r, &d);
	naive_evaluate(model, r, &want);
	buf_printf(b, "engine: %s by %s%s; shadow: ", verdict_name(d.verdict), word(d.rule),
	    d.exempt ? ", exempt" : "");
	if (d.shadow.differs)
		buf_printf(b, "%s by %s", verdict_name(d.shadow.verdict), word(d.shadow.rule));
	buf_printf(b, "; note: %s\nnaive:  %s by %s%s; shadow: ", d.note ? d.note : "",
	    verdict_name(want.real.verdict), word(want.real.id), want.exempt ? ", exempt" : "");
	if (want.differs)
		buf_printf(b, "%s by %s", verdict_name(want.shadow.verdict), word(want.shadow.id));
	buf_printf(b, "; note: %s\n", want.note);
}

void naive_tell(const struct naive_policy *model, const struct access_request *r)
{
	struct buf b, texts[NAIVE_FILES];
	struct policy_file files[NAIVE_FILES];
	buf_init(&b, 1 << 24);
	for (int k = 0; k < NAIVE_FILES; k++)
		buf_init(&texts[k], 1 << 24);
	size_t n = naive_print(files, texts, model);
	for (size_t k = 0; k < n; k++)
		buf_printf(&b, "--- %s\n" SLICE_FMT, files[k].name, SLICE_ARG(files[k].text));
	for (int k = 0; k < NAIVE_FILES; k++)
		buf_done(&texts[k]);
	naive_print_request(&b, r);
	buf_adds(&b, "\n");
	struct policy *p = naive_compile(model);
	print_answers(&b, model, p, r);
	policy_free(&p);
	fputs(buf_cstr(&b), stderr);
	buf_done(&b);
}

unsigned naive_cases(unsigned plain)
{
	const char *set = getenv("NAIVE_CASES");
	if (set && *set)
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
