/* The part of HTTPS that libcurl leaves to libcrypto: whose certificate it must be. */
#ifndef COMMON_HTTPC_TLS_H
#define COMMON_HTTPC_TLS_H

#include <stdbool.h>

/* Makes each handshake of SSL_CTX (libssl's, as CURLOPT_SSL_CTX_FUNCTION gives it) end unless the peer's
 * certificate has a subjectAltName for HOST, a DNS name or a literal IP address (RFC 9110 4.3.4, RFC 9525:
 * the subject's common name does not count). False: out of memory, or no such name is possible. */
bool httpc_tls_demand_host(void *ssl_ctx, const char *host);

#endif
