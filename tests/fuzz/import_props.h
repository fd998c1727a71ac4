/* What holds of every imported file, for the fuzz targets of both kinds: findings have places, compiling is
 * repeatable, imports only ever allow, and their conversion to a native policy loads and is never wider. */
#ifndef TESTS_FUZZ_IMPORT_PROPS_H
#define TESTS_FUZZ_IMPORT_PROPS_H

#include "policy/convert.h"
#include "tests/fuzz/asked.h"

#define ASKED 48

static inline void check_findings(const struct diags *d, size_t size)
{
	for (size_t i = 0; i < d->len; i++) {
		FUZZ_CHECK(d->items[i].line <= size + 3 && d->items[i].col <= size + 40);
		FUZZ_CHECK(slice_printable(slice_of(d->items[i].text)) && d->items[i].text[0]);
	}
}

static inline struct policy *compile_files(const struct policy_file *files, size_t n, size_t size)
{
	struct policy *p = NULL;
	struct diags d = {0};
	enum err_code rc = policy_compile(files, n, authz_run_tests, &p, &d);
	FUZZ_CHECK((rc == ERR_OK) == (d.errors == 0) && (rc == ERR_OK) == (p != NULL));
	check_findings(&d, size);
	diags_done(&d);
	return p;
}

static inline struct policy *compile_import(const struct policy_file *file)
{
	bool rbac = file->kind == POLICY_FILE_RBAC;
	struct policy_file files[] = {
	    {.name = "p.yaml",
		.text = rbac ? SLICE("apiVersion: portcullis.dev/v1alpha1\nkind: AccessPolicy\n"
				     "imports: [{rbac: {path: f}}]\n")
			     : SLICE("apiVersion: portcullis.dev/v1alpha1\nkind: AccessPolicy\n"
				     "imports: [{abac: {path: f}}]\n")},
	    *file};
	return compile_files(files, 2, file->text.len);
}

/* What the file converts to, which loads whenever the file does. */
static inline struct policy *compile_converted(const struct policy_file *file)
{
	struct buf out;
	struct diags d = {0};
	size_t lost;
	buf_init(&out, 1 << 26);
	FUZZ_CHECK(policy_convert(file, 1, &out, &lost, &d) == ERR_OK);
	check_findings(&d, file->text.len);
	diags_done(&d);
	struct policy_file native = {.name = "c.yaml", .text = buf_view(&out)};
	struct policy *p = compile_files(&native, 1, out.len);
	if (!p)
		fprintf(stderr, "%s\n", buf_cstr(&out));
	FUZZ_CHECK(p);
	buf_done(&out);
	return p;
}

static inline void ask(const struct policy *p, const struct policy *converted, struct asked *a)
{
	struct access_request r = asked_next(a);
	struct decision d, c;
	struct buf b;
	authz_evaluate(p, &r, &d);
	FUZZ_CHECK(d.verdict == (d.rule ? VERDICT_ALLOW : VERDICT_NO_OPINION));
	FUZZ_CHECK(!d.rule || (!d.note && strchr(d.rule, ':') && !strchr(d.rule, ' ')));
	buf_init(&b, 4096);
	authz_reason(p, &d, "id", &b);
	FUZZ_CHECK(b.len > 0 && b.len <= AUTHZ_REASON_MAX && slice_printable(buf_view(&b)));
	buf_done(&b);
	authz_evaluate(converted, &r, &c);
	FUZZ_CHECK(c.verdict != VERDICT_ALLOW || d.verdict == VERDICT_ALLOW);
}

static inline int check_import(enum policy_file_kind kind, struct slice text)
{
	struct policy_file file = {.name = "f", .text = text, .kind = kind};
	struct policy *p = compile_import(&file), *again;
	struct asked asked;
	if (!p)
		return 0;
	again = compile_import(&file);
	FUZZ_CHECK(again);
	struct buf a, b;
	buf_init(&a, 1 << 26);
	buf_init(&b, 1 << 26);
	policy_dump(p, &a);
	policy_dump(again, &b);
	FUZZ_CHECK(slice_eq(buf_view(&a), buf_view(&b)));
	buf_done(&a);
	buf_done(&b);
	policy_free(&again);
	struct policy *converted = compile_converted(&file);
	asked_init(&asked, text, " \n\t,:[]{}\"'/");
	for (int i = 0; i < ASKED; i++)
		ask(p, converted, &asked);
	policy_free(&converted);
	policy_free(&p);
	return 0;
}

#endif
