/* when.c - days, seconds and milliseconds as ISO 8601 text, and ULIDs. See when.h.
 *
 * Picture  epoch day -> (year, month, day) by counting years from March 1st, so that the leap day
 *          comes last (Howard Hinnant, "chrono-compatible low-level date algorithms").
 */
#include "when.h"

#include <string.h>

#include "text.h"

struct civil {
    int64_t year;
    unsigned month, day;
};

static struct civil when_civil(int64_t epoch_day) {
    int64_t z = epoch_day + 719468; /* days from 0000-03-01 */
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    unsigned of_era = (unsigned)(z - era * 146097);
    unsigned year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * year + year / 4 - year / 100);
    unsigned m = (5 * of_year + 2) / 153; /* 0 is March */
    struct civil c = {.month = m < 10 ? m + 3 : m - 9, .day = of_year - (153 * m + 2) / 5 + 1};
    c.year = (int64_t)year + era * 400 + (c.month <= 2);
    return c;
}

static int64_t when_epoch_day(struct civil c) {
    int64_t y = c.year - (c.month <= 2);
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    unsigned year = (unsigned)(y - era * 400);
    unsigned of_year = (153 * (c.month > 2 ? c.month - 3 : c.month + 9) + 2) / 5 + c.day - 1;
    unsigned of_era = year * 365 + year / 4 - year / 100 + of_year;
    return era * 146097 + (int64_t)of_era - 719468;
}

void when_date(int64_t epoch_day, char out[WHEN_DATE_BYTES]) {
    struct civil c = when_civil(epoch_day);
    struct text t = text_on(out, WHEN_DATE_BYTES);
    text_digits(&t, (uint64_t)c.year, 4);
    text_add(&t, "-");
    text_digits(&t, c.month, 2);
    text_add(&t, "-");
    text_digits(&t, c.day, 2);
}

void when_month(int64_t epoch_day, unsigned months_back, char out[WHEN_MONTH_BYTES]) {
    struct civil c = when_civil(epoch_day);
    int64_t months = c.year * 12 + c.month - 1 - months_back;
    struct text t = text_on(out, WHEN_MONTH_BYTES);
    text_digits(&t, (uint64_t)(months / 12), 4);
    text_add(&t, "-");
    text_digits(&t, (uint64_t)(months % 12) + 1, 2);
}

void when_stamp(int64_t epoch_ms, char out[WHEN_STAMP_BYTES]) {
    int64_t of_day = epoch_ms % (WHEN_DAY_S * 1000);
    char date[WHEN_DATE_BYTES];
    when_date(epoch_ms / (WHEN_DAY_S * 1000), date);
    struct text t = text_on(out, WHEN_STAMP_BYTES);
    text_addn(&t, date, WHEN_DATE_BYTES - 1);
    text_add(&t, "T");
    text_digits(&t, (uint64_t)(of_day / 3600000), 2);
    text_add(&t, ":");
    text_digits(&t, (uint64_t)(of_day / 60000 % 60), 2);
    text_add(&t, ":");
    text_digits(&t, (uint64_t)(of_day / 1000 % 60), 2);
    text_add(&t, ".");
    text_digits(&t, (uint64_t)(of_day % 1000), 3);
    text_add(&t, "Z");
}

static bool when_number(const char *text, unsigned digits, unsigned *out) {
    unsigned value = 0;
    for (unsigned i = 0; i < digits; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    *out = value;
    return true;
}

bool when_parse_date(const char *text, int64_t *epoch_day) {
    unsigned year, month, day;
    char again[WHEN_DATE_BYTES];
    if (strlen(text) != WHEN_DATE_BYTES - 1 || !when_number(text, 4, &year) || !when_number(text + 5, 2, &month) ||
        !when_number(text + 8, 2, &day) || month < 1 || month > 12 || day < 1)
        return false;
    int64_t d = when_epoch_day((struct civil){.year = year, .month = month, .day = day});
    when_date(d, again); /* refuses February 30th and wrong separators in one go */
    if (strcmp(again, text) != 0)
        return false;
    *epoch_day = d;
    return true;
}

static const char when_base32[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static void when_ulid_time(int64_t epoch_ms, char *out) {
    for (int i = WHEN_ULID_TIME_CHARS; i-- > 0; epoch_ms >>= 5)
        out[i] = when_base32[epoch_ms & 31];
}

void when_ulid(int64_t epoch_ms, uint64_t chance_high, uint64_t chance_low, char out[WHEN_ULID_BYTES]) {
    when_ulid_time(epoch_ms, out);
    for (int i = 0; i < 8; i++, chance_high >>= 5)
        out[WHEN_ULID_TIME_CHARS + i] = when_base32[chance_high & 31];
    for (int i = 8; i < 16; i++, chance_low >>= 5)
        out[WHEN_ULID_TIME_CHARS + i] = when_base32[chance_low & 31];
    out[WHEN_ULID_BYTES - 1] = 0;
}

void when_ulid_end(int64_t epoch_ms, char fill, char out[WHEN_ULID_BYTES]) {
    when_ulid_time(epoch_ms, out);
    memset(out + WHEN_ULID_TIME_CHARS, fill, 16);
    out[WHEN_ULID_BYTES - 1] = 0;
}

bool when_parse_ulid(const char *text, int64_t *epoch_ms) {
    if (strlen(text) != WHEN_ULID_BYTES - 1)
        return false;
    int64_t ms = 0;
    for (int i = 0; i < WHEN_ULID_TIME_CHARS; i++) {
        const char *digit = strchr(when_base32, text[i]);
        if (!digit || !*digit)
            return false;
        ms = (ms << 5) | (digit - when_base32);
    }
    *epoch_ms = ms;
    return true;
}
