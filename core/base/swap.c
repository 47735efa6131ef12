/* core/base/swap.c - see core/base/swap.h. Empty unless LARDER_CRASH_POINTS.
 *
 * Job      Reads LARDER_TEST_SWAP before main(), and so before any store of the process.
 */
#include "core/base/swap.h"

#if LARDER_CRASH_POINTS

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum swap swap_chosen;

static const char *const swap_names[] = {[SWAP_NONE] = "",
#define SWAP_NAME(name, breaks) [SWAP_##name] = #name,
                                         SWAPS(SWAP_NAME)
#undef SWAP_NAME
};

__attribute__((constructor)) static void swap_choose(void) {
    const char *wanted = getenv("LARDER_TEST_SWAP");
    if (!wanted || !*wanted)
        return;
    for (size_t i = 1; i < sizeof swap_names / sizeof *swap_names; i++)
        if (strcmp(wanted, swap_names[i]) == 0) {
            swap_chosen = (enum swap)i;
            return;
        }
    fprintf(stderr, "LARDER_TEST_SWAP=%s: no such swap; core/base/swap.h has the list\n", wanted);
    abort();
}

#endif
