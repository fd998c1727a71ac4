/* What is never granted, whatever a template or a directory says. Pure; cannot be switched off. */
#ifndef RBAC_SYNC_RAILS_H
#define RBAC_SYNC_RAILS_H

#include "common/str.h"

#define RAILS_NAME_MAX 1024 /* of a subject; longer is nobody's name */

/* A stable short word, for metrics and logs; NULL from the functions below means "passes". */
#define RAIL_RESERVED_ROLE "reservedRole"
#define RAIL_RESERVED_SUBJECT "reservedSubject"
#define RAIL_FOREIGN_SUBJECT "foreignSubject"
#define RAIL_RESERVED_NAMESPACE "reservedNamespace"
#define RAIL_INVALID_NAME "invalidName"
#define RAIL_AMBIGUOUS_NAME "ambiguousName"
#define RAIL_EMPTY_NAME "emptyName"
#define RAIL_TOO_MANY "tooMany"
#define RAIL_FOREIGN_OBJECT "foreignObject"
#define RAIL_DUPLICATE_OBJECT "duplicateObject"	/* two templates ask for one object */
#define RAIL_DANGEROUS_ROLE "dangerousRole"
#define RAIL_ABSENT_ROLE "absentRole"
#define RAIL_UNKNOWN_ROLE "unknownRole"
#define RAIL_UNKNOWN_NAMESPACES "unknownNamespaces" /* a selector, and no view of the cluster's namespaces */
#define RAIL_TOO_MANY_NAMESPACES "tooManyNamespaces"
#define RAIL_TOO_MANY_USERS "tooManyUsers"

/* Namespaces of the site's own beyond the built-in ones. */
struct rails {
	const char *own_namespace; /* the worker's; or NULL */
	const char *const *protected_namespaces; /* globs */
	size_t nprotected;
};

/* A roleRef: never cluster-admin, system:*, kubeadm:*, in any case of letters; a path segment name. */
const char *rails_role(struct slice name);

/* A User or Group: never system:*, kubeadm:*, kubernetes-admin, portcullis-rbac-sync, portcullis-intake(:*), empty, with
 * controls or bidirectional characters, with white space at an end, or over RAILS_NAME_MAX bytes. */
const char *rails_subject(struct slice name);

/* A namespace: a DNS label; never kube-*, openshift*, default, portcullis-system, the worker's own or a
 * protected one. R may be NULL (for checks at load). */
const char *rails_namespace(const struct rails *r, struct slice name);

/* Letters, digits and dashes as RFC 1123 has it, 1 to MAX bytes, lower case. */
bool rails_dns_label(struct slice s, size_t max);

#endif
