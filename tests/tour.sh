#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# tour.sh PROGRAM: the tour as its users see it: without input, with commands piped, following a file, interrupted. What
# is waited for is waited for by looking at the output until it is there, with a deadline. Then tour_server.sh.
# shellcheck disable=SC2154
set -u
tour=$1
here=$(dirname "$0")
# shellcheck disable=SC1091,SC2154
. "$here/program_functions.sh"

# -- without input, it plays its script ---------------------------------------------------------------------------

started=$(date +%s)
"$tour" >"$out" 2>&1 </dev/null &
pid=$!
ended_with 0
if grep -Eq '__(a|t)san_init' "$tour"; then script_seconds=200; else script_seconds=30; fi
[ $(($(date +%s) - started)) -lt "$script_seconds" ] || fail "the script took $script_seconds s or more"
in_order <<'LINES'
1  The tree
Tour\.Supervisor <.*>
[|]- Counter <.*>
[|]- UserCache <.*>
[|]- Tour\.Critical <.*>
[|]  [|]- Database <.*>
[|]  `- Cache <.*>
[|]- Tour\.Ordered <.*>
[|]  [|]- ConfigLoader <.*>
[|]  [|]- DatabasePool <.*>
[|]  `- WebServer <.*>
[|]     [|]- WebServer\.Connections <.*>
[|]     `- WebServer\.Listener <.*>
.*- Tour\.Tasks <.*>
2  Counter, a GenServer
> count
the Counter has counted 1001 events
3  Users: a cache and a database
> get 1
1: ann
> get 7
error: there is no user 7
> all
2 users
  1: ann
  2: bob
4  Cache, a table
the motto was found 4000 times: let it crash
5  Task runners
.*Running task [123]
3 runners under Tour\.Runners
6  The web server, and tasks
GET /users +200 [[]\{"id":"1","name":"ann"\},\{"id":"2","name":"bob"\}[]]
GET /cache/motto +200 \{"value":"let it crash"\}
GET /users/7 +404 \{"error":"there is no user 7"\}
GET /health +200 .*"greeting":"hello from the configuration file".*
7  Plain processes
1000 processes passed on 10000 messages in [0-9.]+ ms
8  FileWatcher
[*] .*: the first line
[*] .*: the second line, in two halves
[*] .*: the third line
9  A crash, on purpose
.*\[error\] GenServer Counter terminating
.*\[error\] Process :Counter terminating
Counter <.*> crashed when it stood at [0-9]+: the counter was told to crash
  Tour\.Supervisor started Counter again: <.*>, was <.*>
> get 1
1: ann
10  Kills, at each level
UserCache <.*> has ended: :killed
  Tour\.Supervisor started UserCache again: <.*>, was <.*>
> get 2
2: bob
Database <.*> has ended: :killed
  Tour\.Critical started Database again: <.*>, was <.*>
  Tour\.Critical started Cache again: <.*>, was <.*>
ConfigLoader <.*> has ended: :killed
  Tour\.Ordered started ConfigLoader again: <.*>, was <.*>
  Tour\.Ordered started DatabasePool again: <.*>, was <.*>
  Tour\.Ordered started WebServer again: <.*>, was <.*>
Tour\.Ordered <.*> has ended: :killed
  Tour\.Supervisor started Tour\.Ordered again: <.*>, was <.*>
  Tour\.Ordered started ConfigLoader again: <.*>, was <.*>
runner <.*> was killed; Tour\.Runners has 3 runners again
11  Too often
Cache killed, 1: Tour\.Critical restarts its children
Cache killed, [2-9]: that was too often, Tour\.Critical <.*> gives up
  Tour\.Supervisor started Tour\.Critical again: <.*>, was <.*>
  Tour\.Critical started Database again: <.*>, was <.*>
  Tour\.Critical started Cache again: <.*>, was <.*>
12  Sessions
session 1 started .*
session 1 refreshed .*
1 session
13  Who is there
PID +NAME +INITIAL CALL +STATUS +QUEUE +REDUCTIONS
.*\[info\] Session 1 timed out: no refresh for 3s
session 1 has ended: :normal
[*] stopping, the last started first
[*] WebServer\.Listener stops
[*] ConfigLoader stops
[*] Cache stops
[*] Database stops
[*] UserCache stops
[*] Counter stops
All systems have stopped.*
LINES
if grep -q "$(printf '\033')" "$out"; then fail 'there are colours, and no terminal'; fi

# -- commands, piped ------------------------------------------------------------------------------------------------

printf 'put 1 ann\nget 1\ncrash counter\nps\nquit\nget 1\n' | "$tour" >"$out" 2>&1 ||
  fail 'it did not end with status 0'
in_order <<'LINES'
> put 1 ann
put 1: ann
> get 1
1: ann
> crash counter
.*\[error\] GenServer Counter terminating
\*\* \(RuntimeError\) the counter was told to crash
State: \{:value, 3\}
.*\[error\] Process :Counter terminating
    exception error: \*\* \(RuntimeError\) the counter was told to crash
Counter <0\.[0-9]+\.[0-9]+> crashed when it stood at 3: the counter was told to crash
  Tour\.Supervisor started Counter again: <0\.[0-9]+\.[0-9]+>, was <0\.[0-9]+\.[0-9]+>
> ps
PID +NAME +INITIAL CALL +STATUS +QUEUE +REDUCTIONS
<0\.[0-9.]+> +Tour\.Supervisor .*
<0\.[0-9.]+> +UserCache +UserCache\.init/1 +waiting +0 +[0-9]+
<0\.[0-9.]+> +guide .* +running +0 +[0-9]+
<0\.[0-9.]+> +Counter +Counter\.init/1 +[a-z]+ +[0-9]+ +[0-9]+
> quit
All systems have stopped.*
LINES
[ "$(grep -c '^> get 1$' "$out")" -eq 1 ] || fail 'it went on after quit'

# -- what is wrong with a command is said, and nothing is lost -------------------------------------------------------

{
  printf 'put 1 ann\nput 2\nget\nget 1 2\nfly\ncrash users\nall at once\n\n   \n'
  head -c 10000 /dev/zero | tr '\0' x
  printf '\nput %041d ann\n' 0
  printf 'put 2 bob the builder\ncrash counter\ncrash counter\ncount\nall'
} | "$tour" >"$out" 2>&1 || fail 'it did not end with status 0'
in_order <<'LINES'
put 1: ann
> put 2
error: put wants an id and a name: put ID NAME
> get
error: get wants one id: get ID
> get 1 2
error: get wants one id: get ID
> fly
error: there is no command fly; help lists those there are
> crash users
error: there is no child users; tree shows who is there
> all at once
error: all takes no arguments
error: a line has at most 4096 bytes; this one is left out
> put 0+ ann
error: an id has at most 40 bytes, this one has 41
put 2: bob the builder
  Tour\.Supervisor started Counter again: .*
  Tour\.Supervisor started Counter again: .*
the Counter has counted 1 event
> all
2 users
  1: ann
  2: bob the builder
All systems have stopped.*
LINES

# -- a file of ours, and a session that times out --------------------------------------------------------------------

mkfifo "$directory/in" || exit 2
file=$directory/app.log
"$tour" --watch "$file" >"$out" 2>&1 <"$directory/in" &
pid=$!
exec 3>"$directory/in"
wait_for 'waiting for app.log to appear'
echo 'refresh 7' >&3
wait_for 'session 7 started'
printf 'one\ntwo\nthr' >"$file"
wait_for 'app.log: two'
printf 'ee\n' >>"$file"
wait_for 'app.log: three'
: >"$file"
wait_for 'app.log has been emptied'
echo four >>"$file"
wait_for 'app.log: four'
mv "$file" "$file.1"
echo five >>"$file.1"
wait_for 'app.log: five'
echo six >"$file"
wait_for 'app.log: six'
wait_for 'Session 7 timed out'
echo quit >&3
exec 3>&-
ended_with 0
in_order <<'LINES'
[*] waiting for app.log to appear
[*] app.log is there now
[*] app.log: one
[*] app.log: two
[*] app.log: three
[*] app.log has been emptied
[*] app.log: four
[*] app.log: five
[*] app.log is another file now
[*] app.log: six
> quit
[*] no longer watching app.log
All systems have stopped.*
LINES

# -- interrupted, it stops in order ----------------------------------------------------------------------------------

for signal in INT TERM; do
  "$tour" --watch "$file" >"$out" 2>&1 <"$directory/in" &
  pid=$!
  exec 3>"$directory/in"
  wait_for 'watching app.log'
  kill -s "$signal" "$pid"
  ended_with 0
  exec 3>&-
  in_order <<'LINES'
[*] watching app.log
[*] stopping, the last started first
[*] no longer watching app.log
All systems have stopped.*
LINES
done

# -- options ---------------------------------------------------------------------------------------------------------

for wrong in --what --watch --watch= "--watch=$directory" --port --port=x --port=65536 --data=; do
  "$tour" "$wrong" >"$out" 2>&1 </dev/null
  status=$?
  [ "$status" -eq 2 ] || fail "$wrong: status $status and not 2"
  grep -q '^usage: ' "$out" || fail "$wrong: no usage"
done
clean_up
"$here/tour_server.sh" "$tour" || exit 1
echo 'tour: as its users expect'
