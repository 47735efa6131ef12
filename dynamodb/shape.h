/* dynamodb/shape.h - GetItem and Query requests that differ from an earlier one in their keys only.
 *
 * Idea     A client writes the same text again and again, with another key in it. So the text of a
 *          request that was answered is kept, with the places where the key's strings stood. A
 *          later text that is the same byte for byte between these places asks the same of the same
 *          table. All that was checked of the first request is true of it, and the strings are the
 *          key: nothing is parsed and no item is built.
 *
 *              {"TableName":"orders","Key":{"PK":{"S":"CUSTOMER#1"},"SK":{"S":"ORDER#7"}}}
 *              ---------- the same -------------------..........--------------.......-----
 *
 *          Of a Query the values of its key condition are such strings: what the condition says of
 *          them is the same text, so it is kept as the engine's question.
 * Rules    S1 Only ASCII without control characters, quotes and backslashes is taken for a key: it
 *             stands for itself, and ends where the next quote is.
 *          S2 What is not as usual is left to the ordinary way, which answers it from the start:
 *             other texts, keys that are empty or too long, bounds in the wrong order, a table that
 *             was dropped, failures.
 *          S3 A shape is of one handle of a table. The key attributes of a table never change;
 *             those of an index are looked at again if the table's definition has changed.
 * Kept     SHAPES of each operation for each context. Those that were used since are kept longer;
 *          others are replaced, seldom: a client with more shapes than that does not pay for
 *          learning them.
 * Tests    tests/dynamodb/dynamodb_shape_test.c
 */
#ifndef LARDER_DYNAMODB_SHAPE_H
#define LARDER_DYNAMODB_SHAPE_H

#include <stddef.h>
#include <stdint.h>

#define SHAPES 8u
#define SHAPE_BYTES_MAX 512u /* of a text that is kept */

struct larder_dynamodb;

/* What a value is of the question. One value may be all of these. */
enum shape_role { SHAPE_PARTITION, SHAPE_SORT, SHAPE_HIGH, SHAPE_ROLES }; /* HIGH: of BETWEEN */

struct shape {
    uint32_t table, opened;      /* S3: its place among the tables that are known, and known_table.opened */
    uint8_t value_count;         /* in the order of the text; 0: no shape */
    uint8_t values[SHAPE_ROLES]; /* of each role: which of them, from 1 on; 0: none */
    uint8_t was_used;
    /* of the text between the values: value i stands behind part i */
    uint16_t parts[SHAPE_ROLES + 1];
    /* of a Query */
    uint8_t index; /* of the table's definition, from 1 on; 0: the table */
    uint8_t sort_op, is_descending;
    int64_t limit;              /* 0: none */
    char text[SHAPE_BYTES_MAX]; /* the parts, one behind the other */
};

struct shapes {
    struct shape at[SHAPES];
    uint32_t last, hand, missed; /* that was met last; that is replaced next; texts without a shape */
};

/* Answers a request whose shape is known: 1, with the answer in d->writer. */
int shape_answer_get(struct larder_dynamodb *d, const char *json, size_t bytes);
int shape_answer_query(struct larder_dynamodb *d, const char *json, size_t bytes);
/* After one was answered in the ordinary way. */
void shape_learn_get(struct larder_dynamodb *d, const char *json, size_t bytes);
void shape_learn_query(struct larder_dynamodb *d, const char *json, size_t bytes);

#endif
