#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# gdb.sh PROGRAM CALLS: what tools/gdb/coppice.py shows of the example of a supervision tree, stopped while a process of it
# asks for the end of the program; and of one whose main process calls a server, stopped in the handler of its second call.
set -u
program=$1
calls=$2
script=$(cd "$(dirname "$0")/.." && pwd)/tools/gdb/coppice.py
output=$(mktemp) || exit 2
trap 'rm -f "$output"' EXIT

timeout 100 gdb -q -nx -batch -iex 'set debuginfod enabled off' -ex "source $script" \
  -ex 'break coppice::v1::application::stop_program' -ex run -ex 'coppice ps' -ex 'coppice bt all' -ex 'coppice bt <0.7.1>' \
  -ex 'coppice bt <0.999.1>' -ex 'bt 1' "$program" >"$output" 2>&1 </dev/null

timeout 100 gdb -q -nx -batch -iex 'set debuginfod enabled off' -ex "source $script" \
  -ex 'break UserCache::handle_call(UserCache::Get const&) const' -ex 'ignore 1 1' -ex run -ex 'coppice ps' \
  -ex 'coppice bt <0.1.1>' "$calls" >>"$output" 2>&1 </dev/null

failures=0
expect() { # extended regular expression of a line
  grep -Eqx -e "$1" "$output" && return
  printf 'gdb.sh: no line is: %s\n' "$1"
  failures=$((failures + 1))
}
expect '<0\.7\.1> +MyApp\.Supervisor +idle +0'
expect '<0\.[0-9]+\.1> +UserCache +idle +0'
expect '<0\.[0-9]+\.1> +- +runs on worker [0-9]+ +0'
expect '<0\.[0-9]+\.1> proc_lib, waits'  # the guard of the applications, for as long as they run
expect '#[0-9]+ .* coppice::runtime::wait_once .*'
expect '<0\.7\.1> MyApp\.Supervisor, idle'
expect 'it owns no stack'
expect 'no process <0\.999\.1>'
expect '#0  coppice::v1::application::stop_program .*'  # the thread's registers are its own again
expect '<0\.1\.1> +- +calls <0\.2\.1> +0'  # by hand-off: it stands by while its server runs
expect '<0\.2\.1> +UserCache +runs on worker [0-9]+ +0'
expect '<0\.1\.1> -, calls <0\.2\.1>'
expect '#[0-9]+ .* coppice::v1::Addressed<.*UserCache>::call<UserCache::Get> .*'
[ "$failures" -eq 0 ] || { echo 'gdb.sh: gdb said:'; cat "$output"; exit 1; }
