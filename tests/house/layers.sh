#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# layers.sh [ROOT]: reads the #include lines of src/ and include/ and fails if a layer includes a higher one, or one
# that stands beside it, or if a public header includes anything but the standard library and other coppice headers (an
# adapter may also include Boost, and <signal.h>; testing/gtest.hpp GoogleTest).
#
# A public header belongs to the layer whose .cpp includes it first (own header first); one without a .cpp to the
# highest layer among the coppice headers that it includes.
set -u
root=${1:-$(cd "$(dirname "$0")/../.." && pwd)}
cd "$root" || exit 2

includes() { # prints "FILE LINE-NUMBER INCLUDED" with the brackets or quotes kept
  # shellcheck disable=SC2016
  find src include -name '*.hpp' -o -name '*.cpp' | sort | xargs awk '
    /^[ \t]*#[ \t]*include[ \t]*[<"]/ {
      sub(/^[ \t]*#[ \t]*include[ \t]*/, ""); sub(/[ \t]*\/\/.*$/, ""); sub(/[ \t]+$/, "")
      print FILENAME, FNR, $0
    }'
}

includes | awk '
  BEGIN {
    n = split("base platform term runtime logger otp supervision task application simulation sqlite jobs", order, " ")
    for (i = 1; i <= n; i++) rank[order[i]] = i
    rank["ets"] = rank["logger"]; rank["registry"] = rank["pool"] = rank["task"]
    rank["dist"] = rank["isolation"] = rank["observe"] = rank["simulation"]
    words = "algorithm any array atomic barrier bit bitset cassert cctype cerrno cfenv cfloat charconv chrono " \
      "cinttypes climits clocale cmath codecvt compare complex concepts condition_variable coroutine csetjmp " \
      "csignal cstdarg cstddef cstdint cstdio cstdlib cstring ctime cuchar cwchar cwctype deque exception " \
      "execution filesystem format forward_list fstream functional future initializer_list iomanip ios iosfwd " \
      "iostream istream iterator latch limits list locale map memory memory_resource mutex new numbers numeric " \
      "optional ostream queue random ranges ratio regex scoped_allocator semaphore set shared_mutex " \
      "source_location span sstream stack stdexcept stop_token streambuf string string_view strstream " \
      "syncstream system_error thread tuple type_traits typeindex typeinfo unordered_map unordered_set utility " \
      "valarray variant vector version"
    n = split(words, list, " ")
    for (i = 1; i <= n; i++) standard["<" list[i] ">"] = 1
  }
  function complain(text) { print file[k] ":" line[k] ": " text; failures++ }
  { count++; file[count] = $1; line[count] = $2; included[count] = $3
    if ($1 ~ /^src\/.*\.cpp$/ && !seen[$1]++ && $3 ~ /^<coppice\//) {
      split($1, part, "/")
      owner["include/" substr($3, 2, length($3) - 2)] = part[2]
    }
  }
  function target(what, from) {  # the file that an include names, or "" if it is not ours
    if (what ~ /^<coppice\//) return "include/" substr(what, 2, length(what) - 2)
    if (what ~ /^"/ && index(what, "/")) return "src/" substr(what, 2, length(what) - 2)
    if (what ~ /^"/) { sub(/[^\/]*$/, "", from); return from substr(what, 2, length(what) - 2) }
    return ""
  }
  function layer_of(path,   part) {
    if (path ~ /^src\//) { split(path, part, "/"); return part[2] }
    if (path in owner) return owner[path]
    return inferred[path]
  }
  END {
    do {  # a public header without a .cpp rises to the highest layer among its includes
      changed = 0
      for (k = 1; k <= count; k++) {
        if (file[k] !~ /^include\// || file[k] in owner) continue
        above = layer_of(target(included[k], file[k]))
        if (above != "" && rank[above] > rank[inferred[file[k]]]) { inferred[file[k]] = above; changed = 1 }
      }
    } while (changed)
    for (k = 1; k <= count; k++) {
      to = target(included[k], file[k])
      if (file[k] ~ /^include\// && !(included[k] in standard) && included[k] !~ /^<coppice\// &&
          !(file[k] ~ /\/adapter\// && included[k] ~ /^<(boost\/|signal\.h>)/) &&
          !(file[k] ~ /\/testing\/gtest\.hpp$/ && included[k] == "<gtest/gtest.h>"))
        complain("a public header includes " included[k])
      if (to == "") continue
      own = layer_of(file[k]); other = layer_of(to)
      if (file[k] ~ /^src\// && !(own in rank)) { complain("the layer " own " is unknown"); continue }
      if (own == "" || other == "" || own == other) continue
      if (!(other in rank)) { complain("the layer " other " is unknown"); continue }
      if (rank[other] >= rank[own])
        complain("the layer " own " includes " included[k] ", which belongs to " other)
    }
    printf "layers: %d includes, %d wrong\n", count, failures
    exit failures > 0
  }'
