/* cli/table_diff.c - how an existing table differs from a definition.
 *
 * Job      For `larder create --if-not-exists`: a table that is left as it is may not be the one
 *          that the template asks for.
 * Tests    tests/cli/cli_test.sh
 */
#include "cli/table_diff.h"

#include <stdio.h>
#include <string.h>

#include "cli/index_keys.h"
#include "cli/report.h"

#define DIFF_KEY_BYTES (2 * LARDER_KEY_ATTRIBUTES_MAX * (LARDER_NAME_BYTES_MAX + 16))

static const char *diff_type(enum larder_type type) {
    return type == LARDER_S ? "S" : type == LARDER_N ? "N" : "B";
}

/* "PK (S), SK (N)" */
static const char *diff_keys(const struct larder_key_def *partition, const struct larder_key_def *sort,
                             char text[DIFF_KEY_BYTES]) {
    int used = snprintf(text, DIFF_KEY_BYTES, "%s (%s)", partition->name, diff_type(partition->type));
    if (sort->name != NULL)
        snprintf(text + used, DIFF_KEY_BYTES - (size_t)used, ", %s (%s)", sort->name, diff_type(sort->type));
    return text;
}

/* "shop (S) HASH, region (S) HASH, day (N) RANGE" */
static const char *diff_index_keys(const struct larder_index_def *index, char text[DIFF_KEY_BYTES]) {
    int used = 0;
    if (index->partition_more_count == 0 && index->sort_more_count == 0)
        return diff_keys(&index->partition, &index->sort, text);
    for (uint32_t i = 0; i < index_keys_count(index); i++) {
        const struct larder_key_def *key = index_keys_at(index, i);
        used += snprintf(text + used, DIFF_KEY_BYTES - (size_t)used, "%s%s (%s) %s", i > 0 ? ", " : "", key->name,
                         diff_type(key->type), i < index_keys_partition(index) ? "HASH" : "RANGE");
    }
    return text;
}

static int diff_is_same_text(const char *a, const char *b) {
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* `of`: "table X" or "index Y of table X". */
static unsigned diff_texts(const char *of, const char *what, const char *there, const char *wanted) {
    if (diff_is_same_text(there, wanted))
        return 0;
    report_note("%s: %s is %s, not %s", of, what, there != NULL ? there : "none", wanted != NULL ? wanted : "none");
    return 1;
}

static const struct larder_index_def *diff_find(const struct larder_table_def *def, const char *name) {
    for (uint32_t i = 0; i < def->index_count; i++)
        if (strcmp(def->indexes[i].name, name) == 0)
            return &def->indexes[i];
    return NULL;
}

static int diff_includes(const struct larder_index_def *index, const char *name) {
    for (uint32_t i = 0; i < index->included_count; i++)
        if (strcmp(index->included[i], name) == 0)
            return 1;
    return 0;
}

static unsigned diff_included(const char *of, const struct larder_index_def *there,
                              const struct larder_index_def *wanted) {
    unsigned count = 0;
    for (uint32_t i = 0; i < wanted->included_count; i++)
        if (!diff_includes(there, wanted->included[i])) {
            report_note("%s: %s is not projected", of, wanted->included[i]);
            count++;
        }
    for (uint32_t i = 0; i < there->included_count; i++)
        if (!diff_includes(wanted, there->included[i])) {
            report_note("%s: %s is projected, too", of, there->included[i]);
            count++;
        }
    return count;
}

static const char *diff_projection(enum larder_projection projection) {
    return projection == LARDER_PROJECT_ALL ? "ALL" : projection == LARDER_PROJECT_KEYS_ONLY ? "KEYS_ONLY" : "INCLUDE";
}

static unsigned diff_index(const char *table, const struct larder_index_def *there,
                           const struct larder_index_def *wanted) {
    char of[2 * LARDER_NAME_BYTES_MAX + 32], a[DIFF_KEY_BYTES], b[DIFF_KEY_BYTES];
    snprintf(of, sizeof of, "index %s of table %s", wanted->name, table);
    unsigned count =
        diff_texts(of, "the kind", there->is_local ? "local" : "global", wanted->is_local ? "local" : "global");
    count += diff_texts(of, "the key", diff_index_keys(there, a), diff_index_keys(wanted, b));
    count += diff_texts(of, "the projection", diff_projection(there->projection), diff_projection(wanted->projection));
    return count + (there->projection == wanted->projection ? diff_included(of, there, wanted) : 0);
}

unsigned table_diff(const struct larder_table_def *there, const struct larder_table_def *wanted) {
    char of[LARDER_NAME_BYTES_MAX + 16], a[DIFF_KEY_BYTES], b[DIFF_KEY_BYTES];
    snprintf(of, sizeof of, "table %s", wanted->name);
    unsigned count = diff_texts(of, "the key", diff_keys(&there->partition, &there->sort, a),
                                diff_keys(&wanted->partition, &wanted->sort, b));
    count += diff_texts(of, "the TTL attribute", there->ttl_attribute, wanted->ttl_attribute);
    count += diff_texts(of, "the removal policy", there->removal == LARDER_REMOVAL_RETAIN ? "Retain" : "Delete",
                        wanted->removal == LARDER_REMOVAL_RETAIN ? "Retain" : "Delete");
    count += diff_texts(of, "the eviction policy", there->eviction == LARDER_EVICTION_SIEVE ? "Sieve" : "None",
                        wanted->eviction == LARDER_EVICTION_SIEVE ? "Sieve" : "None");
    for (uint32_t i = 0; i < wanted->index_count; i++) {
        const struct larder_index_def *index = diff_find(there, wanted->indexes[i].name);
        if (index == NULL)
            report_note("%s: it has no index %s", of, wanted->indexes[i].name);
        count += index == NULL ? 1 : diff_index(wanted->name, index, &wanted->indexes[i]);
    }
    for (uint32_t i = 0; i < there->index_count; i++)
        if (diff_find(wanted, there->indexes[i].name) == NULL) {
            report_note("%s: it also has an index %s", of, there->indexes[i].name);
            count++;
        }
    return count;
}
