/* Prints what the policy's code makes of time, for tests to compare with another implementation:
 *
 *	window_probe zone NAME FROM UNTIL	"OFFSET" at FROM, then "MOMENT OFFSET" for each change
 *	window_probe rules POLICY FROM UNTIL	"ID HOLDS MOMENT…" for each rule with `valid`: does it hold at
 *						FROM, and each moment at which that turns
 *
 * Moments are seconds since the epoch. */
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "policy/index.h"
#include "tests/support/must.h"

static int64_t seconds(const char *text)
{
	return strtoll(text, NULL, 10);
}

static void print_zone(const char *name, int64_t from, int64_t until)
{
	struct arena a = {0};
	struct err e = {0};
	const struct zone *z;
	int64_t next;
	if (zone_load(&a, ZONE_DIR, name, &z, &e) != ERR_OK) {
		fprintf(stderr, "%s\n", e.msg);
		exit(1);
	}
	printf("%d\n", (int)zone_offset(z, from, &next));
	while (next < until) {
		int64_t at = next;
		int offset = (int)zone_offset(z, at, &next);
		printf("%lld %d\n", (long long)at, offset);
	}
	arena_done(&a);
}

static void print_window(const struct window *w, int64_t from, int64_t until)
{
	printf(" %d", window_covers(w, from, from));
	for (int64_t t = window_next(w, from); t < until; t = window_next(w, t)) {
		MUST(t % CLOCK_SECOND == 0);
		printf(" %lld", (long long)(t / CLOCK_SECOND));
	}
}

static void print_rules(const char *path, int64_t from, int64_t until)
{
	struct arena a = {0};
	struct diags d = {0};
	struct policy_file *files;
	struct policy *p = NULL;
	size_t n;
	MUST(policy_read(&a, path, &files, &n, &d) == ERR_OK);
	MUST(policy_compile(files, n, NULL, &p, &d) == ERR_OK);
	for (uint32_t i = 0; i < p->nrules; i++) {
		if (!p->rules[i].valid)
			continue;
		fputs(p->rules[i].id, stdout);
		print_window(p->rules[i].valid, from * CLOCK_SECOND, until * CLOCK_SECOND);
		putchar('\n');
	}
	policy_free(&p);
	diags_done(&d);
	arena_done(&a);
}

int main(int argc, char **argv)
{
	MUST(argc == 5);
	int64_t from = seconds(argv[3]), until = seconds(argv[4]);
	if (strcmp(argv[1], "zone") == 0)
		print_zone(argv[2], from, until);
	else
		print_rules(argv[2], from, until);
	return 0;
}
