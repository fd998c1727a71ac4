/* Owns strict base64url and base64. */
#include "common/base64url.h"

/* LAST: the two digits after the alphanumeric ones. */
static int value_of(char c, const char last[2])
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == last[0] ? 62 : c == last[1] ? 63 : -1;
}

static bool decode(struct arena *a, struct slice in, const char last[2], struct slice *out)
{
	if (in.len % 4 == 1)
		return false;
	char *p = arena_alloc(a, in.len / 4 * 3 + 4);
	size_t n = 0;
	unsigned bits = 0, have = 0;
	for (size_t i = 0; i < in.len; i++) {
		int v = value_of(in.p[i], last);
		if (v < 0)
			return false;
		bits = bits << 6 | (unsigned)v;
		have += 6;
		if (have >= 8) {
			have -= 8;
			p[n++] = (char)(bits >> have & 0xFF);
		}
	}
	if (bits & ((1U << have) - 1))
		return false;
	*out = (struct slice){p, n};
	return true;
}

bool base64url_decode(struct arena *a, struct slice in, struct slice *out)
{
	return decode(a, in, "-_", out);
}

bool base64_decode(struct arena *a, struct slice in, struct slice *out)
{
	if (in.len == 0 || in.len % 4 != 0)
		return false;
	for (int pad = 0; pad < 2 && in.p[in.len - 1] == '='; pad++)
		in.len--;
	return decode(a, in, "+/", out);
}

void base64url_encode(struct buf *b, struct slice in)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	unsigned bits = 0, have = 0;
	for (size_t i = 0; i < in.len; i++) {
		bits = bits << 8 | (unsigned char)in.p[i];
		for (have += 8; have >= 6; have -= 6)
			buf_addc(b, digits[bits >> (have - 6) & 63]);
	}
	if (have)
		buf_addc(b, digits[bits << (6 - have) & 63]);
}
