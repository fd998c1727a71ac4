/* Owns `portcullis policy convert`: RBAC objects or ABAC files in, a native policy out. */
#include <stdio.h>
#include <sys/stat.h>

#include "cli/commands.h"
#include "cli/policy.h"
#include "common/file.h"
#include "common/yamlx.h"
#include "policy/convert.h"

#define TEXT_MAX ((size_t)256 << 20)

struct input {
	const struct command *self;
	struct arena arena;
	enum policy_file_kind kind;
	struct policy_file *files;
	size_t n, room;
};

static bool add_file(struct input *in, const char *path)
{
	struct policy_file file = {.name = path, .kind = in->kind};
	struct err e = {0};
	bool standard = strcmp(path, "-") == 0;
	if (standard)
		file.name = "standard-input";
	enum err_code rc = standard ? cli_read_stdin(&in->arena, YAMLX_BYTES, &file.text, &e)
				    : file_read(&in->arena, path, YAMLX_BYTES, &file.text, &e);
	if (rc != ERR_OK) {
		cli_error(in->self, "%s", e.msg);
		return false;
	}
	ARENA_ROOM(&in->arena, in->files, in->n, in->room, 8);
	in->files[in->n++] = file;
	return true;
}

static bool add_path(struct input *in, const char *path)
{
	const char *const *names;
	struct err e = {0};
	struct stat st;
	size_t n;
	if (strcmp(path, "-") == 0 || stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
		return add_file(in, path);
	if (file_list(&in->arena, path, "", POLICY_FILES_MAX, &names, &n, &e) != ERR_OK) {
		cli_error(in->self, "%s", e.msg);
		return false;
	}
	bool slash = path[strlen(path) - 1] == '/';
	for (size_t i = 0; i < n; i++)
		if (!add_file(in, arena_printf(&in->arena, "%s%s%s", path, slash ? "" : "/", names[i])))
			return false;
	return true;
}

/* What is printed must load. */
static bool loads(const struct command *self, const struct buf *text)
{
	AUTO(policy_free) struct policy *p = NULL;
	struct policy_file file = {.name = "converted.yaml", .text = buf_view(text)};
	struct diags d = {0};
	bool ok = policy_compile(&file, 1, NULL, &p, &d) == ERR_OK;
	if (!ok)
		cli_error(self, "the result does not load: %s:%u: %s", d.items[0].file,
		    d.items[0].line, d.items[0].text);
	diags_done(&d);
	return ok;
}

static int convert(const struct input *in)
{
	AUTO(buf_done) struct buf out;
	struct diags d = {0};
	size_t lost;
	buf_init(&out, TEXT_MAX);
	enum err_code rc = policy_convert(in->files, in->n, &out, &lost, &d);
	cli_print_diags(&d);
	diags_done(&d);
	if (rc != ERR_OK || !loads(in->self, &out))
		return CLI_USAGE;
	fwrite(out.p, 1, out.len, stdout);
	return lost ? CLI_NO : CLI_OK;
}

static int run(const struct command *self, int argc, char **argv)
{
	const char *from = NULL;
	const struct cli_option options[] = {{"from", 0, &from, NULL}, {0}};
	if (!cli_options(self, options, &argc, argv))
		return CLI_USAGE;
	if (!from || (strcmp(from, "rbac") != 0 && strcmp(from, "abac") != 0))
		return cli_usage(self, "--from: expected rbac or abac");
	if (argc == 0)
		return cli_usage(self, "expected files or directories, or `-`");
	struct input in = {
	    .self = self, .kind = from[0] == 'r' ? POLICY_FILE_RBAC : POLICY_FILE_ABAC};
	bool ok = true;
	for (int i = 0; i < argc && ok; i++)
		ok = add_path(&in, argv[i]);
	int code = ok ? convert(&in) : CLI_USAGE;
	arena_done(&in.arena);
	return code;
}

const struct command cmd_policy_convert = {
    .name = "policy convert",
    .args = "--from rbac|abac PATH...",
    .summary = "Prints a policy that gives what RBAC objects, or ABAC lines, give.",
    .help =
	"PATH is a file, a directory of such files, or `-` for standard input.\n\n"
	"      --from rbac   roles and bindings, YAML or JSON, lists too, as kubectl prints them\n"
	"      --from abac   policy files of the ABAC authorizer\n\n"
	"What the policy language cannot say is left out, never widened: each such thing is a\n"
	"warning with its place, and a comment in the result. To have the files decide as they\n"
	"do in Kubernetes, to the letter, import them instead (docs/policy-language.md).\n\n"
	"Exit codes: 0 all was carried over, 1 something was not, 2 a file cannot be read.",
    .run = run,
};
