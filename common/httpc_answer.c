/* Owns what comes back in an HTTPS exchange: header, body, time, and the name of each failure. */
#include "common/httpc_exchange.h"

#include <strings.h>

#include "common/clock.h"

static long status_of(const struct exchange *x)
{
	long status = 0;
	curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

/* Does the reader want more? */
static bool read_on(struct exchange *x, struct slice piece)
{
	x->ended = !x->reader->piece(x->reader->ctx, piece);
	return !x->ended;
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	struct exchange *x = arg;
	long status = status_of(x);
	x->last = clock_mono();
	if (x->reader && status >= 200 && status < 300)
		return read_on(x, (struct slice){p, size * n}) ? size * n : 0;
	buf_add(&x->res->body, p, size * n);
	return x->res->body.over ? 0 : size * n;
}

static struct slice trim(struct slice s)
{
	while (s.len && strchr(" \t\r\n", s.p[0]))
		s = slice_skip(s, 1);
	while (s.len && strchr(" \t\r\n", s.p[s.len - 1]))
		s.len--;
	return s;
}

static bool is_nocase(struct slice s, const char *word)
{
	return s.len == strlen(word) && strncasecmp(s.p, word, s.len) == 0;
}

/* Digits only; saturates far beyond any sensible age. */
static bool read_seconds(struct slice s, int64_t *out)
{
	int64_t v = 0;
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		v = v > INT32_MAX ? v : v * 10 + (s.p[i] - '0');
	}
	*out = v;
	return s.len > 0;
}

/* RFC 9111 5.2.2: what forbids storing wins over any max-age. */
static void read_cache_control(struct slice value, struct httpc_response *res)
{
	while (value.len) {
		size_t comma = slice_find(value, ',');
		struct slice word = trim((struct slice){value.p, comma});
		int64_t age;
		if (is_nocase(word, "no-store") || is_nocase(word, "no-cache"))
			res->max_age = 0;
		else if (word.len > 8 && strncasecmp(word.p, "max-age=", 8) == 0 &&
			 read_seconds(slice_skip(word, 8), &age) && res->max_age != 0)
			res->max_age = age;
		value = slice_skip(value, comma + 1);
	}
}

/* RFC 9110 6.6.1. */
static int64_t read_date(struct slice value)
{
	char text[64];
	if (value.len >= sizeof(text))
		return 0;
	memcpy(text, value.p, value.len);
	text[value.len] = '\0';
	time_t t = curl_getdate(text, NULL);
	return t > 0 ? (int64_t)t : 0;
}

static void read_header(struct exchange *x, struct slice name, struct slice value)
{
	struct httpc_response *res = x->res;
	if (is_nocase(name, "cache-control"))
		read_cache_control(value, res);
	else if (is_nocase(name, "retry-after"))
		x->has_retry_after = true;
	else if (is_nocase(name, "date"))
		res->date = read_date(value);
	else if (is_nocase(name, "age") && !read_seconds(value, &res->age))
		res->age = 0;
	if (x->want_header && is_nocase(name, x->want_header)) {
		res->header.len = 0;
		buf_slice(&res->header, value);
	}
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	struct exchange *x = arg;
	struct slice line = {p, size * n};
	x->last = clock_mono();
	x->header_bytes += line.len;
	if (x->header_bytes > HTTPC_HEADER_BYTES_MAX) {
		x->header_over = true;
		return 0;
	}
	if (slice_starts(line, SLICE("HTTP/"))) { /* a 1xx answer may have come before */
		x->res->max_age = -1;
		x->res->age = x->res->date = 0;
		x->has_retry_after = false;
	}
	size_t colon = slice_find(line, ':');
	read_header(x, (struct slice){line.p, colon}, trim(slice_skip(line, colon + 1)));
	if (x->reader && trim(line).len == 0 && status_of(x) >= 200 && status_of(x) < 300)
		return read_on(x, SLICE("")) ? line.len : 0;
	return line.len;
}

bool exchange_goes_on(struct exchange *x)
{
	const struct httpc_reader *r = x->reader;
	x->cancelled = cancel_asked(x->cancel);
	if (x->cancelled || !r)
		return !x->cancelled;
	x->idle = clock_mono() - x->last > r->idle_ms * CLOCK_MS;
	x->ended = x->ended || (r->tick && !r->tick(r->ctx));
	return !x->idle && !x->ended;
}

void exchange_listen(struct exchange *x)
{
	CURL *c = x->easy;
	x->last = clock_mono();
	(void)curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	(void)curl_easy_setopt(c, CURLOPT_WRITEDATA, x);
	(void)curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	(void)curl_easy_setopt(c, CURLOPT_HEADERDATA, x);
}

/* --- the end --- */

static void read_content_type(CURL *c, struct httpc_response *res)
{
	char *text = NULL;
	curl_easy_getinfo(c, CURLINFO_CONTENT_TYPE, &text);
	struct slice s = slice_of(text);
	s = trim((struct slice){s.p, slice_find(s, ';')});
	if (s.len >= sizeof(res->content_type))
		s.len = 0;
	for (size_t i = 0; i < s.len; i++)
		res->content_type[i] = (char)(s.p[i] >= 'A' && s.p[i] <= 'Z' ? s.p[i] + 32 : s.p[i]);
	res->content_type[s.len] = '\0';
}

void exchange_finish(struct exchange *x)
{
	struct httpc_response *res = x->res;
	curl_off_t after = 0;
	res->status = status_of(x);
	curl_easy_getinfo(x->easy, CURLINFO_RETRY_AFTER, &after);
	res->retry_after = x->has_retry_after ? (int64_t)after : -1;
	read_content_type(x->easy, res);
}

enum err_code exchange_failure(
    const struct httpc *h, const struct exchange *x, CURLcode rc, struct err *e)
{
	const char *text = h->errbuf[0] ? h->errbuf : curl_easy_strerror(rc);
	if (x->cancelled)
		return err_set(e, ERR_UNAVAILABLE, "given up");
	if (x->ended)
		return err_set(e, ERR_REFUSED, "ended by its reader");
	if (x->idle)
		return err_set(e, ERR_TIMEOUT, "nothing came for %lld ms", (long long)x->reader->idle_ms);
	if (x->res->body.over || rc == CURLE_FILESIZE_EXCEEDED)
		return err_set(e, ERR_LIMIT, "the answer is longer than %zu bytes", x->res->body.max);
	if (x->header_over)
		return err_set(e, ERR_LIMIT, "the answer's header is longer than %zu bytes",
		    HTTPC_HEADER_BYTES_MAX);
	switch (rc) {
	case CURLE_OPERATION_TIMEDOUT:
		return err_set(e, ERR_TIMEOUT, "%s", text);
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_URL_MALFORMAT:
	case CURLE_LOGIN_DENIED:
		return err_set(e, ERR_INVALID, "%s", text);
	case CURLE_OUT_OF_MEMORY:
	case CURLE_FAILED_INIT:
	case CURLE_BAD_FUNCTION_ARGUMENT:
		return err_set(e, ERR_INTERNAL, "%s", text);
	default:
		return err_set(e, ERR_UNAVAILABLE, "%s", text);
	}
}
