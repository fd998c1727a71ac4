/* Compiles policies from text for tests. */
#ifndef TESTS_SUPPORT_POLICY_TEXT_H
#define TESTS_SUPPORT_POLICY_TEXT_H

#include <stdio.h>
#include <stdlib.h>

#include "authz/authz.h"

#define POLICY_HEAD "apiVersion: portcullis.dev/v1alpha1\nkind: AccessPolicy\n"

/* NULL after a finding. The findings go to OUT ("" when there are none); free it. */
static inline struct policy *policy_try_files(
    const struct policy_file *files, size_t n, policy_test_fn *tests, char **out)
{
	struct policy *p = NULL;
	struct diags d = {0};
	struct buf b;
	enum err_code rc = policy_compile(files, n, tests, &p, &d);
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

static inline struct policy *policy_try(const char *text, policy_test_fn *tests, char **out)
{
	struct policy_file file = {.name = "p.yaml", .text = slice_of(text)};
	return policy_try_files(&file, 1, tests, out);
}

/* Die with the findings when it is no good policy. */
static inline struct policy *policy_must_files(const struct policy_file *files, size_t n)
{
	char *found = NULL;
	struct policy *p = policy_try_files(files, n, authz_run_tests, &found);
	if (!p) {
		fprintf(stderr, "%s\n", found);
		for (size_t i = 0; i < n; i++)
			fprintf(stderr, "--- %s\n" SLICE_FMT "\n", files[i].name,
			    SLICE_ARG(files[i].text));
		abort();
	}
	free(found);
	return p;
}

static inline struct policy *policy_must(const char *text)
{
	struct policy_file file = {.name = "p.yaml", .text = slice_of(text)};
	return policy_must_files(&file, 1);
}

#endif
