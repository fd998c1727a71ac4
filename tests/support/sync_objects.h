/* Objects of the cluster for tests of rbac-sync's store and actions, as the apiserver gives them. */
#ifndef SUPPORT_SYNC_OBJECTS_H
#define SUPPORT_SYNC_OBJECTS_H

#include <stdio.h>
#include <stdlib.h>

#include "rbac-sync/record.h"

static inline void set_text(json_t *o, const char *key, const char *value)
{
	if (value && json_object_set_new(o, key, json_string(value)) != 0)
		abort();
}

static inline json_t *meta_of(json_t *o)
{
	json_t *m = json_object_get(o, "metadata");
	if (!m) {
		m = json_object();
		json_object_set_new(o, "metadata", m);
	}
	return m;
}

/* The map KEY ("labels", "annotations") of metadata. */
static inline json_t *meta_map(json_t *o, const char *key)
{
	json_t *m = json_object_get(meta_of(o), key);
	if (!m) {
		m = json_object();
		json_object_set_new(meta_of(o), key, m);
	}
	return m;
}

static inline void set_label(json_t *o, const char *key, const char *value)
{
	if (value)
		set_text(meta_map(o, "labels"), key, value);
	else
		json_object_del(meta_map(o, "labels"), key);
}

static inline void set_note(json_t *o, const char *key, const char *value)
{
	if (value)
		set_text(meta_map(o, "annotations"), key, value);
	else
		json_object_del(meta_map(o, "annotations"), key);
}

static inline void set_version(json_t *o, uint64_t version)
{
	char text[24];
	snprintf(text, sizeof(text), "%llu", (unsigned long long)version);
	set_text(meta_of(o), "resourceVersion", text);
}

/* An object with a name and versions; NAMESPACE may be NULL. */
static inline json_t *new_object(enum object_kind kind, const char *namespace_, const char *name, const char *uid,
    uint64_t version)
{
	json_t *o = json_object();
	set_text(o, "apiVersion", object_types[kind].api_version);
	set_text(o, "kind", object_types[kind].kind);
	set_text(meta_of(o), "name", name);
	set_text(meta_of(o), "namespace", namespace_);
	set_text(meta_of(o), "uid", uid);
	set_version(o, version);
	return o;
}

static inline void set_marks(json_t *o, const char *record, const char *template_, const char *user)
{
	set_label(o, LABEL_MANAGED_BY, MANAGED_BY);
	set_label(o, LABEL_RECORD, record);
	set_label(o, LABEL_TEMPLATE, template_);
	set_note(o, ANNOTATION_USER, user);
	set_note(o, ANNOTATION_PROVIDER, "ldap:corp");
}

static inline void set_role(json_t *o, const char *kind, const char *name)
{
	json_object_set_new(o, "roleRef",
	    json_pack("{s:s,s:s,s:s}", "apiGroup", "rbac.authorization.k8s.io", "kind", kind, "name", name));
}

static inline void set_subject(json_t *o, const char *kind, const char *name)
{
	json_object_set_new(o, "subjects",
	    json_pack("[{s:s,s:s,s:s}]", "apiGroup", "rbac.authorization.k8s.io", "kind", kind, "name", name));
}

/* The record of user USERNAME of ldap:corp; its name goes to KEY. */
static inline json_t *new_record(const char *username, const char *uid, uint64_t version, char key[27])
{
	static const struct slice groups[] = {{"devs", 4}, {"ops", 3}};
	const struct spool_event ev = {.provider = {"ldap:corp", 9}, .username = slice_of(username),
	    .groups = groups, .ngroups = 2, .seen_at = 1795428000};
	json_t *o = record_spec(&ev);
	spool_key(ev.provider, ev.username, key);
	set_text(meta_of(o), "uid", uid);
	set_version(o, version);
	return o;
}

#endif
