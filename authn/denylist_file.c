/* Owns the denylist's file format and the search in it. */
#include "authn/denylist_file.h"

#include <stddef.h>
#include <stdlib.h>

#include "authn/limits.h"
#include "common/clock.h"
#include "common/map.h"
#include "common/schema.h"

/* The first of these that an entry has is what it is found by: the one that few others share. */
enum find_by { BY_JTI, BY_SUBJECT, BY_USER, BY_KID, BY_ISSUER, BY_COUNT };

/* As it stands in the file. */
struct row {
	const char *by[BY_COUNT];
	const char *issued_before, *until, *reason;
	struct place place;
};

struct document {
	const char *api_version, *kind;
	int64_t expect_entries;
	struct object_list entries; /* struct row */
};

struct entry {
	struct entry *next; /* found by the same value */
	struct slice by[BY_COUNT]; /* p NULL: says nothing of it */
	int64_t issued_before; /* ns; INT64_MAX: any */
	int64_t until; /* ns; INT64_MAX: for ever */
	const char *reason;
	uint32_t line;
};

struct denylist_file {
	struct arena arena;
	const char *name;
	struct map maps[BY_COUNT];
	size_t len;
};

#define ROW(key, index, text)                                                                      \
	{                                                                                          \
		.name = key, .type = FIELD_STRING, .offset = offsetof(struct row, by[index]),      \
		.nonempty = true, .doc = text                                                      \
	}
#define WORD(key, member, text)                                                                    \
	{                                                                                          \
		.name = key, .type = FIELD_STRING, .offset = offsetof(struct row, member),         \
		.nonempty = true, .doc = text                                                      \
	}

static void check_row(void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	const struct row *r = obj;
	for (int i = 0; i < BY_COUNT; i++)
		if (r->by[i])
			return;
	diags_error(d, file, node->line, node->col,
	    "an entry needs one of jti, subject, user, kid and issuer");
}

static const struct field row_fields[] = {
    ROW("jti", BY_JTI, "the one credential of this id (claim jti)"),
    ROW("subject", BY_SUBJECT, "all credentials of this subject (claim sub)"),
    ROW("user", BY_USER, "all credentials of this Kubernetes user, with the prefix"),
    ROW("kid", BY_KID, "all that was signed with the key of this id"),
    ROW("issuer", BY_ISSUER, "all credentials of this issuer (claim iss)"),
    WORD("issuedBefore", issued_before, "only what was issued before this time"),
    WORD("until", until, "the entry ends at this time"),
    WORD("reason", reason, "for those who read the list and the log"),
    {0},
};

static const struct schema row_schema = {
    .name = "entry",
    .size = sizeof(struct row),
    .fields = row_fields,
    .place = offsetof(struct row, place),
    .present = SCHEMA_NO_PLACE,
    .check = check_row,
};

static const struct field expect_fields[] = {
    {.name = "entries",
	.type = FIELD_INT,
	.offset = 0,
	.required = true,
	.max = DENYLIST_ENTRIES_MAX,
	.doc = "number of entries in this file"},
    {0},
};

static const struct schema expect_schema = {
    .name = "expect",
    .size = sizeof(int64_t),
    .fields = expect_fields,
    .place = SCHEMA_NO_PLACE,
    .present = SCHEMA_NO_PLACE,
};

static void check_document(
    void *obj, const struct yaml_node *node, const char *file, struct diags *d)
{
	const struct document *doc = obj;
	const struct yaml_node *expect = yamlx_get(node, "expect");
	if (expect && (size_t)doc->expect_entries != doc->entries.len)
		diags_error(d, file, expect->line, expect->col,
		    "expect.entries is %lld but the file holds %zu: is it whole?",
		    (long long)doc->expect_entries, doc->entries.len);
}

static const struct field document_fields[] = {
    {.name = "apiVersion",
	.type = FIELD_STRING,
	.offset = offsetof(struct document, api_version),
	.required = true,
	.doc = "portcullis.dev/v1alpha1"},
    {.name = "kind",
	.type = FIELD_STRING,
	.offset = offsetof(struct document, kind),
	.required = true,
	.doc = "Denylist"},
    {.name = "expect",
	.type = FIELD_OBJECT,
	.offset = offsetof(struct document, expect_entries),
	.sub = &expect_schema,
	.doc = "a count that tells a torn file from a whole one"},
    {.name = "entries",
	.type = FIELD_OBJECTS,
	.offset = offsetof(struct document, entries),
	.sub = &row_schema,
	.required = true,
	.max_items = DENYLIST_ENTRIES_MAX,
	.doc = "what is refused"},
    {0},
};

static const struct schema document_schema = {
    .name = "Denylist",
    .size = sizeof(struct document),
    .fields = document_fields,
    .place = SCHEMA_NO_PLACE,
    .present = SCHEMA_NO_PLACE,
    .check = check_document,
};

/* RFC 3339, or whole seconds since the epoch, as iat has them. */
static bool read_time(const char *text, int64_t *out)
{
	struct slice s = slice_of(text);
	int64_t n = 0;
	size_t i = 0;
	for (; i < s.len && i < 11 && s.p[i] >= '0' && s.p[i] <= '9'; i++)
		n = n * 10 + (s.p[i] - '0');
	if (s.len == 0 || i < s.len)
		return clock_parse_rfc3339(s, out);
	/* Nanoseconds end with the year 2262. */
	if (n >= INT64_MAX / CLOCK_SECOND)
		return false;
	*out = n * CLOCK_SECOND;
	return true;
}

static int64_t time_of(const struct row *r, const char *key, const char *text, struct diags *d)
{
	int64_t t = INT64_MAX;
	if (text && !read_time(text, &t))
		diags_error(d, r->place.file, r->place.line, r->place.col,
		    "`%s`: expected a time such as 2026-11-22T10:00:00Z, or seconds since 1970",
		    key);
	return t;
}

static struct slice keep(struct arena *a, const char *s)
{
	return s ? slice_dup(a, slice_of(s)) : (struct slice){0};
}

static void add_row(struct denylist_file *f, const struct row *r, struct diags *d)
{
	struct entry *e = ARENA_NEW(&f->arena, struct entry);
	e->issued_before = time_of(r, "issuedBefore", r->issued_before, d);
	e->until = time_of(r, "until", r->until, d);
	e->reason = arena_strdup(&f->arena, r->reason);
	e->line = r->place.line;
	int first = BY_COUNT;
	for (int i = BY_COUNT - 1; i >= 0; i--) {
		e->by[i] = keep(&f->arena, r->by[i]);
		if (r->by[i])
			first = i;
	}
	e->next = map_put(&f->maps[first], e->by[first], e);
	f->len++;
}

static bool is_text(const struct yaml_node *n, const char *text)
{
	return n && n->kind == YAMLX_SCALAR && slice_is(n->text, text);
}

static enum err_code read_document(struct arena *scratch, const char *name, struct slice text,
    struct document *doc, struct diags *d)
{
	struct yaml_node *root = NULL;
	/* Files can be cut off where the rest still parses; editors and here-documents end the last
	 * line. */
	if (text.len && text.p[text.len - 1] != '\n')
		return diags_error(
		    d, name, 0, 0, "the last line has no line break: is the file whole?");
	TRY(yamlx_parse(scratch, name, text, &root, d));
	/* A foreign file gets this one finding and not one for each of its keys. */
	if (!is_text(yamlx_get(root, "apiVersion"), "portcullis.dev/v1alpha1") ||
	    !is_text(yamlx_get(root, "kind"), "Denylist"))
		return diags_error(d, name, root->line, root->col,
		    "not a denylist: expected apiVersion `portcullis.dev/v1alpha1` and kind "
		    "`Denylist`");
	return schema_bind(scratch, &document_schema, name, root, doc, d);
}

enum err_code denylist_parse(
    const char *name, struct slice text, struct denylist_file **out, struct diags *d)
{
	struct arena scratch;
	struct document doc = {0};
	struct denylist_file *f = calloc(1, sizeof(*f));
	if (!f)
		abort();
	arena_init(&scratch, 0);
	arena_init(&f->arena, 0);
	f->name = arena_strdup(&f->arena, name);
	size_t before = d->errors;
	if (read_document(&scratch, name, text, &doc, d) == ERR_OK) {
		const struct row *rows = doc.entries.items;
		for (size_t i = 0; i < doc.entries.len; i++)
			add_row(f, &rows[i], d);
	}
	arena_done(&scratch);
	if (d->errors > before)
		denylist_file_free(&f);
	*out = f;
	return f ? ERR_OK : ERR_INVALID;
}

void denylist_file_free(struct denylist_file **file)
{
	struct denylist_file *f = TAKE(*file);
	if (!f)
		return;
	for (int i = 0; i < BY_COUNT; i++)
		map_done(&f->maps[i]);
	arena_done(&f->arena);
	free(f);
}

size_t denylist_file_len(const struct denylist_file *f)
{
	return f->len;
}

static bool fits(
    const struct entry *e, const struct slice by[BY_COUNT], int64_t issued, int64_t now)
{
	for (int i = 0; i < BY_COUNT; i++)
		if (e->by[i].p && !slice_eq(e->by[i], by[i]))
			return false;
	/* Who does not say when it was issued cannot show that it was not before. */
	bool old =
	    e->issued_before == INT64_MAX || issued <= 0 ||
	    issued < e->issued_before / CLOCK_SECOND ||
	    (issued == e->issued_before / CLOCK_SECOND && e->issued_before % CLOCK_SECOND > 0);
	return old && now < e->until;
}

bool denylist_file_has(const struct denylist_file *f, const struct identity *id,
    const struct credential *cred, int64_t now, struct err *e)
{
	const struct slice by[BY_COUNT] = {
	    [BY_JTI] = cred->id,
	    [BY_SUBJECT] = cred->subject,
	    [BY_USER] = id->username,
	    [BY_KID] = cred->kid,
	    [BY_ISSUER] = id->issuer,
	};
	for (int i = 0; i < BY_COUNT; i++) {
		const struct entry *x = by[i].len ? map_get(&f->maps[i], by[i]) : NULL;
		while (x && !fits(x, by, cred->issued, now))
			x = x->next;
		if (!x)
			continue;
		err_set(e, ERR_REFUSED, "denied by %s:%u%s%s", f->name, x->line,
		    x->reason ? ": " : "", x->reason ? x->reason : "");
		return true;
	}
	return false;
}
