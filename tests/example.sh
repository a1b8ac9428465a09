#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# example.sh PROGRAM EXPECTED: runs the program and compares what it prints on standard output with the file.
# If the file begins with the line `# regex`, each following line is an extended regular expression that must match the
# whole line of output that stands at the same place.
set -u
program=$1
expected=$2

actual=$(mktemp) || exit 2
trap 'rm -f "$actual"' EXIT
"$program" >"$actual" </dev/null
status=$?
if [ "$status" -ne 0 ]; then
  printf 'example.sh: %s ended with status %s; it printed:\n' "$program" "$status"
  cat "$actual"
  exit 1
fi

if [ "$(head -n 1 "$expected")" != '# regex' ]; then
  diff -u "$expected" "$actual"
  exit
fi

lines_expected=$(($(wc -l <"$expected") - 1))
lines_actual=$(wc -l <"$actual")
if [ "$lines_expected" -ne "$lines_actual" ]; then
  printf 'example.sh: expected %s lines, got %s:\n' "$lines_expected" "$lines_actual"
  cat "$actual"
  exit 1
fi
number=0
failures=0
while IFS= read -r line <&3 && IFS= read -r pattern <&4; do
  number=$((number + 1))
  if ! printf '%s\n' "$line" | grep -Eqx -e "$pattern"; then
    printf 'example.sh: line %s\n  expected: %s\n  got:      %s\n' "$number" "$pattern" "$line"
    failures=$((failures + 1))
  fi
done 3<"$actual" 4<<PATTERNS
$(tail -n +2 "$expected")
PATTERNS
[ "$failures" -eq 0 ]
