/* Which namespaces fit which selectors, kept as namespaces change: asked for each record, in clusters of ten thousands
 * of namespaces. Not thread-safe: the store's lock holds it. */
#ifndef RBAC_SYNC_STORE_SELECT_H
#define RBAC_SYNC_STORE_SELECT_H

#include "common/map.h"
#include "rbac-sync/selector.h"
#include "rbac-sync/store_entry.h"

/* Of a template file. What was not asked for longest makes room, and is a look at all namespaces when it comes again. */
#define SELECTIONS_MAX 1024

struct selection;

/* Zeroed is empty. */
struct selections {
	struct selection *v[SELECTIONS_MAX];
	size_t n;
	uint64_t now; /* counts questions */
};

void selections_done(struct selections *s);

/* A namespace was WAS and is IS; either may be NULL. */
void selections_change(struct selections *s, const struct entry *was, const struct entry *is);

/* Names that fit SEL, sorted, in A; those that terminate are left out. ALL: every namespace there is, by name (struct
 * entry), looked at when SEL is asked for the first time. */
size_t selections_ask(struct selections *s, const struct selector *sel, const struct map *all, struct arena *a,
    const char ***out);

#endif
