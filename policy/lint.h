/* Finds what a policy allows by mistake, does not do although it says so, or should not do at all.
 * For `portcullis policy lint`; the daemon does not call it. */
#ifndef POLICY_LINT_H
#define POLICY_LINT_H

#include "policy/policy.h"

enum lint_severity { LINT_NOTE = 0, LINT_WARNING, LINT_ERROR };

struct lint_finding {
	const char *code; /* stable: docs/policy-tools.md lists them all */
	enum lint_severity severity;
	const char *file; /* as policy_read named it, or what the rule calls its source */
	uint32_t line, col; /* 0: no place */
	const char *rule; /* its id, or NULL */
	const char *text, *advice;
};

/* Of one code so many findings are kept; the rest is counted. */
#define LINT_PER_CODE 200

/* How many findings of one code there were, and how many of them were accepted. */
struct lint_count {
	const char *code;
	size_t found, accepted;
};

/* What one subject, as written, may cost: the rules that have to be looked at for it. */
struct lint_load {
	const char *subject; /* "group dev", "group pattern oidc:*", "everyone" */
	uint32_t rules;
};
#define LINT_LOADS 5

/* Owns its texts. Zeroed is empty. */
struct lint {
	struct arena arena;
	struct lint_finding *v; /* in the order of files, lines and codes */
	size_t n, cap;
	struct lint_count *codes;
	size_t ncodes, codes_cap;
	size_t count[LINT_ERROR + 1]; /* by severity, without those that are accepted */
	size_t accepted;
	struct lint_load loads[LINT_LOADS]; /* heaviest first */
	uint32_t uncompared; /* rules that the comparison of pairs was cut short for */
};

struct lint_options {
	int64_t now; /* nanoseconds since the epoch */
	/* Codes that are fine, "CODE" or "CODE=RULE". */
	const struct slice *allow;
	size_t nallow;
	/* What policy_compile told: its warnings are among the findings. NULL: none. */
	const struct diags *loading;
	/* TESTED[i]: a test of the policy is decided by rule i. NULL: not known. */
	const uint8_t *tested;
};

/* Looks at P, which policy_compile made of FILES. */
void policy_lint(const struct policy_file *files, size_t n, const struct policy *p,
    const struct lint_options *options, struct lint *out);
void lint_done(struct lint *l);

/* Is CODE one that policy_lint may give? For the option that accepts it. */
bool lint_code_known(struct slice code);

const char *lint_severity_name(enum lint_severity s); /* "note", "warning", "error" */

#endif
