/* Owns what `token explain` learns from the chain as it is asked. */
#include "cli/token.h"

static void on_check(struct authn_trace *self, const char *name, bool passed, const char *detail)
{
	struct token_explanation *e = (struct token_explanation *)self;
	size_t first = e->nasked ? e->asked[e->nasked - 1].first + e->asked[e->nasked - 1].n : 0;
	/* Asked a second time, an authenticator begins anew. */
	if (e->nasked && e->asked[e->nasked - 1].step == AUTHN_NEEDS_WORK)
		first = e->asked[e->nasked - 1].first;
	for (size_t i = first; i < e->nchecks; i++)
		if (strcmp(e->checks[i].name, name) == 0 && e->checks[i].passed == passed &&
		    strcmp(e->checks[i].detail, detail ? detail : "") == 0)
			return;
	ARENA_ROOM(e->arena, e->checks, e->nchecks, e->checks_cap, 16);
	e->checks[e->nchecks++] = (struct token_check){
	    arena_strdup(e->arena, name), arena_strdup(e->arena, detail ? detail : ""), passed};
}

static void on_asked(struct authn_trace *self, const char *authenticator, enum authn_step step)
{
	struct token_explanation *e = (struct token_explanation *)self;
	struct token_asked *last = e->nasked ? &e->asked[e->nasked - 1] : NULL;
	if (last && last->step == AUTHN_NEEDS_WORK) {
		last->step = step;
		last->n = e->nchecks - last->first;
		return;
	}
	size_t first = last ? last->first + last->n : 0;
	ARENA_ROOM(e->arena, e->asked, e->nasked, e->asked_cap, 16);
	e->asked[e->nasked++] = (struct token_asked){
	    arena_strdup(e->arena, authenticator), step, first, e->nchecks - first};
}

void token_watch(struct token_explanation *e)
{
	e->trace = (struct authn_trace){.check = on_check, .asked = on_asked};
	e->call->trace = &e->trace;
}
