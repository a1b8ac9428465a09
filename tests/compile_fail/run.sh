#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# run.sh COMPILER FILE: the file must not compile, and for the right reason. It says itself what is expected:
#
#   // expect: REGEX               must be found in the line of the compiler's first error
#   // expect-any: REGEX           must be found somewhere in what the compiler prints
#   // also-compiles-with: -DGOOD  with this flag the file must compile: what is refused is what the flag leaves out
#
# At least one expectation and one `also-compiles-with` are demanded. All regular expressions are extended ones.
set -u
compiler=$1
file=$2
root=$(cd "$(dirname "$0")/../.." && pwd)

output=$(mktemp) || exit 2
trap 'rm -f "$output"' EXIT

compile() { # extra flags...
  LC_ALL=C "$compiler" -std=c++20 -fsyntax-only -Wall -Wextra -I"$root/include" -I"$root/src" "$@" "$file" \
    >"$output" 2>&1
}

fail() {
  printf 'compile_fail: %s: %s\n' "${file##*/}" "$1"
  sed 's/^/  | /' "$output" | head -n 40
  exit 1
}

directive() { # name -> its values, one a line
  sed -n "s|^ *// $1: *||p" "$file"
}

good=$(directive also-compiles-with)
[ -n "$good" ] || fail 'has no line "// also-compiles-with:"'
[ -n "$(directive expect)$(directive expect-any)" ] || fail 'has no line "// expect:" or "// expect-any:"'

if compile; then
  fail 'compiles, and should not'
fi
first=$(grep -E ': (fatal )?error: ' "$output" | head -n 1)
missed=$(directive expect | while IFS= read -r pattern; do
  printf '%s\n' "$first" | grep -Eq -e "$pattern" || { printf '%s\n' "$pattern"; break; }
done)
[ -z "$missed" ] || fail "the first error does not show \"$missed\": $first"

missed=$(directive expect-any | while IFS= read -r pattern; do
  grep -Eq -e "$pattern" "$output" || { printf '%s\n' "$pattern"; break; }
done)
[ -z "$missed" ] || fail "nothing in the output shows \"$missed\""

# The flags are split at blanks on purpose.
# shellcheck disable=SC2086
compile $good || fail "should compile with $good, and does not"
