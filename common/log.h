/* One JSON object a line on stderr. Secrets have no printing helper: struct secret fits no field. */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include "common/str.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

struct log_field {
	const char *key; /* NULL ends the list */
	enum { LOG_FIELD_STR, LOG_FIELD_INT, LOG_FIELD_BOOL } type;
	struct slice str;
	int64_t num;
};

#define LOG_STR(k, cstr) ((struct log_field){.key = (k), .type = LOG_FIELD_STR, .str = slice_of(cstr)})
#define LOG_SLICE(k, s) ((struct log_field){.key = (k), .type = LOG_FIELD_STR, .str = (s)})
#define LOG_INT(k, n) ((struct log_field){.key = (k), .type = LOG_FIELD_INT, .num = (int64_t)(n)})
#define LOG_BOOL(k, b) ((struct log_field){.key = (k), .type = LOG_FIELD_BOOL, .num = (b)})

/* Lines below LEVEL are dropped. PROGRAM stands in each line. Call once, before threads. */
void log_init(const char *program, enum log_level level);

/* {"ts":…,"level":…,"program":…,"msg":MSG,FIELDS…} as a single write(2); values are cut at 2 KiB.
 * Thread-safe; never fails, never blocks on anything but stderr. */
void log_write(enum log_level level, const char *msg, const struct log_field *fields);

#define log_at(level, msg, ...) \
	log_write(level, msg, (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){.key = NULL}})
#define log_debug(msg, ...) log_at(LOG_LEVEL_DEBUG, msg __VA_OPT__(, ) __VA_ARGS__)
#define log_info(msg, ...) log_at(LOG_LEVEL_INFO, msg __VA_OPT__(, ) __VA_ARGS__)
#define log_warn(msg, ...) log_at(LOG_LEVEL_WARN, msg __VA_OPT__(, ) __VA_ARGS__)
#define log_error(msg, ...) log_at(LOG_LEVEL_ERROR, msg __VA_OPT__(, ) __VA_ARGS__)

#endif
