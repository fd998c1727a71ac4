/* Objects that carry our label and stand in no record's inventory: told by `sync gc`, removed by an admin's word alone. */
#ifndef CLI_SYNC_ORPHAN_H
#define CLI_SYNC_ORPHAN_H

#include "cli/sync.h"
#include "common/map.h"
#include "rbac-sync/object.h"

struct orphan {
	struct object_id id;
	const char *uid, *version;
	const char *gives; /* "ClusterRole edit to Group corp:dev-a", fit for a terminal; NULL: it is no binding */
	bool marked;	   /* carries all that our objects carry, and not the label alone */
	bool kept;	   /* by an admin's label */
};

/* Zeroed but for the arena is empty. */
struct orphans {
	struct arena *a;
	struct orphan *v;
	size_t n, cap;
};

/* Lists all objects with our label. Kinds that may not be listed are told on stderr and left out. To be called before the
 * records are listed: what is made later has its entry in an inventory already. False after telling what is wrong. */
bool orphans_list(const struct command *self, struct cli_sync *s, struct orphans *out);

/* Takes out what stands in INVENTORY: texts of object ids. */
void orphans_drop_known(struct orphans *o, const struct map *inventory);

void orphans_print(const struct orphans *o);
void orphans_json(const struct orphans *o, struct buf *b);

/* Deletes those that NAMES name, as orphans_print prints them, each in just the state that was listed. None is deleted when
 * one of NAMES is no orphan, or not to be removed so. Gives an exit code. */
int orphans_remove(const struct command *self, struct cli_sync *s, const struct orphans *o, const struct cli_values *names);

#endif
