/* The file behind an audit log: opened, locked, watched for what others do to it. Private to audit/. */
#ifndef AUDIT_SINK_H
#define AUDIT_SINK_H

#include <sys/types.h>

#include "audit/record.h"

/* One owner: audit_open, then the writer thread. */
struct sink {
	char *path; /* "-": standard output, never looked after */
	int fd;
	bool regular;
	bool mend; /* the last line lacks its newline: write one first */
	dev_t dev;
	ino_t ino;
	off_t offset; /* where our last write ended */
	struct err why; /* of the last sink_look or sink_write that failed */
};

/* What an existing file held at its end. */
struct sink_tail {
	bool found; /* a whole record, in LAST */
	struct record_tail last;
	uint64_t torn_bytes; /* of a line that a crash cut short */
};

/* Opens PATH for appending, creates it with mode 0600 and locks it against a second writer. Symbolic
 * links, pipes and sockets are refused. ERR_REFUSED, ERR_NOT_FOUND (directory), ERR_UNAVAILABLE (in use
 * by another process, I/O), ERR_INVALID. */
enum err_code sink_open(struct sink *s, const char *path, struct sink_tail *tail, struct err *e)
    MUST_CHECK;
void sink_close(struct sink *s);

/* What happened to the file since the last call. */
struct sink_news {
	bool rotated; /* PATH is another file now, which is open in place of the old one */
	uint64_t torn_bytes;
	bool truncated; /* shorter than what we wrote: copytruncate or a hand */
	uint64_t offset, size;
};

/* Looks at the file and follows its path. False when nothing may be written now: the file we have is
 * unlinked and the path cannot be opened (s->why). A renamed file goes on being used until its path can be. */
bool sink_look(struct sink *s, struct sink_news *news);

/* One write(2), repeated only when a signal cut in: bytes written (maybe fewer than N), else
 * -1 and s->why. */
ssize_t sink_write(struct sink *s, const char *p, size_t n);

#endif
