/* Owns how long a set that cannot be replaced goes on serving, in memory and across a restart. */
#include "authn/issuer_state.h"
#include "common/clock.h"
#include "common/metrics.h"

void issuers_set_max_age(struct issuers *s, int64_t ns)
{
	pthread_mutex_lock(&s->lock);
	s->max_age = ns;
	pthread_mutex_unlock(&s->lock);
}

void issuers_apply_max_age(struct issuers *s)
{
	pthread_mutex_lock(&s->lock);
	for (struct issuer *i = s->list; i; i = i->next) {
		pthread_mutex_lock(&i->lock);
		i->max_age = s->max_age;
		pthread_cond_broadcast(&i->cond);
		pthread_mutex_unlock(&i->lock);
	}
	pthread_mutex_unlock(&s->lock);
}

struct keyset *issuer_current(struct issuer *i, int64_t now)
{
	if (i->keys && now - i->ok_started > i->max_age) {
		keyset_unref(&i->keys);
		i->dropped = true;
		issuers_count_change(i->store);
	}
	return i->keys;
}

static int64_t old_from(const struct issuer *i)
{
	return i->ok_started + i->max_age / 100 * KEYS_OLD_PERCENT;
}

int64_t issuer_next_stage(const struct issuer *i)
{
	if (!i->keys || i->stage == KEYS_DROPPED)
		return INT64_MAX;
	/* One more: a set is dropped when it is older than its time, not when as old. */
	return i->stage == KEYS_FINE ? old_from(i)
				     : i->ok_started + i->max_age + 1;
}

/* "3h20m", "12m", "40s": enough to read. */
static const char *duration(int64_t ns, char out[32])
{
	struct buf b;
	int64_t s = ns > 0 ? ns / CLOCK_SECOND : 0;
	buf_init(&b, 31);
	if (s >= 3600)
		buf_printf(&b, "%lldh%lldm", (long long)(s / 3600), (long long)(s % 3600 / 60));
	else if (s >= 60)
		buf_printf(&b, "%lldm", (long long)(s / 60));
	else
		buf_printf(&b, "%llds", (long long)s);
	memcpy(out, buf_cstr(&b), b.len + 1);
	buf_done(&b);
	return out;
}

bool issuer_stage_moved(struct issuer *i, int64_t now, struct err *e)
{
	char age[32], cap[32];
	enum keys_stage stage = KEYS_FINE;
	if (issuer_current(i, now))
		stage = now >= old_from(i) ? KEYS_OLD : KEYS_FINE;
	else if (i->dropped)
		stage = KEYS_DROPPED;
	bool told = stage > i->stage;
	i->stage = stage;
	if (!told)
		return false;
	duration(i->max_age, cap);
	duration(now - i->ok_started, age);
	const char *last = i->failed ? i->last.msg : "none since the start";
	if (stage == KEYS_OLD)
		err_set(e, ERR_EXPIRED, "its key set is %s old and serves up to %s; last fetch: %s", age, cap,
		    last);
	else
		err_set(e, ERR_EXPIRED, "its key set was %s old and serves no more (up to %s); last fetch: %s",
		    age, cap, last);
	return true;
}

void issuer_describe_keys(struct issuer *i, int64_t now, struct buf *out)
{
	char age[32];
	const struct keyset *keys = issuer_current(i, now);
	if (keys)
		buf_printf(out, "%zu keys, read %s ago", keyset_len(keys),
		    duration(now - i->ok_started, age));
	else
		buf_adds(out, i->dropped ? "no keys: the last ones grew too old" : "no keys yet");
	if (keys && now >= old_from(i))
		buf_printf(out, ", serve up to %s", duration(i->max_age, age));
}

int64_t issuer_fetched_unix(const struct issuer *i, int64_t now)
{
	return clock_unix() - (now - i->ok_started) / CLOCK_SECOND;
}

/* --- on disk --- */

static struct keyfile_source source(const struct issuer *i)
{
	return (struct keyfile_source){
	    slice_of(i->src.issuer), slice_of(i->src.discovery_url), i->src.ca_pem};
}

static enum err_code load(
    struct issuer *i, struct arena *a, struct keyset **set, int64_t *age, struct err *e)
{
	struct keyfile k;
	const struct keyfile_source src = source(i);
	int64_t now = clock_unix();
	enum err_code code = keyfile_load(a, i->file, &src, now, &k, e);
	if (code != ERR_OK)
		return code;
	*age = now > k.fetched ? (now - k.fetched) * CLOCK_SECOND : 0;
	return keyset_parse(k.jwks, set, e) == ERR_OK ? ERR_OK : err_wrap(e, "%s", i->file);
}

void issuer_restore(struct issuer *i)
{
	struct err e = {0};
	struct keyset *set = NULL;
	int64_t age = 0;
	AUTO(arena_done) struct arena a;
	arena_init(&a, 0);
	if (!i->file || i->store->opt.on_demand)
		return;
	enum err_code code = load(i, &a, &set, &age, &e);
	if (code != ERR_OK) {
		/* None at all is the first start's usual state. */
		if (code != ERR_NOT_FOUND && i->store->opt.event) {
			err_wrap(&e, "the key set kept on disk is not used");
			i->store->opt.event(i->store->opt.event_arg, i->src.issuer, &e);
		}
		return;
	}
	i->keys = set;
	i->ok_started = clock_mono() - age;
	metric_set(i->series->last_success, (double)(clock_unix() - age / CLOCK_SECOND));
	issuers_count_change(i->store);
}

static bool save_is_due(const struct issuer *i, int64_t now)
{
	return !i->is_saved || now - i->saved >= KEYS_SAVE_EVERY_S * CLOCK_SECOND;
}

bool issuer_save(struct issuer *i, struct slice text, int64_t started, struct err *e)
{
	int64_t now = clock_mono();
	if (!i->file || i->store->opt.read_only || !save_is_due(i, now))
		return true;
	const struct keyfile_source src = source(i);
	const struct keyfile k = {text, clock_unix() - (now - started) / CLOCK_SECOND};
	bool failed_before = i->save_failed;
	i->save_failed = keyfile_save(i->file, &k, &src, e) != ERR_OK;
	if (!i->save_failed) {
		i->is_saved = true;
		i->saved = now;
		return true;
	}
	err_wrap(e, "its key set cannot be kept on disk");
	return failed_before;
}
