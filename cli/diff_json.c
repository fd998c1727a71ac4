/* Owns the JSON of `portcullis policy diff`: one cell a line. */
#include <stdio.h>

#include "cli/diff_print.h"
#include "common/clock.h"

#define LINE_MAX_BYTES ((size_t)256 << 20)

struct slice diff_account_name(struct slice pattern, struct buf *out)
{
	struct slice rest = slice_skip(pattern, strlen(SERVICE_ACCOUNT_PREFIX));
	size_t from = out->len, colon = slice_find(rest, ':');
	buf_slice(out, (struct slice){rest.p, colon});
	buf_addc(out, '/');
	buf_slice(out, slice_skip(rest, colon + 1));
	return (struct slice){out->p + from, out->len - from};
}

/* A star means what it means in a policy; a word that holds one is marked. */
static void add_pattern(struct buf *b, const struct pattern *p)
{
	struct buf text;
	buf_init(&text, LINE_MAX_BYTES);
	switch (p->kind) {
	case PATTERN_WORD:
		if (slice_find(p->text, '*') < p->text.len) {
			buf_adds(b, "{\"literal\":");
			buf_json(b, p->text);
			buf_addc(b, '}');
			break;
		}
		buf_json(b, p->text);
		break;
	case PATTERN_GLOB:
		buf_json(b, p->text);
		break;
	case PATTERN_PREFIX:
		buf_slice(&text, p->text);
		buf_addc(&text, '*');
		buf_json(b, buf_view(&text));
		break;
	case PATTERN_ACCOUNT:
		buf_json(b, diff_account_name(p->text, &text));
		break;
	}
	buf_done(&text);
}

static void add_words(struct buf *b, const char *key, const struct words *w, bool accounts)
{
	bool first = true;
	buf_printf(b, "\"%s\":[", key);
	for (uint32_t i = 0; i < w->n; i++) {
		if ((w->v[i].kind == PATTERN_ACCOUNT) != accounts)
			continue;
		buf_adds(b, first ? "" : ",");
		first = false;
		add_pattern(b, &w->v[i]);
	}
	buf_addc(b, ']');
}

static void add_dimension(struct buf *b, const char *key, const struct diff_words *w)
{
	if (w->any && w->out.n == 0)
		return;
	buf_printf(b, ",\"%s\":{", key);
	if (!w->any)
		add_words(b, "in", &w->in, false);
	if (w->out.n) {
		buf_adds(b, w->any ? "" : ",");
		add_words(b, "out", &w->out, false);
	}
	buf_addc(b, '}');
}

static void add_form_list(struct buf *b, const char *key, const struct forms *f)
{
	buf_printf(b, "\"%s\":[", key);
	for (uint32_t i = 0; i < f->n; i++) {
		struct buf text;
		const struct form *one = &f->v[i];
		buf_init(&text, LINE_MAX_BYTES);
		buf_slice(&text, one->any_resource ? SLICE("*") : one->resource);
		if (one->sub_kind == SUB_SOME)
			buf_adds(&text, "/*");
		if (one->sub_kind == SUB_WORD && one->sub.len) {
			buf_addc(&text, '/');
			buf_slice(&text, one->sub);
		}
		/* Every resource, but none of their subresources. */
		if (one->sub_kind == SUB_WORD && one->sub.len == 0 && one->any_resource)
			buf_addc(&text, '/');
		if (one->sub_kind == SUB_ANY && !one->any_resource)
			buf_adds(&text, "/**");
		buf_adds(b, i ? "," : "");
		buf_json(b, buf_view(&text));
		buf_done(&text);
	}
	buf_addc(b, ']');
}

static void add_forms(struct buf *b, const struct diff_forms *f)
{
	if (f->any && f->out.n == 0)
		return;
	buf_adds(b, ",\"resources\":{");
	if (!f->any)
		add_form_list(b, "in", &f->in);
	if (f->out.n) {
		buf_adds(b, f->any ? "" : ",");
		add_form_list(b, "out", &f->out);
	}
	buf_addc(b, '}');
}

static void add_people(struct buf *b, const struct people *p)
{
	buf_addc(b, '{');
	if (p->everyone) {
		buf_adds(b, "\"all\":\"everyone\"}");
		return;
	}
	add_words(b, "users", &p->users, false);
	buf_addc(b, ',');
	add_words(b, "serviceAccounts", &p->users, true);
	buf_addc(b, ',');
	add_words(b, "groups", &p->groups, false);
	buf_addc(b, '}');
}

static void add_crowds(
    struct buf *b, const char *key, const struct people *const *v, size_t n)
{
	buf_printf(b, "\"%s\":[", key);
	for (size_t i = 0; i < n; i++) {
		buf_adds(b, i ? "," : "");
		add_people(b, v[i]);
	}
	buf_addc(b, ']');
}

static void add_selectors(struct buf *b, const struct diff_cell *c)
{
	static const char *const ops[] = {[REQUIREMENT_IN] = "In",
	    [REQUIREMENT_NOT_IN] = "NotIn",
	    [REQUIREMENT_EXISTS] = "Exists",
	    [REQUIREMENT_DOES_NOT_EXIST] = "DoesNotExist"};
	buf_adds(b, c->nselectors ? ",\"selectors\":[" : "");
	for (size_t i = 0; i < c->nselectors; i++) {
		const struct limit *l = &c->selectors[i];
		buf_printf(b, "%s{\"selector\":\"%s\",\"request\":\"%s\",\"requirements\":[",
		    i ? "," : "", l->dim == REGION_FIELDS ? "field" : "label",
		    l->wide ? (l->out ? "isClearOf" : "mayTouch")
			    : (l->out ? "reachesBeyond" : "isWithin"));
		for (uint32_t k = 0; k < l->selector->n; k++) {
			const struct requirement *q = &l->selector->v[k];
			buf_adds(b, k ? ",{\"key\":" : "{\"key\":");
			buf_json(b, q->key);
			buf_printf(b, ",\"operator\":\"%s\",\"values\":[", ops[q->op]);
			for (uint32_t m = 0; m < q->n; m++) {
				buf_adds(b, m ? "," : "");
				buf_json(b, q->values[m]);
			}
			buf_adds(b, "]}");
		}
		buf_adds(b, "]}");
	}
	buf_adds(b, c->nselectors ? "]" : "");
}

static void add_rule(struct buf *b, const char *key, const struct rule *r)
{
	buf_printf(b, ",\"%s\":", key);
	if (!r) {
		buf_adds(b, "null");
		return;
	}
	buf_adds(b, "{\"id\":");
	buf_json(b, slice_of(r->id));
	buf_json_member(b, "source", slice_of(r->source));
	buf_addc(b, '}');
}

static void add_cell(struct buf *b, const struct diff_cell *c)
{
	char at[CLOCK_RFC3339_LEN];
	clock_rfc3339(c->at, at);
	buf_printf(b, "{\"before\":\"%s\",\"after\":\"%s\",\"shadow\":%s,\"certain\":%s,"
		      "\"at\":\"%s\",\"subjects\":{",
	    verdict_name(c->before), verdict_name(c->after), c->shadow ? "true" : "false",
	    c->certain ? "true" : "false", at);
	add_crowds(b, "allOf", c->who.all, c->who.nall);
	buf_addc(b, ',');
	add_crowds(b, "noneOf", c->who.none, c->who.nnone);
	buf_printf(b, "},\"kind\":\"%s\"", c->resource ? "resource" : "nonResource");
	add_dimension(b, "verbs", &c->words[REGION_VERB]);
	if (c->resource) {
		add_dimension(b, "apiGroups", &c->words[REGION_GROUP]);
		add_forms(b, &c->forms);
		add_dimension(b, "resourceNames", &c->words[REGION_NAME]);
		add_dimension(b, "namespaces", &c->words[REGION_NAMESPACE]);
		if (c->scoped | c->unscoped)
			buf_printf(b, ",\"clusterScoped\":%s", c->scoped ? "true" : "false");
		add_selectors(b, c);
	} else {
		add_dimension(b, "nonResourceURLs", &c->words[REGION_PATH]);
	}
	add_rule(b, "oldRule", c->by[0]);
	add_rule(b, "newRule", c->by[1]);
	if (c->others)
		buf_printf(b, ",\"otherRules\":%zu", c->others);
	buf_adds(b, ",\"example\":");
	if (c->certain)
		diff_review(&c->example, b);
	else
		buf_adds(b, "null");
	buf_addc(b, '}');
}

static void add_head(struct buf *b, const struct diff *d)
{
	static const char *const changes[] = {[DIFF_ADDED] = "added",
	    [DIFF_REMOVED] = "removed",
	    [DIFF_CHANGED] = "changed",
	    [DIFF_TEXT] = "textOnly"};
	buf_printf(b, "{\"cells\":%zu,\"shadowCells\":%zu,\"uncertainCells\":%zu,"
		      "\"defaultChanged\":%s,\"exemptChanged\":%s,\"moments\":[",
	    d->ncells, d->nshadow, d->nuncertain, d->default_changed ? "true" : "false",
	    d->exempt_changed ? "true" : "false");
	for (size_t i = 0; i < d->nmoments; i++) {
		char at[CLOCK_RFC3339_LEN];
		clock_rfc3339(d->moments[i], at);
		buf_printf(b, "%s\"%s\"", i ? "," : "", at);
	}
	buf_printf(b, "],\"momentsLeftOut\":%zu,\"rules\":[", d->moments_left);
	for (size_t i = 0; i < d->nrules; i++) {
		buf_printf(b, "%s{\"change\":\"%s\",\"id\":", i ? "," : "",
		    changes[d->rules[i].change]);
		buf_json(b, slice_of(d->rules[i].rule->id));
		buf_json_member(b, "source", slice_of(d->rules[i].rule->source));
		buf_addc(b, '}');
	}
	buf_adds(b, "],\"changes\":[");
}

void diff_print_json(const struct diff *d, bool all)
{
	AUTO(buf_done) struct buf b;
	size_t n = all || d->ncells < DIFF_SHOWN ? d->ncells : DIFF_SHOWN;
	buf_init(&b, LINE_MAX_BYTES);
	add_head(&b, d);
	for (size_t i = 0; i < n; i++) {
		buf_adds(&b, i ? ",\n" : "\n");
		add_cell(&b, &d->cells[i]);
		fputs(buf_cstr(&b), stdout);
		b.len = 0;
	}
	buf_printf(&b, "],\"leftOut\":%zu}", d->ncells - n);
	puts(buf_cstr(&b));
}
