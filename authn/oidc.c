/* Owns the two requests that lead from an issuer's URL to its keys. */
#include "authn/oidc.h"

#include <stdlib.h>

#include "authn/config.h"
#include "authn/limits.h"
#include "common/clock.h"
#include "common/jsonx.h"

/* Unlike an issuer's URL, jwks_uri may have a query. */
static bool https_uri(struct slice s)
{
	static const char scheme[] = "https://";
	struct slice rest = slice_skip(s, sizeof(scheme) - 1);
	size_t host = 0;
	while (host < rest.len && !strchr("/?#", rest.p[host]))
		host++;
	return slice_starts(s, slice_of(scheme)) && host > 0 &&
	       slice_find((struct slice){rest.p, host}, '@') == host && slice_printable(s) &&
	       slice_find(s, ' ') == s.len;
}

enum err_code oidc_read_discovery(
    struct slice text, const char *issuer, char **jwks_uri, struct err *e)
{
	AUTO(jsonx_unref) json_t *doc = NULL;
	struct slice said, uri;
	TRY(jsonx_object(text, DISCOVERY_BYTES_MAX, &doc, e));
	TRY(jsonx_string(doc, "issuer", &said, e));
	/* OpenID Connect Discovery 4.3: MUST exactly match. */
	if (!slice_is(said, issuer))
		return err_set(e, ERR_INVALID, "the document is of another issuer");
	TRY(jsonx_string(doc, "jwks_uri", &uri, e));
	if (!https_uri(uri))
		return err_set(e, ERR_INVALID, "jwks_uri is not an https URL");
	*jwks_uri = strndup(uri.p, uri.len);
	return *jwks_uri ? ERR_OK : err_set(e, ERR_INTERNAL, "out of memory");
}

static enum err_code get(struct httpc *http, const struct oidc_source *src, const char *url,
    int64_t deadline, size_t max, const struct cancel *cancel, struct httpc_response *res,
    struct err *e)
{
	static const char *const headers[] = {"Accept: application/json", NULL};
	struct httpc_request req = {
	    .url = url,
	    .ca_pem = src->ca_pem,
	    .headers = headers,
	    .timeout_ms = (deadline - clock_mono()) / CLOCK_MS,
	    .max_bytes = max,
	    .cancel = cancel,
	};
	TRY(httpc_do(http, &req, res, e));
	if (res->status >= 300 && res->status < 400)
		return err_set(e, ERR_UNAVAILABLE, "redirects are not followed (HTTP %ld)", res->status);
	if (res->status != 200)
		return err_set(e, ERR_UNAVAILABLE, "HTTP %ld", res->status);
	return ERR_OK;
}

static enum err_code discover(struct httpc *http, struct oidc_source *src, int64_t deadline,
    const struct cancel *cancel, struct err *e)
{
	AUTO(httpc_response_done) struct httpc_response res = {0};
	TRY(get(http, src, src->discovery_url, deadline, DISCOVERY_BYTES_MAX, cancel, &res, e));
	char *uri = NULL;
	TRY(oidc_read_discovery(buf_view(&res.body), src->issuer, &uri, e));
	free(src->jwks_uri);
	src->jwks_uri = uri;
	src->discovered = clock_mono();
	return ERR_OK;
}

/* RFC 9111 4.2: a cache on the way has used up some of the freshness, and made Date old. */
static void read_times(const struct httpc_response *res, int64_t now, struct oidc_keys *out)
{
	out->max_age = res->max_age;
	if (res->max_age >= 0)
		out->max_age = res->max_age > res->age ? res->max_age - res->age : 0;
	out->has_skew = res->date > 0;
	out->skew = out->has_skew ? res->date + res->age - now : 0;
}

static enum err_code fetch_keys(struct httpc *http, const struct oidc_source *src,
    int64_t deadline, const struct cancel *cancel, struct oidc_keys *out, struct err *e)
{
	AUTO(httpc_response_done) struct httpc_response res = {0};
	int64_t before = clock_unix();
	TRY(get(http, src, src->jwks_uri, deadline, KEYSET_BYTES_MAX, cancel, &res, e));
	read_times(&res, before + (clock_unix() - before) / 2, out);
	TRY(keyset_parse(buf_view(&res.body), &out->set, e));
	out->text = res.body;
	res.body = (struct buf){0};
	return ERR_OK;
}

void oidc_keys_done(struct oidc_keys *k)
{
	keyset_unref(&k->set);
	buf_done(&k->text);
}

enum err_code oidc_fetch(struct httpc *http, struct oidc_source *src, int64_t timeout_ms,
    const struct cancel *cancel, struct oidc_keys *out, struct err *e)
{
	*out = (struct oidc_keys){0};
	int64_t deadline = clock_mono() + timeout_ms * CLOCK_MS;
	bool due = !src->jwks_uri ||
		   clock_mono() - src->discovered > OIDC_DISCOVERY_TTL_S * CLOCK_SECOND;
	if (due && discover(http, src, deadline, cancel, e) != ERR_OK)
		return err_wrap(e, "discovery");
	if (fetch_keys(http, src, deadline, cancel, out, e) == ERR_OK)
		return ERR_OK;
	/* The set may have moved: ask again next time. */
	free(TAKE(src->jwks_uri));
	return err_wrap(e, "key set");
}
