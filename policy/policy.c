/* Owns the outer face: reading the files of a policy, building one from them, its summary. */
#include "policy/policy.h"

#include <endian.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/file.h"
#include "common/yamlx.h"
#include "policy/ast.h"
#include "policy/import.h"
#include "policy/index.h"

/* --- reading --- */

static enum err_code read_one(
    struct arena *a, const char *path, struct policy_file *out, struct diags *d)
{
	struct err e = {0};
	out->name = path;
	enum err_code rc = file_read(a, path, YAMLX_BYTES, &out->text, &e);
	if (rc != ERR_OK)
		diags_error(d, path, 0, 0, "%s", e.msg);
	return rc;
}

static int name_cmp(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names of policy files in DIR, in byte order. */
static enum err_code list_names(
    struct arena *a, const char *dir, const char ***out, size_t *n, struct err *e)
{
	const char *const *part[2];
	size_t len[2];
	TRY(file_list(a, dir, ".yaml", POLICY_FILES_MAX, &part[0], &len[0], e));
	TRY(file_list(a, dir, ".yml", POLICY_FILES_MAX, &part[1], &len[1], e));
	*n = len[0] + len[1];
	const char **names = ARENA_ARRAY(a, const char *, *n);
	for (size_t i = 0; i < len[0]; i++)
		names[i] = part[0][i];
	for (size_t i = 0; i < len[1]; i++)
		names[len[0] + i] = part[1][i];
	if (*n > 1)
		qsort(names, *n, sizeof(*names), name_cmp);
	*out = names;
	return ERR_OK;
}

static enum err_code read_directory(
    struct arena *a, const char *dir, struct policy_file **files, size_t *n, struct diags *d)
{
	const char **names;
	struct err e = {0};
	enum err_code rc = list_names(a, dir, &names, n, &e);
	if (rc != ERR_OK) {
		diags_error(d, dir, 0, 0, "%s", e.msg);
		return rc;
	}
	if (*n == 0)
		return diags_error(d, dir, 0, 0, "no *.yaml or *.yml file in this directory");
	if (*n > POLICY_FILES_MAX) {
		diags_error(d, dir, 0, 0, "more than %d policy files", POLICY_FILES_MAX);
		return ERR_LIMIT;
	}
	*files = ARENA_ARRAY(a, struct policy_file, *n);
	size_t len = strlen(dir);
	const char *slash = len && dir[len - 1] == '/' ? "" : "/";
	for (size_t i = 0; i < *n; i++) {
		const char *path = arena_printf(a, "%s%s%s", dir, slash, names[i]);
		enum err_code one = read_one(a, path, &(*files)[i], d);
		if (one != ERR_OK)
			rc = one;
	}
	return rc;
}

enum err_code policy_read(
    struct arena *a, const char *path, struct policy_file **files, size_t *n, struct diags *d)
{
	struct stat st;
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
		TRY(read_directory(a, path, files, n, d));
	} else {
		*n = 1;
		*files = ARENA_ARRAY(a, struct policy_file, 1);
		TRY(read_one(a, arena_strdup(a, path), *files, d));
	}
	return imports_read(a, files, n, d);
}

/* --- building --- */

/* Over names and lengths too: what moves from one file to another is another policy. */
static void digest(const struct policy_file *files, size_t n, char hex[2 * SHA256_LEN + 1])
{
	uint8_t sum[SHA256_LEN];
	struct sha256_ctx *c = sha256_begin();
	for (size_t i = 0; i < n; i++) {
		const char *name = ast_base_name(files[i].name);
		uint64_t sizes[2] = {htole64(strlen(name)), htole64(files[i].text.len)};
		/* Policies without imports keep the digest they had before there were any. */
		uint64_t kind = htole64((uint64_t)files[i].kind);
		sha256_update(c, sizes, sizeof(sizes));
		if (files[i].kind != POLICY_FILE_NATIVE)
			sha256_update(c, &kind, sizeof(kind));
		sha256_update(c, name, strlen(name));
		sha256_update(c, files[i].text.p, files[i].text.len);
	}
	sha256_end(&c, sum);
	hex_encode(sum, sizeof(sum), hex);
}

static struct policy *policy_new(void)
{
	struct policy *p = calloc(1, sizeof(*p));
	if (!p)
		abort();
	arena_init(&p->arena, 0);
	return p;
}

void policy_free(struct policy **p)
{
	if (!p || !*p)
		return;
	intern_done(&(*p)->words);
	intern_done(&(*p)->users);
	intern_done(&(*p)->groups);
	arena_done(&(*p)->arena);
	free(*p);
	*p = NULL;
}

static void fill_info(struct policy *p, const struct ast *t, const struct policy_file *files)
{
	p->info.name = "";
	p->info.files = t->nfiles + t->nimported;
	for (size_t i = 0; i < t->nfiles; i++) {
		const struct ast_metadata *m = &t->files[i].metadata;
		if (m->name && p->info.name[0] == '\0')
			p->info.name = arena_strdup(&p->arena, m->name);
		if (m->generation > p->info.generation)
			p->info.generation = m->generation;
	}
	for (size_t i = 0; i < t->nfiles; i++)
		p->info.allow_shrink |= t->files[i].metadata.allow_shrink &&
					t->files[i].metadata.generation == p->info.generation;
	digest(files, p->info.files, p->info.sha256);
}

/* Loads every file even after an error: the user sees all findings at once. */
static bool load_all(struct ast *t, const struct policy_file *files)
{
	bool ok = true;
	for (size_t i = 0; i < t->nfiles; i++)
		if (!ast_load(t, &files[i], &t->files[i]))
			ok = false;
	for (size_t i = 0; i < t->nimported; i++)
		import_file(t->imports, &t->imported[i]);
	imports_link(t->imports);
	if (ok)
		ast_check(t);
	return ok;
}

static const char *stage_of(const struct ast *t)
{
	for (size_t i = 0; i < t->nfiles; i++)
		if (!t->files[i].parsed)
			return "parse";
	return "schema";
}

/* Names of files reach explanations and audit records. */
static void check_names(const struct policy_file *files, size_t n, struct diags *d)
{
	for (size_t i = 0; i < n; i++)
		if (!slice_printable(slice_of(ast_base_name(files[i].name))))
			diags_error(d, files[i].name, 0, 0, "a control character in the name of the file");
}

/* FILES: the native ones, then N - nfiles imported ones. */
static enum err_code compile(struct ast *t, const struct policy_file *files, size_t n,
    struct policy **out, const char **stage)
{
	*stage = "parse";
	while (t->nfiles < n && files[t->nfiles].kind == POLICY_FILE_NATIVE)
		t->nfiles++;
	if (t->nfiles == 0)
		return diags_error(t->diags, "", 0, 0, "no policy file");
	t->imported = files + t->nfiles;
	t->nimported = n - t->nfiles;
	size_t errors = t->diags->errors;
	t->files = ARENA_ARRAY(t->arena, struct ast_file, t->nfiles);
	check_names(files, n, t->diags);
	bool ok = load_all(t, files);
	*stage = stage_of(t);
	if (!ok || t->diags->errors != errors)
		return ERR_INVALID;
	*out = policy_new();
	policy_build(*out, t);
	fill_info(*out, t, files);
	return ERR_OK;
}

enum err_code policy_compile_staged(const struct policy_file *files, size_t n,
    policy_test_fn *run_tests, struct policy **out, const char **stage, struct diags *d)
{
	AUTO(arena_done) struct arena arena = {0};
	AUTO(imports_done) struct imports imports = {.arena = &arena, .diags = d};
	AUTO(ast_done) struct ast tree = {.arena = &arena, .diags = d, .imports = &imports};
	AUTO(policy_free) struct policy *p = NULL;
	*out = NULL;
	TRY(compile(&tree, files, n, &p, stage));
	size_t errors = d->errors;
	if (run_tests) {
		*stage = "test";
		run_tests(p, d);
	}
	if (d->errors != errors)
		return ERR_INVALID;
	*out = TAKE(p);
	return ERR_OK;
}

enum err_code policy_compile(const struct policy_file *files, size_t n, policy_test_fn *run_tests,
    struct policy **out, struct diags *d)
{
	const char *stage;
	return policy_compile_staged(files, n, run_tests, out, &stage, d);
}

enum err_code policy_compile_guards(
    const struct policy_file *files, size_t n, struct policy **out, struct diags *d)
{
	AUTO(arena_done) struct arena arena = {0};
	AUTO(imports_done) struct imports imports = {.arena = &arena, .diags = d};
	AUTO(ast_done)
	struct ast tree = {.arena = &arena, .diags = d, .imports = &imports, .guards = true};
	const char *stage;
	*out = NULL;
	return compile(&tree, files, n, out, &stage);
}

const struct policy_info *policy_info(const struct policy *p)
{
	return &p->info;
}

const struct policy_worst *policy_worst(const struct policy *p)
{
	return &p->worst;
}
