"""tests/unit/item/num_oracle.py PROGRAM COUNT SEED - Python's decimal judges num_add().

Goal     Of random pairs of DynamoDB numbers PROGRAM (num_sums.c) gives the sum that Python gives
         with digits enough for every sum, or refuses exactly those that are no DynamoDB number.
"""
import decimal
import random
import subprocess
import sys

decimal.getcontext().prec = 400
decimal.getcontext().Emin, decimal.getcontext().Emax = -999, 999


def number(near):
    """Up to 38 digits, often nines or zeros; its exponent near another's, or anywhere."""
    count = random.choice([1, 2, 18, 19, 20, 37, 38, random.randint(1, 38)])
    inside = random.choice(["0123456789", "0123456789", "9", "0", "09"])
    digits = random.choice("123456789") + "".join(random.choice(inside) for _ in range(count - 1))
    exponent = near + random.randint(-42, 42) if random.random() < 0.9 else random.randint(-130, 125)
    exponent = max(-130, min(125, exponent))
    return random.choice(["", "-"]) + digits[0] + "." + digits[1:] + "0E" + str(exponent), exponent


def is_number(value):
    if value == 0:
        return True
    digits = value.normalize().as_tuple().digits
    return len(digits) <= 38 and -130 <= value.adjusted() <= 125


def main():
    program, count, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3], 0)
    random.seed(seed)
    pairs = []
    for _ in range(count):
        left, exponent = number(random.randint(-130, 125))
        pairs.append((left, random.choice("+-"), number(exponent)[0]))
    lines = "".join("%s %s %s\n" % pair for pair in pairs)
    said = subprocess.run([program], input=lines, capture_output=True, text=True, check=True).stdout.split()
    if len(said) != count:
        sys.exit("%d pairs, %d answers" % (count, len(said)))
    refused = 0
    for (left, sign, right), answer in zip(pairs, said):
        a, b = decimal.Decimal(left), decimal.Decimal(right)
        wanted = a + b if sign == "+" else a - b
        if not is_number(wanted):
            refused += 1
            wanted = "refused"
        if answer != wanted and (answer == "refused" or wanted == "refused" or decimal.Decimal(answer) != wanted):
            sys.exit("seed %#x: %s %s %s is %s, not %s" % (seed, left, sign, right, wanted, answer))
    if not count / 20 < refused < count * 19 / 20:
        sys.exit("seed %#x: %d of %d were refused" % (seed, refused, count))


main()
