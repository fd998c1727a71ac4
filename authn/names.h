/* Which user names each authenticator may give out: no two may give the same to two people. */
#ifndef AUTHN_NAMES_H
#define AUTHN_NAMES_H

#include "authn/config.h"

/* Names that begin with PREFIX may come from WHO. */
struct namer {
	const char *kind, *who; /* "issuer", "https://…" */
	const char *prefix;
	const char *groups_prefix; /* NULL: gives no groups */
	const struct place *place;
};

/* Adds an error for each two authenticators of CFG of which one's prefix begins the other's: one
 * could give a name that the other gives. The same for groups is a warning: groups are often meant
 * to be one. */
void names_check(const struct authn_config *cfg, struct diags *d);

/* True when NAME could also come from one of CFG's prefixes; *OUT then says whose. Borrowed from
 * CFG. */
bool names_taken(const struct authn_config *cfg, struct slice name, struct namer *out);

#endif
