/* Owns the words by which effects, origins of rules and kinds of files are told. */
#include "policy/index.h"
#include "policy/policy.h"

const char *policy_effect_name(enum policy_effect e)
{
	static const char *const names[] = {[POLICY_NO_EFFECT] = "note",
	    [POLICY_ALLOW] = "allow",
	    [POLICY_DENY] = "deny",
	    [POLICY_ABSTAIN] = "abstain"};
	return names[e];
}

const char *policy_file_kind_name(enum policy_file_kind k)
{
	static const char *const names[] = {[POLICY_FILE_NATIVE] = "native",
	    [POLICY_FILE_RBAC] = "rbac",
	    [POLICY_FILE_ABAC] = "abac"};
	return names[k];
}

const char *rule_origin_name(enum rule_origin o)
{
	static const char *const names[] = {
	    [ORIGIN_NATIVE] = "native", [ORIGIN_RBAC] = "rbac", [ORIGIN_ABAC] = "abac"};
	return names[o];
}
