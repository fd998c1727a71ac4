/* Limits on what a token's bearer, an issuer or a file may make us hold or do. */
#ifndef AUTHN_LIMITS_H
#define AUTHN_LIMITS_H

/* As in Kubernetes; each costs a thread and a connection. */
#define JWT_ISSUERS_MAX 64

/* Each keeps connections of its own. */
#define LDAP_DIRECTORIES_MAX 64

/* Each is shown the tokens of all. */
#define KEYSTONES_MAX 8

/* Entries of one issuer's lists. */
#define JWT_RULES_MAX 64
#define JWT_EXTRA_MAX 64
#define JWT_PARTIES_MAX 64

/* Segments of a claim's path: JSON nests no deeper in a token. */
#define CLAIM_PATH_MAX 16

/* Endpoints of distributed claims: an issuer has one or two. */
#define CLAIM_ENDPOINTS_MAX 16

/* Their URLs and access tokens, which a token brings, and their answers, which are tokens themselves. */
#define CLAIM_URL_MAX ((size_t)4 << 10)
#define CLAIM_ACCESS_TOKEN_MAX ((size_t)16 << 10)

/* Reviews that wait for one issuer's claim endpoints: they hold workers that others need. */
#define CLAIM_ASKERS_MAX 8

/* How long a refusal may be kept that only another configuration or key set could turn. */
#define VERDICT_SETTLED_S 86400

/* Names end up in audit lines and in RBAC subjects: longer ones are mistakes or attacks. */
#define NAME_MAX_BYTES 1024

/* The apiserver compares each group with each rule; directories of real people stay far below. */
#define GROUPS_MAX 10000

/* Values of one extra key. */
#define EXTRA_VALUES_MAX 1000

/* One key set: real issuers publish 2 to 10 keys. */
#define KEYSET_KEYS_MAX 100
#define KEYSET_BYTES_MAX ((size_t)1 << 20)
#define DISCOVERY_BYTES_MAX ((size_t)256 << 10)

/* A token with 1,000 groups has about 40 KiB. */
#define JOSE_TOKEN_MAX ((size_t)64 << 10)

/* RSA: below, factoring is within reach; above, a verification costs milliseconds. */
#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192

/* A token without kid is tried on at most this many keys: a verification costs up to 100 µs. */
#define JOSE_TRIES_MAX 8

/* Longest kid we look up: issuers use 20 to 64 bytes. */
#define KID_MAX_BYTES 256

/* Longest session of a person who logged in: a week. Signing keys are kept for that long. */
#define MINT_SESSION_MAX_S (INT64_C(7) * 24 * 3600)

/* A token file: about 100,000 lines. */
#define TOKENFILE_BYTES_MAX ((size_t)16 << 20)
#define TOKENFILES_MAX 64

/* A static key set file. */
#define JWKS_FILE_BYTES_MAX KEYSET_BYTES_MAX

/* A verdict that a cache keeps: 10,000 groups of 25 bytes; larger ones are found out again. */
#define VERDICT_BYTES_MAX ((size_t)512 << 10)

/* Refusals that a cache keeps: enough for each broken client of a cluster; strangers can only push out
 * each other. */
#define VERDICT_REFUSALS_MAX 4096
#define VERDICT_REFUSALS_BYTES ((size_t)4 << 20)

/* A denylist: a hundred thousand revoked credentials, each with its reason. */
#define DENYLIST_ENTRIES_MAX 100000
#define DENYLIST_BYTES_MAX ((size_t)32 << 20)

#endif
