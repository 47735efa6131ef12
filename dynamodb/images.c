/* dynamodb/images.c - copies of items of one request. See images.h.
 *
 * Tests    tests/dynamodb/dynamodb_batch_test.c, dynamodb_transact_test.c
 */
#include "dynamodb/images.h"

#include <stdlib.h>
#include <string.h>

#include "core/item/item.h"

#define IMAGE_ALIGN 16u
#define FIRST_BYTES 65536u

int images_keep(struct images *images, const struct larder_item *item, size_t *place) {
    size_t bytes = item_head(item)->bytes, room = images->room;
    size_t at = (images->bytes + IMAGE_ALIGN - 1) / IMAGE_ALIGN * IMAGE_ALIGN;
    while (room < at + bytes)
        room = room ? 2 * room : FIRST_BYTES;
    if (room > images->room) {
        char *grown = realloc(images->at, room);
        if (!grown)
            return LARDER_E_NO_MEMORY;
        images->at = grown;
        images->room = room;
    }
    memcpy(images->at + at, item, bytes);
    images->bytes = at + bytes;
    *place = at;
    return LARDER_OK;
}

void images_free(struct images *images) {
    free(images->at);
    *images = (struct images){.at = NULL};
}
