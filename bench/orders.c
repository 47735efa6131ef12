/* bench/orders.c - see orders.h. */
#include "bench/orders.h"

#include <stdio.h>

#include "bench/fail.h"

static const char *const texts[] = {"pending",     "Amsterdam",           "EUR",
                                    "standard",    "2026-11-30T12:00Z",   "a comment of a customer who is content",
                                    "warehouse-7", "0123456789abcdef0123"};
static const char *const names[] = {"status", "city", "currency", "shipping", "updated", "comment", "from", "trace"};
#define TEXTS (sizeof texts / sizeof *texts)

struct order_key order_key(uint32_t n) {
    struct order_key k;
    snprintf(k.partition, sizeof k.partition, "CUSTOMER#%08u", n / ORDERS_ROWS);
    snprintf(k.sort, sizeof k.sort, "ORDER#%04u", n % ORDERS_ROWS);
    return k;
}

const struct larder_item *order_build(struct larder_builder *b, uint32_t n, const struct order_key *k) {
    const struct larder_item *item;
    larder_builder_reset(b);
    larder_builder_add_s(b, "PK", k->partition);
    larder_builder_add_s(b, "SK", k->sort);
    for (size_t i = 0; i < TEXTS; i++)
        larder_builder_add_s(b, names[i], texts[i]);
    larder_builder_add_int(b, "total", 1250 + n);
    larder_builder_add_int(b, "version", 3);
    if (larder_builder_finish(b, &item) != LARDER_OK)
        fail("%s", larder_error());
    return item;
}

size_t order_write_item(uint32_t n, char *to, size_t room) {
    struct order_key k = order_key(n);
    size_t used = (size_t)snprintf(to, room, "{\"PK\":{\"S\":\"%s\"},\"SK\":{\"S\":\"%s\"}", k.partition, k.sort);
    for (size_t i = 0; i < TEXTS; i++)
        used += (size_t)snprintf(to + used, room - used, ",\"%s\":{\"S\":\"%s\"}", names[i], texts[i]);
    used += (size_t)snprintf(to + used, room - used, ",\"total\":{\"N\":\"%u\"},\"version\":{\"N\":\"3\"}}", 1250 + n);
    if (used >= room)
        fail("no room for an item of %zu bytes", used);
    return used;
}

#define TABLE "{\"TableName\":\"" ORDERS_TABLE "\","
#define KEY "\"Key\":{\"PK\":{\"S\":\"%s\"},\"SK\":{\"S\":\"%s\"}}"

static size_t write_get(uint32_t n, char *to) {
    struct order_key k = order_key(n);
    return (size_t)snprintf(to, ORDERS_REQUEST_BYTES, TABLE KEY "}", k.partition, k.sort);
}

static size_t write_put(uint32_t n, char *to) {
    size_t used = (size_t)snprintf(to, ORDERS_REQUEST_BYTES, TABLE "\"Item\":");
    used += order_write_item(n, to + used, ORDERS_REQUEST_BYTES - used - 1);
    to[used] = '}';
    return used + 1;
}

static size_t write_update(uint32_t n, char *to) {
    struct order_key k = order_key(n);
    return (size_t)snprintf(to, ORDERS_REQUEST_BYTES,
                            TABLE KEY ",\"UpdateExpression\":\"" ORDERS_UPDATE
                                      "\",\"ExpressionAttributeValues\":{\":one\":{\"N\":\"1\"}}}",
                            k.partition, k.sort);
}

static size_t write_query(uint32_t n, char *to) {
    struct order_key k = order_key(n);
    return (size_t)snprintf(to, ORDERS_REQUEST_BYTES,
                            TABLE "\"KeyConditionExpression\":\"PK = :pk\","
                                  "\"ExpressionAttributeValues\":{\":pk\":{\"S\":\"%s\"}}}",
                            k.partition);
}

const struct order_operation order_operations[ORDER_OPERATIONS] = {[ORDER_GET] = {"GetItem", write_get},
                                                                   [ORDER_PUT] = {"PutItem", write_put},
                                                                   [ORDER_UPDATE] = {"UpdateItem", write_update},
                                                                   [ORDER_QUERY] = {"Query", write_query}};

uint64_t order_draw(uint64_t *state) {
    *state ^= *state << 13, *state ^= *state >> 7, *state ^= *state << 17;
    return *state;
}
