/* Owns the keeper: the thread that follows leadership, templates, roles, namespaces, clocks and the limits on removals,
 * and tells the reconcilers what to look at again. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/secret.h"
#include "rbac-sync/runtime_parts.h"

#define TICK (CLOCK_SECOND / 2)
#define ROLES_EVERY (60 * CLOCK_SECOND)
#define RESYNC_EVERY (3600 * CLOCK_SECOND) /* what a watch may have missed */
#define CLOCK_STEP CLOCK_SECOND		   /* a wall clock that moved so far against the other was set */
#define CHECK_LATER (5 * CLOCK_SECOND)
#define NOTE_MAX 256

/* --- what is watched --- */

/* Starts watches for those of KINDS that have none. */
static void watch_kinds(struct runtime *r, unsigned kinds)
{
	struct kube_options o = runtime_client(r);
	struct err e;
	for (enum object_kind k = 0; k < KIND_WATCHED; k++) {
		struct kube *kube;
		if (!(kinds & 1U << k) || r->watches[k])
			continue;
		if (kube_open(&o, &kube, &e) != ERR_OK) {
			log_error("no client for a watch", LOG_STR("reason", e.msg));
			return;
		}
		bool ours = k != KIND_USER_RECORD && k != KIND_NAMESPACE;
		r->watches[k] = watch_start(kube, r->store, k, ours ? LABEL_MANAGED_BY "=" MANAGED_BY : NULL);
	}
	r->kinds |= kinds;
}

/* --- templates --- */

static void count_reload(bool ok)
{
	metric_inc(metrics_counter("portcullis_sync_config_reload_total",
	    "Changes of the template file, by whether they were taken.",
	    ok ? "result=\"ok\"" : "result=\"rejected\""));
}

static void show_config(struct runtime *r)
{
	struct templates_held *held = templates_hold(r->templates);
	struct buf labels;
	buf_init(&labels, 128);
	metrics_label(&labels, "hash", slice_of(held->config->digest));
	metric_set(metrics_gauge("portcullis_sync_config_hash_info",
	    "1 for the digest of the templates in force.", buf_cstr(&labels)), 1);
	buf_done(&labels);
	metric_set(metrics_gauge("portcullis_sync_config_generation",
	    "Templates taken since the start, the first ones included.", ""), ++r->config_generation);
	lease_config_hash(r->lease, held->config->digest);
	atomic_store(&r->max_users, held->config->limits.max_users);
	atomic_store(&r->new_users, held->config->limits.max_new_users);
	templates_let(r->templates, &held);
}

static void hide_config(struct runtime *r)
{
	struct templates_held *held = templates_hold(r->templates);
	struct buf labels;
	buf_init(&labels, 128);
	metrics_label(&labels, "hash", slice_of(held->config->digest));
	metrics_forget("portcullis_sync_config_hash_info", buf_cstr(&labels));
	buf_done(&labels);
	templates_let(r->templates, &held);
}

static void look_at_file(struct runtime *r, bool force)
{
	struct templates_held *fresh;
	struct err why;
	bool stale = templates_stale(r->templates);
	switch (templates_read(r->templates, &fresh, &why)) {
	case TEMPLATES_REJECTED:
		count_reload(false);
		log_error("templates rejected, the last good ones stay", LOG_STR("reason", why.msg));
		break;
	case TEMPLATES_NEW:
		templates_drop(&r->candidate);
		r->candidate = fresh;
		watch_kinds(r, needs_kinds(r->c, fresh->config));
		break;
	case TEMPLATES_SAME:
		if (stale && !templates_stale(r->templates)) {
			count_reload(true);
			log_info("the template file is again what is in force");
		} else if (force)
			log_info("templates are as they were");
		break;
	}
}

/* New templates come into force when the kinds that they need are known. */
static void take_candidate(struct runtime *r)
{
	if (!r->candidate || !store_synced(r->store, needs_kinds(r->c, r->candidate->config)))
		return;
	roles_refresh(r->roles, r->keeper_kube, r->candidate->config);
	r->roles_seen = roles_version(r->roles);
	size_t n = r->candidate->config->templates.len;
	hide_config(r);
	gc_hold(r->gc, "no full pass over all records yet"); /* by the new ones */
	templates_use(r->templates, &r->candidate);
	show_config(r);
	count_reload(true);
	log_info("templates loaded", LOG_STR("file", r->c->templates), LOG_INT("templates", n));
	r->checked = 0;
	if (atomic_load(&r->acting))
		work_begin_pass(r);
}

static void follow_templates(struct runtime *r)
{
	bool force = atomic_exchange(&r->reload, false);
	bool moved = file_watch_drain(r->files);
	int64_t now = clock_mono();
	if (force) {
		struct err e;
		if (kube_reload(r->keeper_kube, &e) != ERR_OK)
			log_error("kubeconfig rejected, the last good one stays", LOG_STR("reason", e.msg));
		r->refreshed = r->checked = 0;
		roles_expire(r->roles);
		atomic_store(&r->quiet_until, 0);
	}
	if (force || moved || now - r->looked >= r->c->scan_interval) {
		r->looked = now;
		look_at_file(r, force);
	}
	take_candidate(r);
	if (force && atomic_load(&r->acting))
		work_queue_all(r);
}

/* --- roles --- */

static void follow_roles(struct runtime *r)
{
	struct pollfd asked = {.fd = roles_fd(r->roles), .events = POLLIN};
	int64_t now = clock_mono();
	if (now - r->refreshed >= ROLES_EVERY || !r->refreshed) {
		struct templates_held *held = templates_hold(r->templates);
		r->refreshed = now;
		roles_refresh(r->roles, r->keeper_kube, held->config);
		templates_let(r->templates, &held);
	} else if (poll(&asked, 1, 0) == 1) {
		roles_catch_up(r->roles, r->keeper_kube);
	}
	if (roles_version(r->roles) == r->roles_seen)
		return;
	r->roles_seen = roles_version(r->roles);
	if (atomic_load(&r->acting))
		work_queue_all(r);
}

/* What the generated ClusterRole gives, asked before it is missed. */
static void self_check(struct runtime *r)
{
	/* Who is about to act has no time for it, unless it is a right that is missing. */
	if (atomic_load(&r->leads) && !atomic_load(&r->acting) && clock_mono() < r->resynced + CHECK_LATER)
		return;
	struct templates_held *held = templates_hold(r->templates);
	runtime_check(r, r->keeper_kube, held->config);
	templates_let(r->templates, &held);
}

/* --- namespaces --- */

static void add_found(struct runtime *r, const struct template_places *places, struct arena *a, struct buf *to)
{
	const char **names;
	if (!places || !places->selector)
		return;
	size_t n = store_namespaces(r->store, places->selector, a, &names);
	buf_addc(to, '\n');
	for (size_t i = 0; i < n; i++) {
		buf_adds(to, names[i]);
		buf_addc(to, ',');
	}
}

/* A digest of what the templates' selectors find now, for grants and for objects. */
static void select_all(struct runtime *r, uint8_t out[SHA256_LEN])
{
	struct arena a;
	struct buf text;
	arena_init(&a, 0);
	buf_init(&text, (size_t)64 << 20);
	struct templates_held *held = templates_hold(r->templates);
	const struct template *t = held->config->templates.items;
	for (size_t i = 0; i < held->config->templates.len; i++) {
		const struct template_grant *g = t[i].grants.items;
		add_found(r, &t[i].places, &a, &text);
		for (size_t k = 0; k < t[i].grants.len; k++)
			add_found(r, g[k].places, &a, &text);
	}
	templates_let(r->templates, &held);
	sha256(text.p ? text.p : "", text.len, out);
	buf_done(&text);
	arena_done(&a);
}

/* Ten thousand users bring ten thousand namespaces: only who waits, and only what a selector finds, is looked at. */
static void follow_namespaces(struct runtime *r)
{
	uint8_t now[SHA256_LEN];
	if (!atomic_exchange(&r->moved, false))
		return;
	work_queue_names(r, &r->waiting);
	select_all(r, now);
	if (memcmp(now, r->selected, SHA256_LEN) == 0)
		return;
	memcpy(r->selected, now, SHA256_LEN);
	if (atomic_load(&r->acting))
		work_queue_all(r);
}

/* --- leadership --- */

static bool healthy(struct runtime *r, struct err *why)
{
	for (size_t k = 0; k < KIND_WATCHED; k++) {
		if (r->watches[k] && !watch_healthy(r->watches[k], why))
			return false;
	}
	return true;
}

/* What the leader before us knew of the directories' sizes, and what we know. */
static void remember_directories(struct runtime *r)
{
	const struct directory_config *c = r->c->directories.items;
	for (size_t i = 0; r->directories && r->c->lease.enabled && i < r->c->directories.len; i++) {
		char key[NOTE_MAX], note[NOTE_MAX];
		snprintf(key, sizeof(key), NOTE_DIRECTORY "%s", c[i].name);
		if (!lease_noted(r->lease, key, note, sizeof(note)))
			continue;
		struct directory_counts counts = directory_counts_read(note);
		directories_remember(r->directories, c[i].name, &counts);
	}
}

static void note_directories(struct runtime *r)
{
	const struct directory_config *c = r->c->directories.items;
	for (size_t i = 0; r->c->lease.enabled && i < r->c->directories.len; i++) {
		char key[NOTE_MAX];
		AUTO(buf_done) struct buf note;
		struct directory_counts counts = directories_counts(r->directories, c[i].name);
		buf_init(&note, NOTE_MAX - 1);
		directory_counts_write(&counts, &note);
		snprintf(key, sizeof(key), NOTE_DIRECTORY "%s", c[i].name);
		if (counts.users)
			lease_note(r->lease, key, buf_cstr(&note));
	}
}

static void begin(struct runtime *r)
{
	char note[NOTE_MAX];
	bool noted = r->c->lease.enabled && lease_noted(r->lease, NOTE_GC_WINDOW, note, sizeof(note));
	gc_import(r->gc, noted ? note : NULL);
	gc_hold(r->gc, "no full pass over all records yet");
	remember_directories(r);
	/* What we noted last may never have been written, or another leader noted something else. */
	r->window[0] = '\0';
	snprintf(r->blocked_run, sizeof(r->blocked_run), "?");
	if (r->directories)
		directories_lead(r->directories, true);
	atomic_store(&r->acting, true);
	log_info("acting: all records are looked at", LOG_INT("records", store_count(r->store, KIND_USER_RECORD)));
	work_begin_pass(r);
	r->resynced = clock_mono();
}

static void end(struct runtime *r)
{
	atomic_store(&r->acting, false);
	gc_hold(r->gc, "another replica leads");
	shared_stop(r->shared);
	phases_clear(r->phases);
	if (r->directories)
		directories_lead(r->directories, false);
	log_info("not acting any more");
}

static void follow_leadership(struct runtime *r)
{
	bool leads = atomic_load(&r->leads), acting = atomic_load(&r->acting);
	if (leads && !acting && store_synced(r->store, r->kinds) && lease_leading(r->lease))
		begin(r);
	else if (!leads && acting)
		end(r);
}

/* --- removals --- */

static const char *hold_why(struct runtime *r, struct err *why)
{
	if (!atomic_load(&r->acting) || !lease_leading(r->lease))
		return "not the leader";
	if (!shared_full(r->shared))
		return "no full pass over all records yet";
	if (!healthy(r, why))
		return why->msg;
	if (lease_dissent(r->lease))
		return "replicas work by different templates";
	return r->candidate ? "templates are about to change" : NULL;
}

static void follow_gc(struct runtime *r)
{
	struct err why;
	struct gc_state state;
	char note[NOTE_MAX], window[GC_EXPORT_LEN];
	gc_hold(r->gc, hold_why(r, &why));
	if (!atomic_load(&r->acting) || !r->c->lease.enabled)
		return;
	if (lease_noted(r->lease, NOTE_GC_CONFIRM, note, sizeof(note)) && gc_confirm(r->gc, note)) {
		log_info("a blocked run of removals was confirmed", LOG_STR("note", note));
		lease_note(r->lease, NOTE_GC_CONFIRM, NULL);
		work_queue_all(r);
	}
	gc_look(r->gc, &state);
	gc_export(r->gc, window);
	/* The run that was blocked under an earlier leader stays noted until it is known what became of it. */
	bool known = *state.run || strstr(window, GC_EXPORT_NONE);
	if (known && strcmp(state.run, r->blocked_run) != 0) {
		memcpy(r->blocked_run, state.run, sizeof(r->blocked_run));
		snprintf(note, sizeof(note), "%s %zu %zu", state.run, state.candidates, state.allowed);
		lease_note(r->lease, NOTE_GC_BLOCKED, *state.run ? note : NULL);
	}
	if (strcmp(window, r->window) != 0) {
		memcpy(r->window, window, sizeof(window));
		lease_note(r->lease, NOTE_GC_WINDOW, window);
	}
}

/* --- passes and clocks --- */

static void follow_passes(struct runtime *r)
{
	if (atomic_exchange(&r->full, false)) {
		metric_set(metrics_gauge("portcullis_sync_last_full_sync_timestamp_seconds",
		    "When a pass over all records was last completed.", ""), (double)clock_unix());
		log_info("all records were looked at");
		struct err why;
		gc_hold(r->gc, hold_why(r, &why));
		work_queue_names(r, &r->holding);
	}
	int64_t now = clock_mono(), offset = clock_now() - now;
	int64_t step = offset - r->clock_offset;
	bool stepped = step > CLOCK_STEP || step < -CLOCK_STEP, polled = atomic_exchange(&r->polled, false);
	r->clock_offset = offset;
	if (stepped)
		log_warn("the wall clock was set", LOG_INT("seconds", step / CLOCK_SECOND));
	if (polled)
		note_directories(r);
	/* What was planned by the wall clock was planned by the old one. */
	if ((stepped || polled || now - r->resynced >= RESYNC_EVERY) && atomic_load(&r->acting)) {
		r->resynced = now;
		work_queue_all(r);
	}
}

static void wait_for_work(struct runtime *r)
{
	uint64_t n;
	struct pollfd fds[] = {
	    {.fd = r->wake, .events = POLLIN},
	    {.fd = file_watch_fd(r->files), .events = POLLIN},
	    {.fd = roles_fd(r->roles), .events = POLLIN},
	};
	poll(fds, ARRAY_LEN(fds), TICK / CLOCK_MS);
	if (fds[0].revents && read(r->wake, &n, sizeof(n)) < 0)
		return; /* somebody else's wake-up */
}

static void *keep(void *arg)
{
	struct runtime *r = arg;
	while (!cancel_asked(&r->stopping)) {
		follow_templates(r);
		follow_roles(r);
		follow_leadership(r);
		follow_namespaces(r);
		follow_passes(r);
		follow_gc(r);
		self_check(r);
		if (!cancel_asked(&r->stopping))
			wait_for_work(r);
	}
	return NULL;
}

enum err_code keeper_start(struct runtime *r, struct err *e)
{
	struct kube_options o = runtime_client(r);
	TRY(kube_open(&o, &r->keeper_kube, e));
	TRY(file_watch_new(&r->files, e));
	file_watch_set(r->files, &r->c->templates, 1);
	r->clock_offset = clock_now() - clock_mono();
	r->looked = r->resynced = clock_mono();
	show_config(r);
	struct templates_held *held = templates_hold(r->templates);
	watch_kinds(r, needs_kinds(r->c, held->config));
	templates_let(r->templates, &held);
	if (pthread_create(&r->keeper, NULL, keep, r) != 0)
		return err_set(e, ERR_INTERNAL, "no thread for the keeper");
	r->kept = true;
	return ERR_OK;
}

void keeper_stop(struct runtime *r)
{
	if (r->kept) {
		runtime_wake(r);
		pthread_join(r->keeper, NULL);
	}
	r->kept = false;
	templates_drop(&r->candidate);
	file_watch_free(&r->files);
	kube_free(&r->keeper_kube);
}
