/* TLS credentials from files, and the client behind a connection. The only user of GnuTLS; a session is
 * passed about as an opaque pointer. */
#ifndef SERVER_TLS_H
#define SERVER_TLS_H

#include "common/diag.h"
#include "common/err.h"
#include "common/schema.h"
#include "common/secret.h"
#include "server/transport.h"

/* 1.2 and 1.3, forward secrecy and AEAD only, RSA from 2048 bits; no tickets, since a resumed session would
 * skip the checks of the client certificate. The verification profile stands here and not in flags of the
 * credentials: GnuTLS 3.7 would or the two numbers together. */
#define TLS_PRIORITIES                                                                             \
	"SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:-CIPHER-ALL:" \
	"+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:-MAC-ALL:+AEAD:%SERVER_PRECEDENCE:"            \
	"%SAFE_RENEGOTIATION:%NO_TICKETS:%PROFILE_MEDIUM"

/* A chain of a dozen certificates is below 32 KiB; a bundle of CAs may be larger. */
#define TLS_FILE_MAX ((size_t)1 << 20)

struct tls_files {
	const char *certificate, *key;
	const char *client_ca; /* NULL: clients are not asked for a certificate */
	const struct string_list *allowed; /* with client_ca: CN or DNS SAN, at least one */
};

/* Immutable, counted. */
struct tls_creds;

/* Before any thread. */
void tls_init(void);

/* SHA-256 over the bytes (or the absence) of all files: tells whether there is anything new. */
void tls_files_digest(const struct tls_files *f, uint8_t out[SHA256_LEN]);

/* Reads and checks: the key fits the certificate, the chain and the CAs parse. Warns of a leaf that is
 * expired, not yet valid or without a subject alternative name. */
enum err_code tls_creds_new(const struct tls_files *f, struct tls_creds **out, struct diags *d) MUST_CHECK;
struct tls_creds *tls_creds_ref(struct tls_creds *c);
void tls_creds_unref(struct tls_creds **c);

/* When the leaf ends, unix seconds. */
int64_t tls_creds_expiry(const struct tls_creds *c);

/* One connection's part; embedded in the transport's own struct, at a fixed address. */
struct tls_conn {
	struct tls_creds *creds;
	struct peer *peer;
	bool asked, done;    /* a certificate message came; the handshake ended well */
	const char *refused; /* what was wrong with the certificate */
};

/* Puts CREDS (a reference is taken) on the fresh session SESSION and fills PEER as the handshake goes. */
enum err_code tls_conn_start(struct tls_conn *c, void *session, struct tls_creds *creds,
    struct peer *peer, struct err *e) MUST_CHECK;
void tls_conn_done(struct tls_conn *c);

/* Why the connection never came to a request: a stable word, "handshake" when the peer broke off; NULL when
 * the handshake ended well. */
const char *tls_conn_refusal(const struct tls_conn *c);

/* Holds back what is sent on SESSION until tls_uncork, so that it leaves as one record. */
void tls_cork(void *session);
/* False when the socket would not take it all at once. */
bool tls_uncork(void *session);

#endif
