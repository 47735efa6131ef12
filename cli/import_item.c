/* cli/import_item.c - one object of an import file: an item to put, or a key to delete.
 *
 * Rules    O1 An object is an item, unless it has the shape of something else and its members are
 *             no values of attributes (rule J3 of cli/json_item.c).
 *          O2 An entry of an incremental export without a NewImage is a deletion.
 *          O3 A list has the name of its table, but for Items and Responses, which pages of one
 *             table have. What is in a list of another table is passed over and counted.
 * Sources  DynamoDB developer guide, "DynamoDB table export output format"; API reference,
 *          BatchWriteItem, BatchGetItem.
 * Tests    tests/cli/import_test.sh
 */
#include "cli/import_item.h"

#include <stdio.h>
#include <string.h>

#include "cli/json_item.h"

/* Makes a failure of the library the problem. */
static int import_refused(struct place *place, int result) {
    if (result < 0)
        place_fail(place, "%s", larder_error());
    return result;
}

static int import_put(struct import_target *target, const json_t *json, struct place *place) {
    const struct larder_item *item;
    int result = json_item_build(target->builder, json, &item, place);
    if (result >= 0)
        result = import_refused(place, larder_put(target->table, item, NULL));
    target->put_count += result >= 0;
    return result;
}

/* One attribute of a key; the engine judges its type. */
static int import_key(const struct larder_item *item, const struct larder_key_def *def, struct larder_value *out,
                      struct place *place) {
    if (larder_item_get(item, def->name, out) != LARDER_OK)
        return place_fail(place, "the key needs the attribute %.80s", def->name);
    return out->type == def->type ? LARDER_OK
                                  : place_fail(place, "key attribute %.80s is not of the table's type", def->name);
}

static int import_delete(struct import_target *target, const json_t *json, struct place *place) {
    const struct larder_item *item;
    struct larder_key key = {.sort = {.bytes = 0}};
    int result = json_item_build(target->builder, json, &item, place);
    if (result >= 0)
        result = import_key(item, &target->def->partition, &key.partition, place);
    if (result >= 0 && target->def->sort.name != NULL)
        result = import_key(item, &target->def->sort, &key.sort, place);
    if (result >= 0)
        result = import_refused(place, larder_delete(target->table, &key, NULL));
    target->delete_count += result >= 0;
    return result >= 0 ? LARDER_OK : result; /* it may be gone already */
}

/* ---- Shapes ---------------------------------------------------------------------------------- */

/* The object's member, if it is an object and no value of an attribute (O1). */
static const json_t *import_member(const json_t *json, const char *name) {
    const json_t *member = json_object_get(json, name);
    return json_is_object(member) && !json_item_is_value(member) ? member : NULL;
}

/* O3 */
static bool import_is_other(const struct import_target *target, const char *list) {
    return list[0] != 0 && strcmp(list, target->name) != 0 && strcmp(list, "Items") != 0 &&
           strcmp(list, "Responses") != 0;
}

static int import_pass_over(struct import_target *target, const char *table, uint64_t entry_count) {
    target->other_count += entry_count;
    target->has_other = true;
    snprintf(target->other_table, sizeof target->other_table, "%s", table);
    return LARDER_OK;
}

static int import_request(struct import_target *target, const json_t *json, struct place *place) {
    const json_t *put = import_member(json, "PutRequest"),
                 *request = put != NULL ? put : import_member(json, "DeleteRequest");
    const json_t *argument = json_object_get(request, put != NULL ? "Item" : "Key");
    size_t mark = place_enter_name(place, put != NULL ? "PutRequest" : "DeleteRequest");
    int result;
    if (argument == NULL)
        result = place_fail(place, "%s is missing", put != NULL ? "Item" : "Key");
    else
        result = put != NULL ? import_put(target, argument, place) : import_delete(target, argument, place);
    place_leave(place, mark);
    return result;
}

/* O2 */
static int import_entry(struct import_target *target, const json_t *json, struct place *place) {
    const json_t *image = import_member(json, "NewImage");
    place_enter_name(place, image != NULL ? "NewImage" : "Keys");
    return image != NULL ? import_put(target, image, place)
                         : import_delete(target, json_object_get(json, "Keys"), place);
}

/* An item, or a request. */
static int import_one_item(struct import_target *target, const json_t *json, struct place *place) {
    bool is_request = json_object_size(json) == 1 &&
                      (import_member(json, "PutRequest") != NULL || import_member(json, "DeleteRequest") != NULL);
    return is_request ? import_request(target, json, place) : import_put(target, json, place);
}

static int import_list(struct import_target *target, const char *table, json_t *list, struct place *place) {
    if (!json_is_array(list))
        return place_fail(place, "needs a list");
    if (strcmp(table, target->name) != 0)
        return import_pass_over(target, table, json_array_size(list));
    int result = LARDER_OK;
    target->has_own = true;
    for (size_t i = 0; i < json_array_size(list) && result >= 0; i++) {
        size_t mark = place_enter_index(place, i);
        result = import_one_item(target, json_array_get(list, i), place);
        place_leave(place, mark);
    }
    return result;
}

/* {"Table": [..], "Other": [..]} */
static int import_lists(struct import_target *target, const json_t *lists, struct place *place) {
    const char *table;
    json_t *list;
    int result = LARDER_OK;
    json_object_foreach((json_t *)lists, table, list) {
        if (result < 0)
            break;
        size_t mark = place_enter_name(place, table);
        result = import_list(target, table, list, place);
        place_leave(place, mark);
    }
    return result;
}

/* Whether these are lists by table: no attribute is a list. Most are cut into their elements before
 * (cli/json_pieces.h); not those of a file in which all are empty. */
static bool import_is_lists(const json_t *json) {
    const char *name;
    json_t *list;
    json_object_foreach((json_t *)json, name, list) if (!json_is_array(list)) return false;
    return json_object_size(json) > 0;
}

int import_item(struct import_target *target, const json_t *json, const char *list, struct place *place) {
    static const char *const by_table[] = {"Responses", "RequestItems", "UnprocessedItems"};
    if (import_is_other(target, list))
        return import_pass_over(target, list, 1);
    if (import_member(json, "Keys") != NULL &&
        (import_member(json, "NewImage") != NULL || import_member(json, "OldImage") != NULL ||
         import_member(json, "Metadata") != NULL))
        return import_entry(target, json, place);
    for (size_t i = 0; i < sizeof by_table / sizeof by_table[0]; i++) {
        const json_t *lists = import_member(json, by_table[i]);
        if (lists == NULL)
            continue;
        place_enter_name(place, by_table[i]);
        return import_lists(target, lists, place);
    }
    return import_is_lists(json) ? import_lists(target, json, place) : import_one_item(target, json, place);
}
