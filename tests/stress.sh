#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# stress.sh MINUTES [SEED]: runs the stress program of the presets release, asan and tsan, which are built already, for
# MINUTES in all, a third each. Prints a table for each of them and last `stress: clean`, or what failed. Called by ./dev stress.
#
# Writes build/reliability/stress.txt, a line for each figure, `key value`:
#   result             clean, or failed
#   seed               of the random choices
#   seconds            under test, of all presets
#   PRESET.WORKLOAD.F  for each preset and workload; F: scale (1/n of the processes), rounds, operations, kills, restarts,
#                      peak (processes at a time), mib_before and mib_after (memory after the second and the last round of
#                      the leg that grew most; 0 under sanitizers), seconds, result (clean or FAILED)
set -u
minutes=${1:?how many minutes}
seed=${2:-$(date +%s)}
root=$(cd "$(dirname "$0")/.." && pwd) || exit 2
cd "$root" || exit 2
case $minutes in '' | *[!0-9.]*) echo "stress: MINUTES is a number, not $minutes" >&2; exit 2 ;; esac
case $seed in *[!0-9]*) echo "stress: SEED is a number, not $seed" >&2; exit 2 ;; esac

ASAN_OPTIONS=strict_string_checks=1
LSAN_OPTIONS=suppressions=$root/tests/lsan.supp
UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
export ASAN_OPTIONS LSAN_OPTIONS UBSAN_OPTIONS TSAN_OPTIONS
seconds=$(awk "BEGIN { print $minutes * 60 / 3 }")
mkdir -p build/reliability
figures=build/reliability/stress.txt
: >"$figures.new"
failed=

for preset in release asan tsan; do
  output=build/stress-$preset.txt
  echo "-- $preset"
  { "build/$preset/tests/stress" --thorough --seconds "$seconds" --seed "$seed" 2>&1; echo "status $?"; } |
    tee "$output" | grep -v '^status '
  grep -qx 'status 0' "$output" || failed="$failed $preset"
  awk -v preset="$preset" '
    $2 ~ /^1\/[0-9]+$/ && NF == 11 {
      split("scale rounds operations kills restarts peak mib_before mib_after seconds result", names, " ")
      for (i = 1; i <= 10; i++) print preset "." $1 "." names[i], $(i + 1)
    }' "$output" >>"$figures.new"
done

{
  if [ -z "$failed" ]; then echo 'result clean'; else echo 'result failed'; fi
  echo "seed $seed"
  awk '$1 ~ /\.seconds$/ { sum += $2 } END { printf "seconds %.0f\n", sum }' "$figures.new"
  cat "$figures.new"
} >"$figures"
rm -f "$figures.new"
if [ -z "$failed" ]; then
  echo 'stress: clean'
else
  echo "stress: failed under$failed; the same choices again: ./dev stress $minutes $seed (output: build/stress-PRESET.txt)"
  exit 1
fi
