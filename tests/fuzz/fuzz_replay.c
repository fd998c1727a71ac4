/* Fuzzes lines of audit logs as `policy replay` reads them: what counts as a decision is a request that can be
 * asked, and printing it as a review and reading that back gives the same request. */
#include "authz/diff.h"
#include "authz/sar.h"
#include "cli/replay.h"
#include "tests/fuzz/fuzz.h"

static bool same_lists(const struct slice *a, size_t na, const struct slice *b, size_t nb)
{
	bool same = na == nb;
	for (size_t i = 0; same && i < na; i++)
		same = slice_eq(a[i], b[i]);
	return same;
}

static void check_round(const struct access_request *r)
{
	struct arena arena = {0};
	struct buf b;
	struct sar s;
	struct err e = {0};
	buf_init(&b, (size_t)64 << 20);
	diff_review(r, &b);
	FUZZ_CHECK(sar_parse(buf_view(&b), &arena, &s, &e) == ERR_OK || r->ngroups > SAR_GROUPS_MAX);
	if (e.code == ERR_OK) {
		const struct access_request *q = &s.request;
		FUZZ_CHECK(!s.unanswerable && q->resource_request == r->resource_request);
		FUZZ_CHECK(slice_eq(q->user, r->user) && slice_eq(q->verb, r->verb));
		FUZZ_CHECK(same_lists(q->groups, q->ngroups, r->groups, r->ngroups));
		if (r->resource_request)
			FUZZ_CHECK(slice_eq(q->resource, r->resource) &&
				   slice_eq(q->subresource, r->subresource) &&
				   slice_eq(q->name, r->name) && slice_eq(q->namespace_, r->namespace_) &&
				   slice_eq(q->api_group, r->api_group));
		else
			FUZZ_CHECK(slice_eq(q->path, r->path));
	}
	buf_done(&b);
	arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = {0};
	struct replay_line l;
	struct err e = {0};
	replay_read((struct slice){(const char *)data, size}, &arena, &l, &e);
	FUZZ_CHECK((l.kind == REPLAY_BAD) == (e.code != ERR_OK));
	FUZZ_CHECK(l.kind < REPLAY_KINDS);
	if (l.kind == REPLAY_DECISION)
		check_round(&l.request);
	arena_done(&arena);
	return 0;
}
