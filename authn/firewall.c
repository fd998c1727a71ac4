/* Owns the last check of an identity: reserved names, order and sanity (design: wire behaviour 6). */
#include "authn/firewall.h"

#include <pthread.h>
#include <stdlib.h>
#include <strings.h>

#include "authn/limits.h"
#include "common/metrics.h"

static struct metric *refused_users, *dropped_groups;
static pthread_once_t metrics_once = PTHREAD_ONCE_INIT;

static void find_metrics(void)
{
	static const char name[] = "portcullis_reserved_names_total";
	static const char help[] = "Reserved names that an authenticator gave and that were held back.";
	refused_users = metrics_counter(name, help, "kind=\"user\"");
	dropped_groups = metrics_counter(name, help, "kind=\"group\"");
}

/* Kubernetes compares names exactly, so SYSTEM:masters gives nothing there; other readers of the same
 * name may fold case, and nobody needs it. */
static bool starts_nocase(struct slice s, const char *prefix)
{
	size_t n = strlen(prefix);
	return s.len >= n && strncasecmp(s.p, prefix, n) == 0;
}

static bool is_nocase(struct slice s, const char *name)
{
	return s.len == strlen(name) && starts_nocase(s, name);
}

/* The worker's own names count: who came by them could say who is who and bind roles. */
bool firewall_reserved(struct slice name)
{
	return starts_nocase(name, "system:") || starts_nocase(name, "kubeadm:") ||
	       is_nocase(name, "kubernetes-admin") || is_nocase(name, "portcullis-rbac-sync") ||
	       is_nocase(name, "portcullis-intake") || starts_nocase(name, "portcullis-intake:");
}

static bool sane(struct slice s)
{
	return s.len <= NAME_MAX_BYTES && slice_printable(s);
}

static bool say(const char **reason, struct err *why, const char *word, const char *text)
{
	*reason = word;
	err_set(why, ERR_REFUSED, "%s", text);
	return false;
}

static bool pass_groups(
    struct identity *id, struct arena *arena, const char **reason, struct err *why)
{
	if (id->ngroups > GROUPS_MAX)
		return say(reason, why, "tooManyGroups", "more groups than the limit");
	struct slice *kept = ARENA_ARRAY(arena, struct slice, id->ngroups ? id->ngroups : 1);
	size_t n = 0, reserved = 0;
	for (size_t i = 0; i < id->ngroups; i++) {
		struct slice g = id->groups[i];
		if (!sane(g))
			return say(reason, why, "badGroup", "a group is overlong or not printable");
		if (firewall_reserved(g))
			reserved++;
		else if (g.len)
			kept[n++] = g;
	}
	metric_add(dropped_groups, reserved);
	id->groups = kept;
	id->ngroups = slice_sort_unique(kept, n);
	return true;
}

static int by_key(const void *a, const void *b)
{
	const struct identity_extra *x = a, *y = b;
	return slice_cmp(x->key, y->key);
}

static bool pass_extra(
    struct identity *id, struct arena *arena, const char **reason, struct err *why)
{
	struct identity_extra *sorted =
	    ARENA_ARRAY(arena, struct identity_extra, id->nextra ? id->nextra : 1);
	for (size_t i = 0; i < id->nextra; i++) {
		const struct identity_extra *x = &id->extra[i];
		if (x->key.len == 0 || !sane(x->key) || x->n > EXTRA_VALUES_MAX)
			return say(reason, why, "badExtra", "an extra key cannot be used");
		for (size_t k = 0; k < x->n; k++)
			if (!sane(x->values[k]))
				return say(reason, why, "badExtra",
				    "an extra value is overlong or not printable");
		sorted[i] = *x;
	}
	qsort(sorted, id->nextra, sizeof(*sorted), by_key);
	id->extra = sorted;
	return true;
}

bool firewall_pass(struct identity *id, struct arena *arena, const char **reason, struct err *why)
{
	pthread_once(&metrics_once, find_metrics);
	if (id->username.len == 0)
		return say(reason, why, "badUsername", "the user name is empty");
	if (!sane(id->username))
		return say(reason, why, "badUsername", "the user name is overlong or not printable");
	if (firewall_reserved(id->username)) {
		metric_inc(refused_users);
		return say(reason, why, "reservedName", "the user name is reserved");
	}
	if (!sane(id->uid))
		return say(reason, why, "badUid", "the uid is overlong or not printable");
	return pass_groups(id, arena, reason, why) && pass_extra(id, arena, reason, why);
}
