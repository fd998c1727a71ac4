/* A handle's inside, for the files that make up common/ldapx.h. Everyone else: that header. */
#ifndef COMMON_LDAPX_HANDLE_H
#define COMMON_LDAPX_HANDLE_H

#include <sys/time.h>

#include "common/ldapx.h"

struct ldap; /* libldap's LDAP */
struct ldapcontrol; /* LDAPControl */
struct ldapmsg; /* LDAPMessage */

struct sockbuf; /* liblber's Sockbuf */

/* How far a server's bytes have been followed: ldapx_frame.c. Zeroed: at the start of a message. */
struct ldapx_frame {
	int state;
	size_t left; /* of the message */
	size_t more; /* of the number that is being read */
	uint64_t id;
};

/* Takes the next N bytes; false when they are no beginning of a message with a number from 1 on: then nothing more of
 * this server counts. */
bool ldapx_frame_pass(struct ldapx_frame *f, const uint8_t *p, size_t n);

/* Lets only such messages through to libldap; F lives as long as SB. */
bool ldapx_frame_install(struct ldapx_frame *f, struct sockbuf *sb);

struct ldapx {
	struct ldap *ld;
	struct ldapx_frame frame;
	int fd;
	int64_t deadline; /* of the operation under way: the socket layer obeys it */
	const struct ldapx_watch *watch; /* NULL: nobody counts */
	const struct cancel *cancel; /* or NULL: the socket layer obeys it, too */
	int64_t answered;
	bool broken, connected;
};

/* Tells the handle's watch of OP, which began at SINCE of clock_mono. */
void ldapx_told(struct ldapx *h, enum ldapx_op op, enum err_code code, int64_t since);

/* --- TLS (ldapx_tls.c) --- */

/* Sets LD's TLS options, with T's context; before the handshake. */
bool ldapx_tls_use(const struct ldapx_tls *t, struct ldap *ld);

/* --- errors and time --- */

/* A handle over FD, which is connected and becomes the handle's: for tests, which are the server then. */
enum err_code ldapx_adopt(int fd, int64_t deadline, struct ldapx **out, struct err *e) MUST_CHECK;

/* Breaks H and sets E to our side's words for libldap's RC; what the server said stays out: it may quote
 * names. */
enum err_code ldapx_fail(struct ldapx *h, struct err *e, const char *what, int rc);

/* A server's result code: the negative ones are libldap's own, no server's to give. */
int ldapx_said(int result);

/* The next message of operation ID (ALL: its whole answer), to be freed with ldap_msgfree; NULL with libldap's code in
 * *RC when none comes before the handle's deadline. Its type may be any. */
struct ldapmsg *ldapx_wait(struct ldapx *h, int id, bool all, int *rc);

/* What is left until DEADLINE of clock_mono, at least a millisecond. */
struct timeval ldapx_until(int64_t deadline);

/* Active Directory's opinion out of the text of a result 49. */
enum ldapx_account ldapx_ad_account(struct slice text);

/* The controls of a bind's answer (LIST NULL: none) into INFO; false when one cannot be decoded. GOOD: the
 * bind succeeded. */
bool ldapx_read_controls(
    struct ldapx *h, struct ldapcontrol **list, bool good, struct ldapx_bind_info *info);

/* --- pieces of attributes (ldapx_ranges.c) --- */

/* Values LOW to HIGH of an attribute: "member;range=0-1499". LAST: up to the end, HIGH is not set. */
struct ldapx_range {
	size_t low, high;
	bool last;
};

/* An attribute of an answer that came in pieces, of which some have come. */
struct ldapx_piece {
	size_t entry, attr; /* indices in the answer */
	struct ldapx_range range; /* of the values that came */
};

/* What a search has found. ATTRS of the items may be written until it is handed out. */
struct ldapx_found {
	struct arena *a;
	struct ldapx_entry *items;
	size_t n, cap, references;
	struct ldapx_piece *pieces;
	size_t npieces, pieces_cap;
	struct slice cookie; /* of the next page; empty: this was the last */
};

/* Parses DESC as "NAME;range=LOW-HIGH" or "NAME;range=LOW-*", any case; false when it is another attribute
 * or no range. */
bool ldapx_range_parse(const char *desc, const char *name, struct ldapx_range *out);

/* One search without pages into F, whose pieces the caller reads. */
enum err_code ldapx_search_once(
    struct ldapx *h, const struct ldapx_search *q, struct ldapx_found *f, struct err *e);

/* Reads the rest of all pieces of F: ERR_LIMIT past LDAPX_VALUES_MAX, ERR_UNAVAILABLE when what comes is
 * not what follows. */
enum err_code ldapx_read_pieces(struct ldapx *h, struct ldapx_found *f, struct err *e);

#endif
