/* Owns the moments at which rules of the policy begin and cease to hold: records, log, metrics. */
#include "server/policy_clock.h"

#include "common/clock.h"
#include "common/log.h"
#include "server/reload.h"

/* The longest that somebody may go on editing before what stands there is read. */
#define SETTLING (2 * CLOCK_SECOND)

struct metric *policy_clock_uses(const char *rule)
{
	AUTO(buf_done) struct buf labels;
	buf_init(&labels, 1 << 10);
	metrics_label(&labels, "rule", slice_of(rule));
	return metrics_counter("portcullis_breakglass_uses_total",
	    "Access reviews that a break-glass rule allowed, by rule.", buf_cstr(&labels));
}

/* An alert on the first use needs the series before it. */
static void show_uses(void *ctx, const char *rule)
{
	(void)ctx;
	policy_clock_uses(rule);
}

static void show_bound(const struct config *c)
{
	metric_set(metrics_gauge("portcullis_policy_propagation_bound_seconds",
		       "Longest time from an edit of the policy until no answer of the old one is in use.", ""),
	    (double)(RELOAD_POLL + SETTLING + c->authorization.authorized_ttl) / CLOCK_SECOND);
}

static void show_next(int64_t next)
{
	metric_set(metrics_gauge("portcullis_policy_next_boundary_timestamp_seconds",
		       "When the next rule begins or ceases to hold; 0: none will.", ""),
	    next == INT64_MAX ? 0 : (double)next / CLOCK_SECOND);
}

struct telling {
	struct audit_log *audit;
	const struct policy *policy;
};

static void tell(void *ctx, const struct policy_change *c)
{
	const struct telling *t = ctx;
	const struct policy_info *i = policy_info(t->policy);
	struct audit_rules r = {.started = c->begins,
	    .final = c->final,
	    .rules = c->rules,
	    .n = c->n,
	    .policy_generation = i->generation,
	    .policy_sha256 = i->sha256};
	audit_write_rules(t->audit, &r);
	log_info(c->begins ? "rules hold from now on" : "rules hold no longer",
	    LOG_STR("rule", c->rules[0]), LOG_INT("rules", c->n));
}

/* The address may be that of one that is gone: together with the digest it is the same policy. */
static bool known(const struct policy_clock *c, const struct policy *p)
{
	return c->policy == p && p && strcmp(c->sha256, policy_info(p)->sha256) == 0;
}

static void look_at(struct policy_clock *c, const struct policy *p, int64_t now)
{
	*c = (struct policy_clock){.policy = p, .seen = now, .next = INT64_MAX};
	if (!p)
		return;
	memcpy(c->sha256, policy_info(p)->sha256, sizeof(c->sha256));
	c->next = policy_next_change(p, now);
	policy_break_glass(p, show_uses, NULL);
}

void policy_clock_move(
    struct policy_clock *c, const struct policy *p, int64_t now, struct audit_log *audit)
{
	if (!known(c, p)) {
		look_at(c, p, now);
	} else if (now >= c->next || now < c->seen) {
		struct telling t = {audit, p};
		policy_changes(p, c->seen, now, tell, &t);
		c->next = policy_next_change(p, now);
	}
	c->seen = now;
	show_next(c->next);
}

void policy_clock_tick(struct policy_clock *c, struct server *server)
{
	struct snapshot *s = snapshot_acquire(&server->snapshots);
	policy_clock_move(c, s->policy, clock_now(), s->audit);
	show_bound(s->config);
	snapshot_release(&s);
}

int64_t policy_clock_left(const struct policy_clock *c)
{
	if (c->next == INT64_MAX)
		return INT64_MAX;
	int64_t left = c->next - clock_now();
	return left > 0 ? left / CLOCK_MS + 1 : 0;
}
