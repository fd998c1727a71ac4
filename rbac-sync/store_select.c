/* Owns the answers to selectors of namespaces, each kept up to date change by change. */
#include "rbac-sync/store_select.h"

#include <stdlib.h>

/* One selector, told by its text: the caller's may be gone by the next question. */
struct selection {
	struct arena arena; /* of SEL */
	struct selector *sel;
	struct map names;   /* those that fit; key and value are one allocation */
	const char **sorted; /* of NAMES; NULL: to be sorted anew */
	uint64_t asked;
};

static void selection_free(struct selection *v)
{
	size_t it = 0;
	struct slice key;
	void *name;
	while (map_next(&v->names, &it, &key, &name))
		free(name);
	map_done(&v->names);
	free(v->sorted);
	arena_done(&v->arena);
	free(v);
}

void selections_done(struct selections *s)
{
	while (s->n)
		selection_free(s->v[--s->n]);
}

/* --- changes --- */

static json_t *labels_of(const struct entry *e)
{
	json_t *labels = json_object();
	const char *p = e->text + e->labels;
	for (uint32_t i = 0; i < e->nlabels; i++) {
		const char *value = p + strlen(p) + 1;
		json_object_set_new(labels, p, json_string(value));
		p = value + strlen(value) + 1;
	}
	return labels;
}

static void set(struct selection *v, struct slice name, bool in)
{
	char *there = map_get(&v->names, name);
	if (in == (there != NULL))
		return;
	free(v->sorted);
	v->sorted = NULL;
	if (in) {
		there = strndup(name.p, name.len);
		if (!there)
			abort();
		map_put(&v->names, slice_of(there), there);
	} else {
		map_del(&v->names, name);
		free(there);
	}
}

void selections_change(struct selections *s, const struct entry *was, const struct entry *is)
{
	struct slice name = entry_key(is ? is : was);
	if (!s->n || (was && is && entry_same_labels(was, is)))
		return;
	json_t *labels = is && !is->terminating ? labels_of(is) : NULL;
	for (size_t i = 0; i < s->n; i++)
		set(s->v[i], name, labels && selector_matches(s->v[i]->sel, labels));
	json_decref(labels);
}

/* --- questions --- */

static void look_at_all(struct selection *v, const struct map *all)
{
	size_t it = 0;
	struct slice key;
	void *value;
	while (map_next(all, &it, &key, &value)) {
		const struct entry *e = value;
		json_t *labels = e->terminating ? NULL : labels_of(e);
		if (labels && selector_matches(v->sel, labels))
			set(v, key, true);
		json_decref(labels);
	}
}

/* The oldest makes room. */
static size_t room(struct selections *s)
{
	size_t oldest = 0;
	if (s->n < SELECTIONS_MAX)
		return s->n++;
	for (size_t i = 1; i < s->n; i++) {
		if (s->v[i]->asked < s->v[oldest]->asked)
			oldest = i;
	}
	selection_free(s->v[oldest]);
	return oldest;
}

static struct selection *find(struct selections *s, const struct selector *sel, const struct map *all)
{
	struct slice text = selector_text(sel);
	struct err e;
	for (size_t i = 0; i < s->n; i++) {
		if (slice_eq(selector_text(s->v[i]->sel), text))
			return s->v[i];
	}
	struct selection *v = calloc(1, sizeof(*v));
	if (!v)
		abort();
	arena_init(&v->arena, 0);
	/* What was parsed once is parsed again. */
	if (selector_parse(text, &v->arena, &v->sel, &e) != ERR_OK)
		abort();
	look_at_all(v, all);
	s->v[room(s)] = v;
	return v;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void sort(struct selection *v)
{
	size_t it = 0, n = 0;
	struct slice key;
	void *name;
	v->sorted = calloc(v->names.len + 1, sizeof(*v->sorted));
	if (!v->sorted)
		abort();
	while (map_next(&v->names, &it, &key, &name))
		v->sorted[n++] = name;
	qsort(v->sorted, n, sizeof(*v->sorted), by_text);
}

size_t selections_ask(struct selections *s, const struct selector *sel, const struct map *all, struct arena *a,
    const char ***out)
{
	struct selection *v = find(s, sel, all);
	size_t n = v->names.len;
	v->asked = ++s->now;
	if (!v->sorted)
		sort(v);
	*out = ARENA_ARRAY(a, const char *, n + 1);
	for (size_t i = 0; i < n; i++)
		(*out)[i] = arena_strdup(a, v->sorted[i]);
	return n;
}
