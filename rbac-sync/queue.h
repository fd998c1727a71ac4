/* The work queue: each key at most once, worked on by one thread at a time, later with growing pauses, or at a given
 * time. Thread-safe. After client-go's workqueue: 5 ms doubling to 1000 s. */
#ifndef RBAC_SYNC_QUEUE_H
#define RBAC_SYNC_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUEUE_KEY_MAX 64 /* with its NUL: a label's value; longer keys are nobody's and ignored */

struct queue;
struct queue *queue_new(int64_t backoff_first, int64_t backoff_max);
void queue_free(struct queue **q);

/* Now; once more after the present work on it, when it is being worked on. */
void queue_add(struct queue *q, const char *key);
/* Not before WHEN (clock_mono); an earlier time that is already set stays. */
void queue_add_at(struct queue *q, const char *key, int64_t when);
/* After a failure: its own pause, doubled each time, spread by a fifth; at least MIN_PAUSE ns. */
void queue_retry(struct queue *q, const char *key, int64_t min_pause);
void queue_forget(struct queue *q, const char *key); /* its failures */

/* Waits for a key that is due. False: closed. */
bool queue_take(struct queue *q, char key[QUEUE_KEY_MAX]);
void queue_done(struct queue *q, const char *key);
void queue_close(struct queue *q); /* wakes all takers */

/* Keys that are due and nobody works on. */
size_t queue_depth(struct queue *q);
/* True when nothing is due or being worked on (keys that wait for a time may be there). */
bool queue_idle(struct queue *q);

#endif
