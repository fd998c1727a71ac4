/* Fuzzes the whole configuration, from the bytes of a file to its structs: what is accepted keeps every
 * promise that the code behind it relies on, what is refused says why without a control character. */
#include "authn/jose.h"
#include "authn/limits.h"
#include "common/listen.h"
#include "server/config.h"
#include "tests/fuzz/fuzz.h"

static void check_diags(const struct diags *d, bool accepted)
{
	FUZZ_CHECK(accepted == (d->errors == 0));
	FUZZ_CHECK(d->len <= d->errors + d->warnings);
	for (size_t i = 0; i < d->len; i++)
		for (const char *p = d->items[i].text; *p; p++)
			FUZZ_CHECK((unsigned char)*p >= ' ' && *p != 0x7F);
}

static void check_path(const char *path)
{
	FUZZ_CHECK(!path || path[0] == '/');
}

static void check_list(const struct string_list *l)
{
	for (size_t i = 0; i < l->len; i++)
		FUZZ_CHECK(l->items[i]);
}

static void check_listen(const char *text)
{
	char host[LISTEN_HOST_MAX];
	uint16_t port;
	FUZZ_CHECK(text && listen_parse(text, host, &port) && strlen(host) < sizeof(host));
}

static void check_claim(const struct string_list *path)
{
	FUZZ_CHECK(path->len <= CLAIM_PATH_MAX);
	for (size_t i = 0; i < path->len; i++)
		FUZZ_CHECK(path->items[i] && path->items[i][0]);
}

/* Whatever begins with one of them stays on its host. */
static void check_distributed(const struct jwt_distributed_config *c)
{
	const char *why;
	for (size_t i = 0; i < c->endpoints.len; i++)
		FUZZ_CHECK(authn_issuer_url_ok(c->endpoints.items[i], &why) &&
			   strchr(c->endpoints.items[i] + 8, '/'));
	FUZZ_CHECK(!c->issuer.url || authn_issuer_url_ok(c->issuer.url, &why));
}

static void check_jwt(const struct config *c, const struct jwt_config *j)
{
	const char *why;
	FUZZ_CHECK(authn_issuer_url_ok(j->issuer.url, &why) && !why);
	FUZZ_CHECK(!j->issuer.discovery_url || authn_issuer_url_ok(j->issuer.discovery_url, &why));
	FUZZ_CHECK(j->issuer.audiences.len > 0);
	check_list(&j->issuer.audiences);
	check_path(j->issuer.jwks_file);
	FUZZ_CHECK(jwt_algs(&j->issuer) && (jwt_algs(&j->issuer) & ~JOSE_ALGS_ALL) == 0);
	FUZZ_CHECK(j->issuer.token_types && j->issuer.clock_skew >= 0);
	check_claim(&j->claim_mappings.username.claim);
	FUZZ_CHECK(j->claim_mappings.username.claim.len && j->claim_mappings.username.prefix);
	check_claim(&j->claim_mappings.groups.claim);
	FUZZ_CHECK(!j->claim_mappings.groups.claim.len == !j->claim_mappings.groups.prefix);
	check_claim(&j->claim_mappings.uid.claim);
	check_distributed(&j->claim_mappings.groups.distributed);
	FUZZ_CHECK(!c->login.present || strcmp(j->issuer.url, c->login.issuer) != 0);
	const struct jwt_config *all = c->authentication.jwt.items;
	for (const struct jwt_config *k = all; k < j; k++)
		FUZZ_CHECK(strcmp(k->issuer.url, j->issuer.url) != 0);
	const struct jwt_extra_config *x = j->claim_mappings.extra.items;
	for (size_t i = 0; i < j->claim_mappings.extra.len; i++)
		FUZZ_CHECK(x[i].key && x[i].claim.len && strchr(x[i].key, '/') &&
			   !strstr(x[i].key, "kubernetes.io/"));
}

static void check_directory(const struct ldap_config *l)
{
	FUZZ_CHECK(l->name && l->urls.len > 0 && l->urls.len <= LDAP_URLS_MAX);
	for (size_t i = 0; i < l->urls.len; i++) {
		const char *url = l->urls.items[i];
		FUZZ_CHECK(ldap_url_valid(url));
		/* Passwords go nowhere in clear. */
		FUZZ_CHECK(l->start_tls == (url[4] == ':'));
	}
	FUZZ_CHECK(!l->bind_dn == !l->bind_password_file);
	FUZZ_CHECK(!l->bind_dn || l->bind_dn[0]);
	FUZZ_CHECK(l->username_prefix && strncmp(l->username_prefix, "system:", 7) != 0);
	FUZZ_CHECK(ldap_filter_valid(l->user_search.filter));
	FUZZ_CHECK(l->timeout > 0 && l->timeout <= 10 * INT64_C(1000000000) && l->cache_ttl >= 0);
	check_path(l->bind_password_file);
	check_path(l->ca_file);
	FUZZ_CHECK(!(l->ca_file && l->ca_pem));
	if (!l->group_search.present)
		return;
	FUZZ_CHECK(ldap_filter_valid(l->group_search.filter) && l->groups_prefix);
	FUZZ_CHECK(l->group_search.matchers.len > 0 && l->group_search.name_attr[0]);
}

static void check_authentication(const struct config *c)
{
	const struct authn_config *a = &c->authentication;
	/* Without the section nobody is let in. */
	FUZZ_CHECK(a->audiences.len > 0 || a->jwt.len + a->ldap.len + a->token_files.len == 0);
	for (size_t i = 0; i < a->audiences.len; i++)
		FUZZ_CHECK(a->audiences.items[i][0]);
	const struct jwt_config *j = a->jwt.items;
	for (size_t i = 0; i < a->jwt.len; i++)
		check_jwt(c, &j[i]);
	const struct ldap_config *l = a->ldap.items;
	for (size_t i = 0; i < a->ldap.len; i++)
		check_directory(&l[i]);
	for (size_t i = 0; i < a->token_files.len; i++)
		check_path(a->token_files.items[i]);
	FUZZ_CHECK(a->login == (c->login.present ? &c->login : NULL));
}

static void check_config(const struct config *c)
{
	FUZZ_CHECK(strcmp(c->api_version, CONFIG_API_VERSION) == 0);
	FUZZ_CHECK(strcmp(c->kind, CONFIG_KIND) == 0);
	FUZZ_CHECK(strlen(c->sha256) == 2 * SHA256_LEN);
	check_listen(c->webhook.listen);
	FUZZ_CHECK(c->webhook.certificate_file && c->webhook.key_file && c->webhook.client_ca_file);
	FUZZ_CHECK(c->webhook.deadline > 0);
	check_path(c->webhook.key_file);
	check_path(c->state_dir);
	FUZZ_CHECK(c->webhook.allowed_clients.len > 0);
	for (size_t i = 0; i < c->webhook.allowed_clients.len; i++)
		FUZZ_CHECK(c->webhook.allowed_clients.items[i][0]);
	if (c->ops.present)
		check_listen(c->ops.listen);
	if (c->login.present) {
		check_listen(c->login.listen);
		FUZZ_CHECK(c->login.token_lifetime > 0 && c->authentication.ldap.len > 0);
		FUZZ_CHECK(!c->login.certificate_file == !c->login.key_file);
		FUZZ_CHECK(strncmp(c->login.issuer, "https://", 8) == 0);
	}
	check_authentication(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config *c = NULL;
	struct diags d = {0};
	enum err_code code =
	    config_parse("/etc/portcullis/fuzz.yaml", fuzz_slice(data, size), &c, &d);
	FUZZ_CHECK((code == ERR_OK) == (c != NULL));
	check_diags(&d, code == ERR_OK);
	if (c)
		check_config(c);
	config_free(&c);
	diags_done(&d);
	return 0;
}
