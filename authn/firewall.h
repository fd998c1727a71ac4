/* What no authenticator may ever say: reserved names, insane names. On every path to an identity. */
#ifndef AUTHN_FIREWALL_H
#define AUTHN_FIREWALL_H

#include "authn/authn.h"

/* system:*, kubeadm:*, kubernetes-admin; the names of our worker, portcullis-rbac-sync, portcullis-intake and
 * portcullis-intake:*; in any case of letters. */
bool firewall_reserved(struct slice name);

/* Puts ID in order: groups that are reserved or empty are dropped (the former counted in
 * portcullis_reserved_names_total{kind="group"}), the rest sorted without duplicates; the extra sorted
 * by key. False, with a stable word in *REASON and a sentence in WHY, when the identity must not leave:
 * reserved, empty, overlong or unprintable user name, uid, group or extra. ARENA takes the new lists. */
bool firewall_pass(struct identity *id, struct arena *arena, const char **reason, struct err *why);

#endif
