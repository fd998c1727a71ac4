/* Brings one plan into the cluster: reads each object, writes what differs, tells what became of it. */
#ifndef RBAC_SYNC_APPLY_H
#define RBAC_SYNC_APPLY_H

#include "rbac-sync/kube.h"
#include "rbac-sync/plan.h"

/* Zero is no success: an event is deleted on APPLY_DONE alone. */
enum apply_result {
	APPLY_REFUSED = 0, /* at least one object was refused; every other one was tried */
	APPLY_LATER,	   /* the apiserver is in trouble: the rest was not tried */
	APPLY_DONE	   /* the apiserver acknowledged each object, or has it as it should be */
};

struct apply_report {
	enum apply_result result;
	size_t written, same, refused;
	int64_t wait;	/* on APPLY_LATER: seconds that the server asks for, -1: it does not say */
	struct err why; /* the first refusal or trouble */
};

/* One bad object never blocks the others. Logs what it writes and what is refused. */
void apply_plan(struct kube *k, const struct plan *plan, struct apply_report *out);

#endif
