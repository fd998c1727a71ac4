/* Owns the report on rights that the worker lacks. */
#include "rbac-sync/selfcheck.h"

#include "common/log.h"
#include "common/metrics.h"

#define LOGGED_MAX 50 /* of one check: a missing binding of the ClusterRole denies all of them */

static void summarize(const struct need *denied, struct arena *a, struct selfcheck *out)
{
	struct buf b;
	buf_init(&b, sizeof(out->text) - 1);
	buf_printf(&b, "%zu of %zu rights are missing; portcullis sync rbac prints them all:", out->denied, out->needs);
	for (size_t i = 0; i < out->denied && !b.over; i++)
		buf_printf(&b, "%s %s", i ? "," : "", need_text(&denied[i], a));
	if (out->denied)
		snprintf(out->text, sizeof(out->text), "%s", buf_cstr(&b));
	buf_done(&b);
}

static void report(const struct need *denied, struct arena *a, const struct selfcheck *found)
{
	for (size_t i = 0; i < found->denied && i < LOGGED_MAX; i++)
		log_warn("self-check: a right is missing: portcullis sync rbac prints the roles that give it",
		    LOG_STR("cannot", need_text(&denied[i], a)), LOG_STR("so", denied[i].why));
	if (found->denied > LOGGED_MAX)
		log_warn("self-check: more rights are missing", LOG_INT("more", found->denied - LOGGED_MAX));
	if (!found->denied)
		log_info("self-check: all rights are there", LOG_INT("rights", found->needs));
}

enum err_code selfcheck_run(struct kube *k, const struct worker_config *w, const struct sync_config *c,
    struct selfcheck *state, struct err *e)
{
	struct arena a;
	struct need *needs, *denied;
	struct selfcheck found = {.asked = true};
	arena_init(&a, 0);
	found.needs = needs_make(&a, w, c, lease_namespace(&w->lease, k), &needs);
	enum err_code rc = needs_check(k, needs, found.needs, &a, &denied, &found.denied, e);
	if (rc != ERR_OK) {
		arena_done(&a);
		return rc;
	}
	summarize(denied, &a, &found);
	if (!state->asked || found.denied != state->denied || strcmp(found.text, state->text) != 0)
		report(denied, &a, &found);
	metric_set(metrics_gauge("portcullis_sync_self_check_denied",
		       "Rights that the worker needs and does not have, as of the last check.", ""),
	    (int64_t)found.denied);
	*state = found;
	arena_done(&a);
	return ERR_OK;
}
