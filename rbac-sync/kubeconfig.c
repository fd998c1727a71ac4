/* Owns the reading of kubeconfig files and of the in-cluster environment. */
#include "rbac-sync/kubeconfig.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base64url.h"
#include "common/file.h"
#include "common/yamlx.h"

#define EXEC_GROUP "client.authentication.k8s.io"

struct reader {
	struct kubeconfig *c;
	struct arena *arena;
	const char *path;
	struct err *e;
};

static enum err_code fail_at(const struct reader *r, const struct yaml_node *node, const char *fmt, ...)
    PRINTF(3, 4);

static enum err_code fail_at(const struct reader *r, const struct yaml_node *node, const char *fmt, ...)
{
	char text[256];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(r->e, ERR_INVALID, "%s:%u:%u: %s", r->path, node ? node->line : 1,
	    node ? node->col : 1, text);
}

/* A string member; NULL in *OUT when absent, null or empty, as client-go reads it. */
static enum err_code get_text(
    const struct reader *r, const struct yaml_node *map, const char *key, const char **out)
{
	const struct yaml_node *n = yamlx_get(map, key);
	*out = NULL;
	if (!n || yamlx_is_null(n))
		return ERR_OK;
	if (n->kind != YAMLX_SCALAR)
		return fail_at(r, n, "%s must be a string", key);
	if (n->text.len)
		*out = n->text.p;
	return ERR_OK;
}

static enum err_code get_path(
    const struct reader *r, const struct yaml_node *map, const char *key, const char **out)
{
	TRY(get_text(r, map, key, out));
	if (*out)
		*out = file_resolve(r->arena, r->path, *out);
	return ERR_OK;
}

/* Standard base64 with padding, as *-data members hold it. */
static enum err_code get_data(
    const struct reader *r, const struct yaml_node *map, const char *key, struct slice *out)
{
	const char *text;
	*out = (struct slice){0};
	TRY(get_text(r, map, key, &text));
	if (!text)
		return ERR_OK;
	size_t n = strlen(text), len = 0;
	char *url = arena_alloc(r->arena, n + 1);
	while (n && text[n - 1] == '=')
		n--;
	for (size_t i = 0; i < n; i++) {
		char ch = text[i];
		if (ch == '-' || ch == '_')
			return fail_at(r, yamlx_get(map, key), "%s is no base64", key);
		url[len++] = (char)(ch == '+' ? '-' : ch == '/' ? '_' : ch);
	}
	if (!base64url_decode(r->arena, (struct slice){url, len}, out))
		return fail_at(r, yamlx_get(map, key), "%s is no base64", key);
	return ERR_OK;
}

static enum err_code refuse_keys(
    const struct reader *r, const struct yaml_node *map, const char *const *keys, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct yaml_node *v = yamlx_get(map, keys[i]);
		bool empty = !v || yamlx_is_null(v) || (v->kind == YAMLX_SCALAR && v->text.len == 0) ||
		    (v->kind != YAMLX_SCALAR && v->len == 0);
		if (!empty)
			return fail_at(r, v, "%s is not supported", keys[i]);
	}
	return ERR_OK;
}

/* The element NAME of the list LIST ("clusters"), and in it the mapping PART ("cluster"). */
static enum err_code find(const struct reader *r, const struct yaml_node *root, const char *list,
    const char *part, const char *name, const struct yaml_node **out)
{
	const struct yaml_node *v = yamlx_get(root, list);
	for (size_t i = 0; v && v->kind == YAMLX_SEQ && i < v->len; i++) {
		const char *have;
		TRY(get_text(r, v->items[i], "name", &have));
		if (!have || strcmp(have, name) != 0)
			continue;
		*out = yamlx_get(v->items[i], part);
		if (*out && (*out)->kind == YAMLX_MAP)
			return ERR_OK;
		return fail_at(r, v->items[i], "%s must be a mapping", part);
	}
	return fail_at(r, v, "%s has no \"%s\"", list, name);
}

/* The text is never told: it may hold a password. */
static enum err_code get_proxy(const struct reader *r, const struct yaml_node *n, const char **out)
{
	static const char *const schemes[] = {"http://", "https://", "socks5://"};
	TRY(get_text(r, n, "proxy-url", out));
	if (!*out)
		return ERR_OK;
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		size_t len = strlen(schemes[i]);
		if (strncmp(*out, schemes[i], len) == 0 && (*out)[len] && !strpbrk(*out, " \t\r\n"))
			return ERR_OK;
	}
	return fail_at(r, yamlx_get(n, "proxy-url"), "proxy-url must be a http, https or socks5 URL");
}

static enum err_code read_cluster(const struct reader *r, const struct yaml_node *n)
{
	struct kubeconfig *c = r->c;
	const char *server, *insecure;
	TRY(get_text(r, n, "insecure-skip-tls-verify", &insecure));
	if (insecure && strcmp(insecure, "false") != 0)
		return fail_at(r, yamlx_get(n, "insecure-skip-tls-verify"),
		    "insecure-skip-tls-verify is not supported: give the cluster's CA");
	TRY(get_text(r, n, "server", &server));
	if (!server || strncmp(server, "https://", 8) != 0 || !server[8] || strpbrk(server, " \t?#"))
		return fail_at(r, yamlx_get(n, "server"), "server must be a https URL");
	size_t len = strlen(server);
	while (server[len - 1] == '/')
		len--;
	c->server = arena_strndup(r->arena, server, len);
	TRY(get_text(r, n, "tls-server-name", &c->tls_server_name));
	TRY(get_proxy(r, n, &c->proxy));
	TRY(get_data(r, n, "certificate-authority-data", &c->ca_pem));
	return c->ca_pem.len ? ERR_OK : get_path(r, n, "certificate-authority", &c->ca_file);
}

static size_t count(const struct yaml_node *list)
{
	return list && list->kind == YAMLX_SEQ ? list->len : 0;
}

/* A command with a slash is relative to the kubeconfig, one without is looked for on the PATH. */
static enum err_code read_argv(
    const struct reader *r, const struct yaml_node *n, struct kubeconfig_exec *x)
{
	const struct yaml_node *args = yamlx_get(n, "args");
	const char **argv = ARENA_ARRAY(r->arena, const char *, count(args) + 2);
	TRY(get_text(r, n, "command", &argv[0]));
	if (!argv[0])
		return fail_at(r, n, "exec names a command");
	if (strchr(argv[0], '/'))
		argv[0] = file_resolve(r->arena, r->path, argv[0]);
	if (args && !yamlx_is_null(args) && args->kind != YAMLX_SEQ)
		return fail_at(r, args, "args must be a list of strings");
	for (size_t i = 0; i < count(args); i++) {
		if (args->items[i]->kind != YAMLX_SCALAR)
			return fail_at(r, args->items[i], "args must be a list of strings");
		argv[i + 1] = args->items[i]->text.p ? args->items[i]->text.p : "";
	}
	x->argv = argv;
	return ERR_OK;
}

static enum err_code read_env(
    const struct reader *r, const struct yaml_node *n, struct kubeconfig_exec *x)
{
	const struct yaml_node *env = yamlx_get(n, "env");
	const char **out = ARENA_ARRAY(r->arena, const char *, count(env) + 1);
	if (env && !yamlx_is_null(env) && env->kind != YAMLX_SEQ)
		return fail_at(r, env, "env must be a list of name and value");
	for (size_t i = 0; i < count(env); i++) {
		const char *name, *value;
		if (env->items[i]->kind != YAMLX_MAP)
			return fail_at(r, env->items[i], "env must be a list of name and value");
		TRY(get_text(r, env->items[i], "name", &name));
		TRY(get_text(r, env->items[i], "value", &value));
		if (!name || strchr(name, '='))
			return fail_at(r, env->items[i], "env has no good name");
		out[i] = arena_printf(r->arena, "%s=%s", name, value ? value : "");
	}
	x->env = out;
	return ERR_OK;
}

/* What it speaks, and that it can do without us. */
static enum err_code read_exec_manner(
    const struct reader *r, const struct yaml_node *n, struct kubeconfig_exec *x)
{
	const char *mode, *info;
	TRY(get_text(r, n, "apiVersion", &x->api_version));
	if (!text_eq(x->api_version, EXEC_GROUP "/v1") && !text_eq(x->api_version, EXEC_GROUP "/v1beta1"))
		return fail_at(r, yamlx_get(n, "apiVersion"), "exec is understood in the versions " EXEC_GROUP
							      "/v1 and /v1beta1");
	TRY(get_text(r, n, "interactiveMode", &mode));
	if (!mode && strcmp(x->api_version, EXEC_GROUP "/v1") == 0)
		return fail_at(r, n, "exec of version v1 tells its interactiveMode");
	if (mode && strcmp(mode, "Never") != 0 && strcmp(mode, "IfAvailable") != 0)
		return fail_at(r, yamlx_get(n, "interactiveMode"),
		    "interactiveMode must be Never or IfAvailable: here is no terminal");
	TRY(get_text(r, n, "provideClusterInfo", &info));
	if (info && strcmp(info, "false") != 0)
		return fail_at(r, yamlx_get(n, "provideClusterInfo"), "provideClusterInfo is not supported");
	return ERR_OK;
}

static enum err_code read_exec(const struct reader *r, const struct yaml_node *user)
{
	const struct yaml_node *n = yamlx_get(user, "exec");
	struct kubeconfig *c = r->c;
	if (!n || yamlx_is_null(n))
		return ERR_OK;
	if (n->kind != YAMLX_MAP)
		return fail_at(r, n, "exec must be a mapping");
	if (c->token_file || c->token.len || c->cert_file || c->cert_pem.len)
		return fail_at(r, n, "exec stands beside other credentials: give one of them");
	struct kubeconfig_exec *x = ARENA_NEW(r->arena, struct kubeconfig_exec);
	TRY(read_exec_manner(r, n, x));
	TRY(read_argv(r, n, x));
	TRY(read_env(r, n, x));
	c->exec = x;
	return ERR_OK;
}

static enum err_code read_user(const struct reader *r, const struct yaml_node *n)
{
	static const char *const refused[] = {"auth-provider", "username", "password", "as", "as-uid",
	    "as-groups", "as-user-extra"};
	struct kubeconfig *c = r->c;
	const char *token;
	TRY(refuse_keys(r, n, refused, ARRAY_LEN(refused)));
	TRY(get_data(r, n, "client-certificate-data", &c->cert_pem));
	TRY(get_data(r, n, "client-key-data", &c->key_pem));
	if (!c->cert_pem.len)
		TRY(get_path(r, n, "client-certificate", &c->cert_file));
	if (!c->key_pem.len)
		TRY(get_path(r, n, "client-key", &c->key_file));
	TRY(get_path(r, n, "tokenFile", &c->token_file));
	TRY(get_text(r, n, "token", &token));
	c->token = slice_of(token);
	if ((c->cert_file || c->cert_pem.len) != (c->key_file || c->key_pem.len))
		return fail_at(r, n, "a client certificate needs its key, and a key its certificate");
	/* The HTTP client takes a pair of files or a pair of blobs. */
	if (c->cert_pem.len && c->key_file)
		TRY(file_read(r->arena, c->key_file, KUBECONFIG_BYTES_MAX, &c->key_pem, r->e));
	if (c->key_pem.len && c->cert_file)
		TRY(file_read(r->arena, c->cert_file, KUBECONFIG_BYTES_MAX, &c->cert_pem, r->e));
	if (c->cert_pem.len)
		c->cert_file = c->key_file = NULL;
	return read_exec(r, n);
}

static enum err_code read_root(const struct reader *r, const struct yaml_node *root, const char *context)
{
	const struct yaml_node *ctx, *cluster, *user;
	const char *cluster_name, *user_name;
	if (root->kind != YAMLX_MAP)
		return fail_at(r, root, "no kubeconfig");
	if (!context)
		TRY(get_text(r, root, "current-context", &context));
	if (!context)
		return fail_at(r, root, "no current-context");
	TRY(find(r, root, "contexts", "context", context, &ctx));
	TRY(get_text(r, ctx, "cluster", &cluster_name));
	TRY(get_text(r, ctx, "user", &user_name));
	TRY(get_text(r, ctx, "namespace", &r->c->namespace_));
	if (!cluster_name || !user_name)
		return fail_at(r, ctx, "a context names cluster and user");
	TRY(find(r, root, "clusters", "cluster", cluster_name, &cluster));
	TRY(find(r, root, "users", "user", user_name, &user));
	TRY(read_cluster(r, cluster));
	return read_user(r, user);
}

static enum err_code load(struct reader *r, const char *context)
{
	struct slice text;
	struct yaml_node *root;
	TRY(file_read(r->arena, r->path, KUBECONFIG_BYTES_MAX, &text, r->e));
	struct diags d = {0};
	if (yamlx_parse(r->arena, r->path, text, &root, &d) != ERR_OK) {
		diags_to_err(&d, r->e);
		diags_done(&d);
		return ERR_INVALID;
	}
	diags_done(&d);
	return read_root(r, root, context);
}

static struct kubeconfig *make(void)
{
	struct kubeconfig *c = calloc(1, sizeof(*c));
	if (!c)
		abort();
	arena_init_wiped(&c->arena, 0);
	return c;
}

enum err_code kubeconfig_load(
    const char *path, const char *context, struct kubeconfig **out, struct err *e)
{
	AUTO(kubeconfig_free) struct kubeconfig *c = make();
	struct reader r = {c, &c->arena, path, e};
	TRY(load(&r, context));
	*out = TAKE(c);
	return ERR_OK;
}

enum err_code kubeconfig_in_cluster(const char *dir, struct kubeconfig **out, struct err *e)
{
	const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");
	if (!host || !port || !*host || !*port)
		return err_set(e, ERR_NOT_FOUND,
		    "no kubeconfig given, and KUBERNETES_SERVICE_HOST and _PORT are not set");
	AUTO(kubeconfig_free) struct kubeconfig *c = make();
	struct arena *a = &c->arena;
	bool v6 = strchr(host, ':') != NULL;
	c->server = arena_printf(a, "https://%s%s%s:%s", v6 ? "[" : "", host, v6 ? "]" : "", port);
	c->ca_file = arena_printf(a, "%s/ca.crt", dir);
	c->token_file = arena_printf(a, "%s/token", dir);
	struct slice ns;
	if (file_read(a, arena_printf(a, "%s/namespace", dir), 256, &ns, e) == ERR_OK && ns.len) {
		size_t n = ns.len;
		while (n && (ns.p[n - 1] == '\n' || ns.p[n - 1] == ' '))
			n--;
		c->namespace_ = arena_strndup(a, ns.p, n);
	}
	*out = TAKE(c);
	return ERR_OK;
}

void kubeconfig_free(struct kubeconfig **cp)
{
	struct kubeconfig *c = TAKE(*cp);
	if (!c)
		return;
	arena_done(&c->arena);
	free(c);
}
