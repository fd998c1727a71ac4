/* Fuzzes what directories answer: binds with their controls and texts, entries, values in pieces, pages. The first byte
 * of the input says what is asked; the rest is what the server sends, whole and before it is asked. What is taken from it
 * stays within its limits, and a yes is only ever the yes of a whole answer.
 *
 * libldap loses the request of an answer that it cannot decode: tests/support/lsan_ldap.c says so to the leak checker. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/ldapx_handle.h"
#include "tests/fuzz/fuzz.h"

/* What a socket surely holds at once. */
#define INPUT_MAX ((size_t)64 << 10)
#define ENTRIES_MAX 20
#define ARENA_MAX ((size_t)1 << 20)
/* Nothing waits for that long: the server has hung up. */
#define PATIENCE (10 * CLOCK_SECOND)

/* Bits of the first byte. */
enum { BIND = 1, EXTERNAL = 2, SEARCH = 4, PAGES = 8, RANGES = 16, AGAIN = 32 };

static struct ldapx *handle(const uint8_t *data, size_t size, int *peer)
{
	int pair[2], room = 1 << 20;
	struct ldapx *h = NULL;
	struct err e;
	FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	for (int i = 0; i < 2; i++)
		setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	FUZZ_CHECK(send(pair[1], data, size, 0) == (ssize_t)size);
	shutdown(pair[1], SHUT_WR);
	FUZZ_CHECK(ldapx_adopt(pair[0], clock_mono() + PATIENCE, &h, &e) == ERR_OK);
	*peer = pair[1];
	return h;
}

static void try_bind(struct ldapx *h, unsigned how)
{
	struct ldapx_bind_info info;
	struct err e = {0};
	bool well = ldapx_alive(h);
	enum err_code code =
	    how & EXTERNAL
		? ldapx_bind_external(h, clock_mono() + PATIENCE, &e)
		: ldapx_bind(h, SLICE("cn=a"), SLICE("pw"), clock_mono() + PATIENCE, &info, &e);
	FUZZ_CHECK(code == ERR_OK || e.msg[0]);
	FUZZ_CHECK(code == ERR_OK || code == ERR_REFUSED || code == ERR_UNAVAILABLE);
	FUZZ_CHECK(well || code == ERR_UNAVAILABLE);
	FUZZ_CHECK(ldapx_alive(h) == (code == ERR_OK || code == ERR_REFUSED));
	if (how & EXTERNAL)
		return;
	FUZZ_CHECK(info.account <= LDAPX_ACCOUNT_LOCKED);
	FUZZ_CHECK(info.grace_left >= -1 && info.expires_in >= -1);
}

static void check_entry(const struct ldapx_entry *entry, const char *const *attrs)
{
	FUZZ_CHECK(entry->dn.p[entry->dn.len] == '\0');
	for (size_t i = 0; attrs[i]; i++) {
		const struct ldapx_attr *a = ldapx_attr(entry, attrs, attrs[i]);
		FUZZ_CHECK(a == &entry->attrs[i] && a->n <= LDAPX_VALUES_MAX);
		for (size_t j = 0; j < a->n; j++)
			FUZZ_CHECK(a->values[j].p[a->values[j].len] == '\0');
	}
}

static void try_search(struct ldapx *h, unsigned how)
{
	static const char *const attrs[] = {"member", "cn", NULL};
	AUTO(arena_done) struct arena a;
	arena_init(&a, ARENA_MAX);
	struct ldapx_search q = {
	    .base = "o=x",
	    .filter = "(cn=*)",
	    .attrs = attrs,
	    .max_entries = ENTRIES_MAX,
	    .page = how & PAGES ? 2 : 0,
	    .ranges = how & RANGES,
	};
	struct ldapx_entry *found;
	size_t n;
	struct err e = {0};
	bool well = ldapx_alive(h);
	enum err_code code =
	    ldapx_search(h, &q, clock_mono() + PATIENCE, &a, &found, &n, &e);
	FUZZ_CHECK(code == ERR_OK || e.msg[0]);
	FUZZ_CHECK(code != ERR_REFUSED && code != ERR_TIMEOUT && code != ERR_INVALID);
	FUZZ_CHECK(well || code == ERR_UNAVAILABLE);
	FUZZ_CHECK(n <= ENTRIES_MAX);
	FUZZ_CHECK(ldapx_alive(h) == (code == ERR_OK || code == ERR_LIMIT));
	for (size_t i = 0; code == ERR_OK && i < n; i++)
		check_entry(&found[i], attrs);
}

static void try_text(const uint8_t *data, size_t size)
{
	FUZZ_CHECK(ldapx_ad_account(fuzz_slice(data, size)) <= LDAPX_ACCOUNT_LOCKED);
	char *text = fuzz_text(data, size);
	struct ldapx_range r;
	if (ldapx_range_parse(text, "member", &r))
		FUZZ_CHECK(r.last || r.high >= r.low);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > INPUT_MAX)
		return 0;
	signal(SIGPIPE, SIG_IGN);
	unsigned how = data[0];
	data++;
	size--;
	try_text(data, size);
	int peer;
	AUTO(ldapx_close) struct ldapx *h = handle(data, size, &peer);
	if (how & BIND)
		try_bind(h, how);
	if (how & SEARCH)
		try_search(h, how);
	if (how & AGAIN)
		try_search(h, how);
	close(peer);
	return 0;
}
