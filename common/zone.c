/* Owns time zones by name: names, the files behind them, the offset at a moment. */
#include "common/zone.h"

#include "common/diag.h"
#include "common/file.h"

#define TABLE_MAX ((size_t)256 << 10) /* zone.tab has 19 KiB */
#define NAMES_MAX ((size_t)2000) /* it has 418 lines */

/* --- names --- */

static bool letter(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '+' || c == '-';
}

/* Area/Location: every name of the database begins with a capital, what else lies in the directory
 * does not. Dots there are none. */
static bool good_name(const char *name)
{
	size_t n = strlen(name);
	if (n == 0 || n > ZONE_NAME_MAX || name[0] < 'A' || name[0] > 'Z' || name[n - 1] == '/')
		return false;
	for (size_t i = 1; i < n; i++)
		if (!letter(name[i]) && (name[i] != '/' || name[i - 1] == '/'))
			return false;
	return true;
}

/* The third column of a line of zone.tab, empty when there is none. */
static struct slice table_name(struct slice line)
{
	if (line.len == 0 || line.p[0] == '#')
		return (struct slice){0};
	line = slice_skip(line, slice_find(line, '\t') + 1);
	line = slice_skip(line, slice_find(line, '\t') + 1);
	line.len = slice_find(line, '\t');
	return line;
}

/* The name in DIR's table that NAME may have meant, or NULL. */
static const char *nearest(struct arena *a, const char *dir, const char *name)
{
	struct slice rest;
	if (file_read(a, arena_printf(a, "%s/zone.tab", dir), TABLE_MAX, &rest, NULL) != ERR_OK)
		return NULL;
	const char **names = ARENA_ARRAY(a, const char *, NAMES_MAX);
	size_t n = 0;
	while (rest.len && n < NAMES_MAX) {
		size_t end = slice_find(rest, '\n');
		struct slice one = table_name((struct slice){rest.p, end});
		if (one.len)
			names[n++] = arena_strndup(a, one.p, one.len);
		rest = slice_skip(rest, end + 1);
	}
	return diag_nearest(slice_of(name), names, n);
}

static enum err_code unknown(struct arena *a, const char *dir, const char *name, struct err *e)
{
	const char *near = nearest(a, dir, name);
	return err_set(e, ERR_NOT_FOUND, "unknown time zone `%s`%s%s%s", name,
	    near ? ", did you mean `" : "", near ? near : "", near ? "`?" : "");
}

enum err_code zone_load(struct arena *a, const char *dir, const char *name,
    const struct zone **out, struct err *e)
{
	if (strcmp(name, "UTC") == 0) {
		struct zone *utc = ARENA_NEW(a, struct zone);
		utc->name = "UTC";
		*out = utc;
		return ERR_OK;
	}
	if (!good_name(name))
		return err_set(e, ERR_INVALID,
		    "not the name of a time zone: expected one such as `Europe/Berlin` or `UTC`");
	AUTO(arena_done) struct arena scratch = {0};
	const char *path = arena_printf(&scratch, "%s/%s", dir, name);
	struct slice file;
	enum err_code rc = file_read(&scratch, path, ZONE_FILE_MAX, &file, e);
	if (rc == ERR_NOT_FOUND)
		return unknown(&scratch, dir, name, e);
	if (rc != ERR_OK)
		return err_wrap(e, "time zone `%s`", name);
	return zone_parse(a, name, file, out, e);
}

struct zone *zone_copy(struct arena *a, const struct zone *z)
{
	struct zone_change *changes = ARENA_ARRAY(a, struct zone_change, z->n);
	struct zone *copy = ARENA_NEW(a, struct zone);
	if (z->n)
		memcpy(changes, z->changes, z->n * sizeof(*changes));
	*copy = (struct zone){arena_strdup(a, z->name), z->first, changes, z->n};
	return copy;
}

/* --- moments --- */

int32_t zone_offset(const struct zone *z, int64_t t, int64_t *until)
{
	uint32_t low = 0, high = z->n; /* the first change after T */
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		if (z->changes[mid].at <= t)
			low = mid + 1;
		else
			high = mid;
	}
	*until = low < z->n ? z->changes[low].at : INT64_MAX;
	return low ? z->changes[low - 1].offset : z->first;
}

void zone_add(struct zone_list *l, int64_t at, int32_t offset)
{
	while (l->n && l->v[l->n - 1].at >= at)
		l->n--;
	if (offset == (l->n ? l->v[l->n - 1].offset : l->first))
		return;
	ARENA_ROOM(l->arena, l->v, l->n, l->cap, 64);
	l->v[l->n++] = (struct zone_change){at, offset};
}
