/* Owns the memory of wrong passwords: a fixed table of hashes and times. */
#include "authn/wrongs.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/secret.h"

/* Tries get in through the penalties alone, at most ten a second for long: an hour of them fits. 1.25 MiB. */
#define SETS 8192
#define WAYS 4

struct entry {
	struct wrong x;
	int64_t until, window;
};

struct wrongs {
	uint8_t key[SHA256_LEN];
	int64_t first, longest;
	pthread_mutex_t lock; /* guards what follows */
	struct entry sets[SETS][WAYS];
};

struct wrongs *wrongs_new(int64_t first, int64_t longest)
{
	struct wrongs *w = calloc(1, sizeof(*w));
	if (!w)
		abort();
	secret_random(w->key, sizeof(w->key));
	w->first = first;
	w->longest = longest;
	pthread_mutex_init(&w->lock, NULL);
	return w;
}

void wrongs_free(struct wrongs **w)
{
	if (!w || !*w)
		return;
	pthread_mutex_destroy(&(*w)->lock);
	free(*w);
	*w = NULL;
}

struct wrong wrongs_hash(const struct wrongs *w, const struct slice *parts, size_t n)
{
	uint8_t digest[SHA256_LEN];
	struct sha256_ctx *ctx = sha256_begin();
	sha256_update(ctx, w->key, sizeof(w->key));
	for (size_t i = 0; i < n; i++) {
		uint64_t len = parts[i].len;
		sha256_update(ctx, &len, sizeof(len));
		sha256_update(ctx, parts[i].p, parts[i].len);
	}
	sha256_end(&ctx, digest);
	struct wrong x;
	memcpy(&x, digest, sizeof(x));
	x.half[0] |= 1; /* an empty place is zero */
	return x;
}

static struct entry *find(struct wrongs *w, struct wrong x)
{
	struct entry *set = w->sets[x.half[1] % SETS];
	for (size_t i = 0; i < WAYS; i++) {
		if (set[i].x.half[0] == x.half[0] && set[i].x.half[1] == x.half[1])
			return &set[i];
	}
	return NULL;
}

bool wrongs_known(struct wrongs *w, struct wrong x, int64_t now)
{
	pthread_mutex_lock(&w->lock);
	const struct entry *e = find(w, x);
	bool known = e && now < e->until;
	pthread_mutex_unlock(&w->lock);
	return known;
}

static struct entry *claim(struct wrongs *w, struct wrong x)
{
	struct entry *set = w->sets[x.half[1] % SETS], *e = &set[0];
	for (size_t i = 1; i < WAYS; i++) {
		if (set[i].until < e->until)
			e = &set[i];
	}
	*e = (struct entry){.x = x};
	return e;
}

void wrongs_add(struct wrongs *w, struct wrong x, int64_t now)
{
	pthread_mutex_lock(&w->lock);
	struct entry *e = find(w, x);
	bool again = e && now - e->until < w->longest;
	int64_t window = again ? e->window * 2 : w->first;
	if (!e)
		e = claim(w, x);
	e->window = window < w->longest ? window : w->longest;
	e->until = now + e->window;
	pthread_mutex_unlock(&w->lock);
}
