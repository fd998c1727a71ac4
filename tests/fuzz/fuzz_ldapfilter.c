/* Fuzzes the LDAP filters we build: whatever a person typed or an entry holds stays one assertion value, as
 * RFC 4515 reads the text and as libldap puts it on the wire; filters that configuration may hold are ones
 * that libldap takes. */
#include <lber.h>

#include "authn/ldap_groups.h"
#include "common/ldap_dn.h"
#include "tests/fuzz/fuzz.h"

/* What ldap_search_ext makes of its filter; exported, but declared in no public header. */
int ldap_pvt_put_filter(BerElement *ber, const char *filter);

/* RFC 4511 4.5.1: context tags of the choices that are built here. */
#define TAG_AND 0xA0
#define TAG_OR 0xA1
#define TAG_EQUAL 0xA3
#define TAG_OCTETS 0x04

#define ATTR "memberUid"

/* --- as text --- */

static int hex(char c)
{
	const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c | 0x20) : NULL;
	return at ? (int)(at - digits) : -1;
}

/* TEXT is one assertion value of RFC 4515 section 3 (no wildcard, no parenthesis) and says VALUE. */
static void check_value(struct slice text, struct slice value)
{
	size_t i = 0;
	for (size_t n = 0; n < value.len; n++) {
		FUZZ_CHECK(i < text.len);
		unsigned char c = (unsigned char)text.p[i++];
		FUZZ_CHECK(c != '\0' && c != '(' && c != ')' && c != '*');
		if (c == '\\') {
			FUZZ_CHECK(text.len - i >= 2 && hex(text.p[i]) >= 0 && hex(text.p[i + 1]) >= 0);
			c = (unsigned char)(hex(text.p[i]) << 4 | hex(text.p[i + 1]));
			i += 2;
		}
		FUZZ_CHECK(c == (unsigned char)value.p[n]);
	}
	FUZZ_CHECK(i == text.len);
}

/* --- as bytes of the protocol --- */

/* Takes the next element off *S, which must be of TAG; lengths as BER has them. */
static struct slice take(struct slice *s, unsigned tag)
{
	const unsigned char *p = (const unsigned char *)s->p;
	FUZZ_CHECK(s->len >= 2 && p[0] == tag);
	size_t len = p[1], head = 2;
	if (len & 0x80) {
		head += len & 0x7F;
		FUZZ_CHECK(head <= s->len && head <= 6);
		len = 0;
		for (size_t i = 2; i < head; i++)
			len = len << 8 | p[i];
	}
	FUZZ_CHECK(len <= s->len - head);
	struct slice content = {s->p + head, len};
	*s = (struct slice){s->p + head + len, s->len - head - len};
	return content;
}

/* False when libldap refuses FILTER. */
static bool encode(const char *filter, struct berval *out)
{
	BerElement *ber = ber_alloc_t(LBER_USE_DER);
	FUZZ_CHECK(ber);
	bool ok = ldap_pvt_put_filter(ber, filter) == 0;
	*out = (struct berval){0};
	if (ok)
		FUZZ_CHECK(ber_flatten2(ber, out, 1) == 0);
	ber_free(ber, 1);
	return ok;
}

static void check_wire(const char *filter, struct slice value)
{
	struct berval wire;
	FUZZ_CHECK(encode(filter, &wire));
	struct slice all = {wire.bv_val, wire.bv_len};
	struct slice and = take(&all, TAG_AND);
	FUZZ_CHECK(all.len == 0 && and.len > 0);
	take(&and, (unsigned char)and.p[0]); /* the configured condition */
	struct slice or = take(&and, TAG_OR);
	FUZZ_CHECK(and.len == 0);
	struct slice equal = take(&or, TAG_EQUAL);
	FUZZ_CHECK(or.len == 0);
	FUZZ_CHECK(slice_is(take(&equal, TAG_OCTETS), ATTR));
	FUZZ_CHECK(slice_eq(take(&equal, TAG_OCTETS), value));
	FUZZ_CHECK(equal.len == 0);
	ber_memfree(wire.bv_val);
}

/* --- the target: a length, so many bytes of a configured filter, the value --- */

static void check_built(const char *condition, const char *user_attr, struct slice value)
{
	struct ldap_user_matcher m = {.user_attr = user_attr, .group_attr = ATTR};
	struct ldap_group_search g = {
	    .filter = condition, .matchers = {.items = &m, .len = 1}};
	static const char *const names[] = {"uid", NULL};
	struct ldapx_attr attr = {.name = "uid", .values = &value, .n = 1};
	struct ldapx_entry person = {.dn = value, .attrs = &attr};
	AUTO(buf_done) struct buf b;
	buf_init(&b, LDAP_FILTER_MAX);
	bool asks = ldap_groups_filter(&g, &person, names, &b);
	FUZZ_CHECK(asks == (value.len > 0));
	if (!asks || b.over)
		return;
	AUTO(buf_done) struct buf before;
	buf_init(&before, LDAP_FILTER_MAX);
	buf_printf(&before, "(&%s(|(" ATTR "=", condition);
	struct slice built = slice_of(buf_cstr(&b));
	FUZZ_CHECK(built.len == b.len); /* no NUL */
	FUZZ_CHECK(slice_starts(built, buf_view(&before)));
	struct slice rest = slice_skip(built, before.len);
	FUZZ_CHECK(rest.len >= 3 && memcmp(rest.p + rest.len - 3, ")))", 3) == 0);
	check_value((struct slice){rest.p, rest.len - 3}, value);
	FUZZ_CHECK(ldap_filter_valid(built.p));
	check_wire(built.p, value);
}

/* One spelling is one spelling: read again, it stays as it is, and it is below itself. */
static void check_dn(struct slice dn)
{
	AUTO(buf_done) struct buf one, two;
	buf_init(&one, 3 * dn.len + 1);
	buf_init(&two, 9 * dn.len + 1);
	if (!ldap_dn_canonical(dn, &one))
		return;
	FUZZ_CHECK(ldap_dn_canonical(buf_view(&one), &two));
	FUZZ_CHECK(slice_eq(buf_view(&one), buf_view(&two)));
	FUZZ_CHECK(ldap_dn_within(buf_view(&two), buf_view(&one)));
	AUTO(buf_done) struct buf name;
	buf_init(&name, dn.len + 1);
	if (ldap_dn_first(dn, "cn", &name))
		FUZZ_CHECK(name.len <= dn.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = fuzz_slice(data, size);
	size_t n = size ? data[0] : 0;
	in = slice_skip(in, 1);
	n = n < in.len ? n : in.len;
	AUTO(arena_done) struct arena a = {0};
	const char *condition = slice_dup(&a, (struct slice){in.p, n}).p;
	if (ldap_filter_valid(condition)) {
		struct berval wire;
		FUZZ_CHECK(encode(condition, &wire));
		ber_memfree(wire.bv_val);
	} else {
		condition = "(objectClass=*)";
	}
	struct slice value = slice_skip(in, n);
	check_dn(value);
	check_built(condition, "uid", value);
	if (value.len)
		check_built(condition, "DN", value);
	return 0;
}
