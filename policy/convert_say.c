/* Owns the question which texts of RBAC and ABAC the policy language can say with the same meaning. */
#include "policy/convert_say.h"

/* Has it a `*` anywhere? */
static bool starred(struct slice s)
{
	return slice_find(s, '*') < s.len;
}

bool say_banged(struct slice s)
{
	return s.len > 0 && s.p[0] == '!';
}

bool say_good_verb(struct slice s)
{
	return s.len > 0 && !say_banged(s) && (slice_is(s, "*") || !starred(s));
}

bool say_good_group(struct slice s)
{
	return slice_is(s, "*") || (!starred(s) && !say_banged(s) && slice_find(s, '/') == s.len &&
				       !slice_is(s, "core") && !slice_is(s, "v1"));
}

bool say_good_resource(struct slice s)
{
	size_t slash = slice_find(s, '/');
	struct slice resource = {s.p, slash}, sub = slice_skip(s, slash + 1);
	if (resource.len == 0 || say_banged(s) || (starred(resource) && !slice_is(resource, "*")))
		return false;
	return slash == s.len || (sub.len > 0 && !starred(sub));
}

bool say_good_name(struct slice s)
{
	return s.len > 0;
}

struct slice say_url(struct arena *a, struct slice s)
{
	size_t n = s.len;
	while (n && s.p[n - 1] == '*')
		n--;
	if (n == s.len)
		return s;
	return slice_of(arena_printf(a, "%.*s*", (int)n, s.p));
}

bool say_good_url(struct slice s)
{
	if (slice_is(s, "*"))
		return true;
	return s.len > 0 && s.p[0] == '/' && slice_find(s, '*') + 1 >= s.len &&
	       slice_find(s, '?') == s.len;
}

bool say_good_subject(struct slice s)
{
	return s.len > 0 && !starred(s) && !say_banged(s);
}

bool say_good_namespace(struct slice s)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] == '\0' || !strchr(letters, s.p[i]))
			return false;
	return true;
}
