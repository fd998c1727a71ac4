/* Fuzzes token files: what loads opens for the tokens that a second, simpler reader finds in it, and every
 * fault has its line. */
#include <sys/mman.h>
#include <unistd.h>

#include "authn/chain.h"
#include "authn/firewall.h"
#include "tests/fuzz/fuzz.h"

static int fd = -1;
static char path[64];

static void put(const uint8_t *data, size_t size)
{
	if (fd < 0) {
		fd = memfd_create("tokens", MFD_CLOEXEC);
		FUZZ_CHECK(fd >= 0);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	FUZZ_CHECK(ftruncate(fd, 0) == 0);
	FUZZ_CHECK(pwrite(fd, data, size, 0) == (ssize_t)size);
}

static enum authn_step ask(struct authn *t, struct slice token, struct authn_call *call)
{
	*call = (struct authn_call){.token = token};
	return t->ops->try_now(t, call);
}

/* A line without quotes: three or four columns between commas. */
static void check_line(struct authn *t, struct slice line)
{
	struct authn_call call;
	size_t first = slice_find(line, ','), quote = slice_find(line, '"');
	if (quote < line.len || first == line.len)
		return;
	struct slice token = {line.p, first}, rest = slice_skip(line, first + 1);
	struct slice user = {rest.p, slice_find(rest, ',')};
	enum authn_step step = ask(t, token, &call);
	if (slice_starts(token, SLICE("sha256:"))) {
		FUZZ_CHECK(step == AUTHN_PASS);
		return;
	}
	FUZZ_CHECK(step == AUTHN_ACCEPT && slice_eq(call.id.username, user));
	FUZZ_CHECK(user.len > 0 && slice_printable(user));
}

static void check_lines(struct authn *t, struct slice text)
{
	if (slice_starts(text, SLICE("\xef\xbb\xbf")))
		text = slice_skip(text, 3);
	while (text.len) {
		struct slice line = {text.p, slice_find(text, '\n')};
		text = slice_skip(text, line.len + 1);
		if (line.len && line.p[line.len - 1] == '\r')
			line.len--;
		check_line(t, line);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *const paths[] = {path};
	struct authn_config cfg = {.token_files = {paths, 1}};
	AUTO(diags_done) struct diags d = {0};
	struct authn *t = NULL;
	put(data, size);
	enum err_code code = authn_tokenfiles_new(&cfg, &t, &d);
	FUZZ_CHECK((code == ERR_OK) == (t != NULL) && (code == ERR_OK) == (d.errors == 0));
	for (size_t i = 0; i < d.len; i++)
		FUZZ_CHECK(d.items[i].level == DIAG_WARNING || d.items[i].line > 0 || size == 0);
	if (!t)
		return 0;
	check_lines(t, fuzz_slice(data, size));
	t->ops->destroy(t);
	return 0;
}
