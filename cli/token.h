/* What `token explain` found out, and how it is told. */
#ifndef CLI_TOKEN_H
#define CLI_TOKEN_H

#include "authn/authn.h"
#include "authn/look.h"
#include "cli/cli.h"

struct token_check {
	const char *name, *detail; /* in the explanation's arena */
	bool passed;
};

/* An authenticator and what it said: checks FIRST to FIRST + N - 1 are its own. */
struct token_asked {
	const char *authenticator;
	enum authn_step step;
	size_t first, n;
};

struct token_explanation {
	struct authn_trace trace; /* first: what the callbacks are called with */
	struct arena *arena;	  /* wiped at its end: the token is in there */
	struct token_look look;
	/* What was asked, in order; checks after the last one's are the chain's. */
	struct token_check *checks;
	size_t nchecks, checks_cap;
	struct token_asked *asked;
	size_t nasked, asked_cap;
	/* What came out. */
	struct authn_call *call;
	enum authn_step step;
	const char *keys; /* what is known of the issuer's keys; NULL: nothing to say */
};

/* Makes E the trace of its call. */
void token_watch(struct token_explanation *e);

/* The explanation, as text for people or as one JSON object. Never the token, its signature or payload; of
 * claims that are not part of the identity only the names. Bytes from outside are escaped. */
void token_write_text(const struct token_explanation *e, struct buf *out);
void token_write_json(const struct token_explanation *e, struct buf *out);

/* "accepted", "refused" or "undecided"; "pass" for one whose token it is not. */
const char *token_step_word(enum authn_step step);

#endif
