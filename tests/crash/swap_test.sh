#!/bin/bash
# tests/crash/swap_test.sh - tests the tests: with two steps of the write protocol swapped, a suite
# must fail.
#
# Goal     A test notices each order of core/base/swap.h when it is wrong, and passes when it is
#          right.
# Method   The test library swaps two steps if LARDER_TEST_SWAP names them. For each swap, the test
#          that is meant to notice runs with it. All of these tests also run without a swap. A swap
#          without a test here fails. The symbols and strings of the shipped library must have
#          nothing of it.
# Usage    tests/crash/swap_test.sh PATH-OF-LARDER
#          The last line is "N passed, N failed"; exit 1 if anything failed.
#
# Only the plain build does it all: sanitizers find other things, and take minutes for these.
set -uo pipefail

larder=${1:?usage: swap_test.sh PATH-OF-LARDER}
build=$(cd "$(dirname "$larder")/.." && pwd)
source=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
passed=0 failed=0
unset LARDER_TEST_SWAP LARDER_TEST_LONG
export LARDER_TEST_PREFIX=larder-test-$$-swap

# Swap, suite, Criterion's filter. Moving, shrinking, merging and evicting go by the same steps: they
# have rows of their own, so that no scenario of theirs is one that sees nothing.
expected() {
  cat <<'END'
publish_before_entries enum  crash_enum/put_new
publish_before_timer   enum  crash_enum/arm_timer
remove_before_publish  enum  crash_enum/delete_one
open_before_words      enum  crash_enum/put_new
give_before_sequence   order order/reader_of_reused_memory
close_before_give      enum  crash_enum/overwrite_larger
bit_before_hand        enum  crash_enum/put_without_index
hand_before_bit        enum  crash_enum/delete_one
unnote_before_unlock   order order/locks_after_a_death
array_before_fill      order order/nothing_is_lost_when_an_array_grows
armed_before_timer     order order/timer_of_an_item_that_lives_on
settle_before_entries  enum  crash_enum/delete_one
free_before_finish     order order/locks_after_the_death_of_a_recovery
record_after_word      enum  crash_enum/transact
forget_before_hand     enum  crash_enum/transact
mark_before_record     enum  crash_enum/transact
settle_before_commit   enum  crash_enum/transact
unmark_before_settle   enum  crash_enum/transact
remove_before_publish  enum  crash_enum/evict
hand_before_bit        enum  crash_enum/evict
settle_before_entries  enum  crash_enum/evict
bit_before_hand        enum  crash_enum/move_blocks
hand_before_bit        enum  crash_enum/move_blocks
close_before_give      enum  crash_enum/empty_span
array_before_fill      enum  crash_enum/trim_arrays
bit_before_hand        enum  crash_enum/trim_arrays
bit_before_hand        enum  crash_enum/merge_leaves
hand_before_bit        enum  crash_enum/merge_leaves
close_before_give      enum  crash_enum/merge_last
node_before_towers     order order/links_to_a_node_that_is_merged
node_before_towers     order order/links_to_a_node_that_is_emptied
head_before_join       enum  crash_enum/merge_last
END
}

verdict() {
  if (($1 == 0)); then
    ((passed++))
    echo "ok     $2"
  else
    ((failed++))
    echo "FAILED $2"
    [[ -z ${3-} ]] || tail -n 12 "$log" | sed 's/^/    /'
  fi
}

# run SUITE FILTER [SWAP]: 0 all passed, 1 a test failed, 2 missed its deadline, 3 no test of that
# name, 4 anything else.
run() {
  local status synthesis
  # The shell's own words about a death by signal are not wanted.
  {
    LARDER_TEST_SWAP=${3-} timeout -k 2 "${deadline_s:-60}" "$build/tests/$1_test" --jobs 1 --color=never \
      --filter "$2" >"$log" 2>&1
  } 2>/dev/null
  status=$?
  synthesis=$(grep -aoE 'Tested: [0-9]+ \| Passing: [0-9]+' "$log" | tail -n 1)
  ((status != 124 && status != 137)) || return 2
  [[ $synthesis =~ ([0-9]+)\ \|\ Passing:\ ([0-9]+) ]] || return 4
  ((BASH_REMATCH[1] > 0)) || return 3
  ((BASH_REMATCH[1] > BASH_REMATCH[2])) && return 1
  return "$((status ? 4 : 0))"
}

# The first line of what a failed test said.
said() {
  grep -aE '^\[----\]   [^ ]|Assertion .* failed|CRASH!|Timed out' "$log" | head -n 1 |
    sed -E 's/^\[-*[A-Z]*\] +//; s/.*: Assertion/Assertion/' | cut -c 1-140
}

must_catch() {
  local swap=$1 suite=$2 filter=$3
  run "$suite" "$filter" "$swap"
  case $? in
    1) verdict 0 "$(printf '%-22s caught by %s: %s' "$swap" "$filter" "$(said)")" ;;
    2) verdict 0 "$(printf '%-22s caught by %s: it does not end' "$swap" "$filter")" ;;
    0) verdict 1 "$swap is not caught by $filter" log ;;
    3) verdict 1 "$swap: there is no test $filter in $suite" log ;;
    *) verdict 1 "$swap: $filter did not run" log ;;
  esac
}

# ---- The shipped library -------------------------------------------------------------------------

shipped=$build/liblarder.so
! { nm -a "$shipped" | grep -qE 'swap_(chosen|choose|names)|shm_crash' || grep -qa LARDER_TEST_SWAP "$shipped"; }
verdict $? "the shipped library has no swaps"

# (Counted to the end: grep -q would end nm by SIGPIPE, which pipefail takes for a failure.)
if [[ ! -x $build/tests/order_test || ! -x $build/tests/enum_test ]] ||
  (($(nm "$build/tests/order_test" | grep -cE '__(asan|tsan)_init'))); then
  echo "$passed passed, $failed failed"
  exit "$((failed > 0))"
fi

# ---- The plain build -----------------------------------------------------------------------------

grep -qa LARDER_TEST_SWAP "$build/tests/order_test"
verdict $? "the test library has them"

run order order/locks_after_a_death no_such_swap
(($? == 4)) && grep -q 'no such swap' "$log"
verdict $? "a swap that does not exist is refused" log

while read -r suite filter; do
  deadline_s=1800 run "$suite" "$filter"
  verdict $? "without a swap $filter passes" log
done < <(expected | awk '{ print $2, $3 }' | sort -u)

while read -r swap; do
  lines=$(expected | awk -v swap="$swap" '$1 == swap { print $2, $3 }')
  [[ -n $lines ]] || verdict 1 "no test is named for the swap $swap"
  while read -r suite filter; do
    [[ -z $suite ]] || must_catch "$swap" "$suite" "$filter"
  done <<<"$lines"
done < <(grep -oE '^    X\([a-z_]+' "$source/core/base/swap.h" | cut -d'(' -f2)

echo "$passed passed, $failed failed"
((failed == 0))
