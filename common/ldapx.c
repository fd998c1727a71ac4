/* Owns connections to directories: handles, their options, deadlines on their sockets, TLS. */
#include "common/ldapx_handle.h"

#include <errno.h>
#include <lber.h>
#include <ldap.h>
#include <openldap.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/dial.h"

/* A goodbye (unbind, close_notify) is worth no more. */
#define GOODBYE (100 * CLOCK_MS)

static pthread_once_t init_once = PTHREAD_ONCE_INIT;

static void init_library(void)
{
	setenv("LDAPNOINIT", "1", 1);
	LDAPAPIInfo info = {.ldapai_info_version = LDAP_API_INFO_VERSION};
	if (ldap_get_option(NULL, LDAP_OPT_API_INFO, &info) == LDAP_OPT_SUCCESS) {
		ldap_memfree(info.ldapai_vendor_name);
		ber_memvfree((void **)info.ldapai_extensions);
	}
}

void ldapx_init(void)
{
	pthread_once(&init_once, init_library);
}

/* --- errors --- */

static enum err_code code_of(int rc)
{
	return rc == LDAP_TIMEOUT ? ERR_TIMEOUT : ERR_UNAVAILABLE;
}

enum err_code ldapx_fail(struct ldapx *h, struct err *e, const char *what, int rc)
{
	h->broken = true;
	if (rc != LDAP_SUCCESS && clock_mono() >= h->deadline)
		rc = LDAP_TIMEOUT;
	return err_set(e, code_of(rc), "%s: %s (%d)", what, ldap_err2string(rc), rc);
}

/* As ldapx_fail, with libldap's own diagnosis: only while no server has been authenticated. */
static enum err_code fail_connect(struct ldapx *h, struct err *e, const char *what, int rc)
{
	char *text = NULL;
	ldap_get_option(h->ld, LDAP_OPT_DIAGNOSTIC_MESSAGE, &text);
	enum err_code code = ldapx_fail(h, e, what, rc);
	/* What libldap over GnuTLS says of a handshake that was fine and a certificate that was
	 * not. */
	if (text && strstr(text, "unknown error code"))
		err_set(e, code,
		    "%s: the certificate is not by a trusted authority, not valid now, or not "
		    "for this host",
		    what);
	else if (text && *text)
		err_set(e, code, "%s: %s (%d): %s", what, ldap_err2string(rc), rc, text);
	ldap_memfree(text);
	return code;
}

static int last_rc(const struct ldapx *h)
{
	int rc = LDAP_OTHER;
	ldap_get_option(h->ld, LDAP_OPT_RESULT_CODE, &rc);
	return rc == LDAP_SUCCESS ? LDAP_OTHER : rc;
}

/* --- time --- */

struct timeval ldapx_until(int64_t deadline)
{
	int64_t left = deadline - clock_mono();
	if (left < CLOCK_MS)
		left = CLOCK_MS; /* zero would mean "poll" or "for ever" */
	return (struct timeval){
	    .tv_sec = left / CLOCK_SECOND, .tv_usec = left % CLOCK_SECOND / 1000};
}

int ldapx_said(int result)
{
	return result < 0 ? LDAP_OTHER : result;
}

struct ldapmsg *ldapx_wait(struct ldapx *h, int id, bool all, int *rc)
{
	struct timeval tv = ldapx_until(h->deadline);
	LDAPMessage *msg = NULL;
	int got = ldap_result(h->ld, id, all ? LDAP_MSG_ALL : LDAP_MSG_ONE, &tv, &msg);
	/* A hostile server's message may be of the type that also means "none in time". */
	if (!msg)
		*rc = got == 0 ? LDAP_TIMEOUT : last_rc(h);
	return msg;
}

/* A layer between libldap's TLS and its socket. ldap_result() gives up in time only between
 * messages: a peer that stops in the middle of one, or takes no more data, would hold the thread
 * for ever. */
static int layer_setup(Sockbuf_IO_Desc *d, void *arg)
{
	d->sbiod_pvt = arg;
	return 0;
}

static int layer_remove(Sockbuf_IO_Desc *d)
{
	d->sbiod_pvt = NULL;
	return 0;
}

static int layer_ctrl(Sockbuf_IO_Desc *d, int opt, void *arg)
{
	return LBER_SBIOD_CTRL_NEXT(d, opt, arg);
}

static ber_slen_t layer_read(Sockbuf_IO_Desc *d, void *buf, ber_len_t len)
{
	const struct ldapx *h = d->sbiod_pvt;
	return cancel_wait(h->cancel, h->fd, POLLIN, h->deadline) ? LBER_SBIOD_READ_NEXT(d, buf, len) : -1;
}

static ber_slen_t layer_write(Sockbuf_IO_Desc *d, void *buf, ber_len_t len)
{
	const struct ldapx *h = d->sbiod_pvt;
	return cancel_wait(h->cancel, h->fd, POLLOUT, h->deadline) ? LBER_SBIOD_WRITE_NEXT(d, buf, len) : -1;
}

static int layer_close(Sockbuf_IO_Desc *d UNUSED)
{
	return 0;
}

static Sockbuf_IO deadline_layer = {
    .sbi_setup = layer_setup,
    .sbi_remove = layer_remove,
    .sbi_ctrl = layer_ctrl,
    .sbi_read = layer_read,
    .sbi_write = layer_write,
    .sbi_close = layer_close,
};

/* --- options --- */

static bool opt_int(LDAP *ld, int option, int value)
{
	return ldap_set_option(ld, option, &value) == LDAP_OPT_SUCCESS;
}

static bool opt_off(LDAP *ld, int option)
{
	return ldap_set_option(ld, option, LDAP_OPT_OFF) == LDAP_OPT_SUCCESS;
}

static bool opt_on(LDAP *ld, int option)
{
	return ldap_set_option(ld, option, LDAP_OPT_ON) == LDAP_OPT_SUCCESS;
}

/* NETWORK_TIMEOUT stays unset: with it libldap drives the handshake itself, on a socket that does
 * not block, and over GnuTLS that loop spins and never ends when the peer stays silent. The layer
 * above bounds handshakes like everything else. */
static bool set_options(LDAP *ld)
{
	return opt_int(ld, LDAP_OPT_PROTOCOL_VERSION, LDAP_VERSION3) &&
	       opt_off(ld, LDAP_OPT_REFERRALS) && opt_on(ld, LDAP_OPT_RESTART) &&
	       opt_int(ld, LDAP_OPT_DEREF, LDAP_DEREF_NEVER);
}

/* --- handles --- */

void ldapx_told(struct ldapx *h, enum ldapx_op op, enum err_code code, int64_t since)
{
	if (code == ERR_OK || code == ERR_REFUSED || code == ERR_LIMIT)
		h->answered = clock_mono();
	if (h->watch)
		h->watch->told(h->watch, op, code, clock_mono() - since);
}

void ldapx_close(struct ldapx **h)
{
	if (!h || !*h)
		return;
	if ((*h)->connected)
		ldapx_told(*h, LDAPX_OP_CLOSE, ERR_OK, clock_mono());
	if ((*h)->ld) {
		/* A broken peer gets no goodbye: its socket layer fails at once. */
		(*h)->deadline = (*h)->broken ? 0 : clock_mono() + GOODBYE;
		ldap_unbind_ext((*h)->ld, NULL, NULL);
	}
	free(*h);
	*h = NULL;
}

bool ldapx_alive(const struct ldapx *h)
{
	return !h->broken;
}

int64_t ldapx_answered(const struct ldapx *h)
{
	return h->answered;
}

void ldapx_interrupt(struct ldapx *h)
{
	shutdown(h->fd, SHUT_RDWR);
}

bool ldapx_reusable(const struct ldapx *h)
{
	/* Nothing is due: whatever can be read is a farewell or the end of the stream. */
	struct pollfd p = {.fd = h->fd, .events = POLLIN};
	return !h->broken && poll(&p, 1, 0) == 0;
}

static enum err_code start_tls(struct ldapx *h, struct err *e)
{
	int id = 0;
	int rc = ldap_start_tls(h->ld, NULL, NULL, &id);
	if (rc != LDAP_SUCCESS)
		return fail_connect(h, e, "StartTLS", rc);
	/* libldap's own wait cannot be ended, and nothing but the answer can be there before it. */
	if (!cancel_wait(h->cancel, h->fd, POLLIN, h->deadline) && errno == ECANCELED)
		return ldapx_fail(h, e, "StartTLS", LDAP_USER_CANCELLED);
	LDAPMessage *msg = ldapx_wait(h, id, true, &rc);
	if (!msg)
		return ldapx_fail(h, e, "StartTLS", rc);
	int result = LDAP_OTHER, type = ldap_msgtype(msg);
	rc = ldap_parse_result(h->ld, msg, &result, NULL, NULL, NULL, NULL, 1);
	if (rc != LDAP_SUCCESS || result != LDAP_SUCCESS || type != LDAP_RES_EXTENDED)
		return ldapx_fail(h, e, "StartTLS refused", rc != LDAP_SUCCESS ? rc : ldapx_said(result));
	return ERR_OK;
}

/* libldap over GnuTLS knows PROTOCOL_MIN and does not obey it. Nothing has been sent yet that
 * matters. */
static bool tls_is_recent(const struct ldapx *h)
{
	char *version = NULL;
	ldap_get_option(h->ld, LDAP_OPT_X_TLS_VERSION, &version);
	/* "TLS1.2" or "TLSv1.2", after the library below; anything unknown is too old. */
	size_t n = version ? strlen(version) : 0;
	bool ok = n >= 3 && strncmp(version, "TLS", 3) == 0 &&
		  (strcmp(version + n - 3, "1.2") == 0 || strcmp(version + n - 3, "1.3") == 0);
	ldap_memfree(version);
	return ok;
}

static enum err_code install_tls(struct ldapx *h, struct err *e)
{
	int rc = ldap_install_tls(h->ld);
	if (rc != LDAP_SUCCESS)
		return fail_connect(h, e, "TLS", rc);
	if (!ldap_tls_inplace(h->ld))
		return ldapx_fail(h, e, "TLS is not up", LDAP_LOCAL_ERROR);
	return tls_is_recent(h) ? ERR_OK : ldapx_fail(h, e, "TLS older than 1.2", LDAP_CONNECT_ERROR);
}

/* --- connecting: our own socket, so that the layer is there from the first byte --- */

static enum err_code add_layer(struct ldapx *h, struct err *e)
{
	Sockbuf *sb = NULL;
	ber_len_t max = LDAPX_MESSAGE_MAX;
	if (ldap_get_option(h->ld, LDAP_OPT_SOCKBUF, &sb) != LDAP_OPT_SUCCESS || !sb ||
	    ber_sockbuf_ctrl(sb, LBER_SB_OPT_SET_MAX_INCOMING, &max) != 1 ||
	    ber_sockbuf_add_io(sb, &deadline_layer, LBER_SBIOD_LEVEL_PROVIDER + 5, h) != 0 ||
	    !ldapx_frame_install(&h->frame, sb))
		return ldapx_fail(h, e, "socket", LDAP_LOCAL_ERROR);
	return ERR_OK;
}

/* Hands the socket to libldap; URL names the host that the certificate must be for. */
static enum err_code adopt(struct ldapx *h, const char *url, bool local, struct err *e)
{
	int rc = ldap_init_fd(h->fd, local ? LDAP_PROTO_IPC : LDAP_PROTO_TCP, url, &h->ld);
	if (rc != LDAP_SUCCESS) {
		close(h->fd);
		return err_set(e, ERR_INVALID, "%s: %s", url, ldap_err2string(rc));
	}
	return add_layer(h, e);
}

static void url_free(LDAPURLDesc **u)
{
	if (*u)
		ldap_free_urldesc(*u);
}

/* Before there is a socket. */
static enum err_code may_connect(const struct ldapx_server *s, bool ldaps, struct err *e)
{
	if (!ldaps && !s->start_tls)
		return err_set(e, ERR_INVALID, "%s: clear text is not allowed", s->url);
	if (!s->tls)
		return err_set(e, ERR_INVALID, "%s: TLS without trust anchors", s->url);
	return ERR_OK;
}

/* TLS is up when this is done, unless the server is LOCAL. */
static enum err_code secure(
    struct ldapx *h, const struct ldapx_server *s, bool local, bool ldaps, struct err *e)
{
	if (!set_options(h->ld) || (!local && !ldapx_tls_use(s->tls, h->ld)))
		return ldapx_fail(h, e, "options", LDAP_LOCAL_ERROR);
	if (!local && !ldaps)
		TRY(start_tls(h, e));
	return local ? ERR_OK : install_tls(h, e);
}

static enum err_code connect_server(struct ldapx *h, const struct ldapx_server *s, struct err *e)
{
	AUTO(url_free) LDAPURLDesc *url = NULL;
	if (ldap_url_parse(s->url, &url) != LDAP_URL_SUCCESS)
		return err_set(e, ERR_INVALID, "%s: no URL", s->url);
	bool local = strcmp(url->lud_scheme, "ldapi") == 0;
	bool ldaps = strcmp(url->lud_scheme, "ldaps") == 0;
	if (!local)
		TRY(may_connect(s, ldaps, e));
	enum err_code code = local
				 ? dial_path(url->lud_host, h->deadline, h->cancel, &h->fd, e)
				 : dial_host(url->lud_host, url->lud_port, h->deadline, h->cancel, &h->fd, e);
	if (code == ERR_OK)
		code = adopt(h, s->url, local, e);
	return code == ERR_OK ? secure(h, s, local, ldaps, e) : code;
}

enum err_code ldapx_open(
    const struct ldapx_server *s, int64_t deadline, struct ldapx **out, struct err *e)
{
	ldapx_init();
	if (clock_mono() >= deadline)
		return err_set(e, ERR_TIMEOUT, "%s: no time left", s->url);
	AUTO(ldapx_close) struct ldapx *h = calloc(1, sizeof(*h));
	if (!h)
		abort();
	h->fd = -1;
	h->deadline = deadline;
	h->watch = s->watch;
	h->cancel = s->cancel;
	int64_t since = clock_mono();
	enum err_code code = connect_server(h, s, e);
	h->connected = code == ERR_OK;
	ldapx_told(h, LDAPX_OP_CONNECT, code, since);
	if (code != ERR_OK) {
		if (code != ERR_INVALID)
			err_wrap(e, "%s", s->url);
		return code;
	}
	*out = TAKE(h);
	return ERR_OK;
}

enum err_code ldapx_adopt(int fd, int64_t deadline, struct ldapx **out, struct err *e)
{
	ldapx_init();
	AUTO(ldapx_close) struct ldapx *h = calloc(1, sizeof(*h));
	if (!h)
		abort();
	h->fd = fd;
	h->deadline = deadline;
	enum err_code code = adopt(h, "ldapi:///", true, e);
	if (code == ERR_OK && !set_options(h->ld))
		code = ldapx_fail(h, e, "options", LDAP_LOCAL_ERROR);
	if (code == ERR_OK)
		*out = TAKE(h);
	return code;
}
