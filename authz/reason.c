/* Owns the words for a decision: names of verdicts and the text of status.reason. */
#include "authz/authz.h"
#include "policy/index.h"

/* With effect, id of the rule, generation and decision id they stay under AUTHZ_REASON_MAX. */
#define RULE_SHOWN 120
#define TICKET_SHOWN 64
#define TEXT_SHOWN 200

const char *verdict_name(enum verdict v)
{
	static const char *const names[] = {
	    [VERDICT_NO_OPINION] = "noOpinion", [VERDICT_ALLOW] = "allow", [VERDICT_DENY] = "deny"};
	return names[v];
}

static const char *effect_name(const struct decision *d)
{
	return d->effect == POLICY_NO_EFFECT ? verdict_name(d->verdict) : policy_effect_name(d->effect);
}

/* At most MAX bytes of TEXT, whole characters; what people cannot see is left out. Messages were checked at
 * load, the names in notes and tickets come from others' files. */
static void add_text(struct buf *b, const char *text, size_t max)
{
	for (size_t from = 0, to, used = 0; text[from]; from = to) {
		for (to = from + 1; ((unsigned char)text[to] & 0xC0) == 0x80; to++)
			;
		struct slice c = {text + from, to - from};
		if (!slice_printable(c))
			continue;
		used += c.len;
		if (used > max) {
			buf_adds(b, "…");
			return;
		}
		buf_slice(b, c);
	}
}

/* Nothing of the request stands here, so nothing of it can forge a line. */
void authz_reason(const struct policy *p, const struct decision *d, const char *id, struct buf *out)
{
	struct buf b;
	buf_init(&b, AUTHZ_REASON_MAX);
	buf_adds(&b, effect_name(d));
	if (d->rule) {
		buf_adds(&b, " rule=");
		add_text(&b, d->rule, RULE_SHOWN);
	} else {
		buf_adds(&b, d->exempt ? " exempt" : " default");
	}
	buf_printf(&b, " gen=%lld", (long long)policy_info(p)->generation);
	if (id)
		buf_printf(&b, " id=%s", id);
	if (d->break_glass) {
		buf_adds(&b, " breakGlass=");
		add_text(&b, d->break_glass->ticket, TICKET_SHOWN);
		buf_adds(&b, " until=");
		window_print_moment(d->break_glass->until, &b);
	}
	const char *text = d->message ? d->message : d->note;
	if (text) {
		buf_adds(&b, ": ");
		add_text(&b, text, TEXT_SHOWN);
	}
	buf_slice(out, buf_view(&b));
	buf_done(&b);
}
