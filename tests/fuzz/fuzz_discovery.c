/* Fuzzes discovery documents and issuers' URLs: whatever a document says, the next request goes to an https URL
 * with a plain host, and only when the document is the configured issuer's own. */
#include <stdlib.h>

#include "authn/config.h"
#include "authn/limits.h"
#include "authn/oidc.h"
#include "common/jsonx.h"
#include "tests/fuzz/fuzz.h"

/* The rules once more, in another way: what may never be sent a request. */
static void check_url(const char *url, const char *delimiters)
{
	FUZZ_CHECK(strncmp(url, "https://", 8) == 0);
	size_t host = strcspn(url + 8, delimiters);
	FUZZ_CHECK(host > 0 && !memchr(url + 8, '@', host));
	FUZZ_CHECK(slice_printable(slice_of(url)) && !strpbrk(url, " \r\n\t"));
}

static void check_document(struct slice text, const char *issuer, const char *uri)
{
	AUTO(jsonx_unref) json_t *doc = NULL;
	struct err e = {0};
	check_url(uri, "/?#");
	FUZZ_CHECK(jsonx_object(text, DISCOVERY_BYTES_MAX, &doc, &e) == ERR_OK);
	FUZZ_CHECK(strcmp(json_string_value(json_object_get(doc, "issuer")), issuer) == 0);
	FUZZ_CHECK(strcmp(json_string_value(json_object_get(doc, "jwks_uri")), uri) == 0);
}

static void try_document(struct slice text)
{
	static const char *const issuers[] = {"https://idp", "https://idp/", "https://IDP"};
	unsigned accepted = 0;
	for (size_t i = 0; i < ARRAY_LEN(issuers); i++) {
		char *uri = NULL;
		struct err e = {0};
		if (oidc_read_discovery(text, issuers[i], &uri, &e) == ERR_OK) {
			check_document(text, issuers[i], uri);
			accepted++;
		} else {
			FUZZ_CHECK(!uri && e.msg[0] != '\0');
		}
		free(uri);
	}
	FUZZ_CHECK(accepted <= 1);
}

static void try_url(const uint8_t *data, size_t size)
{
	char *url = fuzz_text(data, size);
	const char *why = NULL;
	if (authn_issuer_url_ok(url, &why)) {
		check_url(url, "/");
		FUZZ_CHECK(!why && !strpbrk(url, "?#\\"));
	} else {
		FUZZ_CHECK(why != NULL);
	}
	free(url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try_document(fuzz_slice(data, size));
	try_url(data, size);
	return 0;
}
