/* Owns the texts of binary identifiers: objectGUID, objectSid, and uids out of them. */
#include "authn/ldap_ids.h"

#include <strings.h>

#include "authn/limits.h"

#define GUID_LEN 16
#define SID_HEAD 8
#define SUBAUTHORITIES_MAX 15

bool ldap_guid_text(struct slice raw, struct buf *out)
{
	static const uint8_t order[GUID_LEN] = {
	    3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
	if (raw.len != GUID_LEN)
		return false;
	for (size_t i = 0; i < GUID_LEN; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			buf_addc(out, '-');
		buf_printf(out, "%02x", (unsigned char)raw.p[order[i]]);
	}
	return true;
}

static uint32_t le32(const unsigned char *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static bool sid_valid(struct slice raw)
{
	const unsigned char *p = (const unsigned char *)raw.p;
	return raw.len >= SID_HEAD && p[0] == 1 && p[1] <= SUBAUTHORITIES_MAX &&
	       raw.len == SID_HEAD + (size_t)4 * p[1];
}

bool ldap_sid_text(struct slice raw, struct buf *out)
{
	if (!sid_valid(raw))
		return false;
	const unsigned char *p = (const unsigned char *)raw.p;
	uint64_t authority = 0;
	for (size_t i = 2; i < SID_HEAD; i++)
		authority = authority << 8 | p[i]; /* big-endian, unlike the rest */
	buf_adds(out, "S-1-");
	buf_u64(out, authority);
	for (size_t i = 0; i < p[1]; i++) {
		buf_addc(out, '-');
		buf_u64(out, le32(p + SID_HEAD + 4 * i));
	}
	return true;
}

bool ldap_sid_sibling(struct slice account, uint32_t rid, uint8_t out[LDAP_SID_MAX], size_t *len)
{
	/* S-1-5-21-a-b-c-RID: a shorter one is no account's of a domain. */
	if (!sid_valid(account) || account.p[1] < 2)
		return false;
	memcpy(out, account.p, account.len);
	uint8_t *last = out + account.len - 4;
	for (int i = 0; i < 4; i++)
		last[i] = (uint8_t)(rid >> (8 * i));
	*len = account.len;
	return true;
}

struct slice ldap_uid_text(struct arena *a, const char *attr, struct slice raw)
{
	AUTO(buf_done) struct buf out;
	buf_init(&out, NAME_MAX_BYTES);
	if (raw.len == 0)
		return (struct slice){0};
	if (strcasecmp(attr, "objectGUID") == 0) {
		if (!ldap_guid_text(raw, &out))
			return (struct slice){0};
	} else if (strcasecmp(attr, "objectSid") == 0) {
		if (!ldap_sid_text(raw, &out))
			return (struct slice){0};
	} else if (slice_printable(raw)) {
		buf_slice(&out, raw);
	} else {
		for (size_t i = 0; i < raw.len; i++)
			buf_printf(&out, "%02x", (unsigned char)raw.p[i]);
	}
	return out.over ? (struct slice){0} : slice_dup(a, buf_view(&out));
}
