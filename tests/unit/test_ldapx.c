/* What a directory's answers are made into: account states, pages, values in pieces. The server is a socket
 * whose answers lie ready before they are asked for: libldap numbers its messages from 1. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/ldapx_handle.h"

#define LAST SIZE_MAX

/* --- a server's side of BER (lengths up to 64 KiB) --- */

static struct slice tlv(struct arena *a, int tag, struct slice body)
{
	char *p = arena_alloc(a, body.len + 4);
	size_t head = body.len < 128 ? 2 : 4;
	p[0] = (char)tag;
	p[1] = (char)(head == 2 ? body.len : 0x82);
	if (head == 4) {
		p[2] = (char)(body.len >> 8);
		p[3] = (char)body.len;
	}
	if (body.len)
		memcpy(p + head, body.p, body.len);
	return (struct slice){p, head + body.len};
}

static struct slice join(struct arena *a, struct slice x, struct slice y)
{
	char *p = arena_alloc(a, x.len + y.len + 1);
	if (x.len)
		memcpy(p, x.p, x.len);
	if (y.len)
		memcpy(p + x.len, y.p, y.len);
	return (struct slice){p, x.len + y.len};
}

static struct slice octets(struct arena *a, const char *s)
{
	return tlv(a, 0x04, slice_of(s));
}

/* VALUE without bytes: the control has none. */
static struct slice control(struct arena *a, const char *oid, struct slice value)
{
	struct slice octet_string = value.p ? tlv(a, 0x04, value) : value;
	return tlv(a, 0x30, join(a, octets(a, oid), octet_string));
}

/* TAG with result CODE and TEXT, and CONTROLS (may be none) behind it. */
static struct slice done(struct arena *a, int id, int tag, int code, const char *text,
    struct slice controls)
{
	char number[] = {(char)code};
	struct slice body = tlv(a, 0x0a, (struct slice){number, 1});
	body = tlv(a, tag, join(a, body, join(a, octets(a, ""), octets(a, text))));
	char ident[] = {(char)id};
	body = join(a, tlv(a, 0x02, (struct slice){ident, 1}), body);
	if (controls.len)
		body = join(a, body, tlv(a, 0xa0, controls));
	return tlv(a, 0x30, body);
}

/* An entry with NUM values "v<FIRST>", … of the attribute DESC. */
static struct slice entry(struct arena *a, int id, const char *dn, const char *desc, size_t first,
    size_t num)
{
	struct slice values = {0};
	for (size_t i = 0; i < num; i++)
		values = join(a, values, octets(a, arena_printf(a, "v%zu", first + i)));
	struct slice attr = tlv(a, 0x30, join(a, octets(a, desc), tlv(a, 0x31, values)));
	struct slice op = tlv(a, 0x64, join(a, octets(a, dn), tlv(a, 0x30, attr)));
	char ident[] = {(char)id};
	return tlv(a, 0x30, join(a, tlv(a, 0x02, (struct slice){ident, 1}), op));
}

/* RFC 2696: SEQUENCE { size INTEGER, cookie OCTET STRING } */
static struct slice page(struct arena *a, const char *cookie)
{
	struct slice size = tlv(a, 0x02, SLICE("\x00"));
	return control(a, "1.2.840.113556.1.4.319", tlv(a, 0x30, join(a, size, octets(a, cookie))));
}

struct peer {
	struct ldapx *h;
	int fd;
};

static void peer_close(struct peer *p)
{
	ldapx_close(&p->h);
	if (p->fd >= 0)
		close(p->fd);
}

static struct peer peer_with(struct slice answers)
{
	int pair[2], size = 4 << 20;
	struct err e;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	/* Both sides write more than the other has read yet. */
	for (int i = 0; i < 2; i++)
		setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	assert_int_equal(write(pair[1], answers.p, answers.len), answers.len);
	assert_int_equal(shutdown(pair[1], SHUT_WR), 0);
	struct peer p = {.fd = pair[1]};
	assert_int_equal(ldapx_adopt(pair[0], clock_mono() + 30 * CLOCK_SECOND, &p.h, &e), ERR_OK);
	return p;
}

/* What the client has sent up to now. */
static struct slice sent(struct arena *a, struct peer *p)
{
	char buf[8192];
	struct slice all = {0};
	for (ssize_t n; (n = recv(p->fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0;)
		all = join(a, all, (struct slice){buf, (size_t)n});
	return all;
}

static bool holds(struct slice s, const char *what)
{
	return s.len && memmem(s.p, s.len, what, strlen(what));
}

/* --- binds --- */

#define AD(word) "80090308: LdapErr: DSID-0C090447, comment: AcceptSecurityContext error, data " word
#define PPOLICY "1.3.6.1.4.1.42.2.27.8.5.1"

struct bind_case {
	const char *name;
	int code;
	const char *text, *oid;
	struct slice value;
	enum err_code want;
	enum ldapx_account account;
	int grace, expires;
};

static const struct bind_case bind_cases[] = {
    {"good", 0, "", NULL, {0}, ERR_OK, LDAPX_ACCOUNT_UNSAID, -1, -1},
    {"text of a good bind", 0, AD("775, v3839"), NULL, {0}, ERR_OK, LDAPX_ACCOUNT_UNSAID, -1, -1},
    {"525", 49, AD("525, v3839"), NULL, {0}, ERR_REFUSED, LDAPX_ACCOUNT_NO_USER, -1, -1},
    {"52e", 49, AD("52e, v1db1"), NULL, {0}, ERR_REFUSED, LDAPX_ACCOUNT_BAD_PASSWORD, -1, -1},
    {"52E", 49, AD("52E, v1db1"), NULL, {0}, ERR_REFUSED, LDAPX_ACCOUNT_BAD_PASSWORD, -1, -1},
    {"530", 49, AD("530, v3839"), NULL, {0}, ERR_REFUSED, LDAPX_ACCOUNT_LOGON_HOURS, -1, -1},
    {"531", 49, AD("531, v3839"), NULL, {0}, ERR_REFUSED, LDAPX_ACCOUNT_WORKSTATION, -1, -1},
    {"532", 49, AD("532, v3839"), NULL, {0}, ERR_REFUSED, LDAPX_ACCOUNT_PASSWORD_EXPIRED, -1, -1},
    {"533", 49, AD("533, v3839"), NULL, {0}, ERR_REFUSED, LDAPX_ACCOUNT_DISABLED, -1, -1},
    {"701", 49, AD("701, v3839"), NULL, {0}, ERR_REFUSED, LDAPX_ACCOUNT_EXPIRED, -1, -1},
    {"773", 49, AD("773, v3839"), NULL, {0}, ERR_REFUSED, LDAPX_ACCOUNT_MUST_CHANGE, -1, -1},
    {"775", 49, AD("775, v3839"), NULL, {0}, ERR_REFUSED, LDAPX_ACCOUNT_LOCKED, -1, -1},
    {"unknown", 49, AD("999, v1"), NULL, {0}, ERR_REFUSED, LDAPX_ACCOUNT_UNSAID, -1, -1},
    {"longer number", 49, AD("5251, v1"), NULL, {0}, ERR_REFUSED, LDAPX_ACCOUNT_UNSAID, -1, -1},
    {"cut", 49, AD("52e"), NULL, {0}, ERR_REFUSED, LDAPX_ACCOUNT_UNSAID, -1, -1},
    {"other text", 49, "data 533, v1", NULL, {0}, ERR_REFUSED, LDAPX_ACCOUNT_UNSAID, -1, -1},
    {"other code", 53, AD("533, v1"), NULL, {0}, ERR_REFUSED, LDAPX_ACCOUNT_UNSAID, -1, -1},
    {"no opinion", 0, "", PPOLICY, {"\x30\x00", 2}, ERR_OK, LDAPX_ACCOUNT_UNSAID, -1, -1},
    {"expires", 0, "", PPOLICY, {"\x30\x06\xa0\x04\x80\x02\x0e\x10", 8}, ERR_OK,
	LDAPX_ACCOUNT_UNSAID, -1, 3600},
    {"grace", 0, "", PPOLICY, {"\x30\x05\xa0\x03\x81\x01\x02", 7}, ERR_OK, LDAPX_ACCOUNT_UNSAID, 2,
	-1},
    {"password expired", 49, "", PPOLICY, {"\x30\x03\x81\x01\x00", 5}, ERR_REFUSED,
	LDAPX_ACCOUNT_PASSWORD_EXPIRED, -1, -1},
    {"locked", 49, "", PPOLICY, {"\x30\x03\x81\x01\x01", 5}, ERR_REFUSED, LDAPX_ACCOUNT_LOCKED, -1,
	-1},
    {"must change", 0, "", PPOLICY, {"\x30\x03\x81\x01\x02", 5}, ERR_OK, LDAPX_ACCOUNT_MUST_CHANGE,
	-1, -1},
    {"broken with no", 49, "", PPOLICY, {"\x30\x05\x81", 3}, ERR_REFUSED, LDAPX_ACCOUNT_UNSAID, -1,
	-1},
    {"broken with yes", 0, "", PPOLICY, {"\x30\x05\x81", 3}, ERR_UNAVAILABLE, LDAPX_ACCOUNT_UNSAID,
	-1, -1},
    {"empty value", 0, "", PPOLICY, {"", 0}, ERR_UNAVAILABLE, LDAPX_ACCOUNT_UNSAID, -1, -1},
    {"no value", 0, "", PPOLICY, {NULL, 0}, ERR_UNAVAILABLE, LDAPX_ACCOUNT_UNSAID, -1, -1},
    {"Netscape without value", 0, "", "2.16.840.1.113730.3.4.5", {NULL, 0}, ERR_UNAVAILABLE,
	LDAPX_ACCOUNT_UNSAID, -1, -1},
    {"no sequence", 0, "", PPOLICY, {"AAAA", 4}, ERR_UNAVAILABLE, LDAPX_ACCOUNT_UNSAID, -1, -1},
    {"Netscape expired, yes", 0, "", "2.16.840.1.113730.3.4.4", {"0", 1}, ERR_OK,
	LDAPX_ACCOUNT_MUST_CHANGE, -1, -1},
    {"Netscape expired, no", 49, "", "2.16.840.1.113730.3.4.4", {"0", 1}, ERR_REFUSED,
	LDAPX_ACCOUNT_PASSWORD_EXPIRED, -1, -1},
    {"Netscape expiring", 0, "", "2.16.840.1.113730.3.4.5", {"86400", 5}, ERR_OK,
	LDAPX_ACCOUNT_UNSAID, -1, 86400},
    {"Netscape nonsense", 0, "", "2.16.840.1.113730.3.4.5", {"-1", 2}, ERR_UNAVAILABLE,
	LDAPX_ACCOUNT_UNSAID, -1, -1},
    {"other control", 0, "", "1.2.3", {"x", 1}, ERR_OK, LDAPX_ACCOUNT_UNSAID, -1, -1},
    {"libldap's own time-out", 0xfb, "", NULL, {0}, ERR_UNAVAILABLE, LDAPX_ACCOUNT_UNSAID, -1, -1},
    {"busy", 51, AD("533, v1"), NULL, {0}, ERR_UNAVAILABLE, LDAPX_ACCOUNT_UNSAID, -1, -1},
};

static void test_binds_tell_the_state_of_the_account(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bind_cases); i++) {
		const struct bind_case *c = &bind_cases[i];
		print_message("%s\n", c->name);
		AUTO(arena_done) struct arena a = {0};
		struct slice controls =
		    c->oid ? control(&a, c->oid, c->value) : (struct slice){0};
		AUTO(peer_close) struct peer p =
		    peer_with(done(&a, 1, 0x61, c->code, c->text, controls));
		struct ldapx_bind_info info;
		struct err e;
		assert_int_equal(ldapx_bind(p.h, SLICE("cn=a"), SLICE("pw"),
				     clock_mono() + 20 * CLOCK_SECOND, &info, &e),
		    c->want);
		assert_true(holds(sent(&a, &p), PPOLICY));
		if (c->want == ERR_UNAVAILABLE)
			continue;
		assert_int_equal(info.account, c->account);
		assert_int_equal(info.grace_left, c->grace);
		assert_int_equal(info.expires_in, c->expires);
	}
}

static void test_no_opinion_is_asked_for_without_info(void **state)
{
	(void)state;
	AUTO(arena_done) struct arena a = {0};
	AUTO(peer_close) struct peer p = peer_with(done(&a, 1, 0x61, 0, "", (struct slice){0}));
	struct err e;
	assert_int_equal(ldapx_bind(p.h, SLICE("cn=a"), SLICE("pw"),
			     clock_mono() + 20 * CLOCK_SECOND, NULL, &e),
	    ERR_OK);
	assert_false(holds(sent(&a, &p), PPOLICY));
}

static void test_unfit_passwords_are_not_sent(void **state)
{
	(void)state;
	AUTO(arena_done) struct arena a = {0};
	AUTO(peer_close) struct peer p = peer_with((struct slice){0});
	struct ldapx_bind_info info = {.account = LDAPX_ACCOUNT_LOCKED};
	struct err e;
	assert_int_equal(ldapx_bind(p.h, SLICE("cn=a"), SLICE(""), clock_mono() + CLOCK_SECOND,
			     &info, &e),
	    ERR_REFUSED);
	assert_int_equal(ldapx_bind(p.h, SLICE("cn=a"), SLICE("a\0b"),
			     clock_mono() + CLOCK_SECOND, &info, &e),
	    ERR_REFUSED);
	assert_int_equal(ldapx_bind(p.h, SLICE(""), SLICE("pw"), clock_mono() + CLOCK_SECOND, &info,
			     &e),
	    ERR_REFUSED);
	assert_int_equal(info.account, LDAPX_ACCOUNT_UNSAID);
	assert_int_equal(sent(&a, &p).len, 0);
}

/* --- searches --- */

static enum err_code search(struct peer *p, struct arena *a, bool ranges, size_t max, size_t pages,
    struct ldapx_entry **out, size_t *n)
{
	static const char *const attrs[] = {"member", NULL};
	struct ldapx_search q = {.base = "o=x",
	    .filter = "(cn=*)",
	    .attrs = attrs,
	    .max_entries = max,
	    .page = pages,
	    .ranges = ranges};
	struct err e;
	enum err_code code = ldapx_search(p->h, &q, clock_mono() + 20 * CLOCK_SECOND, a, out, n, &e);
	if (code != ERR_OK)
		print_message("%s\n", e.msg);
	return code;
}

static void assert_values(const struct ldapx_attr *attr, size_t n)
{
	assert_int_equal(attr->n, n);
	for (size_t i = 0; i < n; i++) {
		char want[32];
		snprintf(want, sizeof(want), "v%zu", i);
		assert_true(slice_eq(attr->values[i], slice_of(want)));
	}
}

#define NONE ((struct slice){0})

static void test_values_in_pieces_are_read_to_their_end(void **state)
{
	(void)state;
	AUTO(arena_done) struct arena a = {0};
	struct slice s = entry(&a, 1, "cn=g", "member;range=0-2", 0, 3);
	s = join(&a, s, entry(&a, 1, "cn=h", "member", 0, 2));
	s = join(&a, s, done(&a, 1, 0x65, 0, "", NONE));
	s = join(&a, s, entry(&a, 2, "cn=g", "Member;Range=3-4", 3, 2));
	s = join(&a, s, done(&a, 2, 0x65, 0, "", NONE));
	s = join(&a, s, entry(&a, 3, "cn=g", "member;range=5-*", 5, 3));
	s = join(&a, s, done(&a, 3, 0x65, 0, "", NONE));
	AUTO(peer_close) struct peer p = peer_with(s);
	struct ldapx_entry *found;
	size_t n;
	assert_int_equal(search(&p, &a, true, 10, 0, &found, &n), ERR_OK);
	assert_int_equal(n, 2);
	assert_values(&found[0].attrs[0], 8);
	assert_values(&found[1].attrs[0], 2);
	assert_true(holds(sent(&a, &p), "member;range=5-*"));
}

struct range_case {
	const char *name, *first, *second;
	size_t nfirst, from, nsecond;
	enum err_code want;
};

static const struct range_case range_cases[] = {
    {"whole in one piece", "member;range=0-*", NULL, 3, 0, 0, ERR_OK},
    {"not from the start", "member;range=1-*", NULL, 3, 0, 0, ERR_UNAVAILABLE},
    {"fewer than said", "member;range=0-3", NULL, 3, 0, 0, ERR_UNAVAILABLE},
    {"more than said", "member;range=0-1", NULL, 3, 0, 0, ERR_UNAVAILABLE},
    {"none", "member;range=0-*", NULL, 0, 0, 0, ERR_UNAVAILABLE},
    {"the same again", "member;range=0-2", "member;range=0-2", 3, 0, 3, ERR_UNAVAILABLE},
    {"a hole", "member;range=0-2", "member;range=4-*", 3, 4, 1, ERR_UNAVAILABLE},
    {"plain after pieces", "member;range=0-2", "member", 3, 3, 1, ERR_UNAVAILABLE},
    {"another attribute", "member;range=0-2", "memberOf;range=3-*", 3, 3, 1, ERR_UNAVAILABLE},
    {"gone", "member;range=0-2", NULL, 3, 0, 0, ERR_UNAVAILABLE},
};

static void test_pieces_that_do_not_fit_are_no_answer(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(range_cases); i++) {
		const struct range_case *c = &range_cases[i];
		print_message("%s\n", c->name);
		AUTO(arena_done) struct arena a = {0};
		struct slice s = entry(&a, 1, "cn=g", c->first, 0, c->nfirst);
		s = join(&a, s, done(&a, 1, 0x65, 0, "", NONE));
		if (c->second)
			s = join(&a, s, entry(&a, 2, "cn=g", c->second, c->from, c->nsecond));
		s = join(&a, s, done(&a, 2, 0x65, 0, "", NONE));
		AUTO(peer_close) struct peer p = peer_with(s);
		struct ldapx_entry *found;
		size_t n;
		assert_int_equal(search(&p, &a, true, 10, 0, &found, &n), c->want);
	}
}

static void test_pieces_nobody_asked_for_are_refused(void **state)
{
	(void)state;
	AUTO(arena_done) struct arena a = {0};
	struct slice s = entry(&a, 1, "cn=g", "member;range=0-2", 0, 3);
	s = join(&a, s, done(&a, 1, 0x65, 0, "", NONE));
	AUTO(peer_close) struct peer p = peer_with(s);
	struct ldapx_entry *found;
	size_t n;
	assert_int_equal(search(&p, &a, false, 10, 0, &found, &n), ERR_LIMIT);
}

static void test_too_many_values_are_refused_however_they_come(void **state)
{
	(void)state;
	AUTO(arena_done) struct arena a = {0};
	struct slice s = {0};
	int id = 1;
	for (size_t at = 0; at <= LDAPX_VALUES_MAX; at += 1500, id++) {
		const char *desc =
		    arena_printf(&a, "member;range=%zu-%zu", at, at + 1500 - 1);
		s = join(&a, s, entry(&a, id, "cn=g", desc, at, 1500));
		s = join(&a, s, done(&a, id, 0x65, 0, "", NONE));
	}
	AUTO(peer_close) struct peer p = peer_with(s);
	struct ldapx_entry *found;
	size_t n;
	assert_int_equal(search(&p, &a, true, 10, 0, &found, &n), ERR_LIMIT);
}

static void test_pages_are_followed_to_the_last(void **state)
{
	(void)state;
	AUTO(arena_done) struct arena a = {0};
	struct slice s = {0};
	for (int id = 1; id <= 4; id++) {
		if (id != 3) /* an empty page is not the last one */
			s = join(&a, s, entry(&a, id, "cn=g", "member", 0, 1));
		s = join(&a, s, done(&a, id, 0x65, 0, "", page(&a, id < 4 ? "place" : "")));
	}
	AUTO(peer_close) struct peer p = peer_with(s);
	struct ldapx_entry *found;
	size_t n;
	assert_int_equal(search(&p, &a, true, 10, 1, &found, &n), ERR_OK);
	assert_int_equal(n, 3);
	struct slice asked = sent(&a, &p);
	assert_true(holds(asked, "place"));
	assert_true(holds(asked, "1.2.840.113556.1.4.319"));
}

static void test_pages_end_with_what_may_be_held(void **state)
{
	(void)state;
	AUTO(arena_done) struct arena a = {0};
	struct slice entries = {0}, empty = {0};
	for (int id = 1; id <= 40; id++) {
		struct slice end = done(&a, id, 0x65, 0, "", page(&a, "more"));
		entries = join(&a, entries, entry(&a, id, "cn=g", "member", 0, 1));
		entries = join(&a, entries, end);
		empty = join(&a, empty, end);
	}
	struct ldapx_entry *found;
	size_t n;
	AUTO(peer_close) struct peer p = peer_with(entries);
	assert_int_equal(search(&p, &a, true, 10, 1, &found, &n), ERR_LIMIT);
	assert_int_equal(n, 10);
	AUTO(peer_close) struct peer q = peer_with(empty);
	assert_int_equal(search(&q, &a, true, 10, 1, &found, &n), ERR_LIMIT);
}

static void test_pages_stop_at_the_deadline(void **state)
{
	(void)state;
	AUTO(arena_done) struct arena a = {0};
	AUTO(peer_close) struct peer p = peer_with(done(&a, 1, 0x65, 0, "", page(&a, "more")));
	static const char *const attrs[] = {"cn", NULL};
	struct ldapx_search q = {
	    .base = "o=x", .filter = "(cn=*)", .attrs = attrs, .max_entries = 1, .page = 1};
	struct ldapx_entry *found;
	size_t n;
	struct err e;
	assert_int_equal(
	    ldapx_search(p.h, &q, clock_mono() - 1, &a, &found, &n, &e), ERR_TIMEOUT);
	assert_int_equal(sent(&a, &p).len, 0);
}

static void test_undecodable_pages_are_no_answer(void **state)
{
	(void)state;
	AUTO(arena_done) struct arena a = {0};
	const struct slice values[] = {SLICE("\x30\x09\x02"), {NULL, 0}, SLICE("")};
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		struct slice bad = control(&a, "1.2.840.113556.1.4.319", values[i]);
		AUTO(peer_close) struct peer p = peer_with(done(&a, 1, 0x65, 0, "", bad));
		struct ldapx_entry *found;
		size_t n;
		assert_int_equal(search(&p, &a, true, 10, 1, &found, &n), ERR_UNAVAILABLE);
		assert_false(ldapx_alive(p.h));
	}
}

static void test_messages_that_answer_nothing_end_the_connection(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		struct slice bytes;
		bool ok;
	} cases[] = {
	    {"an answer", SLICE("\x30\x0c\x02\x01\x01\x65\x07\x0a\x01\x00\x04\x00\x04\x00"), true},
	    {"two", SLICE("\x30\x03\x02\x01\x01\x30\x03\x02\x01\x02"), true},
	    {"long length", SLICE("\x30\x84\x00\x00\x00\x05\x02\x01\x01\x65\x00"), true},
	    {"padded number", SLICE("\x30\x05\x02\x02\x00\x01\x65"), true},
	    {"number 0", SLICE("\x30\x05\x02\x01\x00\x78\x00"), false},
	    {"padded 0", SLICE("\x30\x06\x02\x02\x00\x00\x78\x00"), false},
	    {"0 in the second", SLICE("\x30\x03\x02\x01\x01\x30\x03\x02\x01\x00"), false},
	    {"negative", SLICE("\x30\x06\x02\x04\xff\xff\xff\xff"), false},
	    {"too long a number", SLICE("\x30\x09\x02\x05\x01\x00\x00\x00\x00"), false},
	    {"no number", SLICE("\x30\x03\x04\x01\x01"), false},
	    {"an empty number", SLICE("\x30\x02\x02\x00"), false},
	    {"shorter than its number", SLICE("\x30\x02\x02\x01\x01"), false},
	    {"empty", SLICE("\x30\x00\x02"), false},
	    {"indefinite", SLICE("\x30\x80\x02\x01\x01"), false},
	    {"too long a length", SLICE("\x30\x85"), false},
	    {"no sequence", SLICE("HTTP/1.1"), false},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		print_message("%s\n", cases[i].name);
		const uint8_t *p = (const uint8_t *)cases[i].bytes.p;
		struct ldapx_frame whole = {0}, pieces = {0};
		bool ok = true;
		assert_int_equal(ldapx_frame_pass(&whole, p, cases[i].bytes.len), cases[i].ok);
		for (size_t j = 0; j < cases[i].bytes.len && ok; j++)
			ok = ldapx_frame_pass(&pieces, p + j, 1);
		assert_int_equal(ok, cases[i].ok);
	}
}

/* libldap itself would end the process. */
static void test_a_notification_without_a_name_harms_nobody(void **state)
{
	(void)state;
	AUTO(arena_done) struct arena a = {0};
	struct slice notice = SLICE("\x30\x0e\x02\x01\x00\x78\x09\x0a\x01\x34\x04\x00\x04\x00\x8a\x00");
	AUTO(peer_close) struct peer p =
	    peer_with(join(&a, notice, done(&a, 1, 0x65, 0, "", NONE)));
	struct ldapx_entry *found;
	size_t n;
	assert_int_equal(search(&p, &a, true, 10, 0, &found, &n), ERR_UNAVAILABLE);
	assert_false(ldapx_alive(p.h));
}

static void test_range_options(void **state)
{
	(void)state;
	static const struct {
		const char *desc;
		bool ok;
		size_t low, high;
	} cases[] = {
	    {"member;range=0-1499", true, 0, 1499},
	    {"MEMBER;Range=1500-*", true, 1500, LAST},
	    {"member;range=0-0", true, 0, 0},
	    {"member", false, 0, 0},
	    {"memberOf;range=0-1", false, 0, 0},
	    {"member;range=", false, 0, 0},
	    {"member;range=1", false, 0, 0},
	    {"member;range=1-", false, 0, 0},
	    {"member;range=-1-2", false, 0, 0},
	    {"member;range=2-1", false, 0, 0},
	    {"member;range=0-1499;binary", false, 0, 0},
	    {"member;range=*-*", false, 0, 0},
	    {"member;range=0-99999999999999999999", false, 0, 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct ldapx_range r;
		assert_int_equal(ldapx_range_parse(cases[i].desc, "member", &r), cases[i].ok);
		if (!cases[i].ok)
			continue;
		assert_int_equal(r.low, cases[i].low);
		assert_int_equal(r.last, cases[i].high == LAST);
		assert_true(r.last || r.high == cases[i].high);
	}
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_binds_tell_the_state_of_the_account),
	    cmocka_unit_test(test_no_opinion_is_asked_for_without_info),
	    cmocka_unit_test(test_unfit_passwords_are_not_sent),
	    cmocka_unit_test(test_values_in_pieces_are_read_to_their_end),
	    cmocka_unit_test(test_pieces_that_do_not_fit_are_no_answer),
	    cmocka_unit_test(test_pieces_nobody_asked_for_are_refused),
	    cmocka_unit_test(test_too_many_values_are_refused_however_they_come),
	    cmocka_unit_test(test_pages_are_followed_to_the_last),
	    cmocka_unit_test(test_pages_end_with_what_may_be_held),
	    cmocka_unit_test(test_pages_stop_at_the_deadline),
	    cmocka_unit_test(test_undecodable_pages_are_no_answer),
	    cmocka_unit_test(test_messages_that_answer_nothing_end_the_connection),
	    cmocka_unit_test(test_a_notification_without_a_name_harms_nobody),
	    cmocka_unit_test(test_range_options),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
