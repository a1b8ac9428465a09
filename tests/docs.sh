#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# docs.sh COMPILER BUILD [ROOT [PAGE...]]: the C++ on the pages (README.md, docs, docs/guide) does what they say. BUILD
# is the folder that holds the library, or - for pages that do not need it; without a PAGE all are checked. What a block
# promises is said by the words behind its fence:
#
#   ```cpp           with an `int main`: a program. It compiles without warnings, runs, and ends with status 0.
#                    Without one: it begins with an #include, and compiles.
#   ```cpp excerpt   its lines stand in this order, but for indentation and empty lines, in one file of include, src,
#                    examples or tests, or in a program of the same page. A line `...` or `// ...` leaves some out.
#   ```cpp refused   does not compile; a block `text error` says what the compiler prints.
#   ```text output   what the program above it prints on standard output: all of it.
#   ```text log      what it prints on standard error: all of it.
#   ```text error    what the compiler prints about the refused block above it; at least these lines.
#
# In the three last, `...` stands for any text within a line, and for any lines if it is the whole line. The time of day,
# and the numbers in pids and references, may be different ones. Any other second word behind `cpp` or `text` is an error.
set -u
here=$(cd "$(dirname "$0")" && pwd)
seconds_max=60

# -- one block: docs.sh --block COMPILER BUILD FOLDER-OF-PAGE NUMBER -----------------------------------------------------

# same ALL EXPECTED ACTUAL: succeeds if the lines are the same; ALL 0: if the actual ones contain the expected ones.
same() {
  awk -v all="$1" -v shown_as="$2" '
    function normal(line) {
      gsub(/[0-9][0-9]:[0-9][0-9]:[0-9][0-9]\.[0-9][0-9][0-9]/, "TIME", line)
      gsub(/<[0-9]+(\.[0-9]+)+>/, "<NUMBERS>", line)
      return line
    }
    function matches(line, pattern,   n, i, piece, at) {
      n = split(pattern, piece, /\.\.\./)
      if (n <= 1) return line == pattern
      if (substr(line, 1, length(piece[1])) != piece[1]) return 0
      line = substr(line, length(piece[1]) + 1)
      for (i = 2; i < n; i++) {
        if (piece[i] == "") continue
        at = index(line, piece[i])
        if (at == 0) return 0
        line = substr(line, at + length(piece[i]))
      }
      return length(line) >= length(piece[n]) && substr(line, length(line) - length(piece[n]) + 1) == piece[n]
    }
    # Do the patterns first..last stand at the lines from `at` on?
    function stands(first, last, at,   i) {
      for (i = first; i <= last; i++) if (at + i - first > lines || !matches(line[at + i - first], pattern[i])) return 0
      return 1
    }
    function fail(i,   k) {
      printf "not found: %s\n", (i <= patterns ? pattern[i] : "the end")
      print "got:"
      for (k = 1; k <= lines && k <= 60; k++) print "  " raw[k]
      failed = 1
      exit 1
    }
    FILENAME == shown_as { pattern[++patterns] = normal($0); next }
    { raw[++lines] = $0; line[lines] = normal($0) }
    END {
      if (failed) exit 1
      at = 1; floating = !all; first = 1
      while (first <= patterns) {
        if (pattern[first] ~ /^[ \t]*\.\.\.$/) { floating = 1; first++; continue }
        last = first
        while (last < patterns && pattern[last + 1] !~ /^[ \t]*\.\.\.$/) last++
        if (floating) {
          # The last piece of a whole text stands at its end.
          if (all && last == patterns && lines - (last - first) > at) at = lines - (last - first)
          while (at <= lines && !stands(first, last, at)) at++
        }
        if (!stands(first, last, at)) fail(first)
        at += last - first + 1; first = last + 1; floating = 0
      }
      if (all && !floating && at <= lines) fail(patterns + 1)
    }' "$2" "$3"
}

compile() { # extra arguments...
  LC_ALL=C "$compiler" -std=c++20 -O0 -pipe -Wall -Wextra -Werror -I "$root/include" "$@" >"$block.compiler" 2>&1
}
# Folds the lines of a block so that an excerpt can be looked for: trimmed, without empty ones.
folded() { sed 's/^[[:space:]]*//; s/[[:space:]]*$//; /^$/d' "$1"; }

check_program() {
  set --
  if [ "$build" != - ]; then
    # The rest of the link line is what the library tells its users by pkg-config; split at blanks on purpose.
    # shellcheck disable=SC2046
    set -- -L "$build" "-Wl,-rpath,$build" -lcoppice $(sed -n 's/^Libs:.*-lcoppice//p' "$build/coppice.pc")
    if ls "$build"/libcoppice_sqlite.* >/dev/null 2>&1; then
      set -- -L "$build" -lcoppice_sqlite "$@" -lsqlite3
    elif grep -Eq '^#include <coppice/(jobs|adapter/sqlite)\.hpp>' "$block.cpp"; then
      set -- -fsyntax-only  # this build has no SQLite: the program compiles, and cannot be run
    fi
  fi
  compile -o "$block.program" "$block.cpp" -Wl,-S "$@" || { echo 'does not compile:'; head -n 30 "$block.compiler"; return; }
  [ -x "$block.program" ] || return
  env -u COPPICE_LOG NO_COLOR=1 timeout "$seconds_max" "$block.program" >"$block.stdout" 2>"$block.stderr" </dev/null
  status=$?
  [ "$status" -eq 0 ] || { echo "ended with status $status; its output:"; cat "$block.stdout" "$block.stderr"; }
  if [ -f "$block.output" ]; then
    same 1 "$block.output" "$block.stdout" || echo '(standard output)'
  fi
  if [ -f "$block.log" ]; then
    same 1 "$block.log" "$block.stderr" || echo '(standard error)'
  fi
  rm -f "$block.program"
}
check_refused() {
  if compile -fsyntax-only "$block.cpp"; then
    echo 'compiles, and should not'
  elif [ ! -f "$block.error" ]; then
    echo 'no block "text error" says what the compiler prints'
  else
    same 0 "$block.error" "$block.compiler"
  fi
}
check_excerpt() {
  folded "$block.cpp" >"$block.folded"
  { find "$root/include" "$root/src" "$root/examples" "$root/tests" -name '*.?pp' 2>/dev/null
    find "$(dirname "$block")" -name '*.program.cpp'; } | sort | while IFS= read -r file; do
    awk -v excerpt="$block.folded" '
      BEGIN { while ((getline text < excerpt) > 0) if (count > 0 || !is_gap(text)) wanted[++count] = text }
      { gsub(/^[ \t]+|[ \t]+$/, ""); if ($0 != "") line[++lines] = $0 }
      function is_gap(text) { return text ~ /^(\/\/ )?\.\.\.$/ }
      function found(i, at) {
        for (; i <= count; i++) {
          if (is_gap(wanted[i])) { for (; at <= lines + 1; at++) if (found(i + 1, at)) return 1; return 0 }
          if (line[at++] != wanted[i]) return 0
        }
        return 1
      }
      END {
        for (start = 1; start <= lines; start++) if (line[start] == wanted[1] && found(1, start)) exit 0
        exit 1
      }' "$file" && { echo found; break; }
  done | grep -q found || echo 'stands in no file'
}

if [ "$1" = --block ]; then
  compiler=$2
  build=$3
  root=$4
  block=${5%.kind}
  read -r kind line <"$block.kind"
  complaint=$(case $kind in
    program) check_program ;;
    unit) compile -fsyntax-only "$block.cpp" || { echo 'does not compile:'; head -n 30 "$block.compiler"; } ;;
    excerpt) check_excerpt ;;
    refused) check_refused ;;
    wrong) cat "$block.cpp" ;;
  esac)
  [ -z "$complaint" ] || printf '%s:%s: %s\n' "$(cat "$(dirname "$block")/page")" "$line" "$complaint" >"$block.complaint"
  exit 0
fi

# -- all of them --------------------------------------------------------------------------------------------------------

compiler=$1
build=$2
[ "$build" = - ] || build=$(cd "$build" && pwd) || exit 2
root=$(cd "${3:-$here/..}" && pwd) || exit 2
shift "$(($# < 3 ? $# : 3))"
cd "$root" || exit 2
if [ $# -eq 0 ]; then
  for page in README.md docs/*.md docs/guide/*.md; do
    [ -f "$page" ] && set -- "$@" "$page"
  done
fi
blocks=$(mktemp -d) || exit 2
trap 'rm -rf "$blocks"' EXIT

# Writes NUMBER.kind (kind and line), NUMBER.cpp or NUMBER.program.cpp, NUMBER.output, NUMBER.log, NUMBER.error.
extract() { # page, folder
  awk -v folder="$2" '
    function name(extension) { return sprintf("%s/%03d.%s", folder, number, extension) }
    function finish(   kind, i, code) {
      kind = word == "" ? (body ~ /(^|\n)int main\(/ ? "program" : body ~ /^#include/ ? "unit" : "") : word
      if (kind !~ /^(program|unit|excerpt|refused)$/ || word ~ /^(program|unit)$/) {
        body = word == "" ? "a block of C++ that is no program, does not begin with an #include and is not marked as an excerpt" \
          : "a block of C++ cannot be marked as " word
        kind = "wrong"
      }
      number++
      print kind, begin > name("kind")
      code = kind == "program" ? name("program.cpp") : name("cpp")
      printf "%s", body > code
      close(name("kind")); close(code)
      shows = kind
    }
    function annex() {
      if (word == "") return
      if (!(word ~ /^(output|log)$/ && shows == "program") && !(word == "error" && shows == "refused")) {
        number++
        print "wrong", begin > name("kind")
        print "a block of text marked as " word " belongs to no program" > name("cpp")
        return
      }
      printf "%s", body > name(word)
    }
    /^```/ && !inside { inside = 1; language = $1; word = $2; body = ""; begin = FNR; next }
    /^```/ {
      inside = 0
      if (language == "```cpp") finish()
      else if (language == "```text") annex()
      next
    }
    inside { body = body $0 "\n" }' "$1"
  for program in "$2"/*.program.cpp; do
    [ -f "$program" ] && ln -s "$program" "${program%.program.cpp}.cpp"
  done
}

number=0
for page in "$@"; do
  number=$((number + 1))
  folder=$blocks/$(printf %02d "$number")
  mkdir "$folder"
  printf '%s\n' "$page" >"$folder/page"
  [ -f "$page" ] || { printf 'docs: there is no page %s\n' "$page"; exit 2; }
  extract "$page" "$folder"
done
find "$blocks" -name '*.kind' | sort | xargs -r -n 1 -P "${COPPICE_JOBS:-2}" "$0" --block "$compiler" "$build" "$root"
find "$blocks" -name '*.complaint' | sort | xargs -r cat
complaints=$(find "$blocks" -name '*.complaint' | wc -l)
printf 'docs: %s pages, %s programs, %s other blocks, %s complaints\n' "$#" \
  "$(find "$blocks" -name '*.program.cpp' | wc -l)" \
  "$(find "$blocks" -name '*.kind' ! -exec grep -q '^program' {} \; -print | wc -l)" "$complaints"
[ "$complaints" -eq 0 ]
