#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# fuzz.sh SECONDS: runs the fuzzers of the preset fuzz, which are built already, for SECONDS in all, each from its corpus in
# tests/fuzz/corpus and the regressions. What they find new stays in build/fuzz/corpus, and helps the next run. An input
# that breaks something is named at the end: keep it in tests/fuzz/regressions/TARGET, where every build tries it. Called by
# ./dev fuzz.
#
# Writes build/reliability/fuzz.txt, a line for each figure, `key value`:
#   seconds     under test, of all targets
#   TARGET.F    for each target; F: inputs (how many were tried), edges (of the program that they cover), corpus (inputs
#               kept), crashes
set -u
seconds=${1:?how many seconds}
root=$(cd "$(dirname "$0")/.." && pwd) || exit 2
cd "$root" || exit 2
case $seconds in *[!0-9]*) echo "fuzz: SECONDS is a number, not $seconds" >&2; exit 2 ;; esac

ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=0
UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
COPPICE_LOG=none
export ASAN_OPTIONS UBSAN_OPTIONS COPPICE_LOG
targets='term config table_file job_args http commands'
share=$((seconds / 6))
[ "$share" -gt 0 ] || share=1
mkdir -p build/reliability build/fuzz/found
figures=build/reliability/fuzz.txt
echo "seconds $((share * 6))" >"$figures"
crashes=0

printf '%-12s %12s %8s %8s %8s\n' target inputs edges corpus crashes
for target in $targets; do
  grown=build/fuzz/corpus/$target
  found=build/fuzz/found/$target
  log=build/fuzz/$target.log
  rm -rf "$found"
  mkdir -p "$grown" "$found" "tests/fuzz/regressions/$target"
  "build/fuzz/fuzz_$target" -max_total_time="$share" -timeout=20 -rss_limit_mb=2048 -malloc_limit_mb=512 -max_len=8192 \
    -print_final_stats=1 -artifact_prefix="$found/" \
    "$grown" "tests/fuzz/corpus/$target" "tests/fuzz/regressions/$target" >"$log" 2>&1
  status=$?
  rmdir "tests/fuzz/regressions/$target" 2>/dev/null
  inputs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)
  edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
  kept=$(find "$grown" -type f | wc -l)
  broken=$(find "$found" -type f | wc -l)
  [ "$status" -eq 0 ] || [ "$broken" -gt 0 ] || broken=1
  crashes=$((crashes + broken))
  printf '%-12s %12s %8s %8s %8s\n' "$target" "${inputs:-0}" "${edges:-0}" "$kept" "$broken"
  printf '%s\n' "$target.inputs ${inputs:-0}" "$target.edges ${edges:-0}" "$target.corpus $kept" \
    "$target.crashes $broken" >>"$figures"
  if [ "$broken" -gt 0 ]; then
    grep -E -m 12 'ERROR|runtime error|^fuzz:|^coppice:|^    #[0-9]' "$log"
    find "$found" -type f -exec echo 'the input:' {} \;
  fi
done

if [ "$crashes" -eq 0 ]; then
  echo 'fuzz: clean'
else
  echo "fuzz: $crashes inputs break something (logs: build/fuzz/TARGET.log)"
  exit 1
fi
