/* Owns name resolution: a thread for each host that is being asked for, answers that are kept, and waiting with
 * a deadline. */
#include "common/resolve.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/str.h"

#define FRESH (30 * CLOCK_SECOND)
/* After that an address may be another machine's; certificates are checked in any case. */
#define STALE (600 * CLOCK_SECOND)
#define NO_FOR CLOCK_SECOND
#define HOST_MAX 256
#define LOOK_EVERY (50 * CLOCK_MS) /* at a wish to end: a condition cannot be polled together with it */
/* What the system's lookup modules may need, many times over; the default would be 8 MiB a thread. */
#define STACK_BYTES ((size_t)512 << 10)

struct host {
	char name[HOST_MAX]; /* "": free */
	struct resolved last; /* without ports */
	int64_t got, said_no; /* clock_mono(); 0: never */
	int error; /* of the last no, for gai_strerror */
	int64_t used;
	bool busy; /* a thread asks */
};

/* The process's one table, as the system's resolver is one: kept by name, never by who asks. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_once_t once;
	struct host hosts[RESOLVE_HOSTS_MAX];
	int (*ask)(const char *host, struct addrinfo **out);
} table = {.lock = PTHREAD_MUTEX_INITIALIZER, .once = PTHREAD_ONCE_INIT};

static int ask_system(const char *host, struct addrinfo **out)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	return getaddrinfo(host, NULL, &hints, out);
}

static void start(void)
{
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&table.changed, &attr);
	pthread_condattr_destroy(&attr);
	if (!table.ask)
		table.ask = ask_system;
}

static void copy(struct resolved *to, const struct addrinfo *list)
{
	*to = (struct resolved){0};
	for (; list && to->n < RESOLVE_ADDRESSES_MAX; list = list->ai_next) {
		if (list->ai_addrlen > sizeof(to->addrs[0]) ||
		    (list->ai_family != AF_INET && list->ai_family != AF_INET6))
			continue;
		memcpy(&to->addrs[to->n], list->ai_addr, list->ai_addrlen);
		to->lens[to->n++] = list->ai_addrlen;
	}
}

static void set_port(struct resolved *r, int port)
{
	for (size_t i = 0; i < r->n; i++) {
		if (r->addrs[i].ss_family == AF_INET)
			((struct sockaddr_in *)&r->addrs[i])->sin_port = htons((uint16_t)port);
		else
			((struct sockaddr_in6 *)&r->addrs[i])->sin6_port = htons((uint16_t)port);
	}
}

/* --- asking, without the lock --- */

static void *asker(void *arg)
{
	struct host *h = arg; /* busy: its name stays */
	struct addrinfo *list = NULL;
	struct resolved got = {0};
	pthread_mutex_lock(&table.lock);
	int (*ask)(const char *host, struct addrinfo **out) = table.ask;
	pthread_mutex_unlock(&table.lock);
	int rc = ask(h->name, &list);
	if (rc == 0) {
		copy(&got, list);
		freeaddrinfo(list);
		rc = got.n ? 0 : EAI_NONAME;
	}
	pthread_mutex_lock(&table.lock);
	h->busy = false;
	if (rc == 0) {
		h->last = got;
		h->got = clock_mono();
		h->said_no = 0;
	} else {
		h->said_no = clock_mono();
		h->error = rc;
	}
	pthread_cond_broadcast(&table.changed);
	pthread_mutex_unlock(&table.lock);
	return NULL;
}

/* With the lock. */
static void begin(struct host *h)
{
	pthread_attr_t attr;
	pthread_t thread;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	h->busy = true;
	if (pthread_create(&thread, &attr, asker, h) != 0) {
		h->busy = false;
		h->said_no = clock_mono();
		h->error = EAI_MEMORY;
	}
	pthread_attr_destroy(&attr);
}

/* --- the table, with the lock --- */

static bool within(int64_t since, int64_t span)
{
	return since != 0 && clock_mono() - since < span;
}

/* The entry of NAME: found, or the one that was not used for longest made anew. NULL: all are busy. */
static struct host *entry(const char *name)
{
	struct host *oldest = NULL;
	for (size_t i = 0; i < RESOLVE_HOSTS_MAX; i++) {
		struct host *h = &table.hosts[i];
		if (strcmp(h->name, name) == 0)
			return h;
		if (!h->busy && (!oldest || h->used < oldest->used))
			oldest = h;
	}
	if (oldest) {
		*oldest = (struct host){0};
		memcpy(oldest->name, name, strlen(name) + 1);
	}
	return oldest;
}

static bool wait_change(int64_t deadline, const struct cancel *cancel)
{
	int64_t now = clock_mono(), look = now + LOOK_EVERY;
	struct timespec until = clock_until(cancel && look < deadline ? look : deadline);
	if (now >= deadline)
		return false;
	return pthread_cond_timedwait(&table.changed, &table.lock, &until) == 0 ||
	       clock_mono() < deadline;
}

static enum err_code find(
    const char *name, int64_t deadline, const struct cancel *cancel, struct resolved *out, struct err *e)
{
	for (;;) {
		/* Anew each time: while nobody asks for it, an entry may become another host's. */
		struct host *h = entry(name);
		if (!h)
			return err_set(e, ERR_UNAVAILABLE,
			    "name resolution: too many names wait for the resolver");
		h->used = clock_mono();
		if (!h->busy && !within(h->got, FRESH) && !within(h->said_no, NO_FOR))
			begin(h);
		if (within(h->got, STALE)) {
			*out = h->last;
			return ERR_OK;
		}
		if (!h->busy && within(h->said_no, NO_FOR))
			return err_set(
			    e, ERR_UNAVAILABLE, "name resolution: %s", gai_strerror(h->error));
		if (cancel_asked(cancel))
			return err_set(e, ERR_UNAVAILABLE, "name resolution: given up");
		if (!wait_change(deadline, cancel))
			return err_set(e, ERR_TIMEOUT, "name resolution: no answer in time");
	}
}

/* --- outside --- */

static bool literal(const char *host, struct resolved *out)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
	struct addrinfo *list = NULL;
	if (getaddrinfo(host, NULL, &hints, &list) != 0)
		return false;
	copy(out, list);
	freeaddrinfo(list);
	return out->n > 0;
}

enum err_code resolve_host(
    const char *host, int port, int64_t deadline, const struct cancel *cancel, struct resolved *out, struct err *e)
{
	size_t len = host ? strlen(host) : 0;
	if (len == 0 || len >= HOST_MAX)
		return err_set(e, ERR_INVALID, "name resolution: no name, or one too long");
	enum err_code code = ERR_OK;
	if (!literal(host, out)) {
		pthread_once(&table.once, start);
		pthread_mutex_lock(&table.lock);
		code = find(host, deadline, cancel, out, e);
		pthread_mutex_unlock(&table.lock);
	}
	if (code == ERR_OK)
		set_port(out, port);
	return code;
}

void resolve_use(int (*fn)(const char *host, struct addrinfo **out))
{
	pthread_once(&table.once, start);
	pthread_mutex_lock(&table.lock);
	table.ask = fn ? fn : ask_system;
	for (size_t i = 0; i < RESOLVE_HOSTS_MAX; i++) {
		if (!table.hosts[i].busy)
			table.hosts[i] = (struct host){0};
	}
	pthread_mutex_unlock(&table.lock);
}
