/* Proves the intake: no event is lost, none overwrites what is newer, floods wait, and what is settled is told. The API
 * client is replaced by a small apiserver in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/jsonx.h"
#include "common/log.h"
#include "common/spool_ack.h"
#include "rbac-sync/intake.h"
#include "tests/support/tree.h"

/* --- an apiserver in memory --- */

enum { GET, POST, PATCH, METHODS };

static struct {
	json_t *objects; /* path → object */
	int version;
	int calls[METHODS], writes;
	/* The next answers of that kind, before anything is done; status 0: as usual. */
	struct {
		long status;
		int64_t wait;
		int times;
	} fail[METHODS];
	/* Called once, before the next write is looked at: another intake. */
	void (*meanwhile)(void);
	bool hearsay; /* errors are not told in the apiserver's own words */
	bool die; /* by SIGKILL, after the next write is done */
} api;

/* As kube_classify has it. */
static enum kube_verdict verdict_of(long status, bool reads)
{
	if (status == 404 && reads)
		return KUBE_ABSENT;
	if (status == 409)
		return KUBE_CONFLICT;
	return status == 429 || status >= 500 || status == 0 ? KUBE_LATER : KUBE_REFUSED;
}

static void answer_error(struct kube_answer *out, long status, int64_t wait, bool reads)
{
	*out = (struct kube_answer){
	    .verdict = verdict_of(status, reads), .status = status, .wait = wait, .own_words = !api.hearsay};
	err_set(&out->why, ERR_UNAVAILABLE, "HTTP %ld", status);
}

static bool scripted(int method, struct kube_answer *out)
{
	api.calls[method]++;
	if (api.fail[method].times <= 0)
		return false;
	api.fail[method].times--;
	answer_error(out, api.fail[method].status, api.fail[method].wait, method == GET);
	return true;
}

static json_t *stored_at(const char *path)
{
	return json_object_get(api.objects, path);
}

/* Takes OBJECT's spec and labels over what stands there. */
static void store_at(const char *path, const json_t *object)
{
	json_t *fresh = json_deep_copy(object), *was = stored_at(path);
	json_t *meta = json_object_get(fresh, "metadata");
	char version[16];
	snprintf(version, sizeof(version), "%d", ++api.version);
	if (was && json_object_get(was, "status"))
		json_object_set(fresh, "status", json_object_get(was, "status"));
	json_object_set_new(meta, "resourceVersion", json_string(version));
	json_object_set_new(meta, "uid", json_string("uid-of-it"));
	json_object_set_new(api.objects, path, fresh);
}

static void answer_object(struct kube_answer *out, const char *path, long status)
{
	*out = (struct kube_answer){.verdict = KUBE_OK, .status = status, .wait = -1};
	out->body = json_deep_copy(stored_at(path));
}

static void written(void)
{
	api.writes++;
	if (api.die)
		raise(SIGKILL);
}

void kube_get(struct kube *k, const char *path, const json_t *object, struct kube_answer *out)
{
	(void)k;
	(void)object;
	if (scripted(GET, out))
		return;
	if (stored_at(path))
		answer_object(out, path, 200);
	else
		answer_error(out, 404, -1, true);
}

static void run_meanwhile(void)
{
	void (*fn)(void) = api.meanwhile;
	api.meanwhile = NULL;
	if (fn)
		fn();
}

void kube_create(struct kube *k, const char *collection, const json_t *object, struct kube_answer *out)
{
	(void)k;
	char path[256];
	snprintf(path, sizeof(path), "%s/%s", collection,
	    json_string_value(json_object_get(json_object_get(object, "metadata"), "name")));
	run_meanwhile();
	if (scripted(POST, out))
		return;
	if (stored_at(path)) {
		answer_error(out, 409, -1, false);
		return;
	}
	store_at(path, object);
	answer_object(out, path, 201);
	written();
}

void kube_apply(struct kube *k, const char *path, const json_t *object, const char *version,
    struct kube_answer *out)
{
	(void)k;
	run_meanwhile();
	if (scripted(PATCH, out))
		return;
	const json_t *meta = json_object_get(stored_at(path), "metadata");
	/* An apply without a version would write over whatever is there: the intake makes none. */
	assert_non_null(version);
	if (!meta || strcmp(json_string_value(json_object_get(meta, "resourceVersion")), version) != 0) {
		answer_error(out, 409, -1, false);
		return;
	}
	store_at(path, object);
	answer_object(out, path, 200);
	written();
}

void kube_answer_done(struct kube_answer *a)
{
	jsonx_unref(&a->body);
}

/* --- fixture --- */

#define SECONDS_AHEAD (INT64_C(3) * 365 * 86400)
#define COLLECTION "/apis/portcullis.dev/v1alpha1/userrecords"

struct fixture {
	char base[64], dir[80];
	struct worker_config c;
	struct store *store;
	struct spool_writer *w;
	struct intake *i;
	int appeared, dead;
};

static void on_store(void *ctx, enum object_kind kind, const char *record)
{
	struct fixture *f = ctx;
	if (kind == KIND_USER_RECORD && record && f->i)
		intake_seen(f->i, record);
}

static void on_appeared(void *ctx, const char *key, const char *uid, const char *why)
{
	struct fixture *f = ctx;
	assert_int_equal(strlen(key), SPOOL_KEY_LEN);
	assert_string_equal(uid, "uid-of-it");
	assert_non_null(why);
	f->appeared++;
}

static void on_dead(void *ctx, const char *key, const char *why)
{
	struct fixture *f = ctx;
	assert_int_equal(strlen(key), SPOOL_KEY_LEN);
	assert_string_equal(why, "HTTP 422");
	f->dead++;
}

static void open_intake(struct fixture *f, struct store *store)
{
	struct err e = {0};
	const struct intake_hooks hooks = {f, on_appeared, on_dead};
	if (intake_new(&f->c, NULL, store, NULL, &f->i, &e) != ERR_OK)
		fail_msg("%s", e.msg);
	intake_hook(f->i, &hooks);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct err e;
	snprintf(f->base, sizeof(f->base), "%s/portcullis-intake-XXXXXX",
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(f->base));
	snprintf(f->dir, sizeof(f->dir), "%s/spool", f->base);
	f->c = (struct worker_config){.spool_dir = f->dir, .scan_interval = 5 * CLOCK_SECOND,
	    .retry_initial = CLOCK_SECOND, .retry_max = 10 * CLOCK_SECOND, .max_attempts = 3};
	memset(&api, 0, sizeof(api));
	api.objects = json_object();
	f->store = store_new(on_store, f);
	store_list_begin(f->store, KIND_USER_RECORD);
	store_list_end(f->store, KIND_USER_RECORD);
	assert_int_equal(spool_writer_new(f->dir, 0, &f->w, &e), ERR_OK);
	open_intake(f, f->store);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	intake_free(&f->i);
	spool_writer_free(&f->w);
	store_free(&f->store);
	json_decref(api.objects);
	remove_tree(f->base);
	free(f);
	return 0;
}

static const struct slice groups[] = {SLICE("dev"), SLICE("ops")};

static struct spool_event event_of(const char *user, int64_t iat, size_t ngroups)
{
	return (struct spool_event){.provider = SLICE("ldap:corp"), .username = slice_of(user),
	    .groups = groups, .ngroups = ngroups, .seen_at = clock_unix(), .iat = iat, .node = SLICE("cp-1")};
}

static void path_of(const char *user, char out[128])
{
	char key[SPOOL_KEY_LEN + 1];
	spool_key(SLICE("ldap:corp"), slice_of(user), key);
	snprintf(out, 128, COLLECTION "/%s", key);
}

static json_t *object_of(const char *user)
{
	char path[128];
	path_of(user, path);
	return stored_at(path);
}

/* Straight into new/, as another portcullisd or a restarted one does. */
static void tell(struct fixture *f, const struct spool_event *ev)
{
	struct spool_writer *w;
	struct err e = {0};
	assert_int_equal(spool_writer_new(f->dir, 0, &w, &e), ERR_OK);
	if (spool_note_sync(w, ev, &e) != ERR_OK)
		fail_msg("%s", e.msg);
	spool_writer_free(&w);
}

static void tell_user(struct fixture *f, const char *user, int64_t iat, size_t ngroups)
{
	struct spool_event ev = event_of(user, iat, ngroups);
	tell(f, &ev);
}

static size_t files(const struct fixture *f, const char *part)
{
	char path[128];
	size_t n = 0;
	snprintf(path, sizeof(path), "%s/%s", f->dir, part);
	DIR *d = opendir(path);
	assert_non_null(d);
	for (struct dirent *de; (de = readdir(d));)
		n += strlen(de->d_name) == SPOOL_KEY_LEN;
	closedir(d);
	return n;
}

static size_t waiting(const struct fixture *f)
{
	return files(f, "new") + files(f, "cur");
}

static void check_record(const char *user, int64_t iat, size_t ngroups)
{
	struct arena a;
	struct record r;
	struct err e = {0};
	json_t *o = object_of(user);
	assert_non_null(o);
	arena_init(&a, 0);
	if (record_read(o, &a, &r, &e) != ERR_OK)
		fail_msg("%s", e.msg);
	assert_int_equal(r.identity.iat, iat);
	assert_int_equal(r.identity.ngroups, ngroups);
	arena_done(&a);
}

/* --- into records --- */

static void a_new_user_becomes_a_record(void **state)
{
	struct fixture *f = *state;
	tell_user(f, "alice", 100, 2);
	intake_run(f->i);
	check_record("alice", 100, 2);
	assert_int_equal(waiting(f), 0);
	assert_int_equal(api.calls[GET], 0); /* the store knows all records: making it is the question */
	assert_int_equal(api.calls[POST], 1);
	assert_int_equal(api.calls[PATCH], 0);
	assert_int_equal(f->appeared, 1);
	assert_int_equal(store_count(f->store, KIND_USER_RECORD), 1);
	tell_user(f, "alice", 200, 1);
	intake_run(f->i);
	check_record("alice", 200, 1);
	assert_int_equal(api.calls[PATCH], 1);
	assert_int_equal(f->appeared, 1);
}

static void what_stands_there_is_not_written_again(void **state)
{
	struct fixture *f = *state;
	for (int n = 0; n < 3; n++) {
		tell_user(f, "alice", 100, 2);
		intake_run(f->i);
		assert_int_equal(waiting(f), 0);
	}
	assert_int_equal(api.writes, 1);
}

/* Groups came by another node, and are gone again: here the watch still shows the time before. */
static void what_a_late_watch_says_drops_no_news(void **state)
{
	struct fixture *f = *state;
	char path[128];
	struct spool_event ev = event_of("alice", 0, 1), other = event_of("alice", 0, 2);
	tell(f, &ev);
	intake_run(f->i);
	other.seen_at += 10;
	path_of("alice", path);
	json_t *o = record_spec(&other);
	store_at(path, o);
	json_decref(o);
	ev.seen_at += 20;
	tell(f, &ev);
	intake_run(f->i);
	check_record("alice", 0, 1);
	assert_int_equal(waiting(f), 0);
}

static void what_is_older_is_dropped(void **state)
{
	struct fixture *f = *state;
	tell_user(f, "alice", 200, 1);
	intake_run(f->i);
	tell_user(f, "alice", 100, 2);
	intake_run(f->i);
	check_record("alice", 200, 1);
	assert_int_equal(waiting(f), 0);
	assert_int_equal(api.writes, 1);
}

static void a_long_unchanged_user_is_touched(void **state)
{
	struct fixture *f = *state;
	struct spool_event ev = event_of("alice", 100, 2);
	tell(f, &ev);
	intake_run(f->i);
	ev.seen_at += SPOOL_TOUCH / CLOCK_SECOND - 1;
	tell(f, &ev);
	intake_run(f->i);
	assert_int_equal(api.writes, 1);
	ev.seen_at++;
	tell(f, &ev);
	intake_run(f->i);
	assert_int_equal(api.writes, 2);
}

/* A clock that was years ahead is set right: without iat nobody would be newer for years, and a ttl would not end. */
static void a_record_of_years_to_come_is_written_over(void **state)
{
	struct fixture *f = *state;
	struct spool_event ev = event_of("alice", 0, 2);
	clock_step_wall(SECONDS_AHEAD * CLOCK_SECOND);
	ev.seen_at += SECONDS_AHEAD;
	tell(f, &ev);
	intake_run(f->i);
	clock_step_wall(-SECONDS_AHEAD * CLOCK_SECOND);
	tell_user(f, "alice", 0, 1);
	intake_run(f->i);
	check_record("alice", 0, 1);
	json_t *spec = json_object_get(object_of("alice"), "spec");
	int64_t at;
	assert_true(clock_parse_rfc3339(jsonx_text(json_object_get(spec, "observedAt")), &at));
	assert_in_range(at / CLOCK_SECOND, 0, clock_unix());
	/* The same of an event that waited. */
	tell(f, &ev);
	intake_run(f->i);
	spec = json_object_get(object_of("alice"), "spec");
	assert_true(clock_parse_rfc3339(jsonx_text(json_object_get(spec, "observedAt")), &at));
	assert_in_range(at / CLOCK_SECOND, 0, clock_unix());
}

/* What the watch would bring: a status by the reconciler. */
static void set_status(struct fixture *f, const char *user, const char *phase, bool of_identity)
{
	struct arena a;
	struct record r;
	struct err e;
	uint8_t digest[SHA256_LEN];
	char hex[2 * SHA256_LEN + 1];
	json_t *o = object_of(user);
	arena_init(&a, 0);
	assert_int_equal(record_read(o, &a, &r, &e), ERR_OK);
	spool_digest(&r.identity, digest);
	hex_encode(digest, sizeof(digest), hex);
	arena_done(&a);
	char path[128];
	path_of(user, path);
	json_object_set_new(o, "status", json_pack("{s:s,s:s}", "phase", phase, "observedDigest",
					     of_identity ? hex : "00"));
	store_at(path, o);
	store_put(f->store, KIND_USER_RECORD, stored_at(path));
}

static void who_comes_back_is_written_at_once(void **state)
{
	struct fixture *f = *state;
	struct spool_event ev = event_of("alice", 100, 2);
	tell(f, &ev);
	intake_run(f->i);
	set_status(f, "alice", "Disabled", true);
	ev.seen_at++;
	tell(f, &ev);
	intake_run(f->i);
	assert_int_equal(api.writes, 2);
	set_status(f, "alice", "Ready", true);
	ev.seen_at++;
	tell(f, &ev);
	intake_run(f->i);
	assert_int_equal(api.writes, 2);
}

/* --- others write too --- */

static void another_intake_knows_newer(void)
{
	struct spool_event ev = event_of("alice", 300, 1);
	json_t *o = record_spec(&ev);
	char path[128];
	path_of("alice", path);
	store_at(path, o);
	json_decref(o);
}

static void another_intake_knows_older(void)
{
	struct spool_event ev = event_of("alice", 150, 1);
	json_t *o = record_spec(&ev);
	char path[128];
	path_of("alice", path);
	store_at(path, o);
	json_decref(o);
}

static void a_race_to_create_is_won_by_the_newer(void **state)
{
	struct fixture *f = *state;
	api.meanwhile = another_intake_knows_newer;
	tell_user(f, "alice", 200, 2);
	intake_run(f->i);
	check_record("alice", 300, 1);
	assert_int_equal(waiting(f), 0);
	assert_int_equal(api.writes, 0);
	assert_int_equal(f->appeared, 0);
}

static void a_race_to_create_against_the_older_is_written_over(void **state)
{
	struct fixture *f = *state;
	api.meanwhile = another_intake_knows_older;
	tell_user(f, "alice", 200, 2);
	intake_run(f->i);
	check_record("alice", 200, 2);
	assert_int_equal(api.writes, 1);
}

static void a_race_to_change_is_won_by_the_newer(void **state)
{
	struct fixture *f = *state;
	tell_user(f, "alice", 100, 2);
	intake_run(f->i);
	api.meanwhile = another_intake_knows_newer;
	tell_user(f, "alice", 200, 2);
	intake_run(f->i);
	check_record("alice", 300, 1);
	api.meanwhile = another_intake_knows_older;
	tell_user(f, "alice", 400, 2);
	intake_run(f->i);
	check_record("alice", 400, 2);
	assert_int_equal(waiting(f), 0);
}

static void who_always_loses_tries_again_later(void **state)
{
	struct fixture *f = *state;
	tell_user(f, "alice", 100, 2);
	intake_run(f->i);
	api.fail[PATCH].status = 409;
	api.fail[PATCH].times = 5;
	tell_user(f, "alice", 200, 2);
	intake_run(f->i);
	assert_int_equal(waiting(f), 1);
	assert_true(intake_healthy(f->i, &(struct err){0}));
	clock_advance(2 * CLOCK_SECOND);
	intake_run(f->i);
	assert_int_equal(waiting(f), 0);
	check_record("alice", 200, 2);
	assert_int_equal(f->dead, 0);
}

static void a_record_that_goes_is_waited_for(void **state)
{
	struct fixture *f = *state;
	char path[128];
	tell_user(f, "alice", 100, 2);
	intake_run(f->i);
	path_of("alice", path);
	json_object_set_new(json_object_get(object_of("alice"), "metadata"), "deletionTimestamp",
	    json_string("2026-11-23T10:00:00Z"));
	store_put(f->store, KIND_USER_RECORD, object_of("alice"));
	tell_user(f, "alice", 200, 2);
	intake_run(f->i);
	assert_int_equal(waiting(f), 1);
	store_remove(f->store, KIND_USER_RECORD, object_of("alice"));
	json_object_del(api.objects, path);
	clock_advance(2 * CLOCK_SECOND);
	intake_run(f->i);
	assert_int_equal(waiting(f), 0);
	check_record("alice", 200, 2);
	assert_int_equal(f->appeared, 2);
}

static void what_cannot_be_read_is_written_anew(void **state)
{
	struct fixture *f = *state;
	struct spool_event bob = event_of("bob", 900, 1);
	json_t *o = record_spec(&bob);
	char path[128], key[SPOOL_KEY_LEN + 1];
	path_of("alice", path);
	spool_key(SLICE("ldap:corp"), SLICE("alice"), key);
	json_object_set_new(json_object_get(o, "metadata"), "name", json_string(key));
	store_at(path, o);
	json_decref(o);
	tell_user(f, "alice", 100, 2);
	intake_run(f->i);
	check_record("alice", 100, 2);
	assert_int_equal(waiting(f), 0);
}

/* --- trouble --- */

static void without_the_resource_all_waits_and_says_so(void **state)
{
	struct fixture *f = *state;
	struct err why = {0};
	const long statuses[] = {404, 403, 405};
	for (size_t n = 0; n < ARRAY_LEN(statuses); n++) {
		char user[16];
		snprintf(user, sizeof(user), "u%zu", n);
		api.fail[POST].status = statuses[n];
		api.fail[POST].times = 1000;
		tell_user(f, user, 100, 2);
		for (int k = 0; k < 20; k++) { /* far more than maxAttempts */
			intake_run(f->i);
			clock_advance(61 * CLOCK_SECOND);
		}
		assert_int_equal(waiting(f), 1);
		assert_int_equal(f->dead, 0);
		assert_false(intake_healthy(f->i, &why));
		assert_non_null(strstr(why.msg, "HTTP"));
		assert_false(spool_worker_alive(f->dir));
		api.fail[POST].times = 0;
		intake_retry_now(f->i);
		intake_run(f->i);
		assert_int_equal(waiting(f), 0);
		assert_true(intake_healthy(f->i, &why));
		assert_true(spool_worker_alive(f->dir));
	}
}

static void the_apiserver_says_how_long(void **state)
{
	struct fixture *f = *state;
	api.fail[POST].status = 429;
	api.fail[POST].wait = 30;
	api.fail[POST].times = 1;
	tell_user(f, "alice", 100, 2);
	tell_user(f, "bob", 100, 2);
	intake_run(f->i);
	assert_int_equal(api.calls[POST], 1);
	assert_int_equal(waiting(f), 2);
	clock_advance(29 * CLOCK_SECOND);
	intake_run(f->i);
	assert_int_equal(api.calls[POST], 1);
	assert_true(intake_pause(f->i) <= CLOCK_SECOND);
	clock_advance(CLOCK_SECOND);
	intake_run(f->i);
	assert_int_equal(waiting(f), 0);
	check_record("alice", 100, 2);
	check_record("bob", 100, 2);
}

static void what_is_refused_for_good_is_buried(void **state)
{
	struct fixture *f = *state;
	struct err e;
	api.fail[POST].status = 422;
	api.fail[POST].times = 3;
	tell_user(f, "alice", 100, 2);
	for (int k = 0; k < 3; k++) {
		assert_int_equal(files(f, "dead"), 0);
		intake_run(f->i);
		clock_advance(20 * CLOCK_SECOND);
	}
	assert_int_equal(files(f, "dead"), 1);
	assert_int_equal(waiting(f), 0);
	assert_int_equal(f->dead, 1);
	assert_true(intake_healthy(f->i, &e));
	assert_int_equal(intake_revive(f->i, &e), ERR_OK);
	intake_run(f->i);
	check_record("alice", 100, 2);
}

/* A proxy that sends everybody to its login page is no reason to give events up. */
static void what_the_apiserver_did_not_refuse_is_not_buried(void **state)
{
	struct fixture *f = *state;
	tell_user(f, "alice", 100, 2);
	api.hearsay = true;
	api.fail[POST].status = 302;
	api.fail[POST].times = 6; /* twice what the apiserver itself is asked */
	for (int n = 0; n < 7; n++) {
		intake_run(f->i);
		clock_advance(13 * CLOCK_SECOND);
	}
	assert_int_equal(f->dead, 0);
	assert_int_equal(api.calls[POST], 7);
	check_record("alice", 100, 2);
	assert_int_equal(waiting(f), 0);
}

static void one_refused_user_does_not_hold_up_others(void **state)
{
	struct fixture *f = *state;
	api.fail[POST].status = 422;
	api.fail[POST].times = 1;
	tell_user(f, "alice", 100, 2);
	intake_run(f->i);
	tell_user(f, "bob", 100, 2);
	intake_run(f->i);
	check_record("bob", 100, 2);
	assert_int_equal(waiting(f), 1);
}

/* kill -9 after the apiserver took the record and before the event left the disk. */
static void an_event_survives_the_worker(void **state)
{
	struct fixture *f = *state;
	tell_user(f, "alice", 100, 2);
	intake_free(&f->i);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		open_intake(f, f->store);
		api.die = true;
		intake_run(f->i);
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_int_equal(files(f, "cur"), 1);
	/* What the apiserver has by now. */
	struct spool_event ev = event_of("alice", 100, 2);
	json_t *o = record_spec(&ev);
	char path[128];
	path_of("alice", path);
	store_at(path, o);
	json_decref(o);
	open_intake(f, f->store);
	intake_run(f->i);
	assert_int_equal(waiting(f), 0);
	assert_int_equal(api.writes, 0);
	check_record("alice", 100, 2);
}

static void once_leaves_what_is_not_done(void **state)
{
	struct fixture *f = *state;
	tell_user(f, "alice", 100, 2);
	assert_true(intake_drain(f->i));
	check_record("alice", 100, 2);
	api.fail[POST].status = 422;
	api.fail[POST].times = 1;
	tell_user(f, "bob", 100, 2);
	assert_false(intake_drain(f->i));
	assert_int_equal(files(f, "new"), 1);
	assert_true(intake_drain(f->i));
}

/* --- floods --- */

static void a_flood_of_new_users_waits(void **state)
{
	struct fixture *f = *state;
	char user[16];
	tell_user(f, "old", 100, 2);
	intake_run(f->i);
	intake_limit(f->i, 1000, 4);
	for (int n = 0; n < 10; n++) {
		snprintf(user, sizeof(user), "u%d", n);
		tell_user(f, user, 100, 2);
	}
	tell_user(f, "old", 200, 1);
	intake_run(f->i);
	assert_int_equal(f->appeared, 1 + 4);
	assert_int_equal(waiting(f), 6);
	check_record("old", 200, 1); /* users who have a record pass */
	int gets = api.calls[GET];
	intake_run(f->i);
	assert_int_equal(api.calls[GET], gets); /* who waits costs no request */
	clock_advance(16 * CLOCK_SECOND);
	assert_int_equal(intake_pause(f->i), 0);
	intake_run(f->i);
	assert_int_equal(f->appeared, 1 + 5);
	clock_advance(60 * CLOCK_SECOND);
	intake_run(f->i);
	assert_int_equal(f->appeared, 1 + 9);
	clock_advance(60 * CLOCK_SECOND);
	intake_run(f->i);
	assert_int_equal(f->appeared, 1 + 10);
	assert_int_equal(waiting(f), 0);
	assert_true(intake_healthy(f->i, &(struct err){0}));
}

static void there_are_never_more_users_than_allowed(void **state)
{
	struct fixture *f = *state;
	intake_limit(f->i, 2, 60);
	tell_user(f, "a", 100, 2);
	tell_user(f, "b", 100, 2);
	tell_user(f, "c", 100, 2);
	intake_run(f->i);
	assert_int_equal(f->appeared, 2);
	assert_int_equal(waiting(f), 1);
	clock_advance(3600 * CLOCK_SECOND);
	intake_run(f->i);
	assert_int_equal(f->appeared, 2);
	intake_limit(f->i, 3, 60);
	clock_advance(60 * CLOCK_SECOND);
	intake_run(f->i);
	assert_int_equal(f->appeared, 3);
	assert_int_equal(waiting(f), 0);
}

/* --- acknowledgements --- */

static bool acked(const struct fixture *f, const char *user, size_t ngroups)
{
	char key[SPOOL_KEY_LEN + 1];
	uint8_t digest[SHA256_LEN];
	struct spool_event ev = event_of(user, 0, ngroups);
	spool_key(ev.provider, ev.username, key);
	spool_digest(&ev, digest);
	return spool_acked(f->dir, key, digest);
}

static bool wants_run(const struct fixture *f)
{
	struct pollfd p = {.fd = intake_fd(f->i), .events = POLLIN};
	return poll(&p, 1, 0) == 1;
}

static void what_is_settled_is_acknowledged(void **state)
{
	struct fixture *f = *state;
	tell_user(f, "alice", 100, 2);
	assert_true(wants_run(f));
	intake_run(f->i);
	assert_false(wants_run(f));
	assert_false(acked(f, "alice", 2));
	set_status(f, "alice", "Pending", true);
	intake_run(f->i);
	assert_false(acked(f, "alice", 2));
	set_status(f, "alice", "Ready", false);
	intake_run(f->i);
	assert_false(acked(f, "alice", 2));
	set_status(f, "alice", "Ready", true);
	assert_true(wants_run(f));
	intake_run(f->i);
	assert_true(acked(f, "alice", 2));
	assert_false(wants_run(f));
}

static void refused_grants_are_settled_too(void **state)
{
	struct fixture *f = *state;
	tell_user(f, "alice", 100, 2);
	intake_run(f->i);
	set_status(f, "alice", "Degraded", true);
	intake_run(f->i);
	assert_true(acked(f, "alice", 2));
}

static void who_is_settled_already_is_acknowledged_at_once(void **state)
{
	struct fixture *f = *state;
	tell_user(f, "alice", 100, 2);
	intake_run(f->i);
	set_status(f, "alice", "Ready", true);
	/* Another worker had this spool before, or its files are gone. */
	assert_false(acked(f, "alice", 2));
	intake_free(&f->i);
	open_intake(f, f->store);
	intake_run(f->i);
	assert_false(acked(f, "alice", 2)); /* nobody told */
	tell_user(f, "alice", 100, 2);
	intake_run(f->i);
	assert_true(acked(f, "alice", 2));
	assert_int_equal(api.writes, 1);
}

static void old_groups_that_come_back_are_not_settled(void **state)
{
	struct fixture *f = *state;
	tell_user(f, "alice", 100, 2);
	intake_run(f->i);
	set_status(f, "alice", "Ready", true);
	intake_run(f->i);
	assert_true(acked(f, "alice", 2));
	tell_user(f, "alice", 200, 1);
	intake_run(f->i);
	assert_false(acked(f, "alice", 2)); /* the moment the record says something else */
	assert_false(acked(f, "alice", 1));
	set_status(f, "alice", "Ready", true);
	intake_run(f->i);
	assert_true(acked(f, "alice", 1));
	assert_false(acked(f, "alice", 2));
}

static void what_another_node_changed_is_not_acknowledged_here(void **state)
{
	struct fixture *f = *state;
	tell_user(f, "alice", 100, 2);
	intake_run(f->i);
	set_status(f, "alice", "Ready", true);
	intake_run(f->i);
	char path[128];
	path_of("alice", path);
	another_intake_knows_newer();
	store_put(f->store, KIND_USER_RECORD, stored_at(path));
	set_status(f, "alice", "Ready", true);
	intake_run(f->i);
	assert_false(acked(f, "alice", 2));
	assert_false(acked(f, "alice", 1));
}

static void an_old_event_is_never_acknowledged(void **state)
{
	struct fixture *f = *state;
	tell_user(f, "alice", 200, 1);
	intake_run(f->i);
	set_status(f, "alice", "Ready", true);
	intake_run(f->i);
	tell_user(f, "alice", 100, 2);
	intake_run(f->i);
	assert_false(acked(f, "alice", 2));
	assert_true(acked(f, "alice", 1));
}

static void who_loses_the_grants_is_settled_no_more(void **state)
{
	struct fixture *f = *state;
	const char *const phases[] = {"Disabled", "Deleted", "Stale", "Pending"};
	tell_user(f, "alice", 100, 2);
	intake_run(f->i);
	for (size_t n = 0; n < ARRAY_LEN(phases); n++) {
		set_status(f, "alice", "Ready", true);
		tell_user(f, "alice", 100, 2);
		intake_run(f->i);
		assert_true(acked(f, "alice", 2));
		set_status(f, "alice", phases[n], true);
		intake_run(f->i);
		assert_false(acked(f, "alice", 2));
	}
	set_status(f, "alice", "Ready", true);
	tell_user(f, "alice", 100, 2);
	intake_run(f->i);
	assert_true(acked(f, "alice", 2));
	store_remove(f->store, KIND_USER_RECORD, object_of("alice"));
	intake_run(f->i);
	assert_false(acked(f, "alice", 2));
}

static void only_who_sees_records_shows_itself_alive(void **state)
{
	struct fixture *f = *state;
	intake_run(f->i);
	assert_true(spool_worker_alive(f->dir));
	assert_true(intake_pause(f->i) <= SPOOL_ALIVE_EVERY);
	intake_free(&f->i);
	assert_false(spool_worker_alive(f->dir));
	open_intake(f, NULL);
	tell_user(f, "alice", 100, 2);
	intake_run(f->i);
	assert_false(spool_worker_alive(f->dir));
	check_record("alice", 100, 2);
	intake_free(&f->i);
	struct store *unlisted = store_new(on_store, f);
	open_intake(f, unlisted);
	intake_run(f->i);
	assert_false(spool_worker_alive(f->dir));
	intake_free(&f->i);
	store_free(&unlisted);
}

static void *see_thread(void *arg)
{
	struct fixture *f = arg;
	char key[SPOOL_KEY_LEN + 1];
	for (int n = 0; n < 2000; n++) {
		char user[16];
		snprintf(user, sizeof(user), "u%d", n % 50);
		spool_key(SLICE("ldap:corp"), slice_of(user), key);
		intake_seen(f->i, key);
		intake_seen(f->i, "no key of ours");
	}
	return NULL;
}

/* For the thread sanitizer: watches tell while the intake runs. */
static void records_are_seen_from_other_threads(void **state)
{
	struct fixture *f = *state;
	pthread_t t[3];
	struct err e;
	for (size_t n = 0; n < ARRAY_LEN(t); n++)
		assert_int_equal(pthread_create(&t[n], NULL, see_thread, f), 0);
	for (int n = 0; n < 50; n++) {
		intake_run(f->i);
		intake_healthy(f->i, &e);
	}
	for (size_t n = 0; n < ARRAY_LEN(t); n++)
		pthread_join(t[n], NULL);
	intake_run(f->i);
	assert_false(wants_run(f));
}

static void two_workers_do_not_share_a_spool(void **state)
{
	struct fixture *f = *state;
	struct intake *second = NULL;
	struct err e;
	assert_int_equal(intake_new(&f->c, NULL, f->store, NULL, &second, &e), ERR_REFUSED);
	assert_null(second);
}

/* --- no descriptors --- */

static rlim_t descriptors;

/* Whatever is opened from now on fails with EMFILE. */
static void no_more_files(void)
{
	struct rlimit limit;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	descriptors = limit.rlim_cur;
	limit.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void files_again(void)
{
	struct rlimit limit;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = descriptors;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* The first event's write takes all descriptors: the second one is claimed and cannot be read. */
static void an_event_that_could_not_be_read_is_read_again(void **state)
{
	struct fixture *f = *state;
	tell_user(f, "alice", 100, 2);
	tell_user(f, "bob", 100, 2);
	api.meanwhile = no_more_files;
	intake_run(f->i);
	files_again();
	assert_int_equal(files(f, "cur"), 1);
	assert_int_equal(api.writes, 1);
	clock_advance(2 * CLOCK_SECOND);
	intake_run(f->i);
	check_record("alice", 100, 2);
	check_record("bob", 100, 2);
	assert_int_equal(waiting(f), 0);
}

static char claim[160], aside[160];

static void put_aside(void)
{
	assert_int_equal(rename(claim, aside), 0);
	assert_int_equal(mkdir(claim, 0700), 0);
}

/* A disk that takes no change for a while; here a directory, which unlink(2) does not remove. */
static void an_event_that_could_not_be_deleted_is_done_again(void **state)
{
	struct fixture *f = *state;
	char key[SPOOL_KEY_LEN + 1];
	spool_key(SLICE("ldap:corp"), SLICE("alice"), key);
	snprintf(claim, sizeof(claim), "%s/cur/%s", f->dir, key);
	snprintf(aside, sizeof(aside), "%s/aside", f->dir);
	tell_user(f, "alice", 100, 2);
	api.meanwhile = put_aside;
	intake_run(f->i);
	check_record("alice", 100, 2);
	assert_int_equal(rmdir(claim), 0);
	assert_int_equal(rename(aside, claim), 0);
	clock_advance(2 * CLOCK_SECOND);
	intake_run(f->i);
	assert_int_equal(waiting(f), 0);
	assert_int_equal(api.writes, 1);
}

/* The same of one that is tried once more. */
static void an_event_that_could_not_be_read_once_more_is_read_again(void **state)
{
	struct fixture *f = *state;
	tell_user(f, "alice", 100, 2);
	api.fail[POST].status = 422;
	api.fail[POST].times = 1;
	intake_run(f->i);
	clock_advance(2 * CLOCK_SECOND);
	no_more_files();
	intake_run(f->i);
	files_again();
	assert_int_equal(api.writes, 0);
	clock_advance(2 * CLOCK_SECOND);
	intake_run(f->i);
	check_record("alice", 100, 2);
	assert_int_equal(waiting(f), 0);
}

#define INTAKE_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    INTAKE_TEST(a_new_user_becomes_a_record),
	    INTAKE_TEST(what_stands_there_is_not_written_again),
	    INTAKE_TEST(what_a_late_watch_says_drops_no_news),
	    INTAKE_TEST(what_is_older_is_dropped),
	    INTAKE_TEST(a_long_unchanged_user_is_touched),
	    INTAKE_TEST(a_record_of_years_to_come_is_written_over),
	    INTAKE_TEST(who_comes_back_is_written_at_once),
	    INTAKE_TEST(a_race_to_create_is_won_by_the_newer),
	    INTAKE_TEST(a_race_to_create_against_the_older_is_written_over),
	    INTAKE_TEST(a_race_to_change_is_won_by_the_newer),
	    INTAKE_TEST(who_always_loses_tries_again_later),
	    INTAKE_TEST(a_record_that_goes_is_waited_for),
	    INTAKE_TEST(what_cannot_be_read_is_written_anew),
	    INTAKE_TEST(without_the_resource_all_waits_and_says_so),
	    INTAKE_TEST(the_apiserver_says_how_long),
	    INTAKE_TEST(what_is_refused_for_good_is_buried),
	    INTAKE_TEST(what_the_apiserver_did_not_refuse_is_not_buried),
	    INTAKE_TEST(one_refused_user_does_not_hold_up_others),
	    INTAKE_TEST(an_event_survives_the_worker),
	    INTAKE_TEST(once_leaves_what_is_not_done),
	    INTAKE_TEST(a_flood_of_new_users_waits),
	    INTAKE_TEST(there_are_never_more_users_than_allowed),
	    INTAKE_TEST(what_is_settled_is_acknowledged),
	    INTAKE_TEST(refused_grants_are_settled_too),
	    INTAKE_TEST(who_is_settled_already_is_acknowledged_at_once),
	    INTAKE_TEST(old_groups_that_come_back_are_not_settled),
	    INTAKE_TEST(what_another_node_changed_is_not_acknowledged_here),
	    INTAKE_TEST(an_old_event_is_never_acknowledged),
	    INTAKE_TEST(who_loses_the_grants_is_settled_no_more),
	    INTAKE_TEST(only_who_sees_records_shows_itself_alive),
	    INTAKE_TEST(an_event_that_could_not_be_read_is_read_again),
	    INTAKE_TEST(an_event_that_could_not_be_deleted_is_done_again),
	    INTAKE_TEST(an_event_that_could_not_be_read_once_more_is_read_again),
	    INTAKE_TEST(records_are_seen_from_other_threads),
	    INTAKE_TEST(two_workers_do_not_share_a_spool),
	};
	jsonx_init();
	log_init("test_intake", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
