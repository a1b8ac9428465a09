#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# What bench/ makes of figures, on figures that are given: verdicts on goals of every form, JSON, Markdown, the page, and
# the comparison of counted instructions. Nothing is measured here.
# shellcheck disable=SC2016  # the backquotes are Markdown's
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
table=$root/bench/table.sh
counts=$root/bench/counts.sh
directory=$(mktemp -d) || exit 2
trap 'rm -rf "$directory"' EXIT
cd "$directory" || exit 2
wrong=0

complain() {
  printf '%s\n' "$*"
  wrong=1
}
# prints TEXT-PATTERN...: the last output has lines that match all of them.
prints() {
  for pattern in "$@"; do
    grep -Eq -e "$pattern" output || { complain "should print: $pattern"; cat output; }
  done
}
passes() { "$@" > output 2>&1 || { complain "should pass: $*"; cat output; }; }
fails() { if "$@" > output 2>&1; then complain "should fail: $*"; cat output; fi; }

# -- verdicts --
cat > figures <<'TEXT'
fast 1 900 100 - - calls/s 5
fast 2 1000 100 50 >=10x calls/s 5
slow 1 1600 100 - - calls/s 5
slow 2 1000 250.5 - >=5x calls/s 5
fan_in 1 1900 - - - messages/s 5
fan_in 2 1000 - - - messages/s 5
light 2 160 320 - <=160B bytes 5
heavy 2 160.5 320 - <=160B bytes 5
near 2 15 - - <=15us us 5
far 2 15.1 - - <=15us us 5
futex 2 1.25 - - <=1.2times times 3
awake 2 3 1 - <=0wakeups wakeups 1
asleep 2 0 1 - <=0wakeups wakeups 1
late.p99 2 10 5.001 - >=0.5x us 3
later.p99 2 10 4.9 - >=0.5x us 3
alone 2 1000 - - >=2x calls/s 5
gone 2 - 100 - <=15us us 5
line 2 100 10 - linear children/s 5
open 2 100 10 - - children/s 5
both 2 100 10 50 >=5x,>=2cpp tasks/s 5
half 2 100 10 51 >=5x,>=2cpp tasks/s 5
lone 2 100 10 - >=5x,>=2cpp tasks/s 5
TEXT
context='a machine; BEAM: one' passes "$table" json figures
cp output all.json
if command -v python3 > /dev/null 2>&1; then
  passes python3 -c 'import json; rows = json.load(open("all.json"))
assert len(rows) == 22 and rows[1] == {"workload": "fast", "threads": 2, "ours": 1000.0, "beam": 100.0, "cpp": 50.0,
  "ratio": 10.0, "goal": ">=10x", "unit": "calls/s", "rounds": 5, "context": "a machine; BEAM: one"}, rows[1]'
fi

fails "$table" check all.json
prints '^fast +2 threads +goal >=10x +here 10.000x +reached' '^slow +2 threads .* here 3.992x +missed' \
  '^slow +2 for 1 threads +goal <=1.5x +here 1.60x slower +missed' \
  '^fast +2 for 1 .* 0.90x slower +reached' '^fan_in +2 for 1 threads +goal <=2x +here 1.90x slower +reached' \
  '^light .* here 160.000B +reached' '^heavy .* here 160.500B +missed' \
  '^near .* here 15.000us +reached' '^far .* here 15.100us +missed' '^futex .* here 1.250times +missed' \
  '^awake .* here 3.000wakeups +missed' '^asleep .* here 0.000wakeups +reached' \
  '^late.p99 .* reached' '^later.p99 .* here 0.490x +missed' '^alone .* not measured' '^gone .* not measured' \
  '^line .* not judged by one figure' '^both .* goal >=5x +here 10.000x +reached' '^both .* goal >=2cpp +here 2.000cpp +reached' \
  '^half .* goal >=5x .* reached' '^half .* goal >=2cpp +here 1.961cpp +missed' '^lone .* goal >=2cpp .* not measured' \
  '^23 rows with a goal, 11 missed'
if grep -q '^open' output; then complain 'a row without a goal should not be judged'; fi

# A table of which every row is reached passes; one that judges nothing does not.
grep -vE '"(slow|heavy|far|futex|awake|later.p99|alone|gone|half|lone)"' all.json > good.json
passes "$table" check good.json
prints '^10 rows with a goal, 0 missed'
grep -E 'open|\[|\]' all.json > none.json
fails "$table" check none.json
fails "$table" check nowhere.json

# -- the tables --
passes "$table" print figures
prints '^workload +threads +ours' '^slow +2 +1000 +250.5 +- +3.99x +>=5x +calls/s' '^awake +2 +3 +1 +- +0.33x! ' \
  '^!: a loss, 3 of them'
passes "$table" markdown all.json
prints '^a machine; BEAM: one\.$' '^\| `fast` \| 2 \| 1000 calls/s \| 100 \| 50 \| 10.0x \| at least 10x \| reached \|$' \
  '^\| `awake` \| 2 .*\*\*0.33x\*\*, a loss \| 0 \| missed \|$' \
  '^\| `both` \| 2 .* \| at least 5x, at least 2 of C\+\+ \| reached \|$' '^\| `half` \| 2 .* \| missed \|$' \
  '^\| `lone` \| 2 .* \| not measured \|$' '^Rows that miss their goals:$' '^\| `heavy` \| 160.5 bytes \| at most 160B \| not yet said \|'
prints '^Instructions of one operation, on one worker, built by ' '^\| operation \| instructions \|$' '^\| `call` \| [0-9]+ \|$'
passes "$table" markdown good.json
prints '^All rows that were measured reach their goals\.$'

begin='<!-- figures: begin -->'
end='<!-- figures: end -->'
printf '%s\n' '# Page' "$begin" 'old figures' "$end" 'the rest' > page.md
passes "$table" document good.json page.md
cp page.md output
prints '^# Page$' '^\| `fast` \| 2 ' '^the rest$'
if grep -q 'old figures' page.md; then complain 'old figures should be gone'; fi
cp page.md before.md
passes "$table" document good.json page.md
cmp -s before.md page.md || complain 'to put the same figures into a page again should change nothing'
: > empty.json
head -n 3 good.json > part.json
for bad in empty part; do
  fails "$table" document $bad.json page.md
  prints "$bad.json holds no table, or a part of one"
  cmp -s before.md page.md || complain 'a page must stay as it is if there is no table'
done
printf '%s\n' "$begin" > unmarked.md
fails "$table" document good.json unmarked.md

# What is said of a row belongs to one that exists.
sed '/^#/d; s/ *|.*//' "$root/bench/misses.txt" | while read -r row; do
  grep -q "^${row%.p*} " "$root/bench/rows.txt" || echo "misses.txt: no row is named $row"
done > output
[ ! -s output ] || complain "$(cat output)"

# -- the rows, and a run of them by a program that says what it is told --
grep -v '^#' "$root/bench/rows.txt" | while read -r name unit threads goal when rounds figures a b beam_quick beam cpp_quick cpp more; do
  [ -n "$cpp" ] && [ -z "$more" ] || echo "rows.txt: $name does not have thirteen columns"
  case $threads/$when/$rounds in 1/*/[1-5] | 2/*/[1-5] | 1,2/*/[1-5]) ;; *) echo "rows.txt: $name: $threads $when $rounds" ;; esac
  case $when in quick | full | all) ;; *) echo "rows.txt: $name takes part in $when" ;; esac
  case $goal in '>='*x | '>='*x,'>='*cpp | '<='*[0-9]?* | linear | -) ;; *) echo "rows.txt: $name has the goal $goal" ;; esac
  grep -q "{\"$name\", \"$unit\"" "$root"/bench/*.cpp || echo "coppice_bench has no $name in $unit"
  [ "$beam" = 0 ] || grep -q "\"$name\" =>" "$root"/bench/beam/*.exs || echo "bench.exs has no $name"
  case $name in fib | ets_*) peer=others ;; *) peer=caf ;; esac
  [ "$cpp" = 0 ] || grep -q "{\"$name\"," "$root"/bench/$peer/bench.cpp || echo "$peer/bench.cpp has no $name"
  case $figures$a$b$beam_quick$cpp_quick in *[!-p0-9.,]*) echo "rows.txt: $name: figures or scales" ;; esac
done > output
[ ! -s output ] || complain "$(cat output)"

# The figures of successive runs are 30, 10 and 20 for one workload; for latencies each run has three.
cat > ours <<'TEXT'
#!/bin/sh
[ "$2 $3 $4" = '--threads 2 --scale' ] || exit 1
case $1 in
  call)
    value=$(sed -n 1p values)
    sed -i 1d values
    printf 'call\t2\t%s\tcalls/s\n' "$value"
    ;;
  latency_timer) printf 'latency_timer.%s\t2\t%s\tus\n' p50 1.5 p99 20 p99.9 300 ;;
  *) exit 70 ;;
esac
TEXT
chmod +x ours
run=$root/bench/run.sh
export COPPICE_BENCH=./ours ELIXIR=./missing CAF_BENCH=./missing OTHERS_BENCH=./missing
printf '30\n10\n20\n' > values
passes "$run" --quick --json run.json call latency_timer
prints '^call +2 +20 +- +- +- +>=40x +calls/s$' '^latency_timer.p50 +2 +1.5 .* us$' '^latency_timer.p99 +2 +20 .* us$'
if grep -q 'p99\.9' output; then complain 'the row does not ask for that percentile'; fi
cp run.json output
prints '"workload": "call", "threads": 2, "ours": 20.000, "beam": null, "cpp": null, "ratio": null, "goal": ">=40x"'
fails "$run" --quick registry
prints 'registry_lookup on 2 threads gave no value' 'some of our figures are missing'
fails "$run" nonsense
prints 'no workload is named nonsense; there are: .* call '

# -- counts: a program and a valgrind that say what they are told --
cat > program <<'TEXT'
#!/bin/sh
case $* in --build) echo 'g++ 1.2.3, glibc 4.5, here' ;; '') printf 'call 100\nsend 100\n' ;; esac
TEXT
# Starting costs 5000; a call $call instructions, a message 40.
cat > valgrind <<'TEXT'
#!/bin/sh
while [ "${1#--}" != "$1" ]; do shift; done
[ "$2" = call ] && price=$call || price=40
echo "==7== I   refs:      $((5000 + price * $3))" | sed 's/\([0-9]\)\([0-9][0-9][0-9]\)$/\1,\2/' >&2
TEXT
chmod +x program valgrind
VALGRIND=$directory/valgrind
COPPICE_COUNTS=$directory/instructions.txt
export VALGRIND COPPICE_COUNTS call
printf '# kept\n' > instructions.txt
call=1000
passes "$counts" ./program --update
cp instructions.txt output
prints '^# kept$' '^build: g\+\+ 1.2.3, glibc 4.5, here$' '^call 1000$' '^send 40$'
passes "$counts" ./program --check
call=1050
passes "$counts" ./program --check
call=1051
fails "$counts" ./program --check
prints '^call +1051 +1000 +\+5.1% +grown by more than 5 %' '--counts --update'
passes "$counts" ./program
call=900
passes "$counts" ./program --check
prints '^call +900 +1000 +-10.0%'
sed -i '/^send/d' instructions.txt
fails "$counts" ./program --check
prints '^send +40 +- +not in the file'
printf 'send 40\nlost 7\n' >> instructions.txt
fails "$counts" ./program --check
prints '^lost is in the file, but no operation'
sed -i 's/g++ 1.2.3/g++ 9.9.9/' instructions.txt
"$counts" ./program --check > output 2>&1
[ $? -eq 77 ] || complain 'counts of another compiler should be skipped with 77'
prints 'SKIPPED: instructions.txt holds for g\+\+ 9.9.9, glibc 4.5, here, this program is built by g\+\+ 1.2.3'

[ "$wrong" -eq 0 ] && echo 'bench: what is made of figures is as it should be'
exit "$wrong"
