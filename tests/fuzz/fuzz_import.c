/* Fuzzes files of RBAC and of ABAC: findings can be shown, what is refused crashes nothing, and the policy that
 * `policy convert` makes of a file loads and allows nothing that the file itself does not. */
#include "authz/authz.h"
#include "policy/convert.h"
#include "tests/fuzz/fuzz.h"

#define WORDS 96
#define GROUPS 3
#define REQUESTS 64

static void check_findings(const struct diags *d)
{
	for (size_t i = 0; i < d->len; i++) {
		FUZZ_CHECK(slice_printable(slice_of(d->items[i].text)) && d->items[i].text[0]);
		FUZZ_CHECK(slice_printable(slice_of(d->items[i].file)));
	}
}

static struct policy *compile(const struct policy_file *files, size_t n)
{
	struct policy *p = NULL;
	struct diags d = {0};
	enum err_code rc = policy_compile(files, n, NULL, &p, &d);
	FUZZ_CHECK((rc == ERR_OK) == (d.errors == 0) && (rc == ERR_OK) == (p != NULL));
	check_findings(&d);
	diags_done(&d);
	return p;
}

static struct policy *import(struct slice text, bool abac)
{
	static const char head[] = "apiVersion: portcullis.dev/v1alpha1\nkind: AccessPolicy\nimports:\n";
	struct policy_file files[2] = {{.name = "p.yaml"}, {.name = "f", .text = text}};
	struct buf b;
	buf_init(&b, 4096);
	buf_printf(&b, "%s- %s: {path: f}\n", head, abac ? "abac" : "rbac");
	files[0].text = slice_of(buf_cstr(&b));
	files[1].kind = abac ? POLICY_FILE_ABAC : POLICY_FILE_RBAC;
	struct policy *p = compile(files, 2);
	buf_done(&b);
	return p;
}

/* NULL: the file cannot be imported. */
static struct policy *convert(struct slice text, bool abac)
{
	struct policy_file file = {
	    .name = "f", .text = text, .kind = abac ? POLICY_FILE_ABAC : POLICY_FILE_RBAC};
	struct policy *p = NULL;
	struct diags d = {0};
	struct buf b;
	size_t lost;
	buf_init(&b, 1 << 26);
	if (policy_convert(&file, 1, &b, &lost, &d) == ERR_OK) {
		struct policy_file made = {.name = "made.yaml", .text = slice_of(buf_cstr(&b))};
		p = compile(&made, 1);
		FUZZ_CHECK(p);
	}
	check_findings(&d);
	diags_done(&d);
	buf_done(&b);
	return p;
}

static size_t words_of(struct slice text, struct slice *words)
{
	size_t n = 0, from = 0;
	for (size_t i = 0; i <= text.len && n < WORDS; i++) {
		bool end = i == text.len || strchr(" \n\t,[]{}\"'/", text.p[i]);
		if (end && i > from)
			words[n++] = (struct slice){text.p + from, i - from};
		if (end)
			from = i + 1;
	}
	return n;
}

static struct slice pick(const struct slice *words, size_t n, uint32_t *seed)
{
	*seed = *seed * 1103515245u + 12345u;
	uint32_t i = (*seed >> 16) % (n + 2);
	return i < n ? words[i] : i == n ? SLICE("") : SLICE("get");
}

static void ask(const struct policy *imported, const struct policy *converted,
    const struct slice *words, size_t n, uint32_t *seed)
{
	struct slice groups[GROUPS] = {
	    pick(words, n, seed), pick(words, n, seed), SLICE("system:authenticated")};
	struct access_request r = {.user = pick(words, n, seed),
	    .groups = groups,
	    .ngroups = GROUPS,
	    .resource_request = *seed & 0x30000,
	    .verb = pick(words, n, seed),
	    .api_group = pick(words, n, seed),
	    .resource = pick(words, n, seed),
	    .subresource = *seed & 0x40000 ? pick(words, n, seed) : SLICE(""),
	    .name = pick(words, n, seed),
	    .namespace_ = pick(words, n, seed),
	    .path = pick(words, n, seed)};
	struct decision was, is;
	authz_evaluate(imported, &r, &was);
	FUZZ_CHECK(was.verdict != VERDICT_DENY && !was.exempt);
	FUZZ_CHECK((was.rule != NULL) == (was.verdict == VERDICT_ALLOW));
	if (!converted)
		return;
	authz_evaluate(converted, &r, &is);
	/* No apiserver asks about a resource or a path that has no name. */
	if (r.resource_request ? r.resource.len : r.path.len)
		FUZZ_CHECK(is.verdict != VERDICT_ALLOW || was.verdict == VERDICT_ALLOW);
}

static void run(struct slice text, bool abac)
{
	struct slice words[WORDS];
	struct policy *imported = import(text, abac), *converted = convert(text, abac);
	FUZZ_CHECK(!converted || imported);
	if (imported) {
		size_t n = words_of(text, words);
		uint32_t seed = (uint32_t)text.len;
		for (int i = 0; i < REQUESTS; i++)
			ask(imported, converted, words, n, &seed);
	}
	policy_free(&imported);
	policy_free(&converted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = fuzz_slice(data, size);
	run(text, false);
	run(text, true);
	return 0;
}
