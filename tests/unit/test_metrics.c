/* Proves the metrics registry and that its page keeps the rules of the Prometheus text format. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/metrics.h"

static const double bounds[] = {0.1, 0.25, 1};

static char *page(void)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	metrics_write(&b);
	assert_false(b.over);
	char *text = strdup(buf_cstr(&b));
	buf_done(&b);
	return text;
}

static void assert_shows(const char *part)
{
	char *text = page();
	if (!strstr(text, part))
		fail_msg("not shown: %s\nin: %s", part, text);
	free(text);
}

static void assert_hides(const char *part)
{
	char *text = page();
	if (strstr(text, part))
		fail_msg("shown: %s", part);
	free(text);
}

static void test_same_name_and_labels_are_one_series(void **state)
{
	(void)state;
	struct metric *a = metrics_counter("t_one_total", "One.", "x=\"1\"");
	struct metric *b = metrics_counter("t_one_total", "One.", "x=\"1\"");
	struct metric *c = metrics_counter("t_one_total", "One.", "x=\"2\"");
	assert_ptr_equal(a, b);
	assert_ptr_not_equal(a, c);
	metric_inc(a);
	metric_add(b, 41);
	assert_true(metric_value(a) == 42);
	assert_shows("# HELP t_one_total One.\n# TYPE t_one_total counter\n"
		     "t_one_total{x=\"1\"} 42\nt_one_total{x=\"2\"} 0\n");
}

static void test_gauges_move_both_ways_and_print_shortest(void **state)
{
	(void)state;
	struct metric *g = metrics_gauge("t_gauge", "G.", "");
	static const struct {
		double v;
		const char *line;
	} cases[] = {
	    {0.1, "\nt_gauge 0.1\n"},
	    {-3, "\nt_gauge -3\n"},
	    {1e300, "\nt_gauge 1e+300\n"},
	    {1763827200.123456, "\nt_gauge 1763827200.123456\n"},
	    {(double)INFINITY, "\nt_gauge +Inf\n"},
	    {-(double)INFINITY, "\nt_gauge -Inf\n"},
	    {(double)NAN, "\nt_gauge NaN\n"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		metric_set(g, cases[i].v);
		assert_shows(cases[i].line);
	}
	metric_set(g, 2);
	metric_add(g, 3);
	metric_sub(g, 4);
	assert_true(metric_value(g) == 1);
}

static void test_histogram_is_cumulative(void **state)
{
	(void)state;
	struct metric *h = metrics_histogram("t_seconds", "H.", "op=\"a\"", bounds, 3);
	struct metric *bare = metrics_histogram("t_bare_seconds", "H.", "", bounds, 3);
	static const double seen[] = {0.1, 0.125, 0.5, 7, -1};
	for (size_t i = 0; i < ARRAY_LEN(seen); i++)
		metric_observe(h, seen[i]);
	metric_observe(h, (double)NAN);
	metric_observe(bare, 1.5);
	assert_true(metric_value(h) == 5);
	assert_shows("# TYPE t_seconds histogram\n"
		     "t_seconds_bucket{op=\"a\",le=\"0.1\"} 2\n"
		     "t_seconds_bucket{op=\"a\",le=\"0.25\"} 3\n"
		     "t_seconds_bucket{op=\"a\",le=\"1\"} 4\n"
		     "t_seconds_bucket{op=\"a\",le=\"+Inf\"} 5\n"
		     "t_seconds_sum{op=\"a\"} 7.725\n"
		     "t_seconds_count{op=\"a\"} 5\n");
	assert_shows("t_bare_seconds_bucket{le=\"1\"} 0\nt_bare_seconds_bucket{le=\"+Inf\"} 1\n"
		     "t_bare_seconds_sum 1.5\nt_bare_seconds_count 1\n");
}

static void test_help_and_label_values_are_escaped(void **state)
{
	(void)state;
	struct buf labels;
	buf_init(&labels, 1024);
	metrics_label(&labels, "a", SLICE("q\" b\\ n\n {x=\"y\"} 1"));
	metrics_label(&labels, "b", SLICE("caf\xc3\xa9"));
	metrics_label(&labels, "c", SLICE("\xff!"));
	metrics_counter("t_escape_total", "Back\\slash, \"quote\"\nand newline.", buf_cstr(&labels));
	buf_done(&labels);
	assert_shows("# HELP t_escape_total Back\\\\slash, \"quote\"\\nand newline.\n");
	assert_shows("t_escape_total{a=\"q\\\" b\\\\ n\\n {x=\\\"y\\\"} 1\",b=\"caf\xc3\xa9\","
		     "c=\"?!\"} 0\n");
}

/* Past the cap all new series are one; a forgotten series makes room and keeps its count. */
static void test_series_are_capped_and_forgotten(void **state)
{
	(void)state;
	char labels[32];
	struct metric *first = metrics_counter("t_cap_total", "C.", "i=\"0\"");
	metric_add(first, 9);
	for (int i = 1; i < METRICS_SERIES_MAX; i++) {
		snprintf(labels, sizeof(labels), "i=\"%d\"", i);
		metrics_counter("t_cap_total", "C.", labels);
	}
	struct metric *over = metrics_counter("t_cap_total", "C.", "i=\"new\"");
	assert_ptr_equal(over, metrics_counter("t_cap_total", "C.", "i=\"other\""));
	assert_ptr_equal(first, metrics_counter("t_cap_total", "C.", "i=\"0\""));
	metric_add(over, 3);
	assert_shows("t_cap_total{overflow=\"true\"} 3\n");
	assert_hides("i=\"new\"");
	metrics_forget("t_cap_total", "i=\"0\"");
	metrics_forget("t_cap_total", "i=\"1\"");
	metrics_forget("t_cap_total", "i=\"absent\"");
	metrics_forget("t_absent", "");
	assert_hides("t_cap_total{i=\"0\"}");
	metric_inc(first); /* an old snapshot still counts */
	assert_ptr_not_equal(over, metrics_counter("t_cap_total", "C.", "i=\"newer\""));
	metrics_forget("t_cap_total", "i=\"2\"");
	assert_ptr_equal(first, metrics_counter("t_cap_total", "C.", "i=\"0\""));
	assert_shows("t_cap_total{i=\"0\"} 10\n");
}

static void test_family_without_series_is_not_shown(void **state)
{
	(void)state;
	metrics_gauge("t_gone", "Gone.", "a=\"b\"");
	assert_shows("# TYPE t_gone gauge\n");
	metrics_forget("t_gone", "a=\"b\"");
	assert_hides("t_gone");
}

static void test_page_is_sorted_with_one_head_a_name(void **state)
{
	(void)state;
	metrics_counter("t_zz_total", "Z.", "");
	metrics_counter("t_aa_total", "A.", "k=\"2\"");
	metrics_counter("t_mm_total", "M.", "");
	metrics_counter("t_aa_total", "A.", "k=\"1\"");
	char *text = page(), last[64] = "", name[64];
	size_t heads = 0;
	for (const char *at = text; (at = strstr(at, "# TYPE ")) != NULL; at++) {
		assert_int_equal(sscanf(at, "# TYPE %63s", name), 1);
		assert_true(strcmp(last, name) < 0);
		memcpy(last, name, sizeof(last));
		heads++;
	}
	assert_true(heads >= 3);
	free(text);
	assert_shows("t_aa_total{k=\"1\"} 0\nt_aa_total{k=\"2\"} 0\n");
}

static void *hammer(void *arg)
{
	(void)arg;
	for (int i = 0; i < 2000; i++) {
		metric_inc(metrics_counter("t_race_total", "R.", i % 2 ? "k=\"a\"" : "k=\"b\""));
		metric_observe(metrics_histogram("t_race_seconds", "R.", "", bounds, 3), 0.5);
		metric_add(metrics_gauge("t_race", "R.", ""), 1);
		if (i % 500 == 0)
			free(page());
	}
	return NULL;
}

static void test_threads_lose_no_count(void **state)
{
	(void)state;
	pthread_t t[4];
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		assert_int_equal(pthread_create(&t[i], NULL, hammer, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		pthread_join(t[i], NULL);
	assert_true(metric_value(metrics_counter("t_race_total", "R.", "k=\"a\"")) == 4000);
	assert_true(metric_value(metrics_gauge("t_race", "R.", "")) == 8000);
	assert_shows("t_race_seconds_sum 4000\nt_race_seconds_count 8000\n");
}

static void test_latency_bounds_ascend(void **state)
{
	(void)state;
	for (size_t i = 1; i < metrics_latency_bounds_len; i++)
		assert_true(metrics_latency_bounds[i - 1] < metrics_latency_bounds[i]);
	assert_true(metrics_latency_bounds[metrics_latency_bounds_len - 1] == 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_same_name_and_labels_are_one_series),
	    cmocka_unit_test(test_gauges_move_both_ways_and_print_shortest),
	    cmocka_unit_test(test_histogram_is_cumulative),
	    cmocka_unit_test(test_help_and_label_values_are_escaped),
	    cmocka_unit_test(test_series_are_capped_and_forgotten),
	    cmocka_unit_test(test_family_without_series_is_not_shown),
	    cmocka_unit_test(test_page_is_sorted_with_one_head_a_name),
	    cmocka_unit_test(test_threads_lose_no_count),
	    cmocka_unit_test(test_latency_bounds_ascend),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
