/* Owns what authentication keeps while configuration snapshots come and go. */
#include "authn/services.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "authn/denylist.h"
#include "authn/flight.h"
#include "authn/issuer.h"
#include "authn/keystone_server.h"
#include "authn/ldap_pool.h"
#include "common/clock.h"
#include "common/ldapx.h"
#include "common/secret.h"

enum err_code authn_services_new(
    const struct authn_services_options *opt, struct authn_services **out, struct err *e)
{
	ldapx_init(); /* sets a variable of the environment: before there are threads */
	struct authn_services *s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(e, ERR_INTERNAL, "out of memory");
	if (opt->state_dir && !(s->state_dir = strdup(opt->state_dir))) {
		free(s);
		return err_set(e, ERR_INTERNAL, "out of memory");
	}
	s->flights = flights_new();
	secret_random(s->verdict_key, sizeof(s->verdict_key));
	s->options = *opt;
	s->options.state_dir = NULL;
	const struct issuers_options o = {
	    .waiters = opt->workers > 1 ? opt->workers / 2 : 1,
	    .state_dir = opt->state_dir,
	    .read_only = opt->read_only,
	    .on_demand = opt->on_demand,
	    .event = opt->event,
	    .event_arg = opt->event_arg,
	};
	s->issuers = issuers_new(&o);
	const struct ldap_pools_options pools = {
	    .event = opt->directory_event, .arg = opt->event_arg};
	s->pools = ldap_pools_new(&pools);
	*out = s;
	return ERR_OK;
}

enum err_code authn_services_denylist(
    struct authn_services *s, const struct authn_config *cfg, struct denylist **out, struct diags *d)
{
	const char *path = cfg->denylist_file;
	struct denylist_options o = {
	    .event = s->options.denylist_event, .event_arg = s->options.event_arg};
	if (!s->denylist || strcmp(denylist_path(s->denylist), path) != 0) {
		struct denylist *fresh = NULL;
		TRY(denylist_open(path, &cfg->place, &o, &fresh, d));
		denylist_unref(&s->denylist);
		s->denylist = fresh;
	}
	*out = denylist_ref(s->denylist);
	denylist_look(*out);
	return ERR_OK;
}

const char *authn_services_state(const struct authn_services *s, const char *name)
{
	AUTO(arena_done) struct arena a = {0};
	if (!s->state_dir || !s->options.read_only)
		return s->state_dir;
	return access(arena_printf(&a, "%s/%s", s->state_dir, name), R_OK) == 0 ? s->state_dir : NULL;
}

enum err_code authn_services_start(struct authn_services *s, struct err *e)
{
	return issuers_start(s->issuers, e);
}

bool authn_services_settle(struct authn_services *s, int64_t deadline)
{
	return issuers_settle(s->issuers, deadline);
}

void authn_services_apply(struct authn_services *s, const struct authn_config *cfg)
{
	issuers_set_max_age(s->issuers, cfg->key_sets.max_age);
	issuers_apply_max_age(s->issuers);
}

void authn_services_measure(struct authn_services *s)
{
	issuers_measure(s->issuers);
}

void authn_services_sweep(struct authn_services *s)
{
	flights_sweep(s->flights, clock_mono());
}

void authn_services_status(struct authn_services *s, struct buf *out)
{
	issuers_status(s->issuers, out);
	keystones_status(s, out);
}

void authn_services_directories(struct authn_services *s, struct buf *out)
{
	ldap_pools_status(s->pools, out);
}

void authn_services_free(struct authn_services **services)
{
	if (!services || !*services)
		return;
	struct authn_services *s = TAKE(*services);
	issuers_free(&s->issuers);
	ldap_pools_free(&s->pools);
	if (s->ldap_free)
		s->ldap_free(&s->ldap);
	if (s->mint_free)
		s->mint_free(&s->mint);
	if (s->sessions_free)
		s->sessions_free(&s->sessions);
	denylist_unref(&s->denylist);
	flights_free(&s->flights);
	if (s->keystones_free)
		s->keystones_free(&s->keystones);
	free(s->state_dir);
	free(s);
}
