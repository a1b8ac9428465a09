# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
#
# What the tests of whole programs share: they start one in the background with its output in $out (and, if they part
# them, its standard error in $err), put its number into $pid, and then wait for its lines and look at their order.
seconds_max=${seconds_max:-60}
title=

directory=$(mktemp -d) || exit 2
out=$directory/out
err=$directory/err
pid=
clean_up() {
  [ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null
  rm -rf "$directory"
}
trap clean_up EXIT
trap 'exit 1' INT TERM

fail() {
  printf '%s: %s%s; the output was:\n' "${0##*/}" "${title:+$title: }" "$1"
  cat "$out"
  [ ! -f "$err" ] || { echo 'and standard error:' && cat "$err"; }
  kill -s TERM $$  # also from a pipe, which is a shell of its own
  exit 1
}

# in_order: each extended regular expression on standard input matches a whole line of the output, in this order.
in_order() {
  awk '
    NR == FNR { patterns[++count] = $0; next }
    next_one < count && $0 ~ ("^(" patterns[next_one + 1] ")$") { ++next_one }
    END { if (next_one < count) { print patterns[next_one + 1]; exit 1 } }' - "$out" >"$directory/missing" ||
    fail "a line is missing, or not in its place: $(cat "$directory/missing")"
}

# wait_for REGEX: until a line of the output contains it.
wait_for() {
  deadline=$(($(date +%s) + seconds_max))
  until grep -Eq -e "$1" "$out"; do
    kill -0 "$pid" 2>/dev/null || fail "the program ended before it said: $1"
    [ "$(date +%s)" -lt "$deadline" ] || fail "it did not say in $seconds_max s: $1"
    sleep 0.05
  done
}

ended_with() { # status
  wait "$pid"
  status=$?
  pid=
  [ "$status" -eq "$1" ] || fail "it ended with status $status and not $1"
}
