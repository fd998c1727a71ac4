/* Owns writing SubjectAccessReviews: replies and the lines of `policy eval`. */
#include "authz/sar.h"

static void open_review(const struct sar *s, struct buf *out)
{
	buf_adds(out, "{\"apiVersion\":\"");
	buf_adds(out, s->api_version);
	buf_adds(out, "\",\"kind\":\"SubjectAccessReview\"");
}

/* One switch decides both flags, so that they are never both true: the apiserver would answer 500.
 */
static void close_review(
    enum verdict v, struct slice reason, const char *evaluation_error, struct buf *out)
{
	switch (v) {
	case VERDICT_ALLOW:
		buf_adds(out, ",\"status\":{\"allowed\":true");
		break;
	case VERDICT_DENY:
		buf_adds(out, ",\"status\":{\"allowed\":false,\"denied\":true");
		break;
	default:
		buf_adds(out, ",\"status\":{\"allowed\":false");
	}
	if (reason.len) {
		buf_adds(out, ",\"reason\":");
		buf_json(out, reason);
	}
	if (evaluation_error) {
		buf_adds(out, ",\"evaluationError\":");
		buf_json(out, slice_of(evaluation_error));
	}
	buf_adds(out, "}}");
}

/* What cannot be answered is never allowed, whatever the caller passes. */
static enum verdict answer(const struct sar *s, enum verdict v)
{
	return s->unanswerable ? VERDICT_NO_OPINION : v;
}

void sar_write(const struct sar *s, enum verdict v, struct slice reason,
    const char *evaluation_error, struct buf *out)
{
	open_review(s, out);
	close_review(
	    answer(s, v), reason, evaluation_error ? evaluation_error : s->unanswerable, out);
}

/* Copies valid JSON without the white space between its tokens. */
static void add_compact(struct buf *out, struct slice json)
{
	bool quoted = false;
	for (size_t i = 0; i < json.len; i++) {
		char c = json.p[i];
		if (!quoted && (c == ' ' || c == '\t' || c == '\n' || c == '\r'))
			continue;
		buf_addc(out, c);
		if (c == '"')
			quoted = !quoted;
		else if (c == '\\' && quoted && i + 1 < json.len)
			buf_addc(out, json.p[++i]);
	}
}

void sar_write_full(const struct sar *s, enum verdict v, struct slice reason,
    const char *evaluation_error, struct buf *out)
{
	open_review(s, out);
	if (s->spec.len) {
		buf_adds(out, ",\"spec\":");
		add_compact(out, s->spec);
	}
	close_review(
	    answer(s, v), reason, evaluation_error ? evaluation_error : s->unanswerable, out);
}
