/* Owns the board of readiness. */
#include "server/status.h"

#include <stdarg.h>
#include <stdio.h>

static const char *const names[STATUS_COUNT] = {
    [STATUS_CONFIG] = "config",
    [STATUS_POLICY] = "policy",
    [STATUS_SHADOW] = "shadowPolicy",
    [STATUS_TLS] = "tls",
    [STATUS_LOGIN] = "login",
    [STATUS_SHUTDOWN] = "shutdown",
};

void status_init(struct status *s)
{
	*s = (struct status){0};
	pthread_mutex_init(&s->lock, NULL);
}

void status_done(struct status *s)
{
	pthread_mutex_destroy(&s->lock);
}

void status_set(struct status *s, enum status_item i, bool failed, const char *fmt, ...)
{
	struct status_entry e = {.known = true, .failed = failed};
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(e.text, sizeof(e.text), fmt, ap);
	va_end(ap);
	pthread_mutex_lock(&s->lock);
	s->items[i] = e;
	pthread_mutex_unlock(&s->lock);
}

void status_forget(struct status *s, enum status_item i)
{
	pthread_mutex_lock(&s->lock);
	s->items[i].known = false;
	pthread_mutex_unlock(&s->lock);
}

static void print_item(const struct status_entry *e, const char *name, struct buf *out)
{
	buf_printf(out, "[%c]%s %s", e->failed ? '-' : '+', name, e->failed ? "failed" : "ok");
	if (e->text[0])
		buf_printf(out, ": %s", e->text);
	buf_addc(out, '\n');
}

bool status_ready(struct status *s, struct buf *out)
{
	bool ready = true;
	pthread_mutex_lock(&s->lock);
	for (int i = 0; i < STATUS_COUNT; i++) {
		const struct status_entry *e = &s->items[i];
		if (!e->known)
			continue;
		ready = ready && !e->failed;
		if (out)
			print_item(e, names[i], out);
	}
	pthread_mutex_unlock(&s->lock);
	return ready;
}
