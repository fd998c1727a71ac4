/* Which resources of Kubernetes have no namespace. Internal to policy/. */
#ifndef POLICY_SCOPE_H
#define POLICY_SCOPE_H

#include <string.h>

#include "common/str.h"

struct scope_entry {
	const char *group, *resource;
};

extern const struct scope_entry scope_builtin[];
extern const size_t scope_builtin_len;

/* Is RESOURCE of GROUP (NULL: of any group) in the table? */
bool scope_known(const char *group, const char *resource);

#endif
