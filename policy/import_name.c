/* Owns what names of RBAC objects may be, and how they stand in ids. */
#include "common/yamlx.h"
#include "policy/import.h"

/* Upstream knows no limit; names end up in reasons, which have one. */
#define NAME_MAX_LEN 253

void rbac_check_name(struct rbac_reader *r, const struct yaml_node *at, const char *name)
{
	if (name[0] == '\0')
		rbac_error(r, at, "`name` is missing");
	else if (strlen(name) > NAME_MAX_LEN)
		rbac_error(r, at, "the name has more than %d bytes", NAME_MAX_LEN);
	else if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strpbrk(name, "/%"))
		rbac_error(r, at, "the name `%s` cannot be part of a path", name);
}

bool import_good_label(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-");
	return n > 0 && n <= 63 && s[n] == '\0' && s[0] != '-' && s[n - 1] != '-';
}

bool import_good_subdomain(const char *s)
{
	size_t n = strlen(s);
	if (n == 0 || n > 253 || s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-.")] != '\0')
		return false;
	for (size_t i = 0; i < n; i++) {
		bool first = i == 0 || s[i - 1] == '.', last = i + 1 == n || s[i + 1] == '.';
		if (s[i] == '.' ? first || last : s[i] == '-' && (first || last))
			return false;
	}
	return true;
}

const char *import_name_in_id(struct arena *a, const char *name)
{
	struct buf b;
	buf_init(&b, 4096);
	for (; *name; name++) {
		if (*name == ' ')
			buf_adds(&b, "%20");
		else
			buf_addc(&b, *name);
	}
	const char *out = arena_strndup(a, buf_cstr(&b), b.len);
	buf_done(&b);
	return out;
}
