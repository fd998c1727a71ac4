/* Owns `portcullis token explain`: one token, asked of the authenticators that a configuration makes. */
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "authn/mint.h"
#include "authn/services.h"
#include "cli/commands.h"
#include "cli/token.h"
#include "common/clock.h"
#include "common/file.h"
#include "server/config.h"

/* More is no token but a wrong file. What is longer than a token may be is explained as such. */
#define INPUT_MAX ((size_t)1 << 20)

/* Discovery and key set, or a directory and its fail-over. */
#define WAIT (15 * CLOCK_SECOND)

#define REPORT_MAX ((size_t)16 << 20) /* 10,000 groups of the longest names */

struct token_options {
	const char *config, *output, *audience, *now_text;
	bool offline, json;
	int64_t now;
};

/* What is there while a token is explained. */
struct session {
	const struct command *self;
	struct arena arena; /* wiped */
	struct config *config;
	struct authn_services *services;
	struct authn_chain *chain;
	struct diags diags;
};

static void session_done(struct session *s)
{
	authn_chain_free(&s->chain);
	authn_services_free(&s->services);
	config_free(&s->config);
	diags_done(&s->diags);
	arena_done(&s->arena);
}

static void on_event(void *arg, const char *issuer, const struct err *e)
{
	if (e)
		cli_error(arg, "%s: %s", issuer, e->msg);
}

static void warn_of_login_keys(const struct session *s)
{
	if (s->config->login.present && !authn_services_state(s->services, MINT_FILE))
		cli_error(s->self, "%s/" MINT_FILE " cannot be read: login tokens will not verify",
		    s->config->state_dir);
}

static enum err_code open_chain(struct session *s, const struct token_options *o, struct err *e)
{
	const struct authn_services_options options = {
	    .state_dir = s->config->state_dir,
	    .read_only = true,
	    .on_demand = !o->offline,
	    .workers = 2,
	    .event = on_event,
	    .event_arg = (void *)(uintptr_t)s->self,
	};
	TRY(authn_services_new(&options, &s->services, e));
	if (authn_chain_new(&s->config->authentication, s->services, &s->chain, &s->diags) != ERR_OK)
		return err_set(e, ERR_INVALID, "the configuration cannot be used");
	authn_services_apply(s->services, &s->config->authentication);
	warn_of_login_keys(s);
	return ERR_OK;
}

static enum err_code load(struct session *s, const struct token_options *o, struct err *e)
{
	struct slice text;
	TRY(file_read(&s->arena, o->config, CONFIG_BYTES_MAX, &text, e));
	if (config_parse(o->config, text, &s->config, &s->diags) != ERR_OK)
		return err_set(e, ERR_INVALID, "the configuration cannot be used");
	return open_chain(s, o, e);
}

/* --- the token --- */

/* All of standard input, in memory that is wiped. */
static enum err_code read_all(struct arena *a, struct slice *out, struct err *e)
{
	char *p = arena_alloc(a, INPUT_MAX + 1);
	size_t n = 0;
	for (;;) {
		ssize_t got = read(STDIN_FILENO, p + n, INPUT_MAX + 1 - n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_set(e, ERR_INVALID, "standard input: %s", strerror(errno));
		n += (size_t)got;
		if (n > INPUT_MAX)
			return err_set(e, ERR_LIMIT, "standard input: more than %zu bytes", INPUT_MAX);
		if (got == 0)
			break;
	}
	*out = (struct slice){p, n};
	return ERR_OK;
}

static enum err_code read_token(struct arena *a, struct slice *out, struct err *e)
{
	if (isatty(STDIN_FILENO))
		return err_set(e, ERR_INVALID,
		    "expected the token on standard input: portcullis token explain <FILE");
	TRY(read_all(a, out, e));
	/* The line break that echo and editors add. */
	if (out->len && out->p[out->len - 1] == '\n')
		out->len--;
	if (out->len && out->p[out->len - 1] == '\r')
		out->len--;
	return out->len ? ERR_OK
			: err_set(e, ERR_INVALID, "standard input is empty: expected a token there");
}

/* --- asking --- */

static enum authn_step ask(struct session *s, const struct token_options *o, struct authn_call *call)
{
	enum authn_step step = authn_try_now(s->chain, call);
	if (step != AUTHN_NEEDS_WORK)
		return step;
	if (!o->offline)
		return authn_work(s->chain, call);
	call->reason = "offline";
	err_set(&call->why, ERR_UNAVAILABLE, "to decide, an issuer or a directory would have to be asked");
	return AUTHN_UNAVAILABLE;
}

/* The status line of the issuer that decided, without its URL. */
static const char *keys_of(const struct session *s, const struct authn_call *call, struct arena *a)
{
	const char *name = call->authenticator;
	if (!name || strncmp(name, "jwt:", 4) != 0)
		return NULL;
	const char *found = NULL;
	struct slice url = slice_of(name + 4);
	AUTO(buf_done) struct buf lines;
	buf_init(&lines, 1 << 20);
	authn_services_status(s->services, &lines);
	for (struct slice l = buf_view(&lines); l.len && !found;) {
		size_t end = slice_find(l, '\n');
		struct slice line = slice_skip((struct slice){l.p, end}, 1);
		if (slice_starts(line, url) && slice_starts(slice_skip(line, url.len), SLICE(": ")))
			found = slice_dup(a, slice_skip(line, url.len + 2)).p;
		l = slice_skip(l, end + 1);
	}
	return found;
}

static int explain(struct session *s, const struct token_options *o, struct slice token)
{
	const struct slice audience = slice_of(o->audience);
	struct authn_call call = {
	    .arena = &s->arena,
	    .token = token,
	    .audiences = &audience,
	    .naudiences = o->audience ? 1 : 0,
	    .now = o->now,
	    .deadline = clock_mono() + WAIT,
	};
	struct token_explanation e = {.arena = &s->arena, .call = &call};
	token_look(&s->arena, token, &e.look);
	token_watch(&e);
	e.step = ask(s, o, &call);
	e.keys = keys_of(s, &call, &s->arena);
	AUTO(buf_wipe_done) struct buf out;
	buf_init(&out, REPORT_MAX);
	if (o->json)
		token_write_json(&e, &out);
	else
		token_write_text(&e, &out);
	fputs(buf_cstr(&out), stdout);
	return e.step == AUTHN_ACCEPT ? CLI_OK : CLI_NO;
}

static bool take_options(
    const struct command *self, struct token_options *o, int argc, char **argv)
{
	const struct cli_option options[] = {{"config", 'c', &o->config, NULL},
	    {"output", 'o', &o->output, NULL}, {"audience", 0, &o->audience, NULL},
	    {"now", 0, &o->now_text, NULL}, {"offline", 0, NULL, &o->offline}, {0}};
	if (!cli_options(self, options, &argc, argv) || !cli_now(self, o->now_text, &o->now) ||
	    !cli_output(self, o->output, &o->json))
		return false;
	if (argc > 0) {
		/* A token in the arguments would be in the process list: it is not repeated either. */
		cli_usage(self, "unexpected argument; the token is read from standard input");
		return false;
	}
	o->config = o->config ? o->config : CONFIG_DEFAULT_PATH;
	return true;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct token_options o = {0};
	if (!take_options(self, &o, argc, argv))
		return CLI_USAGE;
	const struct rlimit no_core = {0, 0};
	setrlimit(RLIMIT_CORE, &no_core);
	struct session s = {.self = self};
	struct slice token = {0};
	struct err e = {0};
	arena_init_wiped(&s.arena, 0);
	int rc = CLI_USAGE;
	enum err_code code = read_token(&s.arena, &token, &e);
	if (code == ERR_OK)
		code = load(&s, &o, &e);
	cli_print_diags(&s.diags);
	if (code == ERR_OK)
		rc = explain(&s, &o, token);
	else
		cli_error(self, "%s", e.msg);
	session_done(&s);
	return rc;
}

const struct command cmd_token_explain = {
    .name = "token explain",
    .args = "[--config FILE] [--offline] <TOKEN",
    .summary = "Tells what portcullisd makes of the token on standard input, check by check.",
    .help = "  -c, --config FILE       the configuration; default " CONFIG_DEFAULT_PATH "\n"
	    "      --offline           ask no issuer and no directory: key sets are those that the\n"
	    "                          daemon keeps in stateDir, and those of jwksFile\n"
	    "      --audience NAME     as a review that asks for this audience\n"
	    "      --now TIME          decide as of this time (RFC 3339) and not as of now\n"
	    "  -o, --output FORMAT     text (default) or json\n\n"
	    "Told are the token's form, each authenticator that was asked and what it checked, the\n"
	    "verdict with its reason, and the user it comes to: never the token, its signature or\n"
	    "its payload. Without --offline the issuer's keys are fetched anew, and a directory may\n"
	    "be asked (a wrong password counts there as anywhere). Writes nothing. Run it as the\n"
	    "daemon's user: it has to be able to read the same files.\n"
	    "Exit codes: 0 accepted, 1 refused or undecided, 2 an input that cannot be read.",
    .run = run,
};
