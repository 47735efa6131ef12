/* key.h - the table's keys: where each kind of item is found.
 *
 * Job      One function knows the key of every item in the table and in each of its four indexes.
 *          The writer of items, the brute force and the workers' questions all use it. README.md
 *          has the same as a table for people.
 */
#ifndef SHUTTLE_KEY_H
#define SHUTTLE_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "gen.h"

#define KEY_TABLE_NAME "InavorShuttleTable"
#define KEY_TEXT_BYTES 96 /* longest: JOBS sort key, 51; SESSIONS partition key, 60 */

enum key_index { KEY_TABLE, KEY_GSI1, KEY_GSI2, KEY_GSI3, KEY_STATUS, KEY_INDEX_COUNT };

/** Index names (NULL: the table) and the attributes that hold its keys. */
struct key_attributes {
    const char *index, *partition, *sort;
};
extern const struct key_attributes key_attributes[KEY_INDEX_COUNT];

struct key {
    char partition[KEY_TEXT_BYTES], sort[KEY_TEXT_BYTES];
};

/** The key of an item at a revision; false if the item is not in that index. */
bool key_of(const struct gen *g, struct gen_place p, uint32_t revision, enum key_index index, struct key *out);

/* The parts that questions are made of. */
void key_domain(const struct gen *g, uint32_t shop, char out[KEY_TEXT_BYTES]);
void key_shop(const struct gen *g, uint32_t shop, char out[KEY_TEXT_BYTES]); /* SHOP#D */
/* SHOP#D#SESSIONS */
void key_shop_sessions(const struct gen *g, uint32_t shop, char out[KEY_TEXT_BYTES]);
void key_session_id(const struct gen *g, uint32_t shop, uint32_t session, char out[KEY_TEXT_BYTES]);
void key_job_id(const struct gen *g, uint32_t shop, uint32_t job, char out[KEY_TEXT_BYTES]);
void key_day(const struct gen *g, uint32_t day,
             char out[KEY_TEXT_BYTES]); /* < GEN_DATE_COUNT; from GEN_DAYS on, days without data */
void key_month(const struct gen *g, uint32_t month, char out[KEY_TEXT_BYTES]); /* 0 is the oldest */
/** out = a followed by b, cut at the buffer's end. */
void key_join(const char *a, const char *b, char out[KEY_TEXT_BYTES]);

#endif
