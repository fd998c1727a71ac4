/* Owns the leaks of libldap 2.5 that our tests provoke and we cannot mend, each by the one function that allocates
 * what is lost; and stacks deep enough to tell them apart, since that library is built without frame pointers. Link it
 * with programs that talk to hostile directories or show a certificate; without sanitizers nobody calls it.
 *
 * ldap_send_server_request: an answer that cannot be decoded leaves its request referenced for ever, 4 KiB each.
 * gnutls_x509_privkey_init, gnutls_x509_crt_list_import: a context with a certificate of our own keeps the parsed
 * originals beside the copies, some 17 KiB each time the certificate changes. */
const char *__lsan_default_suppressions(void);
const char *__asan_default_options(void);

const char *__lsan_default_suppressions(void)
{
	return "leak:ldap_send_server_request\n"
	       "leak:gnutls_x509_privkey_init\n"
	       "leak:gnutls_x509_crt_list_import\n";
}

const char *__asan_default_options(void)
{
	return "fast_unwind_on_malloc=0";
}
