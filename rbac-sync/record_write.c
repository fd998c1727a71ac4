/* Owns what is written of UserRecords: the intake's spec, the reconciler's status, and when that is the same. */
#include <stdlib.h>

#include "common/clock.h"
#include "common/jsonx.h"
#include "rbac-sync/record.h"

#define LABEL_VALUE_MAX 63 /* Kubernetes' own */

/* --- JSON --- */

static void put(json_t *o, const char *key, json_t *value)
{
	if (!value || json_object_set_new(o, key, value) != 0)
		abort(); /* no memory, or text that is no UTF-8: what was read is */
}

static void add(json_t *list, json_t *value)
{
	if (!value || json_array_append_new(list, value) != 0)
		abort();
}

static json_t *text(const char *s)
{
	return s ? json_string(s) : json_null();
}

static json_t *slice_text(struct slice s)
{
	return json_stringn(s.p ? s.p : "", s.len);
}

/* Whole seconds, as Kubernetes writes its own; 0: null. */
static json_t *when(int64_t seconds)
{
	char s[CLOCK_RFC3339_LEN];
	if (!seconds)
		return json_null();
	clock_rfc3339(seconds * CLOCK_SECOND, s);
	return json_sprintf("%.19sZ", s);
}

static json_t *texts(const struct slice *v, size_t n)
{
	json_t *list = json_array();
	for (size_t i = 0; i < n; i++)
		add(list, slice_text(v[i]));
	return list;
}

static void put_time(json_t *o, const char *key, int64_t seconds)
{
	if (seconds)
		put(o, key, when(seconds));
}

static void put_text(json_t *o, const char *key, struct slice s)
{
	if (s.len)
		put(o, key, slice_text(s));
}

/* --- spec --- */

static bool label_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* What of the provider's name a label's value may hold: to select by, never to decide by. */
static json_t *provider_label(struct slice provider)
{
	char value[LABEL_VALUE_MAX];
	size_t n = 0;
	for (size_t i = 0; i < provider.len && n < sizeof(value); i++) {
		char c = provider.p[i];
		bool plain = label_char(c) || c == '.';
		if (plain || (n && value[n - 1] != '-'))
			value[n++] = plain ? c : '-';
	}
	while (n && !label_char(value[n - 1]))
		n--;
	size_t skip = 0;
	while (skip < n && !label_char(value[skip]))
		skip++;
	return json_stringn(value + skip, n - skip);
}

static json_t *spec_meta(const struct spool_event *ev, const char *key)
{
	json_t *meta = json_object(), *labels = json_object();
	put(labels, LABEL_MANAGED_BY, json_string(MANAGED_BY));
	put(labels, LABEL_RECORD, json_string(key));
	put(labels, LABEL_PROVIDER, provider_label(ev->provider));
	put(meta, "name", json_string(key));
	put(meta, "labels", labels);
	return meta;
}

static json_t *spec_identity(const struct spool_event *ev)
{
	json_t *id = json_object();
	put(id, "provider", slice_text(ev->provider));
	put(id, "username", slice_text(ev->username));
	put_text(id, "issuer", ev->issuer);
	put_text(id, "uid", ev->uid);
	if (ev->ngroups)
		put(id, "groups", texts(ev->groups, ev->ngroups));
	if (!ev->nextra)
		return id;
	json_t *extra = json_object();
	for (size_t i = 0; i < ev->nextra; i++) {
		json_t *values = texts(ev->extra[i].values, ev->extra[i].n);
		if (json_object_setn_new(extra, ev->extra[i].key.p ? ev->extra[i].key.p : "",
			ev->extra[i].key.len, values) != 0)
			abort();
	}
	put(id, "extra", extra);
	return id;
}

json_t *record_spec(const struct spool_event *ev)
{
	char key[SPOOL_KEY_LEN + 1];
	json_t *o = json_object(), *spec = json_object();
	spool_key(ev->provider, ev->username, key);
	put(spec, "identity", spec_identity(ev));
	put_time(spec, "observedAt", ev->seen_at);
	/* Also 0: a member that is left out would stay as an earlier write of ours left it. */
	put(spec, "iat", json_integer(ev->iat));
	put_text(spec, "observedBy", ev->node);
	put(o, "apiVersion", json_string(API_VERSION));
	put(o, "kind", json_string(RECORD_KIND));
	put(o, "metadata", spec_meta(ev, key));
	put(o, "spec", spec);
	return o;
}

/* --- status --- */

static void put_known(json_t *o, const char *key, const char *s)
{
	if (s)
		put(o, key, text(s));
}

static json_t *status_bindings(const struct record *r)
{
	json_t *list = json_array();
	for (size_t i = 0; i < r->nbindings; i++) {
		const struct record_binding *b = &r->bindings[i];
		json_t *o = json_object();
		put(o, "kind", json_string(object_types[b->id.kind].kind));
		put_known(o, "namespace", b->id.namespace_);
		put(o, "name", text(b->id.name));
		put_known(o, "uid", b->uid);
		put_known(o, "template", b->template_);
		put_known(o, "hash", b->hash);
		put_known(o, "live", b->live);
		put_time(o, "expires", b->expires);
		put_known(o, "successor", b->successor);
		add(list, o);
	}
	return list;
}

static json_t *status_lost(const struct record *r)
{
	json_t *list = json_array();
	for (size_t i = 0; i < r->nlost; i++) {
		json_t *o = json_object();
		put(o, "name", slice_text(r->lost[i].group));
		put_time(o, "since", r->lost[i].since);
		put_known(o, "directory", r->lost[i].directory);
		add(list, o);
	}
	return list;
}

/* Others' words may have been cut on their way here: a status without them is better than none. */
static json_t *sentence(const char *s)
{
	return json_string(slice_utf8(slice_of(s)) ? s : "(text withheld)");
}

static json_t *status_conditions(const struct record *r)
{
	json_t *list = json_array();
	for (size_t i = 0; i < r->nconditions; i++) {
		const struct record_condition *c = &r->conditions[i];
		json_t *o = json_object();
		put(o, "type", text(c->type));
		put(o, "status", json_string(c->status ? "True" : "False"));
		put_known(o, "reason", c->reason);
		if (c->message)
			put(o, "message", sentence(c->message));
		put_time(o, "lastTransitionTime", c->since);
		add(list, o);
	}
	return list;
}

json_t *record_status(const struct record *r)
{
	json_t *o = json_object(), *status = json_object();
	put(status, "phase", json_string(record_phase_name(r->phase)));
	put(status, "firstSeen", when(r->first_seen));
	put(status, "lastSeen", when(r->last_seen));
	put(status, "missingSince", when(r->missing_since));
	put(status, "disabledAt", when(r->disabled_at));
	put(status, "disableAfter", when(r->disable_after));
	put(status, "deleteAfter", when(r->delete_after));
	put(status, "nodes", r->nnodes ? texts(r->nodes, r->nnodes) : json_null());
	put(status, "bindings", r->nbindings ? status_bindings(r) : json_null());
	put(status, "bindingCount", json_integer((json_int_t)r->nbindings));
	put(status, "lostGroups", r->nlost ? status_lost(r) : json_null());
	put(status, "conditions", r->nconditions ? status_conditions(r) : json_null());
	put(status, "observedGeneration", json_integer(r->observed_generation));
	put(status, "observedDigest", text(r->observed_digest));
	put(status, "templatesDigest", text(r->templates_digest));
	if (r->resource_version) {
		json_t *meta = json_object();
		put(meta, "resourceVersion", json_string(r->resource_version));
		put(o, "metadata", meta);
	}
	put(o, "status", status);
	return o;
}

/* --- equality --- */

static bool same_binding(const struct record_binding *a, const struct record_binding *b)
{
	return object_id_eq(&a->id, &b->id) && text_eq(a->uid, b->uid) &&
	    text_eq(a->template_, b->template_) && text_eq(a->hash, b->hash) &&
	    text_eq(a->live, b->live) && a->expires == b->expires && text_eq(a->successor, b->successor);
}

static bool same_condition(const struct record_condition *a, const struct record_condition *b)
{
	return text_eq(a->type, b->type) && a->status == b->status && text_eq(a->reason, b->reason) &&
	    text_eq(a->message, b->message) && a->since == b->since;
}

static bool has_condition(const struct record *r, const struct record_condition *c)
{
	for (size_t i = 0; i < r->nconditions; i++) {
		if (same_condition(&r->conditions[i], c))
			return true;
	}
	return false;
}

/* Both ways: a type that stands twice in one of them must not hide what the other has. */
static bool same_conditions(const struct record *a, const struct record *b)
{
	bool same = a->nconditions == b->nconditions;
	for (size_t i = 0; same && i < a->nconditions; i++)
		same = has_condition(b, &a->conditions[i]) && has_condition(a, &b->conditions[i]);
	return same;
}

static bool same_lists(const struct record *a, const struct record *b)
{
	bool same = a->nnodes == b->nnodes && a->nbindings == b->nbindings && a->nlost == b->nlost;
	for (size_t i = 0; same && i < a->nnodes; i++)
		same = slice_eq(a->nodes[i], b->nodes[i]);
	for (size_t i = 0; same && i < a->nbindings; i++)
		same = same_binding(&a->bindings[i], &b->bindings[i]);
	for (size_t i = 0; same && i < a->nlost; i++)
		same = slice_eq(a->lost[i].group, b->lost[i].group) && a->lost[i].since == b->lost[i].since &&
		    text_eq(a->lost[i].directory, b->lost[i].directory);
	return same;
}

bool record_status_eq(const struct record *a, const struct record *b)
{
	return a->phase == b->phase && a->first_seen == b->first_seen && a->last_seen == b->last_seen &&
	    a->missing_since == b->missing_since && a->disabled_at == b->disabled_at &&
	    a->disable_after == b->disable_after && a->delete_after == b->delete_after &&
	    a->observed_generation == b->observed_generation &&
	    text_eq(a->observed_digest, b->observed_digest) &&
	    text_eq(a->templates_digest, b->templates_digest) && same_lists(a, b) && same_conditions(a, b);
}
