/* Owns the life of portcullisd: options, start, the loop of signals and reloads, the end. */
#include <config.h>

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "authn/login.h"
#include "authn/services.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/httpc.h"
#include "common/jsonx.h"
#include "common/log.h"
#include "server/drain.h"
#include "server/handlers.h"
#include "server/notify.h"
#include "server/policy_clock.h"
#include "server/policy_report.h"
#include "server/reload.h"
#include "server/units.h"

#define TOKEN_WORKERS 16
#define LOGIN_WORKERS 8
#define SPOOL_WORKERS 8
_Static_assert(2 * FIRST_LOGIN_WAITERS_MAX <= LOGIN_WORKERS && 2 * FIRST_LOGIN_WAITERS_MAX <= SPOOL_WORKERS &&
	2 * FIRST_LOGIN_WAITERS_MAX <= TOKEN_WORKERS, "who waits for grants leaves half of each pool to others");
/* A queue longer than its workers can answer within the deadline only makes everybody late. */
#define QUEUE_DEPTH ((size_t)256)

/* In poll mode each wake-up looks at all connections of its thread, so there is a limit. */
#define WEBHOOK_CONNECTIONS 256
#define LOGIN_CONNECTIONS 256
/* Of one client: the others' places are out of its reach. */
#define LOGIN_PER_ADDRESS 64
#define OPS_CONNECTIONS 64
#define WEBHOOK_THREADS_MAX 4

/* client-go closes idle connections after 90 s; the server must not be the one that closes first. */
#define WEBHOOK_IDLE_S 120
#define FIRST_S 10
#define REQUEST_MAX (30 * CLOCK_SECOND)
#define LOGIN_LIFETIME (300 * CLOCK_SECOND)

enum { EXIT_FINE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct options {
	const char *config;
	enum log_level level;
	bool check, print_reference;
};

struct process {
	struct server server;
	struct err login_trouble; /* that was last told of */
	struct reload *reload;
	struct policy_clock policy_clock;
	struct listener *listeners[SERVER_LISTENERS];
	int signals;
};

static const char usage[] =
    "Usage: portcullisd [OPTION]...\n"
    "Answers a Kubernetes apiserver's TokenReviews and SubjectAccessReviews.\n\n"
    "  -c, --config FILE      configuration (default " CONFIG_DEFAULT_PATH ")\n"
    "      --check            checks configuration, certificates and policy, then exits\n"
    "  -l, --log-level LEVEL  debug, info (default), warn or error\n"
    "      --version          prints the version and exits\n"
    "      --help             prints this and exits\n\n"
    "Exit codes: 0 fine, 1 failed, 2 wrong usage.\n"
    "SIGHUP reloads and reopens the audit log; SIGTERM drains and ends.\n";

static bool parse_level(const char *text, enum log_level *out)
{
	static const char *const names[] = {"debug", "info", "warn", "error"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(text, names[i]) == 0) {
			*out = (enum log_level)i;
			return true;
		}
	return false;
}

/* True when the process goes on; otherwise *CODE is its exit code. */
static bool parse_options(int argc, char **argv, struct options *o, int *code)
{
	static const struct option options[] = {{"config", required_argument, NULL, 'c'},
	    {"check", no_argument, NULL, 'C'}, {"log-level", required_argument, NULL, 'l'},
	    {"version", no_argument, NULL, 'V'}, {"help", no_argument, NULL, 'h'},
	    {"print-config-reference", no_argument, NULL, 'P'}, {0}};
	*o = (struct options){.config = CONFIG_DEFAULT_PATH, .level = LOG_LEVEL_INFO};
	*code = EXIT_FINE;
	for (int c; (c = getopt_long(argc, argv, "c:l:", options, NULL)) != -1;) {
		if (c == 'c') {
			o->config = optarg;
		} else if (c == 'C') {
			o->check = true;
		} else if (c == 'P') {
			o->print_reference = true;
		} else if (c == 'V') {
			puts("portcullisd " PACKAGE_VERSION);
			return false;
		} else if (c == 'h') {
			fputs(usage, stdout);
			return false;
		} else if (c != 'l' || !parse_level(optarg, &o->level)) {
			fputs("Try 'portcullisd --help'.\n", stderr);
			*code = EXIT_USAGE;
			return false;
		}
	}
	if (optind == argc)
		return true;
	fprintf(stderr, "portcullisd: unexpected argument '%s'\n", argv[optind]);
	*code = EXIT_USAGE;
	return false;
}

static void print_findings(const struct diags *d)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	diags_print(d, &b);
	fputs(buf_cstr(&b), stderr);
	buf_done(&b);
}

/* Tokens and keys are in this memory: no core, no debugger of the same user. */
static void protect_memory(void)
{
	umask(077);
	struct rlimit none = {0, 0};
	setrlimit(RLIMIT_CORE, &none);
#if !defined(__SANITIZE_ADDRESS__)
	/* The leak checker attaches to its own process at exit. */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

/* Blocked before the first thread, so that every thread inherits it and only the loop takes them. */
static int open_signals(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static unsigned webhook_threads(void)
{
	cpu_set_t set;
	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return 1;
	unsigned n = (unsigned)CPU_COUNT(&set);
	return n > WEBHOOK_THREADS_MAX ? WEBHOOK_THREADS_MAX : n;
}

static enum err_code start_pools(struct server *s, struct err *e)
{
	TRY(work_new("token", TOKEN_WORKERS, QUEUE_DEPTH, &s->token_work, e));
	TRY(work_new("login", LOGIN_WORKERS, QUEUE_DEPTH, &s->login_work, e));
	return work_new("spool", SPOOL_WORKERS, QUEUE_DEPTH, &s->spool_work, e);
}

static void on_issuer(void *arg, const char *issuer, const struct err *e)
{
	(void)arg;
	if (e)
		log_warn("issuer fails", LOG_STR("issuer", issuer), LOG_STR("error", e->msg));
	else
		log_info("issuer is well again", LOG_STR("issuer", issuer));
}

static void on_directory(
    void *arg, const char *directory, const char *server, const struct err *e)
{
	(void)arg;
	if (e)
		log_warn("directory server keeps failing and is not asked",
		    LOG_STR("directory", directory), LOG_STR("server", server),
		    LOG_STR("error", e->msg));
	else
		log_info("directory server is well again", LOG_STR("directory", directory),
		    LOG_STR("server", server));
}

static void on_denylist(void *arg, const char *path, size_t entries, const struct err *e)
{
	(void)arg;
	if (e)
		log_error("denylist cannot be used, the old entries stay", LOG_STR("file", path),
		    LOG_INT("entries", entries), LOG_STR("error", e->msg));
	else
		log_info("denylist read", LOG_STR("file", path), LOG_INT("entries", entries));
}

static enum err_code start_services(struct server *s, const struct config *cfg, struct err *e)
{
	struct authn_services_options o = {.state_dir = cfg->state_dir,
	    .workers = TOKEN_WORKERS,
	    .event = on_issuer,
	    .directory_event = on_directory,
	    .denylist_event = on_denylist};
	TRY(file_mkdirs(cfg->state_dir, 0700, e));
	TRY(authn_services_new(&o, &s->services, e));
	TRY(authn_services_start(s->services, e));
	return start_pools(s, e);
}

static enum err_code start_listener(
    struct process *p, enum server_listener i, const struct listener_options *o, struct err *e)
{
	TRY(listener_start(o, &p->listeners[i], e));
	log_info("listening", LOG_STR("listener", o->name), LOG_STR("address", o->address),
	    LOG_INT("port", listener_port(p->listeners[i])));
	return ERR_OK;
}

static enum err_code start_listeners(struct process *p, const struct config *cfg, struct err *e)
{
	struct listener_options webhook = {.name = "webhook", .address = cfg->webhook.listen,
	    .server = &p->server, .routes = routes_webhook, .tls = TLS_WEBHOOK,
	    .threads = webhook_threads(), .connections = WEBHOOK_CONNECTIONS, .first_timeout = FIRST_S,
	    .idle_timeout = WEBHOOK_IDLE_S, .request_timeout = REQUEST_MAX};
	struct listener_options login = {.name = "login", .address = cfg->login.listen,
	    .server = &p->server, .routes = routes_login, .tls = TLS_LOGIN, .threads = 1,
	    .connections = LOGIN_CONNECTIONS, .per_address = LOGIN_PER_ADDRESS,
	    .first_timeout = FIRST_S, .idle_timeout = FIRST_S, .request_timeout = REQUEST_MAX,
	    .lifetime = LOGIN_LIFETIME};
	struct listener_options ops = {.name = "ops", .address = cfg->ops.listen,
	    .server = &p->server, .routes = routes_ops, .tls = LISTENER_PLAIN, .threads = 1,
	    .connections = OPS_CONNECTIONS, .first_timeout = FIRST_S, .idle_timeout = WEBHOOK_IDLE_S,
	    .request_timeout = REQUEST_MAX};
	TRY(start_listener(p, LISTENER_WEBHOOK, &webhook, e));
	if (cfg->login.present)
		TRY(start_listener(p, LISTENER_LOGIN, &login, e));
	if (cfg->ops.present)
		TRY(start_listener(p, LISTENER_OPS, &ops, e));
	return ERR_OK;
}

static void log_findings(const struct diags *d)
{
	for (size_t i = 0; i < d->len; i++)
		log_error("cannot start", LOG_STR("file", d->items[i].file),
		    LOG_INT("line", d->items[i].line), LOG_INT("col", d->items[i].col),
		    LOG_STR("error", d->items[i].text));
}

/* Everything up to the point where requests are answered. CFG is taken over when it succeeds. */
static enum err_code start(struct process *p, struct config **cfg, struct diags *d)
{
	struct err e = {0};
	snapshots_init(&p->server.snapshots);
	status_init(&p->server.status);
	policy_board_init(&p->server.policy);
	handlers_init(&p->server.metrics);
	first_login_init(&p->server.first_login);
	if (start_services(&p->server, *cfg, &e) != ERR_OK)
		return diags_error(d, "", 0, 0, "%s", e.msg);
	TRY(reload_new(&p->server, cfg, &p->reload, d));
	struct snapshot *s = snapshot_acquire(&p->server.snapshots);
	enum err_code code = start_listeners(p, s->config, &e);
	snapshot_release(&s);
	return code == ERR_OK ? ERR_OK : diags_error(d, "", 0, 0, "%s", e.msg);
}

static void finish(struct process *p)
{
	drain(&p->server, p->listeners);
	if (p->reload)
		audit_write_event(reload_audit(p->reload), "server.stop", NULL);
	snapshots_done(&p->server.snapshots);
	reload_free(&p->reload);
	authn_services_free(&p->server.services);
	status_done(&p->server.status);
	policy_board_done(&p->server.policy);
	close(p->signals);
	log_info("stopped");
}

/* Waits until the editor has put its tool down; false when it goes on changing things for two seconds. */
static bool wait_quiet(struct process *p)
{
	struct pollfd fd = {.fd = reload_fd(p->reload), .events = POLLIN};
	int64_t now = clock_mono(), until = now + 2 * CLOCK_SECOND;
	int64_t quiet = now + RELOAD_QUIET_MS * CLOCK_MS;
	for (; now < quiet && now < until; now = clock_mono())
		if (poll(&fd, 1, (int)((quiet - now) / CLOCK_MS) + 1) > 0 && reload_drain(p->reload))
			quiet = clock_mono() + RELOAD_QUIET_MS * CLOCK_MS;
	return now >= quiet;
}

static void reload_as_asked(struct process *p)
{
	log_info("reload asked for");
	notify_reloading();
	if (reload_audit(p->reload))
		audit_reopen(reload_audit(p->reload));
	reload_check(p->reload, RELOAD_ASKED);
	notify_send("READY=1");
}

/* True while the process goes on. All that is pending is read before anything is done: SIGHUP comes first by
 * number, and a stream of them must not hide SIGTERM. */
static bool take_signals(struct process *p)
{
	struct signalfd_siginfo info[8];
	ssize_t len = read(p->signals, info, sizeof(info));
	size_t n = len > 0 ? (size_t)len / sizeof(info[0]) : 0;
	for (size_t i = 0; i < n; i++)
		if (info[i].ssi_signo != SIGHUP)
			return false;
	if (n > 0)
		reload_as_asked(p);
	return true;
}

/* When things are done next, as clock_mono(). */
struct agenda {
	int64_t compare; /* files by content */
	int64_t listen;	 /* not before then to events of files */
	int64_t pet;	 /* the watchdog; interval 0: nobody watches */
	int64_t pet_interval;
};

/* CHANGED: there are events. Those of other files in the same folders (the audit log may lie beside the
 * configuration) are taken in bulk. */
static void follow_files(struct process *p, struct agenda *a, bool changed)
{
	bool ours = changed && reload_drain(p->reload);
	if (changed && !ours)
		a->listen = clock_mono() + RELOAD_QUIET_MS * CLOCK_MS;
	enum reload_cause cause = RELOAD_POLL_DUE;
	if (ours)
		cause = wait_quiet(p) ? RELOAD_SETTLED : RELOAD_POLL_DUE;
	else if (clock_mono() < a->compare)
		return;
	bool again = reload_check(p->reload, cause);
	a->compare = clock_mono() + (again ? RELOAD_QUIET_MS * CLOCK_MS : RELOAD_POLL);
}

/* Signing keys and ended sessions; a fault is told of once, and when it is over. */
static void keep_login(struct process *p)
{
	struct err e = {0};
	struct snapshot *s = snapshot_acquire(&p->server.snapshots);
	bool changed = authn_login_tick(s->authn, &e);
	snapshot_release(&s);
	if (changed) {
		log_info("login keys changed");
		audit_write_event(reload_audit(p->reload), "login.keys", "other signing keys");
	}
	if (strcmp(e.msg, p->login_trouble.msg) == 0)
		return;
	p->login_trouble = e;
	if (e.code == ERR_OK) {
		log_info("login state is well again");
		status_forget(&p->server.status, STATUS_LOGIN);
		return;
	}
	log_error("login state", LOG_STR("error", e.msg));
	char since[CLOCK_RFC3339_LEN];
	clock_rfc3339(clock_now(), since);
	/* What is in memory serves on. */
	status_set(&p->server.status, STATUS_LOGIN, false, "stale since %s: %s", since, e.msg);
}

static void keep_house(struct process *p, struct agenda *a)
{
	authn_services_sweep(p->server.services);
	keep_login(p);
	policy_clock_tick(&p->policy_clock, &p->server);
	for (int i = 0; i < SERVER_LISTENERS; i++)
		if (p->listeners[i])
			listener_sweep(p->listeners[i]);
	if (a->pet_interval && clock_mono() >= a->pet) {
		notify_send("WATCHDOG=1");
		a->pet = clock_mono() + a->pet_interval;
	}
}

/* Milliseconds until the next thing to do, at most a second. */
static int nap(const struct process *p, const struct agenda *a, bool deaf)
{
	int64_t next = deaf && a->listen < a->compare ? a->listen : a->compare;
	int64_t left = (next - clock_mono()) / CLOCK_MS, policy = policy_clock_left(&p->policy_clock);
	if (policy < left)
		left = policy;
	return left > 1000 ? 1000 : left > 0 ? (int)left : 0;
}

static void loop(struct process *p)
{
	struct agenda a = {.compare = clock_mono() + RELOAD_POLL,
	    .pet_interval = notify_watchdog_interval()};
	for (;;) {
		struct pollfd fds[] = {{.fd = p->signals, .events = POLLIN},
		    {.fd = reload_fd(p->reload), .events = POLLIN}};
		bool deaf = clock_mono() < a.listen;
		int ready = poll(fds, deaf ? 1 : 2, nap(p, &a, deaf));
		if (ready > 0 && fds[0].revents && !take_signals(p))
			return;
		follow_files(p, &a, ready > 0 && !deaf && fds[1].revents);
		keep_house(p, &a);
	}
}

static int serve(struct config **cfg)
{
	struct process p = {.signals = open_signals()};
	struct diags d = {0};
	if (p.signals < 0 || start(&p, cfg, &d) != ERR_OK) {
		log_findings(&d);
		diags_done(&d);
		config_free(cfg);
		finish(&p);
		return EXIT_FAILED;
	}
	diags_done(&d);
	audit_write_event(reload_audit(p.reload), "server.start", PACKAGE_VERSION);
	notify_send("READY=1\nSTATUS=serving");
	log_info("serving", LOG_STR("version", PACKAGE_VERSION));
	loop(&p);
	finish(&p);
	return EXIT_FINE;
}

/* --check: whatever would keep the server from starting, or from deciding. */
static int check(struct config **cfg)
{
	struct diags d = {0};
	struct server s = {0};
	struct snapshot_parts parts = {0};
	struct authn_services_options o = {.state_dir = NULL, .workers = 1};
	struct err e = {0};
	enum err_code code = unit_tls_load(*cfg, &parts, &d);
	if (unit_policy_check(*cfg, &d) != ERR_OK)
		code = ERR_INVALID;
	struct authn_chain *chain = NULL;
	if (authn_services_new(&o, &s.services, &e) != ERR_OK)
		code = diags_error(&d, "", 0, 0, "%s", e.msg);
	else if (authn_chain_new(&(*cfg)->authentication, s.services, &chain, &d) != ERR_OK)
		code = ERR_INVALID;
	print_findings(&d);
	authn_chain_free(&chain);
	authn_services_free(&s.services);
	parts_done(&parts);
	diags_done(&d);
	return code == ERR_OK ? EXIT_FINE : EXIT_FAILED;
}

int main(int argc, char **argv)
{
	struct options o;
	int code;
	if (!parse_options(argc, argv, &o, &code))
		return code;
	if (o.print_reference) {
		struct buf b;
		buf_init(&b, 1 << 20);
		config_print_reference(&b);
		fputs(buf_cstr(&b), stdout);
		buf_done(&b);
		return EXIT_FINE;
	}
	protect_memory();
	log_init("portcullisd", o.level);
	jsonx_init();
	httpc_init();
	tls_init();
	struct config *cfg = NULL;
	struct diags d = {0};
	code = EXIT_FAILED;
	if (config_load(o.config, &cfg, &d) != ERR_OK) {
		print_findings(&d);
	} else {
		if (d.warnings)
			print_findings(&d);
		code = o.check ? check(&cfg) : serve(&cfg);
		config_free(&cfg);
	}
	diags_done(&d);
	return code;
}
