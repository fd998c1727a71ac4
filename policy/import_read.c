/* Owns `imports:` as a list of files: finding and reading them, and checking that each entry brought some. */
#include <stdlib.h>

#include "common/file.h"
#include "common/yamlx.h"
#include "policy/ast.h"
#include "policy/glob.h"
#include "policy/import.h"

/* What is wrong with PATH as an import; NULL: nothing. Whoever may edit the policy must not make the server
 * read, and quote in its findings, files elsewhere. */
static const char *bad_path(const char *path)
{
	struct slice rest = slice_of(path);
	if (path[0] == '/')
		return "is absolute: imports stand beneath the directory of the policy file";
	for (;;) {
		size_t slash = slice_find(rest, '/');
		struct slice part = {rest.p, slash};
		if (slice_is(part, ".."))
			return "has `..`: imports stand beneath the directory of the policy file";
		if (part.len == 0 || slice_is(part, "."))
			return "has an empty part or a `.`";
		if (slash == rest.len)
			return NULL;
		if (glob_is(part))
			return "has `*` in a directory: it may stand in the last part only";
		rest = slice_skip(rest, slash + 1);
	}
}

/* PATH as seen from the file NAME, its last part apart: what comes before, with the slash. */
static const char *split(struct arena *a, const char *name, const char *path, struct slice *dir)
{
	const char *full = file_resolve(a, name, path);
	const char *slash = strrchr(full, '/');
	*dir = (struct slice){full, slash ? (size_t)(slash + 1 - full) : 0};
	return full + dir->len;
}

/* --- reading --- */

struct reading {
	struct arena *arena;
	struct diags *diags;
	struct policy_file *files;
	size_t n, room;
	enum err_code rc;
};

static void read_failed(struct reading *r, const char *path, enum err_code rc, const struct err *e)
{
	diags_error(r->diags, path, 0, 0, "%s", e->msg);
	r->rc = rc;
}

/* What two entries name is read once; not as two kinds, and not as policy file and import at once. */
static bool is_new(struct reading *r, const char *name, enum policy_file_kind kind)
{
	for (size_t i = 0; i < r->n; i++) {
		if (strcmp(r->files[i].name, name) != 0)
			continue;
		if (r->files[i].kind != kind)
			r->rc = diags_error(r->diags, name, 0, 0, "%s",
			    r->files[i].kind == POLICY_FILE_NATIVE
				? "is imported, but is a policy file itself: keep imports in a "
				  "directory of their own"
				: "is imported as RBAC and as ABAC");
		return false;
	}
	return true;
}

static void read_import(struct reading *r, const char *name, enum policy_file_kind kind)
{
	struct err e = {0};
	if (!is_new(r, name, kind))
		return;
	if (r->n == POLICY_FILES_MAX) {
		err_set(&e, ERR_LIMIT, "more than %d policy files", POLICY_FILES_MAX);
		read_failed(r, name, ERR_LIMIT, &e);
		return;
	}
	struct policy_file file = {.name = name, .kind = kind};
	enum err_code rc = file_read(r->arena, name, YAMLX_BYTES, &file.text, &e);
	if (rc != ERR_OK) {
		read_failed(r, name, rc, &e);
		return;
	}
	ARENA_ROOM(r->arena, r->files, r->n, r->room, 8);
	r->files[r->n++] = file;
}

static void read_pattern(
    struct reading *r, const char *base, const char *path, enum policy_file_kind kind)
{
	struct slice dir;
	const char *const *names;
	size_t n;
	struct err e = {0};
	const char *leaf = split(r->arena, base, path, &dir);
	const char *in = dir.len ? arena_strndup(r->arena, dir.p, dir.len) : "";
	enum err_code rc =
	    file_list(r->arena, dir.len ? in : ".", "", POLICY_FILES_MAX, &names, &n, &e);
	if (rc != ERR_OK && rc != ERR_NOT_FOUND)
		read_failed(r, dir.len ? in : ".", rc, &e);
	for (size_t i = 0; rc == ERR_OK && i < n; i++) {
		if (!glob_is(slice_of(leaf)) ? strcmp(names[i], leaf) == 0
					     : glob_match(slice_of(leaf), slice_of(names[i])))
			read_import(r, arena_printf(r->arena, "%s%s", in, names[i]), kind);
	}
}

static void read_entry(
    struct reading *r, const char *base, const struct yaml_node *entry, const char *key,
    enum policy_file_kind kind)
{
	const struct yaml_node *path = yamlx_get(yamlx_get(entry, key), "path");
	if (path && path->kind == YAMLX_SCALAR && path->text.len && !bad_path(path->text.p))
		read_pattern(r, base, arena_strdup(r->arena, path->text.p), kind);
}

/* Binding is left to policy_compile, which has it all said in its place: here what fits is followed. */
static void read_imports_of(struct reading *r, const struct policy_file *file)
{
	struct arena a;
	struct diags d = {0};
	struct yaml_node *root;
	/* Most policies import nothing and need not be parsed twice. */
	if (!memmem(file->text.p, file->text.len, "imports", 7))
		return;
	arena_init(&a, 0);
	if (yamlx_parse(&a, file->name, file->text, &root, &d) == ERR_OK) {
		const struct yaml_node *list = yamlx_get(root, "imports");
		for (size_t i = 0; list && list->kind == YAMLX_SEQ && i < list->len; i++) {
			read_entry(r, file->name, list->items[i], "rbac", POLICY_FILE_RBAC);
			read_entry(r, file->name, list->items[i], "abac", POLICY_FILE_ABAC);
		}
	}
	diags_done(&d);
	arena_done(&a);
}

enum err_code imports_read(
    struct arena *a, struct policy_file **files, size_t *n, struct diags *d)
{
	struct reading r = {.arena = a, .diags = d, .files = *files, .n = *n, .room = *n};
	size_t native = *n;
	for (size_t i = 0; i < native; i++)
		read_imports_of(&r, &r.files[i]);
	*files = r.files;
	*n = r.n;
	return r.rc;
}

/* --- checking --- */

static bool brought(
    const struct ast *t, const char *base, const char *path, enum policy_file_kind kind)
{
	struct slice dir;
	const char *leaf = split(t->arena, base, path, &dir);
	for (size_t i = 0; i < t->nimported; i++) {
		const struct policy_file *file = &t->imported[i];
		struct slice name = slice_of(file->name);
		if (file->kind == kind && slice_starts(name, dir) &&
		    glob_match(slice_of(leaf), slice_skip(name, dir.len)) &&
		    !strchr(file->name + dir.len, '/'))
			return true;
	}
	return false;
}

static void check_path(struct ast *t, const struct ast_file *f, const struct ast_import_path *p,
    enum policy_file_kind kind)
{
	if (!p->present)
		return;
	struct place at = ast_at(f, p->node, "path", 0);
	const char *bad = bad_path(p->path);
	if (bad)
		ast_error(t, at, "the path %s %s", ast_show(t, p->path), bad);
	else if (!brought(t, f->name, p->path, kind))
		ast_error(t, at, "no file matches %s", ast_show(t, p->path));
}

void ast_check_imports(struct ast *t, const struct ast_file *f)
{
	const struct ast_import *list = f->imports.items;
	for (size_t i = 0; i < f->imports.len; i++) {
		const struct ast_import *m = &list[i];
		if (m->rbac.present == m->abac.present)
			ast_error(t, ast_at(f, m->node, NULL, 0),
			    "an import is either `rbac: {path: …}` or `abac: {path: …}`");
		check_path(t, f, &m->rbac, POLICY_FILE_RBAC);
		check_path(t, f, &m->abac, POLICY_FILE_ABAC);
	}
}
