/* Owns the tables of paths. */
#include "server/handlers.h"
#include "server/reply.h"

const struct route routes_webhook[] = {
    {"POST", "/authenticate", handle_token, ROUTE_JSON},
    {"POST", "/authorize", handle_access, ROUTE_JSON},
    {0},
};

const struct route routes_login[] = {
    {"POST", "/login", handle_login, 0},
    {"POST", "/refresh", handle_refresh, ROUTE_JSON},
    {"POST", "/revoke", handle_revoke, 0},
    {"GET", "/.well-known/openid-configuration", handle_login_discovery, 0},
    {"GET", "/jwks", handle_login_jwks, 0},
    {0},
};

const struct route routes_ops[] = {
    {"GET", "/livez", handle_livez, 0},
    {"GET", "/readyz", handle_readyz, 0},
    {"GET", "/metrics", handle_metrics, 0},
    {"GET", "/policy/status", handle_policy_status, 0},
    {"GET", "/version", handle_version, 0},
    {0},
};

static bool method_fits(const struct route *r, struct slice method)
{
	return slice_is(method, r->method) ||
	       (strcmp(r->method, "GET") == 0 && slice_is(method, "HEAD"));
}

const struct route *route_find(const struct route *table, struct exchange *ex)
{
	const struct route *other = NULL;
	for (const struct route *r = table; r->method; r++) {
		if (!slice_is(ex->request.path, r->path))
			continue;
		if (method_fits(r, ex->request.method))
			return r;
		other = r;
	}
	if (!other) {
		reply_error(ex, 404, "no such path");
		return NULL;
	}
	reply_error(ex, 405, "method not allowed");
	ex->reply.allow = strcmp(other->method, "GET") == 0 ? "GET, HEAD" : other->method;
	return NULL;
}
