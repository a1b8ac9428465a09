#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# run.sh PROGRAM: programs of applications as their operators see them: signals, statuses, configuration. What is waited
# for is waited for by looking at the output until it is there, with a deadline.
# shellcheck disable=SC2034,SC2154
set -u
program=$1
seconds_max=30
# shellcheck disable=SC1091
. "$(dirname "$0")/../program_functions.sh"
unset WEB__PORT WEB__MODE

begin() { # title, arguments...
  title=$1
  shift
  "$program" "$@" >"$out" 2>"$err" </dev/null &
  pid=$!
}
said() { # the whole standard output
  printf '%s\n' "$@" | diff -u - "$out" >"$directory/diff" || fail "it said something else: $(cat "$directory/diff")"
}
complained() { # text in standard error
  grep -qF -e "$1" "$err" || fail "it did not complain: $1"
}

# -- signals --------------------------------------------------------------------------------------------------------

for signal in TERM INT; do
  begin "SIG$signal stops it in order"
  wait_for 'web listens on 4000'
  kill -s "$signal" "$pid"
  ended_with 0
  said 'storage starts' 'web listens on 4000' 'web closes its port' 'web has stopped' 'storage has stopped'
done

begin 'what does not stop is killed' --set web.mode=deaf
wait_for 'web listens on 4000'
started=$(date +%s)
kill -s TERM "$pid"
ended_with 1
complained 'coppice: the application web did not stop in time and was killed'
[ $(($(date +%s) - started)) -le 10 ] || fail 'it took longer than 10 s'

begin 'the second signal ends it at once' patient --set web.mode=deaf
wait_for 'web listens on 4000'
kill -s TERM "$pid"
wait_for 'deaf'
kill -s INT "$pid"
ended_with 130

begin 'a signal ends a start that does not' --set web.mode=slow
wait_for 'web takes its time'
kill -s TERM "$pid"
ended_with 0
said 'storage starts' 'web takes its time' 'storage has stopped'

# -- statuses -------------------------------------------------------------------------------------------------------

begin 'a failed start' --set web.mode=fail
ended_with 1
said 'storage starts' 'storage has stopped'
complained 'coppice: the application web could not be started: Web.start(:normal, []) returned an error: :eaddrinuse'

begin 'the end of an application' --set web.mode=frail
ended_with 1
complained 'coppice: the application web has ended: shutdown'
grep -qx 'storage has stopped' "$out" || fail 'storage was not stopped'

begin 'a status of its own' --set web.mode=status
ended_with 3
grep -qx 'storage has stopped' "$out" || fail 'storage was not stopped'

# -- configuration --------------------------------------------------------------------------------------------------

printf '[web]\nport = 1\nmode = "status"\n' >"$directory/one.toml"
printf '[web]\nport = 2\n' >"$directory/two.toml"
begin 'files, the later wins' --config "$directory/one.toml" --config="$directory/two.toml"
ended_with 3
grep -qx 'web listens on 2' "$out" || fail 'it listens elsewhere'

WEB__PORT=3
export WEB__PORT
begin 'a variable wins over a file' --config "$directory/one.toml"
ended_with 3
grep -qx 'web listens on 3' "$out" || fail 'it listens elsewhere'
begin 'the command line wins over all' --config "$directory/one.toml" a --set web.port=4 -b -- --set c
ended_with 3
said 'storage starts' 'argument a' 'argument -b' 'argument --set' 'argument c' 'web listens on 4' \
  'web closes its port' 'web has stopped' 'storage has stopped'
unset WEB__PORT

printf '[web]\nport = 1\nmode = "status\n' >"$directory/bad.toml"
begin 'a file with a mistake' --config "$directory/bad.toml"
ended_with 2
complained "coppice: $directory/bad.toml:3:"
[ ! -s "$out" ] || fail 'something was started'

begin 'a file that is not there' --config "$directory/none.toml"
ended_with 2
complained "coppice: $directory/none.toml: the file cannot be read: No such file or directory"

begin 'a value of another type' --set web.port=http
ended_with 1
complained 'application web: the value of port is the string "http", but an integer of 32 bits was asked for'

for wrong in --set --config --set=web '--set=web.port'; do
  begin "$wrong" "$wrong"
  ended_with 2
  [ ! -s "$out" ] || fail 'something was started'
done

begin 'help' --help
ended_with 0
grep -q '^usage: ' "$out" || fail 'no usage'
echo 'run.sh: as its operators expect'
