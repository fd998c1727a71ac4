/* Imported RBAC and ABAC for the second evaluator: objects as they stand in files, and upstream's semantics
 * over them, object by object. */
#ifndef TESTS_SUPPORT_NAIVE_IMPORT_H
#define TESTS_SUPPORT_NAIVE_IMPORT_H

#include "tests/support/naive_authz.h"

#define NAIVE_ROLES 8
#define NAIVE_BINDINGS 6
#define NAIVE_LINES 5
#define NAIVE_PARTS 2 /* rules of a role, subjects of a binding */

/* Upstream's PolicyRule: an empty list of names is all names. */
struct naive_grant_rbac {
	struct naive_list verbs, groups, resources, names, urls;
};

struct naive_role {
	const char *ns; /* NULL: a ClusterRole */
	const char *name;
	const char *label; /* value of its label `part`, or NULL */
	const char *selects; /* an aggregated ClusterRole: gathers those whose `part` this is */
	struct naive_grant_rbac rules[NAIVE_PARTS];
	int n;
};

struct naive_subject {
	const char *kind, *name, *ns; /* ns: of a ServiceAccount, may be NULL */
};

struct naive_binding {
	char id[64]; /* of the rule that it becomes */
	const char *ns; /* NULL: a ClusterRoleBinding */
	int number; /* its name is b and this */
	bool cluster_role;
	const char *role;
	struct naive_subject subjects[NAIVE_PARTS];
	int n;
};

/* Absent fields are NULL. */
struct naive_line {
	char id[64];
	bool v0, readonly;
	const char *user, *group, *api_group, *resource, *ns, *path;
};

struct naive_imports {
	struct naive_role roles[NAIVE_ROLES];
	struct naive_binding bindings[NAIVE_BINDINGS];
	struct naive_line lines[NAIVE_LINES];
	int nroles, nbindings, nlines;
};

/* Does upstream's RBAC, or its ABAC, allow R? Then *ID is the rule that this binding or line became. */
bool naive_rbac(const struct naive_imports *im, const struct access_request *r, const char **id);
bool naive_abac(const struct naive_imports *im, const struct access_request *r, const char **id);

/* What RBAC says when it allows nothing because a binding that concerns R leads nowhere, or "". */
void naive_note(const struct naive_imports *im, const struct access_request *r, char out[128]);

void naive_generate_imports(struct naive_imports *im, uint64_t *seed);
void naive_print_rbac(struct buf *b, const struct naive_imports *im);
void naive_print_abac(struct buf *b, const struct naive_imports *im);

#endif
