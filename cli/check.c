/* Owns `portcullis check`: the configuration and the files it names, judged as the daemon would. */
#include <stdio.h>

#include "authn/authn.h"
#include "authn/jose.h"
#include "authn/services.h"
#include "cli/commands.h"
#include "common/file.h"
#include "server/config.h"
#include "server/gate.h"

/* What a check holds while it runs. */
struct check {
	struct arena arena;
	struct diags diags;
	struct config *config;
	struct served_policy *policy;
};

static void check_done(struct check *c)
{
	served_free(&c->policy);
	config_free(&c->config);
	diags_done(&c->diags);
	arena_done(&c->arena);
}

/* What the files say of themselves: generations and what was in force are the daemon's to know. */
static int check_policy(struct check *c)
{
	struct gate_files files;
	const char *stage;
	const struct gate gate = {.config = &c->config->authorization};
	gate_read(gate.config, &files);
	enum err_code code = gate_pass(&gate, &files, &c->policy, &stage, &c->diags);
	gate_files_done(&files);
	if (code == ERR_OK)
		return CLI_OK;
	return strcmp(stage, "read") == 0 ? CLI_USAGE : CLI_NO;
}

/* --- the files of the listeners --- */

/* Keys of a few kilobytes, CA bundles of some hundred. */
#define PEM_BYTES_MAX ((size_t)4 << 20)

struct listener_files {
	const struct place *place;
	const char *section;
	const char *certificate, *key, *client_ca; /* the last may be NULL */
};

static enum err_code finding(struct check *c, const struct listener_files *f, const char *key,
    const char *path, const struct err *e)
{
	return diags_error(&c->diags, f->place->file, f->place->line, f->place->col, "%s.%s: %s%s%s",
	    f->section, key, path ? path : "", path ? ": " : "", e->msg);
}

static enum err_code read_certificates(struct check *c, const struct listener_files *f,
    const char *key, const char *path, struct slice *text)
{
	struct err e = {0};
	if (file_read(&c->arena, path, PEM_BYTES_MAX, text, &e) != ERR_OK)
		return finding(c, f, key, NULL, &e);
	if (jose_check_certificates(*text, &e) != ERR_OK)
		return finding(c, f, key, path, &e);
	return ERR_OK;
}

static enum err_code check_key(
    struct check *c, const struct listener_files *f, struct slice certificates)
{
	AUTO(arena_done) struct arena secret;
	arena_init_wiped(&secret, 0);
	struct slice text;
	struct err e = {0};
	if (file_read(&secret, f->key, PEM_BYTES_MAX, &text, &e) != ERR_OK)
		return finding(c, f, "keyFile", NULL, &e);
	if (certificates.len && jose_check_key(text, certificates, &e) != ERR_OK)
		return finding(c, f, "keyFile", f->key, &e);
	return ERR_OK;
}

/* Expiry, names and the order of a chain are the daemon's --check. */
static int check_listener(struct check *c, const struct listener_files *f)
{
	struct slice certificates = {0}, anchors;
	enum err_code code =
	    read_certificates(c, f, "certificateFile", f->certificate, &certificates);
	if (code != ERR_OK)
		certificates.len = 0;
	enum err_code key = check_key(c, f, certificates);
	enum err_code ca = ERR_OK;
	if (f->client_ca)
		ca = read_certificates(c, f, "clientCAFile", f->client_ca, &anchors);
	return code == ERR_OK && key == ERR_OK && ca == ERR_OK ? CLI_OK : CLI_NO;
}

static int check_listeners(struct check *c)
{
	const struct webhook_config *w = &c->config->webhook;
	const struct login_config *l = &c->config->login;
	int rc = check_listener(c, &(struct listener_files){&w->place, "webhook",
				       w->certificate_file, w->key_file, w->client_ca_file});
	if (!l->present || !l->certificate_file)
		return rc;
	int login = check_listener(c, &(struct listener_files){&l->place, "login",
					  l->certificate_file, l->key_file, NULL});
	return rc == CLI_OK ? login : rc;
}

/* --- authentication --- */

/* Without a state directory: a check makes no login keys. */
static int check_authentication(struct check *c)
{
	struct authn_services *services = NULL;
	struct authn_chain *chain = NULL;
	struct err e = {0};
	const struct authn_services_options options = {.workers = 1};
	enum err_code code = authn_services_new(&options, &services, &e);
	if (code != ERR_OK)
		diags_error(&c->diags, "", 0, 0, "%s", e.msg);
	else
		code = authn_chain_new(&c->config->authentication, services, &chain, &c->diags);
	authn_chain_free(&chain);
	authn_services_free(&services);
	return code == ERR_OK ? CLI_OK : CLI_NO;
}

static int worse(int a, int b)
{
	return a > b ? a : b;
}

static int check_file(const struct command *self, struct check *c, const char *path)
{
	struct slice text;
	struct err e = {0};
	if (file_read(&c->arena, path, CONFIG_BYTES_MAX, &text, &e) != ERR_OK)
		return cli_error(self, "%s", e.msg);
	if (config_parse(path, text, &c->config, &c->diags) != ERR_OK)
		return CLI_NO;
	int rc = worse(check_listeners(c), check_authentication(c));
	return c->config->authorization.present ? worse(rc, check_policy(c)) : rc;
}

static void print_ok(const struct check *c, const char *path)
{
	if (!c->policy) {
		printf("%s: ok (no policy)\n", path);
		return;
	}
	const struct policy_info *info = policy_info(c->policy->policy);
	printf("%s: ok (%zu rules, generation %lld)\n", path, info->rules, (long long)info->generation);
}

static int run(const struct command *self, int argc, char **argv)
{
	const char *path = NULL;
	const struct cli_option options[] = {{"config", 'c', &path, NULL}, {0}};
	if (!cli_options(self, options, &argc, argv))
		return CLI_USAGE;
	if (argc > 0)
		return cli_usage(self, "unexpected argument %s", argv[0]);
	if (!path)
		path = CONFIG_DEFAULT_PATH;
	struct check c = {0};
	int rc = check_file(self, &c, path);
	cli_print_diags(&c.diags);
	if (rc == CLI_OK)
		print_ok(&c, path);
	check_done(&c);
	return rc;
}

const struct command cmd_check = {
    .name = "check",
    .args = "[--config FILE]",
    .summary = "Validates the configuration and the files it names, without starting anything.",
    .help = "  -c, --config FILE   the configuration; default " CONFIG_DEFAULT_PATH "\n\n"
	    "Reads certificates and keys, token files, key sets, CA files, passwords and the policy,\n"
	    "whose tests it runs. Asks no network and writes nothing. Run it as the daemon's user: it\n"
	    "has to be able to read the same files. Findings go to standard error as file:line:col.\n"
	    "Exit codes: 0 fine (warnings may be printed), 1 errors, 2 the configuration or the\n"
	    "policy cannot be read.",
    .run = run,
};
