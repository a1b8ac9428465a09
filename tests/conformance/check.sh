#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# check.sh [--write] [ROOT]: how coppice stands to the rules of OTP (tests/conformance/rules.txt), from what the repository
# holds: the names of tests that contain a rule's id (PR_001 for PR-001), the titles of scenarios that the original plays,
# too, and not_applicable.txt. docs/conformance.md shows it between its two marks; --write puts it there. Fails when
#   - a rule is neither tested nor said not to be applicable, or both;
#   - a test, a scenario or a line of not_applicable.txt names a rule that is not in the list;
#   - a line of not_applicable.txt does not say why;
#   - docs/conformance.md shows something else.
# Ends with one line: rules N, tested N, not applicable N, missing N.
set -u
write=
if [ "${1:-}" = --write ]; then
  write=yes
  shift
fi
root=${1:-$(cd "$(dirname "$0")/../.." && pwd)}
cd "$root" || exit 2
page=docs/conformance.md
families='PR|GS|LR|SV|DS|PS|TK|TS|AG|RG|ET|AP|SM'

# The evidence, one a line: RULE KIND NAME. A test is TEST(Suite, name), TEST_F, BEHAVIOUR_TEST and the like; its name may
# stand in the next line. What runs as the first process of a system runs on threads and in simulation.
evidence() {
  # shellcheck disable=SC2016  # what looks like the shell's is awk's
  find tests -name '*.cpp' | LC_ALL=C sort | xargs awk -v families="$families" '
    function kind_of(macro) {
      if (macro ~ /SIM/) return "simulation"
      if (macro ~ /^(BEHAVIOUR|HAND_OFF)/) return "threads,simulation"
      return FILENAME ~ /tests\/unit\// ? "unit" : "threads"
    }
    function ids(name,   rest) {
      rest = name
      while (match(rest, "(" families ")_[0-9][0-9][0-9]")) {
        print substr(rest, RSTART, 2) "-" substr(rest, RSTART + 3, 3), kind, name
        rest = substr(rest, RSTART + RLENGTH)
      }
    }
    FNR == 1 { text = "" }
    /^[ \t]*([A-Z]+_)*TEST(_[A-Z]+)*[ \t]*\(/ { macro = $0; sub(/^[ \t]*/, "", macro); sub(/[ \t]*\(.*/, "", macro); text = " " }
    text != "" {
      text = text $0
      if (text !~ /\)[ \t]*\{/) next
      kind = kind_of(macro)
      sub(/\)[ \t]*\{.*/, "", text)
      sub(/^[^(]*\(/, "", text)
      split(text, argument, /[ \t]*,[ \t]*/)
      ids(argument[2])
      text = ""
    }'
  find tests/against_otp -name '*.scenario' 2>/dev/null | LC_ALL=C sort | while IFS= read -r file; do
    awk -v families="$families" '
      $1 == "scenario" && $2 ~ "^(" families ")_[0-9][0-9][0-9]$" {
        rule = $2; sub(/_/, "-", rule)
        title = $0; sub(/^scenario /, "", title); gsub(/ /, "_", title)
        print rule, "against-OTP", title
      }' "$file"
  done
}

# The tables of the page. What is wrong is told on standard error; the count comes last, after a line with "=".
tables() {
  evidence | awk -v families="$families" '
    FILENAME == "-" {
      if (NF < 3) next
      evidences[$1] = 1
      if (!($1 in first)) first[$1] = $3
      if (!(($1, $3) in told)) { told[$1, $3] = 1; names[$1]++ }
      n = split($2, kind, ",")
      for (i = 1; i <= n; i++) has[$1, kind[i]] = 1
      next
    }
    FILENAME ~ /not_applicable\.txt$/ {
      if ($0 ~ /^#/ || $0 == "") next
      at = index($0, " | ")
      rule = at ? substr($0, 1, at - 1) : $1
      reason = at ? substr($0, at + 3) : ""
      if (reason == "") complain(rule ": not_applicable.txt does not say why")
      if (rule in why) complain(rule ": stands twice in not_applicable.txt")
      why[rule] = reason
      next
    }
    /^## / { title = substr($0, 4); next }
    /^#/ || /^$/ { next }
    $0 !~ "^(" families ")-[0-9][0-9][0-9] [^ ]" { complain("rules.txt: not a rule: " $0); next }
    {
      if ($1 in says) complain($1 ": stands twice in rules.txt")
      id[++rules] = $1
      says[$1] = substr($0, 8)
      section[rules] = title
    }
    function complain(text) { print "conformance: " text >"/dev/stderr"; wrong++ }
    function kinds(rule,   text) {
      text = ""
      for (k = 1; k <= split("unit threads simulation against-OTP", order, " "); k++)
        if ((rule, order[k]) in has) text = text (text == "" ? "" : ", ") order[k]
      sub(/against-OTP/, "against OTP", text)
      return text
    }
    function row(rule,   name) {
      gsub(/\|/, "\\|", says[rule])
      if (rule in evidences && rule in why) complain(rule ": said not to be applicable, but there is a test for it")
      if (rule in evidences) {
        tested++
        name = first[rule]
        if (!((rule, "unit") in has) && !((rule, "threads") in has) && !((rule, "simulation") in has)) gsub(/_/, " ", name)
        return sprintf("| %s | %s | `%s`%s | %s |", rule, says[rule], name,
                       names[rule] > 1 ? " and " names[rule] - 1 " more" : "", kinds(rule))
      }
      if (rule in why) {
        elsewhere++
        return sprintf("| %s | %s | %s | %s |", rule, says[rule], why[rule],
                       why[rule] ~ /^for distribution: / ? "later" : "not applicable")
      }
      complain(rule ": no test and no scenario names it, and not_applicable.txt does not say why")
      missing++
      return sprintf("| %s | %s | - | missing |", rule, says[rule])
    }
    END {
      for (i = 1; i <= rules; i++) {
        if (section[i] != section[i - 1])
          printf "\n## %s\n\n| rule | what it says | shown by, or why it is not | kind |\n|---|---|---|---|\n", section[i]
        print row(id[i])
      }
      for (rule in evidences) if (!(rule in says)) complain(rule ": a test names it, but it is not in rules.txt")
      for (rule in why) if (!(rule in says)) complain(rule ": not_applicable.txt names it, but it is not in rules.txt")
      printf "=\nrules %d, tested %d, not applicable %d, missing %d\n", rules, tested, elsewhere, missing
      exit wrong > 0 || missing > 0 || rules == 0
    }' - tests/conformance/not_applicable.txt tests/conformance/rules.txt
}

scratch=$(mktemp) || exit 2
trap 'rm -f "$scratch" "$scratch.page"' EXIT
tables >"$scratch" 2>"$scratch.page"
status=$?
cat "$scratch.page"

# The page with these tables between its marks.
awk '
  FILENAME != ARGV[2] { if ($0 == "=") ended = 1; if (!ended) text = text $0 "\n"; next }
  /^<!-- rules: begin -->$/ { print; printf "%s\n", text; inside = 1; next }
  /^<!-- rules: end -->$/ { inside = 0; marks = 1 }
  !inside { print }
  END { exit !marks }' "$scratch" "$page" >"$scratch.page" || {
  echo "conformance: $page has not its two marks, <!-- rules: begin --> and <!-- rules: end -->"
  status=1
}
if [ -n "$write" ]; then
  cat "$scratch.page" >"$page"
elif ! cmp -s "$scratch.page" "$page"; then
  echo "conformance: $page is not what the repository says now; ./dev document writes it anew. First difference:"
  diff "$page" "$scratch.page" | head -n 5
  status=1
fi
tail -n 1 "$scratch"
exit "$status"
