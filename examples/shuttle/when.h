/* when.h - days, seconds and milliseconds as ISO 8601 text, and ULIDs, which are milliseconds, too.
 *
 * Job      ISO 8601 in UTC and ULIDs both sort as text in the order of time: that is why the
 *          table's sort keys use them.
 * Tests    The demo: every key in the load is made here and read back by ident.c.
 */
#ifndef SHUTTLE_WHEN_H
#define SHUTTLE_WHEN_H

#include <stdbool.h>
#include <stdint.h>

#define WHEN_DAY_S INT64_C(86400)
#define WHEN_DATE_BYTES 11  /* 2026-11-23 and the final 0 */
#define WHEN_MONTH_BYTES 8  /* 2026-11 */
#define WHEN_STAMP_BYTES 25 /* 2026-11-23T03:41:57.123Z */
#define WHEN_ULID_BYTES 27  /* 10 digits of time, 16 random ones, in Crockford's base 32 */
#define WHEN_ULID_TIME_CHARS 10

void when_date(int64_t epoch_day, char out[WHEN_DATE_BYTES]);
void when_month(int64_t epoch_day, unsigned months_back, char out[WHEN_MONTH_BYTES]);
void when_stamp(int64_t epoch_ms, char out[WHEN_STAMP_BYTES]);

/** Reads yyyy-mm-dd; false if it is no date. */
bool when_parse_date(const char *text, int64_t *epoch_day);

/** A ULID of that millisecond, with 80 random bits. */
void when_ulid(int64_t epoch_ms, uint64_t chance_high, uint64_t chance_low, char out[WHEN_ULID_BYTES]);
/** The smallest (fill '0') or largest (fill 'Z') ULID of a millisecond: ends of a time window. */
void when_ulid_end(int64_t epoch_ms, char fill, char out[WHEN_ULID_BYTES]);
bool when_parse_ulid(const char *text, int64_t *epoch_ms);

#endif
