/* cli/info.c - words that larder info shows, the same in text and JSON.
 *
 * Tests    tests/cli/cli_test.sh
 */
#include "cli/info.h"

#include <stdbool.h>
#include <stdio.h>

uint32_t info_lock_kinds(const struct larder_slot_stats *slot) {
    uint32_t count = 0, count_max = sizeof slot->lock_kinds / sizeof slot->lock_kinds[0];
    while (count < count_max && count < slot->lock_count && slot->lock_kinds[count] != NULL)
        count++;
    return count;
}

const char *info_uuid(const struct larder_segment_stats *stats, char *text) {
    size_t at = 0;
    for (size_t i = 0; i < sizeof stats->uuid; i++) {
        bool is_dash = i == 4 || i == 6 || i == 8 || i == 10;
        at += (size_t)snprintf(text + at, INFO_UUID_BYTES - at, "%s%02x", is_dash ? "-" : "", stats->uuid[i]);
    }
    return text;
}

const char *info_slot_state(const struct larder_slot_stats *slot) {
    return !slot->is_alive ? "dead" : slot->is_stopped ? "stopped" : "alive";
}

const char *info_key_type(enum larder_type type) {
    return type == LARDER_S ? "S" : type == LARDER_N ? "N" : "B";
}

const char *info_removal(const struct larder_table_def *def) {
    return def->removal == LARDER_REMOVAL_RETAIN ? "Retain" : "Delete";
}

const char *info_projection(const struct larder_index_def *def) {
    return def->projection == LARDER_PROJECT_ALL       ? "ALL"
           : def->projection == LARDER_PROJECT_INCLUDE ? "INCLUDE"
                                                       : "KEYS_ONLY";
}

const char *info_eviction(const struct larder_table_def *def) {
    return def->eviction == LARDER_EVICTION_SIEVE ? "Sieve" : "None";
}
