# tests/cli/start.sh - how a script test of the larder command begins.
#
# Sourced, with the path of the command as $1. Sets $larder, $here, $work (a folder for the test, and
# the present one) and LARDER_SEGMENT, a name of this run; both go at the end. Then expect.sh.
# shellcheck shell=bash disable=SC2034
set -u
export LC_ALL=C
if [[ $# -lt 1 || ! -x $1 ]]; then
    echo "usage: $0 PATH-OF-LARDER" >&2
    exit 2
fi
larder=$(realpath "$1")
here=$(realpath "$(dirname "$0")")
start=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
work=$(mktemp -d)
name=${0##*/}
export LARDER_SEGMENT=${LARDER_TEST_PREFIX:-larder-cli-test}-${name%_test.sh}-$$
passed=0
failed=0

cleanup() {
    "$larder" destroy --force >/dev/null 2>&1
    rm -rf "$work"
}
trap cleanup EXIT
cd "$work" || exit 2
exec </dev/null

# shellcheck source=tests/cli/expect.sh
. "$start/expect.sh"
