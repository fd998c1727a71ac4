/* Objects as people read them: as YAML, and as they would stand after our write. */
#ifndef RBAC_SYNC_OBJECT_TEXT_H
#define RBAC_SYNC_OBJECT_TEXT_H

#include <jansson.h>

#include "common/str.h"

/* A scalar: plain where no reader takes it for anything but text, else as JSON, which YAML reads too. */
void yaml_word(struct buf *b, struct slice s);

/* A sentence or a name for people: as it stands if every character can be shown, else as JSON. NULL: nothing. */
void plain_text(struct buf *b, const char *s);

/* A name among words: as it stands if it cannot be taken for more than one, else as JSON. */
void plain_name(struct buf *b, struct slice s);

/* Block style, two spaces a level, lists as deep as their key; apiVersion, kind and metadata first, name before all
 * else, the rest sorted: equal values, equal text. Ends with a newline. */
void object_yaml(const json_t *value, struct buf *out);

/* OBJECT without what the apiserver keeps for itself (uid, versions, times, managedFields, status). The caller owns
 * it. */
json_t *object_shown(const json_t *object);

/* What a server-side apply of BODY by us makes of LIVE (NULL: there is none), shown: maps are merged, lists and scalars
 * replaced, owners added, and what our manager wrote before and no longer writes goes. Lists that the API merges by key
 * are replaced as well; our kinds have none that is ours. The caller owns it. */
json_t *object_after(const json_t *live, const json_t *body);

#endif
