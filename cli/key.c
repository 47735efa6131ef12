/* cli/key.c - keys of a table from key JSON and from plain text.
 *
 * Job      A number read from an item is in the engine's encoded form; a number given to the engine
 *          is text. Keys are converted here.
 * Tests    tests/cli/cli_test.sh
 */
#include "cli/key.h"

#include <stdlib.h>
#include <string.h>

#include "cli/base64.h"
#include "cli/report.h"

static const char *key_type_name(enum larder_type type) {
    return type == LARDER_S ? "S" : type == LARDER_N ? "N" : "B";
}

static int key_take(const struct larder_key_def *def, const struct larder_item *item, char *number_text,
                    struct larder_value *out) {
    struct larder_value value;
    if (larder_item_get(item, def->name, &value) != LARDER_OK)
        return report_error(EXIT_INPUT, "the key needs the attribute %s (%s)", def->name, key_type_name(def->type));
    if (value.type != def->type)
        return report_error(EXIT_INPUT, "key attribute %s is not of type %s", def->name, key_type_name(def->type));
    if (value.type == LARDER_N) {
        int result = larder_value_number(&value, number_text);
        if (result < 0)
            return report_result(result, def->name);
        value = larder_num(number_text);
    }
    *out = value;
    return EXIT_DONE;
}

int key_from_item(const struct larder_table_def *def, const struct larder_item *item, struct key *out) {
    memset(out, 0, sizeof *out);
    int code = key_take(&def->partition, item, out->partition_text, &out->key.partition);
    if (code == EXIT_DONE && def->sort.name != NULL)
        code = key_take(&def->sort, item, out->sort_text, &out->key.sort);
    if (code != EXIT_DONE)
        return code;
    uint32_t expected = def->sort.name != NULL ? 2 : 1;
    if (larder_item_count(item) != expected)
        return report_error(EXIT_INPUT, "a key of %s has %u attribute%s, not %u", def->name, expected,
                            expected == 1 ? "" : "s", larder_item_count(item));
    return EXIT_DONE;
}

int key_value_from_text(enum larder_type type, const char *text, const char *what, struct larder_value *out,
                        void **owned) {
    struct larder_value value = {.type = type, .data = text, .bytes = strlen(text)};
    *owned = NULL;
    if (type == LARDER_B) {
        *owned = malloc(base64_data_bytes_max(value.bytes) + 1);
        if (*owned == NULL)
            return report_error(EXIT_OTHER, "out of memory");
        if (!base64_decode(text, value.bytes, *owned, &value.bytes))
            return report_error(EXIT_INPUT, "%s is of type B here and takes base64, not \"%s\"", what, text);
        value.data = *owned;
    }
    *out = value;
    return EXIT_DONE;
}
