/* A wish to end, heard at once by all who wait: a flag for who looks, a descriptor for who polls. */
#ifndef COMMON_CANCEL_H
#define COMMON_CANCEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Once asked it stays so. Zeroed is not ready: cancel_init. */
struct cancel {
	atomic_bool asked;
	int fd; /* eventfd, readable as soon as it is asked; -1: none could be had */
};

void cancel_init(struct cancel *c);
/* Nobody may wait any more. */
void cancel_done(struct cancel *c);

/* Thread-safe, and fit for handlers of signals. */
void cancel_ask(struct cancel *c);

/* C NULL: false. */
bool cancel_asked(const struct cancel *c);

/* For poll(2), which passes over -1 (C NULL, or no descriptor: then the flag is to be looked at now and then). Never to
 * be read. */
int cancel_fd(const struct cancel *c);

/* Waits until one of EVENTS (poll(2)) or an error is on FD (-1: nothing will be). False with errno ETIMEDOUT at UNTIL,
 * which is clock_mono(), and ECANCELED as soon as C (or NULL) is asked, which wins over all else. */
bool cancel_wait(const struct cancel *c, int fd, short events, int64_t until);

#endif
