/* dynamodb/json_item.c - items as JSON text. See json_item.h.
 *
 * Bounds   A look at a record reads READ_AHEAD bytes from its start at most, whatever its length.
 *          Where the image ends before that, the rest of it is copied to a place with room behind
 *          it. What is longer is looked at first. Blocks are written whole, so text is written
 *          beyond its end, too: json_item_room(). All keys together are not longer than in the
 *          head, though a damaged image may have one key in all its records. That a record ends in
 *          the image is seen before the next one is looked at.
 */
#include "dynamodb/json_item.h"

#include "core/base/debug.h"
#include "core/base/wide.h"

#define INLINE static inline __attribute__((always_inline))

#ifdef __x86_64__
#include <immintrin.h>

#define COLD static __attribute__((noinline))
#define BLOCK JSON_ITEM_BLOCK
#define WIDE_BLOCK 32u
#define READ_AHEAD 64u
#define TAIL_BYTES 64u /* behind the end of the last record */
#define NAME_BYTES_MAX 14u
#define SHORT_BYTES 32u /* an S of fewer bytes is one block */
_Static_assert(READ_AHEAD >= BLOCK + WIDE_BLOCK && TAIL_BYTES >= BLOCK + WIDE_BLOCK, "a record and a block behind it");
_Static_assert(JSON_ITEM_BESIDE >= 1 + NAME_BYTES_MAX + 8 + 20 + 3, "a name, a number and the end");
_Static_assert(JSON_ITEM_BEHIND >= BLOCK + 127 + WIDE_BLOCK, "a record that goes beyond the end, and a block");

#define ALIKE 0xffffu /* all bytes of a block */
#define NEVER_ALIKE 0x10000u

#define KIND_NUMBER_BIT 1u
enum kind {
    KIND_NONE = 0,
    KIND_TEXT = 2,
    KIND_NUMBER = 2 | KIND_NUMBER_BIT,
    KIND_PARTITION_KEY = 4, /* a text; with the bit, a number */
    KIND_SORT_KEY = 6
};

/* ---- Values ---------------------------------------------------------------------------------- */

/* A block of text, with a bit for each byte that does not stand for itself. A quote is exchanged
 * for a space, and is less than a '!' then, as are control characters and what is no ASCII: less
 * as signed numbers, so that the difference is negative. */
INLINE unsigned copy_block(char *to, const uint8_t *from) {
    __m128i block = _mm_loadu_si128((const __m128i *)from);
    _mm_storeu_si128((__m128i *)to, block);
    __m128i low = _mm_subs_epi8(_mm_xor_si128(block, _mm_set1_epi8('"' ^ ' ')), _mm_set1_epi8('!'));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(low, _mm_cmpeq_epi8(block, _mm_set1_epi8('\\'))));
}

/* What the functions below compare with. In memory: a compiler makes them again and again if it
 * knows what they are. */
#define EACH_32(byte)                                                                                                  \
    {                                                                                                                  \
        (byte) * UINT64_C(0x0101010101010101), (byte)*UINT64_C(0x0101010101010101),                                    \
            (byte)*UINT64_C(0x0101010101010101), (byte)*UINT64_C(0x0101010101010101)                                   \
    }
typedef uint64_t wide_bytes[4] __attribute__((aligned(32)));
static const wide_bytes quotes_or_spaces = EACH_32('"' ^ ' '), exclamations = EACH_32('!'), backslashes = EACH_32('\\');

/* The same of 32 bytes. */
static inline WIDE_TARGET unsigned copy_wide_block(char *to, const uint8_t *from) {
    __m256i block = _mm256_loadu_si256((const __m256i *)from), low;
    unsigned special;
    _mm256_storeu_si256((__m256i *)to, block);
    __asm__("vpxor %3, %2, %1\n\t"
            "vpsubsb %4, %1, %1\n\t"
            "vpcmpeqb %5, %2, %2\n\t"
            "vpor %2, %1, %1\n\t"
            "vpmovmskb %1, %0"
            : "=r"(special), "=&x"(low), "+x"(block)
            : "m"(quotes_or_spaces), "m"(exclamations), "m"(backslashes));
    return special;
}

/* 32 bytes, of which `bytes` matter, fewer than 32. 0: they stand for themselves. */
static inline WIDE_TARGET int copy_wide_short(char *to, const uint8_t *from, size_t bytes) {
    unsigned special = copy_wide_block(to, from);
    int is_special;
    __asm__("bzhi %k2, %1, %1" : "=@ccnz"(is_special), "+r"(special) : "r"(bytes));
    return is_special;
}
INLINE unsigned copy_32(char *to, const uint8_t *from) {
    return copy_block(to, from) | copy_block(to + BLOCK, from + BLOCK) << BLOCK;
}
INLINE int copy_short(char *to, const uint8_t *from, size_t bytes, int is_wide) {
    return is_wide ? copy_wide_short(to, from, bytes) : (copy_32(to, from) & ((1u << bytes) - 1)) != 0;
}

/* Text of any length; `end`: of what can be read. Whole blocks, also beyond the end. */
INLINE int copy_text(char *to, const uint8_t *from, size_t bytes, const uint8_t *end, int is_wide) {
    unsigned special = 0;
    if (__builtin_expect((size_t)(end - from) < bytes + WIDE_BLOCK, 0)) {
        memcpy(to, from, bytes);
        from = (const uint8_t *)to; /* is copied onto itself */
    }
    if (__builtin_expect(bytes < SHORT_BYTES, 1))
        return copy_short(to, from, bytes, is_wide);
    const char *last = to + bytes - SHORT_BYTES;
    do {
        special |= is_wide ? copy_wide_block(to, from) : copy_32(to, from);
        from += WIDE_BLOCK;
        to += WIDE_BLOCK;
    } while (to <= last);
    return copy_short(to, from, bytes % SHORT_BYTES, is_wide) || special;
}

static inline WIDE_TARGET void copy_wide(char *to, const char *from) {
    _mm256_storeu_si256((__m256i *)to, _mm256_loadu_si256((const __m256i *)from));
}
INLINE void copy_whole_block(char *to, const char *from, int is_wide) {
    if (is_wide)
        copy_wide(to, from);
    else
        memcpy(to, from, WIDE_BLOCK);
}

/* One of 17 to 20 digits, if it is one. */
COLD size_t copy_long_integer(char *to, const uint8_t *from, size_t bytes) {
    size_t pairs = bytes - 1, exponent = (size_t)from[0] - 0xc0;
    char *start = to;
    if (exponent - 1 >= 10 || pairs - 1 >= exponent || !from[1] || !from[pairs])
        return 0;
    for (size_t i = 1; i <= exponent; i++) {
        unsigned pair = i <= pairs ? from[i] : 0;
        if (pair > 99)
            return 0;
        if (i > 1 || pair >= 10)
            *to++ = (char)('0' + pair / 10);
        *to++ = (char)('0' + pair % 10);
    }
    return (size_t)(to - start);
}

/* The digits of eight bytes, each a pair of them. 0: one of the bytes is no pair. */
INLINE int copy_digits(char *to, uint64_t pairs) {
    __m128i pair = _mm_unpacklo_epi8(_mm_cvtsi64_si128((int64_t)pairs), _mm_setzero_si128());
    if (_mm_movemask_epi8(_mm_cmpgt_epi16(pair, _mm_set1_epi16(99))))
        return 0;
    __m128i tens = _mm_mulhi_epu16(pair, _mm_set1_epi16(6554)); /* pair / 10 */
    /* tens + 256 * (pair - 10 * tens) */
    __m128i digits = _mm_add_epi16(_mm_slli_epi16(pair, 8), _mm_mullo_epi16(tens, _mm_set1_epi16(-2559)));
    _mm_storeu_si128((__m128i *)to, _mm_add_epi8(digits, _mm_set1_epi8('0')));
    return 1;
}

#define EACH_8(word)                                                                                                   \
    { (word) * UINT64_C(0x0001000100010001), (word)*UINT64_C(0x0001000100010001) }
typedef uint64_t block_words[2] __attribute__((aligned(16)));

static inline WIDE_TARGET int copy_wide_digits(char *to, uint64_t pairs) {
    static const block_words most = EACH_8(99), tenth = EACH_8(6554), rest = EACH_8(0xf601), zero = EACH_8(0x3030);
    __m128i pair, tens, large;
    int are_pairs;
    __asm__("vmovq %5, %2\n\t"
            "vpmovzxbw %2, %2\n\t"
            "vpcmpgtw %6, %2, %4\n\t"
            "vpmulhuw %7, %2, %3\n\t"
            "vpmullw %8, %3, %3\n\t"
            "vpsllw $8, %2, %2\n\t"
            "vpaddw %3, %2, %2\n\t"
            "vpaddb %9, %2, %2\n\t"
            "vmovdqu %2, %1\n\t"
            "vptest %4, %4"
            : "=@ccz"(are_pairs), "=m"(*(char(*)[BLOCK])to), "=&x"(pair), "=&x"(tens), "=&x"(large)
            : "r"(pairs), "m"(most), "m"(tenth), "m"(rest), "m"(zero));
    return are_pairs;
}

static inline WIDE_TARGET uint64_t first_bytes_wide(uint64_t word, size_t bytes) {
    return _bzhi_u64(word, (unsigned)bytes * 8);
}
INLINE uint64_t first_bytes(uint64_t word, size_t bytes, int is_wide) {
    return is_wide ? first_bytes_wide(word, bytes) : word & UINT64_MAX >> (64 - 8 * bytes);
}

/* A positive integer: its pairs of digits stand in the encoding one after the other
 * (core/item/num.c). 16 bytes can be read, and written from the byte before `to` on, which is a
 * quote. 0: it is something else, or has more than 20 digits. */
INLINE size_t copy_integer(char *to, const uint8_t *from, size_t bytes, int is_wide) {
    size_t pairs = bytes - 1, exponent = (size_t)from[0] - 0xc0, is_odd;
    uint64_t word;
    if (__builtin_expect(exponent - 1 >= 8, 0))
        return copy_long_integer(to, from, bytes);
    if (pairs - 1 >= exponent || !from[1] || !from[pairs])
        return 0;
    memcpy(&word, from + 1, sizeof word);
    word = first_bytes(le64toh(word), pairs, is_wide);
    is_odd = from[1] < 10; /* no first digit: the quote stands in its place */
    if (!(is_wide ? copy_wide_digits(to - is_odd, word) : copy_digits(to - is_odd, word)))
        return 0;
    to[-1] = '"';
    return 2 * exponent - is_odd;
}

/* ---- Records --------------------------------------------------------------------------------- */

static unsigned kind_of(unsigned tag) {
    if (tag >= ITEM_SHORT_N)
        return tag >= ITEM_SHORT_S ? KIND_TEXT : KIND_NUMBER;
    if (item_tag_type(tag) > LARDER_N || !item_tag_keys(tag))
        return KIND_NONE;
    return (tag & ITEM_IN_PARTITION_KEY ? KIND_PARTITION_KEY : KIND_SORT_KEY) + (item_tag_type(tag) == LARDER_N);
}

/* Notes what stands in the record at `at`, a block. 0: it is not usual. */
COLD int learn(struct json_place *p, const uint8_t *at) {
    static const char between[2][8] = {"\":{\"S\":\"", "\":{\"N\":\""};
    unsigned kind = kind_of(*at);
    struct item_record r;
    char plain[WIDE_BLOCK];
    uint8_t name[WIDE_BLOCK] = "";
    *p = (struct json_place){.kind = KIND_NONE};
    if (!kind || !item_take_record(at, at + BLOCK, &r) || 1 + r.name_field.len > BLOCK || r.name.len > NAME_BYTES_MAX)
        return 0;
    memcpy(name, r.name.at, r.name.len);
    if (copy_short(plain, name, r.name.len, 0))
        return 0;
    p->text[0] = '"';
    memcpy(p->text + 1, name, r.name.len);
    memcpy(p->text + 1 + r.name.len, between[item_tag_type(*at) == LARDER_N], sizeof between[0]);
    p->text_bytes = (uint8_t)(1 + r.name.len + sizeof between[0]);
    p->value_at = (uint8_t)(1 + r.name_field.len);
    p->kind = (uint8_t)kind;
    memset(p->compared, 0xff, p->value_at);
    p->compared[0] = kind == KIND_TEXT     ? (uint8_t) ~(SHORT_BYTES - 1)
                     : kind == KIND_NUMBER ? (uint8_t) ~(ITEM_SHORT_N - 1)
                                           : 0xff;
    for (size_t i = 0; i < BLOCK; i++)
        p->start[i] = at[i] & p->compared[i];
    p->short_text = kind == KIND_TEXT ? ALIKE : NEVER_ALIKE;
    if (kind == KIND_TEXT)
        p->start[0] = ITEM_SHORT_S; /* however long this one is */
    return 1;
}

/* A bit for each byte of the record's start that is as it was met. */
INLINE unsigned alike(const struct json_place *p, const uint8_t *at) {
    __m128i is = _mm_and_si128(_mm_loadu_si128((const __m128i *)at), _mm_loadu_si128((const __m128i *)p->compared));
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(is, _mm_loadu_si128((const __m128i *)p->start)));
}

/* Where a record is read and its text is written. */
struct spot {
    const struct item_head *head;
    const uint8_t *at, *end; /* of the records, or of a copy of the last ones */
    char *to;
    size_t keys; /* as in struct json_item */
};

INLINE int end_value(struct spot *s, const uint8_t *next, char *to) {
    s->at = next;
    memcpy(to, "\"},", 4);
    s->to = to + 3;
    return 1;
}

/* An S of up to 31 bytes as this place had one. 0: its text is not plain, and nothing was written
 * that counts. */
INLINE int put_short(const struct json_place *p, struct spot *s, int is_wide) {
    size_t bytes = *s->at & (SHORT_BYTES - 1);
    const uint8_t *value = s->at + p->value_at;
    char *to = s->to + p->text_bytes;
    copy_whole_block(s->to, p->text, is_wide);
    if (__builtin_expect(copy_short(to, value, bytes, is_wide), 0))
        return 0;
    return end_value(s, value + bytes, to + bytes);
}

/* The value of a key, which lies in the head. 0: the keys would take more than all keys do. */
INLINE int find_key(struct spot *s, int is_sort, const uint8_t **value, size_t *bytes) {
    *value = item_key_area(s->head) + (is_sort ? s->head->partition_bytes : 0);
    *bytes = is_sort ? s->head->sort_bytes : s->head->partition_bytes;
    s->keys -= *bytes;
    return (ptrdiff_t)s->keys >= 0;
}

/* The others likewise. */
INLINE int put_number(const struct json_place *p, struct spot *s, int is_wide) {
    const uint8_t *value = s->at + p->value_at;
    char *to = s->to + p->text_bytes;
    size_t bytes = (size_t)*s->at - ITEM_SHORT_N, digits;
    copy_whole_block(s->to, p->text, is_wide);
    if (!(digits = copy_integer(to, value, bytes, is_wide)))
        return 0;
    return end_value(s, value + bytes, to + digits);
}

INLINE int put_key(const struct json_place *p, struct spot *s, int is_wide) {
    const uint8_t *value, *end = (const uint8_t *)s->head + s->head->bytes;
    char *to = s->to + p->text_bytes;
    size_t bytes;
    if (!find_key(s, p->kind >= KIND_SORT_KEY, &value, &bytes))
        return 0;
    copy_whole_block(s->to, p->text, is_wide);
    if (__builtin_expect(p->kind & KIND_NUMBER_BIT, 0)) {
        if (end - value < (ptrdiff_t)BLOCK || !(bytes = copy_integer(to, value, bytes, is_wide)))
            return 0;
    } else if (copy_text(to, value, bytes, end, is_wide))
        return 0;
    return end_value(s, s->at + p->value_at, to + bytes);
}

INLINE int put_long(const struct json_place *p, struct spot *s, int is_wide) {
    const uint8_t *value = s->at + p->value_at;
    char *to = s->to + p->text_bytes;
    size_t bytes = (size_t)*s->at - ITEM_SHORT_S;
    if (value + bytes > s->end)
        return 0;
    copy_whole_block(s->to, p->text, is_wide);
    if (copy_text(to, value, bytes, s->end, is_wide))
        return 0;
    return end_value(s, value + bytes, to + bytes);
}

/* The record is not as this place had one, of whose bytes `like` are. */
COLD int put_unlike(struct json_place *p, struct spot *s, unsigned like) {
    if (p->kind != KIND_TEXT || *s->at < ITEM_SHORT_S || (like | 1) != ALIKE) {
        if (!learn(p, s->at))
            return 0;
        if (alike(p, s->at) == p->short_text)
            return put_short(p, s, 0);
    }
    if (p->kind == KIND_TEXT)
        return put_long(p, s, 0);
    return p->kind == KIND_NUMBER ? put_number(p, s, 0) : put_key(p, s, 0);
}

/* What is no short text as this place had one. 0: it is not usual, and nothing was written that
 * counts. */
INLINE int put_other(struct json_place *p, struct spot *s, unsigned like, int is_wide) {
    if (like == ALIKE && p->kind == KIND_NUMBER)
        return put_number(p, s, is_wide);
    if (like == ALIKE && p->kind > KIND_NUMBER)
        return put_key(p, s, is_wide);
    if ((like | 1) == ALIKE && p->kind == KIND_TEXT && *s->at >= ITEM_SHORT_S)
        return put_long(p, s, is_wide);
    struct spot copy = *s; /* *s itself stays in registers */
    int is_put = put_unlike(p, &copy, like);
    *s = copy;
    return is_put;
}

/* The rest of the records, READ_AHEAD bytes at most, with TAIL_BYTES of room behind it. Returns
 * where it begins in `tail`. */
INLINE const uint8_t *copy_tail(uint8_t tail[READ_AHEAD + TAIL_BYTES], const struct item_head *h, const uint8_t *at,
                                const uint8_t *end, int is_wide) {
    static const char zeros[WIDE_BLOCK];
    size_t bytes = (size_t)(end - at), before = 0;
    if (__builtin_expect(end - (const uint8_t *)h >= (ptrdiff_t)READ_AHEAD, 1)) { /* a fixed number of bytes */
        before = READ_AHEAD - bytes;
        for (size_t i = 0; i < READ_AHEAD; i += WIDE_BLOCK)
            copy_whole_block((char *)tail + i, (const char *)end - READ_AHEAD + i, is_wide);
    } else
        memcpy(tail, at, bytes);
    for (size_t i = 0; i < TAIL_BYTES; i += WIDE_BLOCK)
        copy_whole_block((char *)tail + before + bytes + i, zeros, is_wide);
    return tail + before;
}

INLINE void put_all(struct json_places *places, struct json_item *item, int is_wide) {
    uint8_t tail[READ_AHEAD + TAIL_BYTES];
    uint32_t count = json_item_count(item);
    struct spot s = {item->head, item->at, item->end, item->to, item->keys};
    const uint8_t *last = s.end - READ_AHEAD; /* of the places where it can look at a record */
    struct json_place *p = &places->at[item->ordinal % JSON_ITEM_PLACES], *first = p, *stop = p + count;
    for (; p < stop; p++) {
        if (__builtin_expect((intptr_t)s.at > (intptr_t)last, 0)) {
            if (s.at > s.end)
                break;
            size_t left = (size_t)(s.end - s.at);
            s.at = copy_tail(tail, item->head, s.at, s.end, is_wide);
            last = s.end = s.at + left;
        }
        unsigned like = alike(p, s.at);
        if (__builtin_expect(like == p->short_text, 1)) {
            if (!put_short(p, &s, is_wide))
                break;
        } else if (!put_other(p, &s, like, is_wide))
            break;
        DEBUG_ASSERT(item->to_end - s.to >= WIDE_BLOCK);
    }
    if (__builtin_expect(s.at > s.end, 0)) { /* the record before does not end in the image */
        s.at = s.end;
        p--;
    }
    item->at = item->end - (s.end - s.at);
    item->to = s.to;
    item->keys = (ptrdiff_t)s.keys > 0 ? (uint32_t)s.keys : 0;
    item->ordinal += (uint32_t)(p - first);
    item->left -= (uint32_t)(p - first);
}

static WIDE_TARGET void put_wide(struct json_places *places, struct json_item *item) {
    put_all(places, item, 1);
}
#else
#define put_all(places, item, is_wide) ((void)(places))
#define put_wide(places, item) ((void)(places))
#endif

void json_item_put(struct json_places *places, struct json_item *item) {
    if (wide_is_here())
        put_wide(places, item);
    else
        put_all(places, item, 0);
}

/* ---- Items ----------------------------------------------------------------------------------- */

INLINE uint32_t put_items(struct json_places *places, const struct larder_item *const *items, uint32_t count,
                          size_t needs_comma, struct json_item *stopped, int is_wide) {
    struct json_item item = *stopped;
    uint32_t whole = 0;
    for (; whole < count; whole++) {
        json_item_begin(&item, item_head(items[whole]));
        if (__builtin_expect((size_t)(item.to_end - item.to) < json_item_room(&item), 0)) {
            item.head = NULL;
            break;
        }
        item.to[0] = ',';
        item.to[needs_comma] = '{';
        item.to += 1 + needs_comma;
        needs_comma = 1;
        put_all(places, &item, is_wide);
        if (__builtin_expect(item.left > 0, 0))
            break;
        if (__builtin_expect(!item.head->attr_count, 0))
            item.to++;
        item.to[-1] = '}'; /* over the last comma */
    }
    *stopped = item;
    return whole;
}

static WIDE_TARGET uint32_t put_items_wide(struct json_places *places, const struct larder_item *const *items,
                                           uint32_t count, size_t needs_comma, struct json_item *stopped) {
    return put_items(places, items, count, needs_comma, stopped, 1);
}

uint32_t json_items_put(struct json_places *places, const struct larder_item *const *items, uint32_t count,
                        size_t needs_comma, struct json_item *stopped) {
    return wide_is_here() ? put_items_wide(places, items, count, needs_comma, stopped)
                          : put_items(places, items, count, needs_comma, stopped, 0);
}
