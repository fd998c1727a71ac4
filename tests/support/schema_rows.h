/* Texts of a part of a configuration, and what reading them says. */
#ifndef TESTS_SUPPORT_SCHEMA_ROWS_H
#define TESTS_SUPPORT_SCHEMA_ROWS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/schema.h"
#include "common/yamlx.h"

struct schema_row {
	const char *text, *want; /* a part of the complaint about file "f"; NULL: it is read */
};

/* INTO has room for what S fills. */
static inline void check_schema_rows(const struct schema *s, void *into, const struct schema_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct arena a;
		struct diags d = {0};
		struct yaml_node *root;
		struct buf text;
		arena_init(&a, 0);
		buf_init(&text, 1 << 16);
		enum err_code rc = yamlx_parse(&a, "f", slice_of(rows[i].text), &root, &d);
		if (rc == ERR_OK)
			rc = schema_bind(&a, s, "f", root, into, &d);
		diags_print(&d, &text);
		if ((rc == ERR_OK) != !rows[i].want || (rows[i].want && !strstr(buf_cstr(&text), rows[i].want)))
			fail_msg("%s: %s", rows[i].text, buf_cstr(&text));
		buf_done(&text);
		diags_done(&d);
		arena_done(&a);
	}
}

#endif
