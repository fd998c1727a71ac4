/* Owns the configuration of the leader election. */
#include "common/clock.h"
#include "rbac-sync/lease.h"
#include "rbac-sync/rails.h"

#define AT(member) offsetof(struct lease_config, member)

static const struct field fields[] = {
    {"enabled", FIELD_BOOL, AT(enabled), .def = "true",
	.doc = "Of several workers one leads and writes, the others are ready to. `false`: this is the only worker, "
	       "whatever else runs."},
    {"namespace", FIELD_STRING, AT(namespace_), .nonempty = true,
	.doc = "Where the Lease is; absent: the namespace of the credentials, else `" LEASE_NAMESPACE "`."},
    {"name", FIELD_STRING, AT(name), .def = LEASE_NAME, .doc = "Name of the Lease; workers with one Lease are one group."},
    {"leaseDuration", FIELD_DURATION, AT(duration), .def = "15s", .min = CLOCK_SECOND, .max = LEASE_DURATION_MAX,
	.doc = "Whole seconds without a renewal after which others take the Lease."},
    {"renewDeadline", FIELD_DURATION, AT(renew_deadline), .def = "10s", .min = CLOCK_SECOND / 2,
	.max = 3600 * CLOCK_SECOND,
	.doc = "Time after its last renewal at which the leader stops to write by itself; less than leaseDuration: the "
	       "difference is for requests under way and clocks that run unevenly."},
    {"retryPeriod", FIELD_DURATION, AT(retry), .def = "2s", .min = CLOCK_SECOND / 10, .max = 600 * CLOCK_SECOND,
	.doc = "Pause between renewals; others look after one to 2.2 of these. renewDeadline is more than 1.2 of it."},
    {0},
};

static bool is_name(const char *s)
{
	size_t n = strlen(s);
	static const char ends[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	return n > 0 && n <= 253 && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-.") == n && strchr(ends, s[0]) &&
	       strchr(ends, s[n - 1]);
}

static void fault(const struct yaml_node *node, const char *key, const char *file, struct diags *d,
    const char *text)
{
	const struct yaml_node *at = yamlx_get(node, key);
	at = at ? at : node;
	diags_error(d, file, at->line, at->col, "%s: %s", key, text);
}

static void check(void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	const struct lease_config *c = obj;
	if (c->namespace_ && !rails_dns_label(slice_of(c->namespace_), 63))
		fault(node, "namespace", file, d, "no name of a namespace");
	if (!is_name(c->name))
		fault(node, "name", file, d, "no name of an object");
	if (c->duration % CLOCK_SECOND != 0)
		fault(node, "leaseDuration", file, d, "must be whole seconds");
	if (c->renew_deadline >= c->duration)
		fault(node, "renewDeadline", file, d, "must be less than leaseDuration");
	if (c->renew_deadline <= c->retry + c->retry / 5)
		fault(node, "retryPeriod", file, d, "renewDeadline must be more than 1.2 of it");
}

const struct schema lease_config_schema = {
    "leaderElection", sizeof(struct lease_config), fields, SCHEMA_NO_PLACE, SCHEMA_NO_PLACE, check};

const char *lease_namespace(const struct lease_config *c, const struct kube *k)
{
	const char *own = k ? kube_namespace(k) : NULL;
	return c->namespace_ ? c->namespace_ : own ? own : LEASE_NAMESPACE;
}

int64_t lease_timeout(const struct lease_config *c, int64_t timeout)
{
	int64_t ours = (c->renew_deadline - c->retry) / 2;
	return ours < timeout ? ours : timeout;
}
