/* tests/unit/dynamodb/writer_text_kit.c - dynamodb/json_writer.c above it. See item_text_kit.h. */
#include "tests/unit/dynamodb/item_text_kit.h"

#define json_item_put narrow_item_put
#define json_items_put narrow_items_put
#define json_writer_begin narrow_writer_begin
#define json_writer_begin_item narrow_writer_begin_item
#define json_writer_finish narrow_writer_finish
#define json_writer_free narrow_writer_free
#include "dynamodb/json_writer.c"
