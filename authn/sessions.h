/* Sessions that were ended before their time (POST /revoke), durably: what they were given is refused. */
#ifndef AUTHN_SESSIONS_H
#define AUTHN_SESSIONS_H

#include "common/arena.h"
#include "common/err.h"
#include "common/str.h"

/* Held at once; each is forgotten when its session would have ended anyway. */
#define SESSIONS_MAX ((size_t)100000)

/* A session's name: a ULID. */
#define SESSION_LEN 26

struct sessions;

/* Reads STATE_DIR/ended-sessions, if it is there: a line for each, its name and the unix second until which
 * it counts. STATE_DIR NULL: this process alone remembers. ERR_INVALID when it holds anything else: who is
 * logged out must not come back for a damaged file. */
enum err_code sessions_open(const char *state_dir, struct sessions **out, struct err *e) MUST_CHECK;
void sessions_free(struct sessions **s);

/* A new name. */
struct slice sessions_name(struct arena *a);
bool sessions_name_ok(struct slice name);

/* True when NAME was ended; never for the empty name. Thread-safe; no I/O. */
bool sessions_ended(struct sessions *s, struct slice name);

/* NAME, which is sessions_name_ok, is ended until UNTIL (unix seconds): on disk when it returns ERR_OK, and in
 * this process even when not (then E says why it could not be kept), but for one thing: with SESSIONS_MAX in
 * memory it is ERR_LIMIT, E says so, and NAME goes on (sessions_ended tells).
 * Blocks on the disk; thread-safe. */
enum err_code sessions_end(struct sessions *s, struct slice name, int64_t until, struct err *e) MUST_CHECK;

/* Takes up what other processes ended in the same directory. Call it every second or so. Thread-safe. */
enum err_code sessions_tick(struct sessions *s, struct err *e) MUST_CHECK;

#endif
