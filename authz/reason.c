/* Owns the words for a decision: names of verdicts and the text of status.reason. */
#include "authz/authz.h"

const char *verdict_name(enum verdict v)
{
	static const char *const names[] = {
	    [VERDICT_NO_OPINION] = "noOpinion", [VERDICT_ALLOW] = "allow", [VERDICT_DENY] = "deny"};
	return names[v];
}

static const char *effect_name(const struct decision *d)
{
	static const char *const names[] = {
	    [POLICY_ALLOW] = "allow", [POLICY_DENY] = "deny", [POLICY_ABSTAIN] = "abstain"};
	return d->effect == POLICY_NO_EFFECT ? verdict_name(d->verdict) : names[d->effect];
}

/* Rule ids and messages were checked at load: nothing of the request stands here, so nothing of it
 * can forge a line. */
void authz_reason(const struct policy *p, const struct decision *d, const char *id, struct buf *out)
{
	struct buf b;
	buf_init(&b, AUTHZ_REASON_MAX);
	buf_adds(&b, effect_name(d));
	if (d->rule)
		buf_printf(&b, " rule=%s", d->rule);
	else
		buf_adds(&b, d->exempt ? " exempt" : " default");
	buf_printf(&b, " gen=%lld", (long long)policy_info(p)->generation);
	if (id)
		buf_printf(&b, " id=%s", id);
	if (d->message)
		buf_printf(&b, ": %s", d->message);
	buf_slice(out, buf_view(&b));
	buf_done(&b);
}
