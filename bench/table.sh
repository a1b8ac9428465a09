#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# table.sh: what becomes of the figures that run.sh has measured.
#
#   table.sh print FIGURES             the table for people
#   table.sh json FIGURES              the same as JSON; what the environment says in $context and $rounds goes with it
#   table.sh check JSON                which rows reach their goals; fails if one does not
#   table.sh markdown JSON             the table as Markdown, a list of the rows that miss their goals, and the counts of
#                                      instructions.txt
#   table.sh document JSON PAGE        puts that between the two marks of a page
#
# FIGURES has a line for each row: workload, threads, ours, BEAM, C++, goal, unit, rounds, divided by blanks; "-" where
# there is nothing. The JSON has one line for each object, and only such JSON can be read back. Forms of goals:
# README.md.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

# Functions that the awk programs below share.
# shellcheck disable=SC2016
shared='
  # Of bytes, times and wake-ups, less is better.
  function less_is_better(unit) { return unit !~ /\/s$/ }
  function ratio_of(ours, beam, unit) {
    if (ours == "-" || beam == "-" || ours == "null" || beam == "null" || !(ours > 0) || !(beam > 0)) return "-"
    return less_is_better(unit) ? beam / ours : ours / beam
  }
  function human(v) {
    if (v == "-" || v == "null" || v == "") return "-"
    v += 0
    if (v >= 1e6) return sprintf("%.2f M", v / 1e6)
    if (v >= 9999.5) return sprintf("%.1f k", v / 1e3)
    return sprintf("%.4g", v)
  }
  # A field of an object that stands in one line.
  function field(name,   text) {
    if (!match($0, "\"" name "\": (\"[^\"]*\"|[^,}]*)")) return ""
    text = substr($0, RSTART + length(name) + 4, RLENGTH - length(name) - 4)
    gsub(/"/, "", text)
    return text
  }
  # What a goal is about: our own figure if it names a unit, else the ratio.
  function seen_for(goal,   over) {
    if (goal !~ /cpp$/) return goal ~ /^<=/ ? field("ours") : field("ratio")
    over = ratio_of(field("ours"), field("cpp"), field("unit"))
    return over == "-" ? "null" : sprintf("%.3f", over)
  }
  # Goals with a comma between them are all to be reached.
  function verdict_for(goals,   parts, count, i, one, all) {
    count = split(goals, parts, ",")
    for (i = 1; i <= count; i++) {
      one = verdict_for_one(parts[i])
      if (i == 1 || one == "missed" || all == "reached") all = one
    }
    return all
  }
  function verdict_for_one(goal,   wanted, seen) {
    seen = seen_for(goal)
    if (goal == "linear") return field("ours") == "null" ? "not measured" : "not judged by one figure"
    if (seen == "null" || seen == "") return "not measured"
    wanted = goal
    gsub(/[^0-9.]/, "", wanted)
    if (goal ~ /^<=/) return seen + 0 <= wanted + 0 ? "reached" : "missed"
    return seen + 0 >= wanted + 0 ? "reached" : "missed"
  }
  # The second rule for all: a second thread must not slow anything down by more than half, nor one contended receiver
  # by more than a factor of two.
  function slowdown_allowed(workload) { return workload ~ /^(fan_in|call_busy)$/ ? 2 : 1.5 }
'

print_table() {
  awk "$shared"'
    BEGIN {
      format = "%-28s %7s %10s %10s %10s %10s %15s  %s\n"
      printf format, "workload", "threads", "ours", "BEAM", "C++", "over BEAM", "goal", "unit"
    }
    {
      shown = r = ratio_of($3, $4, $7)
      if (r != "-") {
        shown = sprintf(r < 10 ? "%.2fx" : "%.1fx", r)
        if (r < 1) { shown = shown "!"; losses++ }
      }
      printf format, $1, $2, human($3), human($4), human($5), shown, $6, $7
    }
    END {
      printf "\nover BEAM: ours / BEAM; BEAM / ours for bytes, times and wake-ups. More than 1 is always in our favour.\n"
      if (losses > 0) printf "!: a loss, %d of them.\n", losses
    }' "$1"
}

write_json() {
  awk -v context="${context:-}" "$shared"'
    function number(v) { return v == "-" ? "null" : v + 0 == v ? sprintf(v < 1000 ? "%.3f" : "%.1f", v) : "null" }
    function text(v) { return v == "-" ? "null" : "\"" v "\"" }
    BEGIN { print "[" }
    {
      r = ratio_of($3, $4, $7)
      printf "%s  {\"workload\": %s, \"threads\": %d, \"ours\": %s, \"beam\": %s, \"cpp\": %s, \"ratio\": %s, ", \
        (NR > 1 ? ",\n" : ""), text($1), $2, number($3), number($4), number($5), r == "-" ? "null" : sprintf("%.3f", r)
      printf "\"goal\": %s, \"unit\": %s, \"rounds\": %d, \"context\": %s}", text($6), text($7), $8, text(context)
    }
    END { print "\n]" }' "$1"
}

check() {
  awk "$shared"'
    function judge(workload, threads, goal, seen, verdict) {
      rows++
      if (verdict == "missed" || verdict == "not measured") missed++
      printf "%-28s %s threads  goal %-10s  here %-12s %s\n", workload, threads, goal, seen, verdict
    }
    /"workload":/ {
      goal = field("goal"); workload = field("workload"); threads = field("threads")
      if (goal == "null") goal = ""
      count = split(goal, goals, ",")
      for (i = 1; i <= count; i++) {
        seen = seen_for(goals[i])
        unit = goals[i]
        sub(/^[^0-9]*[0-9.]*/, "", unit)
        judge(workload, threads, goals[i], seen (seen == "null" || goals[i] == "linear" ? "" : unit),
          verdict_for_one(goals[i]))
      }
      if (field("unit") !~ /\/s$/ || field("ours") == "null") next
      if (threads == 1) alone[workload] = field("ours")
      if (threads == 2 && alone[workload] > 0) {
        slower = alone[workload] / field("ours")
        allowed = slowdown_allowed(workload)
        judge(workload, "2 for 1", "<=" allowed "x", sprintf("%.2fx slower", slower),
          slower <= allowed ? "reached" : "missed")
      }
    }
    END {
      printf "%d rows with a goal, %d missed\n", rows, missed
      exit rows == 0 || missed > 0
    }' "$1"
}

# Of each row that misses its goal, misses.txt says what was tried; there the lines are `workload | tried | reason`.
markdown() {
  awk -v misses="$here/misses.txt" "$shared"'
    BEGIN {
      while ((getline line < misses) > 0) {
        if (line ~ /^#/ || line !~ /\|/) continue
        split(line, part, / *\| */)
        tried[part[1]] = part[2]; reason[part[1]] = part[3]
      }
    }
    /"workload":/ {
      if (!rows++) {
        if (field("context") != "") printf "%s.\n\n", field("context")
        print "| workload | threads | ours | BEAM | other C++ | over BEAM | goal | |"
        print "|---|---|---|---|---|---|---|---|"
      }
      goal = field("goal"); ratio = field("ratio"); unit = field("unit")
      verdict = goal == "null" ? "" : verdict_for(goal)
      if (goal == "null") goal = ""
      sub(/^<=0.*/, "0", goal); gsub(/<=/, "at most ", goal); gsub(/>=/, "at least ", goal)
      sub(/,/, ", ", goal); sub(/cpp$/, " of C++", goal)
      shown = ratio == "null" ? "-" : sprintf(ratio < 10 ? "%.2fx" : "%.1fx", ratio)
      if (ratio != "null" && ratio < 1) shown = "**" shown "**, a loss"
      printf "| `%s` | %s | %s %s | %s | %s | %s | %s | %s |\n", field("workload"), field("threads"), \
        human(field("ours")), unit, human(field("beam")), human(field("cpp")), shown, goal, verdict
      if (verdict == "missed") {
        workload = field("workload")
        missed[++count] = sprintf("| `%s` | %s | %s | %s | %s |", workload, field("goal") ~ /^<=/ ? \
          human(field("ours")) " " unit : shown, goal, tried[workload] == "" ? "not yet said" : tried[workload], \
          reason[workload] == "" ? "not yet said" : reason[workload])
      }
    }
    END {
      if (count == 0) { print "\nAll rows that were measured reach their goals."; exit }
      print "\nRows that miss their goals:\n"
      print "| workload | here | goal | what was tried | why it is not reached |"
      print "|---|---|---|---|---|"
      for (i = 1; i <= count; i++) print missed[i]
    }' "$1"
}

# The counts that are under version control, whoever measured the rest.
counts_markdown() {
  awk '
    /^build: / { sub(/^build: /, ""); printf "\nInstructions of one operation, on one worker, built by %s:\n\n", $0 }
    /^build: |^[^#]/ && NF == 2 && !rows++ { print "| operation | instructions |\n|---|---|" }
    NF == 2 && $2 ~ /^[0-9]+$/ { printf "| `%s` | %d |\n", $1, $2 }' "$here/instructions.txt"
}

document() { # JSON, page
  begin='<!-- figures: begin -->'
  end='<!-- figures: end -->'
  if ! grep -qxF "$begin" "$2" || ! grep -qxF "$end" "$2"; then
    printf 'table.sh: %s has no line "%s" or none "%s"\n' "$2" "$begin" "$end" >&2
    exit 1
  fi
  new=$(mktemp)
  trap 'rm -f "$new"' EXIT
  {
    sed "/^$begin\$/q" "$2"
    markdown "$1"
    counts_markdown
    sed -n "/^$end\$/,\$p" "$2"
  } > "$new"
  cat "$new" > "$2"
}

action=${1:-}
file=${2:-}
[ -r "$file" ] || { printf 'table.sh: there is no file %s to read\n' "$file" >&2; exit 66; }
# A table that a run has not written yet, or not to its end, must not take the place of one on a page.
case $action in
  markdown | document)
    if ! grep -q '"workload":' "$file" || ! tail -n 1 "$file" | grep -qx ']'; then
      printf 'table.sh: %s holds no table, or a part of one\n' "$file" >&2
      exit 65
    fi
    ;;
esac
case $action in
  print) print_table "$file" ;;
  json) write_json "$file" ;;
  check) check "$file" ;;
  markdown)
    markdown "$file"
    counts_markdown
    ;;
  document) document "$file" "$3" ;;
  *) printf 'table.sh: there is no action %s\n' "$action" >&2; exit 64 ;;
esac
