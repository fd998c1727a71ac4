/* Owns the templates in force and their replacement while others still read the old ones. */
#include "rbac-sync/templates.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/secret.h"

struct shared_config {
	struct templates_held held; /* first: what callers see */
	size_t refs;
};

struct templates {
	pthread_mutex_t lock;
	const char *path;
	struct shared_config *now;
	char seen[2 * SHA256_LEN + 1]; /* of the last content read, good or bad */
	atomic_bool stale;
};

static struct shared_config *part_of(struct templates_held *h)
{
	return (struct shared_config *)h;
}

static enum err_code parse(const char *path, struct slice text, const char *digest,
    struct templates_held **out, struct diags *d)
{
	struct sync_config *config;
	TRY(sync_config_parse(path, text, &config, d));
	if (!config->templates.len) {
		sync_config_free(&config);
		return diags_error(d, path, 1, 1, "no template: nobody would be due anything");
	}
	struct shared_config *c = calloc(1, sizeof(*c));
	if (!c)
		abort();
	c->held.config = config;
	memcpy(c->held.digest, digest, sizeof(c->held.digest) - 1);
	c->refs = 1;
	*out = &c->held;
	return ERR_OK;
}

/* *OUT stays NULL when the text is what it was. */
static enum err_code look(struct templates *t, struct templates_held **out, struct diags *d, bool *same)
{
	struct arena a;
	struct slice text;
	struct err e;
	char digest[2 * SHA256_LEN + 1];
	arena_init(&a, 0);
	enum err_code rc = file_read(&a, t->path, TEMPLATE_BYTES_MAX, &text, &e);
	/* An error is content of its own: told once, until something changes. */
	struct slice content = rc == ERR_OK ? text : slice_of(e.msg);
	sha256_hex(content.p ? content.p : "", content.len, digest);
	*same = strcmp(digest, t->seen) == 0;
	memcpy(t->seen, digest, sizeof(digest));
	if (rc != ERR_OK)
		rc = diags_error(d, "", 0, 0, "%s", e.msg); /* names the file */
	else if (!*same)
		rc = parse(t->path, text, digest, out, d);
	arena_done(&a);
	return rc;
}

enum err_code templates_new(const char *path, struct templates **out, struct diags *d)
{
	struct templates *t = calloc(1, sizeof(*t));
	struct templates_held *first = NULL;
	bool same;
	if (!t)
		abort();
	pthread_mutex_init(&t->lock, NULL);
	t->path = path;
	enum err_code rc = look(t, &first, d, &same);
	if (rc != ERR_OK)
		templates_free(&t);
	else
		t->now = part_of(first);
	*out = t;
	return rc;
}

static void drop(struct shared_config *c)
{
	sync_config_free(&c->held.config);
	free(c);
}

void templates_free(struct templates **tp)
{
	struct templates *t = TAKE(*tp);
	if (!t)
		return;
	if (t->now)
		drop(t->now);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

struct templates_held *templates_hold(struct templates *t)
{
	pthread_mutex_lock(&t->lock);
	struct shared_config *c = t->now;
	c->refs++;
	pthread_mutex_unlock(&t->lock);
	return &c->held;
}

void templates_let(struct templates *t, struct templates_held **h)
{
	if (!*h)
		return;
	struct shared_config *c = part_of(TAKE(*h));
	pthread_mutex_lock(&t->lock);
	bool last = --c->refs == 0;
	pthread_mutex_unlock(&t->lock);
	if (last)
		drop(c);
}

enum templates_word templates_read(struct templates *t, struct templates_held **out, struct err *why)
{
	struct diags d = {0};
	bool same;
	enum templates_word word = TEMPLATES_REJECTED;
	*out = NULL;
	if (look(t, out, &d, &same) == ERR_OK)
		word = same ? TEMPLATES_SAME : TEMPLATES_NEW;
	else if (same)
		word = TEMPLATES_SAME;
	else
		diags_to_err(&d, why);
	/* Back to the text in force: nothing is stale, and nothing is new either. */
	if (word == TEMPLATES_NEW && strcmp((*out)->digest, t->now->held.digest) == 0) {
		drop(part_of(TAKE(*out)));
		word = TEMPLATES_SAME;
		t->stale = false;
	}
	if (word != TEMPLATES_SAME)
		t->stale = true;
	diags_done(&d);
	return word;
}

void templates_use(struct templates *t, struct templates_held **fresh)
{
	pthread_mutex_lock(&t->lock);
	struct templates_held *old = &t->now->held;
	t->now = part_of(TAKE(*fresh));
	pthread_mutex_unlock(&t->lock);
	t->stale = false;
	templates_let(t, &old);
}

void templates_drop(struct templates_held **fresh)
{
	if (*fresh)
		drop(part_of(TAKE(*fresh)));
}

bool templates_stale(const struct templates *t)
{
	return t->stale;
}
