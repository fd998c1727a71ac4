/* systemd's notification protocol, spoken by hand: one datagram to $NOTIFY_SOCKET. Silent without it. */
#ifndef SERVER_NOTIFY_H
#define SERVER_NOTIFY_H

#include <stdint.h>

#include "common/attr.h"

/* STATE is newline-separated assignments: "READY=1", "STOPPING=1", … */
void notify_send(const char *fmt, ...) PRINTF(1, 2);

/* RELOADING=1 with the time stamp that Type=notify-reload wants. */
void notify_reloading(void);

/* Half of the watchdog's interval in nanoseconds; 0 when nobody watches this process. */
int64_t notify_watchdog_interval(void);

#endif
