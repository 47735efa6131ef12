/* cli/ending.h - what a file is by the end of its name.
 *
 * Tests    tests/cli/import_test.sh
 */
#ifndef LARDER_CLI_ENDING_H
#define LARDER_CLI_ENDING_H

#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* Whether the name ends so, in small or capital letters. */
static inline bool has_ending(const char *name, const char *ending) {
    size_t bytes = strlen(name), ending_bytes = strlen(ending);
    return bytes >= ending_bytes && strcasecmp(name + bytes - ending_bytes, ending) == 0;
}

#endif
