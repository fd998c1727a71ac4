/* What compile.c and index.c share while a policy is built. Internal to policy/. */
#ifndef POLICY_COMPILE_H
#define POLICY_COMPILE_H

#include "policy/ast.h"
#include "policy/index.h"

struct compiler {
	struct policy *p;
	struct ast *t;
	struct arena scratch;
	struct arena *a; /* where things are built: P's arena, or SCRATCH for a draft */
	/* Patterns: number - 1 is the index. */
	struct intern user_globs, group_globs, sa_globs, place_globs;
	struct map sets; /* content -> struct subject_set * */
	struct map actions; /* content -> struct action * */
	struct map places; /* content -> struct ns_set * */
	struct map windows; /* content -> struct window * */
	size_t window_cap; /* of the policy's list of them */
	struct map zones; /* name -> const struct zone *, the policy's own */
	struct map shapes; /* content -> struct action_list * */
};

/* The number of TEXT in TABLE, which gets a copy of its own when it is new. */
uint32_t compile_intern(struct compiler *c, struct intern *table, struct slice text);

/* Appends numbers, or a text, to the key by which equal things are found; and the finished key, which lives
 * as long as the tree. */
void compile_key_atoms(struct buf *key, const uint32_t *v, uint32_t n);
void compile_key_text(struct buf *key, struct slice text);
struct slice compile_key(struct compiler *c, struct buf *key);

/* What KNOWN has under KEY, which is freed. When it has nothing, *KEPT is a copy of the key that lives as long as
 * the tree. */
void *compile_same(
    struct compiler *c, const struct map *known, struct buf *key, struct slice *kept);

/* From here to compile_final what is built in C->a goes to memory that the next draft reuses: most things
 * turn out to be there already, and what is new is copied by the compile_share_… functions, which end the draft. */
void compile_draft(struct compiler *c);
void compile_final(struct compiler *c);

/* Sorts V in place and drops doubles. */
struct atom_set compile_set(uint32_t *v, uint32_t n);

/* The set of these names, all literal; a set of the same names is the same set. */
const struct subject_set *compile_literals(struct compiler *c, const struct slice *users, size_t nusers,
    const struct slice *groups, size_t ngroups);

/* The action that equals the draft A, the namespaces that equal the draft SET. */
const struct action *compile_share_action(struct compiler *c, const struct action *a);
const struct ns_set *compile_share_namespaces(struct compiler *c, const struct ns_set *set);

/* The set of one namespace. */
const struct ns_set *compile_namespace(struct compiler *c, struct slice name);

struct subjects compile_subjects(struct compiler *c, const struct ast_subjects *s);

struct selector compile_selector(struct compiler *c, const struct ast_selector *s);
void compile_key_selector(struct buf *key, const struct selector *s);

/* What a test says beside the plain words: selectors, extra attributes, time. */
void compile_test_details(struct compiler *c, const struct ast_test *t, struct policy_test *out);

/* `valid` and `breakGlass` of R. */
void compile_valid(struct compiler *c, const struct ast_rule *r, struct rule *out);

/* Gives OUT its roles: the N LISTS (copied), one object for all rules that have the same. */
void compile_shape(
    struct compiler *c, const struct action_list *lists, uint32_t n, struct rule *out);

/* The lists from subjects to rules (lists.c), when all rules stand. */
void compile_lists(struct compiler *c);

#endif
