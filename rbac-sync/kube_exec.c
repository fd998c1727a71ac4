/* Owns the running of credential plugins and the reading of what they print. */
#include "rbac-sync/kube_exec.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/jsonx.h"

void exec_credential_free(struct exec_credential *c)
{
	secret_free(&c->token);
	secret_free(&c->cert_pem);
	secret_free(&c->key_pem);
	c->expires = 0;
}

/* --- what it prints --- */

/* Takes a secret's text out of the tree, where it is overwritten. */
static enum err_code take_secret(json_t *status, const char *key, struct secret *out, struct err *e)
{
	struct slice text;
	TRY(jsonx_string(status, key, &text, e));
	if (!text.len)
		return ERR_OK;
	*out = secret_new(text.p, text.len);
	explicit_bzero((char *)(uintptr_t)text.p, text.len);
	return ERR_OK;
}

static enum err_code read_status(json_t *o, const char *api_version, struct exec_credential *out, struct err *e)
{
	struct slice kind, version, expires;
	TRY(jsonx_string(o, "kind", &kind, e));
	TRY(jsonx_string(o, "apiVersion", &version, e));
	if (!slice_is(kind, "ExecCredential") || !slice_is(version, api_version))
		return err_set(e, ERR_INVALID, "no ExecCredential of version %s", api_version);
	json_t *status = json_object_get(o, "status");
	TRY(take_secret(status, "token", &out->token, e));
	TRY(take_secret(status, "clientCertificateData", &out->cert_pem, e));
	TRY(take_secret(status, "clientKeyData", &out->key_pem, e));
	if (!out->token.len && !out->cert_pem.len)
		return err_set(e, ERR_INVALID, "an ExecCredential without token and certificate");
	if (!out->cert_pem.len != !out->key_pem.len)
		return err_set(e, ERR_INVALID, "an ExecCredential with certificate and no key, or key and no certificate");
	TRY(jsonx_string(status, "expirationTimestamp", &expires, e));
	if (expires.len && !clock_parse_rfc3339(expires, &out->expires))
		return err_set(e, ERR_INVALID, "an expirationTimestamp that is no time");
	return ERR_OK;
}

enum err_code exec_credential_parse(
    struct slice text, const char *api_version, struct exec_credential *out, struct err *e)
{
	AUTO(jsonx_unref) json_t *o = NULL;
	*out = (struct exec_credential){0};
	TRY(jsonx_object(text, EXEC_ANSWER_MAX, &o, e));
	enum err_code rc = read_status(o, api_version, out, e);
	if (rc != ERR_OK)
		exec_credential_free(out);
	return rc;
}

/* --- the process --- */

struct child {
	pid_t pid;
	int out, ended; /* what it prints; pidfd */
};

/* Ours, the plugin's own, and what tells it that nobody is there to ask. */
static char **environment(const struct kubeconfig_exec *x, struct arena *a)
{
	size_t n = 0, extra = 0, len = 0;
	while (environ[n])
		n++;
	while (x->env[extra])
		extra++;
	const char **all = ARENA_ARRAY(a, const char *, n + extra + 2);
	/* A name that stands twice is read differently by different programs: the plugin's own wins. */
	for (size_t i = 0; i < n; i++) {
		size_t name = slice_find(slice_of(environ[i]), '=') + 1;
		bool replaced = strncmp(environ[i], "KUBERNETES_EXEC_INFO=", name) == 0;
		for (size_t k = 0; k < extra; k++)
			replaced = replaced || strncmp(environ[i], x->env[k], name) == 0;
		if (!replaced)
			all[len++] = environ[i];
	}
	for (size_t k = 0; k < extra; k++)
		all[len++] = x->env[k];
	all[len] = arena_printf(a,
	    "KUBERNETES_EXEC_INFO={\"kind\":\"ExecCredential\",\"apiVersion\":\"%s\",\"spec\":{\"interactive\":false}}",
	    x->api_version);
	return (char **)(uintptr_t)all;
}

/* A session of its own: no terminal, and one signal ends it with all its children. */
static int spawn(const struct kubeconfig_exec *x, int out, pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	struct arena a;
	sigemptyset(&none);
	sigfillset(&all);
	arena_init_wiped(&a, 0);
	if (posix_spawn_file_actions_init(&actions) != 0 || posix_spawnattr_init(&attr) != 0)
		abort();
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
	int rc = posix_spawnp(pid, x->argv[0], &actions, &attr, (char **)(uintptr_t)x->argv, environment(x, &a));
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	arena_done(&a);
	return rc;
}

static enum err_code start(const struct kubeconfig_exec *x, struct child *c, struct err *e)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0)
		return err_set(e, ERR_INTERNAL, "pipe: %s", strerrordesc_np(errno));
	int rc = spawn(x, ends[1], &c->pid);
	close(ends[1]);
	c->out = ends[0];
	if (rc != 0) {
		close(c->out);
		return err_set(e, ERR_UNAVAILABLE, "cannot be run: %s", strerrordesc_np(rc));
	}
	c->ended = pidfd_open(c->pid, 0);
	return ERR_OK;
}

/* Kills what is left, whatever it is doing; *STATUS as waitpid gives it. */
static void reap(struct child *c, int *status)
{
	kill(-c->pid, SIGKILL);
	while (waitpid(c->pid, status, 0) < 0 && errno == EINTR)
		;
	close(c->out);
	if (c->ended >= 0)
		close(c->ended);
}

/* Waits for FD, at most until UNTIL. */
static enum err_code wait_for(int fd, int64_t until, const struct cancel *cancel, struct err *e)
{
	if (cancel_wait(cancel, fd, POLLIN, until))
		return ERR_OK;
	return errno == ETIMEDOUT ? err_set(e, ERR_TIMEOUT, "did not end in time")
				  : err_set(e, ERR_UNAVAILABLE, "given up");
}

/* All that it prints, then its end. */
static enum err_code listen_to(
    const struct child *c, int64_t until, const struct cancel *cancel, struct buf *text, struct err *e)
{
	char piece[4096];
	for (;;) {
		TRY(wait_for(c->out, until, cancel, e));
		ssize_t n = read(c->out, piece, sizeof(piece));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		buf_add(text, piece, (size_t)n);
		explicit_bzero(piece, sizeof(piece));
		if (text->over)
			return err_set(e, ERR_LIMIT, "prints more than %zu bytes", text->max);
	}
	return c->ended < 0 ? ERR_OK : wait_for(c->ended, until, cancel, e);
}

enum err_code exec_credential_get(const struct kubeconfig_exec *x, int64_t timeout_ms,
    const struct cancel *cancel, struct exec_credential *out, struct err *e)
{
	struct child c;
	struct buf text;
	int status = -1;
	enum err_code rc = start(x, &c, e);
	*out = (struct exec_credential){0};
	if (rc != ERR_OK) {
		err_wrap(e, "exec plugin %s", x->argv[0]);
		return rc;
	}
	buf_init(&text, EXEC_ANSWER_MAX);
	rc = listen_to(&c, clock_mono() + timeout_ms * CLOCK_MS, cancel, &text, e);
	reap(&c, &status);
	if (rc == ERR_OK && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
		rc = err_set(e, ERR_UNAVAILABLE, "ended with %s %d", WIFEXITED(status) ? "exit code" : "signal",
		    WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	if (rc == ERR_OK)
		rc = exec_credential_parse(buf_view(&text), x->api_version, out, e);
	buf_wipe_done(&text);
	if (rc != ERR_OK)
		err_wrap(e, "exec plugin %s", x->argv[0]);
	return rc;
}
