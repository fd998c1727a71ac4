/* Owns the credentials of the API client and their rotation. */
#include "rbac-sync/kube_credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"

#define TOKEN_MAX ((size_t)64 << 10)
#define READ_EVERY (60 * CLOCK_SECOND)	   /* the kubelet renews a token minutes before its end */
#define EXPIRY_LEEWAY (10 * CLOCK_SECOND)  /* a request takes its time, and clocks differ */
#define PLUGIN_PAUSE (5 * CLOCK_SECOND)	   /* between runs of one that gives what is about to expire, or has */

static enum err_code load_config(const struct credentials *c, struct kubeconfig **out, struct err *e)
{
	return c->path ? kubeconfig_load(c->path, c->context, out, e)
		       : kubeconfig_in_cluster(c->cluster_dir, out, e);
}

/* A header is no place for a line end, and a token never holds one. */
static bool token_fit(struct slice t)
{
	for (size_t i = 0; i < t.len; i++) {
		if (t.p[i] <= ' ' || t.p[i] > '~')
			return false;
	}
	return t.len > 0;
}

static struct slice trim(struct slice s)
{
	while (s.len && (unsigned char)s.p[0] <= ' ')
		s = slice_skip(s, 1);
	while (s.len && (unsigned char)s.p[s.len - 1] <= ' ')
		s.len--;
	return s;
}

static enum err_code read_token(struct credentials *c, struct err *e)
{
	const struct kubeconfig *config = c->config;
	struct arena a;
	struct slice text = config->token;
	enum err_code rc = ERR_OK;
	arena_init_wiped(&a, 0);
	if (config->token_file)
		rc = file_read(&a, config->token_file, TOKEN_MAX, &text, e);
	text = trim(text);
	if (rc == ERR_OK && (text.len || config->token_file) && !token_fit(text))
		rc = err_set(e, ERR_INVALID, "%s: no token",
		    config->token_file ? config->token_file : "kubeconfig");
	if (rc == ERR_OK) {
		secret_free(&c->token);
		if (text.len)
			c->token = secret_new(text.p, text.len);
	}
	arena_done(&a);
	return rc;
}

static enum err_code read_ca(struct credentials *c, struct err *e)
{
	if (!c->config->ca_file) {
		c->ca = c->config->ca_pem;
		return ERR_OK;
	}
	struct arena a;
	struct slice text;
	arena_init(&a, 0);
	enum err_code rc = file_read(&a, c->config->ca_file, KUBECONFIG_BYTES_MAX, &text, e);
	if (rc == ERR_OK && text.len == 0)
		rc = err_set(e, ERR_INVALID, "%s: empty", c->config->ca_file); /* not: trust everybody */
	if (rc != ERR_OK) {
		arena_done(&a);
		return rc;
	}
	arena_done(&c->ca_arena);
	c->ca_arena = a;
	c->ca = text;
	return ERR_OK;
}

/* --- plugins --- */

static bool plugin_due(const struct credentials *c)
{
	const struct exec_credential *p = &c->plugin;
	if (!c->config->exec)
		return false;
	if (!p->token.len && !p->cert_pem.len)
		return true;
	if (!p->expires || clock_now() < p->expires - EXPIRY_LEEWAY)
		return false;
	return clock_mono() - c->plugin_ran >= PLUGIN_PAUSE;
}

static enum err_code run_plugin(struct credentials *c, struct err *e)
{
	struct exec_credential got;
	c->plugin_ran = clock_mono();
	TRY(exec_credential_get(c->config->exec, EXEC_TIMEOUT_MS, c->cancel, &got, e));
	if (got.token.len && !token_fit((struct slice){got.token.p, got.token.len})) {
		exec_credential_free(&got);
		return err_set(e, ERR_INVALID, "exec plugin %s gives no good token", c->config->exec->argv[0]);
	}
	exec_credential_free(&c->plugin);
	c->plugin = got;
	return ERR_OK;
}

/* --- rotation --- */

static void stamp(const char *path, struct file_stamp *out)
{
	*out = (struct file_stamp){0};
	if (path && file_stamp(path, out, NULL) != ERR_OK)
		*out = (struct file_stamp){0};
}

static void stamp_all(struct credentials *c)
{
	stamp(c->config->ca_file, &c->ca_stamp);
	stamp(c->config->cert_file, &c->cert_stamp);
	stamp(c->config->key_file, &c->key_stamp);
	c->looked = clock_mono();
}

/* Another file, or the same one written to. A file that is away for the moment is no other one. */
static bool moved(const char *path, const struct file_stamp *then)
{
	struct file_stamp now;
	stamp(path, &now);
	return now.ino != 0 && file_stamp_moved(then, &now);
}

static bool files_moved(const struct credentials *c)
{
	return moved(c->config->ca_file, &c->ca_stamp) || moved(c->config->cert_file, &c->cert_stamp) ||
	       moved(c->config->key_file, &c->key_stamp);
}

bool credentials_rotated(struct credentials *c)
{
	if (clock_mono() - c->looked < READ_EVERY)
		return false;
	c->looked = clock_mono();
	return files_moved(c);
}

/* --- reading --- */

/* curl reads these itself, and does not tell why it cannot. */
static enum err_code readable(const char *path, struct err *e)
{
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
	if (path && fd < 0)
		return err_set(e, ERR_UNAVAILABLE, "%s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return ERR_OK;
}

static enum err_code read_all(struct credentials *c, bool *rotated, struct err *e)
{
	bool again = c->read_at != 0;
	*rotated = again && files_moved(c);
	stamp_all(c); /* before reading: what changes meanwhile is seen the next time */
	enum err_code rc = read_ca(c, e);
	if (rc == ERR_OK)
		rc = read_token(c, e);
	if (rc == ERR_OK)
		rc = readable(c->config->cert_file, e);
	if (rc == ERR_OK)
		rc = readable(c->config->key_file, e);
	if (rc != ERR_OK && !again)
		return rc;
	/* For the moment of a careless rotation: the apiserver will say when the old one is too old. */
	c->read_at = clock_mono();
	return ERR_OK;
}

enum err_code credentials_fresh(struct credentials *c, bool *rotated, struct err *e)
{
	*rotated = false;
	if (plugin_due(c)) {
		*rotated = c->plugin.cert_pem.len > 0;
		TRY(run_plugin(c, e));
	}
	if (c->read_at && clock_mono() - c->read_at < READ_EVERY)
		return ERR_OK;
	bool files;
	TRY(read_all(c, &files, e));
	*rotated = *rotated || files;
	return ERR_OK;
}

/* All that was read. */
static void discard(struct credentials *c)
{
	kubeconfig_free(&c->config);
	arena_done(&c->ca_arena);
	secret_free(&c->token);
	exec_credential_free(&c->plugin);
}

enum err_code credentials_renew(struct credentials *c, struct err *e)
{
	struct credentials fresh = {.path = c->path, .context = c->context, .cluster_dir = c->cluster_dir,
	    .cancel = c->cancel};
	bool rotated;
	arena_init(&fresh.ca_arena, 0);
	enum err_code rc = load_config(c, &fresh.config, e);
	if (rc == ERR_OK)
		rc = credentials_fresh(&fresh, &rotated, e);
	discard(rc == ERR_OK ? c : &fresh);
	if (rc == ERR_OK)
		*c = fresh;
	return rc;
}

struct slice credentials_show(const struct credentials *c, struct httpc_request *req)
{
	const struct kubeconfig *config = c->config;
	const struct exec_credential *p = &c->plugin;
	req->ca_pem = c->ca;
	req->tls_server_name = config->tls_server_name;
	req->proxy = config->proxy;
	if (config->exec) {
		req->client_cert_pem = (struct slice){p->cert_pem.p, p->cert_pem.len};
		req->client_key_pem = (struct slice){p->key_pem.p, p->key_pem.len};
		return (struct slice){p->token.p, p->token.len};
	}
	req->client_cert = config->cert_file;
	req->client_key = config->key_file;
	req->client_cert_pem = config->cert_pem;
	req->client_key_pem = config->key_pem;
	return (struct slice){c->token.p, c->token.len};
}

/* --- life --- */

static char *copy(const char *s)
{
	char *p = s ? strdup(s) : NULL;
	if (s && !p)
		abort();
	return p;
}

enum err_code credentials_open(struct credentials *c, const char *path, const char *context,
    const char *cluster_dir, struct err *e)
{
	*c = (struct credentials){.path = copy(path), .context = copy(context), .cluster_dir = copy(cluster_dir)};
	arena_init(&c->ca_arena, 0);
	enum err_code rc = load_config(c, &c->config, e);
	if (rc != ERR_OK)
		credentials_close(c);
	return rc;
}

void credentials_close(struct credentials *c)
{
	discard(c);
	free(c->path);
	free(c->context);
	free(c->cluster_dir);
}
