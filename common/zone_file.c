/* Owns the form of zone files: TZif, RFC 9636. */
#include <endian.h>

#include "common/zone.h"

#define HEADER 44
#define VERSION_AT 4
#define TIMES_MAX 2000 /* as the reference code has it; the longest table has 243 */
#define TYPES_MAX 256
#define OFFSET_MAX (26 * 3600) /* RFC 9636, 3.2: more than any time zone will ever have */

/* One data block and the sizes of its parts. */
struct block {
	const unsigned char *p; /* the times */
	uint32_t isut, isstd, leap, times, types, chars;
	size_t wide; /* bytes of a time: 4 in the first block, 8 in the second */
};

static uint32_t be32(const unsigned char *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

static int64_t be_time(const struct block *b, uint32_t i)
{
	uint64_t v;
	const unsigned char *p = b->p + i * b->wide;
	if (b->wide == 4)
		return (int32_t)be32(p);
	memcpy(&v, p, sizeof(v));
	return (int64_t)be64toh(v);
}

/* Takes a header and the block behind it from *REST. */
static bool take_block(struct slice *rest, size_t wide, struct block *b)
{
	const unsigned char *p = (const unsigned char *)rest->p;
	if (rest->len < HEADER || memcmp(p, "TZif", 4) != 0)
		return false;
	*b = (struct block){.p = p + HEADER,
	    .isut = be32(p + 20),
	    .isstd = be32(p + 24),
	    .leap = be32(p + 28),
	    .times = be32(p + 32),
	    .types = be32(p + 36),
	    .chars = be32(p + 40),
	    .wide = wide};
	if (b->times > TIMES_MAX || b->types == 0 || b->types > TYPES_MAX ||
	    b->leap > TIMES_MAX || b->chars == 0 || b->chars > ZONE_FILE_MAX ||
	    (b->isut != 0 && b->isut != b->types) || (b->isstd != 0 && b->isstd != b->types))
		return false;
	size_t size = b->times * (wide + 1) + b->types * (size_t)6 + b->chars +
		      b->leap * (wide + 4) + b->isstd + b->isut;
	if (rest->len - HEADER < size)
		return false;
	*rest = slice_skip(*rest, HEADER + size);
	return true;
}

/* The offset of the local time type I. */
static bool type_offset(const struct block *b, uint32_t i, int32_t *out)
{
	if (i >= b->types)
		return false;
	const unsigned char *p = b->p + b->times * (b->wide + 1) + i * (size_t)6;
	*out = (int32_t)be32(p);
	return *out >= -OFFSET_MAX && *out <= OFFSET_MAX && p[4] <= 1 && p[5] < b->chars;
}

static bool read_times(const struct block *b, struct zone_list *l)
{
	const unsigned char *types = b->p + b->times * b->wide;
	for (uint32_t i = 0; i < b->times; i++) {
		int32_t offset;
		int64_t at = be_time(b, i);
		if ((i && be_time(b, i - 1) >= at) || !type_offset(b, types[i], &offset))
			return false;
		zone_add(l, at, offset);
	}
	return true;
}

/* "\nRULE\n" at the end; RULE may be empty. */
static bool read_footer(struct slice rest, const struct block *b, struct zone_list *l)
{
	if (rest.len < 2 || rest.p[0] != '\n' || rest.p[rest.len - 1] != '\n')
		return false;
	struct slice rule = {rest.p + 1, rest.len - 2};
	if (rule.len == 0)
		return true;
	return zone_add_rule(l, b->times ? be_time(b, b->times - 1) : INT64_MIN, rule);
}

static bool read_zone(struct slice file, struct zone *z, struct zone_list *l)
{
	struct block b;
	char version = file.len > VERSION_AT ? file.p[VERSION_AT] : 0;
	bool second = version >= '2';
	if (!take_block(&file, 4, &b))
		return false;
	/* The first block of a file with two is for readers of long ago, and may hold nothing. */
	if ((version && !second) || (second && !take_block(&file, 8, &b)))
		return false;
	if (b.leap || !type_offset(&b, 0, &z->first))
		return false;
	l->first = z->first;
	if (!read_times(&b, l))
		return false;
	return second ? read_footer(file, &b, l) : file.len == 0;
}

enum err_code zone_parse(struct arena *a, const char *name, struct slice file,
    const struct zone **out, struct err *e)
{
	struct zone *z = ARENA_NEW(a, struct zone);
	struct zone_list l = {.arena = a};
	if (!read_zone(file, z, &l))
		return err_set(e, ERR_INVALID,
		    "time zone `%s`: not a zone file that can be used (TZif without leap seconds)",
		    name);
	z->name = arena_strdup(a, name);
	z->changes = l.v;
	z->n = (uint32_t)l.n;
	*out = z;
	return ERR_OK;
}
