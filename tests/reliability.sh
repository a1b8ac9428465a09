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
    model)
      awk "$functions"'
        BEGIN { print "| program | executions | |\n|---|---|---|" }
        {
          name = $0
          sub(/^[^ ]+ [^ ]+ [^ ]+ /, "", name)
          printf "| %s | %s | %s%s |\n", name, grouped($1), $2, $3 == "some" ? ", not all" : ""
          executions += $1
          count[$2]++
        }
        END {
          printf "| **all** | %s | %d accepted, %d rejected |\n", grouped(executions), count["accepted"], count["rejected"]
        }' "$2"
      ;;
    coverage)
      awk "$functions"'
        BEGIN { print "| layer | lines | executed | branches | taken |\n|---|---|---|---|---|" }
        $1 == "layer" { printf "| `%s` | %s | %s | %s | %s |\n", $2, grouped($4), percent($6, $4), grouped($8), percent($10, $8) }' "$2"
      ;;
    stress)
      awk "$functions"'
        NF == 2 && $1 !~ /[.]/ { fact[$1] = $2; next }
        { split($1, part, "."); key = part[1] "." part[2]; value[$1] = $2; if (!(key in known)) { known[key]; row[++rows] = key } }
        END {
          printf "%s, after %s seconds under test (seed %s).\n\n", fact["result"], grouped(fact["seconds"]), fact["seed"]
          print "| build | workload | scale | rounds | operations | kills | restarts | processes | MiB before | MiB after | result |"
          print "|---|---|---|---|---|---|---|---|---|---|---|"
          for (i = 1; i <= rows; i++) {
            split(row[i], part, ".")
            line = "| " part[1] " | `" part[2] "` |"
            split("scale rounds operations kills restarts peak mib_before mib_after result", names, " ")
            for (n = 1; n <= 9; n++) line = line " " grouped(value[row[i] "." names[n]]) " |"
            print line
          }
        }' "$2"
      ;;
    fuzz)
      awk "$functions"'
        $1 !~ /[.]/ { fact[$1] = $2; next }
        { split($1, part, "."); value[$1] = $2; if (!(part[1] in known)) { known[part[1]]; row[++rows] = part[1] } }
        END {
          printf "After %s seconds of looking.\n\n", grouped(fact["seconds"])
          print "| target | inputs | edges covered | corpus | crashes |\n|---|---|---|---|---|"
          split("inputs edges corpus crashes", names, " ")
          for (i = 1; i <= rows; i++) {
            line = "| `" row[i] "` |"
            for (n = 1; n <= 4; n++) line = line " " grouped(value[row[i] "." names[n]]) " |"
            print line
          }
        }' "$2"
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
