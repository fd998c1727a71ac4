/* Owns the refusals that no configuration lifts. */
#include "rbac-sync/rails.h"

#include "rbac-sync/pattern.h"

static char low(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Kubernetes tells case apart; a reader in a hurry does not. */
static bool starts_fold(struct slice s, const char *prefix)
{
	size_t n = strlen(prefix);
	if (s.len < n)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (low(s.p[i]) != prefix[i])
			return false;
	}
	return true;
}

static bool is_fold(struct slice s, const char *name)
{
	return s.len == strlen(name) && starts_fold(s, name);
}

const char *rails_role(struct slice name)
{
	if (name.len == 0)
		return RAIL_EMPTY_NAME;
	if (is_fold(name, "cluster-admin") || starts_fold(name, "system:") ||
	    starts_fold(name, "kubeadm:"))
		return RAIL_RESERVED_ROLE;
	bool path = slice_find(name, '/') != name.len || slice_find(name, '%') != name.len ||
	    slice_is(name, ".") || slice_is(name, "..");
	if (path || name.len > RAILS_NAME_MAX || !slice_printable(name))
		return RAIL_INVALID_NAME;
	return NULL;
}

/* Unicode's white space: at an end it makes a name that looks like another one. */
static bool space_at(struct slice s)
{
	static const char *const spaces[] = {" ", "\xc2\xa0", "\xe1\x9a\x80", "\xe2\x80\x80",
	    "\xe2\x80\x81", "\xe2\x80\x82", "\xe2\x80\x83", "\xe2\x80\x84", "\xe2\x80\x85",
	    "\xe2\x80\x86", "\xe2\x80\x87", "\xe2\x80\x88", "\xe2\x80\x89", "\xe2\x80\x8a",
	    "\xe2\x80\x8b", "\xe2\x80\x8c", "\xe2\x80\x8d", "\xe2\x80\xa8", "\xe2\x80\xa9",
	    "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe2\x81\xa0", "\xe3\x80\x80", "\xef\xbb\xbf"};
	for (size_t i = 0; i < ARRAY_LEN(spaces); i++) {
		size_t n = strlen(spaces[i]);
		if (s.len >= n && (memcmp(s.p, spaces[i], n) == 0 ||
		    memcmp(s.p + s.len - n, spaces[i], n) == 0))
			return true;
	}
	return false;
}

const char *rails_subject(struct slice name)
{
	if (name.len == 0)
		return RAIL_EMPTY_NAME;
	if (starts_fold(name, "system:") || starts_fold(name, "kubeadm:") ||
	    is_fold(name, "kubernetes-admin") || is_fold(name, "portcullis-rbac-sync") ||
	    is_fold(name, "portcullis-intake") || starts_fold(name, "portcullis-intake:"))
		return RAIL_RESERVED_SUBJECT;
	if (name.len > RAILS_NAME_MAX || !slice_printable(name) || space_at(name))
		return RAIL_INVALID_NAME;
	return NULL;
}

bool rails_dns_label(struct slice s, size_t max)
{
	if (s.len == 0 || s.len > max || s.p[0] == '-' || s.p[s.len - 1] == '-')
		return false;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
			return false;
	}
	return true;
}

const char *rails_namespace(const struct rails *r, struct slice name)
{
	static const char *const reserved[] = {
	    "kube-*", "openshift", "openshift-*", "default", "portcullis-system"};
	if (name.len == 0)
		return RAIL_EMPTY_NAME;
	if (!rails_dns_label(name, 63))
		return RAIL_INVALID_NAME;
	for (size_t i = 0; i < ARRAY_LEN(reserved); i++) {
		if (pattern_glob(reserved[i], name))
			return RAIL_RESERVED_NAMESPACE;
	}
	if (r && r->own_namespace && slice_is(name, r->own_namespace))
		return RAIL_RESERVED_NAMESPACE;
	for (size_t i = 0; r && i < r->nprotected; i++) {
		if (pattern_glob(r->protected_namespaces[i], name))
			return RAIL_RESERVED_NAMESPACE;
	}
	return NULL;
}
