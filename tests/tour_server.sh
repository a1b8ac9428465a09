#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# tour_server.sh PROGRAM: the tour as a server: `--serve`, its JSON interface, what is wrong with a request and what is
# answered, crashes of every child, a port in use, and the orderly stop. Connections are made by bash itself (/dev/tcp).
# shellcheck disable=SC2154
set -u
tour=$1
# shellcheck disable=SC1091,SC2154
. "$(dirname "$0")/program_functions.sh"

data=$directory/data
mkdir "$data" || exit 2
cat >"$data/tour.toml" <<'TOML'
[tour_app]
greeting = "hello from a test"
pool_size = 2
connections_max = 4
request_ms = 1000
drain_ms = 20000
TOML

# Serves, and sets $port.
start() {
  mkfifo "$directory/in" 2>/dev/null
  "$tour" --serve --data "$data" >"$out" 2>&1 <"$directory/in" &
  pid=$!
  exec 9>"$directory/in"
  wait_for 'Serving on http://127.0.0.1:[0-9]+'
  port=$(sed -n 's|.*Serving on http://127.0.0.1:\([0-9]*\).*|\1|p' "$out")
}

# raw: sends standard input as it is, and prints what comes until the server closes.
raw() {
  { exec 3<>"/dev/tcp/127.0.0.1/$port"; } 2>/dev/null || return 1
  cat >&3
  timeout "$seconds_max" cat <&3
  exec 3>&-
}

# http METHOD PATH [BODY]: prints the whole answer.
http() {
  body=${3-}
  printf '%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s' \
    "$1" "$2" "${#body}" "$body" | raw | tr -d '\r'
}

# expect WHAT REGEX: standard input matches.
expect() {
  answer=$(cat)
  grep -Eq -e "$2" <<<"$answer" || fail "$1: the answer is not $2 but: $answer"
}

# until_true COMMAND...: again and again, with a deadline.
until_true() {
  deadline=$(($(date +%s) + seconds_max))
  until "$@"; do
    kill -0 "$pid" 2>/dev/null || fail "the tour ended before: $*"
    [ "$(date +%s)" -lt "$deadline" ] || fail "not in $seconds_max s: $*"
    sleep 0.05
  done
}

# Nobody but the one who asks is connected.
alone() { http GET /health 2>/dev/null | grep -q '"connections":1}'; }

# pid_of NAME: in the tree; nothing if there is none or no answer.
pid_of() { http GET /tree 2>/dev/null | grep -o "\"id\":\"$1\",\"pid\":\"[^\"]*\",\"state\":\"running\"" | sed 's/.*"pid":"\([^"]*\)".*/\1/'; }
has_another_pid() { # name, old pid
  now=$(pid_of "$1")
  [ -n "$now" ] && [ "$now" != "$2" ]
}

# -- what is asked for is answered ----------------------------------------------------------------------------------

start
http GET /health | expect health '^HTTP/1.1 200 OK'
http GET /health | expect health '"status":"ok","greeting":"hello from a test"'
http PUT /users/1 '{"name": "ann"}' | expect 'put a user' '"name":"ann"'
http GET /users/1 | expect 'get a user' '"name":"ann"'
http GET /users | expect 'all users' '\[\{"id":"1","name":"ann"\}\]'
http GET /users/7 | expect 'no such user' '^HTTP/1.1 404'
http DELETE /users/1 | expect 'delete a user' '"deleted":"1"'
http DELETE /users/1 | expect 'delete it again' '^HTTP/1.1 404'
http PUT /cache/k '{"value": "v"}' | expect 'put into the cache' '"value":"v"'
http GET /cache/k | expect 'get from the cache' '"value":"v"'
http POST /sessions '{"id": "7"}' | expect 'start a session' '^HTTP/1.1 201'
http POST /sessions '{"id": "7"}' | expect 'refresh it' '^HTTP/1.1 200'
http GET /sessions | expect sessions '"id":"7"'
http GET /counter | expect counter '"count":[0-9]+'
http GET /tree | expect tree '"id":"Tour.Critical".*"id":"Database"'
if command -v curl >/dev/null 2>&1; then
  curl -s --max-time "$seconds_max" "http://127.0.0.1:$port/tree" "http://127.0.0.1:$port/health" | expect 'curl, twice on one connection' '"connections":1'
fi
echo 'put 3 carl' >&9
wait_for '^put 3: carl'
http GET /users/3 | expect 'what a command has put' '"name":"carl"'

# -- what is wrong is said, and nothing is lost ---------------------------------------------------------------------

printf 'what is this\r\n\r\n' | raw | expect malformed '^HTTP/1.1 400'
printf 'GET /health HTTP/9.9\r\n\r\n' | raw | expect 'no such version' '^HTTP/1.1 400'
http PUT /users/1 '{"name": ' | expect 'broken JSON' '^HTTP/1.1 400'
http PUT /users/1 '[]' | expect 'not the JSON that is wanted' '^HTTP/1.1 400'
http GET /nothing | expect 'no such thing' '^HTTP/1.1 404'
http POST /health | expect 'not with POST' '^HTTP/1.1 405'
http POST /health | expect 'what is allowed' '^Allow: GET$'
http BREW /tree | expect 'an unknown method' '^HTTP/1.1 405'
{ printf 'GET /health HTTP/1.1\r\nX: '; head -c 10000 /dev/zero | tr '\0' x; printf '\r\n\r\n'; } | raw |
  expect 'too long a head' '^HTTP/1.1 431'
printf 'PUT /cache/k HTTP/1.1\r\nContent-Length: 70000\r\n\r\n' | raw | expect 'too long a body' '^HTTP/1.1 413'
printf 'GET /health HTTP/1.1\r\nHo' | raw | expect 'too slow' '^HTTP/1.1 408'
printf 'PUT /cache/k HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc' | raw | expect 'too slow a body' '^HTTP/1.1 408'

# Cut off: the server notices, and the connection is gone.
exec 3<>"/dev/tcp/127.0.0.1/$port"
printf 'PUT /cache/k HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc' >&3
exec 3>&-
until_true alone
http GET /cache/k | expect 'the cache is as it was' '"value":"v"'

# As many connections as there may be, and one more.
exec 3<>"/dev/tcp/127.0.0.1/$port" 4<>"/dev/tcp/127.0.0.1/$port" 5<>"/dev/tcp/127.0.0.1/$port" \
  6<>"/dev/tcp/127.0.0.1/$port" 7<>"/dev/tcp/127.0.0.1/$port"
timeout "$seconds_max" cat <&7 | expect 'one too many' '^HTTP/1.1 503'
exec 3>&- 4>&- 5>&- 6>&- 7>&-
until_true alone

# -- a port in use ----------------------------------------------------------------------------------------------------

"$tour" --port "$port" >"$directory/second" 2>&1 </dev/null
[ $? -eq 1 ] || fail "a port in use: the status is not 1; $(cat "$directory/second")"
grep -q eaddrinuse "$directory/second" || fail "a port in use: $(cat "$directory/second")"
kill -0 "$pid" || fail 'the first one ended'

# -- it survives the crash of any child --------------------------------------------------------------------------------

for name in Counter UserCache Database Cache Tour.Critical ConfigLoader DatabasePool WebServer.Connections \
  WebServer.Listener WebServer Tour.Ordered Tour.Sessions Tour.SessionSupervisor Tour.Runners Tour.Tasks; do
  old=$(pid_of "$name")
  [ -n "$old" ] || fail "$name is not in the tree: $(http GET /tree)"
  http POST "/crash/$name" | expect "crash $name" '^HTTP/1.1 202'
  until_true has_another_pid "$name" "$old"
done
http POST /crash/Tour.Supervisor | expect 'not the root' '^HTTP/1.1 400'
http POST /crash/nobody | expect 'nobody' '^HTTP/1.1 404'
http GET /users/3 | expect 'the database has kept it' '"name":"carl"'
echo 'crash Database' >&9
wait_for 'Tour.Critical started Database again'

# -- told to end, it finishes the request that runs, and stops in order -----------------------------------------------

until_true alone
exec 3<>"/dev/tcp/127.0.0.1/$port"
printf 'PUT /cache/last HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 13\r\n\r\n' >&3
read -r line <&3
expect 'told to go on' 'HTTP/1.1 100 Continue' <<<"$line"
kill -s TERM "$pid"
wait_for 'WebServer.Listener stops'
printf '{"value":"z"}' >&3
timeout "$seconds_max" cat <&3 | expect 'the running request' '^HTTP/1.1 200'
exec 3>&-
ended_with 0
exec 9>&-
in_order <<'LINES'
[*] stopping, the last started first
[*] WebServer\.Listener stops
[*] ConfigLoader stops
[*] Cache stops
[*] Database stops
[*] UserCache stops
[*] Counter stops
All systems have stopped.*
LINES

# -- it remembers, and `quit` ends it -----------------------------------------------------------------------------------

start
http GET /users/3 | expect 'what was put before' '"name":"carl"'
echo quit >&9
ended_with 0
exec 9>&-

# -- a configuration that makes no sense ---------------------------------------------------------------------------------

printf '[tour_app]\npool_size = \n' >"$data/tour.toml"
"$tour" --data "$data" >"$out" 2>&1 </dev/null
[ $? -eq 1 ] || fail 'a broken configuration: the status is not 1'
grep -q 'tour.toml' "$out" || fail 'a broken configuration: the file is not named'
echo 'tour_server: as its users expect'
