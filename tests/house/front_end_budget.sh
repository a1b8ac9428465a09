#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# front_end_budget.sh COMPILER: what including coppice costs the compiler. The smallest server there is
# (examples/01_counter.cpp) may take at most 1.8 times the front-end time of eight common standard headers.
# Both are measured in turn, seven times each; the medians are compared. Processor time, not time on the clock.
set -u
compiler=$1
root=$(cd "$(dirname "$0")/../.." && pwd)
per_mille_max=1800
rounds=7

directory=$(mktemp -d) || exit 2
trap 'rm -rf "$directory"' EXIT
for header in string vector map memory functional iostream chrono optional; do
  printf '#include <%s>\n' "$header"
done >"$directory/standard.cpp"

milliseconds() { # file -> user and system time of the compiler, in ms
  ( "$compiler" -std=c++20 -fsyntax-only -I"$root/include" "$1" || exit 1; times ) >"$directory/times" || return 1
  tail -n 1 "$directory/times" | awk '{
    total = 0
    for (i = 1; i <= 2; i++) { split($i, part, /[ms]/); total += part[1] * 60000 + part[2] * 1000 }
    printf "%d\n", total }'
}
median() { # file of numbers
  sort -n "$1" | sed -n "$(((rounds + 1) / 2))p"
}

round=0
while [ "$round" -lt "$rounds" ]; do
  milliseconds "$directory/standard.cpp" >>"$directory/standard" || exit 1
  milliseconds "$root/examples/01_counter.cpp" >>"$directory/counter" || exit 1
  round=$((round + 1))
done
standard=$(median "$directory/standard")
counter=$(median "$directory/counter")
ratio=$((counter * 1000 / standard))
printf 'front end: 01_counter %s ms, eight standard headers %s ms, ratio %s.%03d (at most %s.%03d)\n' \
  "$counter" "$standard" $((ratio / 1000)) $((ratio % 1000)) $((per_mille_max / 1000)) $((per_mille_max % 1000))
[ "$ratio" -le "$per_mille_max" ]
