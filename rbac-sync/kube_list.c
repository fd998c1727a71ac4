/* Owns the listing of collections in pages. */
#include <stdlib.h>
#include <strings.h>

#include "common/jsonx.h"
#include "rbac-sync/kube_parts.h"

#define PAGE 500
#define PAGE_MIN 1 /* one object of etcd's limit, each byte escaped, fits KUBE_EVENT_MAX */

struct listing {
	struct kube *k;
	struct arena *arena; /* of the paths and tokens */
	const char *collection, *query;
	const char *next; /* continue token; NULL: the first page */
	bool cached;
	int limit;
	kube_each *each;
	void *ctx;
};

static const char *page_path(const struct listing *l)
{
	struct buf b;
	buf_init(&b, (size_t)64 << 10);
	buf_printf(&b, "%s?limit=%d", l->collection, l->limit);
	if (l->query)
		buf_printf(&b, "&%s", l->query);
	if (l->next) {
		buf_adds(&b, "&continue=");
		kube_escape(&b, l->next);
	} else if (l->cached) {
		buf_adds(&b, "&resourceVersion=0");
	}
	const char *path = arena_strdup(l->arena, buf_cstr(&b));
	buf_done(&b);
	return path;
}

/* Is a list of KIND what was asked for? "/apis/GROUP/VERSION/networkpolicies" and "NetworkPolicy": the plural is the
 * kind's name in lower case and an ending, at the last letter. */
static bool fits(const char *collection, struct slice kind)
{
	const char *slash = strrchr(collection, '/');
	const char *plural = slash ? slash + 1 : collection;
	return strncasecmp(plural, kind.p, kind.len - 1) == 0 && strlen(plural) <= kind.len + 2;
}

/* The items of a list do not tell what they are: the list does. */
static bool name_items(const char *collection, const json_t *list, json_t *items)
{
	struct slice kind = jsonx_text(json_object_get(list, "kind"));
	json_t *version = json_object_get(list, "apiVersion"), *item;
	size_t i, tail = strlen("List");
	if (kind.len <= tail || memcmp(kind.p + kind.len - tail, "List", tail) != 0 || !json_is_string(version))
		return false;
	if (!fits(collection, (struct slice){kind.p, kind.len - tail}))
		return false;
	json_array_foreach(items, i, item) {
		if (!json_is_object(item))
			return false;
		if (!json_object_get(item, "kind") &&
		    (json_object_set_new(item, "kind", json_stringn(kind.p, kind.len - tail)) != 0 ||
			json_object_set(item, "apiVersion", version) != 0))
			abort();
	}
	return true;
}

static const char *text_in(struct arena *a, const json_t *meta, const char *key)
{
	struct slice text = jsonx_text(json_object_get(meta, key));
	return text.len ? arena_strndup(a, text.p, text.len) : NULL;
}

/* Gives a page's items; what comes next is in L. The list's version, or NULL: no list. */
static const char *read_page(struct listing *l, json_t *list)
{
	json_t *items = json_object_get(list, "items"), *item;
	const json_t *meta = json_object_get(list, "metadata");
	const char *version = text_in(l->arena, meta, "resourceVersion"), *next = text_in(l->arena, meta, "continue");
	bool circle = next && text_eq(next, l->next);
	bool cut = !next && json_integer_value(json_object_get(meta, "remainingItemCount")) > 0;
	size_t i;
	/* An empty list of some servers is null. */
	if (!version || (!json_is_array(items) && !json_is_null(items)) || !name_items(l->collection, list, items) ||
	    circle || cut)
		return NULL;
	json_array_foreach(items, i, item)
		l->each(l->ctx, item);
	l->next = next;
	return version;
}

/* Asks for smaller pieces. False: there are none. */
static bool ask_for_less(struct listing *l)
{
	if (l->cached && !l->next) {
		l->cached = false;
		return true;
	}
	l->limit /= 4;
	return l->limit >= PAGE_MIN;
}

static void next_page(struct listing *l, struct kube_answer *out)
{
	do {
		const struct kube_call call = {
		    .verb = "list",
		    .method = "GET",
		    .path = page_path(l),
		    .reads = true,
		    .max_bytes = l->limit == PAGE_MIN ? KUBE_EVENT_MAX : KUBE_LIST_MAX,
		};
		kube_ask(l->k, &call, out);
	} while (out->verdict == KUBE_LATER && out->why.code == ERR_LIMIT && ask_for_less(l));
}

void kube_list(struct kube *k, const char *collection, const char *query, bool cached, kube_each *each, void *ctx,
    struct arena *a, const char **version, struct kube_answer *out)
{
	struct arena pages;
	arena_init(&pages, 0);
	struct listing l = {.k = k,
	    .arena = &pages,
	    .collection = collection,
	    .query = query,
	    .cached = cached,
	    .limit = PAGE,
	    .each = each,
	    .ctx = ctx};
	const char *seen = NULL, *first = NULL;
	*version = NULL;
	do {
		next_page(&l, out);
		if (out->verdict != KUBE_OK)
			break;
		seen = read_page(&l, out->body);
		/* Of pages that disagree the oldest: a watch from there tells what the others left out. */
		first = first ? first : seen;
		/* One large object shall not make a thousand small pages of the rest. */
		l.limit = l.limit < PAGE / 4 ? 4 * l.limit : PAGE;
		jsonx_unref(&out->body);
		if (!seen) {
			err_set(&out->why, ERR_UNAVAILABLE, "HTTP %ld without a list", out->status);
			out->verdict = KUBE_LATER;
		}
	} while (seen && l.next);
	if (out->verdict == KUBE_OK)
		*version = arena_strdup(a, first);
	arena_done(&pages);
}
