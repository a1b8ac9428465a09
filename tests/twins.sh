#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# twins.sh [ROOT]: runs the Elixir twins of the examples (examples/elixir) and compares what they print with the same files
# as the examples themselves. Then counts lines of code on both sides, without blank lines and comments: ours may be at
# most 1.5 times as many in all.
set -u
root=${1:-$(cd "$(dirname "$0")/.." && pwd)}
cd "$root" || exit 2

lines() { # FILE, how a comment begins
  grep -vcE "^[[:space:]]*($2.*)?\$" "$1"
}

failures=0
ours=0
theirs=0
for twin in examples/elixir/*.exs; do
  name=$(basename "$twin" .exs)
  # shellcheck disable=SC2016
  if ! output=$(tests/example.sh "$twin" "examples/$name.expected" 2>&1); then
    printf '%s: differs from the expected output\n%s\n' "$twin" "$output"
    failures=$((failures + 1))
  fi
  cpp=$(lines "examples/$name.cpp" '//')
  exs=$(lines "$twin" '#')
  printf '%-24s %4d lines of C++, %4d of Elixir\n' "$name" "$cpp" "$exs"
  ours=$((ours + cpp))
  theirs=$((theirs + exs))
done
printf '%-24s %4d lines of C++, %4d of Elixir\n' 'in all' "$ours" "$theirs"
[ "$((2 * ours))" -le "$((3 * theirs))" ] || {
  echo 'that is more than 1.5 times as many'
  failures=$((failures + 1))
}
[ "$failures" -eq 0 ]
