/* Owns the limit on removals: which are wanted, which run they are, and whether it may go. */
#include "rbac-sync/gc.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/map.h"
#include "common/metrics.h"
#include "rbac-sync/gc_window.h"

#define FLOOR 5			   /* so many may always go, however little we manage */
#define SETTLES_MAX 60		   /* a stream of candidates puts off its judgement at most so many times */
#define HELD_AGAIN (2 * CLOCK_SECOND)
#define BLOCKED_AGAIN (60 * CLOCK_SECOND) /* a confirmation wakes everybody sooner */
#define WANT_LEN 16		   /* bytes of a digest: enough that no two removals meet */
#define WHY_MAX 256

enum want_state { WANT_NEW = 0, WANT_PINNED, WANT_CONFIRMED, WANT_STATES };

/* One removal: a digest over record and object. */
struct want {
	uint8_t id[WANT_LEN];
	uint8_t state; /* enum want_state */
};

/* What one record wants removed. */
struct candidate {
	char *record;
	struct want *wants; /* sorted by id */
	size_t n;
	size_t granted; /* of the new ones, in the window since the last GO */
	bool out;	/* a GO is under way */
};

struct gc {
	struct gc_config config;
	pthread_mutex_t lock;
	struct map candidates; /* record → struct candidate */
	size_t count[WANT_STATES]; /* of all wants that are not under way */
	int64_t first, newest; /* when the run that is not judged yet began and grew */
	bool suspicious;       /* a run was blocked under an earlier leader */
	size_t managed;
	struct gc_window window;
	char run[GC_RUN_ID_LEN + 1]; /* pinned, or "" */
	char why[WHY_MAX], held[WHY_MAX];
	char used_note[64]; /* the confirmation that was taken last */
	struct metric *waiting, *blocked;
};

struct gc *gc_new(const struct gc_config *c)
{
	struct gc *g = calloc(1, sizeof(*g));
	if (!g)
		abort();
	g->config = *c;
	g->window.length = c->window;
	pthread_mutex_init(&g->lock, NULL);
	snprintf(g->held, sizeof(g->held), "not ready yet");
	g->waiting = metrics_gauge("portcullis_sync_gc_candidates", "Limited removals that wait.", "");
	g->blocked = metrics_gauge(
	    "portcullis_sync_gc_blocked", "1 while a run of removals waits for an admin.", "");
	return g;
}

static void candidate_free(struct candidate *c)
{
	free(c->record);
	free(c->wants);
	free(c);
}

static void drop_all(struct gc *g)
{
	size_t it = 0;
	struct slice key;
	void *value;
	while (map_next(&g->candidates, &it, &key, &value))
		candidate_free(value);
	map_done(&g->candidates);
	g->candidates = (struct map){0};
	memset(g->count, 0, sizeof(g->count));
	g->run[0] = '\0';
	g->first = 0;
}

void gc_free(struct gc **g)
{
	if (!g || !*g)
		return;
	drop_all(*g);
	pthread_mutex_destroy(&(*g)->lock);
	free(*g);
	*g = NULL;
}

static size_t allowed(const struct gc *g)
{
	size_t share = g->managed > SIZE_MAX / 100 ? SIZE_MAX / 100 : g->managed;
	share = share * (size_t)g->config.max_percent / 100;
	if (share < FLOOR)
		share = FLOOR;
	size_t most = (size_t)g->config.max_deletes;
	return share < most ? share : most;
}

/* --- candidates --- */

static void tell(struct gc *g)
{
	metric_set(g->waiting, (double)(g->count[WANT_NEW] + g->count[WANT_PINNED] + g->count[WANT_CONFIRMED]));
	metric_set(g->blocked, g->run[0] != '\0');
}

/* Takes C's wants into the counts, or out of them. */
static void count(struct gc *g, const struct candidate *c, bool in)
{
	for (size_t i = 0; i < c->n; i++)
		g->count[c->wants[i].state] += in ? 1 : (size_t)-1;
}

/* Nothing of the pinned run is wanted any more: it is over. So is a stretch without new candidates. */
static void look_around(struct gc *g)
{
	if (g->count[WANT_PINNED] == 0 && g->run[0]) {
		g->run[0] = '\0';
		g->first = g->newest = clock_mono(); /* whatever waited behind it begins to be judged */
	}
	if (g->count[WANT_NEW] == 0)
		g->first = 0;
	tell(g);
}

static int want_order(const void *a, const void *b)
{
	return memcmp(((const struct want *)a)->id, ((const struct want *)b)->id, WANT_LEN);
}

static void want_make(const char *record, const struct object_id *id, struct want *out)
{
	uint8_t digest[SHA256_LEN];
	uint8_t kind = (uint8_t)id->kind;
	const char *namespace_ = id->namespace_ ? id->namespace_ : "";
	struct sha256_ctx *ctx = sha256_begin();
	sha256_update(ctx, record, strlen(record) + 1);
	sha256_update(ctx, &kind, 1);
	sha256_update(ctx, namespace_, strlen(namespace_) + 1);
	sha256_update(ctx, id->name, strlen(id->name) + 1);
	sha256_end(&ctx, digest);
	memcpy(out->id, digest, WANT_LEN);
	out->state = WANT_NEW;
}

static struct candidate *candidate_of(struct gc *g, const char *record)
{
	struct candidate *c = map_get(&g->candidates, slice_of(record));
	if (c)
		return c;
	c = calloc(1, sizeof(*c));
	if (!c || !(c->record = strdup(record)))
		abort();
	map_put(&g->candidates, slice_of(c->record), c);
	return c;
}

/* In place of what C wanted; what was pinned or confirmed stays it. */
static void candidate_want(
    struct gc *g, struct candidate *c, const struct object_id *ids, size_t n, int64_t now)
{
	struct want *wants = calloc(n, sizeof(*wants));
	if (!wants)
		abort();
	bool grown = false;
	for (size_t i = 0; i < n; i++) {
		want_make(c->record, &ids[i], &wants[i]);
		const struct want *had =
		    c->n ? bsearch(&wants[i], c->wants, c->n, sizeof(*wants), want_order) : NULL;
		if (had)
			wants[i].state = had->state;
		grown = grown || !had;
	}
	qsort(wants, n, sizeof(*wants), want_order);
	if (!c->out)
		count(g, c, false);
	free(c->wants);
	c->wants = wants;
	c->n = n;
	c->out = false;
	count(g, c, true);
	if (!grown)
		return;
	if (!g->first || now - g->newest >= g->config.settle)
		g->first = now; /* what came before had its time to be judged */
	g->newest = now;
}

static void forget(struct gc *g, const char *record)
{
	struct candidate *c = map_del(&g->candidates, slice_of(record));
	if (c) {
		if (!c->out)
			count(g, c, false);
		candidate_free(c);
	}
	look_around(g);
}

/* --- runs --- */

static int id_order(const void *a, const void *b)
{
	return memcmp(a, b, WANT_LEN);
}

/* Pins all new candidates as one run and names it. */
static void pin(struct gc *g)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
	uint8_t(*ids)[WANT_LEN] = calloc(g->count[WANT_NEW] + 1, WANT_LEN);
	if (!ids)
		abort();
	size_t n = 0, it = 0;
	struct slice key;
	void *value;
	while (map_next(&g->candidates, &it, &key, &value)) {
		struct candidate *c = value;
		for (size_t i = 0; i < c->n && !c->out; i++) {
			if (c->wants[i].state != WANT_NEW)
				continue;
			memcpy(ids[n++], c->wants[i].id, WANT_LEN);
			c->wants[i].state = WANT_PINNED;
		}
	}
	g->count[WANT_PINNED] += n;
	g->count[WANT_NEW] = 0;
	qsort(ids, n, WANT_LEN, id_order);
	uint8_t digest[SHA256_LEN];
	sha256(ids, n * WANT_LEN, digest);
	free(ids);
	for (size_t i = 0; i < GC_RUN_ID_LEN; i++)
		g->run[i] = letters[digest[i] & 31];
	g->run[GC_RUN_ID_LEN] = '\0';
	g->first = 0;
	g->suspicious = false;
	tell(g);
}

/* The run as it stands: GO, or pinned. */
static enum gc_answer judge(struct gc *g, int64_t now)
{
	size_t used = gc_window_used(&g->window, now), limit = allowed(g), wanted = g->count[WANT_NEW];
	if (!g->suspicious && used <= limit && wanted <= limit - used)
		return GC_GO;
	if (g->suspicious)
		snprintf(g->why, sizeof(g->why),
		    "%zu removals, where an earlier leader had blocked a run", wanted);
	else
		snprintf(g->why, sizeof(g->why),
		    "%zu removals; %zu are allowed within %" PRId64 " s, of which %zu are used up", wanted,
		    limit, g->config.window / CLOCK_SECOND, used);
	pin(g);
	return GC_BLOCKED;
}

static bool all_confirmed(const struct candidate *c)
{
	for (size_t i = 0; i < c->n; i++) {
		if (c->wants[i].state != WANT_CONFIRMED)
			return false;
	}
	return true;
}

static enum gc_answer grant(struct gc *g, struct candidate *c, int64_t now)
{
	size_t fresh = 0;
	for (size_t i = 0; i < c->n; i++)
		fresh += c->wants[i].state == WANT_NEW;
	gc_window_add(&g->window, fresh, now);
	count(g, c, false);
	c->granted = fresh;
	c->out = true;
	look_around(g);
	return GC_GO;
}

static enum gc_answer answer(struct gc *g, struct candidate *c, int64_t now, int64_t *again)
{
	if (g->held[0]) {
		*again = now + HELD_AGAIN;
		return GC_WAIT;
	}
	if (all_confirmed(c))
		return grant(g, c, now);
	*again = now + BLOCKED_AGAIN;
	if (g->run[0])
		return GC_BLOCKED;
	int64_t quiet = g->newest + g->config.settle, late = g->first + SETTLES_MAX * g->config.settle;
	int64_t when = quiet < late ? quiet : late;
	if (now < when) {
		*again = when;
		return GC_WAIT;
	}
	return judge(g, now) == GC_GO ? grant(g, c, now) : GC_BLOCKED;
}

enum gc_answer gc_ask(struct gc *g, const char *record, const struct object_id *ids, size_t n, size_t managed,
    int64_t *again)
{
	int64_t now = clock_mono();
	*again = now;
	pthread_mutex_lock(&g->lock);
	g->managed = managed;
	enum gc_answer out = GC_GO;
	if (n == 0) {
		forget(g, record);
	} else {
		struct candidate *c = candidate_of(g, record);
		candidate_want(g, c, ids, n, now);
		look_around(g);
		out = answer(g, c, now, again);
	}
	pthread_mutex_unlock(&g->lock);
	return out;
}

void gc_forget(struct gc *g, const char *record)
{
	pthread_mutex_lock(&g->lock);
	forget(g, record);
	pthread_mutex_unlock(&g->lock);
}

void gc_done(struct gc *g, const char *record, size_t n)
{
	pthread_mutex_lock(&g->lock);
	struct candidate *c = map_get(&g->candidates, slice_of(record));
	if (c && c->out && n >= c->n) {
		forget(g, record);
	} else if (c && c->out) {
		/* Which ones are left is told by the next gc_ask. */
		size_t left = c->n - n;
		gc_window_give_back(&g->window, left < c->granted ? left : c->granted);
		c->granted = 0;
	}
	pthread_mutex_unlock(&g->lock);
}

void gc_hold(struct gc *g, const char *why)
{
	pthread_mutex_lock(&g->lock);
	if (!why && g->count[WANT_NEW] == 0)
		g->suspicious = false; /* the cause of the earlier run is gone */
	snprintf(g->held, sizeof(g->held), "%s", why ? why : "");
	pthread_mutex_unlock(&g->lock);
}

void gc_look(struct gc *g, struct gc_state *out)
{
	*out = (struct gc_state){0};
	pthread_mutex_lock(&g->lock);
	memcpy(out->run, g->run, sizeof(out->run));
	out->candidates = g->run[0] ? g->count[WANT_PINNED] : g->count[WANT_NEW] + g->count[WANT_CONFIRMED];
	out->allowed = allowed(g);
	snprintf(out->why, sizeof(out->why), "%s", g->held[0] ? g->held : g->run[0] ? g->why : "");
	pthread_mutex_unlock(&g->lock);
}

/* --- confirmation --- */

/* "RUN-ID UNIX-TIME" about the pinned run, and not long ago. */
static bool note_fits(const struct gc *g, const char *note)
{
	size_t len = strlen(g->run);
	if (len == 0 || strncmp(note, g->run, len) != 0 || note[len] != ' ')
		return false;
	char *end = NULL;
	long long at = strtoll(note + len + 1, &end, 10);
	long long age = (long long)clock_unix() - at;
	return at > 0 && end && *end == '\0' && age < GC_CONFIRM_SECONDS && age > -GC_CONFIRM_SECONDS;
}

bool gc_confirm(struct gc *g, const char *note)
{
	pthread_mutex_lock(&g->lock);
	bool fits = note && strlen(note) < sizeof(g->used_note) && strcmp(note, g->used_note) != 0 &&
		    note_fits(g, note);
	size_t it = 0;
	struct slice key;
	void *value;
	while (fits && map_next(&g->candidates, &it, &key, &value)) {
		struct candidate *c = value;
		for (size_t i = 0; i < c->n; i++) {
			if (c->wants[i].state == WANT_PINNED)
				c->wants[i].state = WANT_CONFIRMED;
		}
	}
	if (fits) {
		g->count[WANT_CONFIRMED] += g->count[WANT_PINNED];
		g->count[WANT_PINNED] = 0;
		snprintf(g->used_note, sizeof(g->used_note), "%s", note);
		look_around(g);
	}
	pthread_mutex_unlock(&g->lock);
	return fits;
}

/* --- from leader to leader --- */

void gc_export(struct gc *g, char out[GC_EXPORT_LEN])
{
	pthread_mutex_lock(&g->lock);
	size_t used = gc_window_used(&g->window, clock_mono());
	const char *run = g->run[0] ? g->run : g->suspicious ? "unknown" : "-";
	snprintf(out, GC_EXPORT_LEN, "%zu %s", used, run);
	pthread_mutex_unlock(&g->lock);
}

void gc_import(struct gc *g, const char *text)
{
	char *end = NULL;
	unsigned long long used = text ? strtoull(text, &end, 10) : 0;
	bool readable = !text || (text[0] >= '0' && text[0] <= '9' && *end == ' ');
	pthread_mutex_lock(&g->lock);
	bool was_blocked = g->run[0] || g->suspicious;
	drop_all(g);
	/* A note that cannot be read may have said anything. */
	if (!readable || used > (unsigned long long)g->config.max_deletes)
		used = (unsigned long long)g->config.max_deletes;
	int64_t now = clock_mono();
	size_t own = gc_window_used(&g->window, now); /* stands in the note, too */
	gc_window_add(&g->window, used > own ? (size_t)used - own : 0, now);
	g->suspicious = was_blocked || !readable || (text && strcmp(end, GC_EXPORT_NONE) != 0);
	tell(g);
	pthread_mutex_unlock(&g->lock);
}

/* --- counting --- */

void gc_removed(enum object_kind kind)
{
	char labels[64];
	snprintf(labels, sizeof(labels), "kind=\"%s\"", object_types[kind].kind);
	metric_inc(metrics_counter("portcullis_sync_gc_deleted_total", "Objects removed from the cluster.", labels));
}
