#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# reliability.sh [--check]: writes the tables of docs/reliability.md anew, from what the commands named there have left in
# build/reliability (a section whose command was not run here keeps its table) and from tests/findings.txt. --check only
# says whether every section has a table, and whether the list of findings is the one that stands there.
set -eu
cd "$(dirname "$0")/.."
page=docs/reliability.md
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# The awk functions that all tables share: 1234567 as 1 234 567, and a percentage.
functions='
  function grouped(n,   text) {
    text = n ""
    if (text !~ /^[0-9]+$/) return text
    while (match(text, /^[0-9]+[0-9][0-9][0-9]($| )/)) {
      sub(/[0-9][0-9][0-9]($| )/, " &", text)
      if (text !~ /^[0-9][0-9][0-9][0-9]/) break
    }
    return text
  }
  function percent(part, whole) { return whole == 0 ? "-" : sprintf("%.1f %%", 100 * part / whole) }'

# `key value` lines as one row a key.
pairs() { # FILE
  awk "$functions"'
    BEGIN { print "| | |\n|---|---|" }
    { key = $1; gsub(/_/, " ", key); printf "| %s | %s |\n", key, grouped($2) }' "$1"
}

table() { # NAME, FILE
  case $1 in
    sim) pairs "$2" ;;
    mutants)
      awk '
        NF == 2 { count[$1] = $2; next }
        { row[++rows] = sprintf("| `%s` | %s | %s |", $1, $3 == "-" ? "**not caught**" : "`" $3 "`", $4) }
        END {
          printf "%d of %d caught, in %d seconds.\n\n", count["caught"], count["mutants"], count["seconds"]
          print "| mistake | the first test that fails | seeds it took |\n|---|---|---|"
          for (i = 1; i <= rows; i++) print row[i]
        }' "$2"
      ;;
    coverage)
      awk "$functions"'
        BEGIN { print "| layer | lines | executed | branches | taken |\n|---|---|---|---|---|" }
        $1 == "layer" { printf "| `%s` | %s | %s | %s | %s |\n", $2, grouped($4), percent($6, $4), grouped($8), percent($10, $8) }' "$2"
      ;;
    findings)
      awk -F ' [|] ' '
        BEGIN { print "| found by | what was wrong | the test |\n|---|---|---|" }
        /^#/ || NF < 3 { next }
        { printf "| %s | %s | `%s` |\n", $1, $2, $3 }' "$2"
      ;;
    *) cat "$2" ;;
  esac
}

source_of() { # NAME
  if [ "$1" = findings ]; then
    echo tests/findings.txt
  else
    echo "build/reliability/$1.txt"
  fi
}

names=$(sed -n 's/^<!-- \([a-z]*\): begin -->$/\1/p' "$page")
cp "$page" "$scratch/page"
for name in $names; do
  file=$(source_of "$name")
  if [ "${1:-}" = --check ] && [ "$name" != findings ]; then continue; fi
  [ -f "$file" ] || continue
  table "$name" "$file" >"$scratch/table"
  awk -v name="$name" '
    FILENAME == ARGV[1] { text = text $0 "\n"; next }
    $0 == "<!-- " name ": begin -->" { print; printf "%s", text; inside = 1; next }
    $0 == "<!-- " name ": end -->" { inside = 0 }
    !inside { print }' "$scratch/table" "$scratch/page" >"$scratch/next"
  mv "$scratch/next" "$scratch/page"
done

status=0
for name in $names; do
  awk -v name="$name" '
    $0 == "<!-- " name ": begin -->" { inside = 1; next }
    $0 == "<!-- " name ": end -->" { inside = 0 }
    inside && /^[|]/ { rows++ }
    END { exit rows < 3 }' "$scratch/page" || {
    echo "reliability: $page has no table of $name: run its command, then ./dev document"
    status=1
  }
done
if [ "${1:-}" = --check ]; then
  cmp -s "$scratch/page" "$page" || {
    echo "reliability: $page does not list what tests/findings.txt does: run ./dev document"
    status=1
  }
else
  cat "$scratch/page" >"$page"
fi
exit "$status"
