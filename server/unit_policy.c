/* Owns the loading of the two policies: the one that decides and the one in its shadow. */
#include "server/gate.h"
#include "server/lastgood.h"
#include "server/units.h"

static void destroy_policy(void *obj)
{
	struct served_policy *owned = obj;
	served_free(&owned);
}

/* What the shadow policy is held to: its tests, and the guards. */
static struct authorization_config shadow_config(const struct config *c)
{
	return (struct authorization_config){.present = c->authorization.shadow_policy != NULL,
	    .policy = c->authorization.shadow_policy,
	    .guards = c->authorization.guards,
	    .max_shrink = 100};
}

static void digest(const struct authorization_config *c, uint8_t out[SHA256_LEN])
{
	memset(out, 0, SHA256_LEN);
	if (!c->present)
		return;
	struct gate_files f;
	gate_read(c, &f);
	memcpy(out, f.digest, SHA256_LEN);
	gate_files_done(&f);
}

void unit_policy_digest(const struct config *c, uint8_t out[SHA256_LEN])
{
	digest(&c->authorization, out);
}

void unit_shadow_digest(const struct config *c, uint8_t out[SHA256_LEN])
{
	struct authorization_config shadow = shadow_config(c);
	digest(&shadow, out);
}

bool unit_policy_moved(const struct config *a, const struct config *b)
{
	const struct authorization_config *x = &a->authorization, *y = &b->authorization;
	const struct string_list *k = &x->signatures.public_keys, *l = &y->signatures.public_keys;
	if (x->present != y->present || !text_eq(x->policy, y->policy) ||
	    !text_eq(x->guards, y->guards) ||
	    x->require_generation != y->require_generation ||
	    x->signatures.present != y->signatures.present ||
	    x->signatures.threshold != y->signatures.threshold || k->len != l->len)
		return true;
	for (size_t i = 0; i < k->len; i++)
		if (!text_eq(k->items[i], l->items[i]))
			return true;
	return false;
}

/* --- the policy that decides --- */

/* What was in force before this process, for the shrink guard. NULL when there is nothing to compare with:
 * no copy, or one of a policy at another place. */
static struct policy *kept_policy(const struct config *cfg)
{
	struct lastgood kept;
	struct policy *p = NULL;
	struct diags ignored = {0};
	struct err e;
	if (lastgood_load(cfg->state_dir, &kept, &e) == ERR_OK &&
	    text_eq(kept.path, cfg->authorization.policy) &&
	    policy_compile(kept.files, kept.n, NULL, &p, &ignored) != ERR_OK)
		p = NULL;
	diags_done(&ignored);
	lastgood_done(&kept);
	return p;
}

static void keep(const struct config *cfg, const struct gate_files *f, const struct policy *p,
    struct diags *d)
{
	const struct policy_info *i = policy_info(p);
	struct err e = {0};
	const struct lastgood copy = {.path = f->path,
	    .base = f->base,
	    .files = f->files,
	    .n = f->n,
	    .signature = f->signature};
	if (lastgood_save(cfg->state_dir, &copy, &e) != ERR_OK)
		diags_warn(
		    d, f->path, 0, 0, "no copy could be kept for the next start: %s", e.msg);
	if (generation_raise(cfg->state_dir, i->generation, i->sha256, &e) != ERR_OK)
		diags_warn(d, f->path, 0, 0,
		    "the generation could not be kept: after a restart an older policy would not be "
		    "noticed: %s",
		    e.msg);
}

/* The file of generations may be behind, gone or damaged: what is in force counts all the same. */
static void raise_to(struct generation *highest, const struct policy *p)
{
	const struct policy_info *i = p ? policy_info(p) : NULL;
	if (!i || i->generation <= highest->number)
		return;
	highest->number = i->generation;
	memcpy(highest->sha256, i->sha256, sizeof(highest->sha256));
}

struct unrecorded {
	const struct gate_files *files;
	struct diags *diags;
};

static void warn_unrecorded(void *ctx, const char *rule)
{
	const struct unrecorded *u = ctx;
	diags_warn(u->diags, u->files->path, 0, 0,
	    "the break-glass rule `%s` gives nothing: there is no audit log to record its uses", rule);
}

static enum err_code load(const struct config *cfg, const struct served_policy *now,
    const struct gate_files *f, struct served_policy **out, struct policy_attempt *at,
    struct diags *d)
{
	AUTO(policy_free) struct policy *kept = NULL;
	struct err e = {0};
	struct gate g = {.config = &cfg->authorization};
	/* A policy at another place is another policy: whoever edits the configuration means it. */
	if (now && text_eq(now->path, cfg->authorization.policy))
		g.before = now->policy;
	else if (!now)
		g.before = kept = kept_policy(cfg);
	if (generation_read(cfg->state_dir, &g.highest, &e) != ERR_OK)
		diags_warn(d, f->path, 0, 0, "which generations were in force is not known: %s", e.msg);
	raise_to(&g.highest, now ? now->policy : g.before);
	return gate_pass(&g, f, out, &at->stage, d);
}

enum err_code unit_policy_load(const struct config *cfg, struct snapshot_parts *parts,
    struct policy_attempt *at, struct diags *d)
{
	struct shared *part = parts->part[PART_POLICY];
	*at = (struct policy_attempt){.stage = "read"};
	if (!cfg->authorization.present) {
		parts_set(parts, PART_POLICY, NULL);
		return ERR_OK;
	}
	struct gate_files f;
	struct served_policy *p = NULL;
	gate_read_settled(&cfg->authorization, &f);
	memcpy(at->digest, f.digest, SHA256_LEN);
	enum err_code code = load(cfg, part ? part->obj : NULL, &f, &p, at, d);
	if (code == ERR_OK) {
		struct unrecorded u = {&f, d};
		if (!cfg->audit.present)
			policy_break_glass(p->policy, warn_unrecorded, &u);
		keep(cfg, &f, p->policy, d);
		parts_set(parts, PART_POLICY, shared_new(p, destroy_policy));
	}
	gate_files_done(&f);
	return code;
}

/* The copy is judged by the keys of today: what nobody trusts any more does not come back by a restart. */
static enum err_code recover(
    const struct config *cfg, struct lastgood *kept, struct served_policy **out, struct diags *d)
{
	struct gate g = {.config = &cfg->authorization, .copy = true};
	struct gate_files f = {.path = kept->path,
	    .base = kept->base,
	    .files = kept->files,
	    .n = kept->n,
	    .signature = kept->signature};
	struct policy_attempt at;
	struct err ignored; /* the policy that was refused has told of it */
	if (generation_read(cfg->state_dir, &g.highest, &ignored) != ERR_OK)
		g.highest = (struct generation){0};
	arena_init(&f.arena, 0);
	gate_read_keys(&cfg->authorization, &f);
	enum err_code code = gate_pass(&g, &f, out, &at.stage, d);
	gate_files_done(&f);
	return code;
}

enum err_code unit_policy_recover(
    const struct config *cfg, struct snapshot_parts *parts, struct diags *d)
{
	struct lastgood kept;
	struct served_policy *p = NULL;
	struct err e = {0};
	enum err_code code = lastgood_load(cfg->state_dir, &kept, &e);
	if (code != ERR_OK)
		diags_error(d, "", 0, 0, "%s", e.msg);
	else
		code = recover(cfg, &kept, &p, d);
	if (code == ERR_OK)
		parts_set(parts, PART_POLICY, shared_new(p, destroy_policy));
	lastgood_done(&kept);
	return code;
}

/* --- the one in its shadow, and neither --- */

enum err_code unit_shadow_load(const struct config *cfg, struct snapshot_parts *parts,
    struct policy_attempt *at, struct diags *d)
{
	const struct authorization_config shadow = shadow_config(cfg);
	const struct gate g = {.config = &shadow};
	*at = (struct policy_attempt){.stage = "read"};
	if (!shadow.present) {
		parts_set(parts, PART_SHADOW, NULL);
		return ERR_OK;
	}
	struct gate_files f;
	struct served_policy *p = NULL;
	gate_read_settled(&shadow, &f);
	memcpy(at->digest, f.digest, SHA256_LEN);
	enum err_code code = gate_pass(&g, &f, &p, &at->stage, d);
	if (code == ERR_OK)
		parts_set(parts, PART_SHADOW, shared_new(p, destroy_policy));
	gate_files_done(&f);
	return code;
}

static enum err_code check_one(const struct authorization_config *c, struct diags *d)
{
	const struct gate g = {.config = c};
	struct gate_files f;
	struct served_policy *p = NULL;
	const char *stage;
	if (!c->present)
		return ERR_OK;
	gate_read(c, &f);
	enum err_code code = gate_pass(&g, &f, &p, &stage, d);
	served_free(&p);
	gate_files_done(&f);
	return code;
}

enum err_code unit_policy_check(const struct config *cfg, struct diags *d)
{
	struct authorization_config shadow = shadow_config(cfg);
	enum err_code code = check_one(&cfg->authorization, d), other = check_one(&shadow, d);
	return code == ERR_OK ? other : code;
}
