/* Owns the name check of HTTPS servers, made within the handshake: before it, nothing is told to anybody. */
#include "common/httpc_tls.h"

#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

bool httpc_tls_demand_host(void *ssl_ctx, const char *host)
{
	X509_VERIFY_PARAM *p = SSL_CTX_get0_param(ssl_ctx);
	/* As Go: the common name is no host name, and a wildcard is a whole label. */
	X509_VERIFY_PARAM_set_hostflags(
	    p, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return X509_VERIFY_PARAM_set1_ip_asc(p, host) == 1 ||
	       X509_VERIFY_PARAM_set1_host(p, host, 0) == 1;
}
