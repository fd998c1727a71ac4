/* A few objects behind HTTPS, for unit tests of clients of the apiserver: GET, POST, PUT and merge patches with
 * resourceVersion, and answers that fail on request. What the real one does is proven in tests/e2e. */
#ifndef TESTS_SUPPORT_KUBE_STAND_IN_H
#define TESTS_SUPPORT_KUBE_STAND_IN_H

#include <jansson.h>

#include "rbac-sync/kube.h"

struct kube_stand_in;

struct kube_stand_in *kube_stand_in_start(void);
void kube_stand_in_stop(struct kube_stand_in **s);

struct kube *kube_stand_in_client(struct kube_stand_in *s, int64_t timeout_ms);

/* The object at PATH, NULL when there is none; the caller owns it. */
json_t *kube_stand_in_get(struct kube_stand_in *s, const char *path);
/* Puts OBJECT there as if somebody else had; NULL deletes. Steals OBJECT. */
void kube_stand_in_put(struct kube_stand_in *s, const char *path, json_t *object);

/* Each request is answered with STATUS from now on; 0: properly again; -1: never. HEADERS, with CR LF, or NULL. */
void kube_stand_in_fail(struct kube_stand_in *s, int status, const char *headers);

/* Waits until FN is true, asked after each request; fails the test after 20 s, which says WHAT. */
void kube_stand_in_wait(
    struct kube_stand_in *s, bool (*fn)(struct kube_stand_in *s, void *ctx), void *ctx, const char *what);

/* Requests so far with that method, NULL: all. */
unsigned kube_stand_in_requests(struct kube_stand_in *s, const char *method);

#endif
