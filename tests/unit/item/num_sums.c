/* tests/unit/item/num_sums.c - a program for num_oracle_test.sh: lines "LEFT + RIGHT" or
 * "LEFT - RIGHT" in, a line with the sum or "refused" out.
 */
#include <stdio.h>
#include <string.h>

#include "core/item/num.h"
#include "larder.h"

int main(void) {
    char left[256], right[256], text[LARDER_NUMBER_TEXT_MAX], sign;
    uint8_t a[NUM_BYTES_MAX], b[NUM_BYTES_MAX];
    size_t a_bytes, b_bytes;
    while (scanf("%255s %c %255s", left, &sign, right) == 3) {
        if (num_encode(left, strlen(left), a, &a_bytes) || num_encode(right, strlen(right), b, &b_bytes))
            return 1;
        enum num_sum r = (sign == '-' ? num_subtract : num_add)(a, a_bytes, b, b_bytes, a, &a_bytes);
        if (r == NUM_SUM_OK)
            num_decode(a, a_bytes, text);
        puts(r == NUM_SUM_OK ? text : "refused");
    }
    return 0;
}
