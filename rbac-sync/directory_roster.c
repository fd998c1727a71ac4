/* Owns what the polls of one directory say about its users. */
#include <stdlib.h>

#include "common/clock.h"
#include "common/map.h"
#include "rbac-sync/directory.h"

struct person {
	bool present; /* in the last good poll */
	bool asked;   /* there is a record of them: who is not present is remembered for that alone */
	struct directory_time missing; /* the first good poll of a row that did not have them; zero: none */
};

/* The people of the last good poll, and others that were asked for. Names are folded. */
struct people {
	struct arena arena;
	struct map names; /* → struct person */
	size_t present;
};

struct roster {
	const struct directory_config *config;
	struct people *people;
	size_t count; /* of the last good poll, of an earlier life's too */
	struct directory_time last; /* good poll of this life */
	bool any;		    /* there was one */
	bool doubt;		    /* the last poll was none */
};

static struct people *people_new(void)
{
	struct people *p = calloc(1, sizeof(*p));
	if (!p)
		abort();
	arena_init(&p->arena, 0);
	return p;
}

static void people_free(struct people **p)
{
	if (!p || !*p)
		return;
	map_done(&(*p)->names);
	arena_done(&(*p)->arena);
	free(*p);
	*p = NULL;
}

struct roster *roster_new(const struct directory_config *c, size_t last_good_count)
{
	struct roster *r = calloc(1, sizeof(*r));
	if (!r)
		abort();
	r->config = c;
	r->count = last_good_count;
	r->people = people_new();
	return r;
}

void roster_free(struct roster **r)
{
	if (!r || !*r)
		return;
	people_free(&(*r)->people);
	free(*r);
	*r = NULL;
}

void roster_failed(struct roster *r)
{
	r->doubt = true;
}

size_t roster_count(const struct roster *r)
{
	return r->count;
}

struct slice directory_fold(struct slice name, char *out)
{
	for (size_t i = 0; i < name.len; i++) {
		char c = name.p[i];
		out[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
	}
	return (struct slice){out, name.len};
}

/* The person of that folded name, new when there was none. */
static struct person *person_of(struct people *p, struct slice folded)
{
	struct person *person = map_get(&p->names, folded);
	if (!person) {
		person = ARENA_NEW(&p->arena, struct person);
		map_put(&p->names, slice_dup(&p->arena, folded), person);
	}
	return person;
}

static struct people *people_of(const struct slice *names, size_t n)
{
	struct people *p = people_new();
	char text[DIRECTORY_NAME_MAX];
	for (size_t i = 0; i < n; i++) {
		if (names[i].len == 0 || names[i].len > sizeof(text))
			continue;
		struct person *person = person_of(p, directory_fold(names[i], text));
		p->present += !person->present;
		person->present = true;
	}
	return p;
}

/* Takes those over that were asked for: whom the poll at NOW does not have is missing from now on, or still. Nobody
 * is missing of whom no record was known when the poll began: they may be newer than it. */
static void carry_over(const struct roster *r, struct people *next, struct directory_time now)
{
	size_t it = 0;
	struct slice name;
	void *value;
	while (map_next(&r->people->names, &it, &name, &value)) {
		const struct person *was = value;
		if (!was->asked)
			continue;
		struct person *is = person_of(next, name);
		is->asked = true;
		if (!is->present)
			is->missing = was->missing.mono ? was->missing : now;
	}
}

static bool believable(const struct roster *r, size_t present, struct err *why)
{
	uint64_t percent = (uint64_t)r->config->min_ratio_percent;
	if (present == 0) {
		err_set(why, ERR_REFUSED, "no user at all");
		return false;
	}
	if (present > DIRECTORY_USERS_MAX) {
		err_set(why, ERR_LIMIT, "more than %d users", DIRECTORY_USERS_MAX);
		return false;
	}
	if ((uint64_t)present * 100 < (uint64_t)r->count * percent) {
		err_set(why, ERR_REFUSED, "%zu users are less than %llu %% of the %zu of the last good poll", present,
		    (unsigned long long)percent, r->count);
		return false;
	}
	return true;
}

bool roster_good(
    struct roster *r, const struct slice *names, size_t n, struct directory_time when, struct err *why)
{
	AUTO(people_free) struct people *next = people_of(names, n);
	if (!believable(r, next->present, why)) {
		r->doubt = true;
		return false;
	}
	carry_over(r, next, when);
	people_free(&r->people);
	r->count = next->present;
	r->people = TAKE(next);
	r->last = when;
	r->any = true;
	r->doubt = false;
	return true;
}

enum directory_word roster_says(struct roster *r, struct slice username, int64_t *missing_since)
{
	char text[DIRECTORY_NAME_MAX];
	*missing_since = 0;
	if (username.len == 0 || username.len > sizeof(text) ||
	    !slice_starts(username, slice_of(r->config->username_prefix)))
		return DIRECTORY_UNKNOWN;
	struct person *p = person_of(r->people, directory_fold(username, text));
	p->asked = true;
	if (p->present)
		return DIRECTORY_PRESENT;
	if (!r->any)
		return DIRECTORY_UNKNOWN;
	*missing_since = p->missing.unix_;
	bool gone = p->missing.mono && r->last.mono > p->missing.mono &&
		    r->last.mono - p->missing.mono >= r->config->confirm_after;
	return gone && !r->doubt ? DIRECTORY_GONE : DIRECTORY_MISSING;
}
