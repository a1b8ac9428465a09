#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# jobs_kill.sh PROGRAM: kills the program of tests/jobs with kill -9 in the middle of its work, several times, starts it
# again each time, and lets it finish. Then every job whose insert had returned must have been done, at least once, and
# the jobs of each key in their order.
set -u
program=$1
count=600
rounds=6

directory=$(mktemp -d) || exit 2
child=
# shellcheck disable=SC2317
clean() {
  [ -z "$child" ] || kill -9 "$child" 2>/dev/null
  rm -rf "$directory"
}
trap clean EXIT
touch "$directory/done.log" "$directory/inserted.log"

lines() { wc -l <"$directory/$1"; }

round=1
while [ "$round" -le "$rounds" ]; do
  COPPICE_LOG=none "$program" "$directory" "$count" >"$directory/output" 2>&1 &
  child=$!
  wanted=$(($(lines done.log) + 15 + round * 7))
  waited=0
  while [ "$(lines done.log)" -lt "$wanted" ]; do
    if ! kill -0 "$child" 2>/dev/null; then
      echo "jobs_kill: the program ended by itself in round $round:"
      cat "$directory/output"
      exit 1
    fi
    waited=$((waited + 1))
    if [ "$waited" -gt 3000 ]; then
      echo "jobs_kill: nothing is done any more in round $round"
      exit 1
    fi
    sleep 0.01
  done
  kill -9 "$child"
  wait "$child" 2>/dev/null
  child=
  printf 'round %s: killed with %s jobs inserted, %s lines of work\n' "$round" "$(lines inserted.log)" "$(lines done.log)"
  round=$((round + 1))
done

COPPICE_LOG=none "$program" "$directory" "$count" >"$directory/output" 2>&1 || {
  echo 'jobs_kill: the last run failed:'
  cat "$directory/output"
  exit 1
}
cat "$directory/output"

awk -v count="$count" '
  FNR == NR { inserted[$2] = 1; number_inserted++; next }
  {
    done[$2]++
    if ($1 in last && $2 < last[$1]) { printf "key %s: %s was done after %s\n", $1, $2, last[$1]; bad++ }
    last[$1] = $2
  }
  END {
    for (number in inserted) {
      if (!(number in done)) { printf "job %s was lost\n", number; bad++ }
      if (done[number] > 1) twice++
    }
    if (number_inserted != count) { printf "%d jobs were inserted\n", number_inserted; bad++ }
    printf "jobs_kill: %d jobs, all done, %d of them more than once; %d faults\n", number_inserted, twice, bad
    exit bad > 0
  }' "$directory/inserted.log" "$directory/done.log" || exit 1
grep -q 'discarded 0$' "$directory/output"
