/* Owns the explanation of a decision: each rule that concerns a request, and where it stopped
 * matching. */
#include "authz/engine.h"

static const char *const dimension_names[] = {
    [DIM_NONE] = "",
    [DIM_SUBJECTS] = "subjects",
    [DIM_EXCEPT] = "except",
    [DIM_KIND] = "kind",
    [DIM_VERB] = "verb",
    [DIM_API_GROUP] = "apiGroup",
    [DIM_RESOURCE] = "resource",
    [DIM_NAME] = "resourceName",
    [DIM_PATH] = "nonResourceURL",
    [DIM_FIELD_SELECTOR] = "fieldSelector",
    [DIM_LABEL_SELECTOR] = "labelSelector",
    [DIM_NAMESPACE] = "namespace",
    [DIM_VALID] = "valid",
};

static const char *const dimension_texts[] = {
    [DIM_NONE] = "matches",
    [DIM_SUBJECTS] = "names other subjects",
    [DIM_EXCEPT] = "excepts the subject",
    [DIM_KIND] = "is about the other kind of request (resources or paths)",
    [DIM_VERB] = "has other verbs",
    [DIM_API_GROUP] = "has other API groups",
    [DIM_RESOURCE] = "has other resources",
    [DIM_NAME] = "has other resource names",
    [DIM_PATH] = "has other paths",
    [DIM_FIELD_SELECTOR] = "selects other fields",
    [DIM_LABEL_SELECTOR] = "selects other labels",
    [DIM_NAMESPACE] = "has other namespaces",
    [DIM_VALID] = "does not hold at this time",
};

static const char *const effect_names[] = {
    [POLICY_ALLOW] = "allow", [POLICY_DENY] = "deny", [POLICY_ABSTAIN] = "abstain"};

/* Where RULE stops matching; *CONCERNS is false when neither who asks nor what is asked fits. */
static enum dimension explain_rule(const struct engine *e, const struct rule *rule, bool *concerns)
{
	bool subject = engine_names(e, rule);
	enum dimension action = engine_action(e, rule);
	*concerns = subject || action == DIM_NONE;
	if (!subject)
		return DIM_SUBJECTS;
	if (engine_subjects(e, &rule->except))
		return DIM_EXCEPT;
	return action;
}

/* What became of a rule: it decided, it matched but did not decide, or it failed on a dimension. */
static void add_text(struct buf *out, const struct rule *rule, enum dimension dim, const char *role)
{
	buf_printf(out, "%-7s %s (%s): %s%s\n", effect_names[rule->effect], rule->id, rule->source,
	    dimension_texts[dim], role);
}

static void add_json(
    struct buf *out, const struct rule *rule, enum dimension dim, bool decides, bool *first)
{
	buf_adds(out, *first ? "" : ",");
	*first = false;
	buf_adds(out, "{\"rule\":");
	buf_json(out, slice_of(rule->id));
	buf_printf(out, ",\"effect\":\"%s\",\"source\":", effect_names[rule->effect]);
	buf_json(out, slice_of(rule->source));
	buf_printf(out, ",\"matches\":%s,\"decides\":%s", dim == DIM_NONE ? "true" : "false",
	    decides ? "true" : "false");
	if (dim != DIM_NONE)
		buf_printf(out, ",\"failed\":\"%s\"", dimension_names[dim]);
	buf_addc(out, '}');
}

static const char *role_of(const struct decision *d, const struct rule *rule, enum dimension dim)
{
	if (dim != DIM_NONE)
		return "";
	if (d->rule && strcmp(d->rule, rule->id) == 0)
		return " and decides";
	if (d->exempt && rule->effect != POLICY_ALLOW)
		return ", but the subject is exempt";
	return ", but another rule decides";
}

void authz_explain(
    const struct policy *p, const struct access_request *r, bool json, struct buf *out)
{
	struct engine e;
	struct decision d;
	bool first = true;
	authz_evaluate(p, r, &d);
	engine_init(&e, p, r);
	buf_adds(out, json ? "[" : "");
	for (enum rule_class k = 0; k < CLASS_COUNT; k++) {
		for (uint32_t i = 0; i < p->nrules; i++) {
			const struct rule *rule = &p->rules[i];
			bool concerns;
			enum dimension dim = explain_rule(&e, rule, &concerns);
			if (rule_class(rule) != k || !concerns)
				continue;
			if (json)
				add_json(out, rule, dim, d.rule && strcmp(d.rule, rule->id) == 0,
				    &first);
			else
				add_text(out, rule, dim, role_of(&d, rule, dim));
		}
	}
	buf_adds(out, json ? "]" : "");
}
