/* Owns reading lines of audit logs: authz.decision records (docs/audit-record.md) and audit.k8s.io events. */
#include "cli/replay.h"
#include "common/clock.h"
#include "common/jsonscan.h"

#define GROUPS_MAX 100000
#define VALUES_MAX 100000

/* Members of both forms, as they come. */
struct reader {
	struct jsonscan s;
	struct replay_line *out;
	struct slice type, kind, stage, ts, decision, k8s_decision, uri, lost;
	bool cut, no_answer, counted, selectors_cut;
	uint64_t groups_count;
	struct slice request_kind;
	bool impersonated;
};

static uint64_t number_of(struct slice digits)
{
	uint64_t n = 0;
	for (size_t i = 0; i < digits.len && digits.p[i] >= '0' && digits.p[i] <= '9'; i++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(digits.p[i] - '0'), &n))
			return UINT64_MAX;
	return n;
}

/* The text of the next value, whatever it is. */
static struct slice raw(struct jsonscan *s)
{
	size_t from = s->at;
	if (!jsonscan_skip(s))
		return (struct slice){0};
	struct slice text = {s->text.p + from, s->at - from};
	while (text.len && (text.p[0] == ' ' || text.p[0] == '\t'))
		text = slice_skip(text, 1);
	return text;
}

/* --- selectors --- */

struct requirements {
	struct access_requirement *v;
	size_t n, cap;
};

static void read_requirement(struct jsonscan *s, struct access_requirement *q)
{
	struct slice key, *values = NULL;
	if (!jsonscan_enter_object(s))
		return;
	while (jsonscan_key(s, &key)) {
		if (slice_is(key, "key"))
			jsonscan_string(s, &q->key);
		else if (slice_is(key, "op"))
			jsonscan_string(s, &q->op);
		else if (slice_is(key, "values"))
			jsonscan_strings(s, VALUES_MAX, &values, &q->n);
		else
			jsonscan_skip(s);
	}
	q->values = values;
}

static void read_selector(struct jsonscan *s, const struct access_requirement **v, size_t *n)
{
	struct requirements list = {0};
	if (jsonscan_null(s) || !jsonscan_enter_array(s))
		return;
	while (jsonscan_element(s)) {
		ARENA_ROOM(s->arena, list.v, list.n, list.cap, 4);
		list.v[list.n] = (struct access_requirement){0};
		read_requirement(s, &list.v[list.n++]);
	}
	*v = list.v;
	*n = list.n;
}

/* --- our own records --- */

static void read_request(struct reader *r)
{
	struct jsonscan *s = &r->s;
	struct access_request *q = &r->out->request;
	const struct {
		const char *key;
		struct slice *value;
	} texts[] = {{"kind", &r->request_kind}, {"verb", &q->verb}, {"apiGroup", &q->api_group},
	    {"version", &q->version}, {"resource", &q->resource}, {"subresource", &q->subresource},
	    {"namespace", &q->namespace_}, {"name", &q->name}, {"path", &q->path}};
	struct slice key;
	if (jsonscan_null(s) || !jsonscan_enter_object(s))
		return;
	while (jsonscan_key(s, &key)) {
		size_t i = 0;
		while (i < ARRAY_LEN(texts) && !slice_is(key, texts[i].key))
			i++;
		if (i < ARRAY_LEN(texts))
			jsonscan_string(s, texts[i].value);
		else if (slice_is(key, "fieldSelector"))
			read_selector(s, &q->field_selector, &q->nfield);
		else if (slice_is(key, "labelSelector"))
			read_selector(s, &q->label_selector, &q->nlabel);
		else
			jsonscan_skip(s);
	}
}

/* Both forms' users; Kubernetes says `username` for `name`. */
static void read_user(struct reader *r)
{
	struct jsonscan *s = &r->s;
	struct access_request *q = &r->out->request;
	struct slice key, *groups = NULL;
	if (jsonscan_null(s) || !jsonscan_enter_object(s))
		return;
	q->user = q->uid = (struct slice){0};
	q->ngroups = 0;
	while (jsonscan_key(s, &key)) {
		if (slice_is(key, "name") || slice_is(key, "username"))
			jsonscan_string(s, &q->user);
		else if (slice_is(key, "uid"))
			jsonscan_string(s, &q->uid);
		else if (slice_is(key, "groups"))
			jsonscan_strings(s, GROUPS_MAX, &groups, &q->ngroups);
		else if (slice_is(key, "groupsCount")) {
			r->groups_count = number_of(raw(s));
			r->counted = true;
		} else
			jsonscan_skip(s);
	}
	q->groups = groups;
}

static void read_truncated(struct reader *r)
{
	struct slice *paths = NULL;
	size_t n = 0;
	jsonscan_strings(&r->s, GROUPS_MAX, &paths, &n);
	for (size_t i = 0; i < n; i++)
		r->cut |= slice_starts(paths[i], SLICE("request.")) ||
			  slice_is(paths[i], "user.name");
}

static void read_gap(struct reader *r)
{
	struct slice key;
	if (jsonscan_null(&r->s) || !jsonscan_enter_object(&r->s))
		return;
	while (jsonscan_key(&r->s, &key)) {
		if (slice_is(key, "count"))
			r->lost = raw(&r->s);
		else
			jsonscan_skip(&r->s);
	}
}

/* --- Kubernetes' events --- */

static void read_object(struct reader *r)
{
	struct jsonscan *s = &r->s;
	struct access_request *q = &r->out->request;
	struct slice key;
	if (jsonscan_null(s) || !jsonscan_enter_object(s))
		return;
	q->resource_request = true;
	while (jsonscan_key(s, &key)) {
		if (slice_is(key, "resource"))
			jsonscan_string(s, &q->resource);
		else if (slice_is(key, "subresource"))
			jsonscan_string(s, &q->subresource);
		else if (slice_is(key, "namespace"))
			jsonscan_string(s, &q->namespace_);
		else if (slice_is(key, "name"))
			jsonscan_string(s, &q->name);
		else if (slice_is(key, "apiGroup"))
			jsonscan_string(s, &q->api_group);
		else if (slice_is(key, "apiVersion"))
			jsonscan_string(s, &q->version);
		else
			jsonscan_skip(s);
	}
}

static void read_annotations(struct reader *r)
{
	struct slice key;
	if (jsonscan_null(&r->s) || !jsonscan_enter_object(&r->s))
		return;
	while (jsonscan_key(&r->s, &key)) {
		if (slice_is(key, "authorization.k8s.io/decision"))
			jsonscan_string(&r->s, &r->k8s_decision);
		else
			jsonscan_skip(&r->s);
	}
}

/* --- the line --- */

static bool read_text(struct reader *r, struct slice key)
{
	const struct {
		const char *key;
		struct slice *value;
	} texts[] = {{"type", &r->type}, {"kind", &r->kind}, {"stage", &r->stage}, {"ts", &r->ts},
	    {"requestReceivedTimestamp", &r->ts}, {"decision", &r->decision},
	    {"rule", &r->out->rule}, {"requestURI", &r->uri}, {"verb", &r->out->request.verb}};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (slice_is(key, texts[i].key)) {
			jsonscan_string(&r->s, texts[i].value);
			return true;
		}
	return false;
}

static void read_member(struct reader *r, struct slice key)
{
	if (read_text(r, key))
		return;
	if (slice_is(key, "user") && !r->impersonated) {
		read_user(r);
	} else if (slice_is(key, "impersonatedUser")) {
		/* The decision is about whom the user acts as. */
		r->impersonated = true;
		read_user(r);
	} else if (slice_is(key, "request")) {
		read_request(r);
	} else if (slice_is(key, "truncated")) {
		read_truncated(r);
	} else if (slice_is(key, "audit")) {
		read_gap(r);
	} else if (slice_is(key, "objectRef")) {
		read_object(r);
	} else if (slice_is(key, "annotations")) {
		read_annotations(r);
	} else {
		r->no_answer |= slice_is(key, "evaluationError");
		jsonscan_skip(&r->s);
	}
}

static enum replay_kind finish_ours(struct reader *r)
{
	static const char *const names[] = {[REPLAY_NO_OPINION] = "noOpinion",
	    [REPLAY_ALLOW] = "allow",
	    [REPLAY_DENY] = "deny"};
	struct replay_line *out = r->out;
	size_t v = 0;
	if (slice_is(r->type, "audit.gap")) {
		out->count = number_of(r->lost);
		return REPLAY_LOST;
	}
	if (!slice_is(r->type, "authz.decision"))
		return REPLAY_OTHER;
	while (v < ARRAY_LEN(names) && !slice_is(r->decision, names[v]))
		v++;
	if (v == ARRAY_LEN(names) || r->no_answer)
		return REPLAY_UNDECIDED;
	out->was = (enum replay_verdict)v;
	out->request.resource_request = slice_is(r->request_kind, "resource");
	if (r->cut)
		return REPLAY_TRUNCATED;
	return r->counted && r->groups_count == out->request.ngroups ? REPLAY_DECISION
								     : REPLAY_GROUPS;
}

static bool selects(const struct reader *r)
{
	return r->uri.len && (memmem(r->uri.p, r->uri.len, "labelSelector=", 14) ||
				 memmem(r->uri.p, r->uri.len, "fieldSelector=", 14));
}

static enum replay_kind finish_event(struct reader *r)
{
	struct replay_line *out = r->out;
	struct access_request *q = &out->request;
	/* One event a request: of the stages that come when its answer stands. */
	if (!slice_is(r->stage, "ResponseComplete") && !slice_is(r->stage, "Panic"))
		return REPLAY_OTHER;
	if (slice_is(r->k8s_decision, "allow"))
		out->was = REPLAY_ALLOW;
	else if (slice_is(r->k8s_decision, "forbid"))
		out->was = REPLAY_FORBID;
	else
		return REPLAY_UNDECIDED;
	for (size_t i = 0; i < q->ngroups; i++)
		if (slice_is(q->groups[i], "system:masters"))
			return REPLAY_MASTERS;
	if (!q->resource_request)
		q->path = (struct slice){r->uri.p, slice_find(r->uri, '?')};
	return q->resource_request && selects(r) ? REPLAY_SELECTORS : REPLAY_DECISION;
}

void replay_read(struct slice line, struct arena *a, struct replay_line *out, struct err *e)
{
	struct reader r = {.out = out};
	struct slice key;
	*out = (struct replay_line){0};
	jsonscan_init(&r.s, line, a);
	if (jsonscan_enter_object(&r.s))
		while (jsonscan_key(&r.s, &key))
			read_member(&r, key);
	out->ts = r.ts;
	if (!jsonscan_finish(&r.s)) {
		out->kind = REPLAY_BAD;
		err_set(e, ERR_INVALID, "%s", r.s.err.msg);
		return;
	}
	bool event = slice_is(r.kind, "Event") && r.type.len == 0;
	out->kind = event ? finish_event(&r) : finish_ours(&r);
	if (out->kind == REPLAY_DECISION && !clock_parse_rfc3339(r.ts, &out->request.now)) {
		out->kind = REPLAY_BAD;
		err_set(e, ERR_INVALID, "no time that can be read");
	} else if (r.type.len == 0 && r.kind.len == 0) {
		out->kind = REPLAY_BAD;
		err_set(e, ERR_INVALID, "neither a record of portcullisd nor a Kubernetes event");
	}
}
