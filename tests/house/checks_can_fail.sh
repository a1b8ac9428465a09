#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# checks_can_fail.sh COMPILER: a check that cannot fail is none. Each check of the house is shown a small repository
# with one fault of each kind, and must name every one of them; and one without faults, and must pass it.
set -u
compiler=$1
here=$(cd "$(dirname "$0")" && pwd)
tests=$(dirname "$here")

directory=$(mktemp -d) || exit 2
trap 'rm -rf "$directory"' EXIT
wrong=0

put() { # path, lines...
  mkdir -p "$directory/$(dirname "$1")"
  path=$directory/$1
  shift
  printf '%s\n' "$@" >"$path"
}
passes() { # command...
  "$@" >"$directory/output" 2>&1 || { printf 'should pass: %s\n' "$*"; cat "$directory/output"; wrong=1; }
}
refuses() { # regex that must be printed, command...
  pattern=$1
  shift
  if "$@" >"$directory/output" 2>&1; then
    printf 'should fail: %s\n' "$*"
    wrong=1
  elif ! grep -Eq -e "$pattern" "$directory/output"; then
    printf 'should name %s: %s\n' "$pattern" "$*"
    cat "$directory/output"
    wrong=1
  fi
}
licence='// SPDX-License-Identifier: Apache-2.0'

# -- layers --
put good/include/coppice/value.hpp "$licence" '#pragma once' '#include <string>' 'struct Value { std::string text; };'
put good/include/coppice/server.hpp "$licence" '#include <coppice/value.hpp>'
put good/src/term/value.cpp "$licence" '#include <coppice/value.hpp>' '#include <unistd.h>'
put good/src/otp/server.cpp "$licence" '#include <coppice/server.hpp>' '#include "term/value.hpp"'
passes "$here/layers.sh" "$directory/good"
passes "$here/headers.sh" "$compiler" "$directory/good"
passes "$here/text.sh" "$directory/good"

put up/src/base/list.hpp "$licence" '#include "runtime/process.hpp"'
refuses 'src/base/list.hpp:2: the layer base includes "runtime/process.hpp"' "$here/layers.sh" "$directory/up"
put up_public/src/otp/server.cpp "$licence" '#include <coppice/server.hpp>'
put up_public/include/coppice/server.hpp "$licence"
put up_public/src/term/value.cpp "$licence" '#include "term/value.hpp"' '#include <coppice/server.hpp>'
refuses 'the layer term includes <coppice/server.hpp>, which belongs to otp' "$here/layers.sh" "$directory/up_public"
put indirect/src/otp/server.cpp "$licence" '#include <coppice/server.hpp>'
put indirect/include/coppice/server.hpp "$licence"
put indirect/include/coppice/thin.hpp "$licence" '#include <coppice/server.hpp>'
put indirect/src/runtime/process.cpp "$licence" '#include "runtime/process.hpp"' '#include <coppice/thin.hpp>'
refuses 'the layer runtime includes <coppice/thin.hpp>, which belongs to otp' "$here/layers.sh" "$directory/indirect"
put foreign/include/coppice/value.hpp "$licence" '#include <fmt/format.h>'
put foreign/src/base/empty.hpp "$licence"
refuses 'a public header includes <fmt/format.h>' "$here/layers.sh" "$directory/foreign"
put lame/include/coppice/value.hpp "$licence" '#pragma once' 'inline std::string text;'
refuses 'coppice/value.hpp does not stand alone' "$here/headers.sh" "$compiler" "$directory/lame"

put once/include/coppice/value.hpp "$licence" 'struct Value {};'
refuses 'coppice/value.hpp does not stand alone' "$here/headers.sh" "$compiler" "$directory/once"

# -- text --
put unnamed/src/base/list.hpp '// a list'
refuses 'list.hpp: does not say SPDX' "$here/text.sh" "$directory/unnamed"
put unfinished/src/base/list.hpp "$licence" "// TO""DO: all of it"
refuses 'list.hpp:2:.*unfinished work' "$here/text.sh" "$directory/unfinished"
put machine/src/base/list.hpp "$licence" '// see /ho''me/somebody/notes'
refuses 'list.hpp:2:.*path of one machine' "$here/text.sh" "$directory/machine"
put link/README.md 'See [the notes](docs/notes.md).'
refuses 'README.md: the link to docs/notes.md leads nowhere' "$here/text.sh" "$directory/link"
put long/src/base/list.hpp "$licence"
awk 'BEGIN { for (i = 0; i < 600; i++) print "//" }' >>"$directory/long/src/base/list.hpp"
refuses 'list.hpp: 601 lines, more than 600' "$here/text.sh" "$directory/long"

# -- conformance --
rules() { # name, lines of not_applicable.txt...
  name=$1
  shift
  put "$name/tests/conformance/rules.txt" '# rules' '## Processes' 'PR-001 one' '## Servers' 'GS-002 two' 'GS-003 three'
  put "$name/tests/conformance/not_applicable.txt" "$@"
  put "$name/tests/conformance/a_test.cpp" "$licence" 'BEHAVIOUR_TEST(Process,' '     PR_001_is_so) {' '}' '// GS_002 in words'
  put "$name/docs/conformance.md" '# Rules' '<!-- rules: begin -->' '<!-- rules: end -->'
  "$check" --write "$directory/$name" >/dev/null
}
check=$tests/conformance/check.sh
rules all 'GS-002 | there is none' 'GS-003 | for distribution: other nodes'
passes "$check" "$directory/all"
grep -qx 'rules 3, tested 1, not applicable 2, missing 0' "$directory/output" || { cat "$directory/output"; wrong=1; }
# shellcheck disable=SC2016
grep -qx '| PR-001 | one | `PR_001_is_so` | threads, simulation |' "$directory/all/docs/conformance.md" ||
  { cat "$directory/all/docs/conformance.md"; wrong=1; }
rules changed 'GS-002 | there is none' 'GS-003 | for distribution: other nodes'
put changed/tests/conformance/b_test.cpp "$licence" 'TEST(Process, PR_001_is_not_so) {' '}'
refuses 'docs/conformance.md is not what the repository says now' "$check" "$directory/changed"
rules unmarked 'GS-002 | there is none' 'GS-003 | for distribution: other nodes'
put unmarked/docs/conformance.md '# Rules'
refuses 'docs/conformance.md has not its two marks' "$check" "$directory/unmarked"
rules absent 'GS-002 | there is none'
refuses 'GS-003: no test and no scenario names it' "$check" "$directory/absent"
refuses 'rules 3, tested 1, not applicable 1, missing 1' "$check" "$directory/absent"
rules twice 'GS-002 | there is none' 'GS-003 | none' 'GS-002 | there is none'
refuses 'GS-002: stands twice in not_applicable.txt' "$check" "$directory/twice"
rules denied 'GS-002 | there is none' 'GS-003 | none' 'PR-001 | no'
refuses 'PR-001: said not to be applicable, but there is a test' "$check" "$directory/denied"
rules unexplained 'GS-002 | there is none' 'GS-003'
refuses 'GS-003: not_applicable.txt does not say why' "$check" "$directory/unexplained"
rules unlisted 'GS-002 | there is none' 'GS-003 | none' 'PR-099 | no'
refuses 'PR-099: not_applicable.txt names it, but it is not in rules.txt' "$check" "$directory/unlisted"
rules invented 'GS-002 | there is none' 'GS-003 | none'
put invented/tests/conformance/b_test.cpp "$licence" 'TEST(Process, PR_098_is_so) {' '}'
refuses 'PR-098: a test names it, but it is not in rules.txt' "$check" "$directory/invented"

# -- programs that must not compile --
refused() { # name, lines...
  name=$1
  shift
  put "refused/$name.cpp" "$licence" "$@"
}
run=$tests/compile_fail/run.sh
body='static_assert(GOOD, "the reason");'
flag='// also-compiles-with: -DGOOD=1'
refused right "$flag" '// expect: the reason' '#ifndef GOOD' '#define GOOD 0' '#endif' "$body"
passes "$run" "$compiler" "$directory/refused/right.cpp"
refused compiles "$flag" '// expect: the reason' 'int main() {}'
refuses 'compiles, and should not' "$run" "$compiler" "$directory/refused/compiles.cpp"
refused other "$flag" '// expect: another reason' '#ifndef GOOD' '#define GOOD 0' '#endif' "$body"
refuses 'the first error does not show "another reason"' "$run" "$compiler" "$directory/refused/other.cpp"
refused never "$flag" '// expect: the reason' 'static_assert(false, "the reason");'
refuses 'should compile with -DGOOD=1' "$run" "$compiler" "$directory/refused/never.cpp"
refused silent "$flag" "$body"
refuses 'has no line "// expect:"' "$run" "$compiler" "$directory/refused/silent.cpp"

# -- examples --
put program '#!/bin/sh' 'echo "value 12"' 'echo done'
chmod +x "$directory/program"
put exact 'value 12' 'done'
passes "$tests/example.sh" "$directory/program" "$directory/exact"
put regex '# regex' 'value [0-9]+' 'done'
passes "$tests/example.sh" "$directory/program" "$directory/regex"
put inexact 'value 13' 'done'
refuses 'value 13' "$tests/example.sh" "$directory/program" "$directory/inexact"
put partly '# regex' 'value [0-9]' 'done'
refuses 'line 1' "$tests/example.sh" "$directory/program" "$directory/partly"
put short '# regex' 'value [0-9]+'
refuses 'expected 1 lines, got 2' "$tests/example.sh" "$directory/program" "$directory/short"

# -- pages --
fence='```'
page() { # name, lines...
  name=$1
  shift
  put "pages/$name.md" "$@"
}
checked() { # name
  echo "$tests/docs.sh" "$compiler" - "$directory" "pages/$1.md"
}
hello='#include <cstdio>'
main='int main() { std::printf("value %d at 12:00:00.000\n", 12); std::printf("done\n"); }'
page good "${fence}cpp" "$hello" "$main" "$fence" '' "${fence}text output" 'value 12 at 23:59:59.999' 'd...e' "$fence" \
  "${fence}cpp" '#include <string>' 'std::string text;' "$fence" "${fence}cpp excerpt" '// ...' "  $main" "$fence" \
  "${fence}cpp refused" 'int n = "one";' "$fence" "${fence}text error" '...invalid conversion...' "$fence"
# shellcheck disable=SC2046
passes $(checked good)
fails() { # name, regex
  # shellcheck disable=SC2046
  refuses "$2" $(checked "$1")
}
page no_program "${fence}cpp" 'struct A {};' "$fence"
fails no_program 'pages/no_program.md:1: a block of C\+\+ that is no program'
page mistaken "${fence}cpp" "$hello" 'int main() { return Nothing; }' "$fence"
fails mistaken 'does not compile'
page warned "${fence}cpp" '#include <string>' 'int one(int unused) { return 1; }' "$fence"
fails warned 'unused'
page crashed "${fence}cpp" 'int main() { return 3; }' "$fence"
fails crashed 'ended with status 3'
page other_output "${fence}cpp" "$hello" "$main" "$fence" "${fence}text output" 'value 13 at 12:00:00.000' 'done' "$fence"
fails other_output 'not found: value 13'
page less_output "${fence}cpp" "$hello" "$main" "$fence" "${fence}text output" '...12...' "$fence"
fails less_output 'not found: the end'
page more_output "${fence}cpp" "$hello" "$main" "$fence" "${fence}text output" '...' 'done' 'and more' "$fence"
fails more_output 'not found: done'
page other_log "${fence}cpp" 'int main() {}' "$fence" "${fence}text log" '[error] lost' "$fence"
fails other_log 'not found: .error. lost'
page invented "${fence}cpp excerpt" '...' 'struct Invented {};' "$fence"
fails invented 'stands in no file'
page accepted "${fence}cpp refused" 'int n = 1;' "$fence" "${fence}text error" 'error' "$fence"
fails accepted 'compiles, and should not'
page other_error "${fence}cpp refused" 'int n = "one";' "$fence" "${fence}text error" '...no such type...' "$fence"
fails other_error 'not found: \.\.\.no such type'
page unexplained "${fence}cpp refused" 'int n = "one";' "$fence"
fails unexplained 'says what the compiler prints'
page stray "${fence}text output" 'done' "$fence"
fails stray 'belongs to no program'
page misspelt "${fence}cpp exerpt" 'int n;' "$fence"
fails misspelt 'cannot be marked as exerpt'

[ "$wrong" -eq 0 ] && echo 'every check can fail'
exit "$wrong"
