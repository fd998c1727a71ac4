/* Proves the reading of kubeconfigs, the in-cluster environment, paths and the meaning of answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "rbac-sync/kube.h"
#include "tests/support/tree.h"

#define CLUSTER "clusters: [{name: c, cluster: {server: \"https://h:6443/\", certificate-authority: ca.crt}}]\n"
#define CONTEXT "contexts: [{name: x, context: {cluster: c, user: u, namespace: n}}]\n"
#define CURRENT "current-context: x\n"
#define TOKEN_USER "users: [{name: u, user: {token: abc}}]\n"

#define V1 "apiVersion: client.authentication.k8s.io/v1, "
#define NEVER "interactiveMode: Never"
#define EXEC(members) CLUSTER CONTEXT CURRENT "users: [{name: u, user: {exec: {" members "}}}]\n"

static char dir[64], file[96];

static void put(const char *path, const char *text)
{
	FILE *out = fopen(path, "w");
	assert_non_null(out);
	assert_true(fputs(text, out) >= 0);
	fclose(out);
}

static struct kubeconfig *load(const char *text, const char *context)
{
	struct kubeconfig *c = NULL;
	struct err e;
	put(file, text);
	if (kubeconfig_load(file, context, &c, &e) != ERR_OK)
		fail_msg("%s", e.msg);
	return c;
}

static const char *in_dir(struct kubeconfig *c, const char *name)
{
	return arena_printf(&c->arena, "%s/%s", dir, name);
}

static void test_files_are_relative_to_the_kubeconfig(void **state)
{
	(void)state;
	struct kubeconfig *c = load("apiVersion: v1\nkind: Config\npreferences: {}\n" CLUSTER CONTEXT CURRENT
	    "users: [{name: u, user: {client-certificate: a/c.crt, client-key: /k, tokenFile: t}}]\n", NULL);
	assert_string_equal(c->server, "https://h:6443");
	assert_string_equal(c->ca_file, in_dir(c, "ca.crt"));
	assert_string_equal(c->cert_file, in_dir(c, "a/c.crt"));
	assert_string_equal(c->key_file, "/k");
	assert_string_equal(c->token_file, in_dir(c, "t"));
	assert_string_equal(c->namespace_, "n");
	kubeconfig_free(&c);
	assert_null(c);
}

static void test_data_beats_files(void **state)
{
	(void)state;
	struct kubeconfig *c = load(
	    "clusters: [{name: c, cluster: {server: \"https://h\", certificate-authority: x,\n"
	    "  certificate-authority-data: Y2E=, tls-server-name: api}}]\n" CONTEXT CURRENT
	    "users: [{name: u, user: {client-certificate: x, client-certificate-data: Y2VydA==,\n"
	    "  client-key: y, client-key-data: a2V5}}]\n", NULL);
	assert_null(c->ca_file);
	assert_true(slice_is(c->ca_pem, "ca"));
	assert_true(slice_is(c->cert_pem, "cert"));
	assert_true(slice_is(c->key_pem, "key"));
	assert_null(c->cert_file);
	assert_string_equal(c->tls_server_name, "api");
	kubeconfig_free(&c);
}

static void test_context_by_name_and_json(void **state)
{
	(void)state;
	struct kubeconfig *c = load("{\"current-context\":\"x\",\"clusters\":["
	    "{\"name\":\"c\",\"cluster\":{\"server\":\"https://one\"}},"
	    "{\"name\":\"d\",\"cluster\":{\"server\":\"https://two/k8s/c-1\"}}],"
	    "\"users\":[{\"name\":\"u\",\"user\":{\"token\":\"t\"}}],\"contexts\":["
	    "{\"name\":\"x\",\"context\":{\"cluster\":\"c\",\"user\":\"u\"}},"
	    "{\"name\":\"y\",\"context\":{\"cluster\":\"d\",\"user\":\"u\"}}]}", "y");
	assert_string_equal(c->server, "https://two/k8s/c-1");
	assert_true(slice_is(c->token, "t"));
	kubeconfig_free(&c);
}

static void test_plugins_and_proxies(void **state)
{
	(void)state;
	struct kubeconfig *c = load(EXEC("apiVersion: client.authentication.k8s.io/v1beta1, command: bin/login, "
	    "args: [token, \"\"], env: [{name: A, value: b=c}, {name: B}]"), NULL);
	assert_string_equal(c->exec->api_version, "client.authentication.k8s.io/v1beta1");
	assert_string_equal(c->exec->argv[0], in_dir(c, "bin/login"));
	assert_string_equal(c->exec->argv[1], "token");
	assert_string_equal(c->exec->argv[2], "");
	assert_null(c->exec->argv[3]);
	assert_string_equal(c->exec->env[0], "A=b=c");
	assert_string_equal(c->exec->env[1], "B=");
	assert_null(c->exec->env[2]);
	assert_null(c->proxy);
	kubeconfig_free(&c);
	c = load(EXEC(V1 "interactiveMode: IfAvailable, command: portcullis, installHint: see there"), NULL);
	assert_string_equal(c->exec->argv[0], "portcullis"); /* on the PATH */
	kubeconfig_free(&c);
	c = load(CONTEXT CURRENT TOKEN_USER
	    "clusters: [{name: c, cluster: {server: \"https://h\", proxy-url: \"socks5://u:p@h:1080\"}}]\n", NULL);
	assert_string_equal(c->proxy, "socks5://u:p@h:1080");
	assert_null(c->exec);
	kubeconfig_free(&c);
}

static void test_what_is_not_understood_is_refused(void **state)
{
	(void)state;
	static const struct {
		const char *text, *finding;
	} rows[] = {
	    {"", ":1:"},
	    {"[]", "no kubeconfig"},
	    {CLUSTER CONTEXT TOKEN_USER, "no current-context"},
	    {CLUSTER CONTEXT TOKEN_USER "current-context: y\n", "contexts has no \"y\""},
	    {CONTEXT CURRENT TOKEN_USER, "clusters has no \"c\""},
	    {CLUSTER CONTEXT CURRENT, "users has no \"u\""},
	    {CLUSTER CURRENT TOKEN_USER "contexts: [{name: x, context: {user: u}}]\n", "cluster and user"},
	    {CONTEXT CURRENT TOKEN_USER "clusters: [{name: c, cluster: {server: \"http://h\"}}]\n",
		"https URL"},
	    {CONTEXT CURRENT TOKEN_USER "clusters: [{name: c, cluster: {server: \"https://\"}}]\n",
		"https URL"},
	    {CONTEXT CURRENT TOKEN_USER "clusters: [{name: c, cluster: {server: \"https://h?x=1\"}}]\n",
		"https URL"},
	    {CONTEXT CURRENT TOKEN_USER "clusters: [{name: c, cluster: {server: [a]}}]\n",
		"server must be a string"},
	    {CONTEXT CURRENT TOKEN_USER
		"clusters:\n- name: c\n  cluster:\n    server: https://h\n    insecure-skip-tls-verify: true\n",
		":8:31: insecure-skip-tls-verify is not supported"},
	    {CONTEXT CURRENT TOKEN_USER
		"clusters: [{name: c, cluster: {server: \"https://h\", proxy-url: \"ftp://u:hunter2@p\"}}]\n",
		"proxy-url must be"},
	    {CONTEXT CURRENT TOKEN_USER
		"clusters: [{name: c, cluster: {server: \"https://h\", proxy-url: \"http://\"}}]\n",
		"proxy-url must be"},
	    {CONTEXT CURRENT TOKEN_USER
		"clusters: [{name: c, cluster: {server: \"https://h\", certificate-authority-data: \"a-_b\"}}]\n",
		"no base64"},
	    {CLUSTER CONTEXT CURRENT "users: [{name: u, user: {exec: {command: x}}}]\n", "in the versions"},
	    {EXEC("apiVersion: client.authentication.k8s.io/v1alpha1, command: x"), "in the versions"},
	    {EXEC(V1 "command: x"), "tells its interactiveMode"},
	    {EXEC(V1 "command: x, interactiveMode: Always"), ":4:107: interactiveMode must be Never"},
	    {EXEC(V1 NEVER), "names a command"},
	    {EXEC(V1 NEVER ", command: x, provideClusterInfo: true"), "provideClusterInfo is not supported"},
	    {EXEC(V1 NEVER ", command: x, args: y"), "args must be"},
	    {EXEC(V1 NEVER ", command: x, args: [[y]]"), "args must be"},
	    {EXEC(V1 NEVER ", command: x, env: {A: b}"), "env must be"},
	    {EXEC(V1 NEVER ", command: x, env: [A]"), "env must be"},
	    {EXEC(V1 NEVER ", command: x, env: [{name: A=B, value: c}]"), "no good name"},
	    {CLUSTER CONTEXT CURRENT "users: [{name: u, user: {exec: [x]}}]\n", "exec must be a mapping"},
	    {CLUSTER CONTEXT CURRENT "users: [{name: u, user: {token: hunter2, exec: {" V1 NEVER
		", command: x}}}]\n", "beside other credentials"},
	    {CLUSTER CONTEXT CURRENT "users: [{name: u, user: {auth-provider: {name: x}}}]\n",
		"auth-provider is not"},
	    {CLUSTER CONTEXT CURRENT "users: [{name: u, user: {username: a, password: b}}]\n",
		"username is not"},
	    {CLUSTER CONTEXT CURRENT "users: [{name: u, user: {token: a, as: root}}]\n", "as is not"},
	    {CLUSTER CONTEXT CURRENT "users: [{name: u, user: {client-certificate: a}}]\n",
		"needs its key"},
	    {CLUSTER CONTEXT CURRENT "users: [{name: u, user: {client-key-data: a2V5}}]\n",
		"needs its key"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct kubeconfig *c = NULL;
		struct err e;
		put(file, rows[i].text);
		if (kubeconfig_load(file, NULL, &c, &e) == ERR_OK || c || !strstr(e.msg, rows[i].finding) ||
		    strncmp(e.msg, file, strlen(file)) != 0 || strstr(e.msg, "hunter2"))
			fail_msg("row %zu wants \"%s\", got %s", i, rows[i].finding, e.msg);
	}
	struct kubeconfig *c = load(CONTEXT CURRENT TOKEN_USER
	    "clusters: [{name: c, cluster: {server: \"https://h\", insecure-skip-tls-verify: false, "
	    "proxy-url: \"\"}}]\n", NULL);
	kubeconfig_free(&c);
}

static void test_errors_never_show_credentials(void **state)
{
	(void)state;
	struct kubeconfig *c = NULL;
	struct err e;
	put(file, CLUSTER CONTEXT CURRENT "users: [{name: u, user: {token: hunter2, exec: {a: b}}}]\n");
	assert_int_equal(kubeconfig_load(file, NULL, &c, &e), ERR_INVALID);
	assert_null(strstr(e.msg, "hunter2"));
}

static void test_in_cluster(void **state)
{
	(void)state;
	struct kubeconfig *c = NULL;
	struct err e;
	char path[128];
	unsetenv("KUBERNETES_SERVICE_HOST");
	unsetenv("KUBERNETES_SERVICE_PORT");
	assert_int_equal(kubeconfig_in_cluster(dir, &c, &e), ERR_NOT_FOUND);
	setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
	setenv("KUBERNETES_SERVICE_PORT", "443", 1);
	snprintf(path, sizeof(path), "%s/namespace", dir);
	put(path, "sync-home\n");
	assert_int_equal(kubeconfig_in_cluster(dir, &c, &e), ERR_OK);
	assert_string_equal(c->server, "https://[fd00::1]:443");
	assert_string_equal(c->token_file, in_dir(c, "token"));
	assert_string_equal(c->ca_file, in_dir(c, "ca.crt"));
	assert_string_equal(c->namespace_, "sync-home");
	kubeconfig_free(&c);
	unlink(path);
	setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1", 1);
	assert_int_equal(kubeconfig_in_cluster(dir, &c, &e), ERR_OK);
	assert_string_equal(c->server, "https://10.0.0.1:443");
	assert_null(c->namespace_);
	kubeconfig_free(&c);
}

static void test_meaning_of_answers(void **state)
{
	(void)state;
	static const struct {
		long status;
		bool write;
		enum kube_verdict want;
	} rows[] = {
	    {200, true, KUBE_OK}, {201, true, KUBE_OK}, {200, false, KUBE_OK},
	    {404, false, KUBE_ABSENT}, {404, true, KUBE_REFUSED},
	    {400, true, KUBE_REFUSED}, {403, true, KUBE_REFUSED}, {403, false, KUBE_REFUSED},
	    {405, true, KUBE_REFUSED}, {415, true, KUBE_REFUSED}, {422, true, KUBE_REFUSED},
	    {302, true, KUBE_REFUSED}, {410, false, KUBE_GONE}, {410, true, KUBE_GONE}, {409, true, KUBE_CONFLICT},
	    {401, true, KUBE_LATER}, {408, true, KUBE_LATER}, {429, true, KUBE_LATER},
	    {500, true, KUBE_LATER}, {502, false, KUBE_LATER}, {503, true, KUBE_LATER},
	    {504, true, KUBE_LATER}, {0, true, KUBE_LATER}, {100, true, KUBE_LATER},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (kube_classify(rows[i].status, rows[i].write) != rows[i].want)
			fail_msg("%ld", rows[i].status);
	}
	assert_int_equal(KUBE_REFUSED, 0);
}

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/portcullis-kube-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/config", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	remove_tree(dir);
	return access(dir, F_OK) == 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_files_are_relative_to_the_kubeconfig),
	    cmocka_unit_test(test_data_beats_files),
	    cmocka_unit_test(test_context_by_name_and_json),
	    cmocka_unit_test(test_plugins_and_proxies),
	    cmocka_unit_test(test_what_is_not_understood_is_refused),
	    cmocka_unit_test(test_errors_never_show_credentials),
	    cmocka_unit_test(test_in_cluster),
	    cmocka_unit_test(test_meaning_of_answers),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
