#!/usr/bin/env bash
# tests/house/files_test.sh - each file names its test, and can be read in one sitting.
#
# Method   Reads the heads (the first comment) of all sources of the engine. Of a pair, x.h and x.c,
#          one head is enough. Wrong ones that are planted in a copy must be found.
# Usage    tests/house/files_test.sh          the last line is "N passed, N failed"; exit 1 if
#                                             anything failed
#          tests/house/files_test.sh --wide   lists the comment lines that are too wide
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 2
lines_max=700 columns_max=100
passed=0 failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

verdict() { # NAME REASON: an empty reason passes
  if [[ -z $2 ]]; then
    ((passed += 1))
  else
    ((failed += 1))
    printf 'FAILED: %s\n%s\n' "$1" "$2"
  fi
}

# The checks take the folder of a copy and print what is wrong, one line for each.

# Every pair of files of the engine has a line "Tests" in one of its heads.
without_test() {
  (
    cd "$1" && for file in $(ls core/*/*.[ch] expr/*.[ch] index/*.[ch] ttl/*.[ch] dynamodb/*.[ch] serve/*.[ch] | sed 's/\.[ch]$//' | sort -u); do
      for half in "$file".[ch]; do
        sed '/\*\//q' "$half"
      done | grep -E '^ \* Tests    .*tests/' >/dev/null || echo "$file"
    done
  )
}

# Files below tests/ that a source or a page names and that are not there.
missing() {
  (
    cd "$1" && grep -roE --include='*.[ch]' --include='*.md' --include='*.sh' --include='meson.build' \
      '\btests/[a-z0-9_/]+(\.(c|h|sh|md|build)\b|/)' core expr index ttl dynamodb serve cli bench examples include tests script ./*.md liblarder.c 2>/dev/null |
      while IFS=: read -r file path; do
        [[ -e $path ]] || echo "$file names $path"
      done
  ) | grep -v '^tests/house/files_test.sh' | LC_ALL=C sort -u
}

# All that is written by hand, except larder.h and its frozen copies, which may be long.
sources() {
  find bench cli core dynamodb examples expr include index script serve tests ttl ./*.c ./*.build ./*.md -type f \
    -not -path '*/corpus/*' -not -path '*/results/*' -not -name '*.dict' -not -name package-lock.json -not -path include/larder.h \
    -not -path 'tests/frozen/*.h' | LC_ALL=C sort
}

too_long() {
  (cd "$1" && sources | while read -r file; do
    ((lines = $(wc -l <"$file"), lines <= lines_max)) || echo "$file has $lines lines"
  done)
}

# Lines that are only comment.
too_wide() {
  (cd "$1" && { sources && echo include/larder.h; } | grep '\.[ch]$' | while read -r file; do
    awk -v file="$file" -v max=$columns_max '
      { is_comment = inside || /^ *\/[*\/]/ }
      /^ *\/\*/ { inside = 1 }
      /\*\// { inside = 0 }
      is_comment && length($0) > max { print file ":" FNR ": " length($0) " columns" }' "$file"
  done)
}

plant() { # NAME CHECK: the check must find what was planted in $work/copy
  verdict "$1" "$([[ -n $("$2" "$work/copy") ]] || echo "nothing was said")"
}

copy() {
  rm -rf "$work/copy" && mkdir "$work/copy" && cp -r bench cli core dynamodb examples expr include index script serve tests ttl ./*.c ./*.build ./*.md "$work/copy"
}

export LC_ALL=C.UTF-8 # columns, not bytes
if [[ ${1-} == --wide ]]; then
  too_wide .
  exit
fi
verdict "every file of the engine names its test" "$(without_test .)"
verdict "no path of a test leads nowhere" "$(missing .)"
verdict "no file is longer than $lines_max lines" "$(too_long .)"
verdict "no comment is wider than $columns_max columns" "$(too_wide .)"
copy && sed -i '/^ \* Tests /d' "$work/copy/core/memory/heap.h" "$work/copy/core/memory/heap.c"
plant "a head without a test is found" without_test
copy && sed -i 's,tests/unit/memory/heap_test.c,tests/unit/heap_test.c,' "$work/copy/core/memory/heap.h"
plant "a path that leads nowhere is found" missing
copy && yes '/* more */' | head -n $lines_max >>"$work/copy/ttl/wheel.c"
plant "a file that is too long is found" too_long
copy && printf '/* %0101d */\n' 0 >>"$work/copy/ttl/wheel.c"
plant "a comment that is too wide is found" too_wide
echo "$passed passed, $failed failed"
((failed == 0))
