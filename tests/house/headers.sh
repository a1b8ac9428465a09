#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# headers.sh COMPILER [ROOT]: every public header compiles alone, and twice, without a warning.
set -u
compiler=$1
root=${2:-$(cd "$(dirname "$0")/../.." && pwd)}
cd "$root/include" || exit 2

# The arguments are expanded by the inner shell.
# shellcheck disable=SC2016
find coppice -name '*.hpp' | sort |
  xargs -P 2 -I '{}' sh -c '
    printf "#include <%s>\n#include <%s>\n" "$2" "$2" |
      "$1" -std=c++20 -fsyntax-only -Wall -Wextra -Wpedantic -Wshadow -Werror -I. -x c++ - ||
      { printf "headers: %s does not stand alone\n" "$2"; exit 1; }' sh "$compiler" '{}'
