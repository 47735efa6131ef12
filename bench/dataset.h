/* bench/dataset.h - the items that every engine is given, as a function of their number.
 *
 * Job      Keys, index keys and payload of item n, made at the speed of a few stores, so that
 *          making a key costs every engine and the limit probe the same ten nanoseconds.
 * Picture  item n: partition key "SHOP#0001234.example.com" (24 bytes, n / 100), sort key of 31
 *          bytes (n % 100): together 55 bytes, 100 items to a partition.
 *          index 0 "GSI1"         the item's own shop, by a scattered date      partitions of 100
 *          index 1 "GSI2"         100,000 items to a partition, by date         the hot partition
 *          index 2 "GSI3"         1,000 items to a partition, by date
 *          index 3 "StatusIndex"  the item's own shop, by one of five states
 */
#ifndef LARDER_BENCH_DATASET_H
#define LARDER_BENCH_DATASET_H

#include <stddef.h>
#include <stdint.h>

#define PK_BYTES 24u
#define SK_BYTES 31u
#define KEY_BYTES (PK_BYTES + SK_BYTES)
#define PARTITION_ITEMS 100u
#define HOT_PARTITION_ITEMS 100000u
#define INDEX_COUNT 4
#define DATE_BYTES 15u    /* "2026-" and ten digits */
#define INDEX_KEY_MAX 48u /* longest partition or sort key of an index */
#define QUERY_LIMIT 20u
#define QUERY_PAGE_LIMIT (PARTITION_ITEMS - 1)

/* The two parts lie together: an engine with plain keys takes the 55 bytes as they are. */
struct bench_key {
    char pk[PK_BYTES];
    char sk[SK_BYTES];
};

struct index_key {
    char partition[INDEX_KEY_MAX], sort[INDEX_KEY_MAX];
    uint32_t partition_bytes, sort_bytes;
};

void dataset_key(uint64_t n, struct bench_key *key);

/* `version` moves the item within (not between) the partitions of index 1 and 2; 0: as loaded. */
void dataset_index_key(uint64_t n, int index, uint32_t version, struct index_key *key);

/* How many items of item n's partition of index 0 do not sort before it. */
unsigned dataset_items_from(uint64_t n);

/* The key of an index entry in an engine with plain keys: index partition key, 0, sort key, 0,
 * primary key. So a cursor finds the items of a partition in order, and the last 55 bytes are the
 * primary key. Returns its bytes. */
#define INDEX_ENTRY_MAX (2 * INDEX_KEY_MAX + 2 + KEY_BYTES)
size_t dataset_index_entry(uint64_t n, int index, uint32_t version, char *to);

extern const char *const dataset_index_names[INDEX_COUNT];
extern const char *const dataset_index_attributes[INDEX_COUNT][2];

/* Fills `bytes` of payload that differ from item to item and from version to version. */
void dataset_payload(uint64_t n, uint32_t version, char *to, size_t bytes);

/* An application's own variables before it builds an item: the texts of all attributes. */
struct item_values {
    struct bench_key key;
    struct index_key index[INDEX_COUNT];
    int indexes;
    int64_t expires_s;   /* 0 never */
    uint32_t data_bytes; /* of the attribute that makes the item as large as it should be */
    const char *data;
};
/* item_bytes: of the whole item, as DynamoDB counts names and values. */
void dataset_values(uint64_t n, uint32_t version, int indexes, uint32_t item_bytes, int expires,
                    struct item_values *to);

/* splitmix64's finaliser: scatters a number. */
static inline uint64_t dataset_mix(uint64_t x) {
    x += UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

#endif
