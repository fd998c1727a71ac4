/* Owns the wait of a person's first answer for their grants, and the rules by which it is left out. */
#include "server/first_login.h"

#include "common/clock.h"
#include "common/spool_ack.h"

static struct metric *counter(const char *labels)
{
	return metrics_counter("portcullis_first_login_waits_total",
	    "Answers that told of a new or changed identity and were to wait for its grants, by how that ended.",
	    labels);
}

void first_login_init(struct first_login *f)
{
	static const double bounds[] = {0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2};
	f->ready = counter("result=\"ready\"");
	f->timeout = counter("result=\"timeout\"");
	f->skipped = counter("result=\"skipped\"");
	f->seconds = metrics_histogram("portcullis_first_login_wait_seconds",
	    "How long answers were held back until the grants of their identity were there, or in vain.", "",
	    bounds, ARRAY_LEN(bounds));
}

/* After vain waits one wait an interval is let through: it finds out whether the worker is back. */
static bool may_try(struct first_login *f)
{
	int64_t again = atomic_load(&f->again), now = clock_mono();
	if (again == 0)
		return true;
	return now >= again && atomic_compare_exchange_strong(&f->again, &again, now + FIRST_LOGIN_PAUSE);
}

static void learn(struct first_login *f, bool ready)
{
	if (ready) {
		atomic_store(&f->vain, 0);
		atomic_store(&f->again, 0);
	} else if (atomic_fetch_add(&f->vain, 1) + 1 >= FIRST_LOGIN_VAIN_MAX) {
		atomic_store(&f->again, clock_mono() + FIRST_LOGIN_PAUSE);
	}
}

static void observe(struct first_login *f, bool ready, int64_t since)
{
	metric_inc(ready ? f->ready : f->timeout);
	metric_observe(f->seconds, (double)(clock_mono() - since) / (double)CLOCK_SECOND);
}

void first_login_wait(struct first_login *f, const struct new_users_config *c, const struct spool_event *ev,
    int64_t deadline)
{
	char key[SPOOL_KEY_LEN + 1];
	uint8_t digest[SHA256_LEN];
	int64_t since = clock_mono(), until = since + c->first_login.wait_ms * CLOCK_MS;
	spool_key(ev->provider, ev->username, key);
	spool_digest(ev, digest);
	if (spool_acked(c->spool_dir, key, digest)) { /* says nothing about the worker of now */
		observe(f, true, since);
		return;
	}
	bool place = atomic_fetch_add(&f->waiting, 1) < FIRST_LOGIN_WAITERS_MAX;
	if (place && spool_worker_alive(c->spool_dir) && may_try(f)) {
		bool ready =
		    spool_ack_wait(c->spool_dir, key, digest, until < deadline ? until : deadline);
		learn(f, ready);
		observe(f, ready, since);
	} else {
		metric_inc(f->skipped);
	}
	atomic_fetch_sub(&f->waiting, 1);
}
