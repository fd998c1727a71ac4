/* Owns a directory's connections: service handles kept warm, and fail-over through the servers. */
#include "authn/ldap_pool.h"

#include <pthread.h>
#include <stdlib.h>
#include <strings.h>

#include "authn/jose.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/secret.h"

/* Service handles kept between jobs: as many as jobs commonly run at once. */
#define IDLE_MAX 8
/* Firewalls forget silent connections after minutes, Active Directory closes them after 15. */
#define IDLE_AGE (120 * CLOCK_SECOND)
/* A server that failed is asked last for so long. */
#define AVOID_FOR (10 * CLOCK_SECOND)
#define CA_BYTES_MAX ((size_t)4 << 20)

/* Where systems keep the bundle of public authorities. */
static const char *const system_bundles[] = {
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
};

struct idle {
	struct ldapx *h;
	size_t server;
	int64_t since;
};

struct ldap_pool {
	const struct ldap_config *cfg;
	struct ldapx_tls *tls;
	struct secret password;
	pthread_mutex_t lock; /* guards what follows */
	struct idle idle[IDLE_MAX];
	size_t nidle;
	int64_t *avoid_until; /* one a server */
};

/* --- building --- */

static enum err_code bad(
    const struct ldap_config *c, struct diags *d, const char *key, const char *why)
{
	return diags_error(d, c->place.file ? c->place.file : "", c->place.line, c->place.col,
	    "directory %s: %s: %s", c->name, key, why);
}

static enum err_code load_password(struct ldap_pool *p, struct diags *d)
{
	const struct ldap_config *c = p->cfg;
	if (!c->bind_password_file)
		return ERR_OK;
	AUTO(arena_done) struct arena a;
	arena_init_wiped(&a, 0);
	struct slice text;
	struct err e;
	/* One byte more than may be used, and a line break. */
	if (file_read(&a, c->bind_password_file, LDAPX_PASSWORD_MAX + 2, &text, &e) != ERR_OK)
		return bad(c, d, "bindPasswordFile", e.msg);
	if (text.len > 0 && text.p[text.len - 1] == '\n')
		text.len--;
	if (text.len > 0 && text.p[text.len - 1] == '\r')
		text.len--;
	if (text.len == 0)
		return bad(c, d, "bindPasswordFile", "empty: a bind without password is anonymous");
	if (text.len > LDAPX_PASSWORD_MAX || memchr(text.p, '\0', text.len))
		return bad(c, d, "bindPasswordFile", "longer than 1024 bytes or with a NUL in it");
	p->password = secret_new(text.p, text.len);
	return ERR_OK;
}

static enum err_code read_bundle(struct arena *a, struct slice *pem, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(system_bundles); i++) {
		if (file_read(a, system_bundles[i], CA_BYTES_MAX, pem, e) == ERR_OK)
			return ERR_OK;
	}
	return err_set(e, ERR_NOT_FOUND, "not set, and the system has no bundle of its own");
}

static bool wants_tls(const struct ldap_config *c)
{
	bool tls = c->start_tls;
	for (size_t i = 0; i < c->urls.len; i++)
		tls = tls || strncasecmp(c->urls.items[i], "ldaps://", 8) == 0;
	return tls;
}

static enum err_code load_ca(struct ldap_pool *p, struct diags *d)
{
	const struct ldap_config *c = p->cfg;
	if (!wants_tls(c))
		return ERR_OK;
	AUTO(arena_done) struct arena a = {0};
	struct slice pem = slice_of(c->ca_pem);
	struct err e = {0};
	enum err_code code = ERR_OK;
	if (c->ca_file)
		code = file_read(&a, c->ca_file, CA_BYTES_MAX, &pem, &e);
	else if (!c->ca_pem)
		code = read_bundle(&a, &pem, &e);
	if (code == ERR_OK && (c->ca_file || c->ca_pem))
		code = jose_check_certificates(pem, &e);
	if (code == ERR_OK)
		code = ldapx_tls_new(&(struct ldapx_tls_pem){.ca = pem}, &p->tls, &e);
	if (code == ERR_OK)
		return ERR_OK;
	return bad(c, d, c->ca_file ? "certificateAuthorityFile" : "certificateAuthority", e.msg);
}

enum err_code ldap_pool_new(const struct ldap_config *cfg, struct ldap_pool **out, struct diags *d)
{
	AUTO(ldap_pool_free) struct ldap_pool *p = calloc(1, sizeof(*p));
	if (!p)
		abort();
	p->cfg = cfg;
	pthread_mutex_init(&p->lock, NULL);
	p->avoid_until = calloc(cfg->urls.len, sizeof(*p->avoid_until));
	if (!p->avoid_until)
		abort();
	enum err_code password = load_password(p, d), ca = load_ca(p, d);
	if (password != ERR_OK || ca != ERR_OK)
		return ERR_INVALID;
	*out = TAKE(p);
	return ERR_OK;
}

void ldap_pool_free(struct ldap_pool **p)
{
	if (!p || !*p)
		return;
	for (size_t i = 0; i < (*p)->nidle; i++)
		ldapx_close(&(*p)->idle[i].h);
	ldapx_tls_free(&(*p)->tls);
	secret_free(&(*p)->password);
	pthread_mutex_destroy(&(*p)->lock);
	free((*p)->avoid_until);
	free(*p);
	*p = NULL;
}

/* --- handles --- */

/* The youngest idle handle to SERVER; NULL when there is none. */
static struct ldapx *take_idle(struct ldap_pool *p, size_t server)
{
	struct idle got = {0};
	pthread_mutex_lock(&p->lock);
	for (size_t i = p->nidle; i > 0 && !got.h; i--) {
		if (p->idle[i - 1].server != server)
			continue;
		got = p->idle[i - 1];
		memmove(&p->idle[i - 1], &p->idle[i], (p->nidle - i) * sizeof(p->idle[0]));
		p->nidle--;
	}
	pthread_mutex_unlock(&p->lock);
	if (got.h && (clock_mono() - got.since > IDLE_AGE || !ldapx_reusable(got.h)))
		ldapx_close(&got.h);
	return got.h;
}

/* Keeps H or closes it. */
static void give_idle(struct ldap_pool *p, size_t server, struct ldapx *h)
{
	if (!h)
		return;
	bool kept = false;
	if (ldapx_alive(h)) {
		pthread_mutex_lock(&p->lock);
		kept = p->nidle < IDLE_MAX;
		if (kept)
			p->idle[p->nidle++] =
			    (struct idle){.h = h, .server = server, .since = clock_mono()};
		pthread_mutex_unlock(&p->lock);
	}
	if (!kept)
		ldapx_close(&h);
}

static enum err_code connect_to(
    const struct ldap_pool *p, size_t server, int64_t deadline, struct ldapx **out, struct err *e)
{
	struct ldapx_server s = {
	    .url = p->cfg->urls.items[server],
	    .start_tls = p->cfg->start_tls,
	    .tls = p->tls,
	};
	return ldapx_open(&s, deadline, out, e);
}

enum err_code ldap_session_connect(const struct ldap_session *s, struct ldapx **out, struct err *e)
{
	return connect_to(s->pool, s->server, s->deadline, out, e);
}

static enum err_code open_service(struct ldap_session *s, struct err *e)
{
	const struct ldap_pool *p = s->pool;
	AUTO(ldapx_close) struct ldapx *h = NULL;
	enum err_code code = connect_to(p, s->server, s->deadline, &h, e);
	if (code == ERR_OK && p->cfg->bind_dn) {
		struct slice password = {p->password.p, p->password.len};
		code = ldapx_bind(h, slice_of(p->cfg->bind_dn), password, s->deadline, NULL, e);
		if (code != ERR_OK)
			err_wrap(e, "%s: service account", p->cfg->urls.items[s->server]);
		/* Our own account is wrong: that says nothing about anybody's password. */
		if (code == ERR_REFUSED)
			code = ERR_UNAVAILABLE;
	}
	if (code == ERR_OK)
		s->service = TAKE(h);
	return code;
}

/* --- fail-over --- */

static bool is_outage(enum err_code code)
{
	return code != ERR_OK && code != ERR_REFUSED && code != ERR_LIMIT;
}

static enum err_code one_server(struct ldap_session *s,
    enum err_code (*job)(struct ldap_session *s, void *arg, struct err *e), void *arg,
    struct err *e)
{
	enum err_code code;
	s->service = take_idle(s->pool, s->server);
	if (s->service) {
		code = job(s, arg, e);
		/* Only a kept handle that turned out dead is worth another try on the same server.
		 */
		if (!is_outage(code) || ldapx_alive(s->service) || clock_mono() >= s->deadline) {
			give_idle(s->pool, s->server, TAKE(s->service));
			return code;
		}
		ldapx_close(&s->service);
	}
	code = open_service(s, e);
	if (code == ERR_OK)
		code = job(s, arg, e);
	give_idle(s->pool, s->server, TAKE(s->service));
	return code;
}

static bool avoided(struct ldap_pool *p, size_t server)
{
	pthread_mutex_lock(&p->lock);
	bool yes = clock_mono() < p->avoid_until[server];
	pthread_mutex_unlock(&p->lock);
	return yes;
}

static void note(struct ldap_pool *p, size_t server, bool failed)
{
	pthread_mutex_lock(&p->lock);
	p->avoid_until[server] = failed ? clock_mono() + AVOID_FOR : 0;
	pthread_mutex_unlock(&p->lock);
}

/* Indices of the servers in the order to ask them. */
static size_t order_servers(struct ldap_pool *p, size_t order[LDAP_URLS_MAX])
{
	size_t late[LDAP_URLS_MAX], nlate = 0, n = 0;
	for (size_t i = 0; i < p->cfg->urls.len; i++) {
		if (avoided(p, i))
			late[nlate++] = i;
		else
			order[n++] = i;
	}
	for (size_t i = 0; i < nlate; i++)
		order[n++] = late[i];
	return n;
}

/* The configured timeout, or a fair share of what is left for SERVERS of them. */
static int64_t turn_ends(const struct ldap_pool *p, int64_t deadline, size_t servers)
{
	int64_t now = clock_mono(), share = (deadline - now) / (int64_t)servers;
	return now + (share < p->cfg->timeout ? share : p->cfg->timeout);
}

enum err_code ldap_pool_run(struct ldap_pool *p, int64_t deadline,
    enum err_code (*job)(struct ldap_session *s, void *arg, struct err *e), void *arg,
    struct err *e)
{
	size_t order[LDAP_URLS_MAX];
	size_t n = order_servers(p, order);
	enum err_code first = ERR_OK;
	for (size_t i = 0; i < n && clock_mono() < deadline; i++) {
		struct ldap_session s = {
		    .pool = p, .server = order[i], .deadline = turn_ends(p, deadline, n - i)};
		struct err why = {0};
		enum err_code code = one_server(&s, job, arg, &why);
		note(p, order[i], is_outage(code));
		if (!is_outage(code)) {
			if (code != ERR_OK)
				err_set(e, code, "%s", why.msg);
			return code;
		}
		if (first == ERR_OK) {
			first = code == ERR_TIMEOUT ? ERR_TIMEOUT : ERR_UNAVAILABLE;
			err_set(e, first, "%s", why.msg);
		}
	}
	return first != ERR_OK ? first : err_set(e, ERR_TIMEOUT, "no time left");
}
