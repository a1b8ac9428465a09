#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# run.sh PROGRAM [SEEDS]: plays all scenarios on coppice (PROGRAM is against_otp) and on the original, and compares what
# their processes told. Succeeds if all are the same, but for those that differences.txt names with a reason.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
program=$1
seeds=${2:-20}
elixir=${ELIXIR:-elixir}
command -v "$elixir" >/dev/null || {
  echo "against_otp: needs the command $elixir (Debian: elixir)" >&2
  exit 1
}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

"$elixir" "$here/scenario.exs" "$here"/scenarios/*.scenario >"$scratch/theirs" 2>"$scratch/errors" || {
  cat "$scratch/errors" >&2
  echo "against_otp: the original did not play them all" >&2
  exit 1
}
COPPICE_LOG=none "$program" --seeds "$seeds" "$here"/scenarios/*.scenario >"$scratch/ours" || {
  echo "against_otp: coppice did not play them all, or not always the same" >&2
  exit 1
}

awk -v differences="$here/differences.txt" '
  function told(file, into, order,   line, title, n) {
    while ((getline line < file) > 0) {
      if (line ~ /^scenario /) {
        title = substr(line, 10)
        order[++n] = title
      } else {
        into[title] = into[title] line "\n"
      }
    }
    return n
  }
  BEGIN {
    while ((getline line < differences) > 0) {
      if (line ~ /^#/ || (at = index(line, " | ")) == 0) continue
      chosen[substr(line, 1, at - 1)] = substr(line, at + 3)
    }
    count = told(ARGV[1], theirs, order)
    if (told(ARGV[2], ours, unused) != count) {
      print "against_otp: not both have played all scenarios"
      exit 1
    }
    for (i = 1; i <= count; i++) {
      title = order[i]
      if (seen[title]++) printf "two scenarios are called: %s\n", title
      if (seen[title] > 1) bad++
      if (theirs[title] == ours[title]) {
        same++
        if (title in chosen) {
          printf "differences.txt names it, but it is the same: %s\n", title
          bad++
        }
      } else if (title in chosen) {
        by_choice++
      } else {
        different++
        printf "different: %s\noriginal:\n%scoppice:\n%s", title, theirs[title], ours[title]
      }
    }
    for (title in chosen) {
      if (title in seen) continue
      printf "differences.txt names a scenario that is not there: %s\n", title
      bad++
    }
    printf "scenarios %d, same %d, different by choice %d, different %d\n", count, same, by_choice, different
    exit bad + different > 0 || count == 0
  }' "$scratch/theirs" "$scratch/ours"
