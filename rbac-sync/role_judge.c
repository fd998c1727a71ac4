/* Owns the judgement on a role's rules: the table of what must not be given away, and the matching of rules to it. */
#include "common/jsonx.h"
#include "rbac-sync/roles.h"

/* Where a power counts. In a RoleBinding only what reaches beyond the namespace does: a namespace's admin may
 * rule there, over its secrets and pods too. */
enum reach { ANYWHERE, CLUSTER_WIDE };

/* One way to more than was meant. Words are parted by spaces. The resource "*" is any, of a rule that names just that
 * group: what later versions add to it counts too. "userextras/" "*" is each of its subresources. */
struct power {
	enum reach reach;
	const char *group, *resources, *verbs;
	const char *gives;
	bool names_lift; /* with resourceNames it is how the API is meant to be used */
};

#define WRITE "create update patch delete deletecollection"
#define CHANGE "create update patch"
#define RBAC "rbac.authorization.k8s.io"

/* Sorted by what it leads to; the first that fits is told. docs/rbac-sync.md shows the same table. */
static const struct power powers[] = {
    {ANYWHERE, RBAC, "roles clusterroles", "escalate", "writes roles with rights that it does not have", false},
    {ANYWHERE, RBAC, "roles clusterroles", "bind", "binds roles with rights that it does not have", false},
    {ANYWHERE, "", "users groups", "impersonate", "acts as anybody", false},
    {ANYWHERE, "authentication.k8s.io", "users groups uids userextras userextras/* *", "impersonate", "acts with the uid or extra fields of anybody", false},
    {ANYWHERE, "", "namespaces namespaces/status namespaces/finalize", "update patch",
	"changes labels of namespaces: pod security and the selectors of templates hang on them", false},
    {ANYWHERE, "policy", "podsecuritypolicies", "use", "runs pods under any PodSecurityPolicy", true},
    {ANYWHERE, "extensions", "podsecuritypolicies", "use", "runs pods under any PodSecurityPolicy", true},
    {ANYWHERE, "security.openshift.io", "securitycontextconstraints", "use",
	"runs pods under any SecurityContextConstraints", true},

    {CLUSTER_WIDE, "", "serviceaccounts", "impersonate", "acts as any service account", false},
    {CLUSTER_WIDE, "", "serviceaccounts/token", "create", "makes tokens of any service account", false},
    {CLUSTER_WIDE, "", "secrets", "get list watch", "reads all secrets, tokens among them", false},
    {CLUSTER_WIDE, "", "secrets", CHANGE, "writes secrets in kube-system, bootstrap tokens among them", false},
    {CLUSTER_WIDE, RBAC, "roles clusterroles rolebindings clusterrolebindings", WRITE,
	"hands its rights on and out of sight, and takes those of others", false},
    {CLUSTER_WIDE, "portcullis.dev", "userrecords userrecords/status *", WRITE, "claims groups for users: templates grant by them", false},

    {CLUSTER_WIDE, "", "nodes/proxy", "get create update patch delete", "runs commands in every pod by way of the kubelets",
	false},
    {CLUSTER_WIDE, "", "pods/exec pods/attach", "get create", "runs commands in every pod", false},
    {CLUSTER_WIDE, "", "pods/ephemeralcontainers", "update patch", "runs commands in every pod", false},
    {CLUSTER_WIDE, "", "pods/portforward pods/proxy services/proxy", "get create update patch delete",
	"reaches what listens inside every pod", false},
    {CLUSTER_WIDE, "", "pods replicationcontrollers", CHANGE,
	"runs pods with any service account, in kube-system too", false},
    {CLUSTER_WIDE, "apps", "deployments daemonsets statefulsets replicasets", CHANGE,
	"runs pods with any service account, in kube-system too", false},
    {CLUSTER_WIDE, "extensions", "deployments daemonsets replicasets", CHANGE,
	"runs pods with any service account, in kube-system too", false},
    {CLUSTER_WIDE, "batch", "jobs cronjobs", CHANGE, "runs pods with any service account, in kube-system too", false},

    {CLUSTER_WIDE, "certificates.k8s.io", "certificatesigningrequests/approval certificatesigningrequests/status",
	"update patch", "approves certificates for any name", false},
    {CLUSTER_WIDE, "certificates.k8s.io", "signers", "approve sign attest", "approves certificates for any name", false},
    {CLUSTER_WIDE, "certificates.k8s.io", "clustertrustbundles", WRITE, "decides which CAs pods trust", false},
    {CLUSTER_WIDE, "admissionregistration.k8s.io",
	"validatingwebhookconfigurations mutatingwebhookconfigurations validatingadmissionpolicies "
	"validatingadmissionpolicybindings mutatingadmissionpolicies mutatingadmissionpolicybindings *", WRITE,
	"sees and changes what anybody writes, and lifts what others forbid", false},
    {CLUSTER_WIDE, "apiextensions.k8s.io", "customresourcedefinitions customresourcedefinitions/status *", WRITE,
	"rewrites and removes custom resources of all by their definitions", false},
    {CLUSTER_WIDE, "apiregistration.k8s.io", "apiservices apiservices/status *", WRITE, "draws whole APIs and their callers' rights to itself", false},

    {CLUSTER_WIDE, "", "nodes nodes/status", WRITE, "leads pods and the apiserver's own calls to a node of its choice",
	false},
    {CLUSTER_WIDE, "", "nodes/log", "get", "reads files of the nodes", false},
    {CLUSTER_WIDE, "", "persistentvolumes", CHANGE, "mounts any directory of the nodes", false},
    {CLUSTER_WIDE, "storage.k8s.io", "csidrivers", CHANGE, "has tokens of pods' service accounts handed to a driver", false},
    {CLUSTER_WIDE, "", "namespaces", "create delete deletecollection",
	"makes namespaces with any labels (selectors of templates hang on them) or removes them with all they hold", false},
    {CLUSTER_WIDE, "", "configmaps", CHANGE, "rewrites the settings of the control plane, DNS and cloud logins", false},
    {CLUSTER_WIDE, "", "services services/status endpoints", CHANGE, "draws other workloads' traffic to itself", false},
    {CLUSTER_WIDE, "discovery.k8s.io", "endpointslices", CHANGE, "draws other workloads' traffic to itself", false},
    {CLUSTER_WIDE, "coordination.k8s.io", "leases", WRITE,
	"takes the lead from controllers, and confirms removals in their name", false},
    {CLUSTER_WIDE, "policy", "podsecuritypolicies", WRITE, "lifts pod security", false},
    {CLUSTER_WIDE, "extensions", "podsecuritypolicies", WRITE, "lifts pod security", false},
    {CLUSTER_WIDE, "security.openshift.io", "securitycontextconstraints", WRITE, "lifts pod security", false},
};

/* Paths of the apiserver's own files and switches. */
static const char *const closed_paths[] = {"/logs", "/debug"};

/* One rule, as far as it was checked: lists of strings or absent. */
struct rule {
	const json_t *groups, *resources, *verbs, *urls;
	bool names;
	size_t index;
};

/* --- matching --- */

static bool has(const json_t *list, struct slice want)
{
	size_t i;
	const json_t *item;
	json_array_foreach(list, i, item) {
		if (slice_eq(jsonx_text(item), want))
			return true;
	}
	return false;
}

static bool has_or_star(const json_t *list, struct slice want)
{
	return has(list, want) || has(list, SLICE("*"));
}

/* Either side may have a star for its subresource. Upstream knows "*" "/exec" as any main resource; "pods/" "*" means
 * nothing there, but who writes it means it. */
static bool resource_fits(struct slice rule, struct slice want)
{
	size_t slash = slice_find(want, '/'), rule_slash = slice_find(rule, '/');
	struct slice main = {want.p, slash}, rule_main = {rule.p, rule_slash};
	struct slice sub = slice_skip(want, slash + 1), rule_sub = slice_skip(rule, rule_slash + 1);
	if (slice_is(rule, "*") || slice_eq(rule, want))
		return true;
	if (slash == want.len || rule_slash == rule.len)
		return false;
	return (slice_eq(main, rule_main) || slice_is(rule_main, "*")) &&
	    (slice_eq(sub, rule_sub) || slice_is(sub, "*") || slice_is(rule_sub, "*"));
}

static bool has_resource(const struct rule *r, const struct power *p, struct slice want)
{
	size_t i;
	const json_t *item;
	if (slice_is(want, "*"))
		return json_array_size(r->resources) && (has(r->groups, slice_of(p->group)) || has(r->resources, want));
	json_array_foreach(r->resources, i, item) {
		if (resource_fits(jsonx_text(item), want))
			return true;
	}
	return false;
}

/* Impersonation has kinds of its own since 1.35 ("impersonate:user-info", "impersonate-on:…"). */
static bool has_verb(const struct rule *r, const struct power *p, struct slice want)
{
	size_t i;
	const json_t *item;
	(void)p;
	if (has_or_star(r->verbs, want))
		return true;
	json_array_foreach(r->verbs, i, item) {
		if (slice_is(want, "impersonate") && slice_starts(jsonx_text(item), want))
			return true;
	}
	return false;
}

/* The first of WORDS that FITS says the rule has; empty: none. */
static struct slice first_of(const char *words, const struct rule *r, const struct power *p,
    bool (*fits)(const struct rule *r, const struct power *p, struct slice want))
{
	for (struct slice rest = slice_of(words); rest.len;) {
		struct slice word = {rest.p, slice_find(rest, ' ')};
		if (fits(r, p, word))
			return word;
		rest = slice_skip(rest, word.len + 1);
	}
	return (struct slice){0};
}

static bool has_power(const struct rule *r, const struct power *p, struct arena *a, const char **why)
{
	if ((p->names_lift && r->names) || !has_or_star(r->groups, slice_of(p->group)))
		return false;
	struct slice resource = first_of(p->resources, r, p, has_resource);
	struct slice verb = first_of(p->verbs, r, p, has_verb);
	if (!resource.len || !verb.len)
		return false;
	*why = arena_printf(a, "rules[%zu] lets " SLICE_FMT " \"" SLICE_FMT "\"%s%s: it %s", r->index,
	    SLICE_ARG(verb), SLICE_ARG(resource), *p->group ? " of " : "", p->group, p->gives);
	return true;
}

/* URL is a path, or a beginning of paths with a star behind it. */
static bool url_reaches(struct slice url, struct slice closed)
{
	if (url.len && url.p[url.len - 1] == '*') {
		url.len--;
		return slice_starts(url, closed) || slice_starts(closed, url);
	}
	return slice_starts(url, closed) && (url.len == closed.len || url.p[closed.len] == '/');
}

static bool opens_path(const struct rule *r, struct arena *a, const char **why)
{
	size_t i;
	const json_t *url;
	json_array_foreach(r->urls, i, url) {
		for (size_t k = 0; k < ARRAY_LEN(closed_paths) && json_array_size(r->verbs); k++) {
			if (!url_reaches(jsonx_text(url), slice_of(closed_paths[k])))
				continue;
			*why = arena_printf(a, "rules[%zu] opens the apiserver's %s", r->index, closed_paths[k]);
			return true;
		}
	}
	return false;
}

static bool dangerous(const struct rule *r, bool cluster_wide, struct arena *a, const char **why)
{
	struct slice any = SLICE("*");
	if (has(r->verbs, any) && has(r->resources, any) && has(r->groups, any)) {
		*why = arena_printf(a, "rules[%zu] lets everything be done to everything", r->index);
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(powers); i++) {
		if ((cluster_wide || powers[i].reach == ANYWHERE) && has_power(r, &powers[i], a, why))
			return true;
	}
	/* A RoleBinding opens no path. */
	return cluster_wide && opens_path(r, a, why);
}

/* --- reading --- */

static bool strings_at(const json_t *rule, const char *key, const json_t **out)
{
	size_t i;
	const json_t *item, *list = json_object_get(rule, key);
	*out = NULL;
	if (!list || json_is_null(list))
		return true;
	json_array_foreach(list, i, item) {
		if (!json_is_string(item))
			return false;
	}
	*out = list;
	return json_is_array(list);
}

static bool read_rule(const json_t *o, struct rule *out)
{
	const json_t *names;
	bool ok = json_is_object(o) && strings_at(o, "apiGroups", &out->groups) &&
	    strings_at(o, "resources", &out->resources) && strings_at(o, "verbs", &out->verbs) &&
	    strings_at(o, "nonResourceURLs", &out->urls) && strings_at(o, "resourceNames", &names);
	out->names = ok && json_array_size(names) > 0;
	return ok;
}

enum role_verdict role_judge(const json_t *role, bool cluster_wide, struct arena *a, const char **why)
{
	size_t i;
	const json_t *item, *rules = json_object_get(role, "rules");
	if (!json_is_object(role) || (rules && !json_is_null(rules) && !json_is_array(rules))) {
		*why = "its rules cannot be read";
		return ROLE_UNKNOWN;
	}
	bool readable = true;
	json_array_foreach(rules, i, item) {
		struct rule r = {.index = i};
		if (!read_rule(item, &r))
			readable = false;
		else if (dangerous(&r, cluster_wide, a, why))
			return ROLE_DANGEROUS;
	}
	*why = readable ? NULL : "its rules cannot be read";
	return readable ? ROLE_FINE : ROLE_UNKNOWN;
}
