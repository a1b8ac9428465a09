#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# run.sh BUILD COMPILER CMAKE: installs the build into a temporary prefix and builds a small stranger's project on it:
# by find_package, by pkg-config where that is there, and with coppice as a sub-project (as a shared object, so that the
# marks of what is public are tried too).
set -eu
build=$1
compiler=$2
cmake=$3
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
log=$directory/log

step() { # title, command...
  title=$1
  shift
  if "$@" >"$log" 2>&1; then
    printf 'package: %s: ok\n' "$title"
  else
    printf 'package: %s: failed\n' "$title"
    tail -n 60 "$log"
    exit 1
  fi
}

step 'install' "$cmake" --install "$build" --prefix "$directory/prefix"

step 'find_package, configure' "$cmake" -G Ninja -S "$here/consumer" -B "$directory/installed" \
  -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_PREFIX_PATH="$directory/prefix"
step 'find_package, build' "$cmake" --build "$directory/installed"
step 'find_package, run' "$directory/installed/consumer"

if command -v pkg-config >/dev/null 2>&1; then
  PKG_CONFIG_PATH=$(dirname "$(find "$directory/prefix" -name coppice.pc)")
  export PKG_CONFIG_PATH
  # pkg-config answers with a list of arguments.
  # shellcheck disable=SC2046
  step 'pkg-config, build' "$compiler" "$here/consumer/main.cpp" -o "$directory/by_pkg_config" \
    $(pkg-config --define-variable=prefix="$directory/prefix" --cflags --libs coppice)
  step 'pkg-config, run' "$directory/by_pkg_config"
fi

step 'sub-project, configure' "$cmake" -G Ninja -S "$here/consumer" -B "$directory/sub" \
  -DCMAKE_CXX_COMPILER="$compiler" -DCOPPICE_SOURCE="$root" -DBUILD_SHARED_LIBS=ON
step 'sub-project, build' "$cmake" --build "$directory/sub"
step 'sub-project, run' "$directory/sub/consumer"
