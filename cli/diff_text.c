/* Owns the text of `portcullis policy diff`: for somebody who reviews a change. */
#include <stdio.h>

#include "cli/diff_print.h"
#include "common/clock.h"

#define TEXT_MAX ((size_t)16 << 20)
#define LISTED 8 /* of one list; JSON has them all */

static const char *verdict_text(enum verdict v)
{
	static const char *const texts[] = {[VERDICT_NO_OPINION] = "no opinion",
	    [VERDICT_ALLOW] = "allow",
	    [VERDICT_DENY] = "deny"};
	return texts[v];
}

/* What a policy holds was checked at load, but a terminal is no place for what imports may hold. */
static void add_plain(struct buf *b, struct slice s)
{
	if (s.len && slice_printable(s) && slice_find(s, ' ') == s.len)
		buf_slice(b, s);
	else
		buf_json(b, s);
}

static void add_pattern(struct buf *b, const struct pattern *p)
{
	struct buf text;
	buf_init(&text, TEXT_MAX);
	if (p->kind == PATTERN_ACCOUNT)
		add_plain(b, diff_account_name(p->text, &text));
	else if (p->kind == PATTERN_WORD && slice_find(p->text, '*') < p->text.len)
		buf_json(b, p->text);
	else
		add_plain(b, p->text);
	buf_adds(b, p->kind == PATTERN_PREFIX ? "*" : "");
	buf_done(&text);
}

static void add_more(struct buf *b, size_t shown, size_t n)
{
	if (n > shown)
		buf_printf(b, " and %zu more", n - shown);
}

static void add_words(struct buf *b, const struct words *w)
{
	uint32_t i;
	for (i = 0; i < w->n && i < LISTED; i++) {
		buf_adds(b, i ? ", " : "");
		add_pattern(b, &w->v[i]);
	}
	add_more(b, i, w->n);
}

/* --- subjects --- */

static void add_named(struct buf *b, const char *one, const struct words *w, enum pattern_kind not,
    enum pattern_kind only, bool *first, size_t *shown)
{
	for (uint32_t i = 0; i < w->n; i++) {
		bool fits = only ? w->v[i].kind == only : w->v[i].kind != not;
		if (!fits || (*shown)++ >= LISTED)
			continue;
		buf_printf(b, "%s%s ", *first ? "" : " or ", one);
		add_pattern(b, &w->v[i]);
		*first = false;
	}
}

static void add_people(struct buf *b, const struct people *p)
{
	bool first = true;
	size_t shown = 0;
	if (p->everyone) {
		buf_adds(b, "everyone");
		return;
	}
	add_named(b, "group", &p->groups, PATTERN_ACCOUNT, 0, &first, &shown);
	add_named(b, "user", &p->users, PATTERN_ACCOUNT, 0, &first, &shown);
	add_named(b, "service account", &p->users, 0, PATTERN_ACCOUNT, &first, &shown);
	add_more(b, LISTED, shown);
}

/* The conditions were added with the subjects of the rule last in the list. */
static void add_who(struct buf *b, const struct diff_who *w)
{
	if (w->nall == 0)
		buf_adds(b, "anyone");
	for (size_t i = w->nall; i > 0; i--) {
		buf_adds(b, i < w->nall ? ", also " : "");
		add_people(b, w->all[i - 1]);
	}
	for (size_t i = 0; i < w->nnone; i++) {
		buf_adds(b, i ? ", nor " : ", but not ");
		add_people(b, w->none[i]);
	}
}

/* --- what --- */

static void add_dimension(
    struct buf *b, const char *before, const struct diff_words *w, const char *any)
{
	if (w->any && w->out.n == 0 && !any)
		return;
	buf_adds(b, before);
	if (w->any)
		buf_adds(b, any ? any : "any");
	else
		add_words(b, &w->in);
	if (w->out.n) {
		buf_adds(b, " but not ");
		add_words(b, &w->out);
	}
}

static void add_form_list(struct buf *b, const struct forms *f)
{
	uint32_t i;
	for (i = 0; i < f->n && i < LISTED; i++) {
		const struct form *one = &f->v[i];
		buf_adds(b, i ? ", " : "");
		if (one->any_resource && one->sub_kind == SUB_ANY)
			buf_adds(b, "everything");
		else if (one->any_resource)
			buf_adds(b, one->sub_kind == SUB_WORD && !one->sub.len ? "any resource" : "*");
		else
			add_plain(b, one->resource);
		if (one->sub_kind == SUB_SOME || (one->sub_kind == SUB_ANY && !one->any_resource))
			buf_adds(b, one->sub_kind == SUB_SOME ? "/*" : " with its subresources");
		if (one->sub_kind == SUB_WORD && one->sub.len) {
			buf_addc(b, '/');
			add_plain(b, one->sub);
		}
	}
	add_more(b, i, f->n);
}

static void add_groups(struct buf *b, const struct diff_words *w)
{
	bool core = !w->any && w->in.n == 1 && w->in.v[0].text.len == 0;
	if ((w->any && w->out.n == 0) || core)
		return;
	buf_adds(b, " of API group ");
	if (w->any)
		buf_adds(b, "any");
	for (uint32_t i = 0; !w->any && i < w->in.n && i < LISTED; i++) {
		buf_adds(b, i ? ", " : "");
		add_plain(b, w->in.v[i].text.len ? w->in.v[i].text : SLICE("core"));
	}
	if (w->out.n) {
		buf_adds(b, " but not ");
		add_words(b, &w->out);
	}
}

static void add_place(struct buf *b, const struct diff_cell *c)
{
	const struct diff_words *w = &c->words[REGION_NAMESPACE];
	if (!w->any && w->in.n == 1 && w->in.v[0].text.len == 0) {
		buf_adds(b, c->unscoped ? " in all namespaces at once" : " without a namespace");
	} else {
		struct diff_words some = *w;
		bool empty_out = words_have(&w->out, SLICE(""));
		/* The empty text sorts first. */
		if (empty_out && w->out.n && w->out.v[0].text.len == 0)
			some.out = (struct words){w->out.v + 1, w->out.n - 1, w->out.nwords - 1};
		if (w->any && empty_out)
			add_dimension(b, " in ", &some, "any namespace");
		else
			add_dimension(b, " in ", &some, w->out.n ? "any namespace or none" : NULL);
	}
	if (c->scoped)
		buf_adds(b, ", resources that have no namespace");
	if (c->unscoped && w->any)
		buf_adds(b, ", resources that have a namespace");
}

static void add_selectors(struct buf *b, const struct diff_cell *c)
{
	static const char *const ops[] = {[REQUIREMENT_IN] = "in",
	    [REQUIREMENT_NOT_IN] = "not in",
	    [REQUIREMENT_EXISTS] = "exists",
	    [REQUIREMENT_DOES_NOT_EXIST] = "does not exist"};
	for (size_t i = 0; i < c->nselectors; i++) {
		const struct limit *l = &c->selectors[i];
		buf_adds(b, l->wide ? (l->out ? ", asking for nothing with " : ", possibly with ")
				    : (l->out ? ", not only with " : ", only with "));
		buf_adds(b, l->dim == REGION_FIELDS ? "field " : "label ");
		for (uint32_t k = 0; k < l->selector->n; k++) {
			const struct requirement *q = &l->selector->v[k];
			buf_adds(b, k ? " and " : "");
			add_plain(b, q->key);
			buf_printf(b, " %s", ops[q->op]);
			for (uint32_t m = 0; m < q->n && m < LISTED; m++) {
				buf_adds(b, m ? "," : " ");
				add_plain(b, q->values[m]);
			}
			add_more(b, LISTED, q->n);
		}
	}
}

static void add_what(struct buf *b, const struct diff_cell *c)
{
	add_dimension(b, "", &c->words[REGION_VERB], "any verb");
	if (!c->resource) {
		add_dimension(b, " on path ", &c->words[REGION_PATH], "any");
		return;
	}
	buf_adds(b, " on ");
	if (c->forms.any)
		buf_adds(b, "everything");
	else
		add_form_list(b, &c->forms.in);
	if (c->forms.out.n) {
		buf_adds(b, " but not ");
		add_form_list(b, &c->forms.out);
	}
	add_groups(b, &c->words[REGION_GROUP]);
	add_dimension(b, " named ", &c->words[REGION_NAME], NULL);
	add_place(b, c);
	add_selectors(b, c);
}

/* --- cells --- */

static void add_side(struct buf *b, enum verdict v, const struct rule *by)
{
	buf_adds(b, verdict_text(v));
	if (by) {
		buf_adds(b, " by ");
		add_plain(b, slice_of(by->id));
		buf_adds(b, " (");
		add_plain(b, slice_of(by->source));
		buf_adds(b, ")");
	} else {
		buf_adds(b, " as no rule decides");
	}
}

static void print_cell(const struct diff *d, const struct diff_cell *c)
{
	AUTO(buf_done) struct buf b;
	buf_init(&b, TEXT_MAX);
	buf_adds(&b, "  ");
	add_who(&b, &c->who);
	buf_adds(&b, ": ");
	add_what(&b, c);
	buf_adds(&b, "\n      ");
	if (c->certain) {
		add_side(&b, c->before, c->by[0]);
		buf_adds(&b, " -> ");
		add_side(&b, c->after, c->by[1]);
	} else {
		buf_printf(&b, "may change: %s -> %s", verdict_text(c->before),
		    verdict_text(c->after));
	}
	if (c->others)
		buf_printf(&b, "; so do others of %zu rules that some of them may come under",
		    c->others);
	if (c->at != d->moments[0]) {
		char at[CLOCK_RFC3339_LEN];
		clock_rfc3339(c->at, at);
		buf_printf(&b, "; from %s", at);
	}
	buf_addc(&b, '\n');
	if (c->certain) {
		buf_adds(&b, "      e.g. ");
		diff_review(&c->example, &b);
		buf_addc(&b, '\n');
	}
	fputs(buf_cstr(&b), stdout);
}

static const char *title(const struct diff_cell *c)
{
	static const char *const titles[3][3] = {
	    [VERDICT_NO_OPINION] = {[VERDICT_ALLOW] = "Gains access",
		[VERDICT_DENY] = "Newly denied"},
	    [VERDICT_DENY] = {[VERDICT_ALLOW] = "Gains access, was denied",
		[VERDICT_NO_OPINION] = "No longer denied (other authorizers decide)"},
	    [VERDICT_ALLOW] = {[VERDICT_NO_OPINION] =
				   "Loses access given here (other authorizers decide)",
		[VERDICT_DENY] = "Loses access, now denied"},
	};
	return titles[c->before][c->after];
}

static void print_rules(const struct diff *d)
{
	static const char *const signs[] = {[DIFF_ADDED] = "+ ",
	    [DIFF_REMOVED] = "- ",
	    [DIFF_CHANGED] = "~ ",
	    [DIFF_TEXT] = "  text only: "};
	for (size_t i = 0; i < d->nrules; i++) {
		AUTO(buf_done) struct buf b;
		buf_init(&b, TEXT_MAX);
		buf_adds(&b, signs[d->rules[i].change]);
		add_plain(&b, slice_of(d->rules[i].rule->id));
		buf_adds(&b, " (");
		add_plain(&b, slice_of(d->rules[i].rule->source));
		buf_adds(&b, ")\n");
		fputs(buf_cstr(&b), stdout);
	}
	if (d->default_changed)
		puts("~ defaults.decision");
	if (d->exempt_changed)
		puts("~ defaults.exempt");
}

static void print_end(const struct diff *d, size_t left)
{
	if (left)
		printf("\n%zu more cells are not shown; --all shows them\n", left);
	if (d->nuncertain)
		printf("\n%zu cells may change: their rules are too entangled to tell\n",
		    d->nuncertain);
	if (d->moments_left)
		printf("\nnot looked at: %zu later moments at which windows begin or end\n",
		    d->moments_left);
	if (d->ncells == 0)
		puts("no verdict changes");
}

void diff_print_text(const struct diff *d, bool all)
{
	size_t n = all || d->ncells < DIFF_SHOWN ? d->ncells : DIFF_SHOWN;
	const struct diff_cell *last = NULL;
	print_rules(d);
	for (size_t i = 0; i < n; i++) {
		const struct diff_cell *c = &d->cells[i];
		if (!last || title(last) != title(c) || last->shadow != c->shadow)
			printf("\n%s%s\n", c->shadow ? "Were the shadow rules in force: " : "", title(c));
		print_cell(d, c);
		last = c;
	}
	print_end(d, d->ncells - n);
}
