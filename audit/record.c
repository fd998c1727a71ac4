/* Owns the text of audit records: which members, in which order, how long, and the hash over them.
 *
 * A line never exceeds AUDIT_LINE_MAX: each string has a cap that counts bytes after JSON escaping, each
 * list a budget, and the groups get what the other members leave. The caps below add up to less than
 * RECORD_BODY_MAX; test_audit holds that for hostile input. */
#include "audit/record.h"

#include "common/clock.h"
#include "common/secret.h"

/* Bytes of content after escaping. Kubernetes' own names end at 253 bytes; people's names, reasons and
 * URL paths are a peer's text and may be anything. */
#define CAP_WORD 64	  /* ids, versions, decisions, digests */
#define CAP_NAME 256	  /* Kubernetes names, rule ids, common names */
#define CAP_LONG_NAME 512 /* object names, sources */
#define CAP_USER 1024
#define CAP_TEXT 1024 /* reasons, URL paths */
#define CAP_ERROR 2048
#define CAP_GROUP 1024 /* a longer group name is left out of the list, never shortened */
#define BUDGET_LIST 1024
#define BUDGET_SELECTOR 1024
#define BUDGET_FILES ((size_t)6 << 10) /* of a policy: some forty */
#define BUDGET_RULES ((size_t)8 << 10) /* a hundred of the longest ids */
/* `,"groups":[]` and `,"groupsSha256":"…"`. */
#define GROUPS_FRAME 96

/* A buffer must hold the longest string before it is cut: CAP_ERROR bytes, six each when escaped. */
#define SCRATCH_MAX ((size_t)64 << 10)

#define ELLIPSIS "\xE2\x80\xA6"

static const char *const type_names[RECORD_TYPES] = {
    [RECORD_EVENT] = "server.event",
    [RECORD_AUTHZ] = "authz.decision",
    [RECORD_AUTHN] = "authn.review",
    [RECORD_LOGIN] = "authn.login",
    [RECORD_REFRESH] = "authn.refresh",
    [RECORD_REVOKE] = "authn.revoke",
    [RECORD_POLICY_LOADED] = "policy.loaded",
    [RECORD_POLICY_REJECTED] = "policy.rejected",
    [RECORD_RULE_STARTED] = "policy.rule_started",
    [RECORD_RULE_EXPIRED] = "policy.rule_expired",
    [RECORD_BREAK_GLASS] = "breakglass.used",
    [RECORD_SERVER_START] = "server.start",
    [RECORD_SERVER_STOP] = "server.stop",
    [RECORD_CONFIG_LOADED] = "config.loaded",
    [RECORD_CONFIG_REJECTED] = "config.rejected",
    [RECORD_OPENED] = "audit.opened",
    [RECORD_ROTATED] = "audit.rotated",
    [RECORD_GAP] = "audit.gap",
    [RECORD_TRUNCATED] = "audit.truncated",
};

const char *record_type_name(enum record_type type)
{
	return type_names[type];
}

enum record_type record_type_of_event(const char *name)
{
	for (int t = RECORD_SERVER_START; t <= RECORD_CONFIG_REJECTED; t++)
		if (strcmp(name, type_names[t]) == 0)
			return (enum record_type)t;
	return RECORD_EVENT;
}

/* A body in the making, and the paths of the members that were cut. */
struct body {
	struct buf *b;
	struct buf cuts;
	size_t groups_at; /* where the groups go, 0: nowhere */
};

static void key(struct buf *b, const char *path)
{
	const char *dot = strrchr(path, '.');
	if (b->len > 0 && b->p[b->len - 1] != '{' && b->p[b->len - 1] != '[')
		buf_addc(b, ',');
	buf_addc(b, '"');
	buf_adds(b, dot ? dot + 1 : path);
	buf_adds(b, "\":");
}

static void note_cut(struct body *r, const char *path)
{
	if (r->cuts.len > 0)
		buf_addc(&r->cuts, ',');
	buf_json(&r->cuts, slice_of(path));
}

/* Bytes of the escape or character at P in what buf_json wrote. */
static size_t unit(const char *p)
{
	unsigned char c = (unsigned char)p[0];
	if (c == '\\')
		return p[1] == 'u' ? 6 : 2;
	return c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
}

/* S as a JSON string of at most CAP bytes between the quotes; true when it had to be cut. A cut string
 * ends in an ellipsis. */
static bool add_capped(struct buf *b, struct slice s, size_t cap)
{
	size_t from = b->len + 1;
	bool cut = s.len > cap;
	if (cut)
		s.len = cap; /* escaping never shortens */
	buf_json(b, s);
	if (!cut && b->len - 1 - from <= cap)
		return false;
	size_t at = from, limit = from + cap - strlen(ELLIPSIS);
	while (at < b->len - 1 && at + unit(b->p + at) <= limit)
		at += unit(b->p + at);
	b->len = at;
	buf_adds(b, ELLIPSIS "\"");
	return true;
}

/* PATH is the member's place ("user.name"); the key is its last part. Empty strings are left out. */
static void text(struct body *r, const char *path, struct slice s, size_t cap)
{
	if (s.len == 0)
		return;
	key(r->b, path);
	if (add_capped(r->b, s, cap))
		note_cut(r, path);
}

static void word(struct body *r, const char *path, const char *s)
{
	text(r, path, slice_of(s), CAP_WORD);
}

/* Capped where most readers' integers end. */
static void number(struct body *r, const char *path, uint64_t n)
{
	key(r->b, path);
	buf_u64(r->b, n < INT64_MAX ? n : INT64_MAX);
}

/* Opens an object; the result goes to end_object, which takes an empty one back. */
static size_t object(struct body *r, const char *path)
{
	size_t mark = r->b->len;
	key(r->b, path);
	buf_addc(r->b, '{');
	return mark;
}

static void end_object(struct body *r, size_t mark)
{
	if (r->b->p[r->b->len - 1] == '{')
		r->b->len = mark;
	else
		buf_addc(r->b, '}');
}

/* The strings of LIST that fit BUDGET, whole, in order; false when one had to be left out. */
static bool add_list(struct buf *b, const struct slice *list, size_t n, size_t budget, size_t cap)
{
	bool all = true;
	size_t end = b->len + budget;
	buf_addc(b, '[');
	for (size_t i = 0; i < n; i++) {
		size_t mark = b->len;
		if (list[i].len > cap || mark + list[i].len + 4 > end) {
			all = false;
			continue;
		}
		if (b->p[mark - 1] != '[')
			buf_addc(b, ',');
		buf_json(b, list[i]);
		if (b->len + 1 > end) {
			b->len = mark;
			all = false;
		}
	}
	buf_addc(b, ']');
	return all;
}

static void list(struct body *r, const char *path, const struct slice *items, size_t n)
{
	if (n == 0)
		return;
	key(r->b, path);
	if (!add_list(r->b, items, n, BUDGET_LIST, BUDGET_LIST))
		note_cut(r, path);
}

static bool add_requirement(struct buf *b, const struct audit_requirement *q)
{
	bool cut = false;
	buf_adds(b, "{\"key\":");
	cut |= add_capped(b, q->key, CAP_NAME);
	buf_adds(b, ",\"op\":");
	cut |= add_capped(b, q->op, CAP_WORD);
	if (q->n > 0) {
		buf_adds(b, ",\"values\":");
		cut |= !add_list(b, q->values, q->n, BUDGET_SELECTOR, CAP_NAME);
	}
	buf_addc(b, '}');
	return !cut;
}

static void selector(
    struct body *r, const char *path, const struct audit_requirement *q, size_t n)
{
	if (n == 0)
		return;
	key(r->b, path);
	buf_addc(r->b, '[');
	bool all = true;
	size_t end = r->b->len + BUDGET_SELECTOR;
	for (size_t i = 0; i < n; i++) {
		size_t mark = r->b->len;
		if (r->b->p[mark - 1] != '[')
			buf_addc(r->b, ',');
		if (!add_requirement(r->b, &q[i]) || r->b->len + 1 > end) {
			r->b->len = mark;
			all = false;
		}
	}
	buf_addc(r->b, ']');
	if (!all)
		note_cut(r, path);
}

static void head(
    struct body *r, const struct record_origin *o, enum record_type type, const char *id)
{
	word(r, "type", type_names[type]);
	word(r, "id", id);
	text(r, "node", slice_of(o->node), RECORD_NODE_MAX);
	word(r, "chain", o->chain);
}

static void client(struct body *r, const struct audit_client *c)
{
	size_t mark = object(r, "client");
	text(r, "client.ip", c->ip, CAP_WORD);
	if (c->port)
		number(r, "client.port", c->port);
	text(r, "client.certCN", c->cert_cn, CAP_NAME);
	text(r, "client.certSha256", c->cert_sha256, CAP_WORD);
	text(r, "client.tls", c->tls, CAP_WORD);
	end_object(r, mark);
}

static void user(struct body *r, const struct audit_user *u)
{
	size_t mark = object(r, "user");
	text(r, "user.name", u->name, CAP_USER);
	text(r, "user.uid", u->uid, CAP_NAME);
	number(r, "user.groupsCount", u->ngroups);
	r->groups_at = r->b->len;
	list(r, "user.extraKeys", u->extra_keys, u->nextra_keys);
	end_object(r, mark);
}

/* Over every group in the order received: its bytes, then a NUL, which no name can hold. */
static void groups_digest(const struct audit_user *u, char out[RECORD_HASH_LEN + 1])
{
	uint8_t raw[SHA256_LEN];
	struct sha256_ctx *c = sha256_begin();
	for (size_t i = 0; i < u->ngroups; i++) {
		sha256_update(c, u->groups[i].p, u->groups[i].len);
		sha256_update(c, "", 1);
	}
	sha256_end(&c, raw);
	hex_encode(raw, sizeof(raw), out);
}

/* Puts the groups where user() left room for them, within what the other members left. */
static void insert_groups(struct body *r, const struct audit_user *u)
{
	if (u->ngroups == 0 || r->groups_at == 0)
		return;
	AUTO(buf_done) struct buf g;
	buf_init(&g, SCRATCH_MAX);
	buf_adds(&g, ",\"groups\":");
	if (!add_list(&g, u->groups, u->ngroups, RECORD_BODY_MAX - GROUPS_FRAME - r->b->len,
		CAP_GROUP)) {
		char hex[RECORD_HASH_LEN + 1];
		groups_digest(u, hex);
		buf_printf(&g, ",\"groupsSha256\":\"%s\"", hex);
	}
	size_t after = r->b->len - r->groups_at;
	buf_slice(r->b, buf_view(&g)); /* for the room alone */
	memmove(r->b->p + r->groups_at + g.len, r->b->p + r->groups_at, after);
	memcpy(r->b->p + r->groups_at, g.p, g.len);
}

static struct body body_start(struct buf *out)
{
	struct body r = {.b = out};
	buf_init(&r.cuts, SCRATCH_MAX);
	out->max = SCRATCH_MAX;
	return r;
}

/* Names what was cut, then fills in the groups of U (NULL: none). */
static void body_end(struct body *r, const struct audit_user *u)
{
	if (r->cuts.len > 0) {
		key(r->b, "truncated");
		buf_addc(r->b, '[');
		buf_slice(r->b, buf_view(&r->cuts));
		buf_addc(r->b, ']');
	}
	buf_done(&r->cuts);
	if (u)
		insert_groups(r, u);
}

static void request(struct body *r, const struct audit_authz *a)
{
	size_t mark = object(r, "request");
	word(r, "request.kind", a->resource_request ? "resource" : "nonResource");
	text(r, "request.verb", a->verb, CAP_NAME);
	text(r, "request.apiGroup", a->api_group, CAP_NAME);
	text(r, "request.version", a->version, CAP_WORD);
	text(r, "request.resource", a->resource, CAP_NAME);
	text(r, "request.subresource", a->subresource, CAP_NAME);
	text(r, "request.namespace", a->namespace_, CAP_NAME);
	text(r, "request.name", a->name, CAP_LONG_NAME);
	text(r, "request.path", a->path, CAP_TEXT);
	selector(r, "request.fieldSelector", a->field_selector, a->nfield);
	selector(r, "request.labelSelector", a->label_selector, a->nlabel);
	end_object(r, mark);
}

static void shadow(struct body *r, const struct audit_shadow *s)
{
	if (!s->decision)
		return;
	size_t mark = object(r, "shadow");
	word(r, "shadow.decision", s->decision);
	text(r, "shadow.rule", slice_of(s->rule), CAP_NAME);
	if (s->generation > 0)
		number(r, "shadow.generation", (uint64_t)s->generation);
	end_object(r, mark);
}

/* The strings of V as far as they fit. */
static void words(struct body *r, const char *path, const char *const *v, size_t n, size_t budget)
{
	AUTO(arena_done) struct arena a = {0};
	struct slice *s = ARENA_ARRAY(&a, struct slice, n);
	for (size_t i = 0; i < n; i++)
		s[i] = slice_of(v[i]);
	key(r->b, path);
	if (!add_list(r->b, s, n, budget, CAP_NAME))
		note_cut(r, path);
}

static void break_glass(struct body *r, const struct audit_break_glass *g)
{
	char until[CLOCK_RFC3339_LEN];
	if (!g)
		return;
	clock_rfc3339(g->until, until);
	size_t mark = object(r, "breakGlass");
	text(r, "breakGlass.ticket", slice_of(g->ticket), CAP_NAME);
	words(r, "breakGlass.approvedBy", g->approved_by, g->napproved, BUDGET_LIST);
	word(r, "breakGlass.until", until);
	end_object(r, mark);
}

static void policy_of(
    struct body *r, int64_t generation, const char *sha256, const char *signed_by)
{
	size_t mark = object(r, "policy");
	if (generation > 0)
		number(r, "policy.generation", (uint64_t)generation);
	word(r, "policy.sha256", sha256);
	text(r, "policy.signedBy", slice_of(signed_by), CAP_NAME);
	end_object(r, mark);
}

static void authz(struct buf *out, const struct record_origin *o, enum record_type type,
    const struct audit_authz *a)
{
	struct body r = body_start(out);
	head(&r, o, type, a->id);
	client(&r, &a->client);
	word(&r, "apiVersion", a->api_version);
	user(&r, &a->user);
	request(&r, a);
	word(&r, "decision", a->decision);
	word(&r, "effect", a->effect);
	text(&r, "rule", slice_of(a->rule), CAP_NAME);
	text(&r, "ruleSource", slice_of(a->rule_source), CAP_LONG_NAME);
	text(&r, "reason", a->reason, CAP_TEXT);
	text(&r, "evaluationError", a->evaluation_error, CAP_TEXT);
	break_glass(&r, a->break_glass);
	policy_of(&r, a->policy_generation, a->policy_sha256, a->policy_signed_by);
	shadow(&r, &a->shadow);
	number(&r, "latencyUs", a->latency_us);
	body_end(&r, &a->user);
}

void record_authz(struct buf *out, const struct record_origin *o, const struct audit_authz *a)
{
	authz(out, o, RECORD_AUTHZ, a);
}

void record_use(struct buf *out, const struct record_origin *o, const struct audit_authz *a)
{
	authz(out, o, RECORD_BREAK_GLASS, a);
}

void record_authn(struct buf *out, const struct record_origin *o, const struct audit_authn *a)
{
	struct body r = body_start(out);
	const struct audit_user *u = &a->user;
	bool known = u->name.len || u->uid.len || u->ngroups || u->nextra_keys;
	head(&r, o, RECORD_AUTHN + (enum record_type)a->kind, a->id);
	client(&r, &a->client);
	word(&r, "apiVersion", a->api_version);
	if (known)
		user(&r, u);
	word(&r, "decision", a->decision);
	text(&r, "reason", slice_of(a->reason), CAP_TEXT);
	text(&r, "authenticator", slice_of(a->authenticator), CAP_NAME);
	text(&r, "issuer", a->issuer, CAP_LONG_NAME);
	list(&r, "audiences", a->audiences, a->naudiences);
	number(&r, "latencyUs", a->latency_us);
	body_end(&r, u);
}

/* Whole entries while they fit. */
static void policy_files(struct body *r, const struct audit_policy *p)
{
	if (!p->list || p->files == 0)
		return;
	key(r->b, "policy.fileList");
	buf_addc(r->b, '[');
	size_t end = r->b->len + BUDGET_FILES;
	for (size_t i = 0; i < p->files; i++) {
		const struct audit_policy_file *f = &p->list[i];
		size_t mark = r->b->len;
		buf_adds(r->b, i ? ",{\"name\":" : "{\"name\":");
		add_capped(r->b, slice_of(f->name), CAP_LONG_NAME);
		buf_printf(r->b, ",\"kind\":\"%s\",\"sha256\":\"%s\"", f->kind, f->sha256);
		if (f->owned)
			buf_printf(r->b, ",\"owner\":%u", f->owner);
		buf_addc(r->b, '}');
		if (r->b->len <= end)
			continue;
		r->b->len = mark;
		note_cut(r, "policy.fileList");
		break;
	}
	buf_addc(r->b, ']');
}

void record_policy(struct buf *out, const struct record_origin *o, const struct audit_policy *p)
{
	struct body r = body_start(out);
	head(&r, o, p->rejected ? RECORD_POLICY_REJECTED : RECORD_POLICY_LOADED, NULL);
	text(&r, "error", slice_of(p->error), CAP_ERROR);
	word(&r, "stage", p->stage);
	size_t mark = object(&r, "policy");
	if (p->shadow) {
		key(r.b, "policy.shadow");
		buf_adds(r.b, "true");
	}
	if (p->generation > 0)
		number(&r, "policy.generation", (uint64_t)p->generation);
	word(&r, "policy.sha256", p->sha256);
	if (p->old_generation > 0)
		number(&r, "policy.oldGeneration", (uint64_t)p->old_generation);
	word(&r, "policy.oldSha256", p->old_sha256);
	text(&r, "policy.source", slice_of(p->source), CAP_LONG_NAME);
	if (!p->rejected) {
		number(&r, "policy.rules", p->rules);
		number(&r, "policy.denyRules", p->deny_rules);
		number(&r, "policy.abstainRules", p->abstain_rules);
		number(&r, "policy.files", p->files);
		policy_files(&r, p);
	}
	text(&r, "policy.signedBy", slice_of(p->signed_by), CAP_NAME);
	end_object(&r, mark);
	body_end(&r, NULL);
}

void record_rules(struct buf *out, const struct record_origin *o, const struct audit_rules *a)
{
	struct body r = body_start(out);
	head(&r, o, a->started ? RECORD_RULE_STARTED : RECORD_RULE_EXPIRED, NULL);
	number(&r, "rulesCount", a->n);
	words(&r, "rules", a->rules, a->n, BUDGET_RULES);
	if (a->final) {
		key(r.b, "final");
		buf_adds(r.b, "true");
	}
	policy_of(&r, a->policy_generation, a->policy_sha256, NULL);
	body_end(&r, NULL);
}

void record_event(
    struct buf *out, const struct record_origin *o, const char *type, const char *detail)
{
	struct body r = body_start(out);
	enum record_type t = record_type_of_event(type);
	head(&r, o, t, NULL);
	if (t == RECORD_EVENT)
		word(&r, "event", type);
	text(&r, "detail", slice_of(detail), CAP_ERROR);
	body_end(&r, NULL);
}

void record_self(struct buf *out, const struct record_origin *o, enum record_type type,
    const struct record_self *s)
{
	struct body r = body_start(out);
	head(&r, o, type, NULL);
	size_t mark = object(&r, "audit");
	text(&r, "audit.path", slice_of(s->path), CAP_LONG_NAME);
	text(&r, "audit.cause", slice_of(s->cause), CAP_NAME);
	if (s->continued) {
		key(r.b, "audit.continued");
		buf_adds(r.b, "true");
	}
	if (s->torn_bytes > 0)
		number(&r, "audit.tornBytes", s->torn_bytes);
	if (type == RECORD_GAP) {
		number(&r, "audit.from", s->from);
		number(&r, "audit.to", s->to);
		number(&r, "audit.count", s->count);
	}
	if (type == RECORD_TRUNCATED) {
		number(&r, "audit.offset", s->offset);
		number(&r, "audit.size", s->size);
	}
	end_object(&r, mark);
	body_end(&r, NULL);
}

void record_line(struct buf *out, int64_t ts, uint64_t seq, struct slice body,
    char prev[RECORD_HASH_LEN + 1])
{
	char when[CLOCK_RFC3339_LEN];
	size_t from = out->len;
	clock_rfc3339(ts, when);
	buf_printf(out, "{\"v\":1,\"ts\":\"%s\",\"seq\":", when);
	buf_u64(out, seq);
	buf_addc(out, ',');
	buf_slice(out, body);
	buf_printf(out, ",\"prev\":\"%s\"}", prev);
	sha256_hex(out->p + from, out->len - from, prev);
	out->len--;
	buf_printf(out, ",\"hash\":\"%s\"}\n", prev);
}

/* Between the first BEFORE in S and the next quote or comma; empty when there is none. A quote within a
 * JSON string is escaped, so that BEFORE, which starts and ends at quotes, is no part of one. */
static struct slice between(struct slice s, const char *before)
{
	size_t n = strlen(before);
	const char *p = s.len ? memmem(s.p, s.len, before, n) : NULL;
	if (!p)
		return (struct slice){0};
	struct slice rest = slice_skip(s, (size_t)(p - s.p) + n);
	size_t end = 0;
	while (end < rest.len && rest.p[end] != '"' && rest.p[end] != ',')
		end++;
	return (struct slice){rest.p, end};
}

static bool parse_seq(struct slice s, uint64_t *out)
{
	*out = 0;
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9' || __builtin_mul_overflow(*out, 10, out) ||
		    __builtin_add_overflow(*out, (uint64_t)(s.p[i] - '0'), out))
			return false;
	}
	return s.len > 0;
}

bool record_check(struct slice line, struct record_tail *out)
{
	static const char before[] = ",\"hash\":\"", after[] = "\"}";
	const size_t tail = sizeof(before) - 1 + RECORD_HASH_LEN + sizeof(after) - 1;
	if (line.len <= tail || line.len >= AUDIT_LINE_MAX)
		return false;
	const char *p = line.p + line.len - tail;
	if (memcmp(p, before, sizeof(before) - 1) != 0 ||
	    memcmp(p + tail - 2, after, sizeof(after) - 1) != 0)
		return false;
	memcpy(out->hash, p + sizeof(before) - 1, RECORD_HASH_LEN);
	out->hash[RECORD_HASH_LEN] = '\0';
	uint8_t raw[SHA256_LEN];
	char want[RECORD_HASH_LEN + 1];
	struct sha256_ctx *c = sha256_begin();
	sha256_update(c, line.p, line.len - tail);
	sha256_update(c, "}", 1);
	sha256_end(&c, raw);
	hex_encode(raw, sizeof(raw), want);
	struct slice chain = between(line, ",\"chain\":\"");
	if (strcmp(want, out->hash) != 0 || chain.len != RECORD_CHAIN_LEN)
		return false;
	memcpy(out->chain, chain.p, chain.len);
	out->chain[chain.len] = '\0';
	return parse_seq(between(line, ",\"seq\":"), &out->seq);
}
