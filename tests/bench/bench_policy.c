/* What decisions of a policy cost: loads it, asks it, counts. Usage: bench_policy POLICY REQUESTS ROUNDS; a
 * line of REQUESTS is a name, a tab, a SubjectAccessReview. Prints JSON. Under callgrind each request makes a dump
 * of its own, with ROUNDS calls in it, and of the first one more, with all
 * that a review goes through between HTTP and the audit record. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <valgrind/callgrind.h>

#include "authz/sar.h"
#include "policy/worst.h"
#include "tests/support/must.h"

static double seconds(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A figure in KiB from /proc/self/status. */
static long status_kib(const char *key)
{
	char line[256];
	long kib = 0;
	FILE *f = fopen("/proc/self/status", "r");
	size_t n = strlen(key);
	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, key, n) == 0)
			kib = strtol(line + n, NULL, 10);
	if (f)
		fclose(f);
	return kib;
}

static struct policy *load(const char *path)
{
	AUTO(arena_done) struct arena a = {0};
	struct policy_file *files;
	struct policy *p = NULL;
	struct diags d = {0};
	struct buf found;
	size_t n;
	double began = 0, took = 0;
	buf_init(&found, 1 << 16);
	if (policy_read(&a, path, &files, &n, &d) == ERR_OK) {
		began = seconds(CLOCK_PROCESS_CPUTIME_ID);
		if (policy_compile(files, n, authz_run_tests, &p, &d) != ERR_OK)
			p = NULL;
		took = seconds(CLOCK_PROCESS_CPUTIME_ID) - began;
	}
	diags_print(&d, &found);
	diags_done(&d);
	if (!p) {
		fputs(buf_cstr(&found), stderr);
		exit(1);
	}
	buf_done(&found);
	printf("{\"compile\":%.4f", took);
	return p;
}

/* ROUNDS evaluations of R; prints the time of one. */
static void ask(const struct policy *p, const struct sar *s, const char *name, size_t rounds)
{
	struct decision d;
	authz_evaluate(p, &s->request, &d);
	CALLGRIND_ZERO_STATS;
	double began = seconds(CLOCK_THREAD_CPUTIME_ID);
	CALLGRIND_TOGGLE_COLLECT;
	for (size_t i = 0; i < rounds; i++)
		authz_evaluate(p, &s->request, &d);
	CALLGRIND_TOGGLE_COLLECT;
	double took = seconds(CLOCK_THREAD_CPUTIME_ID) - began;
	CALLGRIND_DUMP_STATS_AT(name);
	struct buf b;
	buf_init(&b, 1 << 12);
	buf_adds(&b, "{\"name\":");
	buf_json(&b, slice_of(name));
	buf_printf(&b, ",\"verdict\":\"%s\",\"rule\":\"%s\",\"ns\":%.1f}", verdict_name(d.verdict),
	    d.rule ? d.rule : "", took * 1e9 / (double)rounds);
	fputs(buf_cstr(&b), stdout);
	buf_done(&b);
}

/* Reads the review BODY, decides and writes the reply, as the handler does. */
static void whole_review(const struct policy *p, struct slice body)
{
	AUTO(arena_done) struct arena a = {0};
	struct sar s;
	struct decision d;
	struct err e = {0};
	struct buf reason, reply;
	MUST(sar_parse(body, &a, &s, &e) == ERR_OK);
	authz_evaluate(p, &s.request, &d);
	buf_init(&reason, AUTHZ_REASON_MAX);
	buf_init(&reply, 1 << 16);
	authz_reason(p, &d, "01ARZ3NDEKTSV4RRFFQ69G5FAV", &reason);
	sar_write(&s, d.verdict, buf_view(&reason), d.note, &reply);
	buf_done(&reason);
	buf_done(&reply);
}

static void ask_whole(const struct policy *p, const char *body, size_t rounds)
{
	whole_review(p, slice_of(body));
	CALLGRIND_ZERO_STATS;
	double began = seconds(CLOCK_THREAD_CPUTIME_ID);
	CALLGRIND_TOGGLE_COLLECT;
	for (size_t i = 0; i < rounds; i++)
		whole_review(p, slice_of(body));
	CALLGRIND_TOGGLE_COLLECT;
	double took = seconds(CLOCK_THREAD_CPUTIME_ID) - began;
	CALLGRIND_DUMP_STATS_AT("whole review");
	printf(",\"whole\":%.1f", took * 1e9 / (double)rounds);
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	FILE *f = fopen(argv[2], "r");
	size_t rounds = strtoul(argv[3], NULL, 10), cap = 0;
	struct policy *p = load(argv[1]);
	const struct policy_worst *w = policy_worst(p);
	printf(",\"resident\":%ld,\"peak\":%ld,\"bytes\":%zu,\"postings\":%zu,\"candidates\":%zu,\"asked\":[",
	    status_kib("VmRSS:"), status_kib("VmHWM:"), w->bytes, w->postings, w->candidates);
	char *line = NULL, *first = NULL;
	CALLGRIND_START_INSTRUMENTATION;
	for (const char *comma = ""; f && getline(&line, &cap, f) > 0; comma = ",") {
		AUTO(arena_done) struct arena a = {0};
		struct sar s;
		struct err e = {0};
		char *tab = strchr(line, '\t');
		MUST(tab);
		*tab = '\0';
		MUST(sar_parse(slice_of(tab + 1), &a, &s, &e) == ERR_OK);
		fputs(comma, stdout);
		ask(p, &s, line, rounds);
		if (!*comma)
			MUST((first = strdup(tab + 1)) != NULL);
	}
	putchar(']');
	if (first)
		ask_whole(p, first, rounds);
	printf("}\n");
	free(first);
	free(line);
	if (f)
		fclose(f);
	policy_free(&p);
	return 0;
}
