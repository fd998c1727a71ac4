/* Audit records with every member, and their lines parsed. */
#ifndef TESTS_SUPPORT_AUDIT_SAMPLE_H
#define TESTS_SUPPORT_AUDIT_SAMPLE_H

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "audit/record.h"

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const struct record_origin origin = {"node-1", "01ARZ3NDEKTSV4RRFFQ69G5FAV"};
static const int64_t when = INT64_C(1763805600123456000);

static const struct slice groups[] = {{"dev", 3}, {"corp:ops", 8}};
static const struct slice extra[] = {{"example.com/tenant", 18}};
static const struct slice values[] = {{"a", 1}, {"b", 1}};
static const struct audit_requirement fields[] = {
    {{"metadata.name", 13}, {"=", 1}, values, 1}};
static const struct audit_requirement labels[] = {
    {{"team", 4}, {"In", 2}, values, 2}, {{"app", 3}, {"Exists", 6}, NULL, 0}};

static inline struct audit_client full_client(void)
{
	return (struct audit_client){.ip = SLICE("10.0.0.1"), .port = 40000,
	    .cert_cn = SLICE("kube-apiserver"), .cert_sha256 = SLICE(HEX64), .tls = SLICE("TLS1.3")};
}

static inline struct audit_user full_user(void)
{
	return (struct audit_user){.name = SLICE("corp:jane"), .uid = SLICE("u-1"), .groups = groups,
	    .ngroups = 2, .extra_keys = extra, .nextra_keys = 1};
}

static const char *const approvers[] = {"carol", "dave"};
static const struct audit_break_glass glass = {"INC-4711", approvers, 2, 1763812800000000000};

static inline struct audit_authz full_authz(void)
{
	return (struct audit_authz){.id = "01ARZ3NDEKTSV4RRFFQ69G5FAW",
	    .api_version = "authorization.k8s.io/v1", .client = full_client(), .user = full_user(),
	    .resource_request = true, .verb = SLICE("list"), .api_group = SLICE("apps"),
	    .version = SLICE("v1"), .resource = SLICE("deployments"), .subresource = SLICE("scale"),
	    .name = SLICE("web"), .namespace_ = SLICE("prod"), .field_selector = fields,
	    .nfield = 1, .label_selector = labels, .nlabel = 2, .decision = "deny",
	    .effect = "deny", .rule = "protect-prod", .rule_source = "prod.yaml:57",
	    .reason = SLICE("deny by protect-prod, generation 42"), .break_glass = &glass,
	    .policy_generation = 42,
	    .policy_sha256 = HEX64, .latency_us = 7};
}

static inline struct audit_authn full_authn(void)
{
	static const struct slice audiences[] = {{"https://kubernetes.default.svc", 30}};
	return (struct audit_authn){.id = "01ARZ3NDEKTSV4RRFFQ69G5FAX",
	    .api_version = "authentication.k8s.io/v1", .client = full_client(),
	    .decision = "authenticated", .authenticator = "jwt", .reason = "ok",
	    .issuer = SLICE("https://dex.example.com"), .user = full_user(),
	    .audiences = audiences, .naudiences = 1, .latency_us = 31};
}

/* Frees nothing: OUT is the test's. */
static inline void line_of(struct buf *out, const struct buf *body)
{
	char prev[RECORD_HASH_LEN + 1];
	memset(prev, '0', RECORD_HASH_LEN);
	prev[RECORD_HASH_LEN] = '\0';
	buf_init(out, SIZE_MAX);
	record_line(out, when, 9, buf_view(body), prev);
}

static inline json_t *parse(const struct buf *line)
{
	json_error_t error;
	assert_int_equal(line->p[line->len - 1], '\n');
	assert_null(memchr(line->p, '\n', line->len - 1));
	json_t *j = json_loadb(line->p, line->len, JSON_REJECT_DUPLICATES, &error);
	if (!j)
		fail_msg("%s at %d: %.*s", error.text, error.position, (int)line->len, line->p);
	return j;
}

#endif
