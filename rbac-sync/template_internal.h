/* What the parts of the template file's loader share. */
#ifndef RBAC_SYNC_TEMPLATE_INTERNAL_H
#define RBAC_SYNC_TEMPLATE_INTERNAL_H

#include "common/map.h"
#include "rbac-sync/template.h"

/* While a file that bound to the tables is checked for what tables cannot tell. */
struct loader {
	struct arena *arena;
	const char *file;
	struct diags *diags;
	const struct sync_config *config;
	struct map zones; /* name → struct loader_zone: each is read once */
};

#define FINDING(l, node, ...)                                                                      \
	diags_error((l)->diags, (l)->file, (node)->line, (node)->col, __VA_ARGS__)
#define FINDING_AT(l, place, ...)                                                                  \
	diags_error((l)->diags, (l)->file, (place).line, (place).col, __VA_ARGS__)

extern const struct schema template_match_schema, template_grant_schema, template_object_schema,
    template_namespace_schema, template_places_schema;
/* The fields of a schedule: template_time.c. */
extern const struct schema template_schedule_schema;
extern const char *const template_on_gc_names[], *const template_drift_names[];

/* The list of names or the selector at NODE. */
void template_bind_places(struct loader *l, const struct yaml_node *node, struct template_places *out);

/* namespace and namespaces of T; before objects and grants, which may go there. */
void template_bind_namespace(struct loader *l, struct template *t);
void template_bind_objects(struct loader *l, struct template *t);
void template_bind_grants(struct loader *l, struct template *t);

/* "", a duration or NULL (then what is INHERITED) into whole seconds; 0: none. KEY of NODE is the place of a finding. */
int64_t template_read_ttl(struct loader *l, const struct yaml_node *node, const char *text, int64_t inherited);
/* startTime, endTime, schedule of G. Its ttl is set before. */
void template_bind_time(struct loader *l, struct template_grant *g);

/* Which placeholders texts may hold that stand in PLACES: those for which all who share the place agree. */
struct template_uses {
	bool user, group;
};
struct template_uses template_uses_of(const struct template_places *places);

/* YAML at NODE as a value with placeholders. False after a finding. */
bool template_bind_value(
    struct loader *l, const struct yaml_node *node, struct template_uses uses, struct template_value *out);
/* The same for labels (LABELS) or annotations; NULL NODE: an empty mapping. */
bool template_bind_texts(struct loader *l, const struct yaml_node *node, bool labels,
    struct template_uses uses, struct template_value *out);
/* The keys of the mapping VALUE, NULL-ended; NULL when there are none. */
const char *const *template_keys(struct loader *l, const struct template_value *value);
/* A pattern that keeps to USES. */
bool template_bind_text(
    struct loader *l, const struct yaml_node *node, struct template_uses uses, struct pattern *out);

#endif
