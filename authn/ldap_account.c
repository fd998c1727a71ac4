/* Owns the judgement of account states: Active Directory's attributes, the password policy's, a bind's words. */
#include "authn/ldap_account.h"

#include "authn/ldap.h"
#include "common/clock.h"

/* [MS-ADTS] 2.2.16: bits of userAccountControl and of its computed twin. */
#define UF_ACCOUNTDISABLE UINT64_C(0x2)
#define UF_LOCKOUT UINT64_C(0x10)
#define UF_DONT_EXPIRE_PASSWD UINT64_C(0x10000)
#define UF_SMARTCARD_REQUIRED UINT64_C(0x40000)
#define UF_PASSWORD_EXPIRED UINT64_C(0x800000)

/* accountExpires: both say never. */
#define NEVER_ZERO UINT64_C(0)
#define NEVER_MAX UINT64_C(0x7fffffffffffffff)
/* FILETIME counts 100 ns since 1601. */
#define FILETIME_SECOND UINT64_C(10000000)
#define FILETIME_UNIX_EPOCH (UINT64_C(11644473600) * FILETIME_SECOND)

/* logonHours: a bit for each hour of the week in UTC, from Sunday on, the lowest bit of a byte first. */
#define WEEK_HOURS (7 * 24)

/* pwdAccountLockedTime of an account that only an administrator unlocks. */
#define LOCKED_FOR_EVER "000001010000Z"

static const char *const ad_attrs[] = {"userAccountControl", "msDS-User-Account-Control-Computed",
    "accountExpires", "pwdLastSet", "logonHours", NULL};
static const char *const policy_attrs[] = {"pwdAccountLockedTime", "pwdReset", "pwdChangedTime",
    "pwdStartTime", "pwdEndTime", NULL};
static const char *const no_attrs[] = {NULL};

const char *const *ldap_account_attrs(int kind)
{
	switch (kind) {
	case LDAP_STATE_ACTIVE_DIRECTORY:
		return ad_attrs;
	case LDAP_STATE_PASSWORD_POLICY:
		return policy_attrs;
	default:
		return no_attrs;
	}
}

/* The first value of NAME; the zero slice when there is none. */
static struct slice value_of(
    const struct ldapx_entry *entry, const char *const *attrs, const char *name)
{
	const struct ldapx_attr *a = ldapx_attr(entry, attrs, name);
	return a && a->n > 0 ? a->values[0] : (struct slice){0};
}

/* --- Active Directory --- */

/* An integer of Active Directory: 32 or 64 bits, in decimal, perhaps negative (they are masks). */
static bool number(struct slice s, uint64_t *out)
{
	bool minus = s.len > 0 && s.p[0] == '-';
	s = slice_skip(s, minus);
	uint64_t n = 0;
	if (s.len == 0 || s.len > 19)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		n = n * 10 + (uint64_t)(s.p[i] - '0');
	}
	*out = minus ? 0 - n : n;
	return true;
}

static bool out_of_hours(struct slice hours, int64_t now)
{
	if (hours.len != WEEK_HOURS / 8)
		return false; /* absent: at any time */
	int64_t hour = now / (3600 * CLOCK_SECOND);
	/* The epoch was a Thursday. */
	size_t bit = (size_t)((hour + 4 * 24) % WEEK_HOURS);
	return !((unsigned char)hours.p[bit / 8] >> (bit % 8) & 1);
}

static const char *ad_state(
    const struct ldapx_entry *entry, const char *const *attrs, int64_t now)
{
	uint64_t uac, computed, last_set, expires = NEVER_ZERO;
	struct slice at = value_of(entry, attrs, "accountExpires");
	if (!number(value_of(entry, attrs, "userAccountControl"), &uac) ||
	    !number(value_of(entry, attrs, "msDS-User-Account-Control-Computed"), &computed) ||
	    !number(value_of(entry, attrs, "pwdLastSet"), &last_set) ||
	    (at.len > 0 && !number(at, &expires)))
		return "badEntry";
	if (uac & UF_ACCOUNTDISABLE)
		return "accountDisabled";
	if (computed & UF_LOCKOUT)
		return "accountLocked";
	uint64_t filetime = (uint64_t)(now / 100) + FILETIME_UNIX_EPOCH;
	if (expires != NEVER_ZERO && expires != NEVER_MAX && expires <= filetime)
		return "accountExpired";
	if (last_set == 0 && !(uac & (UF_DONT_EXPIRE_PASSWD | UF_SMARTCARD_REQUIRED)))
		return "mustChangePassword";
	if (computed & UF_PASSWORD_EXPIRED)
		return "passwordExpired";
	if (out_of_hours(value_of(entry, attrs, "logonHours"), now))
		return "logonHours";
	return NULL;
}

/* --- the password policy overlay --- */

/* Digits of a generalized time (RFC 4517) to the second. */
#define TIME_DIGITS 14

/* NOW is TIME or later. In UTC their digits sort as they do, whatever the year; a time that cannot be read is
 * UNREADABLE. */
static bool reached(struct slice time, int64_t now, bool unreadable)
{
	char text[CLOCK_RFC3339_LEN], digits[CLOCK_RFC3339_LEN];
	size_t n = 0;
	clock_rfc3339(now, text);
	for (const char *p = text; n < TIME_DIGITS; p++) {
		if (*p >= '0' && *p <= '9')
			digits[n++] = *p;
	}
	if (time.len <= TIME_DIGITS || time.p[time.len - 1] != 'Z')
		return unreadable;
	for (size_t i = 0; i < TIME_DIGITS; i++) {
		if (time.p[i] < '0' || time.p[i] > '9')
			return unreadable;
	}
	return memcmp(digits, time.p, TIME_DIGITS) >= 0;
}

static const char *policy_state(const struct ldapx_entry *entry, const char *const *attrs,
    enum ldap_account_moment when, int64_t now)
{
	struct slice locked = value_of(entry, attrs, "pwdAccountLockedTime");
	struct slice start = value_of(entry, attrs, "pwdStartTime");
	struct slice end = value_of(entry, attrs, "pwdEndTime");
	/* The time of a lock stays until the next good bind, however short the lock is: after that bind,
	 * what was read before it says nothing. */
	if (locked.len > 0 && (when == LDAP_ACCOUNT_REREAD || slice_is(locked, LOCKED_FOR_EVER)))
		return "accountLocked";
	if ((start.len > 0 && !reached(start, now, false)) ||
	    (end.len > 0 && reached(end, now, true)))
		return "accountExpired";
	if (slice_is(value_of(entry, attrs, "pwdReset"), "TRUE"))
		return "mustChangePassword";
	return NULL;
}

const char *ldap_account_state(int kind, const struct ldapx_entry *entry,
    const char *const *attrs, enum ldap_account_moment when, int64_t now)
{
	switch (kind) {
	case LDAP_STATE_NONE:
		return NULL;
	case LDAP_STATE_ACTIVE_DIRECTORY:
		return ad_state(entry, attrs, now);
	case LDAP_STATE_PASSWORD_POLICY:
		return policy_state(entry, attrs, when, now);
	default:
		return "badEntry";
	}
}

/* --- binds --- */

static const char *const words[] = {
    [LDAPX_ACCOUNT_BAD_PASSWORD] = "badPassword",
    [LDAPX_ACCOUNT_NO_USER] = "noUser",
    [LDAPX_ACCOUNT_LOGON_HOURS] = "logonHours",
    [LDAPX_ACCOUNT_WORKSTATION] = "workstation",
    [LDAPX_ACCOUNT_PASSWORD_EXPIRED] = "passwordExpired",
    [LDAPX_ACCOUNT_DISABLED] = "accountDisabled",
    [LDAPX_ACCOUNT_EXPIRED] = "accountExpired",
    [LDAPX_ACCOUNT_MUST_CHANGE] = "mustChangePassword",
    [LDAPX_ACCOUNT_LOCKED] = "accountLocked",
};

const char *ldap_account_bind(
    const struct ldap_config *cfg, enum err_code code, const struct ldapx_bind_info *info)
{
	bool said = info->account != LDAPX_ACCOUNT_UNSAID;
	const char *word = (size_t)info->account < ARRAY_LEN(words) ? words[info->account] : NULL;
	if (!word)
		word = "badPassword";
	if (code != ERR_OK)
		return word;
	/* Let in, but on grace: each such bind uses one up. */
	bool grace = info->grace_left >= 0;
	if (grace && (!said || info->account == LDAPX_ACCOUNT_PASSWORD_EXPIRED))
		return cfg->accept_grace_logins ? NULL : "passwordExpired";
	return said ? word : NULL;
}

/* --- versions --- */

struct slice ldap_account_version(
    int kind, const struct ldapx_entry *entry, const char *const *attrs, struct arena *arena)
{
	const char *attr = kind == LDAP_STATE_ACTIVE_DIRECTORY	? "pwdLastSet"
			   : kind == LDAP_STATE_PASSWORD_POLICY ? "pwdChangedTime"
								: NULL;
	if (!attr)
		return (struct slice){0};
	struct slice v = value_of(entry, attrs, attr);
	/* Also when it is absent: that it appears is a change. */
	if (v.len + strlen(attr) + 1 > DIRECTORY_VERSION_MAX || !slice_printable(v))
		v = (struct slice){0};
	return slice_of(arena_printf(arena, "%s=" SLICE_FMT, attr, SLICE_ARG(v)));
}
