/* Lines out of a stream, however it is cut into pieces. Pure. */
#ifndef RBAC_SYNC_KUBE_LINES_H
#define RBAC_SYNC_KUBE_LINES_H

#include "common/str.h"

/* Called with each line without its end; empty lines are left out. LINE is borrowed. False: no more. */
typedef bool kube_line(void *ctx, struct slice line);

struct kube_lines {
	struct buf rest; /* begun, not ended */
	size_t max;
	bool over; /* a line was longer than MAX */
};

void kube_lines_init(struct kube_lines *l, size_t max);
void kube_lines_done(struct kube_lines *l);

/* False when EACH said so, or when a line is over MAX: nothing more is to be fed then. */
bool kube_lines_feed(struct kube_lines *l, struct slice piece, kube_line *each, void *ctx);

/* The stream ended within a line. */
bool kube_lines_cut(const struct kube_lines *l);

#endif
