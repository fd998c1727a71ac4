/* Owns the process's log: one JSON object a line on standard error, one write(2) each. */
#include "common/log.h"

#include <errno.h>
#include <unistd.h>

#include "common/clock.h"

/* A value longer than this is cut: a peer's text must not fill the journal. */
#define VALUE_MAX ((size_t)2 << 10)
/* The whole line; journald splits at 48 KiB. Fields past it are left out and the line says so. */
#define LINE_LIMIT ((size_t)32 << 10)
#define LINE_TAIL 32 /* room kept for `,"truncated":true}` and the newline */

static const char *log_program = "portcullis";
static enum log_level log_least = LOG_LEVEL_INFO;

void log_init(const char *program, enum log_level level)
{
	log_program = program;
	log_least = level;
}

static const char *level_word(enum log_level level)
{
	static const char *const words[] = {"debug", "info", "warn", "error"};
	return (size_t)level < ARRAY_LEN(words) ? words[level] : "error";
}

/* S as a JSON string, cut before the character that crosses VALUE_MAX. */
static void add_text(struct buf *b, struct slice s)
{
	if (s.len <= VALUE_MAX) {
		buf_json(b, s);
		return;
	}
	size_t n = VALUE_MAX;
	for (int i = 0; i < 3 && ((unsigned char)s.p[n] & 0xC0) == 0x80; i++)
		n--;
	buf_json(b, (struct slice){s.p, n});
	if (b->over)
		return;
	b->len--; /* reopens the string */
	buf_adds(b, "\xE2\x80\xA6\"");
}

static void add_field(struct buf *b, const struct log_field *f)
{
	buf_addc(b, ',');
	buf_json(b, slice_of(f->key));
	buf_addc(b, ':');
	if (f->type == LOG_FIELD_STR)
		add_text(b, f->str);
	else if (f->type == LOG_FIELD_INT)
		buf_i64(b, f->num);
	else
		buf_adds(b, f->num ? "true" : "false");
}

static void write_line(const char *p, size_t n)
{
	while (n > 0) {
		ssize_t done = write(STDERR_FILENO, p, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return; /* nowhere left to report it */
		p += done;
		n -= (size_t)done;
	}
}

void log_write(enum log_level level, const char *msg, const struct log_field *fields)
{
	if (level < log_least)
		return;
	int saved = errno;
	AUTO(buf_done) struct buf b;
	buf_init(&b, LINE_LIMIT - LINE_TAIL);
	char ts[CLOCK_RFC3339_LEN];
	clock_rfc3339(clock_now(), ts);
	buf_printf(&b, "{\"ts\":\"%s\",\"level\":\"%s\",\"program\":", ts, level_word(level));
	buf_json(&b, slice_of(log_program));
	buf_adds(&b, ",\"msg\":");
	add_text(&b, slice_of(msg));
	bool cut = false;
	for (const struct log_field *f = fields; f && f->key; f++) {
		size_t before = b.len;
		add_field(&b, f);
		if (b.over) {
			b.len = before;
			b.over = false;
			cut = true;
		}
	}
	b.max = LINE_LIMIT;
	buf_adds(&b, cut ? ",\"truncated\":true}\n" : "}\n");
	write_line(b.p, b.len);
	errno = saved;
}
