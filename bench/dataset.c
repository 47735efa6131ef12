/* bench/dataset.c - the items. See dataset.h. */
#include "bench/dataset.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

const char *const dataset_index_names[INDEX_COUNT] = {"GSI1", "GSI2", "GSI3", "StatusIndex"};
const char *const dataset_index_attributes[INDEX_COUNT][2] = {
    {"GSI1PK", "GSI1SK"}, {"GSI2PK", "GSI2SK"}, {"GSI3PK", "GSI3SK"}, {"ShopDomain", "Status"}};

static void put_digits(char *to, unsigned count, uint64_t value) {
    for (unsigned i = count; i-- > 0; value /= 10)
        to[i] = (char)('0' + value % 10);
}

/* Exactly as long as they are, without a 0. */
static const char shop_text[PK_BYTES] = "SHOP#0000000.example.com";
static const char job_text[SK_BYTES] = "JOB#01HV5Z8Q3M2N7R4T6W8Y0A1B000";

static void put_shop(uint64_t n, char *to) {
    memcpy(to, shop_text, PK_BYTES); // NOLINT(bugprone-not-null-terminated-result): no 0 is wanted
    put_digits(to + 5, 7, n / PARTITION_ITEMS);
}

void dataset_key(uint64_t n, struct bench_key *key) {
    put_shop(n, key->pk);
    memcpy(key->sk, job_text, SK_BYTES);
    put_digits(key->sk + SK_BYTES - 3, 3, n % PARTITION_ITEMS);
}

static uint64_t date_of(uint64_t n, uint32_t version) {
    return dataset_mix(n + ((uint64_t)version << 40)) % UINT64_C(10000000000);
}

static uint32_t put_date(uint64_t n, uint32_t version, char *to) {
    memcpy(to, "2026-", 5); // NOLINT(bugprone-not-null-terminated-result)
    put_digits(to + 5, 10, date_of(n, version));
    return DATE_BYTES;
}

unsigned dataset_items_from(uint64_t n) {
    uint64_t first = n - n % PARTITION_ITEMS, date = date_of(n, 0);
    unsigned count = 0;
    for (uint64_t m = first; m < first + PARTITION_ITEMS; m++)
        count += date_of(m, 0) >= date;
    return count;
}

void dataset_index_key(uint64_t n, int index, uint32_t version, struct index_key *key) {
    static const char *const states[] = {"COMPLETED", "FAILED", "PROCESSING", "QUEUED", "CANCELLED"};
    switch (index) {
    case 0:
        put_shop(n, key->partition);
        key->partition_bytes = PK_BYTES;
        key->sort_bytes = put_date(n, 0, key->sort);
        break;
    case 1:
    case 2:
        memcpy(key->partition, index == 1 ? "JOBS#0000000" : "PLAN#0000000", 12);
        put_digits(key->partition + 5, 7, n / (index == 1 ? HOT_PARTITION_ITEMS : 1000));
        key->partition_bytes = 12;
        key->sort_bytes = put_date(n, version, key->sort);
        break;
    default:
        put_shop(n, key->partition);
        key->partition_bytes = PK_BYTES;
        key->sort_bytes = (uint32_t)snprintf(key->sort, sizeof key->sort, "%s", states[n % 5]);
    }
}

void dataset_payload(uint64_t n, uint32_t version, char *to, size_t bytes) {
    uint64_t word = dataset_mix(n ^ (uint64_t)version << 48);
    for (size_t i = 0; i < bytes; i++) {
        to[i] = (char)('a' + (word & 15));
        word = word >> 4 | word << 60;
    }
}

/* Texts of all payloads: item n's begins somewhere in it. Made once, and read only. */
#define TEXT_BYTES (1u << 16)
#define PAYLOAD_MAX 8192u
static char payload_text[TEXT_BYTES + PAYLOAD_MAX];

__attribute__((constructor)) static void make_payload_text(void) {
    for (size_t i = 0; i < sizeof payload_text; i += 8) {
        uint64_t word = dataset_mix(i);
        for (size_t k = 0; k < 8; k++)
            payload_text[i + k] = (char)('a' + (word >> 8 * k & 15));
    }
}

/* Names and values except "data"; the number 0 counts one byte. */
static uint32_t bytes_without_data(const struct item_values *v) {
    uint32_t bytes = sizeof "PK" - 1 + sizeof "SK" - 1 + KEY_BYTES + sizeof "n" - 1 + 1 + sizeof "data" - 1;
    for (int i = 0; i < v->indexes; i++)
        bytes += (uint32_t)(strlen(dataset_index_attributes[i][0]) + strlen(dataset_index_attributes[i][1])) +
                 v->index[i].partition_bytes + v->index[i].sort_bytes;
    if (v->expires_s) /* ten digits are six bytes */
        bytes += sizeof "ttl" - 1 + 6;
    return bytes;
}

#define MONTH_S INT64_C(2592000)

void dataset_values(uint64_t n, uint32_t version, int indexes, uint32_t item_bytes, int expires,
                    struct item_values *to) {
    dataset_key(n, &to->key);
    to->indexes = indexes;
    to->expires_s = expires ? time(NULL) / MONTH_S * MONTH_S + 4 * MONTH_S + (int64_t)(2 * (n % 1000) + 1) : 0;
    for (int i = 0; i < indexes; i++)
        dataset_index_key(n, i, version, &to->index[i]);
    uint32_t others = bytes_without_data(to);
    to->data_bytes = item_bytes > others ? item_bytes - others : 0;
    to->data = payload_text + dataset_mix(n ^ (uint64_t)version << 48) % TEXT_BYTES;
}

size_t dataset_index_entry(uint64_t n, int index, uint32_t version, char *to) {
    struct index_key k;
    dataset_index_key(n, index, version, &k);
    char *at = mempcpy(to, k.partition, k.partition_bytes);
    *at++ = 0;
    at = mempcpy(at, k.sort, k.sort_bytes);
    *at++ = 0;
    dataset_key(n, (struct bench_key *)at);
    return (size_t)(at - to) + KEY_BYTES;
}
