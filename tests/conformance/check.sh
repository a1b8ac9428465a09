#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# check.sh [ROOT]: holds docs/conformance.md against the list of rules (tests/conformance/rules.txt) and against the
# names of the tests. Fails when
#   - a rule of the list has no row, or more than one, or a row names no rule of the list, or has an unknown mark;
#   - a rule marked `tested` has no test whose name contains its id (PR_001 for PR-001);
#   - a rule marked `not applicable` or `for distribution` has such a test, or no remark that says why;
#   - a rule is marked `missing`.
# Ends with one line: rules N, tested N, not applicable N, missing N.
set -u
root=${1:-$(cd "$(dirname "$0")/../.." && pwd)}
cd "$root" || exit 2

test_names() { # the rule ids in the names of tests, one a line, as PR-001
  find tests -name '*.cpp' -exec awk '
    # A test is TEST(Suite, name), TEST_F, BEHAVIOUR_TEST and the like; a long one may go on in the next line.
    function ids(text) {
      while (match(text, /(PR|GS|LR|SV|DS|PS|TK|TS|AG|RG|ET|AP|SM)_[0-9][0-9][0-9]/)) {
        print substr(text, RSTART, 2) "-" substr(text, RSTART + 3, 3)
        text = substr(text, RSTART + RLENGTH)
      }
    }
    FNR == 1 { open = 0 }
    /^[ \t]*([A-Z]+_)*TEST(_[A-Z]+)*[ \t]*\(/ { open = 1 }
    open { ids($0); if ($0 ~ /\)[ \t]*\{/) open = 0 }
  ' '{}' +
}

test_names | awk '
  FILENAME == "-" { has_test[$1] = 1; next }
  FILENAME ~ /rules\.txt$/ {
    if ($0 ~ /^#/ || $0 == "") next
    if ($0 !~ /^(PR|GS|LR|SV|DS|PS|TK|TS|AG|RG|ET|AP|SM)-[0-9][0-9][0-9] [^ ]/) { complain("rules.txt: not a rule: " $0); next }
    if ($1 in listed) complain($1 ": stands twice in rules.txt")
    listed[$1] = ++rules; id[rules] = $1
    next
  }
  /^\| *(PR|GS|LR|SV|DS|PS|TK|TS|AG|RG|ET|AP|SM)-/ {
    n = split($0, cell, "|")
    for (i = 1; i <= n; i++) gsub(/^[ \t]+|[ \t]+$/, "", cell[i])
    rule = cell[2]; mark = cell[3]
    if (n != 6) complain(rule ": its row has " n - 2 " cells, not 4")
    if (!(rule in listed)) complain(rule ": has a row but is not in rules.txt")
    if (rule in rows) complain(rule ": has more than one row")
    rows[rule] = mark
    if (mark == "tested") {
      tested++
      if (!has_test[rule]) complain(rule ": marked as tested, but no name of a test contains its id")
    } else if (mark == "not applicable" || mark == "for distribution") {
      elsewhere++
      if (has_test[rule]) complain(rule ": marked as " mark ", but there is a test for it")
      if (cell[5] == "" || cell[5] == "–" || cell[5] == "-") complain(rule ": marked as " mark ", but not why")
    } else if (mark == "missing") {
      missing++
    } else {
      complain(rule ": unknown mark \"" mark "\"")
    }
  }
  function complain(text) { print "conformance: " text; wrong++ }
  END {
    for (k = 1; k <= rules; k++) if (!(id[k] in rows)) { complain(id[k] ": has no row"); missing++ }
    for (rule in has_test) if (!(rule in listed)) complain(rule ": a test names it, but it is not in rules.txt")
    printf "rules %d, tested %d, not applicable %d, missing %d\n", rules, tested, elsewhere, missing
    exit wrong > 0 || missing > 0 || rules == 0
  }' - tests/conformance/rules.txt docs/conformance.md
