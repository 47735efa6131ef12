#!/usr/bin/env bash
# tests/bench/bench_test.sh - the benchmark harness gives right answers.
#
# Goal     larder_bench --smoke judges a few calls of every workload on every engine of the build,
#          and its reports are whole. Peers that are not installed (script/bootstrap --bench) are
#          left out, and named.
# Usage    tests/bench/bench_test.sh PATH/TO/BUILD/cli/larder
set -uo pipefail
bench=$(dirname "$1")/../bench/larder_bench
passed=0 failed=0
work=$(mktemp -d)
folder=$(mktemp -d /dev/shm/larder-bench-XXXXXX)
trap 'rm -rf "$work" "$folder"' EXIT

if [[ ! -x $bench ]]; then
  echo "skipped: this build has no larder_bench"
  echo "0 passed, 0 failed"
  exit 0
fi

check() {
  if "${@:2}" >"$work/log" 2>&1; then
    ((passed += 1))
  else
    echo "FAILED: $1"
    sed 's/^/    /' "$work/log"
    ((failed += 1))
  fi
}

# run RATE WORKLOAD: what a report of two figures looks like, for the comparison.
run() {
  printf '{"plan": "quick", "extras": {"memory_plain": 1.3}, "figures": ['
  printf '{"scene": "main", "workload": "get", "engine": "%s", "workers": 1, "threads": false, "per_s": %s},' limit 1000 larder "$1" |
    sed 's/,$//'
  printf ']}'
}

echo "peers: limit, larder and memcached need no library; left out: $("$bench" --engines | sed -n 's/^left out: //p')"
"$bench" --smoke --folder "$folder" >"$work/smoke" 2>&1
status=$?
if [[ $(tail -n 1 "$work/smoke") =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]] && ((status == 0 || BASH_REMATCH[2])); then
  passed=${BASH_REMATCH[1]} failed=${BASH_REMATCH[2]}
else
  failed=1
fi
((failed == 0)) || grep -vE ' loaded in ' "$work/smoke"

run 800 >"$work/old.json"
run 730 >"$work/same.json"
run 700 >"$work/worse.json"
check "a twelfth less is no regression" "$bench" --compare "$work/old.json" "$work/same.json"
check "an eighth less is one" bash -c '! "$@"' _ "$bench" --compare "$work/old.json" "$work/worse.json"
check "more is none" "$bench" --compare "$work/worse.json" "$work/old.json"
check "a file that is no report is refused" bash -c '! "$@"' _ "$bench" --compare "$work/old.json" /dev/null
echo "$passed passed, $failed failed"
((failed == 0))
