/* List and watch of one kind into the store, for ever: a thread of its own. */
#ifndef RBAC_SYNC_WATCH_H
#define RBAC_SYNC_WATCH_H

#include "rbac-sync/store.h"
#include "rbac-sync/kube.h"

struct watch;

/* Follows KIND, with SELECTOR (a label selector, or NULL), into S. K is the watch's from now on, to be freed and to
 * be cancelled. LIST with pages of 500 and resourceVersion=0, then WATCH with bookmarks and timeoutSeconds of 300
 * to 600; a close at the end of that is no error; 410 (HTTP or ERROR event), or a refusal that is no 403, lists anew with no resourceVersion; 429
 * and 5xx as the gate says; other trouble pauses 800 ms doubling to 30 s, reset after 2 minutes of health. Each
 * pass is counted in portcullis_sync_watch_restarts_total{resource,reason}. */
struct watch *watch_start(struct kube *k, struct store *s, enum object_kind kind, const char *selector);
void watch_stop(struct watch **w); /* at once */
void watch_quit(struct watch *w); /* tells it to end, without waiting for it: several end side by side; NULL is fine */

/* Listed, and the stream was open or closed in order within the last minute. WHY otherwise. */
bool watch_healthy(struct watch *w, struct err *why);

/* One list into S, without a watch: for commands. */
enum err_code watch_list_once(
    struct kube *k, struct store *s, enum object_kind kind, const char *selector, struct err *e) MUST_CHECK;

#endif
