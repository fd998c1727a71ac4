/* Polls directories from the command line, for tests on real servers: rbac-sync/directory.c without a worker.
 *
 * Usage: roster_probe CONFIG, a file of kind RBACSyncConfiguration of which `directories` counts. A command a line on
 * standard input, an answer a line on standard output, as JSON:
 *
 *	lead 0|1		leads, or leads no more
 *	advance SECONDS		moves the clocks
 *	wait N			until N polls have ended in all; what became of them
 *	say PROVIDER USER	the word and since when they are missing
 *	claim PROVIDER USER GROUP,GROUP…	the word on each group that a record claims
 *	count NAME		the last good counts of a directory
 *	remember NAME N		what a new leader read */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/ldapx.h"
#include "common/log.h"
#include "common/metrics.h"
#include "rbac-sync/directory.h"
#include "rbac-sync/worker_config.h"

#define WAIT_MAX (60 * CLOCK_SECOND)

static const char *const words[] = {[DIRECTORY_UNKNOWN] = "unknown",
    [DIRECTORY_PRESENT] = "present",
    [DIRECTORY_MISSING] = "missing",
    [DIRECTORY_GONE] = "gone"};

struct probe {
	struct directories *d;
	const struct worker_config *c;
	bool leading;
	pthread_mutex_t lock;
	pthread_cond_t more;
	size_t polls;
};

static void polled(void *ctx)
{
	struct probe *p = ctx;
	pthread_mutex_lock(&p->lock);
	p->polls++;
	pthread_cond_broadcast(&p->more);
	pthread_mutex_unlock(&p->lock);
}

static double polls(const char *directory, const char *result)
{
	char labels[128];
	snprintf(labels, sizeof(labels), "directory=\"%s\",result=\"%s\"", directory, result);
	return metric_value(
	    metrics_counter("portcullis_sync_directory_polls_total", "Polls of a directory.", labels));
}

/* Of all directories together. */
static double all_polls(const struct probe *p, const char *result)
{
	const struct directory_config *c = p->c->directories.items;
	double sum = 0;
	for (size_t i = 0; i < p->c->directories.len; i++)
		sum += polls(c[i].name, result);
	return sum;
}

static bool wait_polls(struct probe *p, size_t n)
{
	struct timespec until = clock_until(clock_mono() + WAIT_MAX);
	int rc = 0;
	pthread_mutex_lock(&p->lock);
	while (p->polls < n && rc == 0)
		rc = pthread_cond_timedwait(&p->more, &p->lock, &until);
	pthread_mutex_unlock(&p->lock);
	printf("{\"good\":%.0f,\"failed\":%.0f,\"doubted\":%.0f", all_polls(p, "good"), all_polls(p, "failed"),
	    all_polls(p, "doubted"));
	const struct directory_config *c = p->c->directories.items;
	if (c->groups.present)
		printf(",\"groups_doubted\":%.0f", all_polls(p, "groups_doubted"));
	puts("}");
	return rc == 0;
}

static void say(struct probe *p, const char *provider, const char *user)
{
	int64_t since;
	enum directory_word w = directories_say(p->d, slice_of(provider), slice_of(user), &since);
	printf("{\"word\":\"%s\",\"since\":%lld}\n", words[w], (long long)since);
}

static void count(struct probe *p, const char *name)
{
	const struct directory_counts c = directories_counts(p->d, name);
	printf("{\"count\":%zu,\"groups\":%zu,\"members\":%zu,\"nested\":%zu,\"primary\":%zu,\"confirmed\":%zu}\n",
	    c.users, c.groups, c.members, c.nested, c.primary, c.confirmed);
}

/* Claims: the groups of a record, with commas between. */
static void claim(struct probe *p, const char *provider, const char *user, char *list)
{
	struct slice groups[64];
	struct directory_claim claims[64];
	size_t n = 0;
	char *rest = NULL;
	for (char *g = strtok_r(list, ",\n", &rest); g && n < 64; g = strtok_r(NULL, ",\n", &rest))
		groups[n++] = slice_of(g);
	directories_claims(p->d, slice_of(provider), slice_of(user), groups, n, claims);
	putchar('{');
	for (size_t i = 0; i < n; i++)
		printf("%s\"%s\":\"%s\"", i ? "," : "", groups[i].p, words[claims[i].word]);
	puts("}");
}

static bool act(struct probe *p, const char *op, const char *a, const char *b)
{
	if (strcmp(op, "lead") == 0 && a) {
		p->leading = *a == '1';
		directories_lead(p->d, p->leading);
	} else if (strcmp(op, "advance") == 0 && a) {
		clock_advance(strtoll(a, NULL, 10) * CLOCK_SECOND);
		directories_lead(p->d, p->leading); /* wakes the thread to the new time */
	} else if (strcmp(op, "remember") == 0 && a && b) {
		struct directory_counts counts = directory_counts_read(b);
		directories_remember(p->d, a, &counts);
	} else {
		return false;
	}
	puts("{}");
	return true;
}

static bool obey(struct probe *p, char *line)
{
	char *rest = NULL;
	const char *op = strtok_r(line, " \n", &rest);
	const char *a = strtok_r(NULL, " \n", &rest);
	const char *b = strtok_r(NULL, " \n", &rest);
	bool ok = op != NULL;
	if (ok && strcmp(op, "wait") == 0 && a)
		ok = wait_polls(p, strtoull(a, NULL, 10));
	else if (ok && strcmp(op, "say") == 0 && a && b)
		say(p, a, b);
	else if (ok && strcmp(op, "claim") == 0 && a && b)
		claim(p, a, b, rest);
	else if (ok && strcmp(op, "count") == 0 && a)
		count(p, a);
	else
		ok = ok && act(p, op, a, b);
	fflush(stdout);
	return ok;
}

static bool load(struct arena *a, const char *path, struct worker_config *c)
{
	AUTO(diags_done) struct diags d = {0};
	AUTO(buf_done) struct buf out;
	buf_init(&out, 1 << 20);
	bool ok = worker_config_load(path, a, c, &d) == ERR_OK;
	diags_print(&d, &out);
	fputs(buf_cstr(&out), stderr);
	return ok;
}

static void probe_init(struct probe *p, const struct worker_config *c)
{
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	*p = (struct probe){.c = c};
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->more, &attr);
	pthread_condattr_destroy(&attr);
	p->d = directories_start(&c->directories, polled, p);
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	ldapx_init();
	log_init("roster_probe", LOG_LEVEL_INFO);
	AUTO(arena_done) struct arena a = {0};
	struct worker_config c;
	struct probe p;
	if (argc != 2 || !load(&a, argv[1], &c))
		return 2;
	probe_init(&p, &c);
	char *line = NULL;
	size_t cap = 0;
	bool ok = true;
	while (ok && getline(&line, &cap, stdin) > 0)
		ok = obey(&p, line);
	free(line);
	directories_stop(&p.d);
	pthread_cond_destroy(&p.more);
	pthread_mutex_destroy(&p.lock);
	return ok ? 0 : 2;
}
