#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# text.sh [ROOT]: what can be read off the files as text. Each source, script and CMake file names its licence, none is
# longer than 600 lines, none holds a word that marks unfinished work or a path of one machine, and every relative link
# of a Markdown file leads somewhere.
set -u
root=${1:-$(cd "$(dirname "$0")/../.." && pwd)}
cd "$root" || exit 2
lines_max=600
failures=$(mktemp) || exit 2
trap 'rm -f "$failures"' EXIT

files() { # find's conditions...
  find . \( -path ./build -o -path ./.git -o -name 'build-*' \) -prune -o -type f \( "$@" \) -print |
    sed 's|^\./||' | sort
}
code() {
  files -name '*.hpp' -o -name '*.cpp' -o -name '*.h' -o -name '*.cc' -o -name '*.sh' -o -name '*.cmake' \
    -o -name '*.cmake.in' -o -name 'CMakeLists.txt' -o -name '*.exs' -o -name '*.py' -o -path ./dev -o -path ./.ci/run
}

code | while IFS= read -r file; do
  head -n 3 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0' ||
    printf '%s: does not say SPDX-License-Identifier: Apache-2.0 in its first three lines\n' "$file"
  lines=$(wc -l <"$file")
  [ "$lines" -le "$lines_max" ] || printf '%s: %s lines, more than %s\n' "$file" "$lines" "$lines_max"
done >>"$failures"

# The words are put together here so that this file does not hold them.
unfinished="TO""DO|FIX""ME|XX""X:"
machine="(^|[^[:alnum:]_.])/(wo""rk|fa""rm|home/[a-z]+|root)/[[:alnum:]]"
{
  code | xargs grep -nE -e "$unfinished" /dev/null | sed 's/$/   <- unfinished work/'
  { code; files -name '*.md' -o -name '*.json' -o -name '*.txt'; } | sort -u |
    xargs grep -nE -e "$machine" /dev/null | sed 's/$/   <- a path of one machine/'
} >>"$failures"

files -name '*.md' | while IFS= read -r file; do
  awk '/^[ \t]*```/ { code = !code } !code' "$file" | grep -oE '\]\([^)#: ]+[)#]' | sed 's/^](//; s/[)#]$//' |
    while IFS= read -r target; do
      [ -e "$(dirname "$file")/$target" ] || printf '%s: the link to %s leads nowhere\n' "$file" "$target"
    done
done >>"$failures"

cat "$failures"
printf 'text: %s files, %s complaints\n' "$(code | wc -l)" "$(wc -l <"$failures")"
[ ! -s "$failures" ]
