/* Access requests made of the words of a fuzzed text, for the targets that have a policy decide. */
#ifndef TESTS_FUZZ_ASKED_H
#define TESTS_FUZZ_ASKED_H

#include "authz/authz.h"
#include "tests/fuzz/fuzz.h"

#define ASKED_WORDS 64
#define ASKED_GROUPS 6

struct asked {
	struct slice words[ASKED_WORDS];
	size_t n;
	uint32_t seed;
	struct slice groups[ASKED_GROUPS]; /* of the last request */
};

/* The words are what stands between characters of ENDS. */
static inline void asked_init(struct asked *a, struct slice text, const char *ends)
{
	size_t from = 0;
	a->n = 0;
	a->seed = (uint32_t)text.len;
	for (size_t i = 0; i <= text.len && a->n < ASKED_WORDS; i++) {
		bool end = i == text.len || strchr(ends, text.p[i]);
		if (end && i > from)
			a->words[a->n++] = (struct slice){text.p + from, i - from};
		if (end)
			from = i + 1;
	}
}

static inline struct slice asked_word(struct asked *a)
{
	static const struct slice common[] = {SLICE(""), SLICE("*"), SLICE("get"), SLICE("pods"),
	    SLICE("system:authenticated")};
	a->seed = a->seed * 1103515245u + 12345u;
	uint32_t i = (a->seed >> 16) % (a->n + ARRAY_LEN(common));
	return i < a->n ? a->words[i] : common[i - a->n];
}

/* The next request; its groups live in A until the one after. */
static inline struct access_request asked_next(struct asked *a)
{
	for (size_t i = 0; i < ASKED_GROUPS; i++)
		a->groups[i] = asked_word(a);
	return (struct access_request){.user = asked_word(a),
	    .groups = a->groups,
	    .ngroups = ASKED_GROUPS,
	    .resource_request = a->seed & 0x30000,
	    .verb = asked_word(a),
	    .api_group = asked_word(a),
	    .resource = asked_word(a),
	    .subresource = asked_word(a),
	    .name = asked_word(a),
	    .namespace_ = asked_word(a),
	    .path = asked_word(a)};
}

#endif
