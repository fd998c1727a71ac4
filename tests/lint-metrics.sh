#!/bin/sh
# Every metric of the sources stands in docs/metrics.md with its type, and nothing else does.
set -eu
cd "${top_srcdir:-$(dirname "$0")/..}"

# names TREE: each string that is a metric's name, once
names() {
	find "$1" -path "$1/tests" -prune -o -path "$1/build*" -prune -o -name '*.[ch]' -print |
		xargs grep -hoE '"portcullis_[a-z0-9_]+"' | tr -d '"' | sort -u
}

# rows TREE: "name type" of each line of the table
rows() {
	sed -n 's/^| `\([^`]*\)` | \([a-z]*\) |.*/\1 \2/p' "$1/docs/metrics.md"
}

check() {
	names "$1" >"$scratch/names"
	rows "$1" >"$scratch/rows"
	awk '
	NR == FNR { used[$1] = 1; next }
	seen[$1]++ { say($1 " stands twice in docs/metrics.md") }
	!($1 in used) { say($1 " is in docs/metrics.md and in no source") }
	$2 !~ /^(counter|gauge|histogram)$/ { say($1 " has no type") }
	($1 ~ /_total$/) != ($2 == "counter") { say($1 ": counters, and they alone, end in _total") }
	$2 == "histogram" && $1 !~ /_(seconds|bytes)$/ { say($1 ": name the unit at the end") }
	last >= $1 { say($1 " is out of order") }
	{ last = $1 }
	function say(text) { print text; bad = 1 }
	END {
		for (n in used)
			if (!(n in seen))
				say(n " is missing in docs/metrics.md: add a line | `" n "` | type | labels | meaning |")
		exit bad
	}' "$scratch/names" "$scratch/rows"
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# The check itself: each line of this table must be refused, its last one accepted.
mkdir "$scratch/t" "$scratch/t/docs" "$scratch/t/server"
try() {
	echo "metrics_counter(\"portcullis_$1\", \"help\", \"\");" >"$scratch/t/server/a.c"
	printf '%b' "$2" >"$scratch/t/docs/metrics.md"
	if check "$scratch/t" >/dev/null; then found=accepted; else found=refused; fi
	[ "$found" = "$3" ] || { echo "lint-metrics: $1 with '$2' was $found"; exit 1; }
}
try a_total '' refused
try a_total '| `portcullis_b_total` | counter | | x |\n' refused
try a_total '| `portcullis_a_total` | gauge | | x |\n' refused
try a_seconds '| `portcullis_a_seconds` | counter | | x |\n' refused
try a_total '| `portcullis_a_total` | counter | | x |\n| `portcullis_a_total` | counter | | x |\n' refused
try a_total '| `portcullis_a_total` | counter | | x |\n' accepted

check .
