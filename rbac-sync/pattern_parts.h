/* What parsing and rendering of placeholders share. */
#ifndef RBAC_SYNC_PATTERN_PARTS_H
#define RBAC_SYNC_PATTERN_PARTS_H

#include "rbac-sync/pattern.h"

enum value {
	VALUE_LITERAL,
	VALUE_USER,
	VALUE_USER_SLUG,
	VALUE_USER_LOCAL,
	VALUE_USER_HASH6,
	VALUE_USER_HASH10,
	VALUE_UID,
	VALUE_EXTRA, /* the last that is the user's own */
	VALUE_DATE,
	VALUE_PROVIDER,
	VALUE_GROUP, /* the first of the group's */
	VALUE_GROUP_SLUG,
	VALUE_GROUP_HASH6,
	VALUE_GROUP_HASH10
};
#define VALUE_COUNT (VALUE_GROUP_HASH10 + 1)

enum filter_kind { FILTER_LOWER, FILTER_SLUG, FILTER_TRUNC, FILTER_REPLACE, FILTER_DEFAULT };

struct filter {
	enum filter_kind kind;
	struct slice a, b;
	size_t n;
};

struct pattern_part {
	enum value value;
	struct slice literal; /* of VALUE_EXTRA: its key */
	struct filter filters[PATTERN_FILTERS_MAX];
	size_t nfilters;
};

/* As they stand between ${ and }. */
extern const char *const pattern_value_names[VALUE_COUNT];

static inline bool pattern_of_group(enum value v)
{
	return v >= VALUE_GROUP;
}

/* Of many users alike: no name, and no loss when it is shortened. */
static inline bool pattern_of_many(enum value v)
{
	return v == VALUE_PROVIDER || v == VALUE_DATE;
}

#endif
