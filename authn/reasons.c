/* Owns the table of reasons. */
#include "authn/reasons.h"

#include <stdlib.h>
#include <string.h>

static const char *const words[AUTHN_REASON_COUNT] = {
#define X(word) #word,
    AUTHN_REASONS(X)
#undef X
};

const char *authn_reason_word(size_t i)
{
	return words[i];
}

static int by_word(const void *key, const void *item)
{
	return strcmp(key, *(const char *const *)item);
}

size_t authn_reason_index(const char *reason)
{
	const char *const *found = NULL;
	if (reason)
		found = bsearch(reason, words, AUTHN_REASON_COUNT, sizeof(words[0]), by_word);
	return found ? (size_t)(found - words) : AUTHN_REASON_other;
}
