#!/bin/sh
# What must not stand in the tree: unsafe functions, struct typedefs, unfinished business, paths of a machine.
set -eu
cd "${top_srcdir:-$(dirname "$0")/..}"
bad=0

product='common policy authz authn audit server rbac-sync cli'
folders="$product tests deploy docs man scripts"

sources() {
	find "$@" \( -name node_modules -o -name __pycache__ \) -prune -o -type f -name '*.[ch]' -print 2>/dev/null | sort
}

texts() {
	find $folders README* Makefile.am configure.ac .ci \
		\( -name node_modules -o -name __pycache__ -o -name corpus \) -prune -o -type f -print 2>/dev/null |
		grep -v -e '/lint-banned[.]sh$' -e '[.]pyc$' | sort
}

# forbid WHY REGEX FILE...
forbid() {
	why=$1 regex=$2
	shift 2
	[ $# -gt 0 ] || return 0
	if grep -HnE -I -e "$regex" -- "$@"; then
		echo "^ $why"
		bad=1
	fi
}

call() {
	echo "(^|[^A-Za-z0-9_])($1)[ ]*\\("
}

all_c=$(sources $product tests)
product_c=$(sources $product)
forbid 'unbounded or shell functions: use slices, buffers, own parsers' \
	"$(call 'strcpy|stpcpy|strcat|strncat|sprintf|vsprintf|gets|strtok|atoi|atol|atoll|atof')" $all_c
forbid 'no shell, no stack of unknown size' "$(call 'system|popen|wordexp|alloca|tmpnam|mktemp')" $all_c
forbid 'jansson 2.14 parses numbers by the locale: it stays "C"' "$(call 'setlocale|uselocale')" $all_c
forbid 'JSON is loaded by jsonx_object alone' \
	"$(call 'json_loads|json_loadb|json_loadf|json_loadfd|json_load_file|json_load_callback')" \
	$(echo "$product_c" | grep -v '^common/jsonx[.]c$')
forbid 'structs keep their tag' 'typedef[ \t]+(const[ \t]+)?struct' $all_c
forbid 'finish it, or leave it out' \
	'(^|[^A-Za-z_])(TODO|FIXME|XXX|HACK)([^A-Za-z_X]|$)|[Nn]ot (yet )?implemented' $(texts)
forbid 'the tree knows no machine' '/wor[k]/|/roo[t]/|/hom[e]/[a-z]+/' $(texts)
forbid 'the tree names no package registry' 'registry[.]npmjs|proxy[.]golang|pypi[.]org|artifactory' $(texts)
exit $bad
