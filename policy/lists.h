/* The lists of the index: from a subject and a place to the rules to try. Part of policy/index.h, which tells
 * how they are used; built by lists.c, immutable after that. */
#ifndef POLICY_LISTS_H
#define POLICY_LISTS_H

#include <stdbool.h>
#include <stdint.h>

/* A range of a shared array. */
struct posting {
	uint32_t first, n;
};

/* What the subject of a request is looked up by. A key's number is its kind's base plus the number of the
 * user, group, pattern or set. */
enum subject_kind {
	SUBJECT_USER,
	SUBJECT_GROUP,
	SUBJECT_USER_GLOB,
	SUBJECT_GROUP_GLOB,
	SUBJECT_SA_GLOB,
	SUBJECT_EVERYONE,
	SUBJECT_SET, /* one of those sets that are not written out as their members */
	SUBJECT_KINDS
};

struct subject_key {
	struct posting rules; /* of ENTRIES, by place and rank */
	struct posting leads; /* of LEADS: what else has this key for a member */
	uint64_t places; /* list_place_bit of each place that RULES has */
};

/* Where a rule is filed beneath its subject. A place is the kind and a number in one word. */
enum place_kind {
	PLACE_ALL, /* no constraint */
	PLACE_WORD, /* the namespace with this number */
	PLACE_GLOB, /* namespaces that match this pattern */
	PLACE_CLUSTER, /* clusterScope: only */
	PLACE_WIDE, /* takes away in some namespaces: concerns a request about all of them too */
	PLACE_OTHER, /* too many namespaces to list: tried for each of them */
	PLACE_PATHS /* rules with a namespace and paths: paths have none */
};

/* Where a rule is filed in a run that is too long to be gone through: by a word of its action. */
enum anchor_kind {
	ANCHOR_ANY, /* with number 1: paths */
	ANCHOR_RESOURCE, /* and its subresource: list_pair */
	ANCHOR_SUBS, /* resource with more than one subresource */
	ANCHOR_SUB, /* subresource of any resource */
	ANCHOR_NAME,
	ANCHOR_UNNAMED, /* list_pair, for requests without a name which rules about names concern too */
	ANCHOR_GROUP,
	ANCHOR_VERB
};

#define LIST_KEY(kind, number) ((uint32_t)(kind) << 29 | (number))
#define LIST_KIND(key) ((key) >> 29)
#define LIST_NUMBER(key) ((key) & ((UINT32_C(1) << 29) - 1))

/* An entry is a place (in a long run: an anchor), then the rank of a rule; or a long run instead of a
 * rank. Entries are sorted, so ranks ascend. */
#define LIST_ENTRY(key, rank) ((uint64_t)(key) << 32 | (rank))
#define LIST_LONG (UINT32_C(1) << 31)
#define LIST_PATTERN (UINT32_C(1) << 31)

/* A bit for a place: one for each kind without numbers, some for namespaces, some for patterns. So most places
 * are known to be others without looking at each. */
static inline uint64_t list_place_bit(uint32_t place)
{
	static const unsigned char first[8] = {0, 32, 16, 3, 4, 5, 6, 7};
	static const unsigned char mask[8] = {[PLACE_WORD] = 31, [PLACE_GLOB] = 15};
	return UINT64_C(1) << (first[LIST_KIND(place)] + (place & mask[LIST_KIND(place)]));
}

/* A number for two words. Pairs may share one: what is found is tried anyway. */
static inline uint32_t list_pair(uint32_t resource, uint32_t sub)
{
	return LIST_NUMBER(resource * UINT32_C(0x9E3779B1) ^ sub * UINT32_C(0x85EBCA6B));
}

/* A rule by its rank, which orders by class and then by place in the files. The masks hold a bit for each
 * resource, API group and verb that it may be about: most rules are out by them. */
struct list_masks {
	uint32_t resources, groups, verbs;
};

/* A run divided by anchors: a range of ENTRIES, by anchor and rank. */
struct long_run {
	uint32_t first, n;
	uint32_t kinds; /* bit of each kind of anchor in it */
};

struct ranked {
	struct list_masks masks;
	uint32_t rule;
};

struct lists {
	uint32_t base[SUBJECT_KINDS];
	const struct subject_key *keys;
	const uint32_t *leads; /* numbers of sets; or, with LIST_PATTERN, keys of patterns that match a group */
	uint32_t nlisted; /* sets that LEADS has: the first of policy.sets */
	bool linked; /* known groups lead to their patterns, which then need no search */
	const uint64_t *entries;
	const struct long_run *runs;
	const struct ranked *ranks;
	uint32_t places, anchors; /* bit of each kind that occurs */
};

/* The bit of a word in a mask. A word that the policy does not know has the bit that only `*` has; in the masks
 * of resources the last bit stands for paths. */
#define LIST_BIT_PATH (UINT32_C(1) << 31)
#define LIST_BITS_ANY (LIST_BIT_PATH - 1)

static inline uint32_t list_bit(uint32_t word)
{
	return UINT32_C(1) << (word == 0 ? 30 : (word * UINT32_C(0x9E3779B1) >> 8) % 30);
}

#endif
