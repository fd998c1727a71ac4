/* Fuzzes the lines of a watch: however the stream is cut, the same lines come out, none over the limit. */
#include "rbac-sync/kube_lines.h"
#include "tests/fuzz/fuzz.h"

#define LINE_MAX_ 64

struct seen {
	struct buf text;
	bool whole; /* no line holds an end, is empty or too long */
};

static bool note(void *ctx, struct slice line)
{
	struct seen *s = ctx;
	s->whole = s->whole && line.len > 0 && line.len <= LINE_MAX_ && slice_find(line, '\n') == line.len;
	buf_slice(&s->text, line);
	buf_addc(&s->text, '\n');
	return true;
}

struct outcome {
	struct seen seen;
	bool go, over, cut;
};

/* Pieces as long as the bytes of CUTS say, one after the other, in a circle. */
static struct outcome run(struct slice text, struct slice cuts)
{
	struct outcome o = {.go = true, .seen.whole = true};
	struct kube_lines l;
	buf_init(&o.seen.text, (size_t)8 << 20);
	kube_lines_init(&l, LINE_MAX_);
	for (size_t i = 0; text.len && o.go; i++) {
		size_t n = cuts.len ? (unsigned char)cuts.p[i % cuts.len] % 16 + 1u : text.len;
		n = n < text.len ? n : text.len;
		o.go = kube_lines_feed(&l, (struct slice){text.p, n}, note, &o.seen);
		text = slice_skip(text, n);
	}
	o.over = l.over;
	o.cut = kube_lines_cut(&l);
	kube_lines_done(&l);
	return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice all = fuzz_slice(data, size);
	struct outcome once = run(all, (struct slice){0});
	struct outcome pieces = run(all, all);
	struct outcome bytes = run(all, SLICE("\x10"));
	FUZZ_CHECK(once.seen.whole && pieces.seen.whole && bytes.seen.whole);
	FUZZ_CHECK(once.go == pieces.go && once.go == bytes.go && once.go == !once.over);
	FUZZ_CHECK(slice_eq(buf_view(&once.seen.text), buf_view(&pieces.seen.text)));
	FUZZ_CHECK(slice_eq(buf_view(&once.seen.text), buf_view(&bytes.seen.text)));
	FUZZ_CHECK(!once.go || (once.cut == pieces.cut && once.cut == bytes.cut));
	/* What came out is what went in, but for empty lines and an unfinished one. */
	if (once.go) {
		size_t ends = 0, rest = 0;
		for (size_t i = 0; i < size; i++) {
			ends += data[i] != '\n' || (i > 0 && data[i - 1] != '\n');
			rest = data[i] == '\n' ? 0 : rest + 1;
		}
		FUZZ_CHECK(once.seen.text.len == ends - rest);
		FUZZ_CHECK(once.cut == (rest > 0));
	}
	buf_done(&once.seen.text);
	buf_done(&pieces.seen.text);
	buf_done(&bytes.seen.text);
	return 0;
}
