/* Owns the audit log's interface: records are made in the caller's thread, written by the log's. */
#include "audit/audit.h"

#include <stdlib.h>

#include "audit/writer.h"
#include "common/clock.h"

struct audit_log {
	struct writer *writer;
};

enum err_code audit_open(const char *path, struct audit_log **out, struct err *e)
{
	struct sink sink;
	struct sink_tail tail;
	struct writer *w;
	*out = NULL;
	TRY(sink_open(&sink, path, &tail, e));
	TRY(writer_new(&sink, &tail, &w, e));
	struct audit_log *log = malloc(sizeof(*log));
	if (!log)
		abort();
	log->writer = w;
	*out = log;
	return ERR_OK;
}

void audit_close(struct audit_log **log)
{
	if (!log || !*log)
		return;
	struct audit_log *l = TAKE(*log);
	writer_free(&l->writer);
	free(l);
}

void audit_reopen(struct audit_log *log)
{
	if (log)
		writer_kick(log->writer);
}

bool audit_trouble(struct audit_log *log, int64_t *since, struct err *why)
{
	return log && writer_trouble(log->writer, since, why);
}

bool audit_flush(struct audit_log *log)
{
	return !log || writer_flush(log->writer);
}

/* Room for an ordinary record at once. */
#define BODY_START 2048

static struct buf body_new(void)
{
	struct buf body = {.p = malloc(BODY_START), .cap = BODY_START};
	if (!body.p)
		abort();
	return body;
}

/* Gives back the slack that making BODY took. */
static void trim(struct buf *body)
{
	if (body->cap > BODY_START && body->cap / 2 > body->len) {
		char *p = realloc(body->p, body->len + 1);
		if (p) {
			body->p = p;
			body->cap = body->len + 1;
		}
	}
}

static void push(struct audit_log *log, enum record_type type, struct buf *body)
{
	struct writer_record one = {type, *body};
	trim(&one.body);
	*body = (struct buf){0};
	(void)writer_push(log->writer, clock_now(), &one, 1);
}

bool audit_write_authz(struct audit_log *log, const struct audit_authz *r)
{
	if (!log)
		return false;
	struct writer_record both[] = {{RECORD_AUTHZ, body_new()}, {RECORD_BREAK_GLASS, {0}}};
	size_t n = r->break_glass ? 2 : 1;
	record_authz(&both[0].body, writer_origin(log->writer), r);
	trim(&both[0].body);
	if (n == 2) {
		both[1].body = body_new();
		record_use(&both[1].body, writer_origin(log->writer), r);
		trim(&both[1].body);
	}
	return writer_push(log->writer, clock_now(), both, n);
}

void audit_write_authn(struct audit_log *log, const struct audit_authn *r)
{
	if (!log)
		return;
	struct buf body = body_new();
	record_authn(&body, writer_origin(log->writer), r);
	push(log, RECORD_AUTHN + (enum record_type)r->kind, &body);
}

void audit_write_policy(struct audit_log *log, const struct audit_policy *r)
{
	if (!log)
		return;
	struct buf body = body_new();
	record_policy(&body, writer_origin(log->writer), r);
	push(log, r->rejected ? RECORD_POLICY_REJECTED : RECORD_POLICY_LOADED, &body);
}

void audit_write_rules(struct audit_log *log, const struct audit_rules *r)
{
	if (!log)
		return;
	struct buf body = body_new();
	record_rules(&body, writer_origin(log->writer), r);
	push(log, r->started ? RECORD_RULE_STARTED : RECORD_RULE_EXPIRED, &body);
}

void audit_write_event(struct audit_log *log, const char *type, const char *detail)
{
	if (!log)
		return;
	struct buf body = body_new();
	record_event(&body, writer_origin(log->writer), type, detail);
	push(log, record_type_of_event(type), &body);
}
