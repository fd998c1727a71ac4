/* Asks one directory from the command line, for tests on real servers: authn/ldap.c without a
 * daemon.
 *
 * Usage: ldap_probe CONFIG. CONFIG holds one entry of authentication.ldap[]. A question a line on
 * standard input, fields in hex (empty: -): "login NAME PASSWORD MS" or "lookup NAME UID MS", MS
 * being the deadline. An answer a line on standard output, as JSON. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "authn/ldap.h"
#include "authn/ldap_pool.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/ldapx.h"
#include "common/secret.h"

static const char *const verdicts[] = {[DIRECTORY_REFUSED] = "refused",
    [DIRECTORY_GOOD] = "good",
    [DIRECTORY_UNAVAILABLE] = "unavailable"};

static int print_findings(const struct diags *d)
{
	AUTO(buf_done) struct buf out;
	buf_init(&out, 1 << 20);
	diags_print(d, &out);
	fputs(buf_cstr(&out), stderr);
	return 2;
}

static enum err_code load(
    struct arena *a, const char *path, struct ldap_config *cfg, struct diags *d)
{
	struct slice text;
	struct err e;
	struct yaml_node *root;
	if (file_read(a, path, YAMLX_BYTES, &text, &e) != ERR_OK)
		return diags_error(d, path, 0, 0, "%s", e.msg);
	enum err_code code = yamlx_parse(a, path, text, &root, d);
	return code == ERR_OK ? schema_bind(a, &ldap_config_schema, path, root, cfg, d) : code;
}

static struct slice unhex(struct arena *a, const char *hex)
{
	if (strcmp(hex, "-") == 0)
		return (struct slice){0};
	size_t n = strlen(hex) / 2;
	char *p = arena_alloc(a, n + 1);
	if (!hex_decode(slice_of(hex), (uint8_t *)p, n))
		abort();
	return (struct slice){p, n};
}

static void member(struct buf *out, const char *key, struct slice value)
{
	buf_printf(out, ",\"%s\":", key);
	buf_json(out, value);
}

static void answer(enum directory_verdict v, const struct directory_call *c)
{
	AUTO(buf_done) struct buf out;
	buf_init(&out, 16 << 20);
	buf_adds(&out, "{\"verdict\":");
	buf_json(&out, slice_of(verdicts[v]));
	member(&out, "reason", slice_of(c->reason));
	member(&out, "why", slice_of(c->why.msg));
	member(&out, "name", c->name);
	member(&out, "username", c->id.username);
	member(&out, "uid", c->id.uid);
	buf_adds(&out, ",\"groups\":[");
	for (size_t i = 0; i < c->id.ngroups; i++) {
		if (i)
			buf_addc(&out, ',');
		buf_json(&out, c->id.groups[i]);
	}
	buf_adds(&out, "]}");
	puts(buf_cstr(&out));
	fflush(stdout);
}

static bool ask(struct directory *dir, char *line)
{
	AUTO(arena_done) struct arena a;
	arena_init_wiped(&a, 0);
	char *rest = NULL;
	const char *op = strtok_r(line, " \n", &rest);
	const char *name = strtok_r(NULL, " \n", &rest);
	const char *other = strtok_r(NULL, " \n", &rest);
	const char *ms = strtok_r(NULL, " \n", &rest);
	if (!op || !name || !other || !ms)
		return false;
	struct directory_call c = {
	    .arena = &a, .deadline = clock_mono() + strtol(ms, NULL, 10) * CLOCK_MS};
	struct slice who = unhex(&a, name), what = unhex(&a, other);
	if (strcmp(op, "login") == 0)
		answer(directory_authenticate(dir, who, what, &c), &c);
	else
		answer(directory_lookup(dir, who, what, &c), &c);
	return true;
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	ldapx_init();
	if (argc != 2)
		return 2;
	AUTO(arena_done) struct arena a = {0};
	AUTO(diags_done) struct diags d = {0};
	AUTO(ldap_pools_free) struct ldap_pools *pools =
	    ldap_pools_new(&(struct ldap_pools_options){0});
	AUTO(directory_free) struct directory *dir = NULL;
	struct ldap_config cfg;
	if (load(&a, argv[1], &cfg, &d) != ERR_OK || directory_new(pools, &cfg, &dir, &d) != ERR_OK)
		return print_findings(&d);
	char *line = NULL;
	size_t cap = 0;
	bool ok = true;
	while (ok && getline(&line, &cap, stdin) > 0)
		ok = ask(dir, line);
	free(line);
	return ok ? 0 : 2;
}
