/* Owns the packing of an object into what the store keeps of it. */
#include "rbac-sync/store_entry.h"

#include <stdlib.h>

#include "common/jsonx.h"

#define ENTRY_TEXT_MAX ((size_t)4 << 20) /* etcd keeps no larger object */

struct packer {
	struct buf text;
	struct entry head;
};

static uint32_t pack(struct packer *p, struct slice s)
{
	if (!s.p)
		return 0;
	uint32_t at = (uint32_t)p->text.len;
	/* A NUL inside would end the text early and make two texts one. */
	if (memchr(s.p, '\0', s.len))
		s = SLICE("\xff");
	buf_slice(&p->text, s);
	buf_addc(&p->text, '\0');
	return at;
}

static uint32_t pack_member(struct packer *p, const json_t *o, const char *key)
{
	return pack(p, jsonx_text(json_object_get(o, key)));
}

static void pack_key(struct packer *p, const json_t *meta)
{
	struct slice ns = jsonx_text(json_object_get(meta, "namespace"));
	if (ns.len) {
		buf_slice(&p->text, ns);
		buf_addc(&p->text, '/');
		p->head.namespace_len = (uint32_t)ns.len;
	}
	p->head.name = (uint32_t)p->text.len;
	pack_member(p, meta, "name");
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void pack_labels(struct packer *p, const json_t *labels)
{
	size_t n = json_object_size(labels);
	const char **keys = n ? calloc(n, sizeof(*keys)) : NULL;
	if (!keys)
		return;
	const char *key;
	json_t *value;
	size_t i = 0;
	json_object_foreach((json_t *)(uintptr_t)labels, key, value)
	{
		if (json_is_string(value))
			keys[i++] = key;
	}
	qsort(keys, i, sizeof(*keys), by_text);
	p->head.nlabels = (uint32_t)i;
	p->head.labels = (uint32_t)p->text.len;
	for (size_t k = 0; k < i; k++) {
		pack(p, slice_of(keys[k]));
		pack_member(p, labels, keys[k]);
	}
	free(keys);
}

static int to_buf(const char *text, size_t n, void *ctx)
{
	buf_add(ctx, text, n);
	return 0;
}

/* The whole record but what nobody reads of it and others may make long. */
static void pack_record(struct packer *p, const json_t *object, const json_t *meta)
{
	json_t *slim = json_copy((json_t *)(uintptr_t)object), *m = json_copy((json_t *)(uintptr_t)meta);
	json_object_del(m, "managedFields");
	json_object_del(m, "annotations");
	json_object_set_new(slim, "metadata", m);
	p->head.json = (uint32_t)p->text.len;
	json_dump_callback(slim, to_buf, &p->text, JSON_COMPACT);
	p->head.json_len = (uint32_t)p->text.len - p->head.json;
	json_decref(slim);
}

static void pack_object(struct packer *p, enum object_kind kind, const json_t *object, const json_t *meta)
{
	const json_t *labels = json_object_get(meta, "labels"), *notes = json_object_get(meta, "annotations");
	const json_t *role = json_object_get(object, "roleRef");
	struct entry *h = &p->head;
	h->record = pack_member(p, labels, LABEL_RECORD);
	h->managed_by = pack_member(p, labels, LABEL_MANAGED_BY);
	h->user = pack_member(p, notes, ANNOTATION_USER);
	h->group = pack_member(p, notes, ANNOTATION_GROUP);
	h->provider = pack_member(p, notes, ANNOTATION_PROVIDER);
	h->spec_hash = pack_member(p, notes, ANNOTATION_SPEC_HASH);
	h->role = pack_member(p, role, "name");
	h->cluster_role = slice_is(jsonx_text(json_object_get(role, "kind")), "ClusterRole");
	h->keep = slice_is(jsonx_text(json_object_get(labels, LABEL_KEEP)), "true");
	h->ours = slice_is(jsonx_text(json_object_get(labels, LABEL_MANAGED_BY)), MANAGED_BY);
	if (kind == KIND_NAMESPACE)
		pack_labels(p, labels);
	object_digest(object, NULL, h->live);
}

static uint64_t number_of(struct slice s)
{
	uint64_t n = 0;
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9' || n > (UINT64_MAX - 9) / 10)
			return 0;
		n = n * 10 + (uint64_t)(s.p[i] - '0');
	}
	return n;
}

static bool terminates(const json_t *object, const json_t *meta)
{
	const json_t *phase = json_object_get(json_object_get(object, "status"), "phase");
	return json_object_get(meta, "deletionTimestamp") || slice_is(jsonx_text(phase), "Terminating");
}

struct entry *entry_new(enum object_kind kind, const json_t *object)
{
	const json_t *meta = json_object_get(object, "metadata");
	struct packer p = {0};
	if (!json_string_length(json_object_get(meta, "name")))
		return NULL;
	buf_init(&p.text, ENTRY_TEXT_MAX);
	pack_key(&p, meta);
	p.head.uid = pack_member(&p, meta, "uid");
	p.head.version_text = pack_member(&p, meta, "resourceVersion");
	p.head.version = number_of(jsonx_text(json_object_get(meta, "resourceVersion")));
	p.head.terminating = terminates(object, meta);
	if (kind == KIND_USER_RECORD)
		pack_record(&p, object, meta);
	else
		pack_object(&p, kind, object, meta);
	struct entry *e = p.text.over ? NULL : malloc(sizeof(*e) + p.text.len + 1);
	if (e) {
		*e = p.head;
		e->size = (uint32_t)p.text.len;
		memcpy(e->text, p.text.p, p.text.len);
		e->text[p.text.len] = '\0';
	} else if (!p.text.over) {
		abort();
	}
	buf_done(&p.text);
	return e;
}

static bool same(const struct entry *a, const struct entry *b, uint32_t at_a, uint32_t at_b)
{
	return text_eq(entry_text(a, at_a), entry_text(b, at_b));
}

bool entry_same_object(const struct entry *a, const struct entry *b)
{
	return memcmp(a->live, b->live, SHA256_LEN) == 0 && same(a, b, a->uid, b->uid) &&
	    a->terminating == b->terminating && a->keep == b->keep;
}

bool entry_same_version(const struct entry *a, const struct entry *b)
{
	return same(a, b, a->version_text, b->version_text);
}

static size_t labels_size(const struct entry *e)
{
	const char *p = e->text + e->labels;
	for (uint32_t i = 0; i < 2 * e->nlabels; i++)
		p += strlen(p) + 1;
	return (size_t)(p - (e->text + e->labels));
}

bool entry_same_labels(const struct entry *a, const struct entry *b)
{
	size_t n = labels_size(a);
	return a->terminating == b->terminating && same(a, b, a->uid, b->uid) && n == labels_size(b) &&
	    memcmp(a->text + a->labels, b->text + b->labels, n) == 0;
}
