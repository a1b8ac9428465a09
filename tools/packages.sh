# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
#
# Which packages ./dev needs, and how they are installed. Read by ./dev, whose `say` and `die` it uses.

installed() { dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed; }
available() { apt-cache show "$1" >/dev/null 2>&1; }

# The newest Boost.Context that is installed, else 1.81 or the first newer one that can be.
boost_version() {
  version=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' 'libboost-context1.*-dev' 2>/dev/null |
    sed -n 's/^libboost-context1\.\([0-9]*\)-dev installed$/\1/p' | sort -n | tail -n 1)
  if [ "${version:-0}" -ge 81 ]; then
    echo "1.$version"
    return
  fi
  for version in 81 82 83 84 85 86 87 88; do
    if available "libboost-context1.$version-dev"; then
      echo "1.$version"
      return
    fi
  done
  echo 1.81
}

# The clang that is installed, 16 or newer; else the first that can be.
clang_version() {
  for version in 16 17 18 19 20 21; do
    if command -v "clang++-$version" >/dev/null 2>&1; then
      echo "$version"
      return
    fi
  done
  for version in 16 17 18 19 20 21; do
    if available "clang-$version"; then
      echo "$version"
      return
    fi
  done
  echo 16
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  else
    sudo "$@"
  fi
}

apt_install() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-remove --no-install-recommends "$@" \
    </dev/null >>"$package_log" 2>&1
}
apt_update() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q </dev/null >>"$package_log" 2>&1
}

apt_lists_are_there() { apt-cache show g++ >/dev/null 2>&1; }

# need WHAT...: makes sure that the packages for `build`, `test`, `clang`, `lint`, `peers` and `counts` are there.
need() {
  if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg-query >/dev/null 2>&1; then
    need_elsewhere "$@"
    return
  fi
  missing=$(missing_packages "$@")
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null 2>&1; then
    die "please install, as root: apt-get install $missing"
  fi
  mkdir -p build
  package_log=build/packages.log
  if ! apt_lists_are_there; then
    say 'reading the lists of packages (apt-get update)'
    apt_update
    missing=$(missing_packages "$@") # which version there is to have is known only now
  fi
  say "installing $missing"
  # The names are split at blanks on purpose. A list that is out of date is a reason to try once more.
  # shellcheck disable=SC2086
  apt_install $missing || { apt_update && apt_install $missing; } || {
    tail -n 20 "$package_log" >&2
    die "could not install: $missing (log: $package_log)"
  }
}

missing_packages() { # WHAT...
  for what in "$@"; do
    case $what in
      build)
        boost=$(boost_version)
        set -- g++ cmake ninja-build libfmt-dev libtomlplusplus-dev libsqlite3-dev \
          "libboost$boost-dev" "libboost-context$boost-dev"
        ;;
      test) set -- libgtest-dev libgmock-dev pkg-config gdb elixir valgrind ;;
      clang) clang=$(clang_version) && set -- "clang-$clang" "libclang-rt-$clang-dev" ;;
      lint) clang=$(clang_version) && set -- "clang-format-$clang" "clang-tidy-$clang" shellcheck ;;
      peers) set -- elixir libcaf-dev libtbb-dev ;;
      counts) set -- valgrind ;;
      coverage) set -- "llvm-$(clang_version)" ;;
    esac
    for package in "$@"; do
      installed "$package" || provided_otherwise "$package" || printf '%s ' "$package"
    done
  done | sed 's/ $//'
}

# A tool may come from somewhere else than its package.
provided_otherwise() {
  case $1 in
    g++ | cmake | elixir | gdb | shellcheck | valgrind) command -v "$1" >/dev/null 2>&1 ;;
    ninja-build) command -v ninja >/dev/null 2>&1 ;;
    pkg-config) command -v pkg-config >/dev/null 2>&1 ;;
    *) return 1 ;;
  esac
}

need_elsewhere() {
  absent=
  for tool in g++ cmake ninja; do
    command -v "$tool" >/dev/null 2>&1 || absent="$absent $tool"
  done
  for header in boost/context/detail/fcontext.hpp fmt/format.h toml++/toml.h gtest/gtest.h; do
    if command -v g++ >/dev/null 2>&1; then
      printf '#include <%s>\n' "$header" | g++ -std=c++20 -fsyntax-only -x c++ - 2>/dev/null ||
        absent="$absent <$header>"
    fi
  done
  case " $* " in *' clang '*) command -v clang++ >/dev/null 2>&1 || absent="$absent clang" ;; esac
  [ -z "$absent" ] || die "this is neither Debian nor Ubuntu; please install: g++ 12 or later, CMake 3.25 or later," \
    "ninja, Boost.Context 1.81 or later, fmt 9 or later, toml++ 3, GoogleTest (not found:$absent)"
}
