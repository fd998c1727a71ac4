/* Tables of policies with what the loader says about each. */
#ifndef TESTS_SUPPORT_POLICY_ROWS_H
#define TESTS_SUPPORT_POLICY_ROWS_H

#include "tests/support/policy_text.h"

/* One rule, with what varies: lines after `rules:`. Line 1 of TEXT is line 3 of the file. */
#define RULE "rules:\n- id: r1\n  effect: allow\n  subjects: {users: [u]}\n  verbs: [get]\n"
#define DENY "rules:\n- id: r1\n  effect: deny\n  subjects: {users: [u]}\n  verbs: [get]\n"
#define PODS "  apiGroups: [\"\"]\n  resources: [pods]\n"
#define EXEMPT "defaults: {exempt: {groups: [\"system:nodes\"]}}\n"

struct row {
	const char *text;  /* after the head */
	const char *found; /* must stand in the findings; NULL: there must be none at all */
};

static inline void check_row(const struct row *row)
{
	char *found, *text;
	size_t n = strlen(row->text) + sizeof(POLICY_HEAD);
	text = malloc(n);
	snprintf(text, n, "%s%s", POLICY_HEAD, row->text);
	struct policy *p = policy_try(text, NULL, &found);
	bool error = row->found && strstr(row->found, "error");
	if (!p != error)
		fail_msg("%s:\n%s\n%s", p ? "accepted" : "refused", text, found);
	if (row->found ? !strstr(found, row->found) : found[0] != '\0')
		fail_msg("expected `%s`, found:\n%s\n%s", row->found ? row->found : "", found, text);
	policy_free(&p);
	free(text);
	free(found);
}

#define CHECK_ROWS(rows)                                                                           \
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)                                               \
	check_row(&rows[i])

#endif
