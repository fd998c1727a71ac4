/* Credentials from a program, as kubectl's exec plugins give them (ExecCredential). */
#ifndef RBAC_SYNC_KUBE_EXEC_H
#define RBAC_SYNC_KUBE_EXEC_H

#include "common/cancel.h"
#include "common/secret.h"
#include "rbac-sync/kubeconfig.h"

#define EXEC_ANSWER_MAX ((size_t)1 << 20) /* an ExecCredential has a few kilobytes */
#define EXEC_TIMEOUT_MS 30000		  /* it may ask an identity provider */

/* A token, or a certificate with its key, or both. Free with exec_credential_free. */
struct exec_credential {
	struct secret token, cert_pem, key_pem;
	int64_t expires; /* wall clock, ns; 0: it does not say */
};

void exec_credential_free(struct exec_credential *c);

/* Runs X without a shell, without terminal and input, with no descriptors of ours but stderr, and reads what it
 * prints. ERR_TIMEOUT, ERR_UNAVAILABLE (no such program, bad exit, CANCEL or NULL was asked), ERR_INVALID (what it prints).
 * E never holds what it printed. Blocks. */
enum err_code exec_credential_get(const struct kubeconfig_exec *x, int64_t timeout_ms,
    const struct cancel *cancel, struct exec_credential *out, struct err *e) MUST_CHECK;

/* Pure: an ExecCredential of that version. */
enum err_code exec_credential_parse(
    struct slice text, const char *api_version, struct exec_credential *out, struct err *e) MUST_CHECK;

#endif
