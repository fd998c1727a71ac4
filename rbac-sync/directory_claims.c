/* Owns what the polls of one directory say about the groups that records claim. */
#include <stdlib.h>

#include "common/map.h"
#include "rbac-sync/directory_groups.h"

/* A group that a record claims, as long as it does. */
struct claim {
	struct slice group; /* folded, without the prefix */
	int64_t asked;	    /* clock_mono of the first question */
	bool known;	    /* a good poll had a group of that name */
	struct directory_time missing; /* the first good poll of a row that did not have it; zero: none */
};

/* A record's claims that this directory is to judge. One piece of memory: there may be as many as records. */
struct claimant {
	struct slice key;  /* provider NUL username */
	struct slice user; /* folded */
	size_t n;
	struct claim claims[]; /* sorted by group; behind them the texts */
};

struct claims {
	const struct directory_config *config;
	struct crowd *crowd; /* of the last good poll of this life; NULL: none */
	struct map claimants;
	struct directory_counts counts; /* of the last good poll, of an earlier life's too */
	size_t missing; /* claims that the last good poll did not confirm */
	struct directory_time last;
	bool doubt; /* the last poll was not good */
};

struct claims *claims_new(const struct directory_config *c, const struct directory_counts *last)
{
	struct claims *p = calloc(1, sizeof(*p));
	if (!p)
		abort();
	p->config = c;
	p->counts = *last;
	p->counts.users = 0;
	return p;
}

void claims_free(struct claims **pp)
{
	size_t it = 0;
	struct slice key;
	void *value;
	if (!pp || !*pp)
		return;
	struct claims *p = TAKE(*pp);
	while (map_next(&p->claimants, &it, &key, &value))
		free(value);
	map_done(&p->claimants);
	crowd_free(&p->crowd);
	free(p);
}

void claims_failed(struct claims *p)
{
	p->doubt = true;
}

struct directory_counts claims_counts(const struct claims *p)
{
	return p->counts;
}

size_t claims_missing(const struct claims *p)
{
	return p->missing;
}

/* --- polls --- */

static bool enough(const struct claims *p, const char *what, size_t now, size_t last, struct err *why)
{
	uint64_t percent = (uint64_t)p->config->min_ratio_percent;
	if ((uint64_t)now * 100 >= (uint64_t)last * percent)
		return true;
	err_set(why, ERR_REFUSED, "%zu %s are less than %llu %% of the %zu of the last good poll", now, what,
	    (unsigned long long)percent, last);
	return false;
}

static bool some(const char *what, size_t now, struct err *why)
{
	if (now > 0)
		return true;
	err_set(why, ERR_REFUSED, "no %s at all", what);
	return false;
}

/* Each by itself: what hides one kind may leave the others as they are. */
static bool believable(const struct claims *p, const struct directory_counts *now, struct err *why)
{
	const struct directory_config *c = p->config;
	const struct directory_counts *last = &p->counts;
	if (!some("group", now->groups, why) || !some("member of a group", now->members, why))
		return false;
	if (c->primary_group && !some("primary group", now->primary, why))
		return false;
	return enough(p, "groups", now->groups, last->groups, why) &&
	    enough(p, "memberships", now->members, last->members, why) &&
	    (!c->nested_groups || enough(p, "groups in groups", now->nested, last->nested, why)) &&
	    (!c->primary_group || enough(p, "primary groups", now->primary, last->primary, why));
}

/* How many of all claims CROWD has, and how many it does not. */
static size_t count(const struct claims *p, struct crowd *crowd, size_t *missing, size_t *steps)
{
	size_t it = 0, had = 0;
	struct slice key;
	void *value;
	*missing = 0;
	while (*steps <= DIRECTORY_STEPS_MAX && map_next(&p->claimants, &it, &key, &value)) {
		const struct claimant *c = value;
		enum crowd_word word = crowd_look(crowd, c->user, steps);
		for (size_t i = 0; i < c->n && word != CROWD_NOBODY; i++) {
			const struct claim *claim = &c->claims[i];
			bool has = crowd_has(crowd, claim->group);
			bool known = claim->known || crowd_names(crowd, claim->group);
			had += has;
			*missing += !has && known && word == CROWD_KNOWN;
		}
	}
	return had;
}

/* What the believed poll at WHEN says of each claim. */
static void judge(const struct claims *p, struct crowd *crowd, struct directory_time when)
{
	size_t it = 0, steps = 0;
	struct slice key;
	void *value;
	while (map_next(&p->claimants, &it, &key, &value)) {
		struct claimant *c = value;
		enum crowd_word word = crowd_look(crowd, c->user, &steps);
		for (size_t i = 0; i < c->n; i++) {
			struct claim *claim = &c->claims[i];
			claim->known |= crowd_names(crowd, claim->group);
			if (word != CROWD_KNOWN || crowd_has(crowd, claim->group))
				claim->missing = (struct directory_time){0};
			else if (!claim->missing.mono && claim->asked < when.mono)
				claim->missing = when;
		}
	}
}

bool claims_good(struct claims *p, struct crowd **crowd, struct directory_time when, struct err *why)
{
	AUTO(crowd_free) struct crowd *next = TAKE(*crowd);
	struct directory_counts now = crowd_counts(next);
	size_t steps = 0, missing;
	p->doubt = true;
	if (!believable(p, &now, why))
		return false;
	now.confirmed = count(p, next, &missing, &steps);
	if (steps > DIRECTORY_STEPS_MAX) {
		err_set(why, ERR_LIMIT, "groups in groups take more than %d steps", DIRECTORY_STEPS_MAX);
		return false;
	}
	judge(p, next, when);
	if (now.confirmed == 0)
		now.confirmed = p->counts.confirmed;
	crowd_free(&p->crowd);
	p->crowd = TAKE(next);
	p->counts = now;
	p->missing = missing;
	p->last = when;
	p->doubt = false;
	return true;
}

/* --- questions --- */

/* What of GROUP is this directory's to judge, folded, in ARENA; false: nothing. */
static bool is_ours(const struct claims *p, struct slice group, struct arena *a, struct slice *out)
{
	struct slice prefix = slice_of(p->config->groups_prefix);
	struct slice bare = slice_skip(group, prefix.len);
	if (!slice_starts(group, prefix) || bare.len == 0 || bare.len > DIRECTORY_NAME_MAX)
		return false;
	*out = directory_fold(bare, arena_alloc(a, bare.len));
	return true;
}

static int by_group(const void *key, const void *claim)
{
	return slice_cmp(*(const struct slice *)key, ((const struct claim *)claim)->group);
}

static const struct claim *claim_of(const struct claimant *c, struct slice group)
{
	return c && c->n ? bsearch(&group, c->claims, c->n, sizeof(*c->claims), by_group) : NULL;
}

/* TEXT behind *AT, which moves on. */
static struct slice keep(char **at, struct slice text)
{
	struct slice kept = {*at, text.len};
	memcpy(*at, text.p, text.len);
	*at += text.len;
	return kept;
}

/* WAS with the claims GROUPS (sorted, each once) in place of what it had; what it knew of them is kept. */
static struct claimant *renewed(const struct claims *p, const struct claimant *was, struct slice key, struct slice user,
    const struct slice *groups, size_t n, int64_t now)
{
	size_t size = sizeof(struct claimant) + n * sizeof(struct claim) + key.len + user.len;
	for (size_t i = 0; i < n; i++)
		size += groups[i].len;
	struct claimant *c = calloc(1, size);
	if (!c)
		abort();
	char *at = (char *)&c->claims[n];
	c->key = keep(&at, key);
	c->user = keep(&at, user);
	c->n = n;
	for (size_t i = 0; i < n; i++) {
		const struct claim *had = claim_of(was, groups[i]);
		c->claims[i] = had ? *had : (struct claim){.asked = now, .known = p->crowd && crowd_names(p->crowd, groups[i])};
		c->claims[i].group = keep(&at, groups[i]);
	}
	return c;
}

static bool same_claims(const struct claimant *c, const struct slice *groups, size_t n)
{
	bool same = c && c->n == n;
	for (size_t i = 0; same && i < n; i++)
		same = slice_eq(c->claims[i].group, groups[i]);
	return same;
}

static struct claimant *claimant_of(
    struct claims *p, struct slice key, struct slice user, const struct slice *groups, size_t n, int64_t now)
{
	struct claimant *was = map_get(&p->claimants, key);
	if (same_claims(was, groups, n))
		return was;
	struct claimant *is = renewed(p, was, key, user, groups, n, now);
	/* The map borrows the key of what goes. */
	map_del(&p->claimants, key);
	free(was);
	map_put(&p->claimants, is->key, is);
	return is;
}

static void say(struct claims *p, enum crowd_word user, const struct claim *c, struct directory_claim *out)
{
	int64_t row = c->missing.mono ? p->last.mono - c->missing.mono : 0;
	if (p->crowd && !c->known)
		return; /* not ours */
	out->directory = p->config->name;
	out->since = c->missing.unix_;
	if (!p->crowd || user == CROWD_NOBODY)
		out->word = DIRECTORY_UNKNOWN;
	else if (crowd_has(p->crowd, c->group))
		out->word = DIRECTORY_PRESENT;
	else if (user == CROWD_KNOWN && row > 0 && row >= p->config->confirm_after && !p->doubt && p->counts.confirmed)
		out->word = DIRECTORY_GONE;
	else
		out->word = DIRECTORY_MISSING;
	if (out->word == DIRECTORY_PRESENT) {
		out->since = 0;
		p->counts.confirmed += p->counts.confirmed == 0;
	}
}

void claims_say(struct claims *p, struct slice provider, struct slice username, const struct slice *groups, size_t n,
    int64_t now, struct directory_claim *out)
{
	AUTO(arena_done) struct arena a;
	arena_init(&a, 0);
	struct slice *ours = ARENA_ARRAY(&a, struct slice, n + 1), *sorted = ARENA_ARRAY(&a, struct slice, n + 1);
	size_t k = 0, steps = 0;
	for (size_t i = 0; i < n; i++) {
		out[i] = (struct directory_claim){0};
		if (is_ours(p, groups[i], &a, &ours[i]))
			sorted[k++] = ours[i];
	}
	if (username.len == 0 || username.len > DIRECTORY_NAME_MAX ||
	    !slice_starts(username, slice_of(p->config->username_prefix)))
		return;
	k = slice_sort_unique(sorted, k);
	struct slice user = directory_fold(username, arena_alloc(&a, username.len));
	char *key = arena_alloc(&a, provider.len + 1 + username.len);
	if (provider.len)
		memcpy(key, provider.p, provider.len);
	memcpy(key + provider.len + 1, username.p, username.len);
	const struct claimant *c =
	    claimant_of(p, (struct slice){key, provider.len + 1 + username.len}, user, sorted, k, now);
	enum crowd_word word = p->crowd ? crowd_look(p->crowd, user, &steps) : CROWD_NOBODY;
	for (size_t i = 0; i < n; i++) {
		if (ours[i].len)
			say(p, word, claim_of(c, ours[i]), &out[i]);
	}
}
