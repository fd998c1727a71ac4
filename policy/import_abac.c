/* Owns reading ABAC policy files: JSON lines of v0 and v1beta1, brought to the terms of v1beta1 as upstream
 * does. */
#include "common/jsonscan.h"
#include "policy/import.h"

#define ABAC_GROUP "abac.authorization.kubernetes.io"
/* Upstream's line reader has a buffer of 64 KiB for a line with its end. */
#define LINE_MAX_LEN 65535

/* What stands in one line, before the version is known. */
struct parsed {
	struct slice version, kind;
	struct slice user, group, resource, namespace_, api_group, path;
	bool readonly, has_spec;
	unsigned unknown; /* keys that upstream would ignore */
	struct slice first_unknown;
};

struct abac_reader {
	struct imports *im;
	const char *file, *base;
	uint32_t line, col; /* of what is read */
	/* What is told once a file. */
	size_t wide, v0;
	uint32_t first_wide, first_v0;
	struct slice wide_resource;
};

static void unknown_key(struct parsed *p, struct slice key)
{
	if (p->unknown++ == 0)
		p->first_unknown = key;
}

/* A key of `spec`, or of a line of v0, which has all but the last two. */
static bool read_field(struct jsonscan *s, struct slice key, struct parsed *p, bool v0)
{
	const struct {
		const char *key;
		struct slice *out;
	} texts[] = {{"user", &p->user}, {"group", &p->group}, {"resource", &p->resource},
	    {"namespace", &p->namespace_}, {"apiGroup", &p->api_group},
	    {"nonResourcePath", &p->path}};
	size_t n = ARRAY_LEN(texts) - (v0 ? 2 : 0);
	for (size_t i = 0; i < n; i++)
		if (slice_is(key, texts[i].key))
			return jsonscan_string(s, texts[i].out);
	if (slice_is(key, "readonly"))
		return jsonscan_bool(s, &p->readonly);
	unknown_key(p, key);
	return jsonscan_skip(s);
}

static bool read_spec(struct jsonscan *s, struct parsed *p)
{
	struct slice key;
	if (jsonscan_null(s))
		return true;
	if (!jsonscan_enter_object(s))
		return false;
	while (jsonscan_key(s, &key))
		if (!read_field(s, key, p, false))
			return false;
	return s->err.code == ERR_OK;
}

/* First pass over a line: which version it is tells what its keys mean. */
static bool read_head(struct jsonscan *s, struct parsed *p)
{
	struct slice key;
	if (!jsonscan_enter_object(s))
		return false;
	while (jsonscan_key(s, &key)) {
		bool ok;
		if (slice_is(key, "apiVersion"))
			ok = jsonscan_string(s, &p->version);
		else if (slice_is(key, "kind"))
			ok = jsonscan_string(s, &p->kind);
		else {
			p->has_spec |= slice_is(key, "spec");
			ok = jsonscan_skip(s);
		}
		if (!ok)
			return false;
	}
	return jsonscan_finish(s);
}

static bool read_body(struct jsonscan *s, struct parsed *p, bool v0)
{
	struct slice key;
	if (!jsonscan_enter_object(s))
		return false;
	while (jsonscan_key(s, &key)) {
		bool ok;
		if (slice_is(key, "apiVersion") || slice_is(key, "kind"))
			ok = jsonscan_skip(s);
		else if (v0)
			ok = read_field(s, key, p, true);
		else if (slice_is(key, "spec"))
			ok = read_spec(s, p);
		else {
			unknown_key(p, key);
			ok = jsonscan_skip(s);
		}
		if (!ok)
			return false;
	}
	return jsonscan_finish(s);
}

static void error_at(struct abac_reader *r, const char *text)
{
	diags_error(r->im->diags, r->file, r->line, 1, "%s", text);
}

/* Which version a line is of; false when upstream would not read it, or reads what nobody means. */
static bool version_of(struct abac_reader *r, const struct parsed *p, bool *v0)
{
	*v0 = slice_is(p->version, ABAC_GROUP "/v0") || p->version.len == 0;
	bool known = *v0 || slice_is(p->version, ABAC_GROUP "/v1beta1");
	bool kind = slice_is(p->kind, "Policy") || (*v0 && p->kind.len == 0);
	if (!known || !kind) {
		error_at(r, "expected apiVersion `" ABAC_GROUP "/v1beta1` and kind `Policy`, or neither");
		return false;
	}
	if (*v0 && p->has_spec) {
		error_at(r, "`spec` without apiVersion `" ABAC_GROUP "/v1beta1`: this would be read as an "
			    "unversioned line that names nobody, and give everything to everyone");
		return false;
	}
	return true;
}

/* --- meaning --- */

/* As upstream's conversions have it. */
static void convert(const struct parsed *p, bool v0, struct import_line *out)
{
	static const struct slice all = SLICE("*"), authenticated = SLICE("system:authenticated");
	out->user = p->user;
	out->group = p->group;
	out->namespace_ = p->namespace_;
	out->resource = p->resource;
	out->api_group = p->api_group;
	out->path = p->path;
	out->readonly = p->readonly;
	if (slice_eq(p->user, all) || slice_eq(p->group, all)) {
		out->user = (struct slice){0};
		out->group = authenticated;
	}
	if (!v0)
		return;
	if (p->user.len == 0 && p->group.len == 0)
		out->group = authenticated;
	if (p->namespace_.len == 0)
		out->namespace_ = all;
	if (p->resource.len == 0)
		out->resource = all;
	if (p->namespace_.len == 0 && p->resource.len == 0)
		out->path = all;
	out->api_group = all;
}

/* ABAC ignores subresources, so a line about RESOURCE also gives these; NULL: nothing of note. */
static const char *surprise_of(struct slice resource)
{
	static const struct {
		const char *resource, *also;
	} table[] = {
	    {"pods", "pods/exec"},
	    {"nodes", "nodes/proxy"},
	    {"services", "services/proxy"},
	    {"serviceaccounts", "serviceaccounts/token"},
	    {"certificatesigningrequests", "certificatesigningrequests/approval"},
	    {"namespaces", "namespaces/finalize"},
	};
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (slice_is(resource, table[i].resource))
			return table[i].also;
	return NULL;
}

static void note_wide(struct abac_reader *r, const struct import_line *l)
{
	if (l->resource.len == 0 || slice_is(l->resource, "*"))
		return;
	if (r->wide++ == 0 ||
	    (surprise_of(l->resource) && !surprise_of(r->wide_resource))) {
		r->first_wide = r->line;
		r->wide_resource = l->resource;
	}
}

static void warn_unknown(struct abac_reader *r, const struct parsed *p)
{
	if (p->unknown == 0)
		return;
	diags_warn(r->im->diags, r->file, r->line, 1,
	    "unknown key `%.*s` is ignored, as upstream does: is the line as wide as it is meant?",
	    slice_printable(p->first_unknown) && p->first_unknown.len < 60
		? (int)p->first_unknown.len
		: 0,
	    p->first_unknown.p);
}

static void warn_file(struct abac_reader *r)
{
	const char *also = surprise_of(r->wide_resource);
	if (r->wide)
		diags_warn(r->im->diags, r->file, r->first_wide, 1,
		    "ABAC ignores subresources and names: `" SLICE_FMT "` also gives `" SLICE_FMT
		    "%s`%s; %zu line%s of this file name%s a resource",
		    SLICE_ARG(r->wide_resource), SLICE_ARG(also ? slice_of(also) : r->wide_resource),
		    also ? "" : "/status", also ? ", for reading too" : " and every other subresource",
		    r->wide, r->wide > 1 ? "s" : "", r->wide > 1 ? "" : "s");
	if (r->v0)
		diags_warn(r->im->diags, r->file, r->first_v0, 1,
		    "%zu line%s without apiVersion: what such a line leaves out is everything, and "
		    "everyone who is authenticated", r->v0, r->v0 > 1 ? "s are" : " is");
}

/* --- lines --- */

/* What was read may live in a line's own arena. */
static void keep(struct imports *im, struct import_line *l)
{
	struct slice *const texts[] = {
	    &l->user, &l->group, &l->resource, &l->namespace_, &l->api_group, &l->path};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		*texts[i] = slice_dup(im->arena, *texts[i]);
}

static void add_line(struct abac_reader *r, const struct parsed *p, bool v0)
{
	struct imports *im = r->im;
	struct import_line *l = ARENA_NEW(im->arena, struct import_line);
	convert(p, v0, l);
	keep(im, l);
	l->at = (struct place){r->file, r->line, 1};
	l->id = arena_printf(im->arena, "abac:%s:%u", r->base, r->line);
	warn_unknown(r, p);
	if (l->user.len == 0 && l->group.len == 0) {
		diags_warn(im->diags, r->file, r->line, 1,
		    "neither `user` nor `group`: the line gives nothing");
		return;
	}
	note_wide(r, l);
	if (v0 && r->v0++ == 0)
		r->first_v0 = r->line;
	map_put(&im->ids, slice_of(l->id), l);
	ARENA_ROOM(im->arena, im->lines, im->nlines, im->line_room, 64);
	im->lines[im->nlines++] = l;
}

static bool printable(const struct parsed *p)
{
	const struct slice texts[] = {
	    p->user, p->group, p->resource, p->namespace_, p->api_group, p->path};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (!slice_printable(texts[i]))
			return false;
	return true;
}

static void not_json(struct abac_reader *r, const struct jsonscan *s)
{
	diags_error(r->im->diags, r->file, r->line, r->col + (uint32_t)s->at, "%s", s->err.msg);
}

static void read_line(struct abac_reader *r, struct slice text)
{
	AUTO(arena_done) struct arena scratch = {0};
	struct parsed head = {0}, p = {0};
	struct jsonscan s;
	bool v0;
	jsonscan_init(&s, text, &scratch);
	if (!read_head(&s, &head)) {
		not_json(r, &s);
		return;
	}
	if (!version_of(r, &head, &v0))
		return;
	jsonscan_init(&s, text, &scratch);
	if (!read_body(&s, &p, v0))
		not_json(r, &s);
	else if (!printable(&p))
		error_at(r, "a text holds characters that cannot be shown");
	else
		add_line(r, &p, v0);
}

static struct slice trim(struct slice s)
{
	while (s.len && memchr(" \t\r\n\v\f", s.p[0], 6))
		s = slice_skip(s, 1);
	while (s.len && memchr(" \t\r\n\v\f", s.p[s.len - 1], 6))
		s.len--;
	return s;
}

static void read_lines(struct abac_reader *r, struct slice text)
{
	while (text.len) {
		size_t end = slice_find(text, '\n');
		struct slice line = {text.p, end}, content = trim(line);
		r->line++;
		text = slice_skip(text, end + 1);
		if (line.len > LINE_MAX_LEN)
			error_at(r, "a line of 64 KiB or more: upstream refuses the file");
		if (line.len > LINE_MAX_LEN || content.len == 0 || content.p[0] == '#')
			continue;
		r->col = (uint32_t)(content.p - line.p) + 1;
		read_line(r, content);
	}
}

/* The file's name as a part of ids, which reach reasons. NULL, with an error, when it cannot be one. */
static const char *base_of(struct imports *im, char *name)
{
	const char *slash = strrchr(name, '/');
	struct slice base = slice_of(slash ? slash + 1 : name);
	const char *other = map_put(&im->abac_files, base, name);
	if (other)
		diags_error(im->diags, name, 0, 0,
		    "%s has the same name: rules could not be told apart by their ids", other);
	else if (!slice_printable(base) || slice_find(base, ' ') < base.len)
		diags_error(im->diags, name, 0, 0, "a space or a control character in the name");
	else
		return base.p;
	return NULL;
}

void import_abac(struct imports *im, const struct policy_file *src)
{
	char *name = arena_strdup(im->arena, src->name);
	struct abac_reader r = {.im = im, .file = name, .base = base_of(im, name)};
	size_t lines = im->nlines;
	if (!r.base)
		return;
	/* Editors that truncate before they write leave this behind. */
	if (src->text.len == 0) {
		diags_error(im->diags, name, 0, 0, "the file is empty");
		return;
	}
	read_lines(&r, src->text);
	warn_file(&r);
	if (im->nlines == lines)
		diags_warn(im->diags, name, 0, 0, "no line of this file gives anything");
}
