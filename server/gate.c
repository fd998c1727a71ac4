/* Owns the order of checks on a policy that wants to decide. */
#include "server/gate.h"

#include "authz/authz.h"
#include "common/clock.h"
#include "common/file.h"
#include "policy/shrink.h"

#define READINGS_MAX 5 /* of files that change meanwhile; then the next look has to do */

const char *const gate_stages[] = {
    "read", "signature", "parse", "schema", "generation", "shrink", "test", "guard"};
const size_t gate_stages_len = ARRAY_LEN(gate_stages);

/* --- reading --- */

static void digest_text(struct sha256_ctx *ctx, const char *s)
{
	sha256_update(ctx, s ? s : "", (s ? strlen(s) : 0) + 1);
}

static void digest_slice(struct sha256_ctx *ctx, struct slice s)
{
	uint64_t len = s.len;
	sha256_update(ctx, &len, sizeof(len));
	sha256_update(ctx, s.p ? s.p : "", s.len);
}

static void digest_files(struct sha256_ctx *ctx, const struct policy_file *files, size_t n)
{
	uint64_t count = n;
	sha256_update(ctx, &count, sizeof(count));
	for (size_t i = 0; i < n; i++) {
		digest_text(ctx, files[i].name);
		sha256_update(ctx, &files[i].kind, sizeof(files[i].kind));
		digest_slice(ctx, files[i].text);
	}
}

static void digest_findings(struct sha256_ctx *ctx, const struct diags *d)
{
	for (size_t i = 0; i < d->len; i++)
		digest_text(ctx, d->items[i].text);
}

static void digest(const struct authorization_config *c, struct gate_files *f)
{
	struct sha256_ctx *ctx = sha256_begin();
	int64_t settings[] = {
	    c->max_shrink, c->require_generation, c->signatures.present, c->signatures.threshold};
	digest_text(ctx, c->policy);
	sha256_update(ctx, settings, sizeof(settings));
	digest_files(ctx, f->files, f->n);
	digest_slice(ctx, f->signature);
	for (size_t i = 0; i < f->nkeys; i++)
		sha256_update(ctx, f->keys[i].raw, sizeof(f->keys[i].raw));
	digest_files(ctx, f->guards, f->nguards);
	digest_findings(ctx, &f->read);
	digest_findings(ctx, &f->signing);
	digest_findings(ctx, &f->guarding);
	sha256_end(&ctx, f->digest);
}

static bool known_key(const struct gate_files *f, const struct sign_key *k)
{
	for (size_t i = 0; i < f->nkeys; i++)
		if (memcmp(f->keys[i].raw, k->raw, sizeof(k->raw)) == 0)
			return true;
	return false;
}

void gate_read_keys(const struct authorization_config *c, struct gate_files *f)
{
	const struct string_list *paths = &c->signatures.public_keys;
	if (!c->signatures.present)
		return;
	f->keys = ARENA_ARRAY(&f->arena, struct sign_key, paths->len);
	for (size_t i = 0; i < paths->len; i++) {
		struct slice pem;
		struct err e = {0};
		struct sign_key *k = &f->keys[f->nkeys];
		if (file_read(&f->arena, paths->items[i], SIGN_PEM_MAX, &pem, &e) != ERR_OK)
			diags_error(&f->signing, "", 0, 0, "%s", e.msg);
		else if (sign_public_key(pem, k, &e) != ERR_OK)
			diags_error(&f->signing, paths->items[i], 0, 0, "%s", e.msg);
		else if (known_key(f, k))
			diags_error(&f->signing, paths->items[i], 0, 0,
			    "the key %s stands in another file too: each counts once", k->id);
		else
			f->nkeys++;
	}
}

static void read_signature(const struct authorization_config *c, struct gate_files *f)
{
	struct err e = {0};
	if (!c->signatures.present)
		return;
	gate_read_keys(c, f);
	enum err_code code = file_read(&f->arena, policy_signature_path(&f->arena, c->policy),
	    POLICY_SIGNED_BYTES, &f->signature, &e);
	if (code != ERR_OK)
		diags_error(&f->signing, "", 0, 0, "%s%s", e.msg,
		    code == ERR_NOT_FOUND ? ": the policy is not signed" : "");
}

void gate_read(const struct authorization_config *c, struct gate_files *out)
{
	*out = (struct gate_files){.path = c->policy};
	arena_init(&out->arena, 0);
	out->base = policy_base(&out->arena, c->policy);
	struct policy_file *files;
	size_t n;
	if (policy_read(&out->arena, c->policy, &files, &n, &out->read) == ERR_OK) {
		out->files = files;
		out->n = n;
	}
	read_signature(c, out);
	if (c->guards && policy_read(&out->arena, c->guards, &files, &n, &out->guarding) == ERR_OK) {
		out->guards = files;
		out->nguards = n;
	}
	digest(c, out);
}

void gate_read_settled(const struct authorization_config *c, struct gate_files *out)
{
	uint8_t before[SHA256_LEN];
	gate_read(c, out);
	for (int i = 1; i < READINGS_MAX; i++) {
		memcpy(before, out->digest, sizeof(before));
		gate_files_done(out);
		gate_read(c, out);
		if (memcmp(before, out->digest, sizeof(before)) == 0)
			return;
	}
	/* Counts in the digest: what is read here may be what stays, and is to be tried then. */
	diags_error(&out->read, c->policy, 0, 0, "the files keep changing");
	digest(c, out);
}

void gate_files_done(struct gate_files *f)
{
	diags_done(&f->read);
	diags_done(&f->signing);
	diags_done(&f->guarding);
	arena_done(&f->arena);
	*f = (struct gate_files){0};
}

/* --- stages --- */

/* True when FROM holds errors, which are handed on to D. */
static bool failed(const struct diags *from, struct diags *d)
{
	for (size_t i = 0; i < from->len; i++) {
		const struct diag *x = &from->items[i];
		if (x->level == DIAG_ERROR)
			diags_error(d, x->file, x->line, x->col, "%s", x->text);
		else
			diags_warn(d, x->file, x->line, x->col, "%s", x->text);
	}
	return from->errors > 0;
}

static enum err_code check_signature(const struct gate *g, const struct gate_files *f,
    struct policy_signed *s, struct policy_signers *by, struct diags *d)
{
	AUTO(arena_done) struct arena a = {0};
	struct err e = {0};
	if (!g->config->signatures.present)
		return ERR_OK;
	if (failed(&f->signing, d))
		return ERR_INVALID;
	enum err_code code = policy_signed_parse(f->signature, s, &e);
	if (code == ERR_OK)
		code = policy_signed_by(
		    s, f->keys, f->nkeys, (size_t)g->config->signatures.threshold, by, &e);
	if (code == ERR_OK)
		code = policy_signed_check(s, f->base, f->files, f->n, &e);
	if (code == ERR_OK)
		return ERR_OK;
	return diags_error(d, policy_signature_path(&a, f->path), 0, 0, "%s", e.msg);
}

/* A copy is behind when a later one could not be kept, or when somebody put an old one there. */
static enum err_code check_copy(
    long long have, long long highest, bool must, const char *at, struct diags *d)
{
	static const char text[] = "the copy is of generation %lld, but %lld was in force already";
	if (have >= highest)
		return ERR_OK;
	if (must)
		return diags_error(d, at, 0, 0, text, have, highest);
	diags_warn(d, at, 0, 0, text, have, highest);
	return ERR_OK;
}

static enum err_code check_generation(const struct gate *g, const struct gate_files *f,
    const struct policy_signed *s, const struct policy_info *i, struct diags *d)
{
	const char *at = f->files[0].name;
	bool must = g->config->require_generation || g->config->signatures.present;
	long long have = (long long)i->generation, highest = (long long)g->highest.number;
	if (g->config->signatures.present && s->generation != i->generation)
		return diags_error(d, at, 0, 0,
		    "metadata.generation is %lld, that of the signatures %lld", have,
		    (long long)s->generation);
	if (g->copy)
		return check_copy(have, highest, must, at, d);
	if (have == 0 && must)
		return diags_error(d, at, 0, 0, "metadata.generation is missing");
	if (have == 0 && highest > 0)
		diags_warn(d, at, 0, 0,
		    "metadata.generation is gone (it was %lld): an older policy that comes back is not "
		    "noticed",
		    highest);
	if (have == 0)
		return ERR_OK;
	if (have < highest)
		return diags_error(d, at, 0, 0,
		    "metadata.generation is %lld, but %lld was in force already: to go back on purpose, "
		    "give the old rules a generation above that",
		    have, highest);
	if (have > highest || strcmp(i->sha256, g->highest.sha256) == 0)
		return ERR_OK;
	if (must)
		return diags_error(d, at, 0, 0,
		    "metadata.generation is %lld as before, but the policy is another one: raise it",
		    have);
	diags_warn(d, at, 0, 0,
	    "metadata.generation is %lld as before, but the policy is another one", have);
	return ERR_OK;
}

/* The leave to shrink holds for the step to its generation, not for those that follow with it left in. */
static bool leave_used(const struct policy_info *before, const struct policy_info *now)
{
	return before->allow_shrink && before->generation == now->generation;
}

static enum err_code check_shrink(
    const struct gate *g, const struct gate_files *f, const struct policy *p, struct diags *d)
{
	AUTO(arena_done) struct arena a = {0};
	const char *at = f->files[0].name;
	int64_t limit = g->config->max_shrink;
	struct shrink s;
	if (!g->before || g->copy || limit >= 100)
		return ERR_OK;
	policy_shrink(g->before, p, &a, &s);
	bool many = s.removed * 100 > s.rules * (size_t)limit;
	if (policy_info(p)->allow_shrink && !many && !s.lost)
		diags_warn(d, at, 0, 0,
		    "metadata.allowShrink is true but nothing shrank: take it out, or the next slip "
		    "passes");
	bool used = leave_used(policy_info(g->before), policy_info(p));
	if (policy_info(p)->allow_shrink && !used)
		return ERR_OK;
	const char *hint = used && policy_info(p)->allow_shrink
			       ? "metadata.allowShrink has let the policy in force pass already: if that "
				 "is meant too, raise metadata.generation"
			       : "if that is meant, set metadata.allowShrink: true";
	if (s.lost && s.more)
		diags_error(d, at, 0, 0, "%s is gone, and %zu more of that kind: %s", s.lost, s.more,
		    hint);
	else if (s.lost)
		diags_error(d, at, 0, 0, "%s is gone: %s", s.lost, hint);
	if (many)
		diags_error(d, at, 0, 0, "%zu of %zu rules are gone, more than %lld %%: %s",
		    s.removed, s.rules, (long long)limit, hint);
	return s.lost || many ? ERR_INVALID : ERR_OK;
}

static enum err_code check_guards(
    const struct gate *g, const struct gate_files *f, const struct policy *p, struct diags *d)
{
	AUTO(policy_free) struct policy *guards = NULL;
	if (!g->config->guards || g->copy)
		return ERR_OK;
	if (failed(&f->guarding, d))
		return ERR_INVALID;
	TRY(policy_compile_guards(f->guards, f->nguards, &guards, d));
	size_t errors = d->errors;
	authz_run_guards(p, guards, d);
	return d->errors == errors ? ERR_OK : ERR_INVALID;
}

static enum err_code run_tests(const struct policy *p, struct diags *d)
{
	size_t errors = d->errors;
	authz_run_tests(p, d);
	return d->errors == errors ? ERR_OK : ERR_INVALID;
}

enum err_code gate_pass(const struct gate *g, const struct gate_files *f,
    struct served_policy **out, const char **stage, struct diags *d)
{
	AUTO(policy_free) struct policy *p = NULL;
	struct policy_signed s;
	struct policy_signers by = {0};
	*stage = "read";
	if (failed(&f->read, d))
		return ERR_INVALID;
	*stage = "signature";
	TRY(check_signature(g, f, &s, &by, d));
	TRY(policy_compile_staged(f->files, f->n, NULL, &p, stage, d));
	*stage = "generation";
	TRY(check_generation(g, f, &s, policy_info(p), d));
	*stage = "shrink";
	TRY(check_shrink(g, f, p, d));
	*stage = "test";
	TRY(run_tests(p, d));
	*stage = "guard";
	TRY(check_guards(g, f, p, d));
	*out = served_new(TAKE(p), f->path, f->files, f->n, &by);
	(*out)->recovered = g->copy;
	return ERR_OK;
}
