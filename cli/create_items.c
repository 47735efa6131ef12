/* cli/create_items.c - the items that come with a table's template.
 *
 * Tests    tests/cli/template_test.sh
 */
#include "cli/create_items.h"

#include <string.h>

#include "cli/json_item.h"
#include "cli/report.h"

static int create_item(struct larder_table *to, struct larder_builder *builder, json_t *json,
                       const struct template_table *table, struct place *place, int is_trial) {
    const struct larder_item *item;
    int result = json_item_build(builder, json, &item, place);
    if (result < 0)
        return report_error(report_exit_of(result), "%s: table %s: %s", table->source, table->def.name, place->problem);
    result = larder_put(to, item, NULL);
    if (result >= 0 || (is_trial && result != LARDER_E_INVAL))
        return EXIT_DONE;
    return report_error(report_exit_of(result), "%s: table %s: %s: %s", table->source, table->def.name, place->path,
                        larder_error());
}

int create_items_put(struct larder *db, const struct template_table *table, int is_trial) {
    struct larder_table *to;
    struct larder_builder *builder = NULL;
    if (table->items == NULL)
        return EXIT_DONE;
    int result = larder_table_open(db, table->def.name, &to), code = EXIT_DONE;
    if (result >= 0)
        result = larder_builder_new(db, &builder);
    if (result < 0)
        return is_trial ? EXIT_DONE : report_result(result, table->def.name);
    for (size_t i = 0; i < json_array_size(table->items) && code == EXIT_DONE; i++) {
        struct place place = {0};
        place_enter_name(&place, "TableData");
        place_enter_index(&place, i);
        code = create_item(to, builder, json_array_get(table->items, i), table, &place, is_trial);
    }
    larder_builder_free(builder);
    if (code == EXIT_DONE && !is_trial)
        report_note("table %s: stored %zu item%s", table->def.name, json_array_size(table->items),
                    json_array_size(table->items) == 1 ? "" : "s");
    return code;
}
