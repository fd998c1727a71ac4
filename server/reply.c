/* Owns the error replies: one line of JSON each. */
#include "server/reply.h"

static void start(struct exchange *ex, unsigned status)
{
	ex->reply.status = status;
	ex->reply.content_type = "application/json";
	ex->reply.body.len = 0;
}

void reply_error(struct exchange *ex, unsigned status, const char *text)
{
	start(ex, status);
	buf_adds(&ex->reply.body, "{\"error\":");
	buf_json(&ex->reply.body, slice_of(text));
	buf_adds(&ex->reply.body, "}\n");
}

void reply_unavailable(struct exchange *ex, const char *text)
{
	start(ex, 503);
	buf_adds(&ex->reply.body, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},"
				  "\"status\":\"Failure\",\"message\":");
	buf_json(&ex->reply.body, slice_of(text));
	buf_adds(&ex->reply.body, ",\"reason\":\"ServiceUnavailable\",\"code\":503}\n");
}
