/* Recorded access decisions: our own audit log, and events of the Kubernetes audit log. */
#ifndef CLI_REPLAY_H
#define CLI_REPLAY_H

#include "authz/authz.h"
#include "common/err.h"

/* What a line of a log is. */
enum replay_kind {
	REPLAY_OTHER = 0, /* a record of something else, or a blank line */
	REPLAY_BAD, /* no record at all */
	REPLAY_DECISION, /* a request and what was decided */
	REPLAY_LOST, /* audit.gap: COUNT records are missing */
	/* Decisions that cannot be asked again exactly, and why. */
	REPLAY_GROUPS, /* not all groups of the user were recorded */
	REPLAY_TRUNCATED, /* a part of the request was shortened */
	REPLAY_UNDECIDED, /* none was made, or the review asked nothing */
	REPLAY_SELECTORS, /* a Kubernetes event, which does not tell what was selected */
	REPLAY_MASTERS, /* system:masters: no authorizer is asked about them */
	REPLAY_KINDS
};

/* What was decided. A Kubernetes event tells what all authorizers came to: forbidden is a deny of one of
 * them, or no opinion of all. */
enum replay_verdict { REPLAY_NO_OPINION, REPLAY_ALLOW, REPLAY_DENY, REPLAY_FORBID };

struct replay_line {
	enum replay_kind kind;
	struct access_request request;
	enum replay_verdict was;
	struct slice rule; /* our rule that decided, or empty */
	struct slice ts; /* as recorded */
	uint64_t count; /* REPLAY_LOST */
};

/* Longest line that is read: Kubernetes' events may carry whole objects. */
#define REPLAY_LINE_MAX ((size_t)8 << 20)

/* Reads LINE; texts borrow from it and from A. REPLAY_BAD sets E. */
void replay_read(struct slice line, struct arena *a, struct replay_line *out, struct err *e);

#endif
