#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# coppice's own scenarios in the simulation, each over many seeds: the simulated tests of behaviour_tests,
# conformance_tests and simulation_tests. The last line says how much that was.
#
#   tests/sim.sh BUILD SEEDS   BUILD has the test programs
#
# The work, in parts that run side by side:
#   plain    every scenario with SEEDS seeds, but those that write files or whose one run is long (list `costly` below):
#            they get SEEDS seeds, too, but a thousand at most
#   faults   all once more with a tenth of the seeds, while workers stand still at any moment and timers are late
#            (kills, and refused stacks and processes, are faults of the tests in tests/simulation, and so in every run)
#
# Writes build/reliability/sim.txt, `key value`: seeds, runs (of one scenario with one seed), steps (scheduling steps of
# all of them), faults, and of these kills, stalls, late_timers, refused_stacks, refused_processes; seconds, failures
# (parts that failed).
set -u
root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
jobs=${COPPICE_JOBS:-$(nproc 2>/dev/null || echo 2)}
work=$root/build/sim
costly='EtsFiles.*_in_simulation:ApplicationEnv.AP_007*_in_simulation:Jobs.*_in_simulation'
costly=$costly:'GenServer.GS_133_such_a_server*_in_simulation:ServerDeath.a_kill_while_continuations*_in_simulation'
costly_max=1000
shards=8

die() {
  printf 'sim: %s\n' "$*" >&2
  exit 1
}

# part BUILD NAME PROGRAM SEEDS SHARD SHARDS PERMILLE FILTER
part() {
  name=$2
  (
    cd "$root" || exit 1
    COPPICE_SEEDS=$4 GTEST_SHARD_INDEX=$5 GTEST_TOTAL_SHARDS=$6 COPPICE_STALLS=$7 COPPICE_LATE=$7
    COPPICE_TALLY=$work/$name.tally COPPICE_LOG=none
    export COPPICE_SEEDS GTEST_SHARD_INDEX GTEST_TOTAL_SHARDS COPPICE_STALLS COPPICE_LATE COPPICE_TALLY COPPICE_LOG
    exec "$1/tests/$3" --gtest_brief=1 --gtest_filter="$8"
  ) >"$work/$name.log" 2>&1 </dev/null
  status=$?
  [ "$status" -eq 0 ] && return
  echo "$name" >>"$work/failures"
  printf 'sim: %s failed (status %s), with COPPICE_SEEDS=%s COPPICE_STALLS=%s COPPICE_LATE=%s; the end of %s:\n' \
    "$3" "$status" "$4" "$7" "$7" "$work/$name.log" >&2
  grep -E 'simulation: seed|: Failure$|^\[  FAILED  \]' "$work/$name.log" | head -n 10 >&2
  tail -n 10 "$work/$name.log" >&2
}

parts() { # SEEDS: a line for each part, the arguments of part() behind BUILD
  few=$(($1 < costly_max ? $1 : costly_max))
  tenth=$(($1 < 10 ? 1 : $1 / 10))
  i=0
  while [ "$i" -lt "$shards" ]; do
    for kind in conformance behaviour; do
      program=${kind}_tests
      echo "$kind.$i $program $1 $i $shards 0 *_in_simulation-$costly"
      echo "$kind.costly.$i $program $few $i $shards 0 $costly"
      echo "$kind.faults.$i $program $tenth $i $shards 100 *_in_simulation"
    done
    i=$((i + 1))
  done
  echo "simulation simulation_tests $1 0 1 0 *"
}

sim() { # SEEDS
  rm -rf "$work"
  mkdir -p "$work" "$root/build/reliability"
  started=$(date +%s)
  printf 'sim: %s seeds; %s at most for %s\n' "$1" "$costly_max" "$costly" >&2
  parts "$1" | xargs -P "$jobs" -L 1 "$0" part "$build"
  seconds=$(($(date +%s) - started))
  failures=0
  [ ! -f "$work/failures" ] || failures=$(wc -l <"$work/failures")
  cat "$work"/*.tally | awk -v seeds="$1" -v seconds="$seconds" -v failures="$failures" \
    -v figures="$root/build/reliability/sim.txt" '
    { runs += $1; steps += $2; for (i = 3; i <= 7; i++) { fault[i] += $i; faults += $i } }
    END {
      printf "seeds %d\nruns %d\nsteps %d\nfaults %d\n", seeds, runs, steps, faults >figures
      printf "kills %d\nstalls %d\nlate_timers %d\n", fault[3], fault[4], fault[5] >figures
      printf "refused_stacks %d\nrefused_processes %d\n", fault[6], fault[7] >figures
      printf "seconds %d\nfailures %d\n", seconds, failures >figures
      printf "seeds %d, runs %d, steps %d, faults %d, seconds %d, failures %d\n", seeds, runs, steps, faults, seconds, failures
      exit failures != 0 || runs == 0
    }'
}

case ${1:-} in
  part)
    shift
    part "$@"
    ;;
  *)
    [ $# -eq 2 ] || die 'say which build folder, and how many seeds'
    case $2 in '' | *[!0-9]* | 0) die "seeds: a number, not '$2'" ;; esac
    build=$(cd "$1" && pwd) || exit 1
    sim "$2"
    ;;
esac
