/* Owns the `portcullis-rbac-sync` program: options, signals and the loop around the worker. */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/httpc.h"
#include "common/jsonx.h"
#include "common/ldapx.h"
#include "common/log.h"
#include "rbac-sync/worker_config.h"
#include "rbac-sync/worker.h"

#define METRICS_EVERY (5 * CLOCK_SECOND)
#define DIAGS_TEXT_MAX ((size_t)1 << 20)

enum exit_code { EXIT_FINE = 0, EXIT_UNDONE = 1, EXIT_USAGE = 2 };

struct options {
	const char *config;
	bool once, dry_run, requeue_dead, help, version;
};

static struct {
	int fd;
	bool stop, reload;
} signals = {.fd = -1};

/* --- signals --- */

static void signals_open(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Reads what arrived; true when the worker should end. */
static bool stop_asked(void)
{
	struct signalfd_siginfo info;
	while (read(signals.fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGHUP)
			signals.reload = true;
		else
			signals.stop = true;
	}
	return signals.stop;
}

/* --- options --- */

static void usage(FILE *to)
{
	fputs("usage: portcullis-rbac-sync [--config FILE] [--once] [--dry-run] [--requeue-dead]\n\n"
	      "Gives the new users that portcullisd told of the bindings of the templates.\n\n"
	      "  --config FILE   the configuration; default " WORKER_CONFIG_PATH "\n"
	      "  --once          handle each event of the spool once, then end: 0 all done, 1 not all\n"
	      "  --dry-run       print what would be applied as JSON lines; change and ask nothing\n"
	      "  --requeue-dead  first move the events of dead/ back: their cause was repaired\n"
	      "  --help          this text\n"
	      "  --version       the version\n\n"
	      "Exit codes: 0 fine, 1 not all done or another worker runs, 2 wrong usage or configuration.\n",
	    to);
}

static bool parse_options(int argc, char **argv, struct options *o)
{
	static const struct option names[] = {
	    {"config", required_argument, NULL, 'c'},
	    {"once", no_argument, NULL, 'o'},
	    {"dry-run", no_argument, NULL, 'n'},
	    {"requeue-dead", no_argument, NULL, 'r'},
	    {"help", no_argument, NULL, 'h'},
	    {"version", no_argument, NULL, 'v'},
	    {0},
	};
	*o = (struct options){.config = WORKER_CONFIG_PATH};
	for (int c; (c = getopt_long(argc, argv, "h", names, NULL)) != -1;) {
		switch (c) {
		case 'c':
			o->config = optarg;
			break;
		case 'o':
			o->once = true;
			break;
		case 'n':
			o->dry_run = true;
			break;
		case 'r':
			o->requeue_dead = true;
			break;
		case 'h':
			o->help = true;
			break;
		case 'v':
			o->version = true;
			break;
		default:
			return false;
		}
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

static void wait_for_work(struct worker *w)
{
	struct pollfd fds[] = {
	    {.fd = signals.fd, .events = POLLIN},
	    {.fd = worker_spool_fd(w), .events = POLLIN},
	    {.fd = worker_templates_fd(w), .events = POLLIN},
	};
	poll(fds, ARRAY_LEN(fds), timeout_ms(worker_pause(w)));
}

static void run_daemon(struct worker *w)
{
	int64_t metrics_due = 0;
	log_info("started", LOG_STR("version", PACKAGE_VERSION));
	while (!stop_asked()) {
		worker_reload(w, signals.reload);
		signals.reload = false;
		worker_run(w);
		if (clock_mono() >= metrics_due) {
			worker_write_metrics(w);
			metrics_due = clock_mono() + METRICS_EVERY;
		}
		if (!stop_asked())
			wait_for_work(w);
	}
	log_info("stopping");
}

static int run(const struct options *o, const struct worker_config *c, struct diags *d)
{
	AUTO(worker_free) struct worker *w = NULL;
	struct err e = {0};
	enum err_code rc;
	if (o->dry_run) {
		rc = worker_dry_run(c, d, &e);
		if (rc == ERR_OK && fflush(stdout) == 0)
			return EXIT_FINE;
	} else {
		rc = worker_new(c, stop_asked, &w, d, &e);
		if (rc == ERR_OK && o->requeue_dead)
			rc = worker_revive(w, &e);
	}
	if (rc != ERR_OK) {
		if (!d->errors)
			fprintf(stderr, "portcullis-rbac-sync: %s\n", e.msg);
		return rc == ERR_REFUSED ? EXIT_UNDONE : EXIT_USAGE;
	}
	if (o->dry_run)
		return EXIT_UNDONE; /* standard output is full or closed */
	if (!o->once) {
		run_daemon(w);
		worker_write_metrics(w);
		return EXIT_FINE;
	}
	bool all = worker_drain(w);
	worker_write_metrics(w);
	return all ? EXIT_FINE : EXIT_UNDONE;
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
	if (worker_config_load(o.config, &a, &c, &d) == ERR_OK) {
		log_init("portcullis-rbac-sync", (enum log_level)c.log_level);
		signals_open();
		code = run(&o, &c, &d);
	}
	print_diags(&d);
	diags_done(&d);
	arena_done(&a);
	return code;
}
