/* Owns the tables of the configuration file and the checks that span more than one field. */
#include "server/config.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/listen.h"
#include "common/yamlx.h"
#include "policy/signed.h"

static const char *const audit_modes[] = {"async", "blocking", NULL};
static const char *const durabilities[] = {"sync", "async", NULL};

static const struct field webhook_fields[] = {
    {.name = "listen", .type = FIELD_STRING, .offset = offsetof(struct webhook_config, listen),
	.required = true, .needs_restart = true,
	.doc = "Address and port on which the apiserver asks: `127.0.0.1:8443`, `[::1]:8443`; `:8443` is all "
	       "addresses."},
    {.name = "certificateFile", .type = FIELD_PATH, .required = true, .nonempty = true,
	.offset = offsetof(struct webhook_config, certificate_file),
	.doc = "Serving certificate and its chain, PEM, leaf first. Re-read on change."},
    {.name = "keyFile", .type = FIELD_PATH, .required = true, .nonempty = true,
	.offset = offsetof(struct webhook_config, key_file),
	.doc = "Private key of the certificate, PEM. Re-read on change."},
    {.name = "clientCAFile", .type = FIELD_PATH, .required = true, .nonempty = true,
	.offset = offsetof(struct webhook_config, client_ca_file),
	.doc = "CA certificates that sign the apiserver's client certificate, PEM. Re-read on change."},
    {.name = "allowedClients", .type = FIELD_STRINGS, .required = true, .nonempty = true, .max_items = 64,
	.offset = offsetof(struct webhook_config, allowed_clients),
	.doc = "Names that may ask: the subject CN or a DNS SAN of the client certificate, compared exactly."},
    {.name = "deadline", .type = FIELD_DURATION, .def = "5s", .min = 100 * CLOCK_MS,
	.max = 10 * CLOCK_SECOND, .offset = offsetof(struct webhook_config, deadline),
	.doc = "How long a token review may wait for an issuer or a directory before it is answered with 503."},
    {.name = NULL}};

static const struct field ops_fields[] = {
    {.name = "listen", .type = FIELD_STRING, .offset = offsetof(struct ops_config, listen),
	.required = true, .needs_restart = true,
	.doc = "Address and port of the plain HTTP listener for `/livez`, `/readyz`, `/metrics`, `/policy/status`, `/version`."},
    {.name = NULL}};

static const struct field signatures_fields[] = {
    {.name = "publicKeys", .type = FIELD_PATHS, .required = true, .nonempty = true,
	.max_items = POLICY_KEYS_MAX, .offset = offsetof(struct signatures_config, public_keys),
	.doc = "Ed25519 public keys, a PEM file for each. Re-read on change; one that cannot be read refuses "
	       "every policy."},
    {.name = "threshold", .type = FIELD_INT, .def = "1", .min = 1, .max = POLICY_KEYS_MAX,
	.offset = offsetof(struct signatures_config, threshold),
	.doc = "How many of the keys must have signed a policy: 2 is the two-person rule."},
    {.name = NULL}};

static const struct schema signatures_schema = {.name = "signatures",
    .size = sizeof(struct signatures_config), .fields = signatures_fields,
    .place = offsetof(struct signatures_config, place),
    .present = offsetof(struct signatures_config, present)};

static const struct field authorization_fields[] = {
    {.name = "policy", .type = FIELD_PATH, .required = true, .nonempty = true,
	.offset = offsetof(struct authorization_config, policy),
	.doc = "The policy: a file, or a directory of which every `*.yaml` is read. Re-read on change."},
    {.name = "shadowPolicy", .type = FIELD_PATH, .nonempty = true,
	.offset = offsetof(struct authorization_config, shadow_policy),
	.doc = "A whole second policy that is evaluated beside the first and decides nothing: where it would "
	       "answer otherwise, audit records and `portcullis_shadow_divergence_total` tell. Re-read on "
	       "change."},
    {.name = "guards", .type = FIELD_PATH, .nonempty = true,
	.offset = offsetof(struct authorization_config, guards),
	.doc = "Tests that stand outside the policy (kind AccessGuards), a file or a directory: a policy that "
	       "fails one is refused. Re-read on change."},
    {.name = "signatures", .type = FIELD_OBJECT, .sub = &signatures_schema,
	.offset = offsetof(struct authorization_config, signatures),
	.doc = "Who must have signed the policy; absent: nobody."},
    {.name = "maxShrink", .type = FIELD_INT, .def = "50", .min = 0, .max = 100,
	.offset = offsetof(struct authorization_config, max_shrink),
	.doc = "Percent of the rules that may leave the policy at once. More, or any rule that denies or "
	       "abstains, or any exemption, needs `metadata.allowShrink: true` in the policy. 100 turns all "
	       "of this off."},
    {.name = "requireGeneration", .type = FIELD_BOOL, .def = "false",
	.offset = offsetof(struct authorization_config, require_generation),
	.doc = "true: a policy without `metadata.generation`, or another one with the generation in force, is "
	       "refused. Signed policies are always held to that."},
    {.name = "apiserverAuthorizedTTL", .type = FIELD_DURATION, .def = "5m",
	.max = 24 * 3600 * CLOCK_SECOND, .offset = offsetof(struct authorization_config, authorized_ttl),
	.doc = "How long kube-apiserver remembers an allow: `authorizedTTL` of its AuthorizationConfiguration, "
	       "or `0s` where `cacheAuthorizedRequests` is false. An allow with `valid` is given only when it "
	       "holds that long, and a deny with `valid` begins that much early."},
    {.name = NULL}};

static const struct field audit_fields[] = {
    {.name = "path", .type = FIELD_PATH, .required = true, .nonempty = true,
	.offset = offsetof(struct audit_config, path),
	.doc = "Where audit records are appended, one JSON object a line."},
    {.name = "mode", .type = FIELD_ENUM, .choices = audit_modes, .def = "async",
	.offset = offsetof(struct audit_config, mode),
	.doc = "`async`: replies do not wait for the record to be written; what could not be kept is told by gap "
	       "records."},
    {.name = NULL}};

static const struct field first_login_fields[] = {
    {.name = "waitMs", .type = FIELD_INT, .def = "0", .max = FIRST_LOGIN_WAIT_MS_MAX,
	.offset = offsetof(struct first_login_config, wait_ms),
	.doc = "How many milliseconds an answer that tells of a new or changed identity may wait until "
	       "portcullis-rbac-sync has made its bindings, so that the first command already works; `0`: it "
	       "does not wait. Needs `durability: sync`. Skipped while no worker runs; never changes an answer."},
    {.name = NULL}};

static const struct schema first_login_schema = {.name = "newUsers.firstLogin",
    .size = sizeof(struct first_login_config), .fields = first_login_fields, .place = SCHEMA_NO_PLACE,
    .present = SCHEMA_NO_PLACE};

static const struct field new_users_fields[] = {
    {.name = "spoolDir", .type = FIELD_PATH, .required = true, .nonempty = true,
	.offset = offsetof(struct new_users_config, spool_dir),
	.doc = "Directory through which new and changed identities are handed to portcullis-rbac-sync."},
    {.name = "touchInterval", .type = FIELD_DURATION, .def = "6h", .min = 60 * CLOCK_SECOND,
	.max = 720 * 3600 * CLOCK_SECOND, .offset = offsetof(struct new_users_config, touch_interval),
	.doc = "After this long an unchanged identity that is seen again is told again."},
    {.name = "durability", .type = FIELD_ENUM, .choices = durabilities, .def = "sync",
	.offset = offsetof(struct new_users_config, durability),
	.doc = "`sync`: a new user's first answer waits until the event is on disk, so that no crash can "
	       "forget it; `async`: it does not wait."},
    {.name = "firstLogin", .type = FIELD_OBJECT, .sub = &first_login_schema,
	.offset = offsetof(struct new_users_config, first_login),
	.doc = "Holding back a person's first answer until their grants are there."},
    {.name = NULL}};

static void check_new_users(void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	const struct new_users_config *c = obj;
	const struct yaml_node *at = yamlx_get(node, "firstLogin");
	if (c->first_login.wait_ms > 0 && c->durability == SPOOL_DURABILITY_ASYNC)
		diags_error(d, file, at->line, at->col,
		    "newUsers.firstLogin.waitMs: needs durability sync: an answer that does not wait for the "
		    "disk cannot wait for what follows");
}

#define NOT_AN_ADDRESS "not ADDRESS:PORT with a literal IPv4 or bracketed IPv6 address"

static void check_listen(
    const char *text, const char *key, const struct yaml_node *node, const char *file, struct diags *d)
{
	char host[LISTEN_HOST_MAX];
	uint16_t port;
	const struct yaml_node *at = yamlx_get(node, key);
	if (text && at && !listen_parse(text, host, &port))
		diags_error(d, file, at->line, at->col, "%s: " NOT_AN_ADDRESS, key);
}

static void check_webhook(void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	const struct webhook_config *w = obj;
	check_listen(w->listen, "listen", node, file, d);
}

static void check_ops(void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	const struct ops_config *o = obj;
	check_listen(o->listen, "listen", node, file, d);
}

static void check_audit(void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	const struct audit_config *a = obj;
	const struct yaml_node *at = yamlx_get(node, "mode");
	if (a->mode == AUDIT_MODE_BLOCKING && at)
		diags_error(d, file, at->line, at->col, "mode: blocking is not supported yet; use async");
}

static const struct schema webhook_schema = {.name = "webhook", .size = sizeof(struct webhook_config),
    .fields = webhook_fields, .place = offsetof(struct webhook_config, place),
    .present = SCHEMA_NO_PLACE, .check = check_webhook};
static const struct schema ops_schema = {.name = "ops", .size = sizeof(struct ops_config),
    .fields = ops_fields, .place = offsetof(struct ops_config, place),
    .present = offsetof(struct ops_config, present), .check = check_ops};
static void check_authorization(
    void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	const struct signatures_config *s = &((const struct authorization_config *)obj)->signatures;
	const struct yaml_node *at = yamlx_get(yamlx_get(node, "signatures"), "threshold");
	if (s->present && (size_t)s->threshold > s->public_keys.len)
		diags_error(d, file, at ? at->line : s->place.line, at ? at->col : s->place.col,
		    "threshold: %lld signatures cannot come from %zu keys", (long long)s->threshold,
		    s->public_keys.len);
}

static const struct schema authorization_schema = {.name = "authorization",
    .size = sizeof(struct authorization_config), .fields = authorization_fields,
    .place = offsetof(struct authorization_config, place),
    .present = offsetof(struct authorization_config, present), .check = check_authorization};
static const struct schema audit_schema = {.name = "audit", .size = sizeof(struct audit_config),
    .fields = audit_fields, .place = offsetof(struct audit_config, place),
    .present = offsetof(struct audit_config, present), .check = check_audit};
static const struct schema new_users_schema = {.name = "newUsers",
    .size = sizeof(struct new_users_config), .fields = new_users_fields,
    .place = offsetof(struct new_users_config, place),
    .present = offsetof(struct new_users_config, present),
    .check = check_new_users};

static const struct field config_fields[] = {
    {.name = "apiVersion", .type = FIELD_STRING, .required = true,
	.offset = offsetof(struct config, api_version), .doc = "Always `" CONFIG_API_VERSION "`."},
    {.name = "kind", .type = FIELD_STRING, .required = true, .offset = offsetof(struct config, kind),
	.doc = "Always `" CONFIG_KIND "`."},
    {.name = "stateDir", .type = FIELD_PATH, .def = "/var/lib/portcullis", .nonempty = true,
	.needs_restart = true, .offset = offsetof(struct config, state_dir),
	.doc = "Directory for the last good policy, key sets and signing keys; made when missing, mode 0700."},
    {.name = "webhook", .type = FIELD_OBJECT, .sub = &webhook_schema, .required = true,
	.offset = offsetof(struct config, webhook),
	.doc = "The HTTPS listener that kube-apiserver asks: `POST /authenticate` and `POST /authorize`."},
    {.name = "ops", .type = FIELD_OBJECT, .sub = &ops_schema, .offset = offsetof(struct config, ops),
	.doc = "The plain HTTP listener for probes and metrics; absent: none."},
    {.name = "login", .type = FIELD_OBJECT, .sub = &login_config_schema,
	.offset = offsetof(struct config, login),
	.doc = "The HTTPS listener where people exchange a directory password for a token; absent: none."},
    {.name = "authentication", .type = FIELD_OBJECT, .sub = &authn_config_schema,
	.offset = offsetof(struct config, authentication),
	.doc = "Who may authenticate; absent: every token is refused."},
    {.name = "authorization", .type = FIELD_OBJECT, .sub = &authorization_schema,
	.offset = offsetof(struct config, authorization),
	.doc = "What they may do; absent: access reviews are answered with 503."},
    {.name = "audit", .type = FIELD_OBJECT, .sub = &audit_schema,
	.offset = offsetof(struct config, audit), .doc = "The audit log; absent: none is written."},
    {.name = "newUsers", .type = FIELD_OBJECT, .sub = &new_users_schema,
	.offset = offsetof(struct config, new_users),
	.doc = "Hand-off of new users to the worker; absent: none."},
    {.name = NULL}};

static void check_constant(const char *have, const char *want, const char *key,
    const struct yaml_node *node, const char *file, struct diags *d)
{
	const struct yaml_node *at = yamlx_get(node, key);
	if (have && at && strcmp(have, want) != 0)
		diags_error(d, file, at->line, at->col, "%s: must be %s", key, want);
}

/* Our own tokens are told from others by their issuer: it must be nobody else's. */
static void check_login(const struct config *c, struct diags *d)
{
	const struct place *p = &c->login.place;
	const struct jwt_config *jwt = c->authentication.jwt.items;
	char host[LISTEN_HOST_MAX];
	uint16_t port;
	if (!listen_parse(c->login.listen, host, &port))
		diags_error(d, p->file, p->line, p->col, "login.listen: " NOT_AN_ADDRESS);
	if (c->authentication.ldap.len == 0)
		diags_error(d, p->file, p->line, p->col,
		    "login: authentication.ldap names no directory to log in against");
	for (size_t i = 0; i < c->authentication.audiences.len; i++)
		if (strcmp(c->authentication.audiences.items[i], c->login.issuer) == 0)
			diags_error(d, p->file, p->line, p->col,
			    "login.issuer: also stands in authentication.audiences; it is the audience of "
			    "refresh handles, which must not pass for tokens");
	for (size_t i = 0; i < c->authentication.jwt.len; i++)
		if (strcmp(jwt[i].issuer.url, c->login.issuer) == 0)
			diags_error(d, p->file, p->line, p->col,
			    "login.issuer: also the issuer of authentication.jwt[%zu]", i);
}

static void check_config(void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	const struct config *c = obj;
	check_constant(c->api_version, CONFIG_API_VERSION, "apiVersion", node, file, d);
	check_constant(c->kind, CONFIG_KIND, "kind", node, file, d);
	if (c->login.present)
		check_login(c, d);
}

const struct schema config_schema = {.name = CONFIG_KIND, .size = sizeof(struct config),
    .fields = config_fields, .place = SCHEMA_NO_PLACE, .present = SCHEMA_NO_PLACE,
    .check = check_config};

void config_free(struct config **c)
{
	if (!*c)
		return;
	struct arena arena = (*c)->arena;
	free(*c);
	*c = NULL;
	arena_done(&arena);
}

enum err_code config_parse(
    const char *name, struct slice text, struct config **out, struct diags *d)
{
	struct arena a;
	arena_init(&a, 0);
	name = arena_strdup(&a, name);
	struct yaml_node *root = NULL;
	struct config *c = malloc(sizeof(*c));
	if (!c)
		abort();
	enum err_code code = yamlx_parse(&a, name, text, &root, d);
	if (code == ERR_OK)
		code = schema_bind(&a, &config_schema, name, root, c, d);
	if (code != ERR_OK) {
		free(c);
		arena_done(&a);
		return code;
	}
	c->path = name;
	sha256_hex(text.p, text.len, c->sha256);
	c->arena = a;
	c->authentication.login = c->login.present ? &c->login : NULL;
	*out = c;
	return ERR_OK;
}

enum err_code config_load(const char *path, struct config **out, struct diags *d)
{
	struct arena a;
	arena_init(&a, 0);
	struct slice text;
	struct err e = {0};
	enum err_code code = file_read(&a, path, CONFIG_BYTES_MAX, &text, &e);
	if (code != ERR_OK)
		diags_error(d, path, 0, 0, "%s", e.msg);
	else
		code = config_parse(path, text, out, d);
	arena_done(&a);
	return code;
}

void config_print_reference(struct buf *out)
{
	buf_adds(out, "# Configuration reference\n\nEvery key of the configuration file, printed by "
		      "`portcullisd --print-config-reference` from the tables that read it. "
		      "[configuration.md](configuration.md) explains them.\n\n");
	schema_print_markdown(&config_schema, out);
}

static void collect(struct string_list *out, size_t cap, const char *path)
{
	if (path && out->len < cap)
		((const char **)(uintptr_t)out->items)[out->len++] = path;
}

static void collect_all(
    const struct schema *schema, const void *obj, struct string_list *out, size_t cap);

static void collect_field(const struct field *f, const char *at, struct string_list *out, size_t cap)
{
	const struct string_list *paths = (const void *)at;
	const struct object_list *list = (const void *)at;
	switch (f->type) {
	case FIELD_PATH:
		collect(out, cap, *(const char *const *)(const void *)at);
		break;
	case FIELD_PATHS:
		for (size_t i = 0; i < paths->len; i++)
			collect(out, cap, paths->items[i]);
		break;
	case FIELD_OBJECT:
		collect_all(f->sub, at, out, cap);
		break;
	case FIELD_OBJECTS:
		for (size_t i = 0; i < list->len; i++)
			collect_all(f->sub, (const char *)list->items + i * f->sub->size, out, cap);
		break;
	default:
		break;
	}
}

static void collect_all(
    const struct schema *schema, const void *obj, struct string_list *out, size_t cap)
{
	for (const struct field *f = schema->fields; f->name; f++)
		if (!f->unsupported && !f->live)
			collect_field(f, (const char *)obj + f->offset, out, cap);
}

void config_authn_files(const struct config *c, struct arena *a, struct string_list *out)
{
	*out = (struct string_list){ARENA_ARRAY(a, const char *, CONFIG_FILES_MAX), 0};
	collect_all(&authn_config_schema, &c->authentication, out, CONFIG_FILES_MAX);
}
