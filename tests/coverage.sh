#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# coverage.sh VERSION: which lines and branches of src/ the tests executed, layer by layer, from the profiles that a run of
# the preset `coverage` has left in build/coverage/profiles; VERSION is clang's. The figures go to
# build/reliability/coverage.txt as well, one line each:
#   layer LAYER lines COUNT executed COUNT branches COUNT executed COUNT
# Fails if a layer that has a goal (runtime and otp: 95 % of lines, 90 % of branches) misses it.
#
# What is counted
#   Programs      Counters stand in a mapped file while a program runs (%c in LLVM_PROFILE_FILE), so those that abort, hit a
#                 guard page or are killed on purpose count, too, and the children of a fork share their parent's file.
#                 Without that nothing of die() would be counted: it is asked for below.
#   Merging       The library is the same in all programs; what several of them executed is added up. `functions have
#                 mismatched data` in build/coverage/coverage.log only says that records of functions which a program
#                 contains without using them were left out.
#   Headers       A header of src/ belongs to its layer. Headers of include/ stand under the layer `include`: what of a
#                 template is executed depends on who uses it. Of a template's instances the best one counts, not all of
#                 them together: so the share of templates is rather too small.
#   Branches      Each condition is two, each case of a switch one. Nothing is excluded: the way past a switch that names all
#                 values of its type, which nothing can take, and the failing side of COPPICE_INVARIANT count as not taken.
set -eu
version=$1
cd "$(dirname "$0")/.."
build=build/coverage
"llvm-profdata-$version" merge -sparse "$build"/profiles/*.profraw -o "$build/tests.profdata"
"llvm-profdata-$version" show --function=_ZN7coppice8platform3dieEPKc "$build/tests.profdata" |
  awk '$1 == "Function" && $2 == "count:" { count += $3 } END { exit count == 0 }' || {
  echo 'coverage: the counts of programs that end by a fault are lost'
  exit 1
}
set --
for program in "$build"/tests/*_tests "$build"/tests/*_program; do
  case $program in
    */model_tests) ;;  # compiles parts of src/ once more, with atomics of its own
    *) [ ! -x "$program" ] || set -- "$@" -object "$program" ;;
  esac
done
shift  # the first program stands without -object
mkdir -p build/reliability
"llvm-cov-$version" report -instr-profile="$build/tests.profdata" "$@" src include 2>"$build/coverage.log" | awk '
  $1 ~ /^(src|include)\// && NF >= 12 {
    split($1, part, "/")
    layer = part[1] == "src" ? part[2] : "include"
    lines[layer] += $8; missed[layer] += $9; branches[layer] += $11; untaken[layer] += $12
  }
  END {
    for (layer in lines)
      printf "layer %s lines %d executed %d branches %d executed %d\n", layer, lines[layer],
             lines[layer] - missed[layer], branches[layer], branches[layer] - untaken[layer]
  }' | sort >build/reliability/coverage.txt
awk '
  function percent(part, whole) { return whole == 0 ? 100 : 100 * part / whole }
  BEGIN { printf "%-12s %8s %8s %10s %8s\n", "layer", "lines", "", "branches", "" }
  {
    printf "%-12s %8d %7.1f%% %10d %7.1f%%\n", $2, $4, percent($6, $4), $8, percent($10, $8)
    layers++
    if ($2 !~ /^(runtime|otp)$/) next
    if (percent($6, $4) < 95 || percent($10, $8) < 90) missed = missed " " $2
  }
  END {
    if (layers == 0) missed = " everything"
    if (missed != "") print "coverage: below its goal (95 % of lines, 90 % of branches):" missed
    exit missed != ""
  }' build/reliability/coverage.txt
