/* Prints what the worker's code makes of roles of a running cluster:
 *
 *	role_probe KUBECONFIG NAME…	for each ClusterRole NAME or Role NAMESPACE/NAME a line of JSON: name, verdict in a
 *					RoleBinding ("namespace") and in a ClusterRoleBinding ("cluster"), why */
#include <stdio.h>

#include "common/httpc.h"
#include "common/jsonx.h"
#include "rbac-sync/roles.h"
#include "tests/support/must.h"

#define TIMEOUT_MS 10000
#define AGE INT64_C(3600000000000)

static const char *const words[] = {
    [ROLE_UNKNOWN] = "unknown", [ROLE_DANGEROUS] = "dangerous", [ROLE_ABSENT] = "absent", [ROLE_FINE] = "fine"};

static enum role_verdict look(struct roles *r, const char *arg, bool wide, struct arena *a, const char **why)
{
	const char *slash = strchr(arg, '/');
	if (!slash)
		return roles_look(r, NULL, "ClusterRole", arg, wide, a, why);
	return roles_look(r, arena_strndup(a, arg, (size_t)(slash - arg)), "Role", slash + 1, wide, a, why);
}

static void print(struct roles *r, const char *arg, struct arena *a)
{
	struct buf b;
	const char *why_narrow, *why_wide;
	enum role_verdict narrow = look(r, arg, false, a, &why_narrow), wide = look(r, arg, true, a, &why_wide);
	const char *why = why_narrow ? why_narrow : why_wide;
	buf_init(&b, 65536);
	buf_adds(&b, "{\"name\":");
	buf_json(&b, slice_of(arg));
	buf_json_member(&b, "namespace", slice_of(words[narrow]));
	buf_json_member(&b, "cluster", slice_of(words[wide]));
	buf_json_member(&b, "why", slice_of(why ? why : ""));
	printf("%s}\n", buf_cstr(&b));
	buf_done(&b);
}

int main(int argc, char **argv)
{
	struct kube *k;
	struct arena a;
	struct err e;
	const char *why;
	MUST(argc >= 3);
	jsonx_init();
	httpc_init();
	arena_init(&a, 0);
	struct roles *r = roles_new(AGE);
	MUST(kube_new(argv[1], NULL, TIMEOUT_MS, &k, &e) == ERR_OK);
	for (int i = 2; i < argc; i++)
		MUST(look(r, argv[i], false, &a, &why) == ROLE_UNKNOWN);
	roles_catch_up(r, k);
	for (int i = 2; i < argc; i++)
		print(r, argv[i], &a);
	kube_free(&k);
	roles_free(&r);
	arena_done(&a);
	return 0;
}
