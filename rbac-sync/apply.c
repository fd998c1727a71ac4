/* Owns the writing of planned objects: look first, write what differs, one object's failure alone. */
#include "rbac-sync/apply.h"

#include "common/log.h"
#include "common/metrics.h"

#define CONFLICTS_MAX 3 /* somebody else writes at the same instant; more than that is trouble */

enum outcome { OUTCOME_REFUSED = 0, OUTCOME_LATER, OUTCOME_SAME, OUTCOME_WRITTEN };

static void count(const char *kind, enum outcome o)
{
	static const char *const words[] = {"refused", "later", "same", "written"};
	struct buf labels;
	buf_init(&labels, 128);
	metrics_label(&labels, "kind", slice_of(kind));
	metrics_label(&labels, "result", slice_of(words[o]));
	metric_inc(metrics_counter("portcullis_sync_apply_total",
	    "Objects brought into the cluster, by kind and result.", buf_cstr(&labels)));
	buf_done(&labels);
}

static enum outcome failed(const struct kube_answer *got, struct apply_report *r, struct err *why)
{
	*why = got->why;
	if (got->verdict == KUBE_REFUSED || got->verdict == KUBE_ABSENT)
		return OUTCOME_REFUSED;
	r->wait = got->wait;
	return OUTCOME_LATER;
}

/* Judges what stands at O's place; OUTCOME_WRITTEN: to be written, over VERSION when something is there. */
static enum outcome judge(const struct plan_object *o, const struct kube_answer *got, const char **version,
    struct apply_report *r, struct err *why)
{
	if (got->verdict == KUBE_ABSENT)
		return OUTCOME_WRITTEN;
	if (got->verdict != KUBE_OK)
		return failed(got, r, why);
	switch (plan_compare(o, got->body)) {
	case PLAN_SAME:
		return OUTCOME_SAME;
	case PLAN_DIFFERS:
		*version = json_string_value(
		    json_object_get(json_object_get(got->body, "metadata"), "resourceVersion"));
		return OUTCOME_WRITTEN;
	case PLAN_FOREIGN:
		break;
	}
	err_set(why, ERR_REFUSED,
	    "an object of this name is somebody else's (" RAIL_FOREIGN_OBJECT ")");
	return OUTCOME_REFUSED;
}

static enum outcome apply_once(struct kube *k, const char *path, const struct plan_object *o,
    struct apply_report *r, bool *conflict, struct err *why)
{
	struct kube_answer live, got;
	const char *version = NULL;
	*conflict = false;
	kube_get(k, path, o->body, &live);
	enum outcome out = judge(o, &live, &version, r, why);
	if (out == OUTCOME_WRITTEN) {
		kube_apply(k, path, o->body, version, &got);
		*conflict = got.verdict == KUBE_CONFLICT;
		if (got.verdict != KUBE_OK)
			out = failed(&got, r, why);
		kube_answer_done(&got);
	}
	kube_answer_done(&live);
	return out;
}

static enum outcome apply_object(
    struct kube *k, const struct plan_object *o, struct apply_report *r, struct err *why)
{
	struct arena a;
	bool conflict = true;
	enum outcome out = OUTCOME_LATER;
	arena_init(&a, 0);
	const char *path = kube_binding_path(&a, o->namespace_, o->name);
	for (int i = 0; i < CONFLICTS_MAX && conflict; i++)
		out = apply_once(k, path, o, r, &conflict, why);
	arena_done(&a);
	return out;
}

static void log_object(
    enum log_level level, const char *msg, const struct plan_object *o, const struct err *why)
{
	log_at(level, msg, LOG_STR("kind", o->kind), LOG_STR("namespace", o->namespace_),
	    LOG_STR("name", o->name), LOG_STR("template", o->template_),
	    LOG_STR("reason", why ? why->msg : NULL));
}

void apply_plan(struct kube *k, const struct plan *plan, struct apply_report *out)
{
	*out = (struct apply_report){.result = APPLY_DONE, .wait = -1};
	for (size_t i = 0; i < plan->len; i++) {
		const struct plan_object *o = &plan->objects[i];
		struct err why = {0};
		enum outcome got = apply_object(k, o, out, &why);
		count(o->kind, got);
		switch (got) {
		case OUTCOME_SAME:
			out->same++;
			break;
		case OUTCOME_WRITTEN:
			out->written++;
			log_object(LOG_LEVEL_INFO, "binding applied", o, NULL);
			break;
		case OUTCOME_REFUSED:
			if (!out->refused++)
				out->why = why;
			out->result = APPLY_REFUSED;
			log_object(LOG_LEVEL_WARN, "binding refused", o, &why);
			break;
		case OUTCOME_LATER:
			out->why = why;
			out->result = APPLY_LATER;
			return;
		}
	}
}
