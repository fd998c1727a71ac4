/* Owns what is told of the policies that serve and of those that were refused. */
#include "server/policy_report.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/file.h"
#include "server/gate.h"
#include "server/generation.h"

#define STATUS_MAX ((size_t)1 << 20) /* POLICY_FILES_MAX files of the longest path */
#define NAME "policy-status.json"

/* --- audit --- */

static const struct audit_policy_file *list_files(struct arena *a, const struct served_policy *s)
{
	struct audit_policy_file *out = ARENA_ARRAY(a, struct audit_policy_file, s->nfiles);
	for (size_t i = 0; i < s->nfiles; i++) {
		const struct served_file *f = &s->files[i];
		out[i] = (struct audit_policy_file){.name = f->name,
		    .kind = policy_file_kind_name(f->kind),
		    .sha256 = f->sha256,
		    .owned = f->owned,
		    .owner = f->owner};
	}
	return out;
}

void policy_report_audit(struct audit_log *log, const struct policy_report *r, bool shadow,
    const struct policy_info *old)
{
	AUTO(arena_done) struct arena arena = {0};
	const struct policy_trouble *t = shadow ? &r->shadow_trouble : &r->policy_trouble;
	const struct served_policy *now = shadow ? r->shadow : r->policy;
	const struct authorization_config *c = &r->config->authorization;
	struct audit_policy a = {.shadow = shadow,
	    .rejected = t->failing,
	    .source = shadow ? c->shadow_policy : c->policy,
	    .stage = t->failing ? t->stage : NULL,
	    .error = t->failing ? t->error : NULL};
	if (old) {
		a.old_sha256 = old->sha256;
		a.old_generation = old->generation;
	}
	if (!t->failing && !now)
		return;
	if (!t->failing) {
		const struct policy_info *i = policy_info(now->policy);
		a.sha256 = i->sha256;
		a.generation = i->generation;
		a.rules = i->rules;
		a.deny_rules = i->deny_rules;
		a.abstain_rules = i->abstain_rules;
		a.files = now->nfiles;
		a.list = list_files(&arena, now);
		a.signed_by = now->signed_by;
	}
	audit_write_policy(log, &a);
}

/* --- metrics --- */

/* Shows the series NAME with the labels of S and hides the one in LAST, when it is another. */
static void show_info(const char *name, const char *help, const struct served_policy *s,
    bool with_source, struct buf *last)
{
	AUTO(buf_done) struct buf labels;
	buf_init(&labels, 256);
	if (s) {
		const struct policy_info *i = policy_info(s->policy);
		buf_printf(&labels, "generation=\"%lld\",sha256=\"%s\"", (long long)i->generation,
		    i->sha256);
		if (with_source)
			buf_printf(&labels, ",source=\"%s\"", s->recovered ? "copy" : "files");
	}
	if (last->len && !slice_eq(buf_view(last), buf_view(&labels)))
		metrics_forget(name, buf_cstr(last));
	last->len = 0;
	buf_slice(last, buf_view(&labels));
	if (s)
		metric_set(metrics_gauge(name, help, buf_cstr(&labels)), 1);
}

void policy_report_metrics(const struct policy_report *r)
{
	static char room[2][256];
	static struct buf last[2] = {
	    {.p = room[0], .cap = sizeof(room[0]), .max = sizeof(room[0]) - 1},
	    {.p = room[1], .cap = sizeof(room[1]), .max = sizeof(room[1]) - 1}};
	show_info("portcullis_policy_info",
	    "Always 1; generation and digest of the policy that decides are in the labels.", r->policy,
	    true, &last[0]);
	show_info("portcullis_shadow_policy_info",
	    "Always 1; generation and digest of the shadow policy are in the labels.", r->shadow, false,
	    &last[1]);
	if (r->policy)
		metric_set(metrics_gauge("portcullis_policy_last_load_timestamp_seconds",
			       "When the policy that decides was loaded.", ""),
		    (double)(r->policy->loaded / CLOCK_SECOND));
}

/* Makes the metrics that count from nothing. */
static void init_metrics(void)
{
	for (size_t i = 0; i < gate_stages_len; i++) {
		char label[32];
		snprintf(label, sizeof(label), "stage=\"%s\"", gate_stages[i]);
		metrics_counter("portcullis_policy_load_failures_total",
		    "Policies that were rejected, by the stage they failed in.", label);
	}
}

/* --- the document --- */

static void member(struct buf *b, const char *key, const char *value)
{
	if (value)
		buf_json_member(b, key, slice_of(value));
}

static void add_signers(struct buf *b, const struct served_policy *s)
{
	buf_adds(b, ",\"signedBy\":[");
	for (size_t i = 0; i < s->nsigners; i++)
		buf_printf(b, "%s\"%s\"", i ? "," : "", s->signers[i]);
	buf_addc(b, ']');
}

static void add_files(struct buf *b, const struct served_policy *s)
{
	buf_adds(b, ",\"files\":[");
	for (size_t i = 0; i < s->nfiles; i++) {
		buf_adds(b, i ? ",{\"name\":" : "{\"name\":");
		buf_json(b, slice_of(s->files[i].name));
		buf_printf(b, ",\"kind\":\"%s\",\"sha256\":\"%s\"}", policy_file_kind_name(s->files[i].kind),
		    s->files[i].sha256);
	}
	buf_addc(b, ']');
}

static void add_served(struct buf *b, const struct served_policy *s)
{
	const struct policy_info *i = policy_info(s->policy);
	char when[CLOCK_RFC3339_LEN];
	clock_rfc3339(s->loaded, when);
	member(b, "name", i->name);
	buf_printf(b, ",\"generation\":%lld,\"sha256\":\"%s\",\"source\":\"%s\",\"loadedAt\":\"%s\"",
	    (long long)i->generation, i->sha256, s->recovered ? "copy" : "files", when);
	buf_printf(b, ",\"rules\":%zu,\"denyRules\":%zu,\"abstainRules\":%zu,\"tests\":%zu", i->rules,
	    i->deny_rules, i->abstain_rules, i->tests);
	add_signers(b, s);
	add_files(b, s);
}

/* "KEY":{…}: one policy. */
static void add_policy(struct buf *b, const char *key, const char *path,
    const struct served_policy *s, const struct policy_trouble *t)
{
	buf_printf(b, ",\"%s\":{\"state\":\"%s\"", key,
	    !s ? "none" : t->failing ? "stale" : "current");
	member(b, "path", path);
	if (s)
		add_served(b, s);
	if (t->failing) {
		buf_adds(b, ",\"refused\":{\"since\":");
		buf_json(b, slice_of(t->since));
		member(b, "stage", t->stage);
		member(b, "error", t->error);
		buf_addc(b, '}');
	}
	buf_addc(b, '}');
}

static void add_settings(struct buf *b, const struct config *c, const struct served_policy *now)
{
	const struct authorization_config *z = &c->authorization;
	int64_t serving = now ? policy_info(now->policy)->generation : 0;
	struct generation highest = {0};
	struct err ignored;
	/* The file may be behind what serves: lost, or the process died before it was written. */
	if (generation_read(c->state_dir, &highest, &ignored) == ERR_OK || serving > 0)
		buf_printf(b, ",\"highestGeneration\":%lld",
		    (long long)(highest.number > serving ? highest.number : serving));
	buf_printf(b, ",\"requireGeneration\":%s,\"maxShrink\":%lld",
	    z->require_generation || z->signatures.present ? "true" : "false",
	    (long long)z->max_shrink);
	member(b, "guards", z->guards);
	if (!z->signatures.present)
		return;
	struct gate_files f = {0};
	arena_init(&f.arena, 0);
	gate_read_keys(z, &f);
	buf_printf(b, ",\"signatures\":{\"threshold\":%lld,\"keys\":[",
	    (long long)z->signatures.threshold);
	for (size_t i = 0; i < f.nkeys; i++)
		buf_printf(b, "%s\"%s\"", i ? "," : "", f.keys[i].id);
	buf_adds(b, "]}");
	gate_files_done(&f);
}

static void write_document(const struct policy_report *r, struct buf *b)
{
	const struct authorization_config *z = &r->config->authorization;
	char when[CLOCK_RFC3339_LEN];
	clock_rfc3339(clock_now(), when);
	buf_printf(b, "{\"at\":\"%s\",\"stale\":%s", when,
	    r->policy_trouble.failing ? "true" : "false");
	if (z->present) {
		add_policy(b, "policy", z->policy, r->policy, &r->policy_trouble);
		add_settings(b, r->config, r->policy);
	}
	if (z->present && z->shadow_policy)
		add_policy(b, "shadowPolicy", z->shadow_policy, r->shadow, &r->shadow_trouble);
	buf_adds(b, "}\n");
}

/* --- the board --- */

void policy_board_init(struct policy_board *b)
{
	*b = (struct policy_board){0};
	pthread_mutex_init(&b->lock, NULL);
	buf_init(&b->text, STATUS_MAX);
	init_metrics();
}

void policy_board_done(struct policy_board *b)
{
	buf_done(&b->text);
	pthread_mutex_destroy(&b->lock);
}

void policy_board_read(struct policy_board *b, struct buf *out)
{
	pthread_mutex_lock(&b->lock);
	buf_slice(out, buf_view(&b->text));
	pthread_mutex_unlock(&b->lock);
}

void policy_board_measure(struct policy_board *b)
{
	int64_t since = atomic_load(&b->stale_since);
	metric_set(metrics_gauge("portcullis_policy_stale_seconds",
		       "How long the files of the policy have differed from what decides, because they "
		       "were refused; 0: they do not.",
		       ""),
	    since ? (double)(clock_mono() - since) / (double)CLOCK_SECOND : 0);
}

enum err_code policy_report_status(
    struct policy_board *board, const struct policy_report *r, struct err *e)
{
	AUTO(arena_done) struct arena a = {0};
	struct buf b;
	buf_init(&b, STATUS_MAX);
	write_document(r, &b);
	if (!r->policy_trouble.failing)
		atomic_store(&board->stale_since, 0);
	else if (atomic_load(&board->stale_since) == 0)
		atomic_store(&board->stale_since, clock_mono());
	pthread_mutex_lock(&board->lock);
	struct buf old = board->text;
	board->text = b;
	pthread_mutex_unlock(&board->lock);
	buf_done(&old);
	return file_write_atomic(
	    arena_printf(&a, "%s/" NAME, r->config->state_dir), b.p, b.len, 0600, e);
}
