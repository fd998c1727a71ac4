/* Owns what directories' TLS is checked with: one context of trust anchors and our certificate, parsed once and
 * shared by all handles. */
#include <errno.h>
#include <ldap.h>
#include <openldap.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/file.h"
#include "common/ldapx_handle.h"

#define PEM_BYTES_MAX ((size_t)4 << 20)

/* Where systems keep the bundle of public authorities. */
static const char *const system_bundles[] = {
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
};

struct ldapx_tls {
	LDAP *owner; /* holds the context; never connected to anyone */
	void *context;
	int peer; /* of its socket: open, so that a goodbye does not raise SIGPIPE */
};

/* --- options: one setter a type, since ldap_set_option takes void * and checks nothing --- */

static bool opt_int(LDAP *ld, int option, int value)
{
	return ldap_set_option(ld, option, &value) == LDAP_OPT_SUCCESS;
}

static bool opt_str(LDAP *ld, int option, const char *value)
{
	return ldap_set_option(ld, option, value) == LDAP_OPT_SUCCESS;
}

static bool opt_demands(LDAP *ld)
{
	return opt_int(ld, LDAP_OPT_X_TLS_REQUIRE_CERT, LDAP_OPT_X_TLS_DEMAND) &&
	       opt_int(ld, LDAP_OPT_X_TLS_REQUIRE_SAN, LDAP_OPT_X_TLS_DEMAND) &&
	       opt_int(ld, LDAP_OPT_X_TLS_PROTOCOL_MIN, LDAP_OPT_X_TLS_PROTOCOL_TLS1_2);
}

bool ldapx_tls_use(const struct ldapx_tls *t, struct ldap *ld)
{
	/* The handle takes a reference of its own. */
	return opt_demands(ld) &&
	       ldap_set_option(ld, LDAP_OPT_X_TLS_CTX, t->context) == LDAP_OPT_SUCCESS;
}

/* --- files that libldap can open and nobody else --- */

/* With GnuTLS below, libldap reads PEM by path only: an anonymous file has one in /proc. */
struct anonymous {
	int fd;
	char path[32];
};

static void anonymous_close(struct anonymous *f)
{
	if (f->fd >= 0)
		close(f->fd);
}

static enum err_code anonymous_fill(struct anonymous *f, struct slice pem, struct err *e)
{
	f->fd = memfd_create("ldap-pem", MFD_CLOEXEC);
	if (f->fd < 0)
		return err_set(e, ERR_INTERNAL, "memfd_create: %s", strerror(errno));
	while (pem.len > 0) {
		ssize_t n = write(f->fd, pem.p, pem.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(e, ERR_INTERNAL, "memfd: %s", strerror(errno));
		pem = slice_skip(pem, (size_t)n);
	}
	snprintf(f->path, sizeof(f->path), "/proc/self/fd/%d", f->fd);
	return ERR_OK;
}

/* --- the context --- */

/* NEWCTX comes last: it builds the context from what was set before it. */
static enum err_code build(LDAP *ld, const struct ldapx_tls_pem *pem, struct err *e)
{
	AUTO(anonymous_close) struct anonymous ca = {.fd = -1}, cert = {.fd = -1}, key = {.fd = -1};
	TRY(anonymous_fill(&ca, pem->ca, e));
	bool ok = opt_demands(ld) && opt_str(ld, LDAP_OPT_X_TLS_CACERTFILE, ca.path);
	if (pem->cert.len) {
		TRY(anonymous_fill(&cert, pem->cert, e));
		TRY(anonymous_fill(&key, pem->key, e));
		ok = ok && opt_str(ld, LDAP_OPT_X_TLS_CERTFILE, cert.path) &&
		     opt_str(ld, LDAP_OPT_X_TLS_KEYFILE, key.path);
	}
	if (ok && opt_int(ld, LDAP_OPT_X_TLS_NEWCTX, 0))
		return ERR_OK;
	return err_set(e, ERR_INVALID, "%s",
	    pem->cert.len ? "not usable as trust anchors, certificate and its key (is it valid PEM?)"
			  : "not usable as trust anchors (is it valid PEM?)");
}

static int learn(LDAP *ld UNUSED, void *session UNUSED, void *context, void *arg)
{
	*(void **)arg = context;
	return 0;
}

/* Asking libldap for a handle's context takes a reference that nothing public gives back, but the start of a
 * handshake tells it for free: here one whose peer is gone. */
static bool start_handshake(struct ldapx_tls *t)
{
	return ldap_set_option(t->owner, LDAP_OPT_X_TLS_CONNECT_CB, (void *)(uintptr_t)learn) ==
		   LDAP_OPT_SUCCESS &&
	       ldap_set_option(t->owner, LDAP_OPT_X_TLS_CONNECT_ARG, &t->context) ==
		   LDAP_OPT_SUCCESS &&
	       ldap_install_tls(t->owner) != LDAP_SUCCESS && t->context;
}

void ldapx_tls_free(struct ldapx_tls **t)
{
	if (!t || !*t)
		return;
	if ((*t)->owner)
		ldap_unbind_ext((*t)->owner, NULL, NULL);
	if ((*t)->peer >= 0)
		close((*t)->peer);
	free(*t);
	*t = NULL;
}

/* Takes FD in every case. */
static enum err_code fill(
    struct ldapx_tls *t, int fd, const struct ldapx_tls_pem *pem, struct err *e)
{
	if (ldap_init_fd(fd, LDAP_PROTO_TCP, "ldaps://localhost", &t->owner) != LDAP_SUCCESS) {
		close(fd);
		return err_set(e, ERR_INTERNAL, "no LDAP handle");
	}
	TRY(build(t->owner, pem, e));
	if (!start_handshake(t))
		return err_set(e, ERR_INTERNAL, "no TLS context");
	return ERR_OK;
}

enum err_code ldapx_tls_new(
    const struct ldapx_tls_pem *pem, struct ldapx_tls **out, struct err *e)
{
	ldapx_init();
	static const char begin[] = "-----BEGIN CERTIFICATE-----";
	if (!pem->ca.p || !memmem(pem->ca.p, pem->ca.len, begin, sizeof(begin) - 1))
		return err_set(e, ERR_INVALID, "no PEM certificate");
	AUTO(ldapx_tls_free) struct ldapx_tls *t = calloc(1, sizeof(*t));
	if (!t)
		abort();
	t->peer = -1;
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		return err_set(e, ERR_INTERNAL, "socketpair: %s", strerror(errno));
	t->peer = pair[1];
	shutdown(pair[1], SHUT_WR);
	enum err_code code = fill(t, pair[0], pem, e);
	if (code == ERR_OK)
		*out = TAKE(t);
	return code;
}

enum err_code ldapx_system_ca(struct arena *a, struct slice *pem, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(system_bundles); i++) {
		if (file_read(a, system_bundles[i], PEM_BYTES_MAX, pem, e) == ERR_OK)
			return ERR_OK;
	}
	return err_set(e, ERR_NOT_FOUND, "not set, and the system has no bundle of its own");
}
