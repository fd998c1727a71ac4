/* Owns what allow rules give that amounts to more than it seems: ways to other people's rights, to
 * secrets, to nodes. */
#include "policy/lint_parts.h"

/* One way. A rule gives it when it allows one of VERBS on the resource. */
static const struct danger {
	const char *code, *group, *resource, *sub, *verbs;
	/* What it is called in namespaces alone, and with resourceNames: a note, or not at all. */
	enum { ALWAYS, NOTE_IN_NAMESPACES, EVERYWHERE_ALONE } when;
	const char *text, *advice;
} dangers[] = {
    {"secrets-read", "", "secrets", "", "get list watch", EVERYWHERE_ALONE,
	"may read secrets in all namespaces, the tokens of service accounts among them",
	"name namespaces, or resourceNames and the verb get"},
    {"nodes-proxy", "", "nodes", "proxy", "get create update patch delete", ALWAYS,
	"may use nodes/proxy: through it even `get` runs commands in every pod of the node, past "
	"admission and audit",
	"give nodes/metrics, nodes/stats, nodes/log or nodes/pods instead"},
    {"pod-exec", "", "pods", "exec", "get create", NOTE_IN_NAMESPACES,
	"may run commands in every pod of all namespaces", "name namespaces"},
    {"pod-exec", "", "pods", "attach", "get create", NOTE_IN_NAMESPACES,
	"may attach to every pod of all namespaces", "name namespaces"},
    {"pod-exec", "", "pods", "portforward", "get create", NOTE_IN_NAMESPACES,
	"may reach every port of every pod", "name namespaces"},
    {"pod-exec", "", "pods", "ephemeralcontainers", "update patch", NOTE_IN_NAMESPACES,
	"may start containers in every pod of all namespaces", "name namespaces"},
    {"proxy", "", "pods", "proxy", "get create", NOTE_IN_NAMESPACES,
	"may send requests to every pod in the name of the apiserver", "name namespaces"},
    {"proxy", "", "services", "proxy", "get create", NOTE_IN_NAMESPACES,
	"may send requests to every service in the name of the apiserver", "name namespaces"},
    {"escalate", "rbac.authorization.k8s.io", "clusterroles", "", "escalate bind", ALWAYS,
	"may give itself any right: `escalate` and `bind` switch RBAC's own check off",
	"name the roles that may be bound in resourceNames, or take the verb out"},
    {"escalate", "rbac.authorization.k8s.io", "roles", "", "escalate bind", ALWAYS,
	"may give itself any right in the namespaces: `escalate` and `bind` switch RBAC's own check "
	"off",
	"name the roles that may be bound in resourceNames, or take the verb out"},
    {"impersonate", "", "users", "", "impersonate", ALWAYS, "may act as any user",
	"name the users in resourceNames"},
    {"impersonate", "", "groups", "", "impersonate", ALWAYS,
	"may act as a member of any group, system:masters too, which nobody can deny anything",
	"name the groups in resourceNames"},
    {"impersonate", "", "serviceaccounts", "", "impersonate", ALWAYS,
	"may act as any service account", "name the accounts in resourceNames"},
    {"rbac-write", "rbac.authorization.k8s.io", "clusterrolebindings", "", "create update patch",
	ALWAYS, "may change cluster role bindings", "keep it to those who administer access"},
    {"rbac-write", "rbac.authorization.k8s.io", "rolebindings", "", "create update patch",
	NOTE_IN_NAMESPACES, "may change role bindings in all namespaces", "name namespaces"},
    {"rbac-write", "rbac.authorization.k8s.io", "clusterroles", "", "update patch", ALWAYS,
	"may change cluster roles", "keep it to those who administer access"},
    {"token-create", "", "serviceaccounts", "token", "create", NOTE_IN_NAMESPACES,
	"may get a token of any service account", "name the accounts in resourceNames"},
    {"csr-approve", "certificates.k8s.io", "certificatesigningrequests", "approval",
	"update patch", ALWAYS,
	"may approve certificate requests: with `approve` on signers it makes identities", NULL},
    {"csr-approve", "certificates.k8s.io", "signers", "", "approve sign", ALWAYS,
	"may approve or sign for every signer, client certificates of the apiserver included",
	"name the signers in resourceNames"},
    {"webhook-write", "admissionregistration.k8s.io", "mutatingwebhookconfigurations", "",
	"create update patch", ALWAYS,
	"may add webhooks that see and change every object, secrets included", NULL},
    {"webhook-write", "admissionregistration.k8s.io", "validatingwebhookconfigurations", "",
	"create update patch", ALWAYS,
	"may add webhooks that see every object and may refuse it", NULL},
    {"apiservices-write", "apiregistration.k8s.io", "apiservices", "", "create update patch", ALWAYS,
	"may route API groups to a server of its own, which then sees the callers' requests", NULL},
    {"hostpath-volumes", "", "persistentvolumes", "", "create", ALWAYS,
	"may create persistent volumes, hostPath among them: that is the files of a node", NULL},
};

static bool listed(const struct policy *p, const struct atom_set *s, const char *word)
{
	return atom_set_has(s, *word ? intern_find(&p->words, slice_of(word)) : p->empty);
}

/* Does ACTION give VERB on RESOURCE/SUB of GROUP to who may act on any name? Words as the policy
 * writes them. */
static bool gives(const struct policy *p, const struct action *a, const char *verb,
    const char *group, const char *resource, const char *sub)
{
	if (!a->resource || !listed(p, &a->verbs, verb) || !listed(p, &a->groups, group))
		return false;
	uint32_t r = intern_find(&p->words, slice_of(resource));
	uint32_t s = *sub ? intern_find(&p->words, slice_of(sub)) : p->empty;
	for (uint32_t i = 0; i < a->nforms; i++) {
		const struct resource_form *f = &a->forms[i];
		if (f->resource != ATOM_ANY && f->resource != r)
			continue;
		if (f->sub == ATOM_ANY || (f->sub == ATOM_SOME ? *sub != '\0' : f->sub == s))
			return true;
	}
	return false;
}

static bool gives_one_of(const struct policy *p, const struct action *a, const char *verbs,
    const struct danger *d)
{
	char verb[32];
	while (*verbs) {
		size_t n = strcspn(verbs, " ");
		memcpy(verb, verbs, n);
		verb[n] = '\0';
		if (gives(p, a, verb, d->group, d->resource, d->sub))
			return true;
		verbs += n + (verbs[n] == ' ');
	}
	return false;
}

static bool everywhere(const struct rule *r)
{
	if (r->scope != SCOPE_NAMESPACES)
		return true;
	const struct ns_set *n = r->namespaces;
	for (uint32_t i = 0; i < n->include_globs.n; i++)
		if (glob_is_all(n->include_globs.v[i]))
			return true;
	return false;
}

static const char *who_text(enum lint_who w)
{
	static const char *const texts[] = {[WHO_SYSTEM] = "Kubernetes' own component",
	    [WHO_SOME] = "who is named here",
	    [WHO_WIDE] = "everybody who has logged in",
	    [WHO_ANYBODY] = "everybody, without logging in,"};
	return texts[w];
}

/* Components are what they are; what anybody may do is worse than what some may. */
static enum lint_severity severity_for(enum lint_severity usual, enum lint_who w)
{
	if (w == WHO_SYSTEM)
		return LINT_NOTE;
	return w >= WHO_WIDE ? LINT_ERROR : usual;
}

/* --- all of it --- */

static bool all_words(const struct policy *p, const struct action *a)
{
	(void)p;
	if (!a->resource || !a->verbs.any || !a->groups.any || !a->names.any)
		return false;
	for (uint32_t i = 0; i < a->nforms; i++)
		if (a->forms[i].resource == ATOM_ANY && a->forms[i].sub == ATOM_ANY)
			return true;
	return false;
}

static bool grants_all(struct linter *l, uint32_t rule, enum lint_who who)
{
	const struct rule *r = &l->p->rules[rule];
	bool all = false;
	EACH_ACTION(r, a)
		all |= all_words(l->p, a);
	if (!all)
		return false;
	enum lint_severity usual =
	    r->break_glass || !everywhere(r) ? LINT_NOTE : LINT_WARNING;
	lint_rule_as(l, rule, "grant-all", severity_for(usual, who),
	    "list the groups, resources and verbs that are meant; keep the rest to break-glass "
	    "rules",
	    "%s may do everything%s", who_text(who),
	    everywhere(r) ? " in the cluster" : " in its namespaces");
	return true;
}

static void wildcards(struct linter *l, uint32_t rule, enum lint_who who)
{
	const struct rule *r = &l->p->rules[rule];
	bool verbs = false, things = false;
	EACH_ACTION(r, a)
	{
		verbs |= a->verbs.any && a->resource;
		for (uint32_t i = 0; i < a->nforms; i++)
			things |= a->forms[i].resource == ATOM_ANY && a->forms[i].sub == ATOM_ANY;
	}
	if (verbs || things)
		lint_rule_as(l, rule, "wildcard", who >= WHO_WIDE ? LINT_WARNING : LINT_NOTE,
		    "list them: a star also gives what later versions add",
		    "has `*` for %s%s%s", verbs ? "verbs" : "", verbs && things ? " and " : "",
		    things ? "resources" : "");
}

/* --- the table --- */

static void one_danger(
    struct linter *l, uint32_t rule, enum lint_who who, const struct danger *d)
{
	const struct rule *r = &l->p->rules[rule];
	bool given = false;
	EACH_ACTION(r, a)
		given |= a->names.any && !a->fields.n && !a->labels.n &&
			 gives_one_of(l->p, a, d->verbs, d);
	bool wide = everywhere(r);
	if (!given || (d->when == EVERYWHERE_ALONE && !wide))
		return;
	if (d->when == NOTE_IN_NAMESPACES && !wide) {
		if (who == WHO_SYSTEM)
			return;
		lint_rule_as(l, rule, d->code, LINT_NOTE, NULL, "%s, in its namespaces: %s",
		    who_text(who), d->text);
		return;
	}
	enum lint_severity usual =
	    strcmp(d->code, "nodes-proxy") == 0 ? LINT_ERROR : LINT_WARNING;
	lint_rule_as(l, rule, d->code, severity_for(usual, who), d->advice, "%s %s",
	    who_text(who), d->text);
}

/* --- kube-system --- */

static bool in_kube_system(const struct policy *p, const struct rule *r)
{
	struct slice name = SLICE("kube-system");
	if (r->scope == SCOPE_ALL)
		return true;
	if (r->scope == SCOPE_CLUSTER)
		return false;
	const struct ns_set *n = r->namespaces;
	uint32_t word = intern_find(&p->words, name);
	return (atom_set_has(&n->include, word) || glob_list_has(&n->include_globs, name)) &&
	       !atom_set_has(&n->exclude, word) && !glob_list_has(&n->exclude_globs, name);
}

static void kube_system(struct linter *l, uint32_t rule, enum lint_who who)
{
	static const struct danger workloads[] = {
	    {.group = "", .resource = "pods", .sub = ""},
	    {.group = "", .resource = "replicationcontrollers", .sub = ""},
	    {.group = "apps", .resource = "deployments", .sub = ""},
	    {.group = "apps", .resource = "daemonsets", .sub = ""},
	    {.group = "apps", .resource = "statefulsets", .sub = ""},
	    {.group = "apps", .resource = "replicasets", .sub = ""},
	    {.group = "batch", .resource = "jobs", .sub = ""},
	    {.group = "batch", .resource = "cronjobs", .sub = ""},
	};
	const struct rule *r = &l->p->rules[rule];
	if (!in_kube_system(l->p, r))
		return;
	for (size_t i = 0; i < ARRAY_LEN(workloads); i++) {
		bool given = false;
		EACH_ACTION(r, a)
			given |= a->names.any &&
				 gives_one_of(l->p, a, "create update patch", &workloads[i]);
		if (!given)
			continue;
		lint_rule_as(l, rule, "kube-system-workloads", severity_for(LINT_WARNING, who),
		    "name namespaces without kube-system",
		    "%s may start pods in kube-system, by %s: they may take on any of the "
		    "control plane's service accounts",
		    who_text(who), workloads[i].resource);
		return;
	}
}

/* --- ABAC --- */

static void abac(struct linter *l, uint32_t rule)
{
	static const char *const risky[] = {"pods", "nodes", "services", "serviceaccounts"};
	const struct rule *r = &l->p->rules[rule];
	EACH_ACTION(r, a)
	{
		for (size_t i = 0; i < ARRAY_LEN(risky) && a->resource; i++) {
			uint32_t word = intern_find(&l->p->words, slice_of(risky[i]));
			bool named = false;
			for (uint32_t k = 0; k < a->nforms; k++)
				named |= word && a->forms[k].resource == word;
			if (!named)
				continue;
			lint_rule(l, rule, "abac-subresources",
			    "write it as a native rule that names the subresources",
			    "an ABAC line knows no subresources: `%s` here gives all of them too%s",
			    risky[i],
			    i == 0 ? ", pods/exec among them"
				   : i == 1 ? ", nodes/proxy among them" : "");
			return;
		}
	}
}

void lint_danger(struct linter *l)
{
	for (uint32_t i = 0; i < l->p->nrules; i++) {
		const struct rule *r = &l->p->rules[i];
		if (r->effect != POLICY_ALLOW)
			continue;
		enum lint_who who = lint_who(l->p, r);
		if (r->origin == ORIGIN_ABAC)
			abac(l, i);
		if (grants_all(l, i, who))
			continue;
		if (r->origin != ORIGIN_ABAC)
			wildcards(l, i, who);
		kube_system(l, i, who);
		for (size_t k = 0; k < ARRAY_LEN(dangers); k++)
			one_danger(l, i, who, &dangers[k]);
	}
}
