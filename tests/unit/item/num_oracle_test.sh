#!/usr/bin/env bash
# tests/unit/item/num_oracle_test.sh - sums of DynamoDB numbers beside Python's decimal. Closes with
# "N passed, N failed".
#
# Goal     num_add() and num_subtract() agree with an implementation that others wrote.
# Method   num_oracle.py makes random pairs, num_sums.c adds them: 10,000, or 200,000 with
#          LARDER_TEST_LONG. The judge itself is tried on a program that rounds to 38 digits.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$here/../../..
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

count=10000 seed=${LARDER_SEED:-0x1a2de2c0ffee5eed}
[[ -z ${LARDER_TEST_LONG:-} ]] || count=200000
said=$(cc -O1 -Wall -Wextra -Werror -D_GNU_SOURCE -std=gnu11 -I"$root" -I"$root/include" -o "$scratch/sums" \
  "$here/num_sums.c" "$root"/core/item/num.c "$root"/core/item/num_add.c "$root"/core/base/{err,utf8}.c 2>&1)
tell $? "the program builds" "$said"
said=$(python3 "$here/num_oracle.py" "$scratch/sums" "$count" "$seed" 2>&1)
tell $? "sums differ from Python's" "$said"

cat >"$scratch/rounding" <<'END'
#!/usr/bin/env python3
import decimal, sys
decimal.getcontext().prec = 38
for line in sys.stdin:
    left, sign, right = line.split()
    print(decimal.Decimal(left) + decimal.Decimal(right) * (1 if sign == "+" else -1))
END
chmod +x "$scratch/rounding"
said=$(python3 "$here/num_oracle.py" "$scratch/rounding" 2000 "$seed" 2>&1)
tell $(($? == 1 ? 0 : 1)) "a program that rounds is not found" "$said"

echo "$passed passed, $failed failed"
exit $((failed > 0))
