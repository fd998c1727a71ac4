/* A spool, an intake on it, and the apiserver in memory that it writes to. */
#ifndef TESTS_SUPPORT_INTAKE_FIXTURE_H
#define TESTS_SUPPORT_INTAKE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/jsonx.h"
#include "common/log.h"
#include "common/spool_ack.h"
#include "rbac-sync/intake.h"
#include "tests/support/memory_apiserver.h"
#include "tests/support/tree.h"

#define COLLECTION "/apis/portcullis.dev/v1alpha1/userrecords"

struct fixture {
	char base[64], dir[80];
	struct worker_config c;
	struct store *store;
	struct spool_writer *w;
	struct intake *i;
	int appeared, dead;
};

static inline void on_store(void *ctx, enum object_kind kind, const char *record)
{
	struct fixture *f = ctx;
	if (kind == KIND_USER_RECORD && record && f->i)
		intake_seen(f->i, record);
}

static inline void on_appeared(void *ctx, const char *key, const char *uid, const char *why)
{
	struct fixture *f = ctx;
	assert_int_equal(strlen(key), SPOOL_KEY_LEN);
	assert_string_equal(uid, "uid-of-it");
	assert_non_null(why);
	f->appeared++;
}

static inline void on_dead(void *ctx, const char *key, const char *why)
{
	struct fixture *f = ctx;
	assert_int_equal(strlen(key), SPOOL_KEY_LEN);
	assert_string_equal(why, "HTTP 422");
	f->dead++;
}

static inline void open_intake(struct fixture *f, struct store *store)
{
	struct err e = {0};
	const struct intake_hooks hooks = {f, on_appeared, on_dead};
	if (intake_new(&f->c, NULL, store, NULL, &f->i, &e) != ERR_OK)
		fail_msg("%s", e.msg);
	intake_hook(f->i, &hooks);
}

static inline int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct err e;
	assert_true(make_tree(f->base, sizeof(f->base), "intake"));
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

static inline int teardown(void **state)
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

static inline struct spool_event event_of(const char *user, int64_t iat, size_t ngroups)
{
	return (struct spool_event){.provider = SLICE("ldap:corp"), .username = slice_of(user),
	    .groups = groups, .ngroups = ngroups, .seen_at = clock_unix(), .iat = iat, .node = SLICE("cp-1")};
}

static inline void path_of(const char *user, char out[128])
{
	char key[SPOOL_KEY_LEN + 1];
	spool_key(SLICE("ldap:corp"), slice_of(user), key);
	snprintf(out, 128, COLLECTION "/%s", key);
}

static inline json_t *object_of(const char *user)
{
	char path[128];
	path_of(user, path);
	return stored_at(path);
}

/* Straight into new/, as another portcullisd or a restarted one does. */
static inline void tell(struct fixture *f, const struct spool_event *ev)
{
	struct spool_writer *w;
	struct err e = {0};
	assert_int_equal(spool_writer_new(f->dir, 0, &w, &e), ERR_OK);
	if (spool_note_sync(w, ev, &e) != ERR_OK)
		fail_msg("%s", e.msg);
	spool_writer_free(&w);
}

static inline void tell_user(struct fixture *f, const char *user, int64_t iat, size_t ngroups)
{
	struct spool_event ev = event_of(user, iat, ngroups);
	tell(f, &ev);
}

static inline size_t files(const struct fixture *f, const char *part)
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

static inline size_t waiting(const struct fixture *f)
{
	return files(f, "new") + files(f, "cur");
}

static inline void check_record(const char *user, int64_t iat, size_t ngroups)
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

/* What the watch would bring: a status by the reconciler. */
static inline void set_status(struct fixture *f, const char *user, const char *phase, bool of_identity)
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

static inline void another_intake_knows_newer(void)
{
	struct spool_event ev = event_of("alice", 300, 1);
	json_t *o = record_spec(&ev);
	char path[128];
	path_of("alice", path);
	store_at(path, o);
	json_decref(o);
}

#define INTAKE_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

#endif
