/* The words of weekly hours: days and times of day as people write them in our files. */
#ifndef COMMON_WINDOW_TEXT_H
#define COMMON_WINDOW_TEXT_H

#include "common/window.h"

#define WINDOW_EVERY_DAY 0x7F

/* For findings: "…: expected " WINDOW_…_WANTED. */
#define WINDOW_DAYS_WANTED                                                                         \
	"a day (`mon`, `tue`, `wed`, `thu`, `fri`, `sat`, `sun`) or days such as `mon-fri`"
#define WINDOW_HOURS_WANTED                                                                        \
	"hours such as `08:00-18:00`, or `22:00-06:00` over midnight; `24:00` ends a day"

/* "sat", or "sat-mon": adds its days to the bits *OUT (bit 0: Monday). */
bool window_read_days(struct slice s, uint8_t *out);

/* "08:00-18:00"; 24:00 only at the end. */
bool window_read_hours(struct slice s, struct window_hours *out);

#endif
