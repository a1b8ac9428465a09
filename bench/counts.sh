#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# counts.sh PROGRAM [--update | --check]: how many instructions each operation of coppice_counts takes.
#
# Each operation is run for N and for 2 N under valgrind, which counts every instruction of the program exactly; the
# difference divided by N is the price of one. It does not depend on what else the machine does.
#
#   (nothing)  prints the counts beside those of instructions.txt
#   --update   writes them there
#   --check    fails if one has grown by more than 5 % over that file; exits with 77 (skipped) if the file was written
#              for another compiler, C library or processor, for which it says nothing
#
# COPPICE_COUNTS names another file, VALGRIND another valgrind.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
program=${1:?"usage: counts.sh PROGRAM [--update | --check]"}
action=${2:-print}
file=${COPPICE_COUNTS:-$here/instructions.txt}
valgrind=${VALGRIND:-valgrind}
growth_max=5  # per cent

say() { printf 'counts: %s\n' "$*"; }
case $action in
  print | --update | --check) ;;
  *) say "there is no $action" >&2; exit 64 ;;
esac

command -v "$valgrind" > /dev/null 2>&1 || { say 'valgrind is not installed: nothing can be counted' >&2; exit 69; }
build=$("$program" --build)
held_for=$(sed -n 's/^build: //p' "$file" 2> /dev/null) || held_for=
if [ "$action" = --check ] && [ "$build" != "$held_for" ]; then
  say "SKIPPED: $(basename "$file") holds for ${held_for:-nothing}, this program is built by $build."
  say 'Counts of different compilers cannot be compared. On that build ./dev bench --counts --update writes the file.'
  exit 77
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# The instructions of one run.
instructions() { # operation, n
  if ! "$valgrind" --tool=cachegrind --cache-sim=no --cachegrind-out-file=/dev/null \
    "$program" "$1" "$2" > "$work/output" 2>&1; then
    cat "$work/output" >&2
    return 1
  fi
  sed -n 's/^==[0-9]*== I *refs: *//p' "$work/output" | tr -d ,
}

"$program" > "$work/operations"
: > "$work/counts"
while read -r operation n; do
  once=$(instructions "$operation" "$n" < /dev/null) || once=
  twice=$(instructions "$operation" $((2 * n)) < /dev/null) || twice=
  if [ -z "$once" ] || [ -z "$twice" ]; then
    say "$operation could not be counted" >&2
    exit 1
  fi
  printf '%s %s\n' "$operation" $(((twice - once + n / 2) / n)) >> "$work/counts"
done < "$work/operations"

status=0
held=$file
[ -r "$held" ] || held=/dev/null
awk -v growth_max="$growth_max" -v same="$([ "$build" = "$held_for" ] && echo 1)" '
  FILENAME != ARGV[2] { if (NF == 2 && $2 ~ /^[0-9]+$/) before[$1] = $2; next }
  FNR == 1 { printf "%-24s %12s %12s %8s\n", "instructions of one", "now", "in the file", "change" }
  {
    change = ""; word = ""
    if (!($1 in before)) { word = "not in the file"; wrong = 1 }
    else if (same) {
      grown = ($2 - before[$1]) * 100 / before[$1]
      change = sprintf("%+.1f%%", grown)
      if (grown > growth_max) { word = "grown by more than " growth_max " %"; wrong = 1 }
    }
    printf "%-24s %12d %12s %8s  %s\n", $1, $2, $1 in before ? before[$1] : "-", change, word
    seen[$1] = 1
  }
  END {
    for (name in before) if (!(name in seen)) { printf "%s is in the file, but no operation\n", name; wrong = 1 }
    exit wrong
  }' "$held" "$work/counts" || status=1
say "counted for $build; $(basename "$file") holds for ${held_for:-nothing}"

case $action in
  --update)
    {
      sed '/^#/!d' "$held"
      printf 'build: %s\n' "$build"
      cat "$work/counts"
    } > "$work/new"
    cat "$work/new" > "$file"
    say "wrote $file"
    ;;
  --check)
    [ "$status" -eq 0 ] ||
      say 'If that is meant, say so with the change: ./dev bench --counts --update, and commit the file.'
    exit "$status"
    ;;
esac
