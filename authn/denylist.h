/* The living denylistFile: what it names is refused from the next request on, whatever its file is
 * put through. */
#ifndef AUTHN_DENYLIST_H
#define AUTHN_DENYLIST_H

#include "authn/denylist_file.h"
#include "common/schema.h"

struct denylist;

struct denylist_options {
	/* Called from whichever thread noticed, when the file was read anew (E NULL) and when it
	 * cannot be used (E says why; once for each fault). May be NULL. */
	void (*event)(void *arg, const char *path, size_t entries, const struct err *e);
	void *event_arg;
};

/* Reads PATH, which must be there and good; NAMED is where the configuration tells of it. *OUT
 * holds one reference. */
enum err_code denylist_open(const char *path, const struct place *named,
    const struct denylist_options *o, struct denylist **out, struct diags *d) MUST_CHECK;

/* Thread-safe. */
struct denylist *denylist_ref(struct denylist *l); /* NULL stays NULL */
void denylist_unref(struct denylist **l);
const char *denylist_path(const struct denylist *l);

/* Looks at the file with one stat(2), and reads it when it has changed. A file that is gone, torn
 * or broken changes nothing: the entries that were last read well stay in force. Thread-safe. */
void denylist_look(struct denylist *l);

/* True when the identity or its credential stands in the list (looked at first): it must not be
 * accepted. E then says by which entry, secret-free. L NULL refuses nobody. NOW: wall clock, ns.
 * Thread-safe. */
bool denylist_refuses(struct denylist *l, const struct identity *id, const struct credential *cred,
    int64_t now, struct err *e);

/* A line: '+' or, while the file cannot be used, '-'; path, number of entries, what is wrong. */
void denylist_status(struct denylist *l, struct buf *out);

#endif
