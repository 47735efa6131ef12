/* tests/fuzz/image_seeds.c - makes a corpus of item images out of items in DynamoDB JSON.
 *
 * Usage    image_seeds FOLDER <items.jsonl
 * Job      Per line two files: the image as a builder makes it, and as a table with the keys PK and
 *          SK and an index on each of GSI1PK/GSI1SK stores it. The corpus of item_decode was made
 *          with this. It must be made again when the format of images changes.
 */
#include <jansson.h>
#include <stdio.h>

#include "cli/json_item.h"
#include "cli/json_text.h"
#include "tests/fuzz/fuzz.h"

static int save(const char *folder, int line, const char *kind, const struct item_head *image) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%03d-%s", folder, line, kind);
    FILE *file = fopen(path, "we");
    if (!file || fwrite(image, 1, image->bytes, file) != image->bytes || fclose(file)) {
        perror(path);
        return 0;
    }
    return 1;
}

static int save_both(const char *folder, int line, const struct larder_item *item) {
    struct item_index_shape index = {
        .name = "GSI1", .partition = {"GSI1PK", 6, LARDER_S}, .sort = {"GSI1SK", 6, LARDER_S}, .is_lenient = 1};
    struct item_shape shape = {
        .partition = {"PK", 2, LARDER_S}, .sort = {"SK", 2, LARDER_S}, .index_count = 1, .indexes = &index};
    struct item_head *stored;
    void *to = calloc(1, item_stored_bytes_max(&shape, item));
    int is_done = save(folder, line, "built", item_head(item));
    if (is_done && item_to_stored(&shape, item, 0, to, &stored) == LARDER_OK)
        is_done = save(folder, line, "stored", stored);
    free(to);
    return is_done;
}

int main(int argc, char **argv) {
    static char text[1 << 20];
    struct larder_options options = {.flags = LARDER_CREATE | LARDER_MEMFD, .memfd = -1, .size_bytes = 4u << 20};
    struct larder *db;
    struct larder_builder *b;
    if (argc != 2 || larder_open(&options, &db) || larder_builder_new(db, &b))
        return 2;
    for (int line = 1; fgets(text, sizeof text, stdin); line++) {
        const struct larder_item *item;
        struct place place = {.path_bytes = 0};
        json_error_t error;
        json_t *json = json_loads(text, JSON_TEXT_ITEM, &error);
        int r = json ? json_item_build(b, json, &item, &place) : LARDER_E_INVAL;
        json_decref(json);
        if (r || !save_both(argv[1], line, item)) {
            fprintf(stderr, "line %d: %s%s\n", line, json ? "" : error.text, place.problem);
            return 1;
        }
    }
    larder_builder_free(b);
    larder_close(db);
    return 0;
}
