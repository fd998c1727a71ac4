/* What the API client shows and whom it trusts: read, kept, and read anew when it was rotated. One thread. */
#ifndef RBAC_SYNC_KUBE_CREDENTIALS_H
#define RBAC_SYNC_KUBE_CREDENTIALS_H

#include "common/file.h"
#include "common/httpc.h"
#include "rbac-sync/kube_exec.h"

struct credentials {
	char *path, *context, *cluster_dir; /* of the kubeconfig; NULL: in-cluster, its own context */
	const struct cancel *cancel;	    /* of a plugin's run; or NULL */
	struct kubeconfig *config;
	struct arena ca_arena;
	struct slice ca;
	struct secret token;
	struct exec_credential plugin;
	int64_t plugin_ran; /* clock_mono */
	struct file_stamp ca_stamp, cert_stamp, key_stamp; /* as last seen */
	int64_t read_at; /* clock_mono of CA and token; 0: to be read */
	int64_t looked;	 /* clock_mono of the stamps */
};

/* Reads the configuration alone. PATH NULL: in-cluster, from CLUSTER_DIR. */
enum err_code credentials_open(struct credentials *c, const char *path, const char *context,
    const char *cluster_dir, struct err *e) MUST_CHECK;
void credentials_close(struct credentials *c);

/* Before each request: what is older than a minute is read anew, a plugin's credential that is about to expire is
 * asked for anew. What cannot be read stays as it was, where there is something. *ROTATED: connections that were made
 * with the old ones are to be closed. */
enum err_code credentials_fresh(struct credentials *c, bool *rotated, struct err *e) MUST_CHECK;

/* All anew, the configuration too; when anything of it cannot be had, all stays as it was. */
enum err_code credentials_renew(struct credentials *c, struct err *e) MUST_CHECK;

/* Looks at most once a minute: certificate, key or CA files are others than those in use. */
bool credentials_rotated(struct credentials *c);

/* Puts CA, certificate, server name and proxy into REQ, borrowed; and gives the bearer token, or an empty slice. */
struct slice credentials_show(const struct credentials *c, struct httpc_request *req);

#endif
