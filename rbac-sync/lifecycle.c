/* Owns the phases of records: which one holds now, and when the next one begins; and which of their groups count. */
#include "rbac-sync/lifecycle.h"

#include <stdlib.h>

#include "common/clock.h"

/* BASE and NS later, rounded up to a second; INT64_MAX when that is never. */
static int64_t later(int64_t base, int64_t ns)
{
	int64_t out;
	int64_t seconds = ns / CLOCK_SECOND + (ns % CLOCK_SECOND > 0);
	return __builtin_add_overflow(base, seconds, &out) ? INT64_MAX : out;
}

/* When time brings what NS says; INT64_MAX: never. */
static int64_t due_at(const struct record *r, int64_t ns)
{
	int64_t base = r->last_seen > 0 ? r->last_seen : r->created;
	return ns > 0 && base > 0 ? later(base, ns) : INT64_MAX;
}

static int64_t told(int64_t at)
{
	return at == INT64_MAX ? 0 : at;
}

/* When one who is disabled since SINCE may be deleted. */
static int64_t delete_at(const struct record *r, const struct lifecycle_config *c, int64_t since)
{
	int64_t at = due_at(r, c->delete_after);
	if (at == INT64_MAX)
		return at;
	int64_t gap = c->delete_after > c->disable_after ? c->delete_after - c->disable_after : CLOCK_SECOND;
	int64_t earliest = later(since, gap);
	return at > earliest ? at : earliest;
}

/* Since when the status says that they are disabled; 0: it does not. */
static int64_t disabled_since(const struct record *r)
{
	bool is = r->phase == PHASE_DISABLED || r->phase == PHASE_DELETED;
	return is && r->disabled_at > 0 ? r->disabled_at : 0;
}

/* The directory lost them once, they were disabled for it, and nothing is left to remove. */
static bool remembered(const struct record *r)
{
	for (size_t i = 0; i < r->nbindings; i++) {
		enum object_kind kind = r->bindings[i].id.kind;
		if (kind == KIND_ROLE_BINDING || kind == KIND_CLUSTER_ROLE_BINDING)
			return false;
	}
	return r->missing_since > 0 && disabled_since(r);
}

/* GONE: the directory lost them, by its last word or by the status' memory. SURE: not by that memory alone. */
static void disabled(const struct record *r, const struct lifecycle_config *c, bool gone, bool sure,
    int64_t now, struct life *out)
{
	int64_t since = disabled_since(r);
	int64_t at = delete_at(r, c, since ? since : now);
	int64_t disable = due_at(r, c->disable_after);
	if (!sure && at < disable)
		at = disable; /* then time confirms it */
	if (!sure && disable == INT64_MAX)
		at = INT64_MAX;
	out->state = LIFE_DISABLED;
	out->why = gone ? "the directory no longer has this user" : "not seen for longer than disableAfter";
	out->delete_after = told(at);
	out->next = at;
	if (sure && since && now >= at) {
		out->state = LIFE_DELETED;
		out->why = gone ? "the directory no longer has this user, and deleteAfter has passed"
				: "not seen for longer than deleteAfter";
		out->next = INT64_MAX;
	}
}

static void by_time(const struct record *r, const struct lifecycle_config *c, enum directory_word word,
    int64_t now, struct life *out)
{
	int64_t stale = due_at(r, c->stale_after);
	int64_t disable = due_at(r, c->disable_after);
	bool gone = c->disable_gone && (word == DIRECTORY_GONE || (word != DIRECTORY_PRESENT && remembered(r)));
	out->disable_after = told(disable);
	if (gone || now >= disable) {
		disabled(r, c, gone, word == DIRECTORY_GONE || now >= disable, now, out);
		return;
	}
	if (disable != INT64_MAX)
		out->delete_after = told(delete_at(r, c, disable));
	out->next = disable;
	if (now >= stale) {
		out->state = LIFE_STALE;
		out->why = "not seen for longer than staleAfter";
	} else if (stale < disable) {
		out->next = stale;
	}
}

void lifecycle(const struct record *r, const struct lifecycle_config *c, enum directory_word word, int64_t now,
    struct life *out)
{
	*out = (struct life){.state = LIFE_ACTIVE, .next = INT64_MAX};
	if (r->deleting) {
		out->state = LIFE_DELETED;
		out->why = "the record is being deleted";
	} else if (r->state == RECORD_STATE_SUSPENDED) {
		out->state = LIFE_SUSPENDED;
		out->why = "suspended by an admin";
	} else if (r->state != RECORD_STATE_ACTIVE && !r->keep && !r->keep_label) {
		by_time(r, c, word, now, out);
	}
}

/* --- groups --- */

/* What becomes of GROUP, which CLAIM is about; false: it counts. */
static bool lost(const struct record *r, struct slice group, const struct directory_claim *claim, int64_t now,
    struct record_lost *out)
{
	const struct record_lost *had = record_lost(r, group);
	if (claim->word == DIRECTORY_PRESENT || !claim->directory)
		return false;
	if (claim->word == DIRECTORY_GONE) {
		int64_t since = had ? had->since : claim->since;
		*out = (struct record_lost){group, since > 0 ? since : now, claim->directory, true};
		return true;
	}
	if (had)
		*out = *had;
	return had != NULL;
}

static int by_group(const void *a, const void *b)
{
	return slice_cmp(((const struct record_lost *)a)->group, ((const struct record_lost *)b)->group);
}

void lifecycle_groups(struct arena *a, struct record *r, const struct directory_claim *claims, int64_t now)
{
	const struct spool_event *ev = &r->identity;
	struct record_lost *v = ARENA_ARRAY(a, struct record_lost, ev->ngroups + 1);
	size_t n = 0, k = 0;
	for (size_t i = 0; i < ev->ngroups && r->state != RECORD_STATE_ACTIVE; i++)
		n += lost(r, ev->groups[i], &claims[i], now, &v[n]);
	if (n)
		qsort(v, n, sizeof(*v), by_group);
	/* A group may stand in a token twice. */
	for (size_t i = 0; i < n; i++) {
		if (k == 0 || !slice_eq(v[k - 1].group, v[i].group))
			v[k++] = v[i];
	}
	r->lost = v;
	r->nlost = k;
}
