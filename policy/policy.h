/* The policy: loading and the immutable compiled form. Knows no HTTP, no review documents, no
 * clock.
 *
 * A policy is built by policy_load from a file or a directory of *.yaml, all or nothing, and never
 * changes afterwards: any number of threads may evaluate it (authz/engine.h). */
#ifndef POLICY_POLICY_H
#define POLICY_POLICY_H

#include "common/diag.h"
#include "common/secret.h"
#include "common/str.h"

#define POLICY_RULES_MAX 1000000
#define POLICY_FILES_MAX 1000

enum policy_effect { POLICY_NO_EFFECT = 0, POLICY_ALLOW, POLICY_DENY, POLICY_ABSTAIN };
const char *policy_effect_name(enum policy_effect e); /* "allow", "deny", "abstain"; "note" of none */

struct policy;

enum policy_file_kind { POLICY_FILE_NATIVE = 0, POLICY_FILE_RBAC, POLICY_FILE_ABAC };
const char *policy_file_kind_name(enum policy_file_kind k); /* "native", "rbac", "abac" */

/* One source file, as bytes: what was read, what is kept as last good, what fuzzers feed. */
struct policy_file {
	const char *name; /* shown in findings */
	struct slice text;
	enum policy_file_kind kind; /* imported files follow the native ones */
};

/* Reads PATH stably (common/file.h) into ARENA: one file, or every *.yaml and *.yml of a directory
 * in byte order, then what these name in `imports:`, in the order of the entries. An empty directory or
 * an empty file is an error; an import that matches nothing is found by policy_compile, which has the
 * place. Imports stand beneath the directory of the file that names them: no absolute path, no `..`.
 *
 * Who follows changes watches the directory of each file's name (they are several where there are
 * imports), and reads again from time to time: a new directory may come to match. */
enum err_code policy_read(struct arena *a, const char *path, struct policy_file **files, size_t *n,
    struct diags *d) MUST_CHECK;

/* Parses, checks, compiles and runs the embedded tests. Needs FILES alone, imports among them: nothing is
 * read here. All findings go to D (warnings too); *OUT
 * is set only when there is no error. RUN_TESTS is the evaluator's entry (authz_run_tests): policy/
 * cannot call authz/; NULL skips the tests. */
typedef void policy_test_fn(const struct policy *p, struct diags *d);
enum err_code policy_compile(const struct policy_file *files, size_t n, policy_test_fn *run_tests,
    struct policy **out, struct diags *d) MUST_CHECK;

/* The same; *STAGE tells how far it came: "parse" (YAML), "schema" (the language), "test". */
enum err_code policy_compile_staged(const struct policy_file *files, size_t n,
    policy_test_fn *run_tests, struct policy **out, const char **stage, struct diags *d) MUST_CHECK;

/* Guards (kind AccessGuards): tests that stand outside every policy, as a policy of tests alone whose
 * tests are asked of another (authz_run_guards). */
enum err_code policy_compile_guards(const struct policy_file *files, size_t n, struct policy **out,
    struct diags *d) MUST_CHECK;

void policy_free(struct policy **p);

/* What is told about a policy in reasons, metrics, audit. */
struct policy_info {
	const char *name; /* metadata.name of the first file that has one, or "" */
	int64_t generation; /* metadata.generation, the highest of all files; 0 when none has one */
	char sha256[2 * SHA256_LEN + 1]; /* over names and contents of all files */
	size_t rules, deny_rules, abstain_rules, tests, files;
	size_t shadow_rules; /* of RULES; the denies and abstentions among them are not counted above */
	bool allow_shrink; /* metadata.allowShrink of a file of this generation */
};
const struct policy_info *policy_info(const struct policy *p);

/* The first moment after T (nanoseconds) at which the `valid` of a rule begins or ceases to hold;
 * INT64_MAX: none does. Pure; linear in the number of different windows. */
int64_t policy_next_change(const struct policy *p, int64_t t);

/* Rules that hold at one moment and not at the other, by one window. The pointers live as long as the
 * policy, the list as long as the call. */
struct policy_change {
	bool begins; /* holds at NOW, not THEN */
	bool final; /* ends, and never begins again */
	const char *const *rules; /* ids, in file order */
	size_t n;
};

/* Calls FN for each window that holds at exactly one of THEN and NOW. */
typedef void policy_change_fn(void *ctx, const struct policy_change *c);
void policy_changes(
    const struct policy *p, int64_t then, int64_t now, policy_change_fn *fn, void *ctx);

/* Access in an emergency: told with each use (audit type breakglass.used). */
struct break_glass {
	const char *ticket;
	const char *const *approved_by;
	uint32_t napproved;
	int64_t until; /* of the rule's window, nanoseconds */
};

/* Calls FN with the id of each break-glass rule. */
void policy_break_glass(
    const struct policy *p, void (*fn)(void *ctx, const char *rule), void *ctx);
/* The language as a table: what a native policy file is bound by. For its JSON Schema
 * (schema_print_json). */
struct schema;
const struct schema *policy_schema(void);

/* The canonical dump for golden tests and reviews: one line a rule, in evaluation order. */
void policy_dump(const struct policy *p, struct buf *out);

#endif
