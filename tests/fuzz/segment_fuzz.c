/* tests/fuzz/segment_fuzz.c - a segment with damaged bytes never crashes, hangs or misleads a
 * process.
 *
 * Input    Byte 0 chooses the template (a sound segment, or one with a writer that died in the
 *          middle), then edits of 8 bytes each (struct damage_edit): which structure, which of
 *          them, which word, what it becomes.
 * Verdict  tests/crash/damage.h. libFuzzer's -timeout finds a hang; the address sanitizer watches
 *          private memory.
 */
#include <stdint.h>
#include <string.h>

#include "tests/crash/damage.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    damage_prepare();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct damage_edit edits[DAMAGE_EDITS_MAX];
    if (size < 1)
        return 0;
    uint32_t count = (uint32_t)((size - 1) / sizeof *edits);
    if (count > DAMAGE_EDITS_MAX)
        count = DAMAGE_EDITS_MAX;
    memcpy(edits, data + 1, count * sizeof *edits);
    damage_try(&damage_templates[data[0] % DAMAGE_TEMPLATES], edits, count);
    return 0;
}
