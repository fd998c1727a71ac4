/* Owns the reading of a request's head: which headers count, and whether the body's length is beyond doubt. */
#include <strings.h>

#include "server/http1.h"

static bool name_is(struct slice name, const char *want)
{
	return name.len == strlen(want) && strncasecmp(name.p, want, name.len) == 0;
}

static void read_length(struct http1_head *h, struct slice v)
{
	h->lengths++;
	h->length = 0;
	if (v.len == 0 || v.len > 18) {
		h->bad_length = true;
		return;
	}
	for (size_t i = 0; i < v.len; i++) {
		if (v.p[i] < '0' || v.p[i] > '9')
			h->bad_length = true;
		else
			h->length = h->length * 10 + (uint64_t)(v.p[i] - '0');
	}
}

void http1_head_field(struct http1_head *h, struct slice name, struct slice value)
{
	if (name_is(name, "Content-Length")) {
		read_length(h, value);
	} else if (name_is(name, "Transfer-Encoding")) {
		h->encodings++;
		h->chunked = name_is(value, "chunked");
	} else if (name_is(name, "Content-Type")) {
		h->types++;
		h->content_type = value;
	} else if (name_is(name, "Authorization")) {
		h->authorizations++;
		h->authorization = value;
	}
}

bool http1_head_framed(const struct http1_head *h)
{
	if (h->lengths > 1 || h->encodings > 1 || h->bad_length || (h->lengths && h->encodings))
		return false;
	return h->encodings == 0 || h->chunked;
}

static bool media_is(const struct exchange *ex, const char *want)
{
	struct slice type = ex->request.content_type;
	struct slice media = {type.p, slice_find(type, ';')};
	while (media.len && (media.p[media.len - 1] == ' ' || media.p[media.len - 1] == '\t'))
		media.len--;
	return name_is(media, want);
}

bool exchange_is_json(const struct exchange *ex)
{
	return media_is(ex, "application/json");
}

bool exchange_is_form(const struct exchange *ex)
{
	return media_is(ex, "application/x-www-form-urlencoded");
}
