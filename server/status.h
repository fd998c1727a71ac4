/* What /readyz tells: how each part of the server is, told by whoever owns the part. */
#ifndef SERVER_STATUS_H
#define SERVER_STATUS_H

#include <pthread.h>
#include <stdbool.h>

#include "common/str.h"

enum status_item {
	STATUS_CONFIG,
	STATUS_POLICY,
	STATUS_SHADOW, /* the shadow policy */
	STATUS_TLS,
	STATUS_LOGIN, /* shown while something is wrong */
	STATUS_SHUTDOWN,
	STATUS_COUNT
};

struct status_entry {
	bool known;	  /* false: not configured, not shown */
	bool failed;	  /* the server is not ready while any is */
	char text[600];	  /* after the name: "generation=3 …", "stale since …: file:line:col: …" */
};

/* Thread-safe. */
struct status {
	pthread_mutex_t lock;
	struct status_entry items[STATUS_COUNT];
};

void status_init(struct status *s);
void status_done(struct status *s);

/* TEXT is copied. */
void status_set(struct status *s, enum status_item i, bool failed, const char *fmt, ...) PRINTF(4, 5);
void status_forget(struct status *s, enum status_item i);

/* True when nothing failed. With OUT, a line for each item: "[+]policy ok: TEXT" or "[-]policy failed:
 * TEXT". */
bool status_ready(struct status *s, struct buf *out);

#endif
