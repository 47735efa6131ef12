/* cli/table_update.c - makes a table that exists what a definition says.
 *
 * Job      For `larder create --update`. Everything is checked before anything is changed
 *          (table_update_check()); each change is one call of the library, complete in itself.
 * Why      Eviction is never switched off here: a template has no word for it, so a run without
 *          --evict says nothing about it.
 * Tests    tests/cli/table_test.sh
 */
#include "cli/table_update.h"

#include <stdbool.h>
#include <string.h>

#include "cli/index_keys.h"
#include "cli/report.h"

static bool update_is_same_text(const char *a, const char *b) {
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool update_is_same_key(const struct larder_key_def *a, const struct larder_key_def *b) {
    return update_is_same_text(a->name, b->name) && (a->name == NULL || a->type == b->type);
}

static bool update_includes(const struct larder_index_def *index, const char *name) {
    for (uint32_t i = 0; i < index->included_count; i++)
        if (strcmp(index->included[i], name) == 0)
            return true;
    return false;
}

static bool update_is_same_index(const struct larder_index_def *a, const struct larder_index_def *b) {
    if ((a->is_local != 0) != (b->is_local != 0) || index_keys_partition(a) != index_keys_partition(b) ||
        index_keys_count(a) != index_keys_count(b) || a->projection != b->projection ||
        a->included_count != b->included_count)
        return false;
    for (uint32_t i = 0; i < index_keys_count(a); i++)
        if (!update_is_same_key(index_keys_at(a, i), index_keys_at(b, i)))
            return false;
    for (uint32_t i = 0; i < a->included_count; i++)
        if (!update_includes(b, a->included[i]))
            return false;
    return true;
}

static const struct larder_index_def *update_find(const struct larder_table_def *def, const char *name) {
    for (uint32_t i = 0; i < def->index_count; i++)
        if (strcmp(def->indexes[i].name, name) == 0)
            return &def->indexes[i];
    return NULL;
}

int table_update_check(const struct larder_table_def *there, const struct larder_table_def *wanted) {
    int code = EXIT_DONE;
    if (!update_is_same_key(&there->partition, &wanted->partition) || !update_is_same_key(&there->sort, &wanted->sort))
        code = report_error(EXIT_OTHER, "table %s: the key of a table cannot be changed", wanted->name);
    for (uint32_t i = 0; i < wanted->index_count; i++) {
        const struct larder_index_def *index = &wanted->indexes[i], *old = update_find(there, index->name);
        if (old == NULL && index->is_local)
            code = report_error(EXIT_OTHER, "table %s: a local index (%s) cannot be added to a table", wanted->name,
                                index->name);
        if (old != NULL && (old->is_local || index->is_local) && !update_is_same_index(old, index))
            code =
                report_error(EXIT_OTHER, "table %s: a local index (%s) cannot be changed", wanted->name, index->name);
    }
    for (uint32_t i = 0; i < there->index_count; i++)
        if (there->indexes[i].is_local && update_find(wanted, there->indexes[i].name) == NULL)
            code = report_error(EXIT_OTHER, "table %s: a local index (%s) cannot be dropped", wanted->name,
                                there->indexes[i].name);
    return code;
}

/* Reports one change, or why it failed. */
static int update_done(int result, const char *table, const char *what, const char *name) {
    if (result < 0)
        return report_result(result, table);
    report_note("table %s: %s%s", table, what, name);
    return EXIT_DONE;
}

/* Whether the other definition has this index, as it is. */
static bool update_has(const struct larder_table_def *def, const struct larder_index_def *index) {
    const struct larder_index_def *other = update_find(def, index->name);
    return other != NULL && update_is_same_index(other, index);
}

/* An index that is to change is dropped and added again. */
static int update_indexes(struct larder_table *table, const struct larder_table_def *there,
                          const struct larder_table_def *wanted) {
    int code = EXIT_DONE;
    for (uint32_t i = 0; i < there->index_count && code == EXIT_DONE; i++)
        if (!update_has(wanted, &there->indexes[i]))
            code = update_done(larder_index_drop(table, there->indexes[i].name), wanted->name, "dropped index ",
                               there->indexes[i].name);
    for (uint32_t i = 0; i < wanted->index_count && code == EXIT_DONE; i++)
        if (!update_has(there, &wanted->indexes[i]))
            code = update_done(larder_index_add(table, &wanted->indexes[i]), wanted->name, "added index ",
                               wanted->indexes[i].name);
    return code;
}

int table_update(struct larder *db, const struct larder_table_def *wanted) {
    struct larder_table *table;
    const struct larder_table_def *there;
    const char *name = wanted->name;
    int result = larder_table_open(db, name, &table);
    if (result >= 0)
        result = larder_table_describe(table, &there);
    if (result < 0)
        return report_result(result, name);
    int code = update_indexes(table, there, wanted);
    if (code == EXIT_DONE && !update_is_same_text(there->ttl_attribute, wanted->ttl_attribute))
        code = update_done(larder_ttl_set(table, wanted->ttl_attribute), name, "the TTL attribute is now ",
                           wanted->ttl_attribute != NULL ? wanted->ttl_attribute : "none");
    if (code == EXIT_DONE && there->removal != wanted->removal)
        code = update_done(larder_removal_set(table, wanted->removal), name, "the removal policy is now ",
                           wanted->removal == LARDER_REMOVAL_RETAIN ? "Retain" : "Delete");
    if (code == EXIT_DONE && there->eviction != wanted->eviction && wanted->eviction == LARDER_EVICTION_SIEVE)
        code = update_done(larder_eviction_set(table, LARDER_EVICTION_SIEVE), name, "the eviction policy is now ",
                           "Sieve");
    return code;
}
