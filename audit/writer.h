/* The queue of records and the thread that writes them. Private to audit/. */
#ifndef AUDIT_WRITER_H
#define AUDIT_WRITER_H

#include <pthread.h>

#include "audit/record.h"
#include "audit/sink.h"

/* Bytes of waiting bodies: 10,000 records of the ordinary 1.5 KiB fit, 10,000 of the longest do not. */
#define AUDIT_QUEUE_BYTES ((size_t)32 << 20)

struct writer;

/* Starts the thread, which owns SINK (its content is taken) from here on. TAIL: what SINK held. */
enum err_code writer_new(struct sink *sink, const struct sink_tail *tail, struct writer **out,
    struct err *e) MUST_CHECK;

/* Writes what waits, then ends. A disk that refuses is tried once more; what it does not take is
 * counted as dropped. */
void writer_free(struct writer **w);

/* Constant while the writer lives. */
const struct record_origin *writer_origin(const struct writer *w);

#define WRITER_PUSH_MAX 2 /* records that stand together */

struct writer_record {
	enum record_type type;
	struct buf body;
};

/* Queues the N records R (up to WRITER_PUSH_MAX) of the time TS, one right behind the other; takes their memory. When the
 * queue has no room for all of them, counts all as lost and returns false. */
bool writer_push(struct writer *w, int64_t ts, struct writer_record *r, size_t n);

/* Makes the thread look after its file at once. */
void writer_kick(struct writer *w);

/* As audit_trouble. */
bool writer_trouble(struct writer *w, int64_t *since, struct err *why);

/* As audit_flush. */
bool writer_flush(struct writer *w);

#endif
