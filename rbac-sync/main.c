/* Owns the `portcullis-rbac-sync` program: options, signals and the loop of its main thread. */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/httpc.h"
#include "common/jsonx.h"
#include "common/ldapx.h"
#include "common/log.h"
#include "rbac-sync/counters.h"
#include "rbac-sync/runtime.h"

#define METRICS_EVERY (5 * CLOCK_SECOND)
#define DIAGS_TEXT_MAX ((size_t)1 << 20)

enum exit_code { EXIT_FINE = 0, EXIT_UNDONE = 1, EXIT_USAGE = 2 };

enum dry { DRY_OFF = 0, DRY_CLIENT, DRY_SERVER };

struct options {
	const char *config, *mode;
	enum dry dry;
	bool once, requeue_dead, privileged, help, version;
};

/* Signals are read by a thread of their own: the main thread may sit in a request, and is to leave it then. */
static struct {
	int fd, wake, quit; /* signalfd; for the main thread; for the thread */
	pthread_t thread;
	struct cancel stop;
	atomic_bool reload;
} signals = {.fd = -1, .wake = -1, .quit = -1};

/* --- signals --- */

static void *read_signals(void *arg)
{
	(void)arg;
	struct signalfd_siginfo info;
	struct pollfd fds[] = {{.fd = signals.fd, .events = POLLIN}, {.fd = signals.quit, .events = POLLIN}};
	pthread_setname_np(pthread_self(), "signals");
	while (!fds[1].revents) {
		if (poll(fds, ARRAY_LEN(fds), -1) < 0 && errno != EINTR)
			break;
		while (read(signals.fd, &info, sizeof(info)) == sizeof(info)) {
			if (info.ssi_signo == SIGHUP)
				atomic_store(&signals.reload, true);
			else
				cancel_ask(&signals.stop);
			eventfd_write(signals.wake, 1);
		}
	}
	return NULL;
}

static void signals_open(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	cancel_init(&signals.stop);
	signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	signals.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	signals.quit = eventfd(0, EFD_CLOEXEC);
	if (signals.fd < 0 || signals.wake < 0 || signals.quit < 0 ||
	    pthread_create(&signals.thread, NULL, read_signals, NULL) != 0)
		abort();
}

static void signals_close(void)
{
	eventfd_write(signals.quit, 1);
	pthread_join(signals.thread, NULL);
	cancel_done(&signals.stop);
	close(signals.fd);
	close(signals.wake);
	close(signals.quit);
}

static bool stop_asked(void)
{
	return cancel_asked(&signals.stop);
}

/* --- options --- */

static void usage(FILE *to)
{
	fputs("usage: portcullis-rbac-sync [--config FILE] [--mode MODE] [--once] [--dry-run[=client|server]]\n"
	      "                            [--requeue-dead] [--allow-privileged-grants]\n\n"
	      "Makes records of the users that portcullisd told of, and gives them what the templates say.\n\n"
	      "  --config FILE   the configuration; default " WORKER_CONFIG_PATH "\n"
	      "  --mode MODE     all, intake or reconcile, in place of the configuration's\n"
	      "  --once          handle the spool and each record once, then end: 0 all done, 1 not all\n"
	      "  --dry-run       print what the spool's events would be due as JSON lines; ask and change\n"
	      "                  nothing. With =server: ask the apiserver by dryRun=All what it would say\n"
	      "  --requeue-dead  first move the events of dead/ back: their cause was repaired\n"
	      "  --allow-privileged-grants\n"
	      "                  bind dangerous roles where a template says allowPrivileged\n"
	      "  --help          this text\n"
	      "  --version       the version\n\n"
	      "Exit codes: 0 fine, 1 not all done or another worker runs, 2 wrong usage or configuration.\n",
	    to);
}

static bool parse_dry(const char *how, struct options *o)
{
	o->dry = !how || strcmp(how, "client") == 0 ? DRY_CLIENT : DRY_SERVER;
	if (o->dry == DRY_CLIENT || strcmp(how, "server") == 0)
		return true;
	fprintf(stderr, "portcullis-rbac-sync: --dry-run is client or server, not `%s`\n", how);
	return false;
}

static bool parse_option(int c, struct options *o)
{
	switch (c) {
	case 'c':
		o->config = optarg;
		return true;
	case 'm':
		o->mode = optarg;
		return true;
	case 'o':
		o->once = true;
		return true;
	case 'n':
		return parse_dry(optarg, o);
	case 'r':
		o->requeue_dead = true;
		return true;
	case 'p':
		o->privileged = true;
		return true;
	case 'h':
		o->help = true;
		return true;
	case 'v':
		o->version = true;
		return true;
	default:
		return false;
	}
}

static bool parse_options(int argc, char **argv, struct options *o)
{
	static const struct option names[] = {
	    {"config", required_argument, NULL, 'c'},
	    {"mode", required_argument, NULL, 'm'},
	    {"once", no_argument, NULL, 'o'},
	    {"dry-run", optional_argument, NULL, 'n'},
	    {"requeue-dead", no_argument, NULL, 'r'},
	    {"allow-privileged-grants", no_argument, NULL, 'p'},
	    {"help", no_argument, NULL, 'h'},
	    {"version", no_argument, NULL, 'v'},
	    {0},
	};
	*o = (struct options){.config = WORKER_CONFIG_PATH};
	for (int c; (c = getopt_long(argc, argv, "h", names, NULL)) != -1;) {
		if (!parse_option(c, o))
			return false;
	}
	if (optind < argc)
		fprintf(stderr, "portcullis-rbac-sync: unexpected argument `%s`\n", argv[optind]);
	return optind == argc;
}

/* --- running --- */

static int timeout_ms(int64_t pause)
{
	int64_t ms = (pause + CLOCK_MS - 1) / CLOCK_MS;
	return ms > 60000 ? 60000 : (int)ms;
}

static void wait_for_work(struct runtime *r, int64_t metrics_every)
{
	struct pollfd fds[] = {
	    {.fd = signals.wake, .events = POLLIN},
	    {.fd = runtime_fd(r), .events = POLLIN},
	};
	eventfd_t n;
	int64_t pause = runtime_pause(r);
	poll(fds, ARRAY_LEN(fds), timeout_ms(pause < metrics_every ? pause : metrics_every));
	eventfd_read(signals.wake, &n);
}

static void run_daemon(struct runtime *r, int64_t metrics_every)
{
	int64_t metrics_due = 0;
	log_info("started", LOG_STR("version", PACKAGE_VERSION));
	while (!stop_asked()) {
		if (atomic_exchange(&signals.reload, false))
			runtime_reload(r);
		runtime_run(r);
		if (clock_mono() >= metrics_due) {
			runtime_write_metrics(r);
			metrics_due = clock_mono() + metrics_every;
		}
		if (!stop_asked())
			wait_for_work(r, metrics_every);
	}
	log_info("stopping");
}

static bool keep_on(struct runtime *r, const struct options *o, const struct worker_config *c)
{
	if (o->once || o->dry == DRY_SERVER)
		return runtime_once(r);
	run_daemon(r, c->scan_interval < METRICS_EVERY ? c->scan_interval : METRICS_EVERY);
	return true;
}

static int failed(enum err_code rc, const struct diags *d, const struct err *e)
{
	if (!d->errors)
		fprintf(stderr, "portcullis-rbac-sync: %s\n", e->msg);
	return rc == ERR_REFUSED ? EXIT_UNDONE : EXIT_USAGE;
}

static int run(const struct options *o, const struct worker_config *c, struct diags *d)
{
	struct runtime *r = NULL;
	struct err e = {0};
	if (o->dry == DRY_CLIENT) {
		enum err_code rc = runtime_print(c, o->privileged, d, &e);
		if (rc != ERR_OK)
			return failed(rc, d, &e);
		return fflush(stdout) == 0 ? EXIT_FINE : EXIT_UNDONE; /* standard output is full or closed */
	}
	const struct runtime_options ro = {
	    .config = c,
	    .once = o->once || o->dry == DRY_SERVER,
	    .dry_run = o->dry == DRY_SERVER,
	    .allow_privileged = o->privileged,
	    .stop = &signals.stop,
	};
	counters_begin(c->mode != MODE_RECONCILE, c->mode != MODE_INTAKE, PACKAGE_VERSION);
	enum err_code rc = runtime_new(&ro, &r, d, &e);
	if (rc == ERR_OK && o->requeue_dead)
		rc = runtime_revive(r, &e);
	bool all = rc == ERR_OK && keep_on(r, o, c);
	runtime_stop(&r);
	if (rc != ERR_OK)
		return failed(rc, d, &e);
	return all && fflush(stdout) == 0 ? EXIT_FINE : EXIT_UNDONE;
}

/* The command line wins over the file. */
static bool set_mode(const char *mode, struct worker_config *c)
{
	static const char *const words[] = {[MODE_ALL] = "all", [MODE_INTAKE] = "intake", [MODE_RECONCILE] = "reconcile"};
	for (size_t i = 0; mode && i < ARRAY_LEN(words); i++) {
		if (strcmp(mode, words[i]) != 0)
			continue;
		c->mode = (int)i;
		if (c->templates || i == MODE_INTAKE)
			return true;
		fprintf(stderr, "portcullis-rbac-sync: --mode %s needs templates in the configuration\n", mode);
		return false;
	}
	if (mode)
		fprintf(stderr, "portcullis-rbac-sync: --mode is all, intake or reconcile, not `%s`\n", mode);
	return !mode;
}

static void print_diags(const struct diags *d)
{
	struct buf text;
	buf_init(&text, DIAGS_TEXT_MAX);
	diags_print(d, &text);
	fputs(buf_cstr(&text), stderr);
	buf_done(&text);
}

int main(int argc, char **argv)
{
	struct options o;
	if (!parse_options(argc, argv, &o)) {
		usage(stderr);
		return EXIT_USAGE;
	}
	if (o.help || o.version) {
		if (o.help)
			usage(stdout);
		else
			printf("portcullis-rbac-sync %s\n", PACKAGE_VERSION);
		return fflush(stdout) == 0 ? EXIT_FINE : EXIT_USAGE;
	}
	struct arena a;
	struct diags d = {0};
	struct worker_config c;
	int code = EXIT_USAGE;
	jsonx_init();
	httpc_init();
	ldapx_init();
	arena_init(&a, 0);
	if (worker_config_load(o.config, &a, &c, &d) == ERR_OK && set_mode(o.mode, &c)) {
		log_init("portcullis-rbac-sync", (enum log_level)c.log_level);
		signals_open();
		code = run(&o, &c, &d);
		signals_close();
	}
	print_diags(&d);
	diags_done(&d);
	arena_done(&a);
	return code;
}
