/* text.h - puts short texts together in a fixed buffer.
 *
 * Job      Keys are built by the million, and printf would take most of the time; each of these
 *          appends is one copy.
 * Rules    T1 The buffer always ends with a 0.
 *          T2 Text that does not fit is left out, and text_is_whole() says so.
 */
#ifndef SHUTTLE_TEXT_H
#define SHUTTLE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct text {
    char *at, *last; /* last is the byte kept for the final 0 */
    bool is_cut;
};

static inline struct text text_on(char *buffer, size_t bytes) {
    buffer[0] = 0;
    return (struct text){.at = buffer, .last = buffer + bytes - 1};
}

static inline void text_addn(struct text *t, const char *s, size_t bytes) {
    if (bytes > (size_t)(t->last - t->at)) {
        t->is_cut = true;
        return;
    }
    memcpy(t->at, s, bytes);
    t->at += bytes;
    *t->at = 0;
}

static inline void text_add(struct text *t, const char *s) {
    text_addn(t, s, strlen(s));
}

/** At least `digits_min` digits, with leading zeros. */
static inline void text_digits(struct text *t, uint64_t value, unsigned digits_min) {
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (at > 0 && (value > 0 || sizeof digits - at < digits_min));
    text_addn(t, digits + at, sizeof digits - at);
}

static inline bool text_is_whole(const struct text *t) {
    return !t->is_cut;
}

#endif
