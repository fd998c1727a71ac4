/* Owns what a watched authentication tells of itself. */
#include "authn/chain.h"
#include "authn/firewall.h"

/* Of the groups that were left out, so many bytes are told. */
#define LEFT_OUT_MAX 2000

void authn_check(struct authn_call *call, const char *name, bool passed, const char *detail)
{
	if (call->trace)
		call->trace->check(call->trace, name, passed, detail);
}

enum authn_step authn_failed(struct authn_call *call, const char *name, enum authn_step step)
{
	authn_check(call, name, false, call->why.msg);
	return step;
}

enum authn_step authn_asked(struct authn_call *call, const struct authn *item, enum authn_step step)
{
	if (call->trace)
		call->trace->asked(call->trace, item->name, step);
	return step;
}

/* "left out: "a", "b"", or nothing. */
static void list_reserved(const struct slice *groups, size_t n, struct buf *out)
{
	for (size_t i = 0; i < n && !out->over; i++)
		if (firewall_reserved(groups[i])) {
			buf_adds(out, out->len ? ", " : "left out: ");
			buf_json(out, groups[i]);
		}
}

bool authn_check_names(
    struct authn_call *call, const struct slice *groups, size_t n, bool passed)
{
	if (!call->trace)
		return passed;
	AUTO(buf_done) struct buf detail;
	buf_init(&detail, LEFT_OUT_MAX);
	if (passed)
		list_reserved(groups, n, &detail);
	authn_check(call, "names", passed, passed ? buf_cstr(&detail) : call->why.msg);
	return passed;
}
