/* tests/unit/dynamodb/item_text_kit.c - dynamodb/json_item.c as a processor without 32-byte
 * registers runs it. See item_text_kit.h. */
#include "tests/unit/dynamodb/item_text_kit.h"

#include "core/base/wide.h"

#define wide_is_here() 0
#define json_item_put narrow_item_put
#define json_items_put narrow_items_put
#include "dynamodb/json_item.c"
