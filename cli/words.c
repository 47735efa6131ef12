/* cli/words.c - the library's messages in the words of the command line.
 *
 * Why      A message of the library names fields and constants of larder.h. A user of the command
 *          typed options.
 * Tests    tests/cli/cli_test.sh
 */
#include "cli/words.h"

#include <string.h>

#include "larder.h"

/* The first that fits counts. result 0: of every message. */
static const struct {
    int result;
    const char *library, *command;
} words[] = {
    {0, "options.size_bytes, larder create --size", "larder create --size"},
    {0, "options.slot_count, larder create --slots", "larder create --slots"},
    {0, "LARDER_ANY_OWNER (--any-owner)", "--any-owner"},
    {0, "opening with LARDER_CREATE", "larder create"},
    {0, "LARDER_FORCE", "--force"},
    {0, "LARDER_SORT_BETWEEN: sort_value is larger than sort_value2", "--sk-between A B: A is larger than B"},
    {0, "LARDER_SORT_BEGINS_WITH", "--sk-begins-with"},
    {LARDER_E_INVAL, "size_bytes", "--size"}, /* of a damaged segment they are what its head says */
    {LARDER_E_INVAL, "stripe_count", "--stripes"},
    {LARDER_E_INVAL, "slot_count", "--slots"},
};
#define WORDS (sizeof words / sizeof words[0])

/* Number of the pair that fits here, or WORDS. */
static size_t words_find(int result, const char *at) {
    size_t i = 0;
    while (i < WORDS && ((words[i].result != 0 && words[i].result != result) ||
                         strncmp(at, words[i].library, strlen(words[i].library)) != 0))
        i++;
    return i;
}

void words_of_command(int result, const char *message, char *text, size_t text_bytes) {
    size_t used = 0;
    int is_quoted = 0;
    while (*message != 0 && used + 1 < text_bytes) {
        size_t i = is_quoted ? WORDS : words_find(result, message);
        const char *from = i < WORDS ? words[i].command : message;
        size_t bytes = i < WORDS ? strlen(from) : 1;
        is_quoted ^= *message == '"';
        message += i < WORDS ? strlen(words[i].library) : 1;
        if (bytes > text_bytes - 1 - used)
            bytes = text_bytes - 1 - used;
        memcpy(text + used, from, bytes);
        used += bytes;
    }
    text[used] = 0;
}
