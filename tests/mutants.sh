#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Does the simulation find mistakes? tests/mutants/NN_name.patch are mistakes made on purpose, each a patch of one source
# file of the library below a head of three lines:
#
#   Breaks: what it does wrong, in a sentence.
#   Caught by: the test programs (behaviour, conformance, simulation) whose simulated tests must find it, in this order.
#   Seeds: within so many seeds of each test.
#
#   tests/mutants.sh check             every patch still applies (what ctest runs)
#   tests/mutants.sh run BUILD [NAME]  BUILD has the test programs. Prints a table, and `caught N of N`; writes
#                                      build/reliability/mutants.txt: mutants, caught, seconds, and of each mutant
#                                      `NN_name PROGRAM TEST SEEDS`, SEEDS being how many each test had when one failed.
#
# Nothing is built twice: of each mutant one file is compiled, with the command that compiled the original, and linked
# before the library, whose own object file of that name is then not wanted. The programs run with 1, 5, 25 ... seeds,
# until a test fails.
set -u
root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
jobs=${COPPICE_JOBS:-$(nproc 2>/dev/null || echo 2)}
work=$root/build/mutants
seconds_max=120  # of one program with one number of seeds; longer is a run that never ends
filter='*_in_simulation:Simulated*'

die() {
  printf 'mutants: %s\n' "$*" >&2
  exit 1
}

field() { sed -n "s/^$2: //p" "$1" | head -n 1; }  # PATCH NAME

# apply PATCH FOLDER: leaves the changed source below FOLDER; prints its path in the tree.
apply() {
  file=$(sed -n 's|^+++ b/||p' "$1")
  case $file in
    src/*.cpp) ;;
    *) die "$1: it must change one file src/.../NAME.cpp, and no header" ;;
  esac
  for what in Breaks 'Caught by' Seeds; do
    [ -n "$(field "$1" "$what")" ] || die "$1: its head does not say '$what:'"
  done
  [ -f "$root/$file" ] || die "$1: there is no $file any more"
  rm -rf "$2"
  mkdir -p "$2/$(dirname "$file")"
  cp "$root/$file" "$2/$file"
  # As if there were no repository around: git would look for the file at its top.
  (cd "$2" && GIT_CEILING_DIRECTORIES=$(dirname "$2") git apply "$1") 2>"$2/error" || {
    cat "$2/error" >&2
    die "$1 no longer applies to $file: make the same mistake in the source as it is now, or another"
  }
  echo "$file"
}

patches() { # [NAME]
  for patch in "$root"/tests/mutants/*"${1:-}"*.patch; do
    [ -f "$patch" ] && echo "$patch"
  done
}

check() {
  scratch=$(mktemp -d) || exit 1
  trap 'rm -rf "$scratch"' EXIT
  count=0
  for patch in $(patches); do
    apply "$patch" "$scratch/tree" >/dev/null || exit 1
    count=$((count + 1))
  done
  [ "$count" -ge 20 ] || die "there are $count mutants; twenty is the least"
  echo "mutants: $count, and all apply"
}

# -- one mutant ---------------------------------------------------------------------------------------------------

# compile FILE FOLDER: FOLDER/mutant.o from FOLDER/FILE.
compile() {
  command=$(sed -n 's/^ *"command": "\(.*\)",$/\1/p' "$build/compile_commands.json" |
    grep -F -- "-o CMakeFiles/coppice.dir/$1.o " | head -n 1)
  [ -n "$command" ] || die "$build knows no command that compiles $1"
  command=${command%% -o CMakeFiles/*}
  (cd "$build" && eval "$command -O1 -g0 -w -o '$2/mutant.o' -c '$2/$1'")
}

# link_program PROGRAM FOLDER
link_program() {
  command=$(ninja -C "$build" -t commands "$1" | tail -n 1 | sed "s| -o tests/$1 | -o $2/$1 $2/mutant.o -Wl,--strip-debug |")
  (cd "$build" && eval "$command")
}

# play PROGRAM-FILE SEEDS OUTPUT: status 0 if no test fails.
play() {
  (
    cd "$root" && COPPICE_SEEDS=$2 COPPICE_LOG=none timeout "$seconds_max" \
      "$1" --gtest_filter="$filter" --gtest_fail_fast --gtest_print_time=0
    exit
  ) >"$3" 2>&1 </dev/null
}

# The test that failed, or was under way when the program ended.
failed_test() { # OUTPUT
  awk '/^\[ RUN      \]/ { test = $4 } /^\[       OK \]/ { test = "" } /^\[  FAILED  \]/ { test = $4; exit } END { print test }' "$1"
}

# How it failed: the seed that was told, or what became of the program.
how_it_failed() { # OUTPUT STATUS
  seed=$(sed -n 's/^simulation: seed \([0-9]*\) failed.*/seed \1/p; s/.*The seed is \([0-9]*\),.*/seed \1/p' "$1" | head -n 1)
  if [ "$2" -eq 124 ]; then
    echo 'never ends'
  else
    echo "${seed:-the program ends}"
  fi
}

test_mutant() { # PATCH: a line into build/mutants/NAME.result
  name=$(basename "$1" .patch)
  folder=$work/$name
  limit=$(field "$1" Seeds)
  file=$(apply "$1" "$folder") || exit 1
  compile "$file" "$folder" >"$folder/build.log" 2>&1 || die "$name does not compile: $folder/build.log"
  programs=
  for kind in $(field "$1" 'Caught by'); do
    link_program "${kind}_tests" "$folder" >>"$folder/build.log" 2>&1 || die "$name does not link: $folder/build.log"
    programs="$programs ${kind}_tests"
  done
  result="- - - $limit"
  seeds=1
  while :; do
    for program in $programs; do
      play "$folder/$program" "$seeds" "$folder/output"
      status=$?
      if [ "$status" -ne 0 ]; then
        result="$program $(failed_test "$folder/output") $seeds $limit $(how_it_failed "$folder/output" "$status")"
        break 2
      fi
    done
    [ "$seeds" -lt "$limit" ] || break
    seeds=$((seeds * 5 < limit ? seeds * 5 : limit))
  done
  echo "$name $result" >"$work/$name.result"
  case $result in
    -*) printf 'mutants: %s: nothing failed\n' "$name" >&2 ;;
    *) for program in $programs; do rm -f "$folder/$program"; done ;;
  esac
}

# -- all of them --------------------------------------------------------------------------------------------------

# The programs without a mistake pass what the mutants are to fail.
check_originals() {
  limit=1
  for patch in $(patches "$1"); do
    seeds=$(field "$patch" Seeds)
    [ "$seeds" -le "$limit" ] || limit=$seeds
  done
  for program in $(for patch in $(patches "$1"); do field "$patch" 'Caught by'; done | tr ' ' '\n' | sort -u); do
    [ -x "$build/tests/${program}_tests" ] || die "$build has no ${program}_tests"
    play "$build/tests/${program}_tests" "$limit" "$work/original.$program" ||
      die "without any mistake ${program}_tests fails, too: $work/original.$program"
  done
}

run() { # [NAME]
  started=$(date +%s)
  rm -rf "$work"
  mkdir -p "$work" "$root/build/reliability"
  check_originals "${1:-}"
  patches "${1:-}" | xargs -P "$jobs" -n 1 "$0" one "$build" || die 'some mutants could not be tried'
  table "$(($(date +%s) - started))"
}

table() { # SECONDS
  figures=$root/build/reliability/mutants.txt
  printf '%-29s %8s  %s\n' mutant seeds 'caught by'
  cat "$work"/*.result | awk -v figures="$figures" -v seconds="$1" '
    { all++; if ($2 != "-") caught++; line[all] = $1 " " $2 " " $3 " " $4
      printf "%-29s %8s  %s\n", $1, $4 " of " $5, $2 == "-" ? "NOT CAUGHT" : $3 " (" $2 ", " $6 ($7 == "" ? "" : " " $7) ($8 == "" ? "" : " " $8) ")" }
    END {
      printf "mutants %d\ncaught %d\nseconds %d\n", all, caught, seconds >figures
      for (i = 1; i <= all; i++) print line[i] >figures
      printf "caught %d of %d (%d s)\n", caught, all, seconds
      exit caught != all || all == 0
    }'
}

case ${1:-} in
  check) check ;;
  run | one)
    [ $# -ge 2 ] || die 'which build folder?'
    build=$(cd "$2" && pwd) || exit 1
    [ -f "$build/compile_commands.json" ] || die "$build is no build folder with compile_commands.json"
    if [ "$1" = run ]; then
      run "${3:-}"
    else
      test_mutant "$3"
    fi
    ;;
  *) die 'say check, or run BUILD [NAME]' ;;
esac
