/* Owns the apiserver in memory: objects by path, and the answers of the API client. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>

#include "common/jsonx.h"
#include "tests/support/memory_apiserver.h"

struct memory_api api;

/* As kube_classify has it. */
static enum kube_verdict verdict_of(long status, bool reads)
{
	if (status == 404 && reads)
		return KUBE_ABSENT;
	if (status == 409)
		return KUBE_CONFLICT;
	return status == 429 || status >= 500 || status == 0 ? KUBE_LATER : KUBE_REFUSED;
}

static void answer_error(struct kube_answer *out, long status, int64_t wait, bool reads)
{
	*out = (struct kube_answer){
	    .verdict = verdict_of(status, reads), .status = status, .wait = wait, .own_words = !api.hearsay};
	err_set(&out->why, ERR_UNAVAILABLE, "HTTP %ld", status);
}

static bool scripted(int method, struct kube_answer *out)
{
	api.calls[method]++;
	if (api.fail[method].times <= 0)
		return false;
	api.fail[method].times--;
	answer_error(out, api.fail[method].status, api.fail[method].wait, method == GET);
	return true;
}

json_t *stored_at(const char *path)
{
	return json_object_get(api.objects, path);
}

void store_at(const char *path, const json_t *object)
{
	json_t *fresh = json_deep_copy(object), *was = stored_at(path);
	json_t *meta = json_object_get(fresh, "metadata");
	char version[16];
	snprintf(version, sizeof(version), "%d", ++api.version);
	if (was && json_object_get(was, "status"))
		json_object_set(fresh, "status", json_object_get(was, "status"));
	json_object_set_new(meta, "resourceVersion", json_string(version));
	json_object_set_new(meta, "uid", json_string("uid-of-it"));
	json_object_set_new(api.objects, path, fresh);
}

static void answer_object(struct kube_answer *out, const char *path, long status)
{
	*out = (struct kube_answer){.verdict = KUBE_OK, .status = status, .wait = -1};
	out->body = json_deep_copy(stored_at(path));
}

static void written(void)
{
	api.writes++;
	if (api.die)
		raise(SIGKILL);
}

void kube_get(struct kube *k, const char *path, const json_t *object, struct kube_answer *out)
{
	(void)k;
	(void)object;
	if (scripted(GET, out))
		return;
	if (stored_at(path))
		answer_object(out, path, 200);
	else
		answer_error(out, 404, -1, true);
}

static void run_meanwhile(void)
{
	void (*fn)(void) = api.meanwhile;
	api.meanwhile = NULL;
	if (fn)
		fn();
}

void kube_create(struct kube *k, const char *collection, const json_t *object, struct kube_answer *out)
{
	(void)k;
	char path[256];
	snprintf(path, sizeof(path), "%s/%s", collection,
	    json_string_value(json_object_get(json_object_get(object, "metadata"), "name")));
	run_meanwhile();
	if (scripted(POST, out))
		return;
	if (stored_at(path)) {
		answer_error(out, 409, -1, false);
		return;
	}
	store_at(path, object);
	answer_object(out, path, 201);
	written();
}

void kube_apply(struct kube *k, const char *path, const json_t *object, const char *version,
    struct kube_answer *out)
{
	(void)k;
	run_meanwhile();
	if (scripted(PATCH, out))
		return;
	const json_t *meta = json_object_get(stored_at(path), "metadata");
	/* An apply without a version would write over whatever is there: the intake makes none. */
	assert_non_null(version);
	if (!meta || strcmp(json_string_value(json_object_get(meta, "resourceVersion")), version) != 0) {
		answer_error(out, 409, -1, false);
		return;
	}
	store_at(path, object);
	answer_object(out, path, 200);
	written();
}

void kube_answer_done(struct kube_answer *a)
{
	jsonx_unref(&a->body);
}
