/* Owns the list of findings: codes and severities, places, what is accepted, the order. */
#include "policy/lint.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "policy/lint_parts.h"

static const struct code {
	const char *name;
	enum lint_severity severity;
} codes[] = {
    {"abac-subresources", LINT_WARNING},
    {"anonymous", LINT_WARNING},
    {"apiservices-write", LINT_WARNING},
    {"csr-approve", LINT_WARNING},
    {"deny-gap", LINT_WARNING},
    {"deny-subresources", LINT_WARNING},
    {"duplicate", LINT_WARNING},
    {"empty-name", LINT_WARNING},
    {"escalate", LINT_WARNING},
    {"exempt-only", LINT_WARNING},
    {"exempt-wide", LINT_WARNING},
    {"expired", LINT_WARNING},
    {"grant-all", LINT_WARNING},
    {"hostpath-volumes", LINT_WARNING},
    {"impersonate", LINT_WARNING},
    {"inactive", LINT_NOTE},
    {"kube-system-workloads", LINT_WARNING},
    {"load", LINT_WARNING},
    {"masters", LINT_WARNING},
    {"name-globs", LINT_NOTE},
    {"names-on-list", LINT_WARNING},
    {"no-exempt", LINT_WARNING},
    {"no-generation", LINT_WARNING},
    {"nobody", LINT_WARNING},
    {"nodes-proxy", LINT_ERROR},
    {"not-compared", LINT_NOTE},
    {"not-found", LINT_WARNING},
    {"pod-exec", LINT_WARNING},
    {"proxy", LINT_WARNING},
    {"rbac-write", LINT_WARNING},
    {"redundant", LINT_NOTE},
    {"secrets-read", LINT_WARNING},
    {"shadowed", LINT_WARNING},
    {"star-subject", LINT_WARNING},
    {"star-subresource", LINT_WARNING},
    {"token-create", LINT_WARNING},
    {"unknown-verb", LINT_WARNING},
    {"unreachable", LINT_WARNING},
    {"untested", LINT_NOTE},
    {"untested-deny", LINT_WARNING},
    {"unused-alias", LINT_WARNING},
    {"unused-role", LINT_WARNING},
    {"webhook-write", LINT_WARNING},
    {"wide-write", LINT_WARNING},
    {"wildcard", LINT_NOTE},
};

static const struct code *find_code(struct slice name)
{
	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		if (slice_is(name, codes[i].name))
			return &codes[i];
	return NULL;
}

bool lint_code_known(struct slice code)
{
	return find_code(code) != NULL;
}

const char *lint_severity_name(enum lint_severity s)
{
	static const char *const names[] = {
	    [LINT_NOTE] = "note", [LINT_WARNING] = "warning", [LINT_ERROR] = "error"};
	return names[s];
}

/* --- what is accepted --- */

static bool by_option(const struct linter *l, const char *code, const char *rule)
{
	for (size_t i = 0; i < l->options->nallow; i++) {
		struct slice a = l->options->allow[i], name = {a.p, slice_find(a, '=')};
		if (!slice_is(name, code))
			continue;
		if (name.len == a.len || (rule && slice_is(slice_skip(a, name.len + 1), rule)))
			return true;
	}
	return false;
}

static bool by_comment(struct linter *l, struct place at, const char *code)
{
	const char *key = arena_printf(&l->arena, "%s\n%u\n%s", at.file, at.line, code);
	return map_get(&l->accepted, slice_of(key)) != NULL;
}

/* --- adding --- */

static struct lint_count *count_of(struct lint *out, const char *code)
{
	for (size_t i = 0; i < out->ncodes; i++)
		if (strcmp(out->codes[i].code, code) == 0)
			return &out->codes[i];
	ARENA_ROOM(&out->arena, out->codes, out->ncodes, out->codes_cap, 16);
	out->codes[out->ncodes] = (struct lint_count){.code = code};
	return &out->codes[out->ncodes++];
}

struct draft {
	struct place at;
	const char *code, *rule, *advice;
	enum lint_severity severity;
};

PRINTF(3, 0)
static void add(struct linter *l, const struct draft *d, const char *fmt, va_list ap)
{
	struct lint *out = l->out;
	const struct code *known = find_code(slice_of(d->code));
	if (!known)
		abort();
	struct lint_count *c = count_of(out, known->name);
	c->found++;
	if (by_option(l, d->code, d->rule) || by_comment(l, d->at, d->code)) {
		c->accepted++;
		out->accepted++;
		return;
	}
	out->count[d->severity]++;
	if (c->found - c->accepted > LINT_PER_CODE)
		return;
	char text[1024];
	vsnprintf(text, sizeof(text), fmt, ap);
	ARENA_ROOM(&out->arena, out->v, out->n, out->cap, 16);
	out->v[out->n++] = (struct lint_finding){
	    .code = known->name,
	    .severity = d->severity,
	    .file = arena_strdup(&out->arena, d->at.file),
	    .line = d->at.line,
	    .col = d->at.col,
	    .rule = arena_strdup(&out->arena, d->rule),
	    .text = arena_strdup(&out->arena, text),
	    .advice = arena_strdup(&out->arena, d->advice),
	};
}

/* "prod.yaml:57" as a place; what is no such thing names a source without lines. */
static struct place source_place(struct linter *l, const char *source)
{
	const char *colon = strrchr(source, ':');
	uint32_t line = 0;
	for (const char *c = colon ? colon + 1 : ""; *c; c++) {
		if (*c < '0' || *c > '9' || line > 100000000)
			return (struct place){source, 0, 0};
		line = line * 10 + (uint32_t)(*c - '0');
	}
	if (line == 0)
		return (struct place){source, 0, 0};
	const char *base = arena_strndup(&l->arena, source, (size_t)(colon - source));
	for (size_t i = 0; i < l->nfiles; i++) {
		const char *name = l->files[i].name, *slash = strrchr(name, '/');
		if (strcmp(slash ? slash + 1 : name, base) == 0)
			return (struct place){name, line, 1};
	}
	return (struct place){base, line, 1};
}

static struct draft rule_draft(struct linter *l, uint32_t rule, const char *code, const char *advice)
{
	const struct rule *r = &l->p->rules[rule];
	const struct place *at =
	    r->origin == ORIGIN_NATIVE ? map_get(&l->places, slice_of(r->id)) : NULL;
	const struct code *known = find_code(slice_of(code));
	return (struct draft){
	    .at = at ? *at : source_place(l, r->source ? r->source : ""),
	    .code = code,
	    .rule = r->id,
	    .advice = advice,
	    .severity = known ? known->severity : LINT_ERROR,
	};
}

void lint_rule(struct linter *l, uint32_t rule, const char *code, const char *advice,
    const char *fmt, ...)
{
	struct draft d = rule_draft(l, rule, code, advice);
	va_list ap;
	va_start(ap, fmt);
	add(l, &d, fmt, ap);
	va_end(ap);
}

void lint_rule_as(struct linter *l, uint32_t rule, const char *code, enum lint_severity severity,
    const char *advice, const char *fmt, ...)
{
	struct draft d = rule_draft(l, rule, code, advice);
	va_list ap;
	d.severity = severity;
	va_start(ap, fmt);
	add(l, &d, fmt, ap);
	va_end(ap);
}

void lint_place(struct linter *l, struct place at, const char *code, const char *advice,
    const char *fmt, ...)
{
	const struct code *known = find_code(slice_of(code));
	struct draft d = {.at = at, .code = code, .advice = advice};
	va_list ap;
	d.severity = known ? known->severity : LINT_ERROR;
	va_start(ap, fmt);
	add(l, &d, fmt, ap);
	va_end(ap);
}

struct place lint_whole(const struct linter *l)
{
	return (struct place){l->nfiles ? l->files[0].name : "", 1, 1};
}

/* --- the run --- */

static int finding_cmp(const void *a, const void *b)
{
	const struct lint_finding *x = a, *y = b;
	int files = strcmp(x->file, y->file);
	if (files)
		return files;
	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	int by_code = strcmp(x->code, y->code);
	if (by_code)
		return by_code;
	int rules = strcmp(x->rule ? x->rule : "", y->rule ? y->rule : "");
	return rules ? rules : strcmp(x->text, y->text);
}

void policy_lint(const struct policy_file *files, size_t n, const struct policy *p,
    const struct lint_options *options, struct lint *out)
{
	struct linter l = {.files = files, .nfiles = n, .p = p, .options = options, .out = out};
	lint_tree(&l);
	lint_reach(&l);
	lint_danger(&l);
	lint_people(&l);
	lint_habits(&l);
	if (out->n > 1)
		qsort(out->v, out->n, sizeof(*out->v), finding_cmp);
	map_done(&l.places);
	map_done(&l.accepted);
	arena_done(&l.arena);
}

void lint_done(struct lint *l)
{
	arena_done(&l->arena);
	*l = (struct lint){0};
}
