/* Text with placeholders (${user.slug|trunc:20}) as templates hold it: parsed once, rendered often. */
#ifndef RBAC_SYNC_PATTERN_H
#define RBAC_SYNC_PATTERN_H

#include "common/diag.h"
#include "common/spool.h"
#include "common/str.h"
#include "common/yamlx.h"

#define PATTERN_TEXT_MAX 1024	/* of the template's text and of what it renders to */
#define PATTERN_PARTS_MAX 16
#define PATTERN_FILTERS_MAX 8
#define PATTERN_SLUG_MAX 40	/* leaves room for a prefix and a hash in a DNS label */

/* Whom a template is rendered for. GROUP is empty when the grant names no group; DATE is YYYY-MM-DD. */
struct pattern_values {
	struct slice provider, user, uid, group;
	struct slice date;
	const struct spool_extra *extra;
	size_t nextra;
};

struct pattern_part;

/* Immutable; lives in the arena it was parsed into. */
struct pattern {
	const struct pattern_part *parts;
	size_t len;
	bool uses_user;		    /* user, uid, extra or date: other users, other texts */
	bool uses_group;
	bool user_hash, group_hash; /* a hash of the whole name makes the text unique to it */
	bool user_name, group_name; /* holds the whole name: unique in one provider where not AMBIGUOUS */
	unsigned names;		    /* placeholders of user, uid, group or extra that are no hash */
	unsigned user_names;	    /* of them those that are the user's */
	struct slice text;	    /* as written */
};

/* Reads the string at NODE. Unknown placeholders and filters, bad arguments and unclosed braces are
 * findings with their own column. `$${` writes `${`; in arguments a backslash takes the next character
 * as it is. */
enum err_code pattern_parse(struct arena *a, const char *file, const struct yaml_node *node,
    struct pattern *out, struct diags *d) MUST_CHECK;

/* The text for V into ARENA. ERR_REFUSED when a placeholder without default renders empty or the text
 * grows past PATTERN_TEXT_MAX. *AMBIGUOUS: a name lost something (slug, local, lower, trunc; replace counts as meant)
 * and the pattern holds no hash of it, so that two users or groups may share the text. */
enum err_code pattern_render(const struct pattern *p, const struct pattern_values *v,
    struct arena *a, struct slice *out, bool *ambiguous, struct err *e) MUST_CHECK;

/* TEXT is GLOB, where * stands for any run of characters and ? for one, of however many bytes; linear in practice, never
 * exponential. */
bool pattern_glob(const char *glob, struct slice text);

/* Key of a group's record: as spool_key for a user, and never equal to one. */
void pattern_group_key(struct slice provider, struct slice group, char out[27]);

#endif
