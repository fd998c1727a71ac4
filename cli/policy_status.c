/* Owns `portcullis policy status`: what decides, asked of the daemon, or as it left it on disk. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "common/file.h"
#include "common/httpc.h"
#include "common/jsonx.h"
#include "common/listen.h"
#include "server/config.h"

#define STATUS_MAX ((size_t)2 << 20)
#define STATUS_FILE "policy-status.json"
#define TIMEOUT_MS 5000

static const char *url_of(struct arena *a, const struct config *c)
{
	char host[LISTEN_HOST_MAX];
	uint16_t port;
	if (!c->ops.present || !listen_parse(c->ops.listen, host, &port))
		return NULL;
	/* Whoever listens on all addresses listens on this one. */
	const char *at = host[0] == '\0' || strcmp(host, "0.0.0.0") == 0 ? "127.0.0.1"
			 : strcmp(host, "::") == 0			   ? "::1"
									   : host;
	return arena_printf(a, strchr(at, ':') ? "http://[%s]:%u/policy/status"
					       : "http://%s:%u/policy/status",
	    at, (unsigned)port);
}

static enum err_code ask(const char *url, struct arena *a, struct slice *out, struct err *e)
{
	struct httpc *h = httpc_new();
	struct httpc_response res;
	const struct httpc_request req = {
	    .url = url, .allow_http = true, .timeout_ms = TIMEOUT_MS, .max_bytes = STATUS_MAX};
	enum err_code code = httpc_do(h, &req, &res, e);
	if (code == ERR_OK && res.status != 200)
		code = err_set(e, ERR_UNAVAILABLE, "HTTP status %ld", res.status);
	if (code == ERR_OK)
		*out = slice_dup(a, buf_view(&res.body));
	httpc_response_done(&res);
	httpc_free(&h);
	return code;
}

/* --- telling --- */

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	return s ? s : "";
}

static long long number_of(const json_t *o, const char *key)
{
	return (long long)json_integer_value(json_object_get(o, key));
}

static void print_list(const char *what, const json_t *list)
{
	size_t i;
	const json_t *item;
	if (json_array_size(list) == 0)
		return;
	printf("  %s", what);
	json_array_foreach(list, i, item)
		printf("%s%s", i ? ", " : " ", json_string_value(item) ? json_string_value(item) : "");
	putchar('\n');
}

static void print_policy(const char *what, const json_t *p)
{
	const json_t *refused = json_object_get(p, "refused");
	printf("%s: %s\n  path %s\n", what, text_of(p, "state"), text_of(p, "path"));
	if (json_object_get(p, "sha256")) {
		printf("  generation %lld, sha256 %s\n", number_of(p, "generation"), text_of(p, "sha256"));
		printf("  loaded %s from %s\n", text_of(p, "loadedAt"),
		    strcmp(text_of(p, "source"), "copy") == 0
			? "the copy that is kept in the state directory"
			: "its files");
		printf("  %lld rules (%lld deny, %lld abstain), %lld tests, %zu files\n",
		    number_of(p, "rules"), number_of(p, "denyRules"), number_of(p, "abstainRules"),
		    number_of(p, "tests"), json_array_size(json_object_get(p, "files")));
		print_list("signed by", json_object_get(p, "signedBy"));
	}
	if (refused)
		printf("  its files are refused since %s, stage %s:\n  %s\n", text_of(refused, "since"),
		    text_of(refused, "stage"), text_of(refused, "error"));
}

static void print_text(const json_t *o)
{
	const json_t *shadow = json_object_get(o, "shadowPolicy");
	const json_t *sigs = json_object_get(o, "signatures");
	if (!json_object_get(o, "policy")) {
		puts("no policy is configured");
		return;
	}
	print_policy("policy", json_object_get(o, "policy"));
	printf("highest generation so far: %lld%s\n", number_of(o, "highestGeneration"),
	    json_is_true(json_object_get(o, "requireGeneration")) ? ", none is taken without one" : "");
	if (number_of(o, "maxShrink") < 100)
		printf("may shrink by: %lld %%\n", number_of(o, "maxShrink"));
	if (sigs) {
		printf("signatures needed: %lld\n", number_of(sigs, "threshold"));
		print_list("of", json_object_get(sigs, "keys"));
	}
	if (json_object_get(o, "guards"))
		printf("guards: %s\n", text_of(o, "guards"));
	if (shadow)
		print_policy("shadow policy", shadow);
}

/* --- the command --- */

struct status {
	struct arena arena;
	struct config *config;
	struct diags diags;
	json_t *document;
};

/* RUNNING: the daemon itself answered. */
static int tell(const struct command *self, struct status *s, struct slice text, bool running, bool json)
{
	struct err e = {0};
	if (jsonx_object(text, STATUS_MAX, &s->document, &e) != ERR_OK)
		return cli_error(self, "the status cannot be read: %s", e.msg);
	while (text.len && text.p[text.len - 1] == '\n')
		text.len--;
	if (json)
		printf("{\"running\":%s,\"status\":" SLICE_FMT "}\n", running ? "true" : "false",
		    SLICE_ARG(text));
	else
		print_text(s->document);
	const json_t *policy = json_object_get(s->document, "policy");
	return !policy || strcmp(text_of(policy, "state"), "current") == 0 ? CLI_OK : CLI_NO;
}

static int find(const struct command *self, struct status *s, const char *path, bool json)
{
	struct slice text;
	struct err e = {0}, why = {0};
	if (config_load(path, &s->config, &s->diags) != ERR_OK) {
		cli_print_diags(&s->diags);
		return CLI_USAGE;
	}
	const char *url = url_of(&s->arena, s->config);
	if (url && ask(url, &s->arena, &text, &why) == ERR_OK)
		return tell(self, s, text, true, json);
	const char *file = file_join(s->config->state_dir, STATUS_FILE);
	arena_on_done(&s->arena, free, (void *)(uintptr_t)file);
	if (file_read(&s->arena, file, STATUS_MAX, &text, &e) != ERR_OK)
		return cli_error(self, "%s%s%s", url ? why.msg : "", url ? "; " : "", e.msg);
	fprintf(stderr, "%s%s; as the daemon left it in %s\n", url ? "the daemon does not answer: " : "no ops listener is configured",
	    url ? why.msg : "", file);
	int rc = tell(self, s, text, false, json);
	/* Nothing decides where nobody answers. */
	return url && rc == CLI_OK ? CLI_NO : rc;
}

static int run(const struct command *self, int argc, char **argv)
{
	const char *path = NULL, *output = NULL;
	const struct cli_option options[] = {
	    {"config", 'c', &path, NULL}, {"output", 'o', &output, NULL}, {0}};
	bool json;
	if (!cli_options(self, options, &argc, argv) || !cli_output(self, output, &json))
		return CLI_USAGE;
	if (argc > 0)
		return cli_usage(self, "unexpected argument %s", argv[0]);
	struct status s = {0};
	arena_init(&s.arena, 0);
	int rc = find(self, &s, path ? path : CONFIG_DEFAULT_PATH, json);
	jsonx_unref(&s.document);
	config_free(&s.config);
	diags_done(&s.diags);
	arena_done(&s.arena);
	return rc;
}

const struct command cmd_policy_status = {
    .name = "policy status",
    .args = "[--config FILE]",
    .summary = "Tells which policy decides, since when, and what was refused since.",
    .help = "Asks the running daemon at ops.listen; when it does not answer, tells what it left in stateDir.\n\n"
	    "  -c, --config FILE     the configuration; default " CONFIG_DEFAULT_PATH "\n"
	    "  -o, --output FORMAT   text (default) or json\n\n"
	    "Exit codes: 0 the files of the policy are what decides, 1 they were refused and an older policy\n"
	    "decides, or none, or the daemon does not answer, 2 nothing can be found out.",
    .run = run,
};
