/* Label selectors in Kubernetes' words: "team=eng,env!=prod,tier in (a,b),!x". */
#ifndef RBAC_SYNC_SELECTOR_H
#define RBAC_SYNC_SELECTOR_H

#include <jansson.h>

#include "common/arena.h"
#include "common/err.h"
#include "common/str.h"

#define SELECTOR_TERMS_MAX 16
#define SELECTOR_VALUES_MAX 32 /* of one term */
#define SELECTOR_BYTES_MAX 4096

struct selector; /* immutable; lives in the arena it was parsed into */

/* The grammar of k8s.io/apimachinery/pkg/labels: =, ==, !=, in, notin, <, >, exists, !exists. An empty selector is
 * refused: it would fit everything. Keys and values are checked as labels. ERR_INVALID with a sentence. */
enum err_code selector_parse(struct slice text, struct arena *a, struct selector **out, struct err *e) MUST_CHECK;

/* As it was parsed: equal texts select alike. */
struct slice selector_text(const struct selector *s);

/* LABELS: metadata.labels, or NULL for none. A key that is absent fits != and notin, as upstream has it. */
bool selector_matches(const struct selector *s, const json_t *labels);

/* What validation.IsQualifiedName, IsValidLabelValue and IsDNS1123Subdomain of apimachinery accept. */
bool label_key_ok(struct slice s);
bool label_value_ok(struct slice s);
bool dns_subdomain_ok(struct slice s);

#endif
