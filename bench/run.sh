#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Measures coppice beside BEAM and other C++ and prints a table; README.md beside this script says how to read it.
set -eu

usage() {
  cat <<'TEXT'
usage: run.sh [--quick | --all] [--json FILE] [WORKLOAD...]
       run.sh --check FILE | --markdown FILE | --document FILE

  --quick      three rounds at a smaller scale, on two threads only, less than a minute
  --all        also the rows that take long: latencies, ten million servers
               default: all others, five rounds, less than four minutes
  --json FILE  also writes the table to FILE
  WORKLOAD     measures only these, or all whose name begins so: latency, ets

What follows measures nothing and reads a table that --json wrote.
  --check FILE     says for each row whether it reaches its goal, and fails if one does not
  --markdown FILE  prints it as Markdown, with a list of the rows that miss their goals
  --document FILE  puts that into docs/performance.md

Environment:
  COPPICE_BENCH  our program        (default: build/release/coppice_bench)
  CAF_BENCH      CAF's program      (default: build/release/caf_bench, else compiled into build/bench)
  OTHERS_BENCH   that of oneTBB and of maps under mutexes (default: compiled into build/bench)
  ELIXIR         the elixir command (default: elixir)
TEXT
}

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(dirname -- "$here")

# The rows, one a line, without comments.
rows() { grep -v '^#' "$here/rows.txt"; }

note() { printf 'bench: %s\n' "$*" >&2; }

fail() {
  note "$*"
  exit 1
}

mode=default
json=
selected=
while [ $# -gt 0 ]; do
  case $1 in
    --quick) mode=quick ;;
    --all) mode=all ;;
    --json)
      [ $# -ge 2 ] || { usage >&2; exit 64; }
      json=$2
      shift
      ;;
    --check | --markdown | --document)
      [ $# -ge 2 ] || { usage >&2; exit 64; }
      exec "$here/table.sh" "${1#--}" "$2" "$root/docs/performance.md"
      ;;
    -h | --help) usage; exit 0 ;;
    -*) usage >&2; exit 64 ;;
    *)
      # The row of that name; else those of which it is the first word.
      names=$(rows | awk -v name="$1" '$1 == name { print $1 }')
      [ -n "$names" ] || names=$(rows | awk -v name="$1" 'index($1, name "_") == 1 { print $1 }')
      [ -n "$names" ] || {
        note "no workload is named $1; there are: $(rows | awk '{ printf "%s ", $1 }')"
        exit 64
      }
      selected="$selected $names"
      ;;
  esac
  shift
done
selected=$(printf '%s' "$selected" | tr '\n' ' ')
[ -z "$json" ] || : > "$json" || fail "cannot write to $json"

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

# build_peer NAME NAMED HEADER STANDARD LIBRARY...: compiles that peer's side if it is not there or older than its source,
# with the libraries. Prints the path of the program, or fails. NAMED: the program that the environment names, if any.
build_peer() {
  if [ -n "$2" ]; then
    [ -x "$2" ] && printf '%s\n' "$2"
    return
  fi
  for program in "$root/build/release/$1_bench" "$root/build/bench/$1_bench"; do
    if [ -x "$program" ] && [ -z "$(find "$here/$1" "$here/scatter.hpp" -name '*.?pp' -newer "$program")" ]; then
      printf '%s\n' "$program"
      return
    fi
  done
  printf '#include <%s>\n' "$3" | ${CXX:-c++} "-std=$4" -fsyntax-only -x c++ - 2> /dev/null || return 1
  note "compiling $1/bench.cpp"
  mkdir -p "$root/build/bench"
  source=$here/$1/bench.cpp
  standard=$4
  shift 4
  ${CXX:-c++} "-std=$standard" -O2 -DNDEBUG "$source" -o "$program" "$@" -pthread >&2 || return 1
  printf '%s\n' "$program"
}
caf=$(build_peer caf "${CAF_BENCH:-}" caf/all.hpp c++17 -lcaf_core) || caf=
caf_version=
[ -z "$caf" ] || caf_version=$("$caf" --version) || caf=
[ -n "$caf" ] || note "CAF (libcaf-dev, 0.17) is missing or does not compile: its figures are missing"

flat_map=boost/unordered/unordered_flat_map.hpp
others=$(build_peer others "${OTHERS_BENCH:-}" tbb/task_group.h c++20 -ltbb) ||
  others=$(build_peer others "${OTHERS_BENCH:-}" $flat_map c++20 -DWITHOUT_TBB) || others=
others_version=
[ -z "$others" ] || others_version=$("$others" --version) || others=
case $others_version in
  '') note "Boost 1.81 is missing or others/bench.cpp does not compile: the figures of fib and of the maps are missing" ;;
  oneTBB*) ;;
  *) note "oneTBB (libtbb-dev) is missing: fib has nothing of C++ beside it" ;;
esac

# -- measuring --------------------------------------------------------------------------------------------------------

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
mkfifo "$work/to_beam" "$work/from_beam"

limit=
limit_row=
! command -v timeout > /dev/null 2>&1 || { limit='timeout 120'; limit_row='timeout 600'; }

# take_values PEER STATUS: appends the values in the output of a run to the peer's files, one file for each figure.
take_values() {
  for figure in $figures; do
    name=$workload
    [ "$figure" = - ] || name=$workload.$figure
    value=$(awk -F '\t' -v w="$name" -v t="$threads" 'NF == 4 && $1 == w && $2 == t { v = $3 } END { print v }' \
      "$work/output")
    if [ "$2" -ne 0 ] || [ -z "$value" ]; then
      note "$1: $name on $threads threads gave no value (exit status $2)"
    else
      printf '%s\n' "$value" >> "$work/$1.$figure"
    fi
  done
}

# measure PEER COMMAND...: runs the command to its end and takes its values.
measure() {
  peer=$1
  shift
  status=0
  # shellcheck disable=SC2086  # the limit is a command and its argument, or nothing
  $limit "$@" > "$work/output" || status=$?
  take_values "$peer" "$status"
}

# BEAM takes longer to start than many a workload takes to run. One virtual machine serves a row therefore, and measures
# once for every line that it is sent. It sleeps while the others have their turn.
start_beam() {
  # shellcheck disable=SC2086
  $limit_row "$elixir" --erl "$beam_flags" "$here/beam/bench.exs" "$workload" "$scale_beam" step \
    < "$work/to_beam" > "$work/from_beam" &
  exec 3> "$work/to_beam" 4< "$work/from_beam"
}

measure_beam() {
  status=0
  (trap '' PIPE && echo go >&3) 2> /dev/null || status=1
  : > "$work/output"
  for line_number in $lines_of_run; do
    read -r line <&4 || status=$line_number
    printf '%s\n' "$line" >> "$work/output"
  done
  take_values beam "$status"
}

stop_beam() {
  exec 3>&- 4<&-
  wait || :
}

# The median of a file of numbers; "-" if there are none.
median() {
  sort -g "$1" | awk '{ v[NR] = $1 }
    END { if (NR == 0) print "-"; else printf "%.3f\n", (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'
}

# Measures $workload on $threads threads, $row_rounds times, all programs in turn, into $work/PEER.FIGURE.
measure_row() {
  for figure in $figures; do
    for peer in ours beam cpp; do : > "$work/$peer.$figure"; done
  done
  beam_flags="+S $threads:$threads"
  lines_of_run=1
  case $workload in latency_*) lines_of_run='1 2 3' ;; esac
  # Bytes are counted in a fresh process each time: one that has run before has memory to spare.
  beam=kept
  [ "$unit" != bytes ] || beam=fresh
  [ -n "$beam_version" ] && [ "$scale_beam" != 0 ] || beam=none
  [ $beam != kept ] || start_beam
  # For what CAF has nothing of, there are others.
  case $workload in
    fib | ets_*) cpp=$others ;;
    *) cpp=$caf ;;
  esac
  [ "$scale_cpp" != 0 ] || cpp=
  case $workload/$others_version in fib/oneTBB*) ;; fib/*) cpp= ;; esac
  round=0
  while [ "$round" -lt "$row_rounds" ]; do
    round=$((round + 1))
    measure ours "$ours" "$workload" --threads "$threads" --scale "$scale_ours"
    case $beam in
      kept) measure_beam ;;
      fresh) measure beam "$elixir" --erl "$beam_flags" "$here/beam/bench.exs" "$workload" "$scale_beam" 1 ;;
    esac
    [ -z "$cpp" ] || measure cpp "$cpp" "$workload" --threads "$threads" --scale "$scale_cpp"
  done
  [ $beam != kept ] || stop_beam
}

# Does the row take part in this run?
takes_part() { # name, when
  case "$selected" in
    *" $1 "*) return 0 ;;
    *[!\ ]*) return 1 ;;
  esac
  case $mode in
    quick) [ "$2" = quick ] ;;
    all) return 0 ;;
    *) [ "$2" != all ] ;;
  esac
}

rounds=5
[ $mode != quick ] || rounds=3
: > "$work/table"
rows > "$work/rows"
selected="$selected "
while read -r workload unit thread_counts goal when row_rounds figures \
  ours_quick ours_full beam_quick beam_full cpp_quick cpp_full; do
  takes_part "$workload" "$when" || continue
  figures=$(printf '%s' "$figures" | tr , ' ')
  scale_ours=$ours_full scale_beam=$beam_full scale_cpp=$cpp_full
  if [ $mode = quick ]; then
    scale_ours=$ours_quick scale_beam=$beam_quick scale_cpp=$cpp_quick
    case $thread_counts in *2*) thread_counts=2 ;; esac
  fi
  [ "$row_rounds" -le $rounds ] || row_rounds=$rounds
  for threads in $(printf '%s' "$thread_counts" | tr , ' '); do
    [ ! -t 2 ] || printf '\r\033[K%s, %s threads' "$workload" "$threads" >&2
    measure_row < /dev/null
    row_goal=-
    [ "$threads" != 2 ] || row_goal=$goal
    for figure in $figures; do
      name=$workload
      [ "$figure" = - ] || name=$workload.$figure
      printf '%s %s %s %s %s %s %s %s\n' "$name" "$threads" "$(median "$work/ours.$figure")" \
        "$(median "$work/beam.$figure")" "$(median "$work/cpp.$figure")" "$row_goal" "$unit" "$row_rounds" \
        >> "$work/table"
    done
  done
done < "$work/rows"
[ ! -t 2 ] || printf '\r\033[K' >&2

# -- the table and the JSON -------------------------------------------------------------------------------------------

printf 'BEAM: %s\n' "${beam_version:-not measured}"
printf 'C++:  CAF %s; in fib and ets_*: %s\n' "${caf_version:-not measured}" "${others_version:-not measured}"
printf 'Medians of %s rounds, of fewer where a round takes long; all measured in turn; logging off on all sides.\n\n' \
  "$rounds"
"$here/table.sh" print "$work/table"
if [ -n "$json" ]; then
  processor=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo 2> /dev/null | head -n 1)
  context="${processor:-$(uname -m)}, $(nproc) cores; BEAM: ${beam_version:-not measured}; CAF: ${caf_version:-not measured}; ${others_version:-no others}; \
medians of at most $rounds rounds" "$here/table.sh" json "$work/table" > "$json"
fi

# A row without a figure of ours is a failure, whatever the peers did.
awk '$3 == "-" { missing = 1 } END { exit missing }' "$work/table" || fail "some of our figures are missing"
