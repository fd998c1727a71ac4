/* Owns region memory: chained blocks, clean-up list, cap accounting. */
#include "common/arena.h"

#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_MIN ((size_t)4096)
#define LARGE (1 << 20)
#define ALIGN alignof(max_align_t)

#ifndef alignof
#define alignof _Alignof
#endif

#ifndef __has_feature /* clang's way to say what gcc has macros for */
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || __has_feature(address_sanitizer) || \
    __has_feature(thread_sanitizer)
#define OTHER_MALLOC
#endif

struct arena_block {
	struct arena_block *next;
	size_t size, used;
	max_align_t data[];
};

struct arena_cleanup {
	struct arena_cleanup *next;
	void (*fn)(void *);
	void *obj;
};

static _Noreturn void out_of_memory(void)
{
	fputs("{\"level\":\"fatal\",\"msg\":\"out of memory\"}\n", stderr);
	abort();
}

void arena_init(struct arena *a, size_t cap)
{
	*a = (struct arena){.cap = cap};
}

void arena_init_wiped(struct arena *a, size_t cap)
{
	*a = (struct arena){.cap = cap, .wipe = true};
}

void arena_done(struct arena *a)
{
	if (!a)
		return;
	for (struct arena_cleanup *c = a->cleanups; c; c = c->next)
		c->fn(c->obj);
	for (struct arena_block *b = a->blocks, *next; b; b = next) {
		next = b->next;
		if (a->wipe)
			explicit_bzero(b->data, b->used);
		free(b);
	}
	*a = (struct arena){.cap = a->cap, .wipe = a->wipe};
}

void arena_reset(struct arena *a)
{
	struct arena_block *kept = a->blocks;
	if (!kept || a->wipe) {
		arena_done(a);
		return;
	}
	a->blocks = kept->next;
	arena_done(a);
	kept->next = NULL;
	kept->used = 0;
	a->blocks = kept;
}

/* Large blocks come from the system one by one, so that they go back to it when an arena goes: what a reload of
 * a large policy needed does not stay with the process. */
static void keep_large_apart(void)
{
	mallopt(M_MMAP_THRESHOLD, LARGE / 2);
}

static struct arena_block *block_add(struct arena *a, size_t need)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	/* Blocks double, so that a large snapshot costs few of them. */
	size_t size = a->blocks ? a->blocks->size * 2 : BLOCK_MIN;
	if (size >= LARGE) {
		size = LARGE;
		pthread_once(&once, keep_large_apart);
	}
	if (size < need)
		size = need;
	struct arena_block *b = malloc(sizeof(*b) + size);
	if (!b)
		out_of_memory();
	*b = (struct arena_block){.next = a->blocks, .size = size};
	a->blocks = b;
	return b;
}

void *arena_alloc(struct arena *a, size_t n)
{
	if (n > SIZE_MAX - 2 * ALIGN - sizeof(struct arena_block))
		out_of_memory();
	size_t need = n ? (n + ALIGN - 1) & ~(ALIGN - 1) : ALIGN;
	struct arena_block *b = a->blocks;
	if (!b || b->size - b->used < need)
		b = block_add(a, need);
	void *p = (char *)b->data + b->used;
	b->used += need;
	a->used += need;
	if (a->cap && a->used > a->cap)
		a->over = true;
	return memset(p, 0, need);
}

void *arena_calloc(struct arena *a, size_t count, size_t size)
{
	size_t total;
	if (__builtin_mul_overflow(count, size, &total))
		out_of_memory();
	return arena_alloc(a, total);
}

void *arena_grow(struct arena *a, const void *items, size_t *cap, size_t size, size_t first)
{
	size_t more = *cap ? *cap * 2 : first;
	void *p = arena_calloc(a, more, size);
	if (*cap)
		memcpy(p, items, *cap * size);
	*cap = more;
	return p;
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
	char *p = arena_alloc(a, n + 1);
	if (n)
		memcpy(p, s, n);
	return p;
}

char *arena_strdup(struct arena *a, const char *s)
{
	return s ? arena_strndup(a, s, strlen(s)) : NULL;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return arena_strdup(a, "");
	char *p = arena_alloc(a, (size_t)n + 1);
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return p;
}

void arena_on_done(struct arena *a, void (*fn)(void *), void *obj)
{
	struct arena_cleanup *c = ARENA_NEW(a, struct arena_cleanup);
	*c = (struct arena_cleanup){.next = a->cleanups, .fn = fn, .obj = obj};
	a->cleanups = c;
}

bool arena_over(const struct arena *a)
{
	return a->over;
}

void memory_give_back(void)
{
#ifndef OTHER_MALLOC
	malloc_trim(0);
#endif
}
