/* Owns the rules of leader election: whose the Lease is, when it may be taken, what is written on it. */
#include "rbac-sync/lease_core.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"

#define DISSENT_DURATIONS 3 /* a standby repeats its note each duration: two may be lost */

void lease_core_init(struct lease_core *l, const struct lease_config *c, const char *namespace_, const char *me)
{
	*l = (struct lease_core){.config = c, .namespace_ = namespace_};
	snprintf(l->me, sizeof(l->me), "%s", me);
}

void lease_core_done(struct lease_core *l)
{
	json_decref(l->object);
	json_decref(l->spec);
	*l = (struct lease_core){0};
}

enum lease_step lease_decide(const struct lease_view *v, const char *me, int64_t now)
{
	bool free_ = !v->holder || v->holder[0] == '\0';
	if (!free_ && strcmp(v->holder, me) == 0)
		return v->version ? LEASE_STEP_RENEW : LEASE_STEP_CREATE;
	if (free_ && v->version)
		return LEASE_STEP_TAKE;
	/* Where there is none, it may have been deleted under a holder who does not know yet. */
	if (now - v->seen_change < v->duration)
		return LEASE_STEP_WAIT;
	return v->version ? LEASE_STEP_TAKE : LEASE_STEP_CREATE;
}

/* --- what was seen --- */

static bool holds(const struct lease_core *l)
{
	return l->view.holder && strcmp(l->view.holder, l->me) == 0;
}

const char *lease_core_note(const struct lease_core *l, const char *key)
{
	const json_t *notes = json_object_get(json_object_get(l->object, "metadata"), "annotations");
	return json_string_value(json_object_get(notes, key));
}

static void swap(json_t **at, json_t *fresh)
{
	json_t *old = *at;
	*at = json_incref(fresh);
	json_decref(old);
}

/* The apiserver refuses durations below a second; what stands there beside that is no reason to act early. Nor is it one
 * to wait for years: anybody who may write it could leave the cluster without a leader. */
static int64_t duration_of(const struct lease_core *l)
{
	json_int_t s = json_integer_value(json_object_get(l->spec, "leaseDurationSeconds"));
	if (s <= 0)
		return l->config->duration;
	return s < LEASE_DURATION_MAX / CLOCK_SECOND ? (int64_t)s * CLOCK_SECOND : LEASE_DURATION_MAX;
}

static void see_absence(struct lease_core *l, int64_t now)
{
	if (!l->looked || l->view.version)
		l->view.seen_change = now;
	/* Whoever held it, and for how long, when it was deleted: somebody whom we may never have seen. */
	if (l->view.duration < l->config->duration)
		l->view.duration = l->config->duration;
	swap(&l->object, NULL);
	l->view.version = NULL;
	l->looked = true;
}

enum lease_step lease_core_next(struct lease_core *l, int64_t now)
{
	/* Ours as long as we lead: the others wait for longer. */
	if (!l->view.version && !lease_core_leading(l, now))
		l->view.holder = NULL;
	return lease_decide(&l->view, l->me, now);
}

static void see_spec(struct lease_core *l, json_t *object, int64_t now)
{
	json_t *spec = json_object_get(object, "spec");
	const char *holder = json_string_value(json_object_get(spec, "holderIdentity"));
	if (l->looked && !text_eq(holder ? holder : "", l->view.holder ? l->view.holder : ""))
		l->transitions++;
	if (!l->looked || !l->view.version || !json_equal(spec, l->spec))
		l->view.seen_change = now;
	swap(&l->spec, spec);
	l->view.holder = json_string_value(json_object_get(l->spec, "holderIdentity"));
	l->view.duration = duration_of(l);
}

enum err_code lease_core_saw(struct lease_core *l, json_t *object, int64_t now, struct err *e)
{
	if (!object) {
		see_absence(l, now);
		return ERR_OK;
	}
	const char *version =
	    json_string_value(json_object_get(json_object_get(object, "metadata"), "resourceVersion"));
	if (!version || !json_is_object(json_object_get(object, "spec")))
		return err_set(e, ERR_INVALID, "a Lease without resourceVersion or spec");
	char before[LEASE_NOTE_BYTES_MAX];
	const char *dissent = lease_core_note(l, NOTE_DISSENT);
	snprintf(before, sizeof(before), "%s", dissent ? dissent : "");
	see_spec(l, object, now);
	swap(&l->object, object);
	l->view.version = version;
	dissent = lease_core_note(l, NOTE_DISSENT);
	if (dissent && strncmp(dissent, before, sizeof(before) - 1) != 0)
		l->dissent_seen = now;
	if (!holds(l))
		l->led_from = 0;
	l->looked = true;
	return ERR_OK;
}

enum err_code lease_core_wrote(
    struct lease_core *l, json_t *object, int64_t started, int64_t now, struct err *e)
{
	bool led = lease_core_leading(l, now);
	TRY(lease_core_saw(l, object, now, e));
	if (!holds(l))
		return ERR_OK;
	l->led_from = started;
	if (!led)
		l->won = started;
	return ERR_OK;
}

bool lease_core_leading(const struct lease_core *l, int64_t now)
{
	return l->led_from && now - l->led_from < l->config->renew_deadline;
}

/* --- what is written --- */

static void set(json_t *o, const char *key, json_t *value)
{
	if (!value || json_object_set_new(o, key, value) != 0)
		abort();
}

static json_t *must(json_t *o)
{
	if (!o)
		abort();
	return o;
}

static void set_time(json_t *spec, const char *key, int64_t wall)
{
	char text[CLOCK_RFC3339_LEN];
	clock_rfc3339(wall, text);
	set(spec, key, json_string(text));
}

/* Member KEY of O, an object, made when it is not there. */
static json_t *member(json_t *o, const char *key)
{
	if (!json_is_object(json_object_get(o, key)))
		set(o, key, json_object());
	return json_object_get(o, key);
}

static json_t *new_lease(const struct lease_core *l)
{
	json_t *o = must(json_object()), *meta = member(o, "metadata");
	set(o, "apiVersion", json_string("coordination.k8s.io/v1"));
	set(o, "kind", json_string("Lease"));
	set(meta, "name", json_string(l->config->name));
	set(meta, "namespace", json_string(l->namespace_));
	member(o, "spec");
	return o;
}

/* What others wrote stays: a PUT replaces the whole object. */
static json_t *base(const struct lease_core *l)
{
	return l->object ? must(json_deep_copy(l->object)) : new_lease(l);
}

static json_t *notes_of(json_t *o)
{
	return member(member(o, "metadata"), "annotations");
}

/* HASH IDENTITY TIME: is it IDENTITY's? */
static bool dissent_is_of(const char *dissent, const char *identity)
{
	const char *space = dissent ? strchr(dissent, ' ') : NULL;
	size_t n = strlen(identity);
	return space && strncmp(space + 1, identity, n) == 0 && space[1 + n] == ' ';
}

static bool dissent_is_for(const char *dissent, const char *hash)
{
	size_t n = strlen(hash);
	return strncmp(dissent, hash, n) == 0 && dissent[n] == ' ';
}

static void write_notes(const struct lease_core *l, json_t *o, const json_t *notes)
{
	json_t *all = notes_of(o), *value;
	const char *key;
	json_object_foreach((json_t *)(uintptr_t)notes, key, value)
	{
		if (json_is_null(value))
			json_object_del(all, key);
		else
			set(all, key, json_copy(value));
	}
	if (l->hash[0])
		set(all, NOTE_CONFIG, json_string(l->hash));
	if (dissent_is_of(lease_core_note(l, NOTE_DISSENT), l->me))
		json_object_del(all, NOTE_DISSENT);
}

json_t *lease_core_body(const struct lease_core *l, enum lease_step step, const json_t *notes, int64_t wall)
{
	json_t *o = base(l), *spec = member(o, "spec");
	json_int_t changes = json_integer_value(json_object_get(l->spec, "leaseTransitions"));
	if (step != LEASE_STEP_RENEW) {
		bool first = !l->spec;
		set_time(spec, "acquireTime", wall);
		set(spec, "leaseTransitions", json_integer(first || changes == INT32_MAX ? 0 : changes + 1));
	}
	set(spec, "holderIdentity", json_string(l->me));
	set(spec, "leaseDurationSeconds", json_integer(l->config->duration / CLOCK_SECOND));
	set_time(spec, "renewTime", wall);
	write_notes(l, o, notes);
	return o;
}

json_t *lease_core_release(const struct lease_core *l, int64_t wall)
{
	if (!l->object || !holds(l))
		return NULL;
	json_t *o = base(l), *spec = member(o, "spec");
	set(spec, "holderIdentity", json_string(""));
	set(spec, "leaseDurationSeconds", json_integer(1));
	set_time(spec, "acquireTime", wall);
	set_time(spec, "renewTime", wall);
	return o;
}

/* --- agreement --- */

json_t *lease_core_dissent(const struct lease_core *l, int64_t now, int64_t wall)
{
	if (!l->object || holds(l) || !l->hash[0])
		return NULL;
	const char *theirs = lease_core_note(l, NOTE_CONFIG), *dissent = lease_core_note(l, NOTE_DISSENT);
	bool mine = dissent_is_of(dissent, l->me);
	bool agree = !theirs || strcmp(theirs, l->hash) == 0;
	if (agree ? !mine : mine && dissent_is_for(dissent, l->hash) && now - l->dissented < l->config->duration)
		return NULL;
	json_t *o = base(l), *notes = notes_of(o);
	if (agree) {
		json_object_del(notes, NOTE_DISSENT);
		return o;
	}
	char at[CLOCK_RFC3339_LEN], text[LEASE_HASH_MAX + LEASE_IDENTITY_MAX + CLOCK_RFC3339_LEN];
	clock_rfc3339(wall, at);
	snprintf(text, sizeof(text), "%s %s %s", l->hash, l->me, at);
	set(notes, NOTE_DISSENT, json_string(text));
	return o;
}

void lease_core_hash(struct lease_core *l, const char *hash, int64_t now)
{
	char before[LEASE_HASH_MAX];
	memcpy(before, l->hash, sizeof(before));
	snprintf(l->hash, sizeof(l->hash), "%s", hash);
	if (strcmp(before, l->hash) != 0)
		l->hash_since = now;
}

bool lease_core_disputed(const struct lease_core *l, int64_t now)
{
	int64_t since = l->won > l->hash_since ? l->won : l->hash_since;
	if (!lease_core_leading(l, now) || !l->hash[0] || now - since < l->config->duration)
		return true; /* whoever disagrees had no time to say so */
	const char *dissent = lease_core_note(l, NOTE_DISSENT);
	return dissent && !dissent_is_for(dissent, l->hash) &&
	       now - l->dissent_seen < DISSENT_DURATIONS * l->config->duration;
}
