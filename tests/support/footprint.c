/* tests/support/footprint.c - what a process takes of the machine. See footprint.h. */
#include "tests/support/footprint.h"

#include <stdio.h>

#define PRIVATE_KB_MAX 128 /* 4 KB in each of 10,000 cycles would be 40,000 */
#define ADDRESSES_KB_MAX 1024

struct footprint footprint_now(void) {
    struct footprint now = {0};
    long pages = 0, resident = 0, shared = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fscanf(f, "%ld %ld %ld", &pages, &resident, &shared) != 3)
        resident = 0;
    if (f)
        fclose(f);
    f = fopen("/proc/self/maps", "r");
    for (int c; f && (c = fgetc(f)) != EOF;)
        now.mappings += c == '\n';
    if (f)
        fclose(f);
    now.addresses_kb = pages * 4;
    now.private_kb = (resident - shared) * 4;
    return now;
}

int footprint_grew(const struct footprint *before) {
    struct footprint now = footprint_now();
    if (now.private_kb <= before->private_kb + PRIVATE_KB_MAX &&
        now.addresses_kb <= before->addresses_kb + ADDRESSES_KB_MAX && now.mappings <= before->mappings)
        return 0;
    fprintf(stderr, "grew by %ld KB, %ld KB of addresses, %ld mappings\n", now.private_kb - before->private_kb,
            now.addresses_kb - before->addresses_kb, now.mappings - before->mappings);
    return 1;
}
