/* Owns what is kept beside a policy that serves. */
#include "server/served.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "common/clock.h"

static void copy_files(struct served_policy *s, const struct policy_file *files, size_t n)
{
	struct served_file *out = ARENA_ARRAY(&s->arena, struct served_file, n);
	for (size_t i = 0; i < n; i++) {
		struct stat st;
		out[i].name = arena_strdup(&s->arena, files[i].name);
		out[i].kind = files[i].kind;
		sha256_hex(files[i].text.p, files[i].text.len, out[i].sha256);
		/* Of the file as it is now: a hint, not evidence. */
		out[i].owned = stat(files[i].name, &st) == 0;
		out[i].owner = out[i].owned ? st.st_uid : 0;
	}
	s->files = out;
	s->nfiles = n;
}

static void copy_signers(struct served_policy *s, const struct policy_signers *signers)
{
	AUTO(buf_done) struct buf joined;
	buf_init(&joined, POLICY_KEYS_MAX * (SIGN_ID_LEN + 1));
	const char **ids = ARENA_ARRAY(&s->arena, const char *, signers->n);
	for (size_t i = 0; i < signers->n; i++) {
		ids[i] = arena_strdup(&s->arena, signers->keys[i]->id);
		buf_printf(&joined, "%s%s", i ? "," : "", ids[i]);
	}
	s->signers = ids;
	s->nsigners = signers->n;
	s->signed_by = arena_strdup(&s->arena, buf_cstr(&joined));
}

struct served_policy *served_new(struct policy *p, const char *path, const struct policy_file *files,
    size_t n, const struct policy_signers *signers)
{
	struct served_policy *s = calloc(1, sizeof(*s));
	if (!s)
		abort();
	arena_init(&s->arena, 0);
	s->policy = p;
	s->path = arena_strdup(&s->arena, path);
	s->loaded = clock_now();
	copy_files(s, files, n);
	if (signers && signers->n)
		copy_signers(s, signers);
	return s;
}

void served_free(struct served_policy **sp)
{
	if (!sp || !*sp)
		return;
	struct served_policy *s = TAKE(*sp);
	policy_free(&s->policy);
	arena_done(&s->arena);
	free(s);
}
