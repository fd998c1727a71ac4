/* Proves the counting of snapshots: an old one lives exactly as long as somebody uses it, whatever threads
 * acquire and publish meanwhile; and the readiness board. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "server/snapshot.h"
#include "server/status.h"

static atomic_int destroyed;

static void destroy(void *obj)
{
	free(obj);
	atomic_fetch_add(&destroyed, 1);
}

static struct shared *make_shared(int n)
{
	int *obj = malloc(sizeof(*obj));
	*obj = n;
	return shared_new(obj, destroy);
}

/* Publishes a snapshot whose spool part is the number N. */
static void publish(struct snapshots *s, int n)
{
	struct snapshot_parts parts = {.part[PART_SPOOL] = make_shared(n)};
	snapshot_publish(s, &parts);
	shared_unref(&parts.part[PART_SPOOL]);
}

static int number(const struct snapshot *s)
{
	return *(const int *)(const void *)s->spool;
}

static void test_old_snapshot_lives_while_used(void **state)
{
	(void)state;
	struct snapshots s;
	snapshots_init(&s);
	atomic_store(&destroyed, 0);
	publish(&s, 1);
	struct snapshot *a = snapshot_acquire(&s), *b = snapshot_acquire(&s);
	publish(&s, 2);
	struct snapshot *c = snapshot_acquire(&s);
	assert_int_equal(number(a), 1);
	assert_int_equal(number(c), 2);
	snapshot_release(&a);
	assert_int_equal(atomic_load(&destroyed), 0);
	snapshot_release(&b);
	assert_null(b);
	assert_int_equal(atomic_load(&destroyed), 1);
	snapshot_release(&c);
	assert_int_equal(atomic_load(&destroyed), 1);
	snapshots_done(&s);
	assert_int_equal(atomic_load(&destroyed), 2);
}

static void test_parts_are_shared_between_snapshots(void **state)
{
	(void)state;
	struct snapshots s;
	snapshots_init(&s);
	atomic_store(&destroyed, 0);
	struct snapshot_parts parts = {.part[PART_SPOOL] = make_shared(7)};
	for (int i = 0; i < 3; i++)
		snapshot_publish(&s, &parts);
	shared_unref(&parts.part[PART_SPOOL]);
	assert_int_equal(atomic_load(&destroyed), 0);
	snapshots_done(&s);
	assert_int_equal(atomic_load(&destroyed), 1);
}

#define ROUNDS 20000

static void *reader(void *arg)
{
	int last = 0;
	for (int i = 0; i < ROUNDS; i++) {
		struct snapshot *p = snapshot_acquire(arg);
		int n = number(p);
		assert_true(n >= last);
		last = n;
		snapshot_release(&p);
	}
	return NULL;
}

static void test_threads_never_see_a_freed_one(void **state)
{
	(void)state;
	struct snapshots s;
	snapshots_init(&s);
	atomic_store(&destroyed, 0);
	publish(&s, 0);
	pthread_t t[3];
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		assert_int_equal(pthread_create(&t[i], NULL, reader, &s), 0);
	for (int i = 1; i <= ROUNDS; i++)
		publish(&s, i);
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		pthread_join(t[i], NULL);
	snapshots_done(&s);
	assert_int_equal(atomic_load(&destroyed), ROUNDS + 1);
}

static void test_status_board(void **state)
{
	(void)state;
	struct status st;
	struct buf out;
	status_init(&st);
	buf_init(&out, 4096);
	assert_true(status_ready(&st, &out));
	assert_string_equal(buf_cstr(&out), "");
	status_set(&st, STATUS_POLICY, false, "generation=%d", 3);
	status_set(&st, STATUS_CONFIG, false, "%s", "");
	assert_true(status_ready(&st, &out));
	assert_string_equal(buf_cstr(&out), "[+]config ok\n[+]policy ok: generation=3\n");
	status_set(&st, STATUS_POLICY, true, "none");
	out.len = 0;
	assert_false(status_ready(&st, &out));
	assert_string_equal(buf_cstr(&out), "[+]config ok\n[-]policy failed: none\n");
	status_forget(&st, STATUS_POLICY);
	assert_true(status_ready(&st, NULL));
	buf_done(&out);
	status_done(&st);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_old_snapshot_lives_while_used),
	    cmocka_unit_test(test_parts_are_shared_between_snapshots),
	    cmocka_unit_test(test_threads_never_see_a_freed_one),
	    cmocka_unit_test(test_status_board),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
