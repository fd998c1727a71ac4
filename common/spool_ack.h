/* The way back through the spool: the worker tells portcullisd whose grants are settled, and that it is alive.
 *
 * DIR/ack/KEY holds the digest of the identity that is settled; DIR/ack/worker when the worker last showed itself, in
 * the kernel's own time. All of it is a hint: lost or late, somebody waits for nothing or not at all. */
#ifndef COMMON_SPOOL_ACK_H
#define COMMON_SPOOL_ACK_H

#include "common/clock.h"
#include "common/secret.h"
#include "common/spool.h"

#define SPOOL_ALIVE_EVERY (5 * CLOCK_SECOND)
#define SPOOL_ALIVE_STALE (15 * CLOCK_SECOND)
/* Longer than any touch interval in use: who is told again after portcullisd's restart need not wait. */
#define SPOOL_ACK_AGE (INT64_C(48) * 3600 * CLOCK_SECOND)

/* --- the worker's side: one thread --- */
struct spool_acks;

/* Makes DIR/ack when it is missing. Nothing shows the worker alive before spool_acks_alive. */
enum err_code spool_acks_new(const char *dir, struct spool_acks **out, struct err *e) MUST_CHECK;
/* Also says that there is no worker any more. */
void spool_acks_free(struct spool_acks **s);

/* The identity of DIGEST is settled for KEY: in one step, for whoever looks at that moment. Written to no disk: after a
 * power failure it may be gone or empty. */
enum err_code spool_acks_put(
    struct spool_acks *s, const char *key, const uint8_t digest[SHA256_LEN], struct err *e) MUST_CHECK;
/* Nothing is settled for KEY any more; nothing but DIGEST. */
void spool_acks_drop(struct spool_acks *s, const char *key);
void spool_acks_keep(struct spool_acks *s, const char *key, const uint8_t digest[SHA256_LEN]);

/* Shows the worker alive, when SPOOL_ALIVE_EVERY passed since the last time; says that it is not. */
void spool_acks_alive(struct spool_acks *s);
void spool_acks_down(struct spool_acks *s);

/* Removes what is older than SPOOL_ACK_AGE and what is over SPOOL_FILES_MAX, the oldest first. */
void spool_acks_sweep(struct spool_acks *s);

/* --- portcullisd's side: any thread --- */

/* The worker of DIR showed itself within SPOOL_ALIVE_STALE, on this machine and since its start. */
bool spool_worker_alive(const char *dir);

/* KEY is settled for just this digest. */
bool spool_acked(const char *dir, const char *key, const uint8_t digest[SHA256_LEN]);

/* Sleeps until that is so or clock_mono() is DEADLINE; whether it is so. */
bool spool_ack_wait(const char *dir, const char *key, const uint8_t digest[SHA256_LEN], int64_t deadline);

#endif
