#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# model.sh PROGRAM [OPTION...]: runs the model checker's tests (tests/model) and writes build/reliability/model.txt, one
# line for each program that was explored, in four columns, the last of which may have spaces:
#
#   executions  how many were explored; of a rejected one until its fault was found
#   verdict     accepted, or rejected: what is wrong was found, as it should be
#   all, some   whether that is all within the test's bounds
#   name        of the program
#
# With GTEST_FILTER only some are run, and the file stays as it is.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
program=${1:?"usage: model.sh PROGRAM [OPTION...]"}
shift
[ -z "${GTEST_FILTER:-}" ] || exec "$program" "$@"

figures=$root/build/reliability/model.txt
mkdir -p "$root/build/reliability"
COPPICE_MODEL_FIGURES=$figures.$$
export COPPICE_MODEL_FIGURES
trap 'rm -f "$COPPICE_MODEL_FIGURES"' EXIT
status=0
"$program" "$@" || status=$?
[ "$status" -ne 0 ] || mv "$COPPICE_MODEL_FIGURES" "$figures"
exit "$status"
