/* Region allocator: everything of one lifetime (process, snapshot, request) dies at once. */
#ifndef COMMON_ARENA_H
#define COMMON_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include "common/attr.h"

struct arena_block;
struct arena_cleanup;

/* Not thread-safe: one arena belongs to one thread at a time. */
struct arena {
	struct arena_block *blocks;
	struct arena_cleanup *cleanups;
	size_t used, cap;
	bool over, wipe;
};

/* CAP is the number of bytes after which arena_over() becomes true; 0 is without limit. */
void arena_init(struct arena *a, size_t cap);

/* As arena_init, and arena_done() overwrites all memory: for arenas that hold secrets. */
void arena_init_wiped(struct arena *a, size_t cap);

/* Runs the registered clean-ups (last first) and frees everything. Safe on a zeroed arena. */
void arena_done(struct arena *a);

/* As arena_done, but keeps one block of memory for what comes next. */
void arena_reset(struct arena *a);

/* Zeroed memory, aligned for any type. Never NULL: when the machine has no memory the process
 * aborts. Past the cap it still allocates but arena_over() is true: parsers check that at their
 * boundaries and refuse the input. */
void *arena_alloc(struct arena *a, size_t n);

/* COUNT elements of SIZE bytes; aborts when the product overflows. */
void *arena_calloc(struct arena *a, size_t count, size_t size);

#define ARENA_NEW(a, type) ((type *)arena_alloc((a), sizeof(type)))
#define ARENA_ARRAY(a, type, n) ((type *)arena_calloc((a), (n), sizeof(type)))

/* Room for one item more behind the first N of ITEMS, an array of CAP: when it is full, ITEMS becomes a copy
 * of twice the size (FIRST items to begin with). N and CAP are size_t; CAP and ITEMS are variables. */
#define ARENA_ROOM(a, items, n, cap, first)                                                        \
	do {                                                                                       \
		if ((n) == (cap))                                                                  \
			(items) = arena_grow((a), (items), &(cap), sizeof(*(items)), (first));     \
	} while (0)
void *arena_grow(struct arena *a, const void *items, size_t *cap, size_t size, size_t first);

/* Copies of N bytes (a NUL is added), of a C string (NULL stays NULL), of formatted text. */
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_strdup(struct arena *a, const char *s);
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF(2, 3);

/* Calls FN(OBJ) when the arena goes: holds foreign handles (json_t, EVP_PKEY, …). */
void arena_on_done(struct arena *a, void (*fn)(void *), void *obj);

bool arena_over(const struct arena *a);

/* Freed memory goes back to the system rather than stay with the allocator: after work that took many times what is
 * kept of it. Any thread. Nothing under a sanitizer, whose allocator is not the C library's: that one's arenas were
 * never set up then, and two threads that trim them crash. */
void memory_give_back(void);

#endif
