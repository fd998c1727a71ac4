/* A denylist as it stands in its file: parsed once, immutable. */
#ifndef AUTHN_DENYLIST_FILE_H
#define AUTHN_DENYLIST_FILE_H

#include "authn/authn.h"

struct denylist_file;

/* Parses TEXT, called NAME in findings: `kind: Denylist` of portcullis.dev/v1alpha1. At most
 * DENYLIST_ENTRIES_MAX entries. */
enum err_code denylist_parse(
    const char *name, struct slice text, struct denylist_file **out, struct diags *d) MUST_CHECK;
void denylist_file_free(struct denylist_file **f);

size_t denylist_file_len(const struct denylist_file *f);

/* True when an entry names the identity or its credential: all that the entry tells fits. An entry
 * with issuedBefore fits a credential without a time of issue. NOW: wall clock, ns. E says which
 * entry. */
bool denylist_file_has(const struct denylist_file *f, const struct identity *id,
    const struct credential *cred, int64_t now, struct err *e);

#endif
