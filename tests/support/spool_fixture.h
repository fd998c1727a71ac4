/* A spool in a directory of its own, with a writer and a reader, and events for it. */
#ifndef TESTS_SUPPORT_SPOOL_FIXTURE_H
#define TESTS_SUPPORT_SPOOL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/spool.h"
#include "tests/support/tree.h"

struct fixture {
	char base[64], dir[80];
	char key[SPOOL_KEY_LEN + 1]; /* of alice of jwt:issuer */
	struct spool_writer *w;
	struct spool_reader *r;
	struct arena arena;
};

static inline int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct err e;
	assert_true(make_tree(f->base, sizeof(f->base), "spool"));
	snprintf(f->dir, sizeof(f->dir), "%s/spool", f->base);
	arena_init(&f->arena, 0);
	spool_key(SLICE("jwt:issuer"), SLICE("alice"), f->key);
	assert_int_equal(spool_writer_new(f->dir, 0, &f->w, &e), ERR_OK);
	assert_int_equal(spool_reader_new(f->dir, &f->r, &e), ERR_OK);
	*state = f;
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;
	spool_writer_free(&f->w);
	spool_reader_free(&f->r);
	arena_done(&f->arena);
	remove_tree(f->base);
	free(f);
	return 0;
}

static const struct slice some_groups[] = {
    {"eng-blue", 8}, {"b", 1}, {"eng-blue", 8}, {"a\"\\\xc3\xa9", 5}};
static const struct slice some_values[] = {{"v2", 2}, {"v1", 2}};
static const struct spool_extra some_extra[] = {
    {{"example.com/z", 13}, some_values, 2}, {{"example.com/a", 13}, some_values, 1}};

static inline struct spool_event event_of(const char *user)
{
	return (struct spool_event){
	    .provider = SLICE("ldap:corp"),
	    .issuer = SLICE("https://issuer"),
	    .username = slice_of(user),
	    .uid = SLICE("1000"),
	    .groups = some_groups,
	    .ngroups = ARRAY_LEN(some_groups),
	    .extra = some_extra,
	    .nextra = ARRAY_LEN(some_extra),
	    .seen_at = 1700000000,
	    .node = SLICE("cp-1"),
	};
}

static inline void note(struct fixture *f, const char *user)
{
	struct spool_event ev = event_of(user);
	struct err e = {0};
	if (spool_note_sync(f->w, &ev, &e) != ERR_OK)
		fail_msg("%s", e.msg);
}

static inline size_t count_files(const struct fixture *f, const char *part)
{
	char path[128];
	size_t n = 0;
	snprintf(path, sizeof(path), "%s/%s", f->dir, part);
	DIR *d = opendir(path);
	assert_non_null(d);
	for (struct dirent *de; (de = readdir(d));)
		n += de->d_name[0] != '.';
	closedir(d);
	return n;
}

static inline enum err_code claim(struct fixture *f, struct spool_event *ev, char *key)
{
	struct err e;
	return spool_claim(f->r, &f->arena, ev, key, &e);
}

static inline void put_new(const struct fixture *f, const char *name, const void *text, size_t n)
{
	char path[200];
	snprintf(path, sizeof(path), "%s/new/%s", f->dir, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0640);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, n), n);
	close(fd);
}

#define SPOOL_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

#endif
