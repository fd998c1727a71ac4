/* Owns the translation of identities and requests into audit and spool values. */
#include "server/audited.h"

#include <unistd.h>

#include "common/clock.h"

struct audit_client audited_client(const struct exchange *ex)
{
	const struct peer *p = ex->request.peer;
	return (struct audit_client){
	    .ip = slice_of(p->ip),
	    .port = p->port,
	    .cert_cn = slice_of(p->cert_cn),
	    .cert_sha256 = slice_of(p->cert_sha256),
	    .tls = slice_of(p->tls),
	};
}

struct audit_user audited_identity(struct arena *a, const struct identity *id)
{
	struct slice *keys = ARENA_ARRAY(a, struct slice, id->nextra);
	for (size_t i = 0; i < id->nextra; i++)
		keys[i] = id->extra[i].key;
	return (struct audit_user){
	    .name = id->username,
	    .uid = id->uid,
	    .groups = id->groups,
	    .ngroups = id->ngroups,
	    .extra_keys = keys,
	    .nextra_keys = id->nextra,
	};
}

struct audit_user audited_subject(struct arena *a, const struct access_request *r)
{
	struct slice *keys = ARENA_ARRAY(a, struct slice, r->nextra);
	for (size_t i = 0; i < r->nextra; i++)
		keys[i] = r->extra[i].key;
	return (struct audit_user){
	    .name = r->user,
	    .uid = r->uid,
	    .groups = r->groups,
	    .ngroups = r->ngroups,
	    .extra_keys = keys,
	    .nextra_keys = r->nextra,
	};
}

const struct audit_requirement *audited_requirements(
    struct arena *a, const struct access_requirement *r, size_t n)
{
	struct audit_requirement *out = ARENA_ARRAY(a, struct audit_requirement, n);
	for (size_t i = 0; i < n; i++)
		out[i] = (struct audit_requirement){r[i].key, r[i].op, r[i].values, r[i].n};
	return out;
}

const struct audit_break_glass *audited_break_glass(struct arena *a, const struct break_glass *g)
{
	if (!g)
		return NULL;
	struct audit_break_glass *out = ARENA_NEW(a, struct audit_break_glass);
	*out = (struct audit_break_glass){g->ticket, g->approved_by, g->napproved, g->until};
	return out;
}

struct spool_event spooled_identity(struct arena *a, const struct identity *id, int64_t issued, int64_t now)
{
	struct spool_extra *extra = ARENA_ARRAY(a, struct spool_extra, id->nextra);
	for (size_t i = 0; i < id->nextra; i++)
		extra[i] = (struct spool_extra){id->extra[i].key, id->extra[i].values, id->extra[i].n};
	char host[256] = "";
	gethostname(host, sizeof(host) - 1);
	return (struct spool_event){
	    .provider = id->provider,
	    .issuer = id->issuer,
	    .username = id->username,
	    .uid = id->uid,
	    .groups = id->groups,
	    .ngroups = id->ngroups,
	    .extra = extra,
	    .nextra = id->nextra,
	    .seen_at = now / CLOCK_SECOND,
	    .iat = issued > 0 ? issued : 0,
	    .node = slice_of(arena_strdup(a, host)),
	};
}

uint64_t audited_latency(const struct exchange *ex)
{
	return (uint64_t)(clock_mono() - ex->request.received) / 1000;
}
