#!/bin/sh
# Functions stay short and flat, files stay readable. Over the hard limit: a failure, unless the function or
# file stands in lint-size.allow, a list that may only shrink. Over the aim: a note.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "${top_srcdir:-$here/..}"
command -v pmccabe >/dev/null || { echo "pmccabe is not installed"; exit 77; }

files=$(find common policy authz authn audit server rbac-sync cli -name '*.[ch]' 2>/dev/null | sort)
{
	echo '# functions'
	# modified complexity (a switch counts once), lines, file, function
	pmccabe $(echo "$files" | grep '[.]c$') | awk '{ sub(/\([0-9]+\):$/, "", $6); print $1, $5, $6, $7 }'
	echo '# files'
	wc -l $files | awk '$2 != "total" { print $1, $2 }'
} | awk -v allow="tests/lint-size.allow" '
BEGIN {
	while ((getline line < allow) > 0)
		if (line !~ /^#/ && line != "")
			allowed[line] = 1
}
function judge(what, measure, aim, hard, unit) {
	if (measure <= aim)
		return
	if (measure <= hard) {
		notes[++n] = sprintf("note: %s: %d %s (aim %d)", what, measure, unit, aim)
		return
	}
	if (what in allowed) {
		used[what] = 1
		return
	}
	printf "%s: %d %s, at most %d are allowed\n", what, measure, unit, hard
	bad = 1
}
/^#/ { part = $2; next }
part == "functions" {
	judge($3 " " $4, $2, 60, 100, "lines")
	judge($3 " " $4, $1, 12, 20, "complexity")
}
part == "files" { judge($2, $1, 500, 700, "lines") }
END {
	for (i = 1; i <= n; i++)
		print notes[i]
	for (what in allowed)
		if (!(what in used)) {
			printf "lint-size.allow: `%s` is within the limits now: take it off the list\n", what
			bad = 1
		}
	exit bad
}
'
