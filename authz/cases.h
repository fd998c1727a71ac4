/* Case files (*.eval): a question and the answer expected a line, beside a policy. The language is
 * told in docs/policy-tools.md. */
#ifndef AUTHZ_CASES_H
#define AUTHZ_CASES_H

#include "authz/authz.h"
#include "common/map.h"

/* A file is read by people: so many lines, and so many bytes of one, are more than they read. */
#define CASES_MAX 1000000
#define CASE_LINE_MAX 65536

struct access_case {
	const char *file;
	uint32_t line, col; /* where the question begins */
	struct access_request request; /* its NOW is AUTHZ_TIMELESS when the file gives no time */
	enum verdict expect;
	const char *by; /* id of the rule that must decide; "-": none may; NULL: whichever */
};

/* Parses TEXT (named FILE in findings) into ARENA; slices borrow from ARENA alone. Errors go to D
 * with their place, all of them; the cases that are good are given all the same. */
enum err_code cases_parse(struct arena *a, const char *file, struct slice text,
    struct access_case **out, size_t *n, struct diags *d) MUST_CHECK;

/* RESOURCE[.GROUP][/SUBRESOURCE], as the tools write it, into R; slices of TEXT. */
void access_resource(struct slice text, struct access_request *r);

/* Asks P, and tells in D what is answered otherwise than expected, as authz_run_tests does. True
 * when it is as expected. */
bool cases_run(const struct policy *p, const struct access_case *c, struct diags *d);

/* Which rules tests decide and which match in one, by the number of the rule. */
struct coverage {
	uint8_t *decided, *matched; /* MATCHED may be NULL: not counted */
	struct map ids; /* rule id -> its number, uint32_t * */
};

/* What R, a question of a test, does to the coverage of P. */
void coverage_add(struct coverage *c, const struct policy *p, const struct access_request *r);

/* The arrays live in ARENA, the map until coverage_done. */
void coverage_init(struct coverage *c, struct arena *a, const struct policy *p, bool matched);
void coverage_done(struct coverage *c);

#endif
