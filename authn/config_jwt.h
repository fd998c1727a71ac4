/* Shared by the files that check `authentication.jwt`. Everyone else: authn/config.h. */
#ifndef AUTHN_CONFIG_JWT_H
#define AUTHN_CONFIG_JWT_H

#include "authn/config.h"

/* Where NODE's member KEY stands, or NODE when it has none: the arguments of diags_error and diags_warn. */
#define AT(node, key, file, d) (d), (file), jwt_at((node), (key))->line, jwt_at((node), (key))->col

static inline const struct yaml_node *jwt_at(const struct yaml_node *node, const char *key)
{
	const struct yaml_node *at = yamlx_get(node, key);
	return at ? at : node;
}

/* Empty segments in the path at NODE's KEY. */
void jwt_check_path(const struct string_list *path, const struct yaml_node *node, const char *key,
    const char *file, struct diags *d);

#endif
