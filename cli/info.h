/* cli/info.h - what `larder info` knows of a segment: gathered once, printed as text or JSON. */
#ifndef LARDER_CLI_INFO_H
#define LARDER_CLI_INFO_H

#include <stddef.h>

#include "larder.h"

#define INFO_CLASSES_MAX 256
#define INFO_UUID_BYTES 37 /* text, with the final 0 */

struct info_table {
    const struct larder_table_def *def;
    struct larder_table_stats stats;
    struct larder_index_stats indexes[LARDER_INDEXES_MAX + 1];
    uint32_t index_count;
};

struct info {
    const char *segment;
    struct larder_segment_stats stats;
    struct larder_class_stats classes[INFO_CLASSES_MAX];
    uint32_t class_count;
    struct larder_slot_stats *slots;
    uint32_t slot_count;
    struct info_table *tables;
    uint32_t table_count;
};

/* Both print on standard output and return an exit code. */
int info_print_text(const struct info *info);
int info_print_json(const struct info *info);

/* Words for both (cli/info.c). */

/* The number of strings in the slot's lock_kinds. */
uint32_t info_lock_kinds(const struct larder_slot_stats *slot);
const char *info_uuid(const struct larder_segment_stats *stats, char *text);
const char *info_slot_state(const struct larder_slot_stats *slot); /* alive, stopped, dead */
const char *info_key_type(enum larder_type type);
const char *info_removal(const struct larder_table_def *def);
/* "Sieve" or "None" */
const char *info_eviction(const struct larder_table_def *def);
const char *info_projection(const struct larder_index_def *def);

#endif
