/* Time zones: what the local time is at a moment, from the system's zone files. No global state: the
 * C library's own functions know one zone a process. */
#ifndef COMMON_ZONE_H
#define COMMON_ZONE_H

#include "common/arena.h"
#include "common/err.h"
#include "common/str.h"

#define ZONE_DIR "/usr/share/zoneinfo"
#define ZONE_NAME_MAX 64 /* the longest has 32 */
#define ZONE_FILE_MAX ((size_t)64 << 10) /* the largest has 4 KiB */

/* From AT (seconds since the epoch) the local time is OFFSET seconds ahead of UTC. */
struct zone_change {
	int64_t at;
	int32_t offset;
};

/* Changes of the offset, ascending, until the end of what nanoseconds can count (2262). Before the
 * first one it is FIRST. Immutable. */
struct zone {
	const char *name;
	int32_t first;
	const struct zone_change *changes;
	uint32_t n;
};

/* Reads NAME ("Europe/Berlin"; "UTC" needs no file) from the directory DIR into A. Names that could
 * lead out of DIR are none. ERR_NOT_FOUND (with the nearest name), ERR_INVALID. Does I/O: for the
 * load of a policy alone. */
enum err_code zone_load(struct arena *a, const char *dir, const char *name,
    const struct zone **out, struct err *e) MUST_CHECK;

/* The same from the bytes of a zone file: TZif, versions 1 to 4 (RFC 9636). Leap seconds are
 * refused: the clock does not count them. */
enum err_code zone_parse(struct arena *a, const char *name, struct slice file,
    const struct zone **out, struct err *e) MUST_CHECK;

/* A copy in A. */
struct zone *zone_copy(struct arena *a, const struct zone *z);

/* The offset at the moment T (seconds), and in *UNTIL the moment of the next change, INT64_MAX when
 * there is none. Pure. */
int32_t zone_offset(const struct zone *z, int64_t t, int64_t *until);

/* --- internal to zone*.c --- */

/* Grows while a file is read. */
struct zone_list {
	struct arena *arena;
	struct zone_change *v;
	size_t n, cap;
	int32_t first; /* as of the zone */
};

/* Adds a change unless the offset stays; it replaces those that are not before it. */
void zone_add(struct zone_list *l, int64_t at, int32_t offset);

/* Adds the changes after AFTER by the rule TEXT, the TZ text of POSIX with the hours of RFC 9636. False
 * when it is none. */
bool zone_add_rule(struct zone_list *l, int64_t after, struct slice text);

#endif
