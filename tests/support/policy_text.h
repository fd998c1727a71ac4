/* Compiles policies from text for tests. */
#ifndef TESTS_SUPPORT_POLICY_TEXT_H
#define TESTS_SUPPORT_POLICY_TEXT_H

#include <stdio.h>
#include <stdlib.h>

#include "authz/authz.h"

#define POLICY_HEAD "apiVersion: portcullis.dev/v1alpha1\nkind: AccessPolicy\n"

/* NULL after a finding. The findings go to OUT ("" when there are none); free it. */
static inline struct policy *policy_try(const char *text, policy_test_fn *tests, char **out)
{
	struct policy_file file = {.name = "p.yaml", .text = slice_of(text)};
	struct policy *p = NULL;
	struct diags d = {0};
	struct buf b;
	enum err_code rc = policy_compile(&file, 1, tests, &p, &d);
	buf_init(&b, 1 << 20);
	diags_print(&d, &b);
	if (out)
		*out = strdup(buf_cstr(&b));
	if ((rc == ERR_OK) != (p != NULL) || (rc == ERR_OK) != (d.errors == 0)) {
		fprintf(stderr, "code, findings and result disagree:\n%s", buf_cstr(&b));
		abort();
	}
	buf_done(&b);
	diags_done(&d);
	return p;
}

/* Dies with the findings when TEXT is no good policy. */
static inline struct policy *policy_must(const char *text)
{
	char *found = NULL;
	struct policy *p = policy_try(text, authz_run_tests, &found);
	if (!p) {
		fprintf(stderr, "%s\n%s\n", found, text);
		abort();
	}
	free(found);
	return p;
}

#endif
