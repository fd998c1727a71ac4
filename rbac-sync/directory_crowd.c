/* Owns who is in which group by one poll of a directory: its answer as a graph that is walked from a user up. */
#include <stdlib.h>
#include <strings.h>

#include "common/ldap_dn.h"
#include "common/map.h"
#include "rbac-sync/directory_groups.h"

/* A name (DN) is longer in one spelling: each byte may become three. */
#define DN_MAX ((size_t)64 << 10)

/* A user or a group. */
struct node {
	uint32_t *up; /* groups that it is directly in: sorted, each once, when all is read */
	size_t nup, cap;
	const struct bucket *primary; /* groups of a user's primary group's number; NULL: none */
	struct label **names;	      /* of a group */
	size_t nnames, names_cap;
	uint32_t at;   /* of a group: its place */
	uint32_t look; /* the last look that came by */
	bool unsure;
};

/* A name of groups. */
struct label {
	uint32_t look; /* the last look that found one of its groups */
};

/* What one key leads to: several entries may have one. */
struct bucket {
	struct node **nodes;
	size_t n, cap;
};

/* Entries by their names (DN). */
struct names {
	struct map exact, loose; /* → struct bucket */
};

struct crowd {
	const struct directory_config *config;
	struct arena arena;
	struct map people; /* folded usernames → struct bucket */
	struct map labels; /* folded names of groups → struct label */
	struct node *groups;
	size_t ngroups;
	struct node **todo; /* groups that a look still has to climb from: room for all */
	size_t ntodo;
	uint32_t look;
	struct directory_counts counts;
};

/* What is needed while it is made. */
struct builder {
	struct crowd *c;
	struct arena scratch;
	struct node *users;
	size_t nusers;
	struct node **of_user, **of_group; /* the node of each entry: one that came twice is one */
	struct names user_dns, group_dns;
	struct map uids, tokens; /* folded → struct bucket */
};

/* --- keys --- */

static void put(struct arena *a, struct map *m, struct slice key, struct node *node)
{
	struct bucket *b = map_get(m, key);
	if (!b) {
		b = ARENA_NEW(a, struct bucket);
		map_put(m, slice_dup(a, key), b);
	}
	if (b->n && b->nodes[b->n - 1] == node)
		return;
	ARENA_ROOM(a, b->nodes, b->n, b->cap, 1);
	b->nodes[b->n++] = node;
}

/* NAME folded into TEXT (DIRECTORY_NAME_MAX bytes); false: too long to be one, or none. */
static bool folded(struct slice name, char *text, struct slice *out)
{
	if (name.len == 0 || name.len > DIRECTORY_NAME_MAX)
		return false;
	*out = directory_fold(name, text);
	return true;
}

/* DN without the number that unique members may have behind it: #'…'B (RFC 4517 3.3.21). */
static struct slice without_number(struct slice dn)
{
	size_t at = dn.len;
	if (dn.len < 4 || memcmp(dn.p + dn.len - 2, "'B", 2) != 0)
		return dn;
	while (at > 0 && dn.p[at - 1] != '#')
		at--;
	return at > 1 ? (struct slice){dn.p, at - 1} : dn;
}

/* DN in one spelling; what is no DN by RFC 4514 stays as it is, but for its case. */
static void exact_key(struct slice dn, struct buf *out)
{
	dn = without_number(dn);
	buf_init(out, DN_MAX);
	if (ldap_dn_canonical(dn, out))
		return;
	out->len = 0;
	out->over = false;
	for (size_t i = 0; i < dn.len; i++)
		buf_addc(out, dn.p[i] >= 'A' && dn.p[i] <= 'Z' ? (char)(dn.p[i] | 0x20) : dn.p[i]);
}

/* The small letter of a capital of U+0080 to U+07FF: Latin, Greek, Cyrillic. */
static unsigned small_letter(unsigned c)
{
	static const struct {
		unsigned short from, to, step, add;
	} capitals[] = {{0xc0, 0xd6, 1, 0x20}, {0xd8, 0xde, 1, 0x20}, {0x100, 0x136, 2, 1}, {0x139, 0x147, 2, 1},
	    {0x14a, 0x176, 2, 1}, {0x179, 0x17d, 2, 1}, {0x391, 0x3ab, 1, 0x20}, {0x400, 0x40f, 1, 0x50},
	    {0x410, 0x42f, 1, 0x20}, {0x460, 0x480, 2, 1}};
	for (size_t i = 0; i < ARRAY_LEN(capitals); i++) {
		if (c >= capitals[i].from && c <= capitals[i].to && (c - capitals[i].from) % capitals[i].step == 0)
			return c + capitals[i].add;
	}
	return c;
}

/* An exact key without types of attributes and blanks, and in small letters beyond ASCII too. */
static void loose_key(struct slice exact, struct buf *out)
{
	bool type = true;
	buf_init(out, DN_MAX);
	for (size_t i = 0; i < exact.len; i++) {
		unsigned char c = (unsigned char)exact.p[i];
		bool more = i + 1 < exact.len && ((unsigned char)exact.p[i + 1] & 0xc0) == 0x80;
		if (c == ',' || c == '+') {
			type = true;
			buf_addc(out, (char)c);
		} else if (type) {
			type = c != '=';
		} else if (exact.len - i > 2 && memcmp(exact.p + i, "\\20", 3) == 0) {
			i += 2;
		} else if ((c & 0xe0) == 0xc0 && more) {
			unsigned l = small_letter((c & 0x1fu) << 6 | ((unsigned char)exact.p[++i] & 0x3fu));
			buf_addc(out, (char)(0xc0 | l >> 6));
			buf_addc(out, (char)(0x80 | (l & 0x3f)));
		} else {
			buf_addc(out, (char)c);
		}
	}
}

/* The node of the entry DN: the next one of POOL (*N are used), unless the same name came before. */
static struct node *node_of(struct builder *b, struct names *names, struct slice dn, struct node *pool, size_t *n)
{
	AUTO(buf_done) struct buf exact, loose;
	exact_key(dn, &exact);
	loose_key(buf_view(&exact), &loose);
	bool named = exact.len && !exact.over && !loose.over;
	struct bucket *there = named ? map_get(&names->exact, buf_view(&exact)) : NULL;
	if (there)
		return there->nodes[0];
	struct node *node = &pool[*n];
	node->at = (uint32_t)(*n)++;
	if (named) {
		put(&b->scratch, &names->exact, buf_view(&exact), node);
		put(&b->scratch, &names->loose, buf_view(&loose), node);
	}
	return node;
}

/* Who is named DN, among the users and among the groups; either may be NULL to be left out. */
static void find_dn(const struct names *users, const struct names *groups, struct slice dn, const struct bucket **user,
    const struct bucket **group)
{
	AUTO(buf_done) struct buf exact, loose = {0};
	exact_key(dn, &exact);
	*user = users ? map_get(&users->exact, buf_view(&exact)) : NULL;
	*group = groups ? map_get(&groups->exact, buf_view(&exact)) : NULL;
	if (*user || *group)
		return;
	loose_key(buf_view(&exact), &loose);
	*user = users && loose.len ? map_get(&users->loose, buf_view(&loose)) : NULL;
	*group = groups && loose.len ? map_get(&groups->loose, buf_view(&loose)) : NULL;
}

/* --- entries --- */

static bool by_attribute(const struct directory_config *c)
{
	return c->user_uid_attribute && strcasecmp(c->user_uid_attribute, "dn") != 0;
}

static void read_user(struct builder *b, const struct directory_entry *e, struct node *node)
{
	char text[DIRECTORY_NAME_MAX];
	struct slice key;
	struct crowd *c = b->c;
	for (size_t i = 0; i < e->nnames; i++) {
		if (folded(e->names[i], text, &key))
			put(&c->arena, &c->people, key, node);
	}
	for (size_t i = 0; i < e->nuids; i++) {
		if (folded(e->uids[i], text, &key))
			put(&b->scratch, &b->uids, key, node);
	}
	node->unsure |= (by_attribute(c->config) && e->nuids == 0) || (c->config->primary_group && e->primary.len == 0);
}

static struct label *label_of(struct crowd *c, struct slice name)
{
	struct label *l = map_get(&c->labels, name);
	if (!l) {
		l = ARENA_NEW(&c->arena, struct label);
		map_put(&c->labels, slice_dup(&c->arena, name), l);
	}
	return l;
}

static void read_group(struct builder *b, const struct directory_entry *e, struct node *node)
{
	char text[DIRECTORY_NAME_MAX];
	struct slice key;
	struct crowd *c = b->c;
	for (size_t i = 0; i < e->nnames; i++) {
		if (!folded(e->names[i], text, &key))
			continue;
		ARENA_ROOM(&c->arena, node->names, node->nnames, node->names_cap, 1);
		node->names[node->nnames++] = label_of(c, key);
	}
	if (c->config->primary_group && folded(e->primary, text, &key))
		put(&b->scratch, &b->tokens, key, node);
}

/* --- memberships --- */

static void add_up(struct crowd *c, const struct bucket *lower, const struct bucket *upper)
{
	for (size_t i = 0; lower && upper && i < lower->n; i++) {
		struct node *node = lower->nodes[i];
		for (size_t k = 0; k < upper->n; k++) {
			ARENA_ROOM(&c->arena, node->up, node->nup, node->cap, 2);
			node->up[node->nup++] = upper->nodes[k]->at;
		}
	}
}

static const struct bucket *user_by_uid(struct builder *b, struct slice value)
{
	char text[DIRECTORY_NAME_MAX];
	struct slice key;
	return folded(value, text, &key) ? map_get(&b->uids, key) : NULL;
}

/* The group NODE names its members. */
static void read_members(struct builder *b, const struct directory_entry *e, struct node *node)
{
	const struct directory_config *c = b->c->config;
	const struct bucket self = {&node, 1, 1};
	const struct names *users = by_attribute(c) ? NULL : &b->user_dns, *groups = c->nested_groups ? &b->group_dns : NULL;
	for (size_t i = 0; i < e->nlinks; i++) {
		const struct bucket *user = NULL, *group = NULL;
		if (users || groups)
			find_dn(users, groups, e->links[i], &user, &group);
		if (!users)
			user = user_by_uid(b, e->links[i]);
		add_up(b->c, user, &self);
		add_up(b->c, group, &self);
	}
}

/* NODE names the groups that it is in. */
static void read_groups(struct builder *b, const struct directory_entry *e, struct node *node)
{
	const struct bucket self = {&node, 1, 1};
	for (size_t i = 0; i < e->nlinks; i++) {
		const struct bucket *user, *group;
		find_dn(NULL, &b->group_dns, e->links[i], &user, &group);
		add_up(b->c, &self, group);
	}
}

static void read_primary(struct builder *b, const struct directory_entry *e, struct node *node)
{
	char text[DIRECTORY_NAME_MAX];
	struct slice key;
	struct crowd *c = b->c;
	const struct bucket *found = folded(e->primary, text, &key) ? map_get(&b->tokens, key) : NULL;
	if (!found || node->primary)
		return;
	struct bucket *kept = ARENA_NEW(&c->arena, struct bucket);
	kept->nodes = ARENA_ARRAY(&c->arena, struct node *, found->n);
	memcpy(kept->nodes, found->nodes, found->n * sizeof(struct node *));
	kept->n = found->n;
	node->primary = kept;
	c->counts.primary++;
}

static void read_links(struct builder *b, const struct directory_answer *answer)
{
	const struct directory_config *config = b->c->config;
	for (size_t i = 0; i < answer->ngroups; i++) {
		if (config->user_uid_attribute)
			read_members(b, &answer->groups[i], b->of_group[i]);
		else if (config->nested_groups)
			read_groups(b, &answer->groups[i], b->of_group[i]);
	}
	for (size_t i = 0; i < answer->nusers; i++) {
		if (!config->user_uid_attribute)
			read_groups(b, &answer->users[i], b->of_user[i]);
		if (config->primary_group)
			read_primary(b, &answer->users[i], b->of_user[i]);
	}
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

/* Each membership once, however often it was said; how many there are. */
static size_t settle(struct node *nodes, size_t n)
{
	size_t sum = 0;
	for (size_t i = 0; i < n; i++) {
		struct node *node = &nodes[i];
		size_t k = 0;
		if (node->nup)
			qsort(node->up, node->nup, sizeof(*node->up), by_number);
		for (size_t j = 0; j < node->nup; j++) {
			if (k == 0 || node->up[k - 1] != node->up[j])
				node->up[k++] = node->up[j];
		}
		node->nup = k;
		sum += k;
	}
	return sum;
}

static enum err_code fits(const struct directory_answer *answer, struct err *why)
{
	size_t links = 0;
	for (size_t i = 0; i < answer->ngroups; i++)
		links += answer->groups[i].nlinks;
	for (size_t i = 0; i < answer->nusers; i++)
		links += answer->users[i].nlinks;
	if (answer->ngroups > DIRECTORY_GROUPS_MAX)
		return err_set(why, ERR_LIMIT, "more than %d groups", DIRECTORY_GROUPS_MAX);
	if (links > DIRECTORY_MEMBERSHIPS_MAX)
		return err_set(why, ERR_LIMIT, "more than %d memberships", DIRECTORY_MEMBERSHIPS_MAX);
	return ERR_OK;
}

static void names_done(struct names *n)
{
	map_done(&n->exact);
	map_done(&n->loose);
}

static void read_entries(struct builder *b, const struct directory_answer *answer)
{
	struct crowd *c = b->c;
	for (size_t i = 0; i < answer->ngroups; i++) {
		const struct directory_entry *e = &answer->groups[i];
		b->of_group[i] = node_of(b, &b->group_dns, e->dn, c->groups, &c->ngroups);
		read_group(b, e, b->of_group[i]);
	}
	for (size_t i = 0; i < answer->nusers; i++) {
		const struct directory_entry *e = &answer->users[i];
		b->of_user[i] = node_of(b, &b->user_dns, e->dn, b->users, &b->nusers);
		read_user(b, e, b->of_user[i]);
	}
}

struct crowd *crowd_new(const struct directory_config *config, const struct directory_answer *answer, struct err *why)
{
	if (fits(answer, why) != ERR_OK)
		return NULL;
	struct crowd *c = calloc(1, sizeof(*c));
	if (!c)
		abort();
	struct builder b = {.c = c};
	arena_init(&c->arena, 0);
	arena_init(&b.scratch, 0);
	c->config = config;
	c->groups = ARENA_ARRAY(&c->arena, struct node, answer->ngroups + 1);
	c->todo = ARENA_ARRAY(&c->arena, struct node *, answer->ngroups + 1);
	b.users = ARENA_ARRAY(&c->arena, struct node, answer->nusers + 1);
	b.of_group = ARENA_ARRAY(&b.scratch, struct node *, answer->ngroups + 1);
	b.of_user = ARENA_ARRAY(&b.scratch, struct node *, answer->nusers + 1);
	read_entries(&b, answer);
	read_links(&b, answer);
	c->counts.groups = c->ngroups;
	c->counts.members = settle(b.users, b.nusers);
	c->counts.nested = settle(c->groups, c->ngroups);
	names_done(&b.user_dns);
	names_done(&b.group_dns);
	map_done(&b.uids);
	map_done(&b.tokens);
	arena_done(&b.scratch);
	return c;
}

void crowd_free(struct crowd **cp)
{
	if (!cp || !*cp)
		return;
	struct crowd *c = TAKE(*cp);
	map_done(&c->people);
	map_done(&c->labels);
	arena_done(&c->arena);
	free(c);
}

struct directory_counts crowd_counts(const struct crowd *c)
{
	return c->counts;
}

/* --- looking --- */

static void reach(struct crowd *c, struct node *group)
{
	if (group->look == c->look)
		return;
	group->look = c->look;
	c->todo[c->ntodo++] = group;
	for (size_t i = 0; i < group->nnames; i++)
		group->names[i]->look = c->look;
}

static void climb(struct crowd *c, const struct node *node, size_t *steps)
{
	for (size_t i = 0; i < node->nup; i++)
		reach(c, &c->groups[node->up[i]]);
	for (size_t i = 0; node->primary && i < node->primary->n; i++)
		reach(c, node->primary->nodes[i]);
	*steps += node->nup + 1;
}

enum crowd_word crowd_look(struct crowd *c, struct slice username, size_t *steps)
{
	bool unsure = false;
	const struct bucket *person = map_get(&c->people, username);
	c->look++; /* 32 bits: more looks than one poll can see */
	if (!person)
		return CROWD_NOBODY;
	for (size_t i = 0; i < person->n; i++) {
		unsure |= person->nodes[i]->unsure;
		climb(c, person->nodes[i], steps);
	}
	/* Each group once: a cycle ends by itself. */
	while (c->ntodo > 0)
		climb(c, c->todo[--c->ntodo], steps);
	return unsure ? CROWD_UNSURE : CROWD_KNOWN;
}

bool crowd_has(const struct crowd *c, struct slice group)
{
	const struct label *l = map_get(&c->labels, group);
	return l && l->look == c->look && c->look != 0;
}

bool crowd_names(const struct crowd *c, struct slice group)
{
	return map_get(&c->labels, group) != NULL;
}
