/* Proves that each log line is one whole JSON object whatever its fields hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/log.h"

static int saved_stderr = -1;
static FILE *captured;

static void capture(void)
{
	captured = tmpfile();
	assert_non_null(captured);
	saved_stderr = dup(STDERR_FILENO);
	assert_true(dup2(fileno(captured), STDERR_FILENO) >= 0);
}

/* What was logged since capture(), in TEXT (at most MAX, with a NUL). */
static size_t release(char *text, size_t max)
{
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	rewind(captured);
	size_t n = fread(text, 1, max - 1, captured);
	text[n] = '\0';
	fclose(captured);
	return n;
}

static json_t *parse_line(const char *text, size_t n)
{
	assert_true(n > 1);
	assert_ptr_equal(strchr(text, '\n'), text + n - 1);
	json_t *line = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(line);
	return line;
}

static void test_line_has_fixed_head_and_typed_fields(void **state)
{
	(void)state;
	static char text[65536];
	log_init("portcullisd", LOG_LEVEL_INFO);
	capture();
	log_warn("a \"quoted\"\nline", LOG_STR("user", "x\x1b[31m"), LOG_INT("port", -8443),
	    LOG_BOOL("ok", true), LOG_SLICE("none", (struct slice){0}));
	size_t n = release(text, sizeof(text));
	assert_memory_equal(text, "{\"ts\":\"20", 9);
	assert_non_null(strstr(text,
	    "Z\",\"level\":\"warn\",\"program\":\"portcullisd\",\"msg\":\"a \\\"quoted\\\"\\nline\","
	    "\"user\":\"x\\u001b[31m\",\"port\":-8443,\"ok\":true,\"none\":\"\"}\n"));
	json_decref(parse_line(text, n));
}

static void test_lines_below_the_level_are_dropped(void **state)
{
	(void)state;
	static char text[65536];
	log_init("p", LOG_LEVEL_WARN);
	capture();
	log_debug("no");
	log_info("no", LOG_INT("n", 1));
	log_error("yes");
	size_t n = release(text, sizeof(text));
	json_t *line = parse_line(text, n);
	assert_string_equal(json_string_value(json_object_get(line, "msg")), "yes");
	json_decref(line);
}

static void test_long_values_are_cut_between_characters(void **state)
{
	(void)state;
	static char text[65536], value[9001];
	for (size_t i = 0; i < 9000; i += 3)
		memcpy(value + i, "\xE2\x82\xAC", 3);
	log_init("p", LOG_LEVEL_INFO);
	capture();
	log_info("m", LOG_STR("v", value), LOG_INT("after", 1));
	size_t n = release(text, sizeof(text));
	json_t *line = parse_line(text, n);
	const char *v = json_string_value(json_object_get(line, "v"));
	size_t len = strlen(v);
	assert_true(len <= 2048 + 3);
	assert_string_equal(v + len - 3, "\xE2\x80\xA6");
	assert_null(strstr(v, "\xEF\xBF\xBD"));
	assert_int_equal(json_integer_value(json_object_get(line, "after")), 1);
	json_decref(line);
}

static void test_a_flood_of_fields_stays_one_bounded_object(void **state)
{
	(void)state;
	static char text[262144], value[4096];
	static char keys[40][16];
	struct log_field fields[41] = {{0}};
	memset(value, 1, sizeof(value) - 1); /* six bytes each once escaped */
	for (int i = 0; i < 40; i++) {
		snprintf(keys[i], sizeof(keys[i]), "k%d", i);
		fields[i] = LOG_STR(keys[i], value);
	}
	log_init("p", LOG_LEVEL_INFO);
	capture();
	log_write(LOG_LEVEL_INFO, "m", fields);
	size_t n = release(text, sizeof(text));
	assert_true(n <= 32768);
	json_t *line = parse_line(text, n);
	assert_true(json_is_true(json_object_get(line, "truncated")));
	json_decref(line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_line_has_fixed_head_and_typed_fields),
	    cmocka_unit_test(test_lines_below_the_level_are_dropped),
	    cmocka_unit_test(test_long_values_are_cut_between_characters),
	    cmocka_unit_test(test_a_flood_of_fields_stays_one_bounded_object),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
