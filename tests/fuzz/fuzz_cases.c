/* Fuzzes case files: findings have places, what parses can be asked, and parses the same again. */
#include "authz/cases.h"
#include "tests/fuzz/fuzz.h"

static const char policy_text[] =
    "apiVersion: portcullis.dev/v1alpha1\nkind: AccessPolicy\nrules:\n"
    "- {id: a, effect: allow, subjects: {groups: [dev, 'system:authenticated']}, apiGroups: ['', apps], "
    "resources: [pods, pods/log], verbs: [get, list]}\n"
    "- {id: d, effect: deny, subjects: {users: ['b*']}, namespaces: [prod], resources: ['*'], verbs: ['*']}\n";

static struct policy *some_policy(void)
{
	struct policy_file file = {.name = "p.yaml", .text = slice_of(policy_text)};
	struct policy *p = NULL;
	struct diags d = {0};
	FUZZ_CHECK(policy_compile(&file, 1, NULL, &p, &d) == ERR_OK);
	diags_done(&d);
	return p;
}

static void check_case(const struct policy *p, const struct access_case *c)
{
	struct diags d = {0};
	const struct access_request *r = &c->request;
	FUZZ_CHECK(c->line > 0 && c->col > 0 && r->verb.p);
	FUZZ_CHECK(slice_printable(r->user) && slice_printable(r->verb) && slice_printable(r->namespace_));
	FUZZ_CHECK(r->resource_request || (r->resource.len == 0 && r->nlabel == 0 && r->nfield == 0));
	FUZZ_CHECK(cases_run(p, c, &d) == (d.errors == 0));
	diags_done(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct policy *p; /* the same for all inputs */
	struct arena arena = {0};
	struct access_case *cases, *again;
	struct diags d = {0}, e = {0};
	size_t n, m;
	if (!p)
		p = some_policy();
	enum err_code rc = cases_parse(&arena, "f.eval", fuzz_slice(data, size), &cases, &n, &d);
	FUZZ_CHECK((rc == ERR_OK) == (d.errors == 0));
	for (size_t i = 0; i < d.len; i++)
		FUZZ_CHECK(d.items[i].line > 0 && d.items[i].col > 0 && d.items[i].col <= size + 1);
	for (size_t i = 0; i < n; i++)
		check_case(p, &cases[i]);
	FUZZ_CHECK(cases_parse(&arena, "f.eval", fuzz_slice(data, size), &again, &m, &e) == rc && m == n);
	diags_done(&d);
	diags_done(&e);
	arena_done(&arena);
	return 0;
}
