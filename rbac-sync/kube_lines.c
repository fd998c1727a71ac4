/* Owns the splitting of a stream into lines. */
#include "rbac-sync/kube_lines.h"

void kube_lines_init(struct kube_lines *l, size_t max)
{
	*l = (struct kube_lines){.max = max};
	buf_init(&l->rest, max);
}

void kube_lines_done(struct kube_lines *l)
{
	buf_done(&l->rest);
}

bool kube_lines_cut(const struct kube_lines *l)
{
	return l->rest.len > 0;
}

/* The end of a line, in which REST may stand already. */
static bool end_line(struct kube_lines *l, struct slice tail, kube_line *each, void *ctx)
{
	struct slice line = tail;
	if (l->rest.len) {
		buf_slice(&l->rest, tail);
		line = buf_view(&l->rest);
	}
	l->over = l->over || l->rest.over || line.len > l->max;
	bool more = !l->over && (line.len == 0 || each(ctx, line));
	l->rest.len = 0;
	return more;
}

bool kube_lines_feed(struct kube_lines *l, struct slice piece, kube_line *each, void *ctx)
{
	while (piece.len && !l->over) {
		size_t at = slice_find(piece, '\n');
		if (at == piece.len) {
			buf_slice(&l->rest, piece);
			l->over = l->rest.over;
			return !l->over;
		}
		if (!end_line(l, (struct slice){piece.p, at}, each, ctx))
			return false;
		piece = slice_skip(piece, at + 1);
	}
	return !l->over;
}
