/* The side of the gate that the API client passes through; what others need of it is in kube.h. */
#ifndef RBAC_SYNC_KUBE_GATE_H
#define RBAC_SYNC_KUBE_GATE_H

#include "rbac-sync/kube.h"

/* Waits for the caller's turn: one token, and the end of a pause. False: CANCEL (or NULL) was asked. */
bool kube_gate_pass(struct kube_gate *g, const struct cancel *cancel);

/* Nobody passes before UNTIL (clock_mono); an earlier time than the one that is set changes nothing. */
void kube_gate_hold(struct kube_gate *g, int64_t until);

#endif
