/* Proves the limit on removals: what is small goes, what is not stays as a whole until an admin confirms just that,
 * and neither trickling, restarting nor turning clocks gets past it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "rbac-sync/gc.h"

#define WINDOW (600 * CLOCK_SECOND)
#define MANY 100000 /* managed: so many that only maxDeletesPerRun counts */

static const struct gc_config usual = {
    .max_deletes = 20, .max_percent = 5, .window = WINDOW, .settle = CLOCK_SECOND};

static struct gc *start(const struct gc_config *c)
{
	struct gc *g = gc_new(c);
	gc_hold(g, NULL);
	return g;
}

/* RECORD_I wants N objects; with a name of their own where SALT differs. */
static enum gc_answer ask_of(struct gc *g, int record, size_t n, size_t managed, int salt)
{
	char key[32], names[40][24];
	struct object_id ids[40];
	int64_t again;
	snprintf(key, sizeof(key), "record%d", record);
	for (size_t i = 0; i < n; i++) {
		snprintf(names[i], sizeof(names[i]), "b%d-%zu", salt, i);
		ids[i] = (struct object_id){KIND_ROLE_BINDING, "team", names[i]};
	}
	return gc_ask(g, key, ids, n, managed, &again);
}

static enum gc_answer ask(struct gc *g, int record, size_t n)
{
	return ask_of(g, record, n, MANY, 0);
}

static void done(struct gc *g, int record, size_t n)
{
	char key[32];
	snprintf(key, sizeof(key), "record%d", record);
	gc_done(g, key, n);
}

static void forget(struct gc *g, int record)
{
	char key[32];
	snprintf(key, sizeof(key), "record%d", record);
	gc_forget(g, key);
}

/* Records FROM to TO want one object each: first said, then, when all have settled, asked for. How many may go. */
static size_t round_of(struct gc *g, int from, int to)
{
	size_t gone = 0;
	for (int i = from; i < to; i++)
		ask(g, i, 1);
	clock_advance(usual.settle);
	for (int i = from; i < to; i++) {
		if (ask(g, i, 1) != GC_GO)
			continue;
		done(g, i, 1);
		gone++;
	}
	return gone;
}

static struct gc_state look(struct gc *g)
{
	struct gc_state s;
	gc_look(g, &s);
	return s;
}

static bool confirm(struct gc *g, const char *run)
{
	char note[64];
	snprintf(note, sizeof(note), "%s %lld", run, (long long)clock_unix());
	return gc_confirm(g, note);
}

static void test_a_small_run_goes_after_it_settled(void **state)
{
	(void)state;
	struct gc_config c = usual;
	c.settle = 3600 * CLOCK_SECOND;
	AUTO(gc_free) struct gc *g = start(&c);
	assert_int_equal(ask(g, 1, 3), GC_WAIT);
	clock_advance(c.settle / 2);
	assert_int_equal(ask(g, 1, 3), GC_WAIT);
	clock_advance(c.settle / 2);
	assert_int_equal(ask(g, 1, 3), GC_GO);
	done(g, 1, 3);
	assert_int_equal(look(g).candidates, 0);
	assert_string_equal(look(g).run, "");
}

struct limit_row {
	const char *name;
	int64_t max_deletes, max_percent;
	size_t managed, wanted;
	bool goes;
};

static void test_limits(void **state)
{
	(void)state;
	static const struct limit_row rows[] = {
	    {"at the number", 20, 5, MANY, 20, true},
	    {"over the number", 20, 5, MANY, 21, false},
	    {"at the share", 20, 5, 200, 10, true},
	    {"over the share", 20, 5, 200, 11, false},
	    {"at the floor of few objects", 20, 5, 6, 5, true},
	    {"over the floor", 20, 5, 6, 6, false},
	    {"the floor never lifts the number", 3, 5, 6, 4, false},
	    {"none at all", 0, 5, MANY, 1, false},
	    {"no share: the floor", 20, 0, MANY, 6, false},
	    {"all of it, if they say so", 30, 100, 30, 30, true},
	    {"nothing is managed", 20, 5, 0, 6, false},
	    {"more than can be", 20, 5, SIZE_MAX, 20, true},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct gc_config c = usual;
		c.max_deletes = rows[i].max_deletes;
		c.max_percent = rows[i].max_percent;
		AUTO(gc_free) struct gc *g = start(&c);
		ask_of(g, 1, rows[i].wanted, rows[i].managed, 0);
		clock_advance(c.settle);
		enum gc_answer got = ask_of(g, 1, rows[i].wanted, rows[i].managed, 0);
		if ((got == GC_GO) != rows[i].goes || (got == GC_BLOCKED) == rows[i].goes)
			fail_msg("%s: %d", rows[i].name, got);
	}
}

static void test_a_large_run_is_blocked_as_a_whole(void **state)
{
	(void)state;
	AUTO(gc_free) struct gc *g = start(&usual);
	assert_int_equal(round_of(g, 0, 30), 0);
	struct gc_state s = look(g);
	assert_int_equal(strlen(s.run), GC_RUN_ID_LEN);
	assert_int_equal(s.candidates, 30);
	assert_int_equal(s.allowed, 20);
	assert_non_null(strstr(s.why, "30 removals; 20 are allowed"));
	/* Hours do not let it go. */
	clock_advance(100 * WINDOW);
	assert_int_equal(round_of(g, 0, 30), 0);
	assert_string_equal(look(g).run, s.run);
}

static void test_candidates_that_come_one_by_one_are_one_run(void **state)
{
	(void)state;
	AUTO(gc_free) struct gc *g = start(&usual);
	for (int i = 0; i < 100; i++) {
		for (int k = 0; k <= i; k++)
			assert_int_not_equal(ask(g, k, 1), GC_GO);
		clock_advance(usual.settle / 2);
	}
	clock_advance(usual.settle);
	assert_int_equal(ask(g, 0, 1), GC_BLOCKED);
	assert_int_equal(look(g).candidates, 100);
}

static void test_a_stream_does_not_put_it_off_for_ever(void **state)
{
	(void)state;
	AUTO(gc_free) struct gc *g = start(&usual);
	ask(g, 0, 1);
	int turns = 0;
	/* The same few names again and again, always with something new. */
	while (ask(g, 0, 1) != GC_GO && turns < 1000) {
		ask_of(g, 1 + turns % 5, 1, MANY, turns);
		clock_advance(usual.settle / 2);
		turns++;
	}
	assert_in_range(turns, 100, 130);
}

static void test_a_trickle_is_a_run(void **state)
{
	(void)state;
	AUTO(gc_free) struct gc *g = start(&usual);
	size_t gone = 0;
	for (int second = 0; second < 60; second++)
		gone += round_of(g, second * 19, (second + 1) * 19);
	assert_int_equal(gone, 19);
	assert_string_not_equal(look(g).run, "");
}

static void test_the_window_rolls(void **state)
{
	(void)state;
	AUTO(gc_free) struct gc *g = start(&usual);
	assert_int_equal(round_of(g, 0, 10), 10);
	clock_advance(WINDOW / 2);
	assert_int_equal(round_of(g, 10, 20), 10);
	clock_advance(WINDOW / 2);
	assert_int_equal(round_of(g, 20, 30), 10); /* the first ten have left it */
	clock_advance(WINDOW / 4);
	assert_int_equal(round_of(g, 30, 31), 0); /* the second ten have not */
}

/* Whatever the rhythm: within any window no more than the limit. */
static void test_no_window_holds_more_than_the_limit(void **state)
{
	(void)state;
	uint64_t seed = 42;
	int64_t when[400];
	size_t n = 0;
	AUTO(gc_free) struct gc *g = start(&usual);
	for (int i = 0; i < 20000 && n < ARRAY_LEN(when); i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		clock_advance((int64_t)((seed >> 33) % 40) * CLOCK_SECOND);
		if (look(g).run[0])
			forget(g, i - 1); /* the user came back: nothing is wanted, the pin ends */
		ask(g, i, 1);
		clock_advance(usual.settle);
		if (ask(g, i, 1) == GC_GO) {
			when[n++] = clock_mono();
			done(g, i, 1);
		}
	}
	assert_int_equal(n, ARRAY_LEN(when));
	for (size_t i = 20; i < n; i++)
		assert_true(when[i] - when[i - 20] >= usual.window);
}

/* When to ask again is told, and asking then is soon enough. */
static void test_again(void **state)
{
	(void)state;
	struct object_id id = {KIND_ROLE_BINDING, "team", "b"};
	struct gc_config c = usual;
	c.settle = 3600 * CLOCK_SECOND;
	AUTO(gc_free) struct gc *g = gc_new(&c);
	int64_t again = 0;
	assert_int_equal(gc_ask(g, "r", &id, 1, MANY, &again), GC_WAIT);
	assert_true(again > clock_mono()); /* held */
	gc_hold(g, NULL);
	assert_int_equal(gc_ask(g, "r", &id, 1, MANY, &again), GC_WAIT);
	assert_true(again > clock_mono());
	clock_advance(again - clock_mono());
	assert_int_equal(gc_ask(g, "r", &id, 1, 0, &again), GC_GO);
	c.max_deletes = 0;
	AUTO(gc_free) struct gc *none = start(&c);
	gc_ask(none, "r", &id, 1, MANY, &again);
	clock_advance(c.settle);
	assert_int_equal(gc_ask(none, "r", &id, 1, MANY, &again), GC_BLOCKED);
	assert_true(again > clock_mono());
}

static void test_confirming_lets_just_that_run_go(void **state)
{
	(void)state;
	AUTO(gc_free) struct gc *g = start(&usual);
	assert_int_equal(round_of(g, 0, 30), 0);
	struct gc_state s = look(g);
	/* What is wanted meanwhile is another run, and waits. */
	assert_int_equal(round_of(g, 30, 60), 0);
	assert_string_equal(look(g).run, s.run);
	assert_true(confirm(g, s.run));
	assert_int_equal(round_of(g, 0, 30), 30);
	assert_int_equal(round_of(g, 30, 60), 0);
	struct gc_state next = look(g);
	assert_string_not_equal(next.run, s.run);
	assert_string_not_equal(next.run, "");
	assert_int_equal(next.candidates, 30);
	assert_true(confirm(g, next.run));
	assert_int_equal(round_of(g, 30, 60), 30);
	/* What was confirmed is not held against the others. */
	assert_int_equal(round_of(g, 60, 80), 20);
}

static void test_a_confirmed_run_takes_several_passes(void **state)
{
	(void)state;
	AUTO(gc_free) struct gc *g = start(&usual);
	assert_int_equal(ask(g, 1, 30), GC_WAIT);
	clock_advance(usual.settle);
	assert_int_equal(ask(g, 1, 30), GC_BLOCKED);
	assert_true(confirm(g, look(g).run));
	assert_int_equal(ask(g, 1, 30), GC_GO);
	done(g, 1, 4); /* the apiserver stumbled */
	assert_int_equal(ask(g, 1, 26), GC_GO);
	done(g, 1, 0);
	clock_advance(5 * WINDOW);
	assert_int_equal(ask(g, 1, 26), GC_GO);
	done(g, 1, 26);
	/* The same again is not what was confirmed. */
	assert_int_equal(ask(g, 1, 30), GC_WAIT);
	clock_advance(usual.settle);
	assert_int_equal(ask(g, 1, 30), GC_BLOCKED);
}

static void test_a_confirmed_record_that_wants_more_waits(void **state)
{
	(void)state;
	AUTO(gc_free) struct gc *g = start(&usual);
	ask_of(g, 1, 21, MANY, 1);
	clock_advance(usual.settle);
	assert_int_equal(ask_of(g, 1, 21, MANY, 1), GC_BLOCKED);
	assert_true(confirm(g, look(g).run));
	assert_int_equal(ask_of(g, 1, 21, MANY, 2), GC_WAIT); /* other objects */
	clock_advance(usual.settle);
	assert_int_equal(ask_of(g, 1, 21, MANY, 2), GC_BLOCKED);
}

static void test_what_does_not_confirm(void **state)
{
	(void)state;
	AUTO(gc_free) struct gc *g = start(&usual);
	char note[80];
	assert_false(gc_confirm(g, " 1"));
	assert_false(confirm(g, ""));
	assert_int_equal(round_of(g, 0, 30), 0);
	struct gc_state s = look(g);
	long long now = (long long)clock_unix();
	assert_false(gc_confirm(g, NULL));
	assert_false(gc_confirm(g, ""));
	assert_false(gc_confirm(g, s.run)); /* no time */
	static const char *const forms[] = {"%s ", "%s x", "%s 0", "%s -5", "%sx 1700000000", "%s 1700000000"};
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		char text[80] = "";
		const char *rest = forms[i] + 2;
		snprintf(text, sizeof(text), "%s%s", s.run, rest);
		assert_false(gc_confirm(g, text));
	}
	snprintf(note, sizeof(note), "%s %lld", s.run, now - GC_CONFIRM_SECONDS);
	assert_false(gc_confirm(g, note));
	snprintf(note, sizeof(note), "%s %lld", s.run, now + GC_CONFIRM_SECONDS);
	assert_false(gc_confirm(g, note));
	snprintf(note, sizeof(note), "%.11s %lld", s.run, now);
	assert_false(gc_confirm(g, note));
	snprintf(note, sizeof(note), "%s %lld and more", s.run, now);
	assert_false(gc_confirm(g, note));
	assert_int_equal(round_of(g, 0, 30), 0);
	assert_true(confirm(g, s.run));
}

static void test_a_note_is_good_once(void **state)
{
	(void)state;
	AUTO(gc_free) struct gc *g = start(&usual);
	assert_int_equal(round_of(g, 0, 30), 0);
	char note[64], run[GC_RUN_ID_LEN + 1];
	memcpy(run, look(g).run, sizeof(run));
	snprintf(note, sizeof(note), "%s %lld", run, (long long)clock_unix());
	assert_true(gc_confirm(g, note));
	assert_int_equal(round_of(g, 0, 30), 30);
	/* The same objects came again, and are wanted removed again. */
	assert_int_equal(round_of(g, 0, 30), 0);
	assert_string_equal(look(g).run, run);
	assert_false(gc_confirm(g, note));
	assert_int_equal(round_of(g, 0, 30), 0);
}

static void test_the_id_tells_the_set(void **state)
{
	(void)state;
	char ids[4][GC_RUN_ID_LEN + 1];
	for (int turn = 0; turn < 4; turn++) {
		AUTO(gc_free) struct gc *g = start(&usual);
		for (int k = 0; k < 30; k++)
			ask_of(g, turn == 1 ? 29 - k : k, 1, MANY, turn == 2 && k == 7);
		if (turn == 3)
			ask(g, 30, 1);
		clock_advance(usual.settle);
		ask_of(g, 0, 1, MANY, 0);
		memcpy(ids[turn], look(g).run, sizeof(ids[turn]));
	}
	assert_string_not_equal(ids[0], "");
	assert_string_equal(ids[0], ids[1]); /* in another order */
	assert_string_not_equal(ids[0], ids[2]); /* one object is another */
	assert_string_not_equal(ids[0], ids[3]); /* one more */
}

static void test_a_run_ends_when_its_cause_does(void **state)
{
	(void)state;
	AUTO(gc_free) struct gc *g = start(&usual);
	assert_int_equal(round_of(g, 0, 30), 0);
	for (int i = 1; i < 30; i++)
		forget(g, i);
	assert_int_equal(ask(g, 0, 1), GC_BLOCKED); /* of a run that was too large */
	assert_int_equal(ask(g, 40, 1), GC_BLOCKED);
	forget(g, 0);
	assert_string_equal(look(g).run, "");
	assert_int_equal(ask(g, 40, 1), GC_WAIT);
	clock_advance(usual.settle);
	assert_int_equal(ask(g, 40, 1), GC_GO);
	done(g, 40, 1);
	/* A plan without removals is the same. */
	assert_int_equal(round_of(g, 0, 30), 0);
	for (int i = 0; i < 30; i++)
		assert_int_equal(ask(g, i, 0), GC_GO);
	assert_string_equal(look(g).run, "");
	assert_int_equal(look(g).candidates, 0);
}

static void test_a_hold_stops_all(void **state)
{
	(void)state;
	AUTO(gc_free) struct gc *g = gc_new(&usual);
	assert_int_equal(round_of(g, 0, 1), 0); /* from the first */
	gc_hold(g, "no full pass yet");
	assert_int_equal(round_of(g, 0, 1), 0);
	assert_string_equal(look(g).why, "no full pass yet");
	gc_hold(g, NULL);
	assert_int_equal(round_of(g, 0, 1), 1);
	assert_int_equal(round_of(g, 0, 30), 0);
	assert_true(confirm(g, look(g).run));
	gc_hold(g, "the leader is not known");
	assert_int_equal(round_of(g, 0, 30), 0); /* confirmed ones too */
	gc_hold(g, NULL);
	assert_int_equal(round_of(g, 0, 30), 30);
}

static void test_what_failed_is_given_back(void **state)
{
	(void)state;
	AUTO(gc_free) struct gc *g = start(&usual);
	ask(g, 1, 20);
	clock_advance(usual.settle);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(ask(g, 1, 20), GC_GO);
		done(g, 1, 0);
	}
	assert_int_equal(ask(g, 1, 20), GC_GO);
	done(g, 1, 15);
	assert_int_equal(ask(g, 1, 5), GC_GO);
	done(g, 1, 5);
	assert_int_equal(round_of(g, 2, 3), 0); /* twenty are gone */
}

static void test_who_never_says_done_has_used_it(void **state)
{
	(void)state;
	AUTO(gc_free) struct gc *g = start(&usual);
	ask(g, 1, 20);
	clock_advance(usual.settle);
	assert_int_equal(ask(g, 1, 20), GC_GO);
	assert_int_equal(ask(g, 1, 20), GC_BLOCKED);
}

static void test_the_wall_clock_moves_nothing(void **state)
{
	(void)state;
	AUTO(gc_free) struct gc *g = start(&usual);
	assert_int_equal(round_of(g, 0, 20), 20);
	clock_step_wall(1000 * WINDOW);
	assert_int_equal(round_of(g, 20, 40), 0);
	clock_step_wall(-2000 * WINDOW);
	assert_int_equal(round_of(g, 20, 40), 0);
	clock_step_wall(1000 * WINDOW);
}

static void test_restarts_do_not_empty_the_window(void **state)
{
	(void)state;
	char note[GC_EXPORT_LEN];
	size_t gone = 0;
	snprintf(note, sizeof(note), "0 -");
	for (int life = 0; life < 30; life++) {
		AUTO(gc_free) struct gc *g = gc_new(&usual);
		gc_import(g, note);
		gc_hold(g, NULL);
		gone += round_of(g, life * 19, (life + 1) * 19);
		gc_export(g, note);
	}
	assert_int_equal(gone, 19);
}

/* Who loses the lead for a moment finds the own note: that has been counted. What others removed meanwhile has not. */
static void test_own_note_counts_once(void **state)
{
	(void)state;
	AUTO(gc_free) struct gc *g = gc_new(&usual);
	char note[GC_EXPORT_LEN];
	gc_hold(g, NULL);
	assert_int_equal(round_of(g, 0, 10), 10);
	for (int i = 0; i < 5; i++) {
		gc_export(g, note);
		assert_string_equal(note, "10 -");
		gc_import(g, note);
		gc_hold(g, NULL);
	}
	gc_import(g, "13 -");
	gc_hold(g, NULL);
	assert_int_equal(round_of(g, 20, 27), 7);
	assert_int_equal(round_of(g, 30, 31), 0);
}

static void test_a_blocked_run_outlives_its_leader(void **state)
{
	(void)state;
	char note[GC_EXPORT_LEN], run[GC_RUN_ID_LEN + 1];
	AUTO(gc_free) struct gc *first = start(&usual);
	assert_int_equal(round_of(first, 0, 15), 15);
	assert_int_equal(round_of(first, 15, 25), 0);
	gc_export(first, note);
	memcpy(run, look(first).run, sizeof(run));
	clock_advance(2 * WINDOW); /* by now ten are few */
	AUTO(gc_free) struct gc *second = gc_new(&usual);
	gc_import(second, note);
	assert_int_equal(round_of(second, 15, 25), 0);
	/* Before anything was judged, a third one takes over. */
	gc_export(second, note);
	AUTO(gc_free) struct gc *third = gc_new(&usual);
	gc_import(third, note);
	clock_advance(2 * WINDOW);
	assert_int_equal(round_of(third, 15, 25), 0);
	gc_hold(third, NULL);
	assert_int_equal(round_of(third, 15, 25), 0);
	assert_string_equal(look(third).run, run); /* the same set, the same id */
	assert_true(confirm(third, run));
	assert_int_equal(round_of(third, 15, 25), 10);
	gc_export(third, note);
	assert_non_null(strstr(note, " -"));
}

static void test_a_blocked_run_whose_cause_is_gone_at_the_change(void **state)
{
	(void)state;
	AUTO(gc_free) struct gc *g = gc_new(&usual);
	gc_import(g, "3 abcdefghijkl");
	gc_hold(g, NULL);
	assert_int_equal(round_of(g, 0, 17), 17);
	assert_int_equal(round_of(g, 17, 18), 0);
}

static void test_notes_that_cannot_be_read(void **state)
{
	(void)state;
	static const char *const notes[] = {"", "x", "-5 -", " 5 -", "5", "99999999999999999999999 -", "5-", "20 -",
	    "1000 -"};
	for (size_t i = 0; i < ARRAY_LEN(notes); i++) {
		AUTO(gc_free) struct gc *g = gc_new(&usual);
		gc_import(g, notes[i]);
		ask(g, 0, 1);
		gc_hold(g, NULL);
		clock_advance(usual.settle);
		if (ask(g, 0, 1) != GC_BLOCKED)
			fail_msg("\"%s\"", notes[i]);
	}
	AUTO(gc_free) struct gc *g = gc_new(&usual);
	gc_import(g, NULL); /* there never was one */
	gc_hold(g, NULL);
	assert_int_equal(round_of(g, 0, 20), 20);
}

static void test_a_new_leadership_forgets_what_was_wanted(void **state)
{
	(void)state;
	AUTO(gc_free) struct gc *g = start(&usual);
	assert_int_equal(round_of(g, 0, 30), 0);
	assert_true(confirm(g, look(g).run));
	gc_import(g, "0 -"); /* another leader has been there */
	assert_int_equal(look(g).candidates, 0);
	assert_int_equal(round_of(g, 0, 30), 0);
	assert_string_not_equal(look(g).run, "");
}

/* --- threads --- */

#define THREADS 4
#define TURNS 400

struct share {
	struct gc *g;
	int base;
	size_t gone;
};

static void *work(void *arg)
{
	struct share *s = arg;
	for (int i = 0; i < TURNS; i++) {
		int record = s->base + i % 8;
		if (i % 16 == 15)
			forget(s->g, record);
		else if (ask(s->g, record, 1) == GC_GO) {
			s->gone++;
			done(s->g, record, 1);
		}
		char note[GC_EXPORT_LEN];
		gc_export(s->g, note);
		struct gc_state st = look(s->g);
		gc_confirm(s->g, "aaaaaaaaaaaa 5");
		gc_hold(s->g, st.candidates > 1000 ? "too many" : NULL);
		clock_advance(usual.settle / 100);
	}
	return NULL;
}

static void test_threads_share_one_limit(void **state)
{
	(void)state;
	AUTO(gc_free) struct gc *g = start(&usual);
	struct share shares[THREADS];
	pthread_t threads[THREADS];
	for (int i = 0; i < THREADS; i++) {
		shares[i] = (struct share){.g = g, .base = i * 100};
		assert_int_equal(pthread_create(&threads[i], NULL, work, &shares[i]), 0);
	}
	size_t gone = 0;
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		gone += shares[i].gone;
	}
	assert_true(gone <= 20); /* THREADS * TURNS hundredths of a second are less than a window */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_small_run_goes_after_it_settled),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_a_large_run_is_blocked_as_a_whole),
	    cmocka_unit_test(test_candidates_that_come_one_by_one_are_one_run),
	    cmocka_unit_test(test_a_stream_does_not_put_it_off_for_ever),
	    cmocka_unit_test(test_a_trickle_is_a_run),
	    cmocka_unit_test(test_the_window_rolls),
	    cmocka_unit_test(test_no_window_holds_more_than_the_limit),
	    cmocka_unit_test(test_again),
	    cmocka_unit_test(test_confirming_lets_just_that_run_go),
	    cmocka_unit_test(test_a_confirmed_run_takes_several_passes),
	    cmocka_unit_test(test_a_confirmed_record_that_wants_more_waits),
	    cmocka_unit_test(test_what_does_not_confirm),
	    cmocka_unit_test(test_a_note_is_good_once),
	    cmocka_unit_test(test_the_id_tells_the_set),
	    cmocka_unit_test(test_a_run_ends_when_its_cause_does),
	    cmocka_unit_test(test_a_hold_stops_all),
	    cmocka_unit_test(test_what_failed_is_given_back),
	    cmocka_unit_test(test_who_never_says_done_has_used_it),
	    cmocka_unit_test(test_the_wall_clock_moves_nothing),
	    cmocka_unit_test(test_restarts_do_not_empty_the_window),
	    cmocka_unit_test(test_own_note_counts_once),
	    cmocka_unit_test(test_a_blocked_run_outlives_its_leader),
	    cmocka_unit_test(test_a_blocked_run_whose_cause_is_gone_at_the_change),
	    cmocka_unit_test(test_notes_that_cannot_be_read),
	    cmocka_unit_test(test_a_new_leadership_forgets_what_was_wanted),
	    cmocka_unit_test(test_threads_share_one_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
