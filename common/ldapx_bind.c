/* Owns binds: what is sent to a directory for a password, and what its answer says of the account. */
#include <lber.h>
#include <ldap.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "common/clock.h"
#include "common/ldapx_handle.h"

/* Values of the controls are a few bytes; whatever is longer is not what it says it is. */
#define CONTROL_MAX 64
/* Active Directory's text is about 90 bytes long. */
#define TEXT_MAX 512

static const struct {
	unsigned data;
	enum ldapx_account account;
} ad_codes[] = {
    {0x525, LDAPX_ACCOUNT_NO_USER},
    {0x52e, LDAPX_ACCOUNT_BAD_PASSWORD},
    {0x530, LDAPX_ACCOUNT_LOGON_HOURS},
    {0x531, LDAPX_ACCOUNT_WORKSTATION},
    {0x532, LDAPX_ACCOUNT_PASSWORD_EXPIRED},
    {0x533, LDAPX_ACCOUNT_DISABLED},
    {0x701, LDAPX_ACCOUNT_EXPIRED},
    {0x773, LDAPX_ACCOUNT_MUST_CHANGE},
    {0x775, LDAPX_ACCOUNT_LOCKED},
};

enum ldapx_account ldapx_ad_account(struct slice text)
{
	/* "80090308: LdapErr: DSID-0C090447, comment: AcceptSecurityContext error, data 52e, v3839" */
	static const char mark[] = "AcceptSecurityContext error, data ";
	if (text.len > TEXT_MAX)
		return LDAPX_ACCOUNT_UNSAID;
	const char *p = text.len ? memmem(text.p, text.len, mark, sizeof(mark) - 1) : NULL;
	if (!p)
		return LDAPX_ACCOUNT_UNSAID;
	struct slice rest = slice_skip(text, (size_t)(p - text.p) + sizeof(mark) - 1);
	for (size_t i = 0; i < ARRAY_LEN(ad_codes); i++) {
		char word[8];
		snprintf(word, sizeof(word), "%x,", ad_codes[i].data);
		if (rest.len >= 4 && strncasecmp(rest.p, word, 4) == 0)
			return ad_codes[i].account;
	}
	return LDAPX_ACCOUNT_UNSAID;
}

/* --- controls --- */

static bool is(const LDAPControl *c, const char *oid)
{
	return c->ldctl_oid && strcmp(c->ldctl_oid, oid) == 0;
}

static bool read_policy(
    struct ldapx *h, LDAPControl *c, enum ldapx_account *account, struct ldapx_bind_info *info)
{
	ber_int_t expires = -1, grace = -1;
	LDAPPasswordPolicyError error = PP_noError;
	/* Without a value, or with an empty one, libldap itself would crash. */
	if (!c->ldctl_value.bv_val || c->ldctl_value.bv_len == 0 ||
	    c->ldctl_value.bv_len > CONTROL_MAX ||
	    ldap_parse_passwordpolicy_control(h->ld, c, &expires, &grace, &error) != LDAP_SUCCESS)
		return false;
	info->expires_in = expires >= 0 ? expires : -1;
	info->grace_left = grace >= 0 ? grace : -1;
	switch (error) {
	case PP_passwordExpired:
		*account = LDAPX_ACCOUNT_PASSWORD_EXPIRED;
		break;
	case PP_accountLocked:
		*account = LDAPX_ACCOUNT_LOCKED;
		break;
	case PP_changeAfterReset:
		*account = LDAPX_ACCOUNT_MUST_CHANGE;
		break;
	default: /* the rest is about changing passwords */
		break;
	}
	return true;
}

/* The seconds of Netscape's "password expiring", as digits. */
static bool read_expiring(const LDAPControl *c, struct ldapx_bind_info *info)
{
	struct slice s = {c->ldctl_value.bv_val, c->ldctl_value.bv_len};
	int seconds = 0;
	if (s.len == 0 || s.len > 9)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		seconds = seconds * 10 + (s.p[i] - '0');
	}
	if (info->expires_in < 0)
		info->expires_in = seconds;
	return true;
}

bool ldapx_read_controls(
    struct ldapx *h, struct ldapcontrol **list, bool good, struct ldapx_bind_info *info)
{
	enum ldapx_account policy = LDAPX_ACCOUNT_UNSAID, netscape = LDAPX_ACCOUNT_UNSAID;
	bool ok = true;
	for (size_t i = 0; list && list[i]; i++) {
		if (is(list[i], LDAP_CONTROL_PASSWORDPOLICYRESPONSE))
			ok &= read_policy(h, list[i], &policy, info);
		else if (is(list[i], LDAP_CONTROL_X_PASSWORD_EXPIRING))
			ok &= read_expiring(list[i], info);
		else if (is(list[i], LDAP_CONTROL_X_PASSWORD_EXPIRED))
			/* With a good bind it means that nothing but a change is allowed. */
			netscape = good ? LDAPX_ACCOUNT_MUST_CHANGE : LDAPX_ACCOUNT_PASSWORD_EXPIRED;
	}
	if (policy != LDAPX_ACCOUNT_UNSAID || netscape != LDAPX_ACCOUNT_UNSAID)
		info->account = policy != LDAPX_ACCOUNT_UNSAID ? policy : netscape;
	return ok;
}

/* --- the bind --- */

static bool refusal(int rc)
{
	switch (rc) {
	case LDAP_INVALID_CREDENTIALS:
	case LDAP_CONSTRAINT_VIOLATION:
	case LDAP_UNWILLING_TO_PERFORM:
	case LDAP_INAPPROPRIATE_AUTH:
	case LDAP_NO_SUCH_OBJECT:
		return true;
	default:
		return false;
	}
}

struct answer {
	int result;
	char *text;
	LDAPControl **controls;
};

static void answer_done(struct answer *a)
{
	ldap_memfree(a->text);
	ldap_controls_free(a->controls);
}

static enum err_code judge(
    struct ldapx *h, const struct answer *a, struct ldapx_bind_info *info, struct err *e)
{
	bool good = a->result == LDAP_SUCCESS;
	if (a->result == LDAP_INVALID_CREDENTIALS)
		info->account = ldapx_ad_account(slice_of(a->text));
	bool clear = ldapx_read_controls(h, a->controls, good, info);
	if (good)
		return clear ? ERR_OK : ldapx_fail(h, e, "bind: controls", LDAP_DECODING_ERROR);
	if (refusal(a->result))
		return err_set(
		    e, ERR_REFUSED, "bind: %s (%d)", ldap_err2string(a->result), a->result);
	return ldapx_fail(h, e, "bind", a->result);
}

static enum err_code bind_result(
    struct ldapx *h, int id, struct ldapx_bind_info *info, struct err *e)
{
	int rc = LDAP_OTHER;
	LDAPMessage *msg = ldapx_wait(h, id, true, &rc);
	if (!msg) {
		ldap_abandon_ext(h->ld, id, NULL, NULL);
		return ldapx_fail(h, e, "bind", rc);
	}
	AUTO(answer_done) struct answer a = {.result = LDAP_OTHER};
	int type = ldap_msgtype(msg);
	rc = ldap_parse_result(h->ld, msg, &a.result, NULL, &a.text, NULL, &a.controls, 1);
	if (rc != LDAP_SUCCESS || type != LDAP_RES_BIND)
		return ldapx_fail(h, e, "bind", rc != LDAP_SUCCESS ? rc : LDAP_PROTOCOL_ERROR);
	a.result = ldapx_said(a.result);
	return judge(h, &a, info, e);
}

/* MECHANISM NULL: simple. */
static enum err_code send_bind(struct ldapx *h, const char *name, const char *mechanism,
    struct slice password, struct ldapx_bind_info *info, struct err *e)
{
	/* Not critical: a server without policies ignores it. */
	LDAPControl ask = {.ldctl_oid = (char *)(uintptr_t)LDAP_CONTROL_PASSWORDPOLICYREQUEST};
	LDAPControl *asked[] = {info ? &ask : NULL, NULL};
	struct berval cred = {.bv_len = password.len, .bv_val = (char *)(uintptr_t)password.p};
	struct ldapx_bind_info ignored = {.grace_left = -1, .expires_in = -1};
	int64_t since = clock_mono();
	int id = 0;
	int rc = ldap_sasl_bind(h->ld, name, mechanism, &cred, asked, NULL, &id);
	enum err_code code = rc == LDAP_SUCCESS
				 ? bind_result(h, id, info ? info : &ignored, e)
				 : ldapx_fail(h, e, "bind", rc);
	ldapx_told(h, LDAPX_OP_BIND, code, since);
	return code;
}

enum err_code ldapx_bind(struct ldapx *h, struct slice dn, struct slice password, int64_t deadline,
    struct ldapx_bind_info *info, struct err *e)
{
	if (info)
		*info = (struct ldapx_bind_info){.grace_left = -1, .expires_in = -1};
	if (dn.len == 0 || memchr(dn.p, '\0', dn.len))
		return err_set(e, ERR_REFUSED, "bind: empty name or a NUL in it");
	if (password.len == 0 || password.len > LDAPX_PASSWORD_MAX ||
	    memchr(password.p, '\0', password.len))
		return err_set(
		    e, ERR_REFUSED, "bind: password empty, too long or with a NUL in it");
	if (h->broken)
		return err_set(e, ERR_UNAVAILABLE, "bind: broken connection");
	h->deadline = deadline;
	char *name = strndup(dn.p, dn.len);
	if (!name)
		abort();
	enum err_code code = send_bind(h, name, LDAP_SASL_SIMPLE, password, info, e);
	free(name);
	return code;
}

enum err_code ldapx_bind_external(struct ldapx *h, int64_t deadline, struct err *e)
{
	if (h->broken)
		return err_set(e, ERR_UNAVAILABLE, "bind: broken connection");
	h->deadline = deadline;
	/* An empty answer is one: we ask for no other name. None would begin a dialogue. */
	return send_bind(h, "", "EXTERNAL", SLICE(""), NULL, e);
}
