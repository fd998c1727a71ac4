/* Owns `portcullis policy sign`: one person's signature, added to those that a policy has. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/policy.h"
#include "common/file.h"
#include "policy/signed.h"

struct signing {
	const struct command *self;
	struct arena arena; /* wiped: holds the key */
	const char *path;   /* of the signatures */
	struct slice key;
	struct buf manifest;
	struct policy_signature sigs[POLICY_SIGNATURES_MAX];
	size_t nsigs, dropped;
};

static enum err_code read_key(struct signing *s, const char *path, struct err *e)
{
	mode_t mode;
	TRY(file_read_mode(&s->arena, path, SIGN_PEM_MAX, &s->key, &mode, e));
	if (mode & 077)
		return err_set(e, ERR_REFUSED,
		    "%s: mode %04o: a key that others may read or write signs nothing; chmod 600", path,
		    (unsigned)mode);
	return ERR_OK;
}

/* The manifest of the policy at PATH, which must load: nobody should vouch for what does not. */
static int make_manifest(struct signing *s, const char *path)
{
	struct diags d = {0};
	struct policy_file *files;
	AUTO(policy_free) struct policy *p = NULL;
	struct err e = {0};
	size_t n;
	int rc = CLI_USAGE;
	if (policy_read(&s->arena, path, &files, &n, &d) == ERR_OK)
		rc = policy_compile(files, n, authz_run_tests, &p, &d) == ERR_OK ? CLI_OK : CLI_NO;
	cli_print_diags(&d);
	diags_done(&d);
	if (rc != CLI_OK)
		return rc;
	int64_t generation = policy_info(p)->generation;
	if (generation == 0)
		return cli_error(s->self,
		    "%s: metadata.generation is missing: signed without one, it could be brought back "
		    "for ever",
		    path);
	if (policy_manifest(policy_base(&s->arena, path), files, n, generation, &s->manifest, &e) !=
	    ERR_OK)
		return cli_error(s->self, "%s", e.msg);
	return CLI_OK;
}

/* The signatures that are there, when they are of this very manifest and not by BY. */
static int keep_others(struct signing *s, const struct sign_key *by)
{
	struct slice text;
	struct policy_signed old;
	struct err e = {0};
	enum err_code code = file_read(&s->arena, s->path, POLICY_SIGNED_BYTES, &text, &e);
	if (code == ERR_NOT_FOUND)
		return CLI_OK;
	if (code != ERR_OK)
		return cli_error(s->self, "%s", e.msg);
	if (policy_signed_parse(text, &old, &e) != ERR_OK)
		return cli_error(
		    s->self, "%s: %s; without this file, signing begins anew", s->path, e.msg);
	if (!slice_eq(old.manifest, buf_view(&s->manifest))) {
		s->dropped = old.nsigs;
		return CLI_OK;
	}
	for (size_t i = 0; i < old.nsigs; i++)
		if (strcmp(old.sigs[i].key, by->id) != 0)
			s->sigs[s->nsigs++] = old.sigs[i];
	if (s->nsigs == POLICY_SIGNATURES_MAX)
		return cli_error(s->self, "%s: no room for another signature", s->path);
	return CLI_OK;
}

static int sign(struct signing *s, const char *key_path, const char *path)
{
	struct err e = {0};
	struct sign_key by;
	struct policy_signature mine;
	if (read_key(s, key_path, &e) != ERR_OK)
		return cli_error(s->self, "%s", e.msg);
	int rc = make_manifest(s, path);
	if (rc != CLI_OK)
		return rc;
	if (sign_make(s->key, buf_view(&s->manifest), mine.value, &by, &e) != ERR_OK)
		return cli_error(s->self, "%s: %s", key_path, e.msg);
	memcpy(mine.key, by.id, sizeof(mine.key));
	s->path = policy_signature_path(&s->arena, path);
	rc = keep_others(s, &by);
	if (rc != CLI_OK)
		return rc;
	s->sigs[s->nsigs++] = mine;
	AUTO(buf_done) struct buf out;
	buf_init(&out, POLICY_SIGNED_BYTES);
	policy_signed_write(buf_view(&s->manifest), s->sigs, s->nsigs, &out);
	if (out.over || file_write_atomic(s->path, out.p, out.len, 0644, &e) != ERR_OK)
		return cli_error(s->self, "%s", out.over ? "too many files to sign" : e.msg);
	if (s->dropped)
		fprintf(stderr, "the policy changed: %zu signatures of what it was are gone\n",
		    s->dropped);
	printf("%ssigned as %s; %s holds %zu signature%s\n", buf_cstr(&s->manifest), by.id, s->path,
	    s->nsigs, s->nsigs == 1 ? "" : "s");
	return CLI_OK;
}

static int run(const struct command *self, int argc, char **argv)
{
	const char *key = NULL;
	const struct cli_option options[] = {{"key", 'k', &key, NULL}, {0}};
	if (!cli_options(self, options, &argc, argv))
		return CLI_USAGE;
	if (argc != 1 || !key)
		return cli_usage(self, "expected --key FILE and one file or directory");
	struct signing s = {.self = self};
	arena_init_wiped(&s.arena, 0);
	buf_init(&s.manifest, POLICY_SIGNED_BYTES);
	int rc = sign(&s, key, argv[0]);
	buf_done(&s.manifest);
	arena_done(&s.arena);
	return rc;
}

const struct command cmd_policy_sign = {
    .name = "policy sign",
    .args = "--key FILE PATH",
    .summary = "Adds a signature to a policy.",
    .help = "PATH is a file, whose signatures stand in PATH.sig, or a directory, whose signatures stand in\n"
	    "PATH/policy.sig. What is signed is printed: the generation and the SHA-256 of every file, imported\n"
	    "ones included. Signatures of others stay when the policy is what they signed.\n\n"
	    "  -k, --key FILE   Ed25519 private key, PEM without a passphrase, mode 0600\n\n"
	    "A key pair: openssl genpkey -algorithm ed25519 -out KEY; openssl pkey -in KEY -pubout -out PUB\n"
	    "Exit codes: 0 signed, 1 the policy does not load, 2 something cannot be read or written.",
    .run = run,
};
