/* bench/place.h - a segment of Larder alone, for the measurements that have no peers. */
#ifndef LARDER_BENCH_PLACE_H
#define LARDER_BENCH_PLACE_H

#include "bench/dataset.h"
#include "larder.h"

#define PLACE_START_S INT64_C(1800000000)
#define PLACE_ITEM_BYTES_MAX (400u << 10)

/* One attachment, with the table "special" of `indexes` indexes. Its clock is place_now_s. */
struct place {
    struct larder *db;
    struct larder_table *table;
    struct larder_builder *builder;
    struct larder_page *page;
    int indexes;
};

extern int64_t place_now_s;

/* Ends the program if a call failed. */
void place_must(int result, const char *what);
/* memfd -1: makes a segment of so many bytes, and its table. */
void place_open(struct place *p, int memfd, uint64_t size_bytes);
/* Item n, of item_bytes as DynamoDB counts them, or a few more if the keys need them. Valid until
 * the next call. */
const struct larder_item *place_item(struct place *p, uint64_t n, size_t item_bytes, int64_t expires_s);
struct larder_key place_key(const struct bench_key *k);

#endif
