/* The templates in force: the last good content of the file, shared by all threads. */
#ifndef RBAC_SYNC_TEMPLATES_H
#define RBAC_SYNC_TEMPLATES_H

#include "rbac-sync/template.h"

/* One good content; lives until the last who holds it lets go. */
struct templates_held {
	struct sync_config *config;
	char digest[17]; /* hex, of the bytes of the file */
};

struct templates;

/* Reads PATH. On failure D holds at least one finding. */
enum err_code templates_new(const char *path, struct templates **out, struct diags *d) MUST_CHECK;
void templates_free(struct templates **t);

/* Thread-safe. Never NULL; to be let go of soon. */
struct templates_held *templates_hold(struct templates *t);
void templates_let(struct templates *t, struct templates_held **h);

/* The three below: one thread. Reads the file; SAME when its text is what it was at the last look, good or bad. A text
 * without any template is rejected as one with findings is: whoever emptied the file by accident takes away nothing.
 * On NEW, *OUT is the caller's, for templates_use or templates_drop; on REJECTED WHY says what is wrong. */
enum templates_word { TEMPLATES_REJECTED = 0, TEMPLATES_SAME, TEMPLATES_NEW };
enum templates_word templates_read(struct templates *t, struct templates_held **out, struct err *why);
void templates_use(struct templates *t, struct templates_held **fresh);

void templates_drop(struct templates_held **fresh); /* NULL is fine */

/* True while the file that lies there is another than the one in force. */
bool templates_stale(const struct templates *t);

#endif
