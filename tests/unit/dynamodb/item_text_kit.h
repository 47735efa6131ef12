/* tests/unit/dynamodb/item_text_kit.h - the writer of JSON under other names, without 32-byte
 * registers. */
#ifndef LARDER_TESTS_ITEM_TEXT_KIT_H
#define LARDER_TESTS_ITEM_TEXT_KIT_H

#include "dynamodb/json_writer.h"

void narrow_writer_begin(struct json_writer *w);
void narrow_writer_begin_item(struct json_writer *w, const struct larder_item *item);
int narrow_writer_finish(struct json_writer *w);
void narrow_writer_free(struct json_writer *w);
void narrow_item_put(struct json_places *places, struct json_item *item);
uint32_t narrow_items_put(struct json_places *places, const struct larder_item *const *items, uint32_t count,
                          size_t needs_comma, struct json_item *stopped);

#endif
