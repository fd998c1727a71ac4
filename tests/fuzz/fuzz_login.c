/* Fuzzes what strangers may send to the login listener, and basic tokens: a header or a body gives a name and a
 * password that are the input's own, and what comes back of it otherwise tells nothing of it. The first byte
 * chooses the form. */
#include "authn/chain.h"
#include "authn/directories.h"
#include "authn/login_request.h"
#include "tests/fuzz/fuzz.h"

static void check_login(struct arena *a, struct slice header, struct slice body)
{
	struct login_request r;
	struct err e = {0};
	enum err_code code = login_request_parse(header, body, a, &r, &e);
	FUZZ_CHECK(code == ERR_OK || code == ERR_INVALID);
	FUZZ_CHECK((code == ERR_OK) == (e.code == ERR_OK));
	if (code != ERR_OK)
		return;
	/* Only the first colon splits: RFC 7617. */
	FUZZ_CHECK(!header.len || !memchr(r.username.p, ':', r.username.len));
	FUZZ_CHECK(!header.len || r.directory.len == 0);
	FUZZ_CHECK(r.username.len <= LOGIN_BODY_MAX && r.password.len <= LOGIN_BODY_MAX);
}

static void check_token(struct arena *a, struct slice body, bool form)
{
	struct slice token;
	struct err e = {0};
	if (login_revoke_parse(body, form, a, &token, &e) == ERR_OK)
		FUZZ_CHECK(token.len > 0 && token.len <= body.len);
	if (!form && login_handle_parse(body, a, &token, &e) == ERR_OK)
		FUZZ_CHECK(token.len > 0 && token.len <= body.len);
}

/* What counts as basic is a printable name and password, and a change of any byte is another token. */
static void check_basic(struct arena *a, struct slice token)
{
	static bool takes = true;
	static struct directories all = {.n = 1, .nbasic = 1, .basic = &takes};
	struct authn *basic = NULL;
	authn_basic_new(&all, &basic);
	struct authn_call call = {.arena = a, .token = token};
	enum authn_step step = basic->ops->try_now(basic, &call);
	FUZZ_CHECK(step == AUTHN_PASS || step == AUTHN_NEEDS_WORK);
	if (step == AUTHN_NEEDS_WORK) {
		struct login_request r;
		char *header = arena_alloc(a, token.len + 7);
		memcpy(header, "Basic ", 6);
		memcpy(header + 6, token.p, token.len);
		struct err e;
		FUZZ_CHECK(login_request_parse((struct slice){header, token.len + 6}, (struct slice){0}, a,
			       &r, &e) == ERR_OK);
		FUZZ_CHECK(r.username.len > 0 && r.username.len <= DIRECTORY_NAME_MAX);
		FUZZ_CHECK(r.password.len > 0 && r.password.len <= DIRECTORY_PASSWORD_MAX);
		FUZZ_CHECK(slice_printable(r.username) && slice_printable(r.password));
	}
	basic->ops->destroy(basic);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(arena_done) struct arena a = {0};
	if (size == 0)
		return 0;
	struct slice rest = fuzz_slice(data + 1, size - 1);
	switch (data[0]) {
	case 'H':
		check_login(&a, rest, (struct slice){0});
		break;
	case 'F':
		check_token(&a, rest, true);
		break;
	case 'T':
		check_basic(&a, rest);
		break;
	default:
		check_login(&a, (struct slice){0}, rest);
		check_token(&a, rest, false);
	}
	return 0;
}
