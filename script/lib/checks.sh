#!/usr/bin/env bash
# The parts of script/test that are not suites: builds, and checks of the sources and of the library
# as it is shipped.
#
#   checks.sh FUNCTION [ARGUMENT...]     exit 0 if all is well
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

# ---- Builds --------------------------------------------------------------------------------------

# Lines are enough for a report; with all of debugging they compile for a tenth longer.
sanitize=(-Ddebug=false -Doptimization=1 -Db_lundef=false)
sanitize_args="-gline-tables-only -fno-omit-frame-pointer -fno-sanitize-recover=undefined"

compiler_of() {
  case $1 in
    plain | release) echo gcc ;;
    *) echo clang ;;
  esac
}

setup() {
  local build=$1 options=()
  case $build in
    # -g1: lines and functions. Variables would take a sixth longer to compile.
    plain) options=(-Dbuildtype=debugoptimized -Dc_args=-g1) ;;
    asan) options=("${sanitize[@]}" "-Db_sanitize=address,undefined" "-Dc_args=$sanitize_args") ;;
    # No suite that starts a thread needs the command.
    tsan) options=("${sanitize[@]}" -Db_sanitize=thread "-Dc_args=-gline-tables-only -fno-omit-frame-pointer" -Dcli=disabled) ;;
    # As README.md says how to install it.
    release) options=(-Dbuildtype=release -Db_lto=true -Dtests=disabled) ;;
    # Set up for clang-tidy, which reports clang's warnings, too. Tests: the sanitizer builds have them.
    clang) options=(-Dbuildtype=release -Doptimization=0 -Dtests=disabled) ;;
  esac
  # Reconfigured every time: options may have changed, which ninja alone does not notice. A folder
  # that cannot be (made by another version, half deleted) is made again.
  export CC
  CC=$(compiler_of "$build")
  if [[ -f build/$build/build.ninja ]]; then
    meson setup --reconfigure "${options[@]}" "build/$build" && return
  fi
  rm -rf "build/$build"
  meson setup "${options[@]}" "build/$build"
}

# With --long, also the suites that are left out otherwise: all that Meson would test.
build() {
  local targets=(all)
  [[ -z ${LARDER_TEST_LONG-} ]] || targets+=(meson-test-prereq)
  setup "$1" && ninja -j "$2" -C "build/$1" "${targets[@]}"
}

# ---- What the library shows ----------------------------------------------------------------------

# Exactly the functions of a header: nothing internal leaks out, nothing declared is missing.
exports_are_the_header() {
  local header=${2-larder.h}
  diff -u --label "$header" --label "$1" \
    <(tr '\n' ' ' <"include/$header" | grep -oE 'LARDER_API [^;(]*\blarder_[a-z0-9_]+ *\(' |
      grep -oE 'larder_[a-z0-9_]+ *\($' | tr -d ' (' | LC_ALL=C sort -u) \
    <(nm -D --defined-only "$1" | awk '{print $NF}' | LC_ALL=C sort -u)
}

# The copy of expr/ in liblarder-dynamodb defines no function under a name of larder.h, compiled
# under its own names or renamed.
own_names_are_complete() {
  local copies=(build/{release,plain}/dynamodb/liblarder_dynamodb_expr.a)
  ! nm "${copies[@]}" 2>/dev/null | grep -E ' [TDBR] larder_'
}

larder_h_is_strict() {
  local file=build/log/alone
  printf '#include "larder.h"\n#include "larder_dynamodb.h"\n' | tee $file.c >$file.cc
  local w=(-fsyntax-only -Iinclude -Wall -Wextra -Werror -pedantic-errors)
  gcc -std=c11 "${w[@]}" $file.c && clang -std=c11 "${w[@]}" $file.c &&
    g++ -std=c++11 "${w[@]}" $file.cc && clang++ -std=c++11 "${w[@]}" $file.cc
}

headers() {
  local folders=() folder
  for folder in core index ttl expr dynamodb serve cli bench examples tests; do
    [[ ! -d $folder ]] || folders+=("$folder")
  done
  find "${folders[@]}" -name '*.h' | LC_ALL=C sort
}

headers_compile_alone() {
  local header status=0
  while read -r header; do
    gcc -std=gnu11 -D_GNU_SOURCE -DLARDER_ASSERT=1 -DLARDER_JEMALLOC=1 -Wall -Wextra -Werror -fsyntax-only -Iinclude -I. -isystem /usr/share/include/llhttp \
      -include "$header" -x c /dev/null || status=1
  done < <(headers)
  return $status
}

"$@"
