/* Proves what is made of directory entries: identifiers, names, account states, and the walk through groups. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "authn/ldap.h"
#include "authn/ldap_account.h"
#include "authn/ldap_groups.h"
#include "authn/ldap_ids.h"
#include "common/clock.h"
#include "common/ldap_dn.h"

/* --- identifiers --- */

#define SID "\x01\x05\0\0\0\0\0\x05\x15\0\0\0\x04\x03\x02\x01\x08\x07\x06\x05\x0c\x0b\x0a\x09\xf4\x01\0\0"

static void test_identifiers_become_the_texts_of_their_own_tools(void **state UNUSED)
{
	static const struct {
		const char *attr;
		struct slice raw;
		const char *text;
	} cases[] = {
	    /* [MS-DTYP] 2.3.4.2: the first three groups are little-endian. */
	    {"objectGUID",
		SLICE("\x33\x22\x11\x00\x55\x44\x77\x66\x88\x99\xaa\xbb\xcc\xdd\xee\xff"),
		"00112233-4455-6677-8899-aabbccddeeff"},
	    {"OBJECTGUID", SLICE("AAAAAAAAAAAAAAAA"), "41414141-4141-4141-4141-414141414141"},
	    {"objectGUID", SLICE("short"), ""},
	    {"objectSid", SLICE(SID), "S-1-5-21-16909060-84281096-151653132-500"},
	    {"objectSid", SLICE("\x01\x01\0\0\0\0\0\x05\x12\0\0\0"), "S-1-5-18"},
	    {"objectSid", SLICE("\x01\x02\0\0\0\0\0\x05\x12\0\0\0"), ""},
	    {"objectSid", SLICE("\x02\x01\0\0\0\0\0\x05\x12\0\0\0"), ""},
	    {"objectSid", SLICE("\x01\x10\0\0\0\0\0\x05"), ""},
	    {"objectSid", SLICE(""), ""},
	    {"entryUUID", SLICE("a-b-c"), "a-b-c"},
	    {"other", SLICE("\xff\0"), "ff00"},
	};
	AUTO(arena_done) struct arena a = {0};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct slice got = ldap_uid_text(&a, cases[i].attr, cases[i].raw);
		if (!slice_is(got, cases[i].text))
			fail_msg("case %zu: " SLICE_FMT, i, SLICE_ARG(got));
	}
}

static void test_primary_group_is_a_sibling_of_the_account(void **state UNUSED)
{
	uint8_t out[LDAP_SID_MAX];
	size_t len;
	AUTO(buf_done) struct buf text;
	buf_init(&text, 200);
	assert_true(ldap_sid_sibling(SLICE(SID), 0x01020304, out, &len));
	assert_true(ldap_sid_text((struct slice){(const char *)out, len}, &text));
	assert_string_equal(buf_cstr(&text), "S-1-5-21-16909060-84281096-151653132-16909060");
	assert_false(ldap_sid_sibling(SLICE("\x01\x01\0\0\0\0\0\x05\x12\0\0\0"), 5, out, &len));
	assert_false(ldap_sid_sibling(SLICE("x"), 5, out, &len));
	assert_false(ldap_sid_sibling((struct slice){0}, 5, out, &len));
}

/* --- names --- */

static void test_names_that_differ_in_spelling_alone_are_one(void **state UNUSED)
{
	static const struct {
		const char *dn, *canonical; /* NULL: no DN */
	} cases[] = {
	    {"CN=Ann,DC=x", "cn=ann,dc=x"},
	    {" cn = Ann , dc = x ", "cn=ann,dc=x"},
	    {"cn=a\\,b,dc=x", "cn=a\\2cb,dc=x"},
	    {"cn=a\\2Cb,dc=x", "cn=a\\2cb,dc=x"},
	    {"cn=a\\ ,dc=x", "cn=a\\20,dc=x"},
	    {"cn=a b,dc=x", "cn=a\\20b,dc=x"},
	    {"cn=a+uid=b,dc=x", "cn=a+uid=b,dc=x"},
	    {"cn=,dc=x", "cn=,dc=x"},
	    {"2.5.4.3=\xC3\x89", "2.5.4.3=\xC3\x89"},
	    {"cn=\\C3\\89", "cn=\xC3\x89"},
	    {"", NULL},
	    {"cn", NULL},
	    {"=x", NULL},
	    {"cn=a,", NULL},
	    {"cn=a,,dc=x", NULL},
	    {"cn=a\\", NULL},
	    {"cn=a\\z", NULL},
	    {"cn=#0403", NULL},
	    {"cn=\"a\"", NULL},
	    {"cn=a<b", NULL},
	    {"c n=a", NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO(buf_done) struct buf out;
		buf_init(&out, 1000);
		bool ok = ldap_dn_canonical(slice_of(cases[i].dn), &out);
		if (ok != (cases[i].canonical != NULL) ||
		    (ok && strcmp(buf_cstr(&out), cases[i].canonical) != 0))
			fail_msg("case %zu: %s", i, buf_cstr(&out));
	}
	AUTO(buf_done) struct buf out;
	buf_init(&out, 1000);
	assert_false(ldap_dn_canonical(SLICE("cn=a\0b"), &out));
	assert_false(ldap_dn_canonical((struct slice){0}, &out));
	assert_false(ldap_dn_first((struct slice){0}, "cn", &out));
}

static void test_below_a_base(void **state UNUSED)
{
	assert_true(ldap_dn_within(SLICE("cn=a,dc=x"), SLICE("dc=x")));
	assert_true(ldap_dn_within(SLICE("dc=x"), SLICE("dc=x")));
	assert_false(ldap_dn_within(SLICE("cn=adc=x"), SLICE("dc=x")));
	assert_false(ldap_dn_within(SLICE("dc=x"), SLICE("cn=a,dc=x")));
	assert_false(ldap_dn_within(SLICE("dc=x"), SLICE("")));
}

static void test_name_in_the_first_part(void **state UNUSED)
{
	static const struct {
		const char *dn, *attr, *name; /* NULL: none */
	} cases[] = {
	    {"CN=ops,ou=g", "cn", "ops"},
	    {"cn=a\\,\\\"b\\2B,ou=g", "cn", "a,\"b+"},
	    {"uid=x+cn=ops,ou=g", "CN", "ops"},
	    {"ou=ops,cn=admins", "cn", NULL},
	    {"cn=#0403,ou=g", "cn", NULL},
	    {"cnx=ops", "cn", NULL},
	    {"", "cn", NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO(buf_done) struct buf out;
		buf_init(&out, 1000);
		bool ok = ldap_dn_first(slice_of(cases[i].dn), cases[i].attr, &out);
		if (ok != (cases[i].name != NULL) ||
		    (ok && strcmp(buf_cstr(&out), cases[i].name) != 0))
			fail_msg("case %zu: %s", i, buf_cstr(&out));
	}
}

/* --- accounts --- */

#define ATTRS_MAX 6

/* An entry with VALUES for the attributes of KIND, in their order; NULL: none. */
static struct ldapx_entry account(struct arena *a, int kind, const char *const *values)
{
	struct ldapx_attr *attrs = ARENA_ARRAY(a, struct ldapx_attr, ATTRS_MAX);
	const char *const *names = ldap_account_attrs(kind);
	for (size_t i = 0; names[i]; i++) {
		struct slice *v = ARENA_NEW(a, struct slice);
		*v = slice_of(values[i]);
		attrs[i] = (struct ldapx_attr){.name = names[i], .values = v, .n = values[i] != NULL};
	}
	return (struct ldapx_entry){.dn = SLICE("cn=x"), .attrs = attrs};
}

/* 2026-11-22 is a Sunday: 19:30 UTC is bit 19 of the week. */
#define NOW (INT64_C(1795375800) * CLOCK_SECOND)
#define HOURS_ALL "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
#define HOURS_NOW_ONLY "\x80\x80\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80"
#define HOURS_BUT_NOW "\xff\xff\xf7\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"

static void test_active_directory_states(void **state UNUSED)
{
	static const struct {
		const char *uac, *computed, *expires, *last_set, *hours, *reason;
	} cases[] = {
	    {"512", "0", "0", "133", NULL, NULL},
	    {"512", "0", "9223372036854775807", "133", HOURS_ALL, NULL},
	    {"512", "0", NULL, "133", HOURS_NOW_ONLY, NULL},
	    {"514", "0", "0", "133", NULL, "accountDisabled"},
	    {"514", "16", "1", "0", NULL, "accountDisabled"},
	    {"512", "16", "0", "133", NULL, "accountLocked"},
	    {"512", "0", "1", "133", NULL, "accountExpired"},
	    /* A second either way: (1795375800 + 11644473600) * 10^7. */
	    {"512", "0", "134398494000000000", "133", NULL, "accountExpired"},
	    {"512", "0", "134398494010000000", "133", NULL, NULL},
	    {"512", "0", "0", "0", NULL, "mustChangePassword"},
	    {"512", "8388608", "0", "0", NULL, "mustChangePassword"},
	    {"66048", "0", "0", "0", NULL, NULL},
	    {"262656", "0", "0", "0", NULL, NULL},
	    {"512", "8388608", "0", "133", NULL, "passwordExpired"},
	    {"512", "0", "0", "133", HOURS_BUT_NOW, "logonHours"},
	    /* Nothing known is nothing good. */
	    {NULL, "0", "0", "133", NULL, "badEntry"},
	    {"512", NULL, "0", "133", NULL, "badEntry"},
	    {"512", "0", "0", NULL, NULL, "badEntry"},
	    {"x", "0", "0", "133", NULL, "badEntry"},
	    {"", "0", "0", "133", NULL, "badEntry"},
	    {"512", "0", "soon", "133", NULL, "badEntry"},
	    {"512", "99999999999999999999", "0", "133", NULL, "badEntry"},
	    /* Masks are signed. */
	    {"-2147483646", "0", "0", "133", NULL, "accountDisabled"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO(arena_done) struct arena a = {0};
		const char *values[] = {cases[i].uac, cases[i].computed, cases[i].expires,
		    cases[i].last_set, cases[i].hours};
		struct ldapx_entry e = account(&a, LDAP_STATE_ACTIVE_DIRECTORY, values);
		const char *got = ldap_account_state(LDAP_STATE_ACTIVE_DIRECTORY, &e,
		    ldap_account_attrs(LDAP_STATE_ACTIVE_DIRECTORY), LDAP_ACCOUNT_REREAD, NOW);
		if (strcmp(got ? got : "", cases[i].reason ? cases[i].reason : "") != 0)
			fail_msg("case %zu: %s", i, got ? got : "good");
	}
}

static void test_password_policy_states(void **state UNUSED)
{
	static const struct {
		const char *locked, *reset, *changed, *start, *end;
		enum ldap_account_moment when;
		const char *reason;
	} cases[] = {
	    {NULL, NULL, NULL, NULL, NULL, LDAP_ACCOUNT_REREAD, NULL},
	    {"20261122193000Z", NULL, NULL, NULL, NULL, LDAP_ACCOUNT_REREAD, "accountLocked"},
	    {"20261122193000Z", NULL, NULL, NULL, NULL, LDAP_ACCOUNT_BOUND, NULL},
	    {"000001010000Z", NULL, NULL, NULL, NULL, LDAP_ACCOUNT_BOUND, "accountLocked"},
	    {NULL, "TRUE", NULL, NULL, NULL, LDAP_ACCOUNT_BOUND, "mustChangePassword"},
	    {NULL, "FALSE", NULL, NULL, NULL, LDAP_ACCOUNT_BOUND, NULL},
	    {NULL, NULL, NULL, "20261122193000Z", NULL, LDAP_ACCOUNT_BOUND, NULL},
	    {NULL, NULL, NULL, "20261122193001Z", NULL, LDAP_ACCOUNT_BOUND, "accountExpired"},
	    {NULL, NULL, NULL, "later", NULL, LDAP_ACCOUNT_BOUND, "accountExpired"},
	    {NULL, NULL, NULL, NULL, "20261122193000Z", LDAP_ACCOUNT_REREAD, "accountExpired"},
	    {NULL, NULL, NULL, NULL, "20261122193001.5Z", LDAP_ACCOUNT_REREAD, NULL},
	    {NULL, NULL, NULL, NULL, "99991231235959Z", LDAP_ACCOUNT_REREAD, NULL},
	    {NULL, NULL, NULL, NULL, "20991122193000+0100", LDAP_ACCOUNT_REREAD, "accountExpired"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO(arena_done) struct arena a = {0};
		const char *values[] = {cases[i].locked, cases[i].reset, cases[i].changed,
		    cases[i].start, cases[i].end};
		struct ldapx_entry e = account(&a, LDAP_STATE_PASSWORD_POLICY, values);
		const char *got = ldap_account_state(LDAP_STATE_PASSWORD_POLICY, &e,
		    ldap_account_attrs(LDAP_STATE_PASSWORD_POLICY), cases[i].when, NOW);
		if (strcmp(got ? got : "", cases[i].reason ? cases[i].reason : "") != 0)
			fail_msg("case %zu: %s", i, got ? got : "good");
	}
	assert_null(ldap_account_state(LDAP_STATE_NONE, NULL, NULL, LDAP_ACCOUNT_REREAD, NOW));
	assert_string_equal(ldap_account_state(77, NULL, NULL, LDAP_ACCOUNT_REREAD, NOW), "badEntry");
}

static void test_what_a_bind_says(void **state UNUSED)
{
	static const struct {
		enum err_code code;
		struct ldapx_bind_info info;
		bool grace;
		const char *reason;
	} cases[] = {
	    {ERR_OK, {LDAPX_ACCOUNT_UNSAID, -1, -1}, false, NULL},
	    {ERR_OK, {LDAPX_ACCOUNT_UNSAID, -1, 60}, false, NULL},
	    {ERR_OK, {LDAPX_ACCOUNT_UNSAID, 2, -1}, false, "passwordExpired"},
	    {ERR_OK, {LDAPX_ACCOUNT_UNSAID, 2, -1}, true, NULL},
	    {ERR_OK, {LDAPX_ACCOUNT_PASSWORD_EXPIRED, 0, -1}, true, NULL},
	    {ERR_OK, {LDAPX_ACCOUNT_PASSWORD_EXPIRED, -1, -1}, true, "passwordExpired"},
	    {ERR_OK, {LDAPX_ACCOUNT_MUST_CHANGE, 1, -1}, true, "mustChangePassword"},
	    {ERR_OK, {LDAPX_ACCOUNT_LOCKED, -1, -1}, false, "accountLocked"},
	    {ERR_REFUSED, {LDAPX_ACCOUNT_UNSAID, -1, -1}, true, "badPassword"},
	    {ERR_REFUSED, {LDAPX_ACCOUNT_UNSAID, 3, -1}, true, "badPassword"},
	    {ERR_REFUSED, {LDAPX_ACCOUNT_DISABLED, -1, -1}, false, "accountDisabled"},
	    {ERR_REFUSED, {LDAPX_ACCOUNT_EXPIRED, -1, -1}, false, "accountExpired"},
	    {ERR_REFUSED, {LDAPX_ACCOUNT_LOGON_HOURS, -1, -1}, false, "logonHours"},
	    {ERR_REFUSED, {LDAPX_ACCOUNT_WORKSTATION, -1, -1}, false, "workstation"},
	    {ERR_REFUSED, {(enum ldapx_account)99, -1, -1}, false, "badPassword"},
	    {ERR_OK, {(enum ldapx_account)99, -1, -1}, false, "badPassword"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct ldap_config cfg = {.accept_grace_logins = cases[i].grace};
		const char *got = ldap_account_bind(&cfg, cases[i].code, &cases[i].info);
		if (strcmp(got ? got : "", cases[i].reason ? cases[i].reason : "") != 0)
			fail_msg("case %zu: %s", i, got ? got : "good");
	}
}

static void test_versions_tell_of_a_new_password(void **state UNUSED)
{
	AUTO(arena_done) struct arena a = {0};
	const char *ad[] = {"512", "0", "0", "133", NULL};
	const char *policy[] = {NULL, NULL, "20261122193000Z", NULL, NULL};
	const char *none[] = {NULL, NULL, NULL, NULL, NULL};
	static const struct {
		int kind;
		size_t which;
		const char *text;
	} cases[] = {
	    {LDAP_STATE_ACTIVE_DIRECTORY, 0, "pwdLastSet=133"},
	    {LDAP_STATE_PASSWORD_POLICY, 1, "pwdChangedTime=20261122193000Z"},
	    {LDAP_STATE_PASSWORD_POLICY, 2, "pwdChangedTime="},
	    {LDAP_STATE_NONE, 2, ""},
	};
	const char *const *sets[] = {ad, policy, none};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct ldapx_entry e = account(&a, cases[i].kind, sets[cases[i].which]);
		struct slice got = ldap_account_version(
		    cases[i].kind, &e, ldap_account_attrs(cases[i].kind), &a);
		assert_true(slice_is(got, cases[i].text));
		assert_true(got.len <= DIRECTORY_VERSION_MAX);
	}
}

/* --- groups: a directory that is a table --- */

/* Group number I holds what is in MEMBERS (DNs, or the person "p"). */
struct fake_group {
	const char *name;
	const char *members[4];
};

struct fake {
	const struct fake_group *groups;
	size_t n, searches;
	const char *seen; /* the last filter */
	struct arena *a;
};

static bool holds(const struct fake_group *g, const char *filter)
{
	for (size_t i = 0; i < ARRAY_LEN(g->members) && g->members[i]; i++) {
		char term[80];
		snprintf(term, sizeof(term), "(member=%s)", g->members[i]);
		if (strstr(filter, term))
			return true;
	}
	return false;
}

/* memberOf of group NAME. */
static struct ldapx_attr links_of(struct fake *f, struct arena *a, const char *name)
{
	struct slice *dns = ARENA_ARRAY(a, struct slice, f->n);
	size_t k = 0;
	char dn[80];
	snprintf(dn, sizeof(dn), "cn=%s", name);
	for (size_t i = 0; i < f->n; i++) {
		for (size_t j = 0; j < ARRAY_LEN(f->groups[i].members) && f->groups[i].members[j]; j++)
			if (strcmp(f->groups[i].members[j], dn) == 0)
				dns[k++] = slice_of(arena_printf(a, "CN=%s", f->groups[i].name));
	}
	return (struct ldapx_attr){.name = "memberOf", .values = dns, .n = k};
}

static enum err_code answer(void *arg, const struct ldapx_search *q, struct arena *a,
    struct ldapx_entry **out, size_t *n, struct err *e UNUSED)
{
	struct fake *f = arg;
	f->searches++;
	f->seen = arena_strdup(f->a, q->filter);
	*out = ARENA_ARRAY(a, struct ldapx_entry, f->n);
	*n = 0;
	for (size_t i = 0; i < f->n; i++) {
		char self[80];
		snprintf(self, sizeof(self), "(entryDN=CN=%s)", f->groups[i].name);
		if (!holds(&f->groups[i], q->filter) && !strstr(q->filter, self))
			continue;
		struct ldapx_attr *attrs = ARENA_ARRAY(a, struct ldapx_attr, 2);
		struct slice *name = ARENA_NEW(a, struct slice);
		*name = slice_of(f->groups[i].name);
		attrs[0] = (struct ldapx_attr){.name = "cn", .values = name, .n = 1};
		attrs[1] = links_of(f, a, f->groups[i].name);
		(*out)[(*n)++] = (struct ldapx_entry){
		    .dn = slice_of(arena_printf(a, "cn=%s", f->groups[i].name)), .attrs = attrs};
	}
	return ERR_OK;
}

/* The names found, joined with blanks; or the error. MEMBER_OF: of the person. */
static const char *walk(struct fake *f, const struct ldap_group_search *g, struct slice *member_of,
    size_t links, struct arena *a)
{
	static const char *const attrs[] = {"memberOf", NULL};
	struct ldap_config cfg = {.groups_prefix = "x:", .group_search = *g};
	struct ldap_asker asker = {.search = answer, .arg = f};
	struct ldapx_attr have = {.name = "memberOf", .values = member_of, .n = links};
	struct ldapx_entry person = {.dn = SLICE("p"), .attrs = &have};
	const struct slice *names;
	size_t n;
	struct err e;
	f->a = a;
	enum err_code code = ldap_groups_ask(&cfg, &asker, &person, attrs, a, &names, &n, &e);
	if (code != ERR_OK)
		return code == ERR_LIMIT ? "limit" : code == ERR_INVALID ? "invalid" : "error";
	AUTO(buf_done) struct buf out;
	buf_init(&out, 1 << 20);
	for (size_t i = 0; i < n; i++)
		buf_printf(&out, "%s" SLICE_FMT, i ? " " : "", SLICE_ARG(names[i]));
	return arena_strdup(a, buf_cstr(&out));
}

static struct ldap_user_matcher dn_member[] = {{.user_attr = "DN", .group_attr = "member"}};

static struct ldap_group_search by_member(int nested)
{
	return (struct ldap_group_search){.present = true, .base_dn = "dc=x", .filter = "(a=b)",
	    .name_attr = "cn", .nested = nested, .matchers = {.items = dn_member, .len = 1}};
}

static struct ldap_group_search by_member_of(int nested)
{
	return (struct ldap_group_search){.present = true, .base_dn = "cn=c", .filter = "(a=b)",
	    .name_attr = "cn", .nested = nested, .member_of_attr = "memberOf"};
}

static const struct fake_group cycle[] = {{"a", {"p", "cn=c"}}, {"b", {"cn=a"}}, {"c", {"cn=b"}},
    {"other", {"cn=z"}}};

static void test_groups_in_groups_are_followed_once_each(void **state UNUSED)
{
	AUTO(arena_done) struct arena a = {0};
	struct fake f = {.groups = cycle, .n = ARRAY_LEN(cycle)};
	struct ldap_group_search g = by_member(LDAP_NESTED_SEARCH);
	assert_string_equal(walk(&f, &g, NULL, 0, &a), "x:a x:b x:c");
	assert_int_equal(f.searches, 4); /* a; b; c; nothing new */
	g.nested = LDAP_NESTED_NONE;
	assert_string_equal(walk(&f, &g, NULL, 0, &a), "x:a");
	f.searches = 0;
	struct slice of[] = {SLICE("CN=a")};
	g = by_member_of(LDAP_NESTED_SEARCH);
	assert_string_equal(walk(&f, &g, of, 1, &a), "x:a x:b x:c");
	assert_int_equal(f.searches, 3);
	g.nested = LDAP_NESTED_NONE;
	assert_string_equal(walk(&f, &g, of, 1, &a), "x:a");
	assert_string_equal(walk(&f, &g, NULL, 0, &a), "");
}

static void test_the_chain_rule_leaves_the_climb_to_the_server(void **state UNUSED)
{
	AUTO(arena_done) struct arena a = {0};
	struct fake f = {.groups = cycle, .n = ARRAY_LEN(cycle)};
	struct ldap_group_search g = by_member(LDAP_NESTED_IN_CHAIN);
	assert_string_equal(walk(&f, &g, NULL, 0, &a), "");
	assert_int_equal(f.searches, 1);
	assert_string_equal(f.seen, "(&(a=b)(|(member:1.2.840.113556.1.4.1941:=p)))");
}

static void test_the_chain_begins_at_groups_found_by_other_matchers_too(void **state UNUSED)
{
	AUTO(arena_done) struct arena a = {0};
	struct fake f = {.groups = cycle, .n = ARRAY_LEN(cycle)};
	struct ldap_user_matcher both[] = {dn_member[0], {.user_attr = "memberOf", .group_attr = "member"}};
	struct ldap_group_search g = by_member(LDAP_NESTED_IN_CHAIN);
	g.matchers = (struct object_list){.items = both, .len = ARRAY_LEN(both)};
	struct slice of[] = {SLICE("cn=z")};
	assert_string_equal(walk(&f, &g, of, 1, &a), "x:other");
	assert_int_equal(f.searches, 2);
	assert_string_equal(f.seen, "(&(a=b)(|(member:1.2.840.113556.1.4.1941:=cn=other)))");
}

static void test_names_out_of_names_stay_below_the_base(void **state UNUSED)
{
	AUTO(arena_done) struct arena a = {0};
	struct fake f = {.groups = cycle, .n = ARRAY_LEN(cycle)};
	struct ldap_group_search g = by_member_of(LDAP_NESTED_NONE);
	g.name_from = LDAP_NAME_FROM_DN;
	g.base_dn = "OU=Groups, dc=x";
	struct slice of[] = {SLICE("CN=One,ou=groups,dc=x"), SLICE("cn=ONE, ou=groups, dc=x"),
	    SLICE("cn=\\28t\\C3\\A9\\29,ou=a,ou=groups,dc=x"), SLICE("cn=evil,ou=people,dc=x"),
	    SLICE("cn=evil2,xou=groups,dc=x"), SLICE("")};
	assert_string_equal(walk(&f, &g, of, ARRAY_LEN(of), &a), "x:(t\xC3\xA9) x:One");
	/* Empty names are asked for no more than others that are none. */
	assert_int_equal(f.searches, 0);
	/* A group that its DN does not name is read. */
	struct slice odd[] = {SLICE("uid=1,ou=groups,dc=x")};
	walk(&f, &g, odd, 1, &a);
	assert_string_equal(f.seen, "(&(a=b)(|(entryDN=uid=1,ou=groups,dc=x)))");
}

static void test_names_of_groups_cannot_leave_their_filter(void **state UNUSED)
{
	AUTO(arena_done) struct arena a = {0};
	struct fake f = {.groups = cycle, .n = 0};
	struct ldap_group_search g = by_member_of(LDAP_NESTED_NONE);
	struct slice of[] = {SLICE("cn=*)(cn=x\\"), SLICE("a\0b")};
	walk(&f, &g, of, ARRAY_LEN(of), &a);
	assert_string_equal(
	    f.seen, "(&(a=b)(|(entryDN=cn=\\2A\\29\\28cn=x\\5C)(entryDN=a\\00b)))");
}

/* N groups, each but the first holding the one before; the first holds the person. */
static const struct fake_group *tower(struct arena *a, size_t n)
{
	struct fake_group *g = ARENA_ARRAY(a, struct fake_group, n);
	for (size_t i = 0; i < n; i++) {
		g[i].name = arena_printf(a, "t%05zu", i);
		g[i].members[0] = i ? arena_printf(a, "cn=t%05zu", i - 1) : "p";
	}
	return g;
}

static void test_limits_refuse_rather_than_cut(void **state UNUSED)
{
	AUTO(arena_done) struct arena a = {0};
	struct ldap_group_search g = by_member(LDAP_NESTED_SEARCH);
	struct fake f = {.groups = tower(&a, 40), .n = LDAP_NESTING_MAX};
	assert_string_not_equal(walk(&f, &g, NULL, 0, &a), "limit");
	f.n = LDAP_NESTING_MAX + 1;
	assert_string_equal(walk(&f, &g, NULL, 0, &a), "limit");
	g = by_member_of(LDAP_NESTED_NONE);
	g.name_from = LDAP_NAME_FROM_DN;
	struct slice *of = ARENA_ARRAY(&a, struct slice, LDAP_GROUPS_MAX + 1);
	for (size_t i = 0; i <= LDAP_GROUPS_MAX; i++)
		of[i] = slice_of(arena_printf(&a, "cn=g%zu,cn=c", i));
	assert_string_not_equal(walk(&f, &g, of, LDAP_GROUPS_MAX, &a), "limit");
	assert_string_equal(walk(&f, &g, of, LDAP_GROUPS_MAX + 1, &a), "limit");
}

static void test_many_groups_are_asked_for_in_batches(void **state UNUSED)
{
	AUTO(arena_done) struct arena a = {0};
	struct ldap_group_search g = by_member_of(LDAP_NESTED_NONE);
	struct fake f = {.groups = cycle, .n = 0};
	struct slice *of = ARENA_ARRAY(&a, struct slice, 101);
	for (size_t i = 0; i < 101; i++)
		of[i] = slice_of(arena_printf(&a, "cn=g%zu", i));
	walk(&f, &g, of, 101, &a);
	assert_int_equal(f.searches, 3);
	/* Fewer where they are long; one that fits into no filter is refused. */
	char *name = arena_alloc(&a, LDAP_FILTER_MAX + 1);
	memset(name, 'n', LDAP_FILTER_MAX);
	for (size_t i = 0; i < 4; i++)
		of[i] = (struct slice){name + i, LDAP_FILTER_MAX / 3 + i};
	f.searches = 0;
	assert_string_equal(walk(&f, &g, of, 4, &a), "");
	assert_int_equal(f.searches, 2);
	of[0] = (struct slice){name, LDAP_FILTER_MAX};
	assert_string_equal(walk(&f, &g, of, 1, &a), "limit");
}

static void test_without_its_identifiers_nobody_has_a_primary_group(void **state UNUSED)
{
	AUTO(arena_done) struct arena a = {0};
	struct ldap_group_search g = by_member(LDAP_NESTED_NONE);
	struct fake f = {.groups = cycle, .n = ARRAY_LEN(cycle)};
	g.primary_group = true;
	assert_string_equal(walk(&f, &g, NULL, 0, &a), "invalid");
	assert_int_equal(f.searches, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_identifiers_become_the_texts_of_their_own_tools),
	    cmocka_unit_test(test_primary_group_is_a_sibling_of_the_account),
	    cmocka_unit_test(test_names_that_differ_in_spelling_alone_are_one),
	    cmocka_unit_test(test_below_a_base),
	    cmocka_unit_test(test_name_in_the_first_part),
	    cmocka_unit_test(test_active_directory_states),
	    cmocka_unit_test(test_password_policy_states),
	    cmocka_unit_test(test_what_a_bind_says),
	    cmocka_unit_test(test_versions_tell_of_a_new_password),
	    cmocka_unit_test(test_groups_in_groups_are_followed_once_each),
	    cmocka_unit_test(test_the_chain_rule_leaves_the_climb_to_the_server),
	    cmocka_unit_test(test_the_chain_begins_at_groups_found_by_other_matchers_too),
	    cmocka_unit_test(test_names_out_of_names_stay_below_the_base),
	    cmocka_unit_test(test_names_of_groups_cannot_leave_their_filter),
	    cmocka_unit_test(test_limits_refuse_rather_than_cut),
	    cmocka_unit_test(test_many_groups_are_asked_for_in_batches),
	    cmocka_unit_test(test_without_its_identifiers_nobody_has_a_primary_group),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
