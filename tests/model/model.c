/* tests/model/model.c - see model.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder.h"
#include "tests/model/model.h"

void run_fails(const struct run *r, const char *what) {
    fprintf(stderr, "model %u, call %lu: %s does not hold (last failure: %s)\n", r->m->owner,
            (unsigned long)r->m->calls, what, larder_error());
    abort();
}

int64_t run_clock(void *arg) {
    return ((struct run *)arg)->now_s;
}

int row_partition(int n) {
    return n / SORTS;
}

void partition_text(const struct run *r, int partition, char text[TEXT_MAX]) {
    snprintf(text, TEXT_MAX, "w%u-p%d", r->m->owner, partition);
}

void sort_text(int n, char text[TEXT_MAX]) {
    static const char *const texts[SORTS] = {"a", "ab", "abc", "abd", "b", "b#1", "b#10", "b#2"};
    snprintf(text, TEXT_MAX, "%s", texts[n % SORTS]);
}

struct larder_value value_of(const struct run *r, int column, int64_t value, char text[TEXT_MAX]) {
    if (column == COL_G)
        snprintf(text, TEXT_MAX, "w%u-g%d", r->m->owner, (int)value);
    else if (column == COL_GN)
        snprintf(text, TEXT_MAX, "%d", (int)(value - 3) * 10);
    else if (col_types[column] == LARDER_N)
        snprintf(text, TEXT_MAX, "%lld", (long long)value);
    else
        /* x, xx, xxy: prefixes of each other */
        snprintf(text, TEXT_MAX, "%.*s", (int)value, "xxyxyy");
    if (col_types[column] == LARDER_N)
        return larder_num(text);
    return col_types[column] == LARDER_B ? larder_bin(text, strlen(text)) : larder_str(text);
}

int is_expired(const struct run *r, const struct row *row) {
    int64_t at_s = r->m->ttl >= 0 ? row->value[r->m->ttl] : 0;
    return at_s && at_s != VALUE_UNFIT && at_s <= r->now_s;
}

int is_visible(const struct run *r, const struct row *row) {
    return row->is_there && !is_expired(r, row);
}

int is_in_index(const struct row *row, const struct plan *plan, int *is_unfit) {
    int64_t partition = plan->partition >= 0 ? row->value[plan->partition] : 1;
    int64_t sort = plan->sort >= 0 ? row->value[plan->sort] : 1;
    int64_t more_partition = plan->more_partition ? row->value[plan->more_partition - 1] : 1;
    int64_t more_sort = plan->more_sort ? row->value[plan->more_sort - 1] : 1;
    *is_unfit =
        partition == VALUE_UNFIT || sort == VALUE_UNFIT || more_partition == VALUE_UNFIT || more_sort == VALUE_UNFIT;
    return partition && sort && more_partition && more_sort && !*is_unfit;
}

const struct larder_item *build(const struct run *r, int n, const struct row *row) {
    static const unsigned char payload[PAYLOAD_MAX] = {7};
    const struct larder_item *item;
    char pk[TEXT_MAX], sk[TEXT_MAX], text[TEXT_MAX];
    partition_text(r, row_partition(n), pk);
    sort_text(n, sk);
    larder_builder_reset(r->b);
    larder_builder_add_s(r->b, "pk", pk);
    larder_builder_add_s(r->b, "sk", sk);
    for (int c = 0; c < COL_COUNT; c++) {
        if (row->value[c] == VALUE_UNFIT)
            larder_builder_add_bool(r->b, col_names[c], 1);
        else if (row->value[c]) {
            struct larder_value v = value_of(r, c, row->value[c], text);
            larder_builder_add(r->b, col_names[c], &v);
        }
    }
    if (row->payload != NO_PAYLOAD)
        larder_builder_add_b(r->b, "payload", payload, row->payload);
    MUST(larder_builder_finish(r->b, &item) == LARDER_OK);
    return item;
}

static int has_value(const struct larder_item *item, const char *name, const struct larder_value *expected) {
    char number[LARDER_NUMBER_TEXT_MAX];
    struct larder_value v;
    if (larder_item_get(item, name, &v) || v.type != expected->type)
        return 0;
    if (v.type == LARDER_BOOL)
        return v.is_true;
    if (v.type == LARDER_N)
        return larder_value_number(&v, number) == LARDER_OK && strcmp(number, expected->data) == 0;
    return v.bytes == expected->bytes && memcmp(v.data, expected->data, v.bytes) == 0;
}

static int has_text(const struct larder_item *item, const char *name, const char *text) {
    struct larder_value expected = larder_str(text);
    return has_value(item, name, &expected);
}

int is_row(const struct run *r, const struct larder_item *item, int n, const struct row *row) {
    const struct larder_value unfit = {.type = LARDER_BOOL};
    char pk[TEXT_MAX], sk[TEXT_MAX], text[TEXT_MAX];
    struct larder_value v;
    uint32_t count = row->payload == NO_PAYLOAD ? 2 : 3;
    partition_text(r, row_partition(n), pk);
    sort_text(n, sk);
    if (!item || !has_text(item, "pk", pk) || !has_text(item, "sk", sk))
        return 0;
    if (row->payload != NO_PAYLOAD && (larder_item_get(item, "payload", &v) || v.bytes != row->payload))
        return 0;
    for (int c = 0; c < COL_COUNT; c++) {
        if (!row->value[c])
            continue;
        v = row->value[c] == VALUE_UNFIT ? unfit : value_of(r, c, row->value[c], text);
        if (!has_value(item, col_names[c], &v))
            return 0;
        count++;
    }
    return larder_item_count(item) == count;
}

int row_number(const struct run *r, const struct larder_item *item) {
    char pk[TEXT_MAX], sk[TEXT_MAX];
    for (int n = 0; n < ROWS; n++) {
        partition_text(r, row_partition(n), pk);
        sort_text(n, sk);
        if (has_text(item, "pk", pk) && has_text(item, "sk", sk))
            return n;
    }
    return -1;
}

struct larder_key row_key(const struct run *r, int n, char pk[TEXT_MAX], char sk[TEXT_MAX]) {
    partition_text(r, row_partition(n), pk);
    sort_text(n, sk);
    return (struct larder_key){larder_str(pk), larder_str(sk)};
}
