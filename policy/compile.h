/* What compile.c and index.c share while a policy is built. Internal to policy/. */
#ifndef POLICY_COMPILE_H
#define POLICY_COMPILE_H

#include "policy/ast.h"
#include "policy/index.h"

struct compiler {
	struct policy *p;
	struct ast *t;
	struct intern user_globs, group_globs, sa_globs; /* patterns: number - 1 is the index */
	struct map sets; /* content -> struct subject_set * */
	struct map actions; /* content -> struct action * */
	struct map places; /* content -> struct ns_set * */
	struct map windows; /* content -> struct window * */
	size_t window_cap; /* of the policy's list of them */
	struct map zones; /* name -> const struct zone *, the policy's own */
};

/* The number of TEXT in TABLE, which gets a copy of its own when it is new. */
uint32_t compile_intern(struct compiler *c, struct intern *table, struct slice text);

/* Appends numbers, or a text, to the key by which equal things are found; and the finished key,
 * which lives as long as the tree. */
void compile_key_atoms(struct buf *key, const uint32_t *v, uint32_t n);
void compile_key_text(struct buf *key, struct slice text);
struct slice compile_key(struct compiler *c, struct buf *key);

/* Sorts V in place and drops doubles. */
struct atom_set compile_set(uint32_t *v, uint32_t n);

/* The set of these names, all literal; a set of the same names is the same set. */
const struct subject_set *compile_literals(struct compiler *c, const struct slice *users, size_t nusers,
    const struct slice *groups, size_t ngroups);

/* A, or the equal action that was there before. */
const struct action *compile_share_action(struct compiler *c, struct action *a);

/* The set of one namespace. */
const struct ns_set *compile_namespace(struct compiler *c, struct slice name);

struct subjects compile_subjects(struct compiler *c, const struct ast_subjects *s);

struct selector compile_selector(struct compiler *c, const struct ast_selector *s);
void compile_key_selector(struct buf *key, const struct selector *s);

/* What a test says beside the plain words: selectors, extra attributes, time. */
void compile_test_details(struct compiler *c, const struct ast_test *t, struct policy_test *out);

/* `valid` and `breakGlass` of R. */
void compile_valid(struct compiler *c, const struct ast_rule *r, struct rule *out);

/* The lists from subjects to sets to rules, when all rules stand. */
void compile_index(struct compiler *c);

#endif
