#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Measures coppice beside BEAM and CAF and prints a table; README.md beside this script says how to read it.
set -eu

usage() {
  cat <<'TEXT'
usage: run.sh [--quick] [--json FILE] [WORKLOAD...]
       run.sh --check FILE

  --quick      three rounds at a smaller scale, on two threads only, less than a minute;
               default: five rounds, less than four minutes
  --json FILE  also writes the table to FILE
  WORKLOAD     measures only these; default: all
  --check FILE measures nothing: says for each row of a table that --json wrote whether it reaches its goal, and fails
               if one does not

Environment:
  COPPICE_BENCH  our program        (default: build/release/coppice_bench)
  CAF_BENCH      CAF's program      (default: build/release/caf_bench, else compiled into build/bench)
  ELIXIR         the elixir command (default: elixir)
TEXT
}

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(dirname -- "$here")

# One line a workload, in the order of the table: those we know to lose come first. Columns: name, unit, thread counts,
# goal (over BEAM, or a number of bytes, for two threads), and for ours, BEAM and CAF the scale of a quick run and of a
# full one. A scale of 0 says that the peer has no such thing.
workloads() {
  cat <<'TEXT'
bytes_blocked_process bytes      2   <=5120B 0.25 1   0.2 1   0   0
ets_lookup            lookups/s  2   >=4x    0.1  0.2 0.1 0.2 0   0
ets_overwrite         writes/s   2   >=3x    0.05 0.1 0.05 0.1 0   0
ping_pong_servers     messages/s 1,2 >=20x   0.25 0.5 0.1 0.4 0.1 0.2
ping_pong_plain       messages/s 1,2 >=7x    0.25 0.5 0.1 0.4 0.1 0.2
call                  calls/s    1,2 >=40x   0.25 0.5 0.1 0.4 0.1 0.2
cast_then_get         casts/s    1,2 >=12x   0.2  0.4 0.2 0.4 0.2 0.4
fan_in                messages/s 1,2 >=10x   0.25 0.5 0.1 0.4 0.1 0.2
spawn                 spawns/s   1,2 >=12x   0.25 0.5 0.1 0.4 0.1 0.2
bytes_idle_server     bytes      2   <=160B  0.25 0.5 0.2 1   0.2 1
task                  tasks/s    1,2 >=40x   0.25 0.5 0.1 0.2 0   0
fib                   tasks/s    2   >=40x   0.1  0.2 0.05 0.05 0 0
registry_lookup       lookups/s  2   >=12x   0.2  0.4 0.1 0.1 0   0
call_via              calls/s    2   >=60x   0.2  0.4 0.1 0.1 0   0
ets_ordered_lookup    lookups/s  2   >=4x    0.1  0.2 0.1 0.2 0   0
restart_exit          restarts/s 2   >=20x   0.25 0.5 0.05 0.1 0  0
restart_throw         restarts/s 2   >=5x    0.25 0.5 0.05 0.1 0  0
children_start        children/s 2   >=10x   0.5  1   0.1 0.3 0   0
children_stop         children/s 2   linear  0.5  1   0.05 0.1 0  0
TEXT
}

note() { printf 'bench: %s\n' "$*" >&2; }

fail() {
  note "$*"
  exit 1
}

# The rows of a file that we wrote: one line each.
check() {
  awk '
    function field(name,   text) {
      if (!match($0, "\"" name "\": (\"[^\"]*\"|[^,}]*)")) return ""
      text = substr($0, RSTART + length(name) + 4, RLENGTH - length(name) - 4)
      gsub(/"/, "", text)
      return text
    }
    /"workload":/ {
      goal = field("goal")
      if (goal == "null" || goal == "") next
      rows++
      wanted = goal
      gsub(/[^0-9.]/, "", wanted)
      seen = goal ~ /B$/ ? field("ours") : field("ratio")
      if (seen == "null") verdict = "not measured"
      else if (goal == "linear") verdict = "not judged by one figure"
      else if (goal ~ /^<=/) verdict = seen + 0 <= wanted + 0 ? "reached" : "missed"
      else verdict = seen + 0 >= wanted + 0 ? "reached" : "missed"
      if (verdict == "missed" || verdict == "not measured") missed++
      printf "%-22s %d threads  goal %-8s  here %-10s %s\n", field("workload"), field("threads"), goal, \
        seen (goal ~ /x$/ ? "x" : goal ~ /B$/ ? "B" : ""), verdict
    }
    END {
      printf "%d rows with a goal, %d missed\n", rows, missed
      exit rows == 0 || missed > 0
    }' "$1"
}

quick=false
json=
selected=
while [ $# -gt 0 ]; do
  case $1 in
    --quick) quick=true ;;
    --json)
      [ $# -ge 2 ] || { usage >&2; exit 64; }
      json=$2
      shift
      ;;
    --check)
      [ $# -ge 2 ] || { usage >&2; exit 64; }
      [ -r "$2" ] || fail "there is no file $2 to check"
      check "$2"
      exit
      ;;
    -h | --help) usage; exit 0 ;;
    -*) usage >&2; exit 64 ;;
    *)
      workloads | grep -q "^$1 " || {
        note "no workload is named $1; there are: $(workloads | awk '{ printf "%s ", $1 }')"
        exit 64
      }
      selected="$selected $1"
      ;;
  esac
  shift
done

# -- the programs -----------------------------------------------------------------------------------------------------

ours=${COPPICE_BENCH:-$root/build/release/coppice_bench}
[ -x "$ours" ] || fail "$ours is missing: build it first, or name it in COPPICE_BENCH"

elixir=${ELIXIR:-elixir}
beam_version=
if command -v "$elixir" > /dev/null 2>&1; then
  # shellcheck disable=SC2016  # the dollar signs are Elixir's
  beam_version=$("$elixir" -e '
    jit = if :erlang.system_info(:emu_flavor) == :jit, do: "with the JIT", else: "WITHOUT the JIT"
    otp = :erlang.system_info(:otp_release)
    IO.puts("Elixir #{System.version()} on OTP #{otp}, erts #{:erlang.system_info(:version)}, #{jit}")') ||
    beam_version=
fi
[ -n "$beam_version" ] || note "elixir is missing or does not start: BEAM's column stays empty"

# Compiles CAF's side if it is not there or older than its source. Prints the program's path, or fails.
build_caf() {
  if [ -n "${CAF_BENCH:-}" ]; then
    [ -x "$CAF_BENCH" ] && printf '%s\n' "$CAF_BENCH"
    return
  fi
  for program in "$root/build/release/caf_bench" "$root/build/bench/caf_bench"; do
    if [ -x "$program" ] && [ -z "$(find "$here/caf/bench.cpp" -newer "$program")" ]; then
      printf '%s\n' "$program"
      return
    fi
  done
  printf '#include <caf/all.hpp>\n' | ${CXX:-c++} -std=c++17 -fsyntax-only -x c++ - 2> /dev/null || return 1
  note "compiling CAF's side"
  mkdir -p "$root/build/bench"
  ${CXX:-c++} -std=c++17 -O2 -DNDEBUG "$here/caf/bench.cpp" -o "$program" -lcaf_core -pthread >&2 || return 1
  printf '%s\n' "$program"
}
caf=$(build_caf) || caf=
caf_version=
[ -z "$caf" ] || caf_version=$("$caf" --version) || caf=
[ -n "$caf" ] || note "CAF (libcaf-dev, 0.17) is missing or does not compile: its column stays empty"

# -- measuring --------------------------------------------------------------------------------------------------------

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
mkfifo "$work/to_beam" "$work/from_beam"

limit=
limit_row=
! command -v timeout > /dev/null 2>&1 || { limit='timeout 60'; limit_row='timeout 300'; }

# take_value PEER STATUS: appends the value in the output of a run to the peer's file.
take_value() {
  value=$(awk -F '\t' -v w="$workload" -v t="$threads" 'NF == 4 && $1 == w && $2 == t { v = $3 } END { print v }' \
    "$work/output")
  if [ "$2" -ne 0 ] || [ -z "$value" ]; then
    note "$1: $workload on $threads threads gave no value (exit status $2)"
    return 0
  fi
  printf '%s\n' "$value" >> "$work/$1"
}

# measure PEER COMMAND...: runs the command to its end and takes its value.
measure() {
  peer=$1
  shift
  status=0
  # shellcheck disable=SC2086  # the limit is a command and its argument, or nothing
  $limit "$@" > "$work/output" || status=$?
  take_value "$peer" "$status"
}

# BEAM takes longer to start than many a workload takes to run. One virtual machine serves a row therefore, and measures
# once for every line that it is sent. It sleeps while the others have their turn.
start_beam() {
  # shellcheck disable=SC2086
  $limit_row "$elixir" --erl "+S $threads:$threads" "$here/beam/bench.exs" "$workload" "$scale_beam" step \
    < "$work/to_beam" > "$work/from_beam" &
  exec 3> "$work/to_beam" 4< "$work/from_beam"
}

measure_beam() {
  status=0
  (trap '' PIPE && echo go >&3) 2> /dev/null || status=1
  read -r line <&4 || status=1
  printf '%s\n' "$line" > "$work/output"
  take_value beam "$status"
}

stop_beam() {
  exec 3>&- 4<&-
  wait || :
}

# The median of a file of numbers; "-" if there are none.
median() {
  sort -g "$1" | awk '{ v[NR] = $1 }
    END { if (NR == 0) print "-"; else printf "%.1f\n", (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'
}

measure_row() {
  workload=$1 threads=$2 unit=$3 scale_ours=$4 scale_beam=$5 scale_caf=$6
  : > "$work/ours"
  : > "$work/beam"
  : > "$work/caf"
  # Bytes are counted in a fresh process each time: one that has run before has memory to spare.
  beam=kept
  [ "$unit" != bytes ] || beam=fresh
  [ -n "$beam_version" ] || beam=none
  [ $beam != kept ] || start_beam
  round=0
  while [ "$round" -lt "$rounds" ]; do
    round=$((round + 1))
    measure ours "$ours" "$workload" --threads "$threads" --scale "$scale_ours"
    case $beam in
      kept) measure_beam ;;
      fresh) measure beam "$elixir" --erl "+S $threads:$threads" "$here/beam/bench.exs" "$workload" "$scale_beam" 1 ;;
    esac
    [ -z "$caf" ] || [ "$scale_caf" = 0 ] ||
      measure caf "$caf" "$workload" --threads "$threads" --scale "$scale_caf"
  done
  [ $beam != kept ] || stop_beam
}

rounds=5
! $quick || rounds=3
: > "$work/table"
workloads > "$work/workloads"
while read -r name unit thread_counts goal ours_quick ours_full beam_quick beam_full caf_quick caf_full; do
  case "$selected " in
    ' ' | *" $name "*) ;;
    *) continue ;;
  esac
  ! $quick || thread_counts=2
  for threads in $(printf '%s' "$thread_counts" | tr , ' '); do
    [ ! -t 2 ] || printf '\r\033[K%s, %s threads' "$name" "$threads" >&2
    if $quick; then
      measure_row "$name" "$threads" "$unit" "$ours_quick" "$beam_quick" "$caf_quick" < /dev/null
    else
      measure_row "$name" "$threads" "$unit" "$ours_full" "$beam_full" "$caf_full" < /dev/null
    fi
    row_goal=-
    [ "$threads" != 2 ] || row_goal=$goal
    printf '%s %s %s %s %s %s %s\n' "$name" "$threads" \
      "$(median "$work/ours")" "$(median "$work/beam")" "$(median "$work/caf")" "$row_goal" "$unit" >> "$work/table"
  done
done < "$work/workloads"
[ ! -t 2 ] || printf '\r\033[K' >&2

# -- the table and the JSON -------------------------------------------------------------------------------------------

printf 'BEAM: %s\n' "${beam_version:-not measured}"
printf 'CAF:  %s\n' "${caf_version:-not measured}"
printf 'Medians of %s rounds, the three measured in turn; logging off on all sides.\n\n' "$rounds"

# Columns of the table's file: workload, threads, ours, BEAM, CAF, goal, unit; "-" where there is nothing.
awk '
  function human(v) {
    if (v == "-") return v
    if (v >= 1e6) return sprintf("%.2f M", v / 1e6)
    if (v >= 1e4) return sprintf("%.1f k", v / 1e3)
    return sprintf("%.0f", v)
  }
  BEGIN {
    format = "%-22s %7s %10s %10s %10s %10s %9s  %s\n"
    printf format, "workload", "threads", "ours", "BEAM", "CAF", "over BEAM", "goal", "unit"
  }
  {
    ratio = "-"
    if ($3 > 0 && $4 > 0) {
      r = $7 == "bytes" ? $4 / $3 : $3 / $4
      ratio = sprintf(r < 10 ? "%.2fx" : "%.1fx", r)
      if (r < 1) { ratio = ratio "!"; losses++ }
    }
    printf format, $1, $2, human($3), human($4), human($5), ratio, $6, $7
  }
  END {
    printf "\nover BEAM: ours / BEAM, or BEAM / ours for bytes; more than 1 is always in our favour.\n"
    if (losses > 0) printf "!: a loss, %d of them.\n", losses
  }' "$work/table"

if [ -n "$json" ]; then
  awk '
    function number(v) { return v == "-" ? "null" : v + 0 == v ? sprintf("%.1f", v) : "null" }
    function text(v) { return v == "-" ? "null" : "\"" v "\"" }
    BEGIN { print "[" }
    {
      ratio = "null"
      if ($3 > 0 && $4 > 0) ratio = sprintf("%.3f", $7 == "bytes" ? $4 / $3 : $3 / $4)
      printf "%s  {\"workload\": %s, \"threads\": %d, \"ours\": %s, \"beam\": %s, \"caf\": %s, \"ratio\": %s, ", \
        (NR > 1 ? ",\n" : ""), text($1), $2, number($3), number($4), number($5), ratio
      printf "\"goal\": %s, \"unit\": %s}", text($6), text($7)
    }
    END { print "\n]" }' "$work/table" > "$json"
fi

# A row without a figure of ours is a failure, whatever the peers did.
awk '$3 == "-" { missing = 1 } END { exit missing }' "$work/table" || fail "some of our figures are missing"
