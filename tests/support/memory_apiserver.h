/* An apiserver in memory in place of the API client: get, create and apply, with errors as a test asks for them. */
#ifndef TESTS_SUPPORT_MEMORY_APISERVER_H
#define TESTS_SUPPORT_MEMORY_APISERVER_H

#include "rbac-sync/kube.h"

enum { GET, POST, PATCH, METHODS };

extern struct memory_api {
	json_t *objects; /* path → object */
	int version;
	int calls[METHODS], writes;
	/* The next answers of that kind, before anything is done; status 0: as usual. */
	struct {
		long status;
		int64_t wait;
		int times;
	} fail[METHODS];
	/* Called once, before the next write is looked at: another intake. */
	void (*meanwhile)(void);
	bool hearsay; /* errors are not told in the apiserver's own words */
	bool die; /* by SIGKILL, after the next write is done */
} api;

/* What stands at PATH, borrowed; NULL: nothing. */
json_t *stored_at(const char *path);
/* Takes OBJECT's spec and labels over what stands there. */
void store_at(const char *path, const json_t *object);

#endif
