#!/bin/sh
# Who may include what: folders depend one way only, and a third-party header is included by the files that
# own it. The tables below are the rule; design and style pages explain them.
set -eu
cd "${top_srcdir:-$(dirname "$0")/..}"

# folder: folders it may include, and single headers of others
arrows='
common: common
policy: policy common
authz: authz policy common
authn: authn common
audit: audit common
server: server policy authz authn audit common
rbac-sync: rbac-sync common
cli: cli policy authz authn audit rbac-sync common server/config.h server/gate.h
'

# header (regular expression): files that may include it (regular expression)
owners='
microhttpd[.]h        server/http1[.]c|rbac-sync/ops[.]c
gnutls/.*             server/(tls|http1)[.]c
nghttp2/.*            server/http2[.]c
cjose/.*              authn/(jose|keyset)[.]c|authn/jose_key[.]h
authn/jose_key[.]h    authn/(jose|jose_okp|keyset)[.]c
openssl/.*            authn/(jose|jose_okp|keyset|mint)[.]c|authn/jose_key[.]h|common/(httpc_tls|secret|sign)[.]c
(open)?(ldap|lber)[.]h common/ldapx(_bind|_frame|_ranges|_search|_tls)?[.]c
curl/.*               common/httpc(_answer|_setup)?[.]c|common/httpc_exchange[.]h
yaml[.]h              common/yamlx[.]c
jansson[.]h           common/jsonx[.][ch]|common/spool[.]c|authn/.*|authz/sar[.]c|rbac-sync/.*|cli/sync_.*[.]c
common/jsonx[.]h      common/jsonx[.]c|common/spool[.]c|authn/.*|authz/sar[.]c|rbac-sync/.*|(server|cli)/main[.]c|cli/(policy_status|sync_.*)[.]c
'

find common policy authz authn audit server rbac-sync cli -name '*.[ch]' 2>/dev/null | sort |
	xargs awk -v arrows="$arrows" -v owners="$owners" '
BEGIN {
	n = split(arrows, line, "\n")
	for (i = 1; i <= n; i++) {
		w = split(line[i], word, /[: ]+/)
		for (k = 2; k <= w; k++)
			may[word[1], word[k]] = 1
	}
	n = split(owners, line, "\n")
	for (i = 1; i <= n; i++)
		if (split(line[i], word, / +/) == 2)
			owner[word[1]] = word[2]
}
function fault(text) {
	printf "%s:%d: %s\n", FILENAME, FNR, text
	bad = 1
}
/^[ \t]*#[ \t]*include/ {
	header = $0
	gsub(/^[^<"]*[<"]|[>"].*$/, "", header)
	folder = FILENAME
	sub(/\/.*/, "", folder)
	for (o in owner)
		if (header ~ "^(" o ")$" && FILENAME !~ "^(" owner[o] ")$")
			fault("only " owner[o] " may include " header)
	if ($0 !~ /"/ || header == "config.h")
		next
	target = header
	if (!sub(/\/.*/, "", target))
		fault("include " header " with its folder")
	else if (!((folder, target) in may) && !((folder, header) in may))
		fault(folder "/ may not include " header)
}
END { exit bad }
' || exit 1
