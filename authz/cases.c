/* Owns the language of case files: from a line to a request and what is expected of it. */
#include "authz/cases.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/clock.h"
#include "policy/index.h"

struct word {
	struct slice text;
	size_t col; /* from 0 */
	bool quoted; /* has quotes: never an option, a verdict or a sign */
};

struct parser {
	struct arena *arena;
	const char *file;
	struct diags *diags;
	struct slice line;
	uint32_t number;
	size_t at; /* in LINE */
	bool bad; /* something is wrong with this line */
	/* Set by `@` lines. */
	struct slice namespace_;
	int64_t now, hold;
	bool bare;
};

static void PRINTF(3, 4) wrong(struct parser *p, size_t col, const char *fmt, ...);

static void wrong(struct parser *p, size_t col, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	if (p->bad)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	diags_error(p->diags, p->file, p->number, (uint32_t)col + 1, "%s", text);
	p->bad = true;
}

/* --- words --- */

static bool space(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* "…" with \" and \\, appended to B. */
static void quoted(struct parser *p, struct buf *b)
{
	size_t from = p->at++;
	while (p->at < p->line.len && p->line.p[p->at] != '"') {
		char c = p->line.p[p->at++];
		if (c == '\\' && p->at < p->line.len)
			c = p->line.p[p->at++];
		buf_addc(b, c);
	}
	if (p->at == p->line.len)
		wrong(p, from, "a quote without its end");
	p->at++;
}

/* The next word, up to white space or one of STOP outside of quotes. False at the end. */
static bool next_until(struct parser *p, const char *stop, struct word *w)
{
	while (p->at < p->line.len && space(p->line.p[p->at]))
		p->at++;
	*w = (struct word){.col = p->at};
	if (p->at >= p->line.len || p->line.p[p->at] == '#')
		return false;
	AUTO(buf_done) struct buf b;
	buf_init(&b, CASE_LINE_MAX);
	while (p->at < p->line.len && !space(p->line.p[p->at]) && !strchr(stop, p->line.p[p->at])) {
		if (p->line.p[p->at] == '"') {
			w->quoted = true;
			quoted(p, &b);
		} else {
			buf_addc(&b, p->line.p[p->at++]);
		}
	}
	w->text = slice_dup(p->arena, buf_view(&b));
	if (!slice_printable(w->text))
		wrong(p, w->col, "a word with control or invisible characters");
	return true;
}

static bool next(struct parser *p, struct word *w)
{
	return next_until(p, "", w);
}

static bool is(const struct word *w, const char *text)
{
	return !w->quoted && slice_is(w->text, text);
}

/* The word after an option. */
static bool value(struct parser *p, const struct word *option, struct word *w)
{
	if (next(p, w) && !is(w, "=>"))
		return true;
	wrong(p, option->col, SLICE_FMT " needs a value", SLICE_ARG(option->text));
	return false;
}

/* --- who --- */

struct names {
	struct slice *v;
	size_t n, cap;
};

static void add_name(struct parser *p, struct names *l, struct slice s)
{
	ARENA_ROOM(p->arena, l->v, l->n, l->cap, 4);
	l->v[l->n++] = s;
}

/* `sa:NAMESPACE/NAME` as the user it is. */
static struct slice account(struct parser *p, const struct word *w)
{
	struct slice text = slice_skip(w->text, 3);
	size_t slash = slice_find(text, '/');
	struct slice name = slice_skip(text, slash + 1);
	const char *user = arena_printf(p->arena, SERVICE_ACCOUNT_PREFIX SLICE_FMT ":" SLICE_FMT,
	    (int)slash, text.p ? text.p : "", SLICE_ARG(name));
	if (!policy_is_service_account(slice_of(user)) || slice_find(name, '/') < name.len)
		wrong(p, w->col, "a service account is written sa:NAMESPACE/NAME");
	return slice_of(user);
}

/* What the apiserver would add to the groups. */
static void add_groups(struct parser *p, struct slice user, struct names *groups)
{
	bool told = false;
	for (size_t i = 0; i < groups->n; i++)
		told |= slice_is(groups->v[i], "system:authenticated") ||
			slice_is(groups->v[i], "system:unauthenticated");
	if (policy_is_service_account(user)) {
		struct slice rest = slice_skip(user, sizeof(SERVICE_ACCOUNT_PREFIX) - 1);
		add_name(p, groups, SLICE("system:serviceaccounts"));
		add_name(p, groups,
		    slice_of(arena_printf(p->arena, "system:serviceaccounts:" SLICE_FMT,
			(int)slice_find(rest, ':'), rest.p)));
	}
	if (!told)
		add_name(p, groups,
		    slice_is(user, "system:anonymous") ? SLICE("system:unauthenticated")
						       : SLICE("system:authenticated"));
}

static bool comma(struct parser *p)
{
	bool is_comma = p->at < p->line.len && p->line.p[p->at] == ',';
	p->at += is_comma;
	return is_comma;
}

/* USER[,GROUP]… */
static bool who(struct parser *p, struct access_request *r)
{
	struct names groups = {0};
	struct word w;
	if (!next_until(p, ",", &w))
		return false;
	if (w.text.len == 0 && !w.quoted)
		wrong(p, w.col, "no user: write \"\" for one without a name");
	bool sa = !w.quoted && slice_starts(w.text, SLICE("sa:"));
	r->user = sa ? account(p, &w) : w.text;
	while (comma(p)) {
		size_t col = p->at;
		bool more = p->at < p->line.len && !space(p->line.p[p->at]);
		if (!more || !next_until(p, ",", &w) || (w.text.len == 0 && !w.quoted)) {
			wrong(p, col, "a comma without a group behind it");
			return true;
		}
		add_name(p, &groups, w.text);
	}
	if (!p->bare)
		add_groups(p, r->user, &groups);
	r->groups = groups.v;
	r->ngroups = groups.n;
	return true;
}

/* --- selectors --- */

struct requirements {
	struct access_requirement *v;
	size_t n, cap;
};

static struct slice trim(struct slice s)
{
	while (s.len && space(s.p[0]))
		s = slice_skip(s, 1);
	while (s.len && space(s.p[s.len - 1]))
		s.len--;
	return s;
}

/* The next piece up to a comma that stands in no parentheses. */
static struct slice piece(struct slice *s)
{
	size_t n = 0, depth = 0;
	while (n < s->len && (depth || s->p[n] != ',')) {
		depth += s->p[n] == '(';
		depth -= s->p[n] == ')' && depth;
		n++;
	}
	struct slice out = {s->p, n};
	*s = slice_skip(*s, n + 1);
	return trim(out);
}

/* KEY OP (A,B), as kubectl writes it; other operators are sent as they stand. */
static bool set_requirement(struct parser *p, struct slice text, struct access_requirement *q)
{
	size_t open = slice_find(text, '(');
	if (open == text.len || text.p[text.len - 1] != ')')
		return false;
	struct slice head = trim((struct slice){text.p, open}), list;
	list = (struct slice){text.p + open + 1, text.len - open - 2};
	size_t key = slice_find(head, ' ');
	struct slice op = trim(slice_skip(head, key + 1));
	struct names values = {0};
	q->key = (struct slice){head.p, key};
	q->op = slice_is(op, "in") ? SLICE("In") : slice_is(op, "notin") ? SLICE("NotIn") : op;
	while (list.len)
		add_name(p, &values, piece(&list));
	q->values = values.v;
	q->n = values.n;
	return q->key.len && op.len && q->n && slice_find(op, ' ') == op.len;
}

/* KEY=VALUE, KEY==VALUE, KEY!=VALUE, KEY, !KEY. */
static bool plain_requirement(struct parser *p, struct slice text, struct access_requirement *q)
{
	size_t eq = slice_find(text, '=');
	if (eq == text.len) {
		bool not = text.len && text.p[0] == '!';
		q->key = slice_skip(text, not);
		q->op = not ? SLICE("DoesNotExist") : SLICE("Exists");
		return q->key.len && slice_find(q->key, ' ') == q->key.len;
	}
	bool not = eq && text.p[eq - 1] == '!';
	struct slice v = slice_skip(text, eq + 1);
	if (!not && v.len && v.p[0] == '=')
		v = slice_skip(v, 1);
	struct slice *values = ARENA_NEW(p->arena, struct slice);
	*values = trim(v);
	q->key = trim((struct slice){text.p, eq - not});
	q->op = not ? SLICE("NotIn") : SLICE("In");
	q->values = values;
	q->n = 1;
	return q->key.len > 0;
}

static void selector(struct parser *p, const struct word *w,
    const struct access_requirement **out, size_t *n)
{
	struct requirements l = {0};
	struct slice rest = w->text;
	if (*n)
		wrong(p, w->col, "a second selector of this kind");
	if (rest.len == 0)
		wrong(p, w->col, "an empty selector");
	while (rest.len) {
		struct slice one = piece(&rest);
		ARENA_ROOM(p->arena, l.v, l.n, l.cap, 4);
		l.v[l.n] = (struct access_requirement){0};
		bool set = slice_find(one, '(') < one.len;
		if (!(set ? set_requirement : plain_requirement)(p, one, &l.v[l.n]))
			wrong(p, w->col,
			    "a selector is written `key=value,key in (a,b),!key`, found `" SLICE_FMT "`",
			    SLICE_ARG(one));
		l.n++;
	}
	*out = l.v;
	*n = l.n;
}

/* --- what --- */

/* RESOURCE[.GROUP][/SUBRESOURCE] */
void access_resource(struct slice text, struct access_request *r)
{
	size_t slash = slice_find(text, '/');
	r->resource_request = true;
	r->subresource = slice_skip(text, slash + 1);
	text.len = slash;
	size_t dot = slice_find(text, '.');
	r->api_group = slice_skip(text, dot + 1);
	r->resource = (struct slice){text.p, dot};
}

static void time_of(struct parser *p, const struct word *w, int64_t *out)
{
	if (!clock_parse_rfc3339(w->text, out))
		wrong(p, w->col, "expected a time such as 2026-11-22T10:00:00Z");
}

static void hold_of(struct parser *p, const struct word *w, int64_t *out)
{
	if (!clock_parse_duration(w->text, out))
		wrong(p, w->col, "expected a duration such as 5m");
}

struct seen {
	bool namespace_, name, at, hold;
};

static void once(struct parser *p, const struct word *w, bool *seen)
{
	if (*seen)
		wrong(p, w->col, "`" SLICE_FMT "` once more", SLICE_ARG(w->text));
	*seen = true;
}

static void option(struct parser *p, const struct word *w, struct access_request *r, struct seen *s)
{
	struct word v;
	bool all = is(w, "-A");
	bool resource_only = all || is(w, "-n") || is(w, "-l") || is(w, "--field-selector") ||
			     is(w, "--api-version");
	if (resource_only && !r->resource_request)
		wrong(p, w->col, "a path has no `" SLICE_FMT "`", SLICE_ARG(w->text));
	if (all || is(w, "-n"))
		once(p, w, &s->namespace_);
	if (all)
		return;
	bool known = resource_only || is(w, "--at") || is(w, "--hold");
	if (!known) {
		wrong(p, w->col, "unknown option " SLICE_FMT, SLICE_ARG(w->text));
		return;
	}
	if (!value(p, w, &v))
		return;
	if (is(w, "-n")) {
		r->namespace_ = v.text;
	} else if (is(w, "-l")) {
		selector(p, &v, &r->label_selector, &r->nlabel);
	} else if (is(w, "--field-selector")) {
		selector(p, &v, &r->field_selector, &r->nfield);
	} else if (is(w, "--api-version")) {
		r->version = v.text;
	} else if (is(w, "--at")) {
		once(p, w, &s->at);
		time_of(p, &v, &r->now);
	} else {
		once(p, w, &s->hold);
		hold_of(p, &v, &r->hold);
	}
}

/* VERB RESOURCE|PATH [NAME] [OPTION]…, up to `=>`. */
static void what(struct parser *p, struct access_request *r)
{
	struct word w;
	struct seen seen = {0};
	if (!next(p, &w) || is(&w, "=>")) {
		wrong(p, w.col, "no verb");
		return;
	}
	r->verb = w.text;
	if (!next(p, &w) || is(&w, "=>")) {
		wrong(p, w.col, "no resource or path behind the verb");
		return;
	}
	if (is(&w, "--path")) {
		struct word v;
		if (value(p, &w, &v))
			r->path = v.text;
	} else if (w.text.len && w.text.p[0] == '/') {
		r->path = w.text;
	} else {
		access_resource(w.text, r);
	}
	while (next(p, &w) && !is(&w, "=>") && !p->bad) {
		if (!w.quoted && w.text.len && w.text.p[0] == '-') {
			option(p, &w, r, &seen);
			continue;
		}
		if (!r->resource_request)
			wrong(p, w.col, "a path has no name");
		once(p, &w, &seen.name);
		r->name = w.text;
	}
	if (r->resource_request && !seen.namespace_)
		r->namespace_ = p->namespace_;
	if (!is(&w, "=>"))
		wrong(p, w.col, "no `=>` and what is expected");
}

/* --- what is expected --- */

static void expected(struct parser *p, struct access_case *c)
{
	struct word w;
	next(p, &w);
	size_t i = 0;
	while (i < VERDICT_COUNT && !is(&w, verdict_name((enum verdict)i)))
		i++;
	if (i == VERDICT_COUNT) {
		wrong(p, w.col, "expected allow, deny or noOpinion behind `=>`");
		return;
	}
	c->expect = (enum verdict)i;
	if (!next(p, &w))
		return;
	if (!is(&w, "by") || !next(p, &w))
		wrong(p, w.col, "expected `by RULE`, or the end of the line");
	c->by = arena_strndup(p->arena, w.text.p, w.text.len);
	if (next(p, &w))
		wrong(p, w.col, "expected the end of the line");
}

/* --- lines --- */

/* `@namespace NS`, `@at TIME`, `@hold DURATION`, `@groups bare|apiserver`: for the lines below. */
static void setting(struct parser *p, const struct word *w)
{
	struct word v, more;
	if (!value(p, w, &v))
		return;
	if (next(p, &more))
		wrong(p, more.col, "expected the end of the line");
	if (p->bad)
		return;
	if (is(w, "@namespace"))
		p->namespace_ = v.text;
	else if (is(w, "@at"))
		time_of(p, &v, &p->now);
	else if (is(w, "@hold"))
		hold_of(p, &v, &p->hold);
	else if (is(w, "@groups") && (is(&v, "bare") || is(&v, "apiserver")))
		p->bare = is(&v, "bare");
	else
		wrong(p, w->col,
		    "expected @namespace NAME, @at TIME, @hold DURATION or @groups apiserver|bare");
}

/* True when *C is a case. */
static bool line(struct parser *p, struct access_case *c)
{
	struct word w;
	p->at = 0;
	p->bad = false;
	if (p->line.len > CASE_LINE_MAX) {
		wrong(p, 0, "a line of more than %d bytes", CASE_LINE_MAX);
		return false;
	}
	size_t before = p->at;
	if (!next_until(p, ",", &w))
		return false;
	if (!w.quoted && w.text.len && w.text.p[0] == '@') {
		setting(p, &w);
		return false;
	}
	p->at = before;
	*c = (struct access_case){.file = p->file, .line = p->number, .col = (uint32_t)w.col + 1};
	c->request.now = p->now;
	c->request.hold = p->hold;
	if (!who(p, &c->request))
		return false;
	if (p->at < p->line.len && !space(p->line.p[p->at]))
		wrong(p, p->at, "expected white space behind the groups");
	what(p, &c->request);
	if (!p->bad)
		expected(p, c);
	return !p->bad;
}

enum err_code cases_parse(struct arena *a, const char *file, struct slice text,
    struct access_case **out, size_t *n, struct diags *d)
{
	struct parser p = {.arena = a, .file = arena_strdup(a, file), .diags = d, .now = AUTHZ_TIMELESS};
	struct access_case *v = NULL;
	size_t cap = 0, errors = d->errors;
	*n = 0;
	while (text.len) {
		p.line = (struct slice){text.p, slice_find(text, '\n')};
		text = slice_skip(text, p.line.len + 1);
		if (++p.number > CASES_MAX)
			return diags_error(d, p.file, p.number, 1, "more than %d lines", CASES_MAX);
		ARENA_ROOM(a, v, *n, cap, 16);
		*n += line(&p, &v[*n]);
	}
	*out = v;
	return d->errors == errors ? ERR_OK : ERR_INVALID;
}
