/* bench/orders.h - the items of the benchmarks of DynamoDB's API, and requests for them in JSON.
 *
 * Picture  Items of 300 bytes in 12 attributes, in partitions of ORDERS_ROWS.
 */
#ifndef LARDER_BENCH_ORDERS_H
#define LARDER_BENCH_ORDERS_H

#include <stddef.h>
#include <stdint.h>

#include "larder.h"

#define ORDERS_ROWS 20u
#define ORDERS_TABLE "orders"
#define ORDERS_REQUEST_BYTES 640u /* at most, of one item's */
#define ORDERS_UPDATE "SET version = version + :one"

struct order_key {
    char partition[32], sort[16];
};

struct order_key order_key(uint32_t n);
/* The item; it lives in the builder. */
const struct larder_item *order_build(struct larder_builder *b, uint32_t n, const struct order_key *k);
/* {"PK": .., ..} as an Item has it; returns its bytes. `room`: of `to`. */
size_t order_write_item(uint32_t n, char *to, size_t room);

/* An operation as a request for item n, or for its partition. Returns the bytes. */
struct order_operation {
    const char *name;
    size_t (*write)(uint32_t n, char *to);
};

enum { ORDER_GET, ORDER_PUT, ORDER_UPDATE, ORDER_QUERY, ORDER_OPERATIONS };
extern const struct order_operation order_operations[ORDER_OPERATIONS];

/* Draws that look random and are the same in each run. */
uint64_t order_draw(uint64_t *state);
#define ORDER_DRAWS UINT64_C(88172645463325252)

#endif
