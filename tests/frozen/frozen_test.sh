#!/usr/bin/env bash
# tests/frozen/frozen_test.sh - larder.h against its frozen copy. Closes with "N passed, N failed".
#
# Goal     A program that was built against tests/frozen/larder-1.0.h runs with a library of
#          include/larder.h: structures have their size, members, constants and functions are what
#          they were. tests/unit/base/frozen_test.c is such a program.
# Method   compare.py compares two headers. It is itself tried on headers with one thing changed:
#          what breaks programs must be found, and what may change must not.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
frozen=$here/larder-1.0.h today=$here/../../include/larder.h
passed=0 failed=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

tell() {
  if (($1 == 0)); then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    printf 'FAILED %s: %s\n' "$2" "$3"
  fi
}

# finds WHAT SED: the header with this edit breaks programs.
finds() {
  local said
  sed -E "$2" "$frozen" >"$scratch/larder.h"
  if cmp -s "$frozen" "$scratch/larder.h"; then
    tell 1 "$1" "the edit changes nothing"
  else
    said=$(python3 "$here/compare.py" "$frozen" "$scratch/larder.h" 2>&1)
    tell $(($? == 1 ? 0 : 1)) "$1" "not found: $said"
  fi
}

# bears WHAT SED: the header with this edit breaks none.
bears() {
  local said
  sed -E "$2" "$frozen" >"$scratch/larder.h"
  said=$(python3 "$here/compare.py" "$frozen" "$scratch/larder.h" 2>&1)
  tell $? "$1" "$said"
}

said=$(python3 "$here/compare.py" "$frozen" "$today" 2>&1)
tell $? "larder.h breaks programs that were built against larder-1.0.h" "$said"

finds "a longer structure" 's/^(    uint32_t slot_count;)/\1\n    uint32_t more[2];/'
finds "a shorter reserve" '0,/uint64_t reserved\[8\]/s//uint64_t reserved[7]/'
finds "a member of another type" 's/^(    )uint32_t (busy_timeout_ms;)/\1int32_t \2/'
finds "members in another order" 's/uint64_t puts, deletes, expired;/uint64_t deletes, puts, expired;/'
finds "a member that is gone" 's/uint64_t tables_kept, tables_lost;/uint64_t tables_kept, tables_gone;/'
finds "another value" 's/(#define LARDER_E_FULL )\(-2\)/\1(-99)/'
finds "a value of an enum before others" 's/^    LARDER_SORT_ANY,/    LARDER_SORT_NEW,\n    LARDER_SORT_ANY,/'
finds "another parameter" 's/(larder_expire\(struct larder \*db, )uint64_t/\1uint32_t/'
finds "a function that is gone" 's/\blarder_removal_set\(/larder_removal_put(/'
finds "a reserve of another type" '0,/uint64_t reserved\[8\]/s//uint32_t reserved[16]/'
bears "a member in place of a reserved one" '0,/    uint64_t reserved\[8\];/s//    uint32_t one, two;\n    uint64_t reserved[7];/'
bears "more functions and constants" 's/^(#define LARDER_OK 0)/\1\n#define LARDER_E_NEW (-17)\nLARDER_API int larder_new(void);/'
bears "other comments" 's/Done\./Well done./'

echo "$passed passed, $failed failed"
exit $((failed > 0))
