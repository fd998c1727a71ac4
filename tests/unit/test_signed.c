/* Proves signed policies: keys are Ed25519 and nothing else, signatures are those of RFC 8032, a manifest covers
 * every file by name, kind, order and content, and no file of signatures says more than its keys vouch for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "common/sign.h"
#include "policy/signed.h"

#define PRIVATE(b) "-----BEGIN PRIVATE KEY-----\n" b "\n-----END PRIVATE KEY-----\n"
#define PUBLIC(b) "-----BEGIN PUBLIC KEY-----\n" b "\n-----END PUBLIC KEY-----\n"

/* The first is that of RFC 8032, section 7.1, test 1. */
static const char *const private[] = {
    PRIVATE("MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g"),
    PRIVATE("MC4CAQAwBQYDK2VwBCIEIGFn6xD0BmLKgr2i6+Nhv/NiVW1tzSc41/viiBDJSaQ4"),
    PRIVATE("MC4CAQAwBQYDK2VwBCIEIAUN8QMhB0VkGkt1mMBL2AyVJ0yl7ijXwI6PF6pUmZs/")};
static const char *const public[] = {
    PUBLIC("MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="),
    PUBLIC("MCowBQYDK2VwAyEATnNktkj5wUFxAOh4ICVzLe1btMgOnoM879TbNCqazWI="),
    PUBLIC("MCowBQYDK2VwAyEAYbn+0ze2eV+la3Ei0Vrmd/wX23Jt7zhjZ6G3iVsbDeU=")};
/* By openssl pkey -pubin -outform DER | sha256sum. */
static const char *const ids[] = {"06e3fd8fda29bb60", "4f7923a30bc4134e", "21507817e9b960f2"};

#define ED448 PUBLIC("MEMwBQYDK2VxAzoAdiPVCKR4w2Z5zqcER5xBmGAqD50peVMFFFCNtY1Py38OvcA6\n" \
		     "ko6+2oWDrT61zuzt5Q6k+W3LxxgA")
#define RSA PUBLIC("MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAMtbLBXn5vF1y6gn2QcIUH80+PH9ult7\n" \
		   "wQscJLFN1n2ymOE2OJ9wSpL9Ww3iBXnsOKKAP+7a0q9hTtlBIx3GNB0CAwEAAQ==")

static struct sign_key keys[3];

static const struct policy_file files[] = {
    {.name = "/etc/p/a.yaml", .text = {"a\n", 2}},
    {.name = "/etc/p/sub dir/b.yaml", .text = {"b\n", 2}, .kind = POLICY_FILE_RBAC},
    {.name = "/elsewhere/c.jsonl", .text = {"c\n", 2}, .kind = POLICY_FILE_ABAC}};

static int read_keys(void **state)
{
	(void)state;
	struct err e = {0};
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (sign_public_key(slice_of(public[i]), &keys[i], &e) != ERR_OK)
			return -1;
	return 0;
}

/* --- keys --- */

static void test_rfc_8032_vector(void **state)
{
	(void)state;
	static const char want[] =
	    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e"
	    "39701cf9b46bd25bf5f0595bbe24655141438e7a100b";
	uint8_t sig[SIGN_LEN];
	char hex[2 * SIGN_LEN + 1];
	struct sign_key by;
	assert_int_equal(sign_make(slice_of(private[0]), (struct slice){"", 0}, sig, &by, NULL), ERR_OK);
	hex_encode(sig, sizeof(sig), hex);
	assert_string_equal(hex, want);
	assert_string_equal(by.id, ids[0]);
	assert_memory_equal(by.raw, keys[0].raw, SIGN_KEY_LEN);
	assert_true(sign_check(&keys[0], (struct slice){"", 0}, sig));
}

static void test_ids_are_those_of_openssl(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		assert_string_equal(keys[i].id, ids[i]);
}

static void test_no_other_keys_are_taken(void **state)
{
	(void)state;
	static const char *const bad[] = {"", "x", ED448, RSA,
	    PRIVATE("MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g"),
	    PUBLIC("MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=") "x",
	    PUBLIC("MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
		PUBLIC("MCowBQYDK2VwAyEATnNktkj5wUFxAOh4ICVzLe1btMgOnoM879TbNCqazWI="),
	    PUBLIC("MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHUQ==")};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err e = {0};
		struct sign_key k;
		assert_int_equal(sign_public_key(slice_of(bad[i]), &k, &e), ERR_INVALID);
		assert_true(e.msg[0] != '\0');
	}
	uint8_t sig[SIGN_LEN];
	struct sign_key k;
	assert_int_equal(sign_make(slice_of(public[0]), SLICE("x"), sig, &k, NULL), ERR_INVALID);
}

/* All encodings of the points of small order: under the second, anybody's zeros are a signature. */
static void test_weak_keys_are_no_keys(void **state)
{
	(void)state;
	static const char *const weak[] = {
	    PUBLIC("MCowBQYDK2VwAyEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
	    PUBLIC("MCowBQYDK2VwAyEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAIA="),
	    PUBLIC("MCowBQYDK2VwAyEAAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
	    PUBLIC("MCowBQYDK2VwAyEAAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAIA="),
	    PUBLIC("MCowBQYDK2VwAyEAJuiVj8KyJ7BFw/SJ8u+Y8NXfrAXTxjM5sTgCiG1T/AU="),
	    PUBLIC("MCowBQYDK2VwAyEAJuiVj8KyJ7BFw/SJ8u+Y8NXfrAXTxjM5sTgCiG1T/IU="),
	    PUBLIC("MCowBQYDK2VwAyEAxxdqcD1N2E+6PAt2DRBnDyogU/osOczGTsf9d5KsA3o="),
	    PUBLIC("MCowBQYDK2VwAyEAxxdqcD1N2E+6PAt2DRBnDyogU/osOczGTsf9d5KsA/o="),
	    PUBLIC("MCowBQYDK2VwAyEA7P///////////////////////////////////////38="),
	    PUBLIC("MCowBQYDK2VwAyEA7P////////////////////////////////////////8="),
	    PUBLIC("MCowBQYDK2VwAyEA7f///////////////////////////////////////38="),
	    PUBLIC("MCowBQYDK2VwAyEA7f////////////////////////////////////////8="),
	    PUBLIC("MCowBQYDK2VwAyEA7v///////////////////////////////////////38="),
	    PUBLIC("MCowBQYDK2VwAyEA7v////////////////////////////////////////8=")};
	for (size_t i = 0; i < ARRAY_LEN(weak); i++) {
		struct err e = {0};
		struct sign_key k;
		assert_int_equal(sign_public_key(slice_of(weak[i]), &k, &e), ERR_INVALID);
		assert_non_null(strstr(e.msg, "weak"));
	}
	const struct sign_key identity = {.raw = {1}};
	const uint8_t forged[SIGN_LEN] = {1};
	assert_true(sign_check(&identity, SLICE("whatever"), forged));
}

static void test_every_changed_bit_is_noticed(void **state)
{
	(void)state;
	uint8_t sig[SIGN_LEN];
	struct sign_key by;
	char text[] = "some text";
	struct slice s = {text, sizeof(text) - 1};
	assert_int_equal(sign_make(slice_of(private[1]), s, sig, &by, NULL), ERR_OK);
	for (size_t bit = 0; bit < 8 * sizeof(sig); bit++) {
		sig[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(sign_check(&keys[1], s, sig));
		sig[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (size_t bit = 0; bit < 8 * s.len; bit++) {
		text[bit / 8] ^= (char)(1 << bit % 8);
		assert_false(sign_check(&keys[1], s, sig));
		text[bit / 8] ^= (char)(1 << bit % 8);
	}
	assert_false(sign_check(&keys[0], s, sig));
	assert_true(sign_check(&keys[1], s, sig));
}

/* --- the file of signatures --- */

static void manifest(const struct policy_file *f, size_t n, struct buf *out)
{
	struct err e = {0};
	buf_init(out, POLICY_SIGNED_BYTES);
	if (policy_manifest("/etc/p", f, n, 42, out, &e) != ERR_OK)
		fail_msg("%s", e.msg);
}

static void sign_as(size_t key, struct slice text, struct policy_signature *out)
{
	struct sign_key by;
	assert_int_equal(sign_make(slice_of(private[key]), text, out->value, &by, NULL), ERR_OK);
	memcpy(out->key, by.id, sizeof(out->key));
}

/* A whole file with the signatures of the keys WHO (digits). */
static void make(const char *who, struct buf *out)
{
	struct buf m;
	struct policy_signature sigs[8];
	size_t n = 0;
	manifest(files, ARRAY_LEN(files), &m);
	for (; who[n]; n++)
		sign_as((size_t)(who[n] - '0'), buf_view(&m), &sigs[n]);
	buf_init(out, POLICY_SIGNED_BYTES);
	policy_signed_write(buf_view(&m), sigs, n, out);
	buf_done(&m);
}

static void test_the_manifest_is_as_documented(void **state)
{
	(void)state;
	struct buf m;
	manifest(files, ARRAY_LEN(files), &m);
	assert_string_equal(buf_cstr(&m),
	    "portcullis-policy-manifest 1\ngeneration 42\n"
	    "file native 87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7 a.yaml\n"
	    "file rbac 0263829989b6fd954f72baaf2fc64bc2e2f01d692d4de72986ea808f6e99813f sub dir/b.yaml\n"
	    "file abac a3a5e715f0cc574a73c3f9bebb6bc24f32ffd5b67b387244c2c909da779a1478 "
	    "/elsewhere/c.jsonl\n");
	buf_done(&m);
	static const struct policy_file bad = {.name = "/etc/p/a\nfile native b.yaml"};
	buf_init(&m, 4096);
	assert_int_equal(policy_manifest("/etc/p", &bad, 1, 1, &m, NULL), ERR_INVALID);
	buf_done(&m);
}

static void test_what_was_written_reads_back(void **state)
{
	(void)state;
	struct buf text, again;
	struct policy_signed s;
	struct err e = {0};
	make("02", &text);
	if (policy_signed_parse(buf_view(&text), &s, &e) != ERR_OK)
		fail_msg("%s", e.msg);
	assert_int_equal(s.generation, 42);
	assert_int_equal(s.nsigs, 2);
	buf_init(&again, POLICY_SIGNED_BYTES);
	policy_signed_write(s.manifest, s.sigs, s.nsigs, &again);
	assert_true(slice_eq(buf_view(&text), buf_view(&again)));
	buf_done(&text);
	buf_done(&again);
}

/* Every shorter text, and every single changed byte: refused, or nobody's signature any more. */
static void test_no_part_and_no_change_passes(void **state)
{
	(void)state;
	struct buf text;
	make("0", &text);
	for (size_t i = 0; i < text.len; i++) {
		struct policy_signed s;
		struct policy_signers by;
		struct slice part = {text.p, i};
		assert_int_not_equal(policy_signed_parse(part, &s, NULL), ERR_OK);
		char was = text.p[i];
		for (int c = 1; c < 256; c <<= 1) {
			text.p[i] = (char)(was ^ c);
			if (policy_signed_parse(buf_view(&text), &s, NULL) == ERR_OK)
				assert_int_equal(policy_signed_by(&s, keys, 3, 1, &by, NULL), ERR_REFUSED);
		}
		text.p[i] = was;
	}
	buf_done(&text);
}

static void test_malformed_files_are_refused(void **state)
{
	(void)state;
#define HEAD "portcullis-policy-manifest 1\n"
#define GEN "generation 1\n"
#define DIGEST "87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7"
#define LINE "file native " DIGEST " a\n"
#define VALUE "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define SIG "signature 0123456789abcdef " VALUE "\n"
	static const char *const bad[] = {"", HEAD, HEAD GEN, HEAD GEN LINE, HEAD GEN SIG, GEN LINE SIG,
	    HEAD LINE SIG, HEAD GEN LINE SIG LINE, HEAD GEN LINE SIG "\n", HEAD GEN "\n" LINE SIG,
	    HEAD "generation -1\n" LINE SIG, HEAD "generation 01\n" LINE SIG, HEAD "generation \n" LINE SIG,
	    HEAD "generation 99999999999999999999\n" LINE SIG, HEAD "generation 1 \n" LINE SIG,
	    HEAD GEN "file other " DIGEST " a\n" SIG, HEAD GEN "file native " DIGEST " \n" SIG,
	    HEAD GEN "file native " DIGEST "a\n" SIG, HEAD GEN "file native 87 a\n" SIG,
	    HEAD GEN LINE "signature 0123456789ABCDEF " VALUE "\n",
	    HEAD GEN LINE "signature 0123456789abcdef " VALUE "=\n",
	    HEAD GEN LINE "signature 0123456789abcdef " VALUE "A\n",
	    HEAD GEN LINE "signature 0123456789abcdef  " VALUE "\n", HEAD GEN LINE "signature 0123 " VALUE "\n",
	    "portcullis-policy-manifest 2\n" GEN LINE SIG, HEAD GEN LINE SIG "x"};
	struct policy_signed s;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (policy_signed_parse(slice_of(bad[i]), &s, NULL) == ERR_OK)
			fail_msg("taken: %s", bad[i]);
	assert_int_equal(policy_signed_parse(slice_of(HEAD GEN LINE SIG), &s, NULL), ERR_OK);
}

static void test_distinct_keys_are_counted(void **state)
{
	(void)state;
	static const struct {
		const char *who;
		size_t nkeys, threshold, signers;
		bool good;
	} rows[] = {
	    {"0", 3, 1, 1, true}, {"01", 3, 2, 2, true}, {"012", 3, 2, 3, true}, {"2", 2, 1, 0, false},
	    {"0", 3, 2, 1, false}, {"00", 3, 2, 1, false}, {"0000000", 3, 2, 1, false},
	    {"02", 2, 2, 1, false}, {"01", 2, 2, 2, true}, {"0", 3, 0, 1, false}, {"0", 0, 1, 0, false}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf text;
		struct policy_signed s;
		struct policy_signers by;
		make(rows[i].who, &text);
		assert_int_equal(policy_signed_parse(buf_view(&text), &s, NULL), ERR_OK);
		enum err_code code =
		    policy_signed_by(&s, keys, rows[i].nkeys, rows[i].threshold, &by, NULL);
		assert_int_equal(code, rows[i].good ? ERR_OK : ERR_REFUSED);
		assert_int_equal(by.n, rows[i].signers);
		buf_done(&text);
	}
}

/* A signature that claims another key's id counts for nobody. */
static void test_an_id_is_no_signature(void **state)
{
	(void)state;
	struct buf m, text;
	struct policy_signature sig;
	struct policy_signed s;
	struct policy_signers by;
	manifest(files, ARRAY_LEN(files), &m);
	sign_as(0, buf_view(&m), &sig);
	memcpy(sig.key, ids[1], sizeof(sig.key));
	buf_init(&text, POLICY_SIGNED_BYTES);
	policy_signed_write(buf_view(&m), &sig, 1, &text);
	assert_int_equal(policy_signed_parse(buf_view(&text), &s, NULL), ERR_OK);
	assert_int_equal(policy_signed_by(&s, keys, 3, 1, &by, NULL), ERR_REFUSED);
	buf_done(&m);
	buf_done(&text);
}

static void test_only_the_very_files_are_covered(void **state)
{
	(void)state;
	struct buf text;
	struct policy_signed s;
	make("0", &text);
	assert_int_equal(policy_signed_parse(buf_view(&text), &s, NULL), ERR_OK);
	assert_int_equal(policy_signed_check(&s, "/etc/p", files, 3, NULL), ERR_OK);
	struct policy_file f[4];
	struct err e = {0};
#define REFUSED(n, part)                                                                           \
	do {                                                                                       \
		assert_int_equal(policy_signed_check(&s, "/etc/p", f, n, &e), ERR_REFUSED);        \
		if (!strstr(e.msg, part))                                                          \
			fail_msg("%s", e.msg);                                                     \
		memcpy(f, files, sizeof(files));                                                   \
	} while (0)
	memcpy(f, files, sizeof(files));
	f[0].text = SLICE("A\n");
	REFUSED(3, "a.yaml is not what was signed");
	f[0].name = "/etc/p/z.yaml";
	REFUSED(3, "z.yaml is not what was signed");
	f[1].kind = POLICY_FILE_NATIVE;
	REFUSED(3, "sub dir/b.yaml is not");
	f[3] = f[0];
	REFUSED(4, "a.yaml is not");
	REFUSED(2, "missing");
	f[0] = files[1];
	f[1] = files[0];
	REFUSED(3, "sub dir/b.yaml is not");
	/* Signed on one machine, served from another folder of another: only what lies outside moved. */
	f[0].name = "/srv/x/a.yaml";
	f[1].name = "/srv/x/sub dir/b.yaml";
	assert_int_equal(policy_signed_check(&s, "/srv/x", f, 3, NULL), ERR_OK);
	buf_done(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rfc_8032_vector),
	    cmocka_unit_test(test_ids_are_those_of_openssl),
	    cmocka_unit_test(test_no_other_keys_are_taken),
	    cmocka_unit_test(test_weak_keys_are_no_keys),
	    cmocka_unit_test(test_every_changed_bit_is_noticed),
	    cmocka_unit_test(test_the_manifest_is_as_documented),
	    cmocka_unit_test(test_what_was_written_reads_back),
	    cmocka_unit_test(test_no_part_and_no_change_passes),
	    cmocka_unit_test(test_malformed_files_are_refused),
	    cmocka_unit_test(test_distinct_keys_are_counted),
	    cmocka_unit_test(test_an_id_is_no_signature),
	    cmocka_unit_test(test_only_the_very_files_are_covered),
	};
	return cmocka_run_group_tests(tests, read_keys, NULL);
}
