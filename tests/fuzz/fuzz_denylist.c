/* Fuzzes denylists: what loads has as many entries as its tree, finds each of them that is in force by its own
 * values, and nobody else; every fault has its place. */
#include "authn/denylist_file.h"
#include "common/clock.h"
#include "common/yamlx.h"
#include "tests/fuzz/fuzz.h"

#define NOW (INT64_C(1800000000) * CLOCK_SECOND)

static struct slice value(const struct yaml_node *entry, const char *key)
{
	const struct yaml_node *n = yamlx_get(entry, key);
	return n ? n->text : (struct slice){0};
}

/* A credential that fits all that ENTRY tells: it must be found, unless the entry is over. */
static void check_entry(const struct denylist_file *f, const struct yaml_node *entry)
{
	struct identity id = {.username = value(entry, "user"), .issuer = value(entry, "issuer")};
	struct credential c = {.subject = value(entry, "subject"),
	    .id = value(entry, "jti"),
	    .kid = value(entry, "kid")};
	struct err e = {0};
	bool has = denylist_file_has(f, &id, &c, NOW, &e);
	FUZZ_CHECK(has == (e.code == ERR_REFUSED));
	FUZZ_CHECK(has || yamlx_get(entry, "until"));
	/* Before all time, no entry is over. */
	FUZZ_CHECK(denylist_file_has(f, &id, &c, INT64_MIN, NULL));
}

static void check(const struct denylist_file *f, struct slice text)
{
	struct arena a;
	struct diags d = {0};
	struct yaml_node *root = NULL;
	arena_init(&a, 0);
	FUZZ_CHECK(yamlx_parse(&a, "d", text, &root, &d) == ERR_OK);
	const struct yaml_node *entries = yamlx_get(root, "entries");
	FUZZ_CHECK(entries && entries->len == denylist_file_len(f));
	for (size_t i = 0; i < entries->len && i < 100; i++)
		check_entry(f, entries->items[i]);
	arena_done(&a);
	diags_done(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = fuzz_slice(data, size);
	struct denylist_file *f = NULL;
	struct diags d = {0};
	enum err_code code = denylist_parse("d", text, &f, &d);
	FUZZ_CHECK((code == ERR_OK) == (f != NULL) && (code == ERR_OK) == (d.errors == 0));
	if (f) {
		const struct identity nobody = {0};
		const struct credential none = {0};
		FUZZ_CHECK(!denylist_file_has(f, &nobody, &none, NOW, NULL));
		check(f, text);
	}
	denylist_file_free(&f);
	diags_done(&d);
	return 0;
}
