/* Owns pools from configuration on: what their files hold, which living one is the same, and who has it. */
#include "authn/ldap_pool_state.h"

#include <stdlib.h>
#include <strings.h>

#include "authn/jose.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/metrics.h"

#define PEM_BYTES_MAX ((size_t)4 << 20)

struct ldap_pools {
	struct ldap_pools_options options;
	pthread_mutex_t lock;
	struct ldap_pool *list;
};

/* --- the registry --- */

struct ldap_pools *ldap_pools_new(const struct ldap_pools_options *opt)
{
	struct ldap_pools *s = calloc(1, sizeof(*s));
	if (!s)
		abort();
	s->options = *opt;
	pthread_mutex_init(&s->lock, NULL);
	return s;
}

void ldap_pools_free(struct ldap_pools **s)
{
	if (!s || !*s)
		return;
	pthread_mutex_destroy(&(*s)->lock);
	free(*s);
	*s = NULL;
}

void ldap_pools_tell(const struct ldap_pool *p, size_t server, const struct err *e)
{
	const struct ldap_pools_options *o = &p->owner->options;
	if (o->event)
		o->event(o->arg, p->name, p->servers[server].url, e);
}

static void status_of(struct ldap_pool *p, struct buf *out)
{
	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < p->nservers; i++) {
		const struct ldap_server *s = &p->servers[i];
		bool well = s->breaker.state == BREAKER_CLOSED;
		buf_printf(out, "%c%s: %s", well ? '+' : '-', p->name, s->url);
		if (!well)
			buf_printf(out, ": not asked: %s", s->last.msg);
		buf_addc(out, '\n');
	}
	pthread_mutex_unlock(&p->lock);
}

void ldap_pools_status(struct ldap_pools *s, struct buf *out)
{
	pthread_mutex_lock(&s->lock);
	for (struct ldap_pool *p = s->list; p; p = p->next)
		status_of(p, out);
	pthread_mutex_unlock(&s->lock);
}

/* --- files --- */

static enum err_code bad(
    const struct ldap_config *c, struct diags *d, const char *key, const char *why)
{
	return diags_error(d, c->place.file ? c->place.file : "", c->place.line, c->place.col,
	    "directory %s: %s: %s", c->name, key, why);
}

static enum err_code load_password(
    struct ldap_pool *p, const struct ldap_config *c, struct diags *d)
{
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

static bool wants_tls(const struct ldap_config *c)
{
	bool tls = c->start_tls;
	for (size_t i = 0; i < c->urls.len; i++)
		tls = tls || strncasecmp(c->urls.items[i], "ldaps://", 8) == 0;
	return tls;
}

static enum err_code load_ca(struct ldap_pool *p, const struct ldap_config *c, struct diags *d)
{
	struct err e = {0};
	enum err_code code = ERR_OK;
	if (c->ca_file)
		code = file_read(&p->arena, c->ca_file, PEM_BYTES_MAX, &p->ca, &e);
	else if (c->ca_pem)
		p->ca = slice_dup(&p->arena, slice_of(c->ca_pem));
	else
		code = ldapx_system_ca(&p->arena, &p->ca, &e);
	if (code == ERR_OK && (c->ca_file || c->ca_pem))
		code = jose_check_certificates(p->ca, &e);
	if (code == ERR_OK)
		return ERR_OK;
	return bad(c, d, c->ca_file ? "certificateAuthorityFile" : "certificateAuthority", e.msg);
}

static struct ldap_stamp stamp(const char *path)
{
	struct stat st;
	if (!path || stat(path, &st) != 0)
		return (struct ldap_stamp){0};
	return (struct ldap_stamp){
	    .mtime = st.st_mtim, .ctime = st.st_ctim, .ino = st.st_ino, .size = st.st_size};
}

static bool stamp_eq(const struct ldap_stamp *a, const struct ldap_stamp *b)
{
	return a->mtime.tv_sec == b->mtime.tv_sec && a->mtime.tv_nsec == b->mtime.tv_nsec &&
	       a->ctime.tv_sec == b->ctime.tv_sec && a->ctime.tv_nsec == b->ctime.tv_nsec &&
	       a->ino == b->ino && a->size == b->size;
}

/* A context of the files as they are. */
static enum err_code build_trust(const struct ldap_pool *p, struct ldap_trust **out, struct err *e)
{
	AUTO(arena_done) struct arena a;
	arena_init_wiped(&a, 0);
	struct ldapx_tls_pem pem = {.ca = p->ca};
	if (p->cert_file) {
		TRY(file_read(&a, p->cert_file, PEM_BYTES_MAX, &pem.cert, e));
		TRY(file_read(&a, p->key_file, PEM_BYTES_MAX, &pem.key, e));
		if (pem.cert.len == 0 || pem.key.len == 0)
			return err_set(e, ERR_INVALID, "empty");
	}
	struct ldapx_tls *tls = NULL;
	TRY(ldapx_tls_new(&pem, &tls, e));
	struct ldap_trust *t = calloc(1, sizeof(*t));
	if (!t)
		abort();
	*t = (struct ldap_trust){.tls = tls, .refs = 1};
	*out = t;
	return ERR_OK;
}

static enum err_code load_trust(struct ldap_pool *p, const struct ldap_config *c, struct diags *d)
{
	if (!wants_tls(c))
		return ERR_OK;
	TRY(load_ca(p, c, d));
	p->stamps[0] = stamp(p->cert_file);
	p->stamps[1] = stamp(p->key_file);
	struct err e;
	if (build_trust(p, &p->trust, &e) == ERR_OK)
		return ERR_OK;
	return bad(c, d,
	    p->cert_file ? "clientCertificateFile"
	    : c->ca_file ? "certificateAuthorityFile"
			 : "certificateAuthority",
	    e.msg);
}

/* --- trust in use --- */

/* With the lock, or nobody else there. */
static void release_trust(struct ldap_trust *t)
{
	if (!t || --t->refs > 0)
		return;
	ldapx_tls_free(&t->tls);
	free(t);
}

void ldap_pool_trust_done(struct ldap_pool *p, struct ldap_trust *t)
{
	pthread_mutex_lock(&p->lock);
	release_trust(t);
	pthread_mutex_unlock(&p->lock);
}

/* True for one caller after each change. */
static bool files_changed(struct ldap_pool *p)
{
	if (!p->cert_file)
		return false;
	struct ldap_stamp now[] = {stamp(p->cert_file), stamp(p->key_file)};
	pthread_mutex_lock(&p->lock);
	bool changed = !stamp_eq(&now[0], &p->stamps[0]) || !stamp_eq(&now[1], &p->stamps[1]);
	memcpy(p->stamps, now, sizeof(now));
	pthread_mutex_unlock(&p->lock);
	return changed;
}

struct ldap_trust *ldap_pool_trust(struct ldap_pool *p)
{
	struct ldap_trust *fresh = NULL;
	struct err ignored; /* files in the middle of a change: the old certificate serves on */
	if (files_changed(p) && build_trust(p, &fresh, &ignored) != ERR_OK)
		fresh = NULL;
	pthread_mutex_lock(&p->lock);
	if (fresh) {
		release_trust(p->trust);
		p->trust = fresh;
	}
	struct ldap_trust *t = p->trust;
	if (t)
		t->refs++;
	pthread_mutex_unlock(&p->lock);
	return t;
}

/* --- pools --- */

static bool same(const struct ldap_pool *a, const struct ldap_pool *b)
{
	if (a->nservers != b->nservers || a->start_tls != b->start_tls ||
	    a->external != b->external || a->timeout != b->timeout)
		return false;
	for (size_t i = 0; i < a->nservers; i++) {
		if (!text_eq(a->servers[i].url, b->servers[i].url))
			return false;
	}
	return text_eq(a->name, b->name) && text_eq(a->bind_dn, b->bind_dn) &&
	       text_eq(a->cert_file, b->cert_file) && text_eq(a->key_file, b->key_file) &&
	       slice_eq(a->ca, b->ca) &&
	       secret_equal(a->password.p, a->password.len, b->password.p, b->password.len);
}

static void destroy(struct ldap_pool *p)
{
	ldap_pool_stop(p);
	while (p->nidle > 0) {
		struct ldap_idle *i = &p->idle[--p->nidle];
		metric_sub(p->servers[i->server].idle, 1);
		metric_inc(p->servers[i->server].busy);
		ldapx_close(&i->h);
	}
	release_trust(p->trust);
	secret_free(&p->password);
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	arena_done(&p->arena);
	free(p);
}

static struct ldap_pool *from_config(struct ldap_pools *s, const struct ldap_config *c)
{
	struct ldap_pool *p = calloc(1, sizeof(*p));
	if (!p)
		abort();
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->wake, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&p->lock, NULL);
	p->owner = s;
	p->refs = 1;
	p->name = arena_strdup(&p->arena, c->name);
	p->bind_dn = arena_strdup(&p->arena, c->bind_dn);
	p->cert_file = arena_strdup(&p->arena, c->client_cert_file);
	p->key_file = arena_strdup(&p->arena, c->client_key_file);
	p->start_tls = c->start_tls;
	p->external = c->sasl_external;
	p->timeout = c->timeout;
	p->nservers = c->urls.len;
	p->servers = ARENA_ARRAY(&p->arena, struct ldap_server, p->nservers);
	for (size_t i = 0; i < p->nservers; i++)
		p->servers[i].url = arena_strdup(&p->arena, c->urls.items[i]);
	return p;
}

/* The living pool that is as P, with a reference; else P itself joins the others. */
static struct ldap_pool *enlist(struct ldap_pools *s, struct ldap_pool *p)
{
	pthread_mutex_lock(&s->lock);
	struct ldap_pool *old = s->list;
	while (old && !same(old, p))
		old = old->next;
	if (old) {
		old->refs++;
	} else {
		for (size_t i = 0; i < p->nservers; i++)
			ldap_server_init(&p->servers[i], p->name, p->servers[i].url);
		p->next = s->list;
		s->list = p;
	}
	pthread_mutex_unlock(&s->lock);
	return old;
}

enum err_code ldap_pool_new(struct ldap_pools *s, const struct ldap_config *cfg,
    struct ldap_pool **out, struct diags *d)
{
	struct ldap_pool *p = from_config(s, cfg);
	enum err_code password = load_password(p, cfg, d), trust = load_trust(p, cfg, d);
	if (password != ERR_OK || trust != ERR_OK) {
		destroy(p);
		return ERR_INVALID;
	}
	struct ldap_pool *old = enlist(s, p);
	if (old)
		destroy(p);
	*out = old ? old : p;
	return ERR_OK;
}

/* With the owner's lock. */
static bool known(const struct ldap_pools *s, const char *directory, const char *url)
{
	for (const struct ldap_pool *p = s->list; p; p = p->next) {
		for (size_t i = 0; i < p->nservers && strcmp(p->name, directory) == 0; i++) {
			if (strcmp(p->servers[i].url, url) == 0)
				return true;
		}
	}
	return false;
}

/* With the owner's lock: the series of servers that no other pool has. */
static void forget_servers(const struct ldap_pool *p)
{
	for (size_t i = 0; i < p->nservers; i++) {
		if (!known(p->owner, p->name, p->servers[i].url))
			ldap_server_forget(&p->servers[i], p->name);
	}
}

void ldap_pool_free(struct ldap_pool **pool)
{
	if (!pool || !*pool)
		return;
	struct ldap_pool *p = TAKE(*pool);
	struct ldap_pools *s = p->owner;
	pthread_mutex_lock(&s->lock);
	bool last = --p->refs == 0;
	if (last) {
		struct ldap_pool **at = &s->list;
		while (*at != p)
			at = &(*at)->next;
		*at = p->next;
		forget_servers(p);
	}
	pthread_mutex_unlock(&s->lock);
	if (last)
		destroy(p);
}
