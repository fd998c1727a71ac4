/* Where the apiserver is and how to speak to it: kubeconfig files and the in-cluster configuration. */
#ifndef RBAC_SYNC_KUBECONFIG_H
#define RBAC_SYNC_KUBECONFIG_H

#include "common/arena.h"
#include "common/err.h"
#include "common/str.h"

#define KUBECONFIG_BYTES_MAX ((size_t)1 << 20)
#define SERVICE_ACCOUNT_DIR "/var/run/secrets/kubernetes.io/serviceaccount"

/* A program that gives credentials (client-go's exec plugins). */
struct kubeconfig_exec {
	const char *api_version; /* client.authentication.k8s.io/v1 or /v1beta1 */
	const char *const *argv; /* the command first; with a slash: a path; NULL-terminated */
	const char *const *env;	 /* "NAME=VALUE", NULL-terminated */
};

/* Holds secrets: its arena is wiped. */
struct kubeconfig {
	struct arena arena;
	const char *server; /* https://host[:port][/path], without a slash at the end */
	const char *tls_server_name;		/* or NULL */
	const char *proxy;			/* http, https or socks5 URL, maybe with a password; or NULL */
	const char *ca_file;			/* re-read by path; or NULL */
	struct slice ca_pem;			/* or blob; neither: the system's */
	const char *cert_file, *key_file;	/* or NULL */
	struct slice cert_pem, key_pem;
	const char *token_file;			/* beats token; or NULL */
	struct slice token;
	const struct kubeconfig_exec *exec;	/* or NULL; then none of the credentials above */
	const char *namespace_;			/* the context's; or NULL */
};

/* Reads PATH; CONTEXT NULL takes current-context. Relative paths are relative to the file. Refused: http,
 * insecure-skip-tls-verify, auth-provider, username and password, impersonation, exec plugins that need a
 * terminal or the cluster: what is not understood must not be half obeyed. E says FILE:LINE:COL. */
enum err_code kubeconfig_load(
    const char *path, const char *context, struct kubeconfig **out, struct err *e) MUST_CHECK;

/* From KUBERNETES_SERVICE_HOST and _PORT and the files of DIR (SERVICE_ACCOUNT_DIR; tests use another).
 * ERR_NOT_FOUND outside of a cluster. */
enum err_code kubeconfig_in_cluster(const char *dir, struct kubeconfig **out, struct err *e) MUST_CHECK;

void kubeconfig_free(struct kubeconfig **c);

#endif
