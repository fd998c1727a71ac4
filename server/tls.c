/* Owns every use of GnuTLS: credentials from files, the check of the client, corked records. */
#include "server/tls.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/file.h"

#define CHAIN_MAX 16

struct tls_creds {
	atomic_uint refs;
	struct arena arena;
	gnutls_certificate_credentials_t cred;
	const char **allowed;
	size_t nallowed;
	bool ask_client;
	int64_t expiry;
};

void tls_init(void)
{
	if (gnutls_global_init() != GNUTLS_E_SUCCESS)
		abort();
}

static void digest_file(struct sha256_ctx *ctx, const char *path)
{
	if (!path)
		return;
	struct arena a;
	arena_init_wiped(&a, 0);
	struct slice text = {0};
	enum err_code code = file_read(&a, path, TLS_FILE_MAX, &text, NULL);
	uint8_t head[2] = {(uint8_t)code, 0};
	sha256_update(ctx, path, strlen(path) + 1);
	sha256_update(ctx, head, sizeof(head));
	uint64_t len = text.len;
	sha256_update(ctx, &len, sizeof(len));
	sha256_update(ctx, text.p, text.len);
	arena_done(&a);
}

void tls_files_digest(const struct tls_files *f, uint8_t out[SHA256_LEN])
{
	struct sha256_ctx *ctx = sha256_begin();
	digest_file(ctx, f->certificate);
	digest_file(ctx, f->key);
	digest_file(ctx, f->client_ca);
	for (size_t i = 0; f->allowed && i < f->allowed->len; i++)
		sha256_update(ctx, f->allowed->items[i], strlen(f->allowed->items[i]) + 1);
	sha256_end(&ctx, out);
}

static enum err_code read_pem(
    struct arena *a, const char *path, gnutls_datum_t *out, struct diags *d)
{
	struct err e = {0};
	struct slice text;
	if (file_read(a, path, TLS_FILE_MAX, &text, &e) != ERR_OK)
		return diags_error(d, path, 0, 0, "%s", e.msg);
	*out = (gnutls_datum_t){(unsigned char *)(uintptr_t)text.p, (unsigned)text.len};
	return ERR_OK;
}

static bool has_san(gnutls_x509_crt_t crt)
{
	char name[256];
	size_t len = sizeof(name);
	int r = gnutls_x509_crt_get_subject_alt_name(crt, 0, name, &len, NULL);
	return r >= 0 || r == GNUTLS_E_SHORT_MEMORY_BUFFER;
}

/* Reads what the leaf says about itself. */
static enum err_code inspect_leaf(
    struct tls_creds *c, const char *path, const gnutls_datum_t *pem, struct diags *d)
{
	gnutls_x509_crt_t chain[CHAIN_MAX];
	unsigned n = CHAIN_MAX;
	int r = gnutls_x509_crt_list_import(chain, &n, pem, GNUTLS_X509_FMT_PEM,
	    GNUTLS_X509_CRT_LIST_IMPORT_FAIL_IF_EXCEED | GNUTLS_X509_CRT_LIST_FAIL_IF_UNSORTED);
	if (r < 0)
		return diags_error(d, path, 0, 0, "certificate chain: %s", gnutls_strerror(r));
	c->expiry = (int64_t)gnutls_x509_crt_get_expiration_time(chain[0]);
	if (c->expiry < clock_unix())
		diags_warn(d, path, 0, 0, "the certificate has expired");
	if ((int64_t)gnutls_x509_crt_get_activation_time(chain[0]) > clock_unix())
		diags_warn(d, path, 0, 0, "the certificate is not valid yet");
	if (!has_san(chain[0]))
		diags_warn(d, path, 0, 0,
		    "the certificate has no subject alternative name: the apiserver will refuse it");
	for (unsigned i = 0; i < n; i++)
		gnutls_x509_crt_deinit(chain[i]);
	return ERR_OK;
}

static enum err_code load_pair(
    struct tls_creds *c, const struct tls_files *f, struct arena *a, struct diags *d)
{
	gnutls_datum_t cert, key;
	TRY(read_pem(a, f->certificate, &cert, d));
	TRY(read_pem(a, f->key, &key, d));
	/* First by itself: the call below leaks what it had read of a broken chain. */
	TRY(inspect_leaf(c, f->certificate, &cert, d));
	int r = gnutls_certificate_set_x509_key_mem(c->cred, &cert, &key, GNUTLS_X509_FMT_PEM);
	if (r == GNUTLS_E_CERTIFICATE_KEY_MISMATCH)
		return diags_error(d, f->key, 0, 0, "the key does not fit %s", f->certificate);
	if (r < 0)
		return diags_error(d, f->key, 0, 0, "private key: %s", gnutls_strerror(r));
	return ERR_OK;
}

static enum err_code load_client_ca(
    struct tls_creds *c, const struct tls_files *f, struct arena *a, struct diags *d)
{
	gnutls_datum_t pem;
	TRY(read_pem(a, f->client_ca, &pem, d));
	int r = gnutls_certificate_set_x509_trust_mem(c->cred, &pem, GNUTLS_X509_FMT_PEM);
	if (r < 0)
		return diags_error(d, f->client_ca, 0, 0, "CA certificates: %s", gnutls_strerror(r));
	if (r == 0)
		return diags_error(d, f->client_ca, 0, 0, "holds no CA certificate");
	c->ask_client = true;
	c->nallowed = f->allowed->len;
	c->allowed = ARENA_ARRAY(&c->arena, const char *, c->nallowed);
	for (size_t i = 0; i < c->nallowed; i++)
		c->allowed[i] = arena_strdup(&c->arena, f->allowed->items[i]);
	return ERR_OK;
}

enum err_code tls_creds_new(const struct tls_files *f, struct tls_creds **out, struct diags *d)
{
	struct arena files;
	arena_init_wiped(&files, 0);
	struct tls_creds *c = calloc(1, sizeof(*c));
	if (!c || gnutls_certificate_allocate_credentials(&c->cred) != GNUTLS_E_SUCCESS)
		abort();
	atomic_init(&c->refs, 1);
	arena_init(&c->arena, 0);
	enum err_code code = load_pair(c, f, &files, d);
	if (code == ERR_OK && f->client_ca)
		code = load_client_ca(c, f, &files, d);
	arena_done(&files);
	if (code != ERR_OK)
		tls_creds_unref(&c);
	else
		*out = c;
	return code;
}

struct tls_creds *tls_creds_ref(struct tls_creds *c)
{
	if (c)
		atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void tls_creds_unref(struct tls_creds **c)
{
	struct tls_creds *p = TAKE(*c);
	if (!p || atomic_fetch_sub(&p->refs, 1) != 1)
		return;
	gnutls_certificate_free_credentials(p->cred);
	arena_done(&p->arena);
	free(p);
}

int64_t tls_creds_expiry(const struct tls_creds *c)
{
	return c->expiry;
}

static bool is_allowed(const struct tls_creds *c, const char *name, size_t len)
{
	for (size_t i = 0; i < c->nallowed; i++)
		if (strlen(c->allowed[i]) == len && memcmp(c->allowed[i], name, len) == 0)
			return true;
	return false;
}

/* With several common names readers differ on which one counts, and so might whoever signed them. */
static bool has_more_names(gnutls_x509_crt_t crt)
{
	size_t len = 0;
	return gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 1, 0, NULL, &len) !=
	       GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE;
}

static bool cn_allowed(struct tls_conn *c, gnutls_x509_crt_t crt)
{
	char cn[sizeof(c->peer->cert_cn)];
	size_t len = sizeof(cn);
	if (gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0, cn, &len) < 0)
		return false;
	if (len < sizeof(cn) && memchr(cn, '\0', len) == NULL) {
		memcpy(c->peer->cert_cn, cn, len);
		c->peer->cert_cn[len] = '\0';
	}
	return !has_more_names(crt) && is_allowed(c->creds, cn, len);
}

static bool san_allowed(const struct tls_creds *c, gnutls_x509_crt_t crt)
{
	for (unsigned i = 0; i < 64; i++) {
		char name[256];
		size_t len = sizeof(name);
		int r = gnutls_x509_crt_get_subject_alt_name(crt, i, name, &len, NULL);
		if (r == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			return false;
		if (r == GNUTLS_SAN_DNSNAME && is_allowed(c, name, len))
			return true;
	}
	return false;
}

/* The name on the verified leaf against the allow-list; notes CN and fingerprint for the audit log. */
static const char *check_name(struct tls_conn *c, gnutls_session_t session)
{
	unsigned n = 0;
	const gnutls_datum_t *list = gnutls_certificate_get_peers(session, &n);
	gnutls_x509_crt_t crt;
	if (n == 0 || gnutls_x509_crt_init(&crt) != GNUTLS_E_SUCCESS)
		return "noCertificate";
	const char *why = "badCertificate";
	if (gnutls_x509_crt_import(crt, &list[0], GNUTLS_X509_FMT_DER) == GNUTLS_E_SUCCESS) {
		sha256_hex(list[0].data, list[0].size, c->peer->cert_sha256);
		bool cn = cn_allowed(c, crt);
		why = cn || san_allowed(c->creds, crt) ? NULL : "nameNotAllowed";
	}
	gnutls_x509_crt_deinit(crt);
	return why;
}

static const char *status_word(unsigned status)
{
	if (status & GNUTLS_CERT_EXPIRED)
		return "expired";
	if (status & GNUTLS_CERT_NOT_ACTIVATED)
		return "notYetValid";
	if (status & GNUTLS_CERT_PURPOSE_MISMATCH)
		return "wrongPurpose";
	if (status & GNUTLS_CERT_SIGNER_NOT_FOUND)
		return "unknownCA";
	return "untrusted";
}

/* GnuTLS's own verification returns 0 for an untrusted chain too: the status decides. */
static int verify_client(gnutls_session_t session)
{
	struct tls_conn *c = gnutls_db_get_ptr(session);
	gnutls_typed_vdata_st purpose = {.type = GNUTLS_DT_KEY_PURPOSE_OID,
	    .data = (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT};
	unsigned status = ~0U;
	int r = gnutls_certificate_verify_peers(session, &purpose, 1, &status);
	if (r == GNUTLS_E_NO_CERTIFICATE_FOUND)
		c->refused = "noCertificate";
	else if (r < 0)
		c->refused = "badCertificate";
	else if (status != 0)
		c->refused = status_word(status);
	else
		c->refused = check_name(c, session);
	return c->refused ? GNUTLS_E_CERTIFICATE_ERROR : 0;
}

static int on_handshake(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming,
    const gnutls_datum_t *msg)
{
	(void)when, (void)msg;
	struct tls_conn *c = gnutls_db_get_ptr(session);
	if (!incoming)
		return 0;
	if (type == GNUTLS_HANDSHAKE_CERTIFICATE_PKT)
		c->asked = true;
	if (type != GNUTLS_HANDSHAKE_FINISHED)
		return 0;
	c->done = true;
	gnutls_protocol_t v = gnutls_protocol_get_version(session);
	memcpy(c->peer->tls, v == GNUTLS_TLS1_3 ? "TLS1.3" : "TLS1.2", sizeof("TLS1.3"));
	return 0;
}

enum err_code tls_conn_start(struct tls_conn *c, void *session, struct tls_creds *creds,
    struct peer *peer, struct err *e)
{
	*c = (struct tls_conn){.creds = tls_creds_ref(creds), .peer = peer};
	gnutls_session_t s = session;
	/* The session's own pointer is the HTTP library's; the resumption database is not in use. */
	gnutls_db_set_ptr(s, c);
	gnutls_handshake_set_hook_function(s, GNUTLS_HANDSHAKE_ANY, GNUTLS_HOOK_BOTH, on_handshake);
	if (creds->ask_client) {
		gnutls_certificate_server_set_request(s, GNUTLS_CERT_REQUIRE);
		gnutls_session_set_verify_function(s, verify_client);
	} else {
		gnutls_certificate_server_set_request(s, GNUTLS_CERT_IGNORE);
	}
	int r = gnutls_credentials_set(s, GNUTLS_CRD_CERTIFICATE, creds->cred);
	return r < 0 ? err_set(e, ERR_INTERNAL, "TLS credentials: %s", gnutls_strerror(r)) : ERR_OK;
}

/* GnuTLS itself turns away an empty certificate message, without asking verify_client. */
const char *tls_conn_refusal(const struct tls_conn *c)
{
	if (c->done || !c->creds)
		return NULL;
	if (c->refused)
		return c->refused;
	return c->asked ? "noCertificate" : "handshake";
}

void tls_conn_done(struct tls_conn *c)
{
	tls_creds_unref(&c->creds);
}

void tls_cork(void *session)
{
	gnutls_record_cork(session);
}

bool tls_uncork(void *session)
{
	return gnutls_record_uncork(session, 0) >= 0;
}
