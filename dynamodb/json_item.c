/* dynamodb/json_item.c - the attributes of an item as JSON text. See json_item.h.
 *
 * Bounds   A look at a record reads READ_AHEAD bytes from its start, whatever its length is. Where
 *          the image ends before that, the rest of it is copied to a place with room behind it.
 *          Blocks are written whole, so text is written beyond its end, too: json_item_room(). At
 *          each record there is room for all that are left; a key must leave it.
 */
#include "dynamodb/json_item.h"

#include "core/item/item_records.h"

#ifdef __SSE2__
#include <immintrin.h>

#include "core/base/wide.h"

#define INLINE static inline __attribute__((always_inline))
#define BLOCK JSON_ITEM_BLOCK
#define WIDE_BLOCK 32u
#define READ_AHEAD 192u
#define TAIL_BYTES 32u /* what is read behind the end of the last record */
_Static_assert(READ_AHEAD >= BLOCK + 127 + WIDE_BLOCK && READ_AHEAD % WIDE_BLOCK == 0,
               "a record and a block behind it");
_Static_assert(JSON_ITEM_BESIDE >= 32 + 24 + WIDE_BLOCK + 4, "a name, a number, a block and the end");

#define KIND_NUMBER_BIT 1u
#define KIND_SORT_BIT 8u
enum kind {
    KIND_NONE = 0,
    KIND_TEXT = 2,
    KIND_NUMBER = 2 | KIND_NUMBER_BIT,
    KIND_KEY = 4 /* the partition key, a text; with either bit it is a number, the sort key */
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

static inline WIDE_TARGET unsigned copy_wide_block(char *to, const uint8_t *from) {
    __m256i block = _mm256_loadu_si256((const __m256i *)from);
    _mm256_storeu_si256((__m256i *)to, block);
    __m256i low = _mm256_subs_epi8(_mm256_xor_si256(block, _mm256_set1_epi8('"' ^ ' ')), _mm256_set1_epi8('!'));
    return (unsigned)_mm256_movemask_epi8(_mm256_or_si256(low, _mm256_cmpeq_epi8(block, _mm256_set1_epi8('\\'))));
}

static inline WIDE_TARGET unsigned copy_wide_end(char *to, const uint8_t *from, size_t bytes) {
    return _bzhi_u32(copy_wide_block(to, from), (unsigned)bytes);
}

/* Whole blocks, also beyond the end. 0: all bytes stood for themselves. */
INLINE unsigned copy_text(char *to, const uint8_t *from, size_t bytes, int is_wide) {
    if (__builtin_expect(bytes <= (is_wide ? WIDE_BLOCK : BLOCK), 1))
        return is_wide ? copy_wide_end(to, from, bytes) : copy_block(to, from) & ((1u << bytes) - 1);
    unsigned special = 0;
    for (; bytes > BLOCK; bytes -= BLOCK, from += BLOCK, to += BLOCK)
        special |= copy_block(to, from);
    return special | (copy_block(to, from) & ((1u << bytes) - 1));
}

/* 32 bytes. */
static inline WIDE_TARGET void copy_wide_start(char *to, const char *from) {
    _mm256_storeu_si256((__m256i *)to, _mm256_loadu_si256((const __m256i *)from));
}
INLINE void copy_start(char *to, const char *from, int is_wide) {
    if (is_wide)
        copy_wide_start(to, from);
    else
        memcpy(to, from, 32);
}

static const char digits[] =
    "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445"
    "46474849505152535455565758596061626364656667686970717273747576777879808182838485868788899091"
    "9293949596979899";

/* A positive integer of at most 20 digits: its pairs of digits stand in the encoding one after the
 * other (core/item/num.c). 0: it is something else. */
INLINE size_t copy_integer(char *to, const uint8_t *from, size_t bytes) {
    size_t pairs = bytes - 1, exponent = (size_t)from[0] - 0xc0;
    char *start = to;
    if (bytes < 2 || from[0] <= 0xc0 || exponent > 10 || exponent < pairs || !from[1] || from[1] > 99 || !from[pairs])
        return 0;
    memcpy(to, digits + 2 * from[1] + (from[1] < 10), 2);
    to += 1 + (from[1] >= 10);
    for (size_t i = 2; i <= pairs; i++, to += 2) {
        if (from[i] > 99)
            return 0;
        memcpy(to, digits + 2 * from[i], 2);
    }
    for (; pairs < exponent; pairs++, to += 2)
        to[0] = to[1] = '0';
    return (size_t)(to - start);
}

/* ---- Records --------------------------------------------------------------------------------- */

static unsigned kind_of(unsigned tag) {
    if (tag >= ITEM_SHORT_N)
        return tag >= ITEM_SHORT_S ? KIND_TEXT : KIND_NUMBER;
    if (item_tag_type(tag) > LARDER_N || !item_tag_keys(tag))
        return KIND_NONE;
    return KIND_KEY | (tag & ITEM_IN_PARTITION_KEY ? 0 : KIND_SORT_BIT) |
           (item_tag_type(tag) == LARDER_N ? KIND_NUMBER_BIT : 0);
}

/* Notes what stands in the record at `at`. 0: it is not usual. */
static __attribute__((noinline)) int learn(struct json_place *p, const uint8_t *at) {
    static const char between[2][8] = {"\":{\"S\":\"", "\":{\"N\":\""};
    unsigned kind = kind_of(*at);
    struct item_record r;
    char *to = p->text, plain[2 * BLOCK];
    uint8_t name[2 * BLOCK] = "";
    *p = (struct json_place){.kind = KIND_NONE};
    if (!kind || !item_take_record(at, at + BLOCK, &r) || 1 + r.name_field.len > BLOCK || r.name.len > BLOCK - 2)
        return 0;
    memcpy(name, r.name.at, r.name.len);
    if (copy_text(plain, name, r.name.len, 0))
        return 0;
    *to++ = '"';
    memcpy(to, name, r.name.len);
    memcpy(to + r.name.len, between[item_tag_type(*at) == LARDER_N], sizeof between[0]);
    p->text_bytes = (uint8_t)(1 + r.name.len + sizeof between[0]);
    p->value_at = (uint8_t)(1 + r.name_field.len);
    p->kind = (uint8_t)kind;
    memset(p->ignored, 0xff, BLOCK);
    memset(p->ignored, 0, p->value_at);
    p->ignored[0] = kind == KIND_TEXT ? ITEM_SHORT_S - 1 : kind == KIND_NUMBER ? ITEM_SHORT_N - 1 : 0;
    for (size_t i = 0; i < BLOCK; i++)
        p->start[i] = at[i] | p->ignored[i];
    return 1;
}

INLINE int is_known(const struct json_place *p, const uint8_t *at) {
    __m128i is = _mm_loadu_si128((const __m128i *)at), ignored = _mm_loadu_si128((const __m128i *)p->ignored);
    __m128i same = _mm_cmpeq_epi8(_mm_or_si128(is, ignored), _mm_loadu_si128((const __m128i *)p->start));
    return _mm_movemask_epi8(same) == 0xffff;
}

/* The value of a key, which lies in the head. `rest`: room for all records from this one on. 0: a
 * block behind the value is not in the image, or there is no room for it besides: a damaged image
 * may have one key in all its records. */
INLINE int find_key(const struct json_item *item, int is_sort, const char *to, size_t rest, const uint8_t **value,
                    size_t *bytes) {
    const struct item_head *h = item->head;
    *value = item_key_area(h) + (is_sort ? h->partition_bytes : 0);
    *bytes = is_sort ? h->sort_bytes : h->partition_bytes;
    return *value + *bytes + WIDE_BLOCK <= (const uint8_t *)h + h->bytes &&
           (size_t)(item->to_end - to) >= *bytes + rest;
}

/* The record at `at`, the first of `left`. Returns its end; NULL: it is not usual, and nothing was
 * written. */
INLINE const uint8_t *put_one(struct json_place *p, const struct json_item *item, const uint8_t *at, const uint8_t *end,
                              size_t left, char **text, int is_wide) {
    if (__builtin_expect(!is_known(p, at), 0) && !learn(p, at))
        return NULL;
    const uint8_t *value = at + p->value_at, *next;
    char *to = *text + p->text_bytes;
    size_t bytes = *at & (ITEM_SHORT_S - 1u);
    unsigned kind = p->kind;
    copy_start(*text, p->text, is_wide); /* and what is behind it in *p */
    next = value + bytes;
    if (__builtin_expect(kind != KIND_TEXT, 0)) {
        if (kind == KIND_NUMBER) {
            bytes -= ITEM_SHORT_N;
            next -= ITEM_SHORT_N;
        } else {
            next = value;
            size_t rest = (size_t)(end - at) + left * JSON_ITEM_BESIDE - p->text_bytes;
            if (kind == KIND_NONE || !find_key(item, kind & KIND_SORT_BIT, to, rest, &value, &bytes))
                return NULL;
        }
    }
    if (next > end)
        return NULL;
    if (__builtin_expect(kind & KIND_NUMBER_BIT, 0)) {
        if (!(bytes = copy_integer(to, value, bytes)))
            return NULL;
    } else if (copy_text(to, value, bytes, is_wide))
        return NULL;
    memcpy(to + bytes, "\"},", 4);
    *text = to + bytes + 3;
    return next;
}

/* The rest of the records, fewer than READ_AHEAD bytes, with TAIL_BYTES of room behind it. Returns
 * where it begins in `tail`. */
INLINE const uint8_t *copy_tail(uint8_t tail[READ_AHEAD + TAIL_BYTES], const struct item_head *h, const uint8_t *at,
                                const uint8_t *end, int is_wide) {
    size_t bytes = (size_t)(end - at), before = 0;
    if (__builtin_expect(end - (const uint8_t *)h >= (ptrdiff_t)READ_AHEAD, 1)) { /* a fixed number of bytes */
        before = READ_AHEAD - bytes;
        for (size_t i = 0; i < READ_AHEAD; i += WIDE_BLOCK)
            copy_start((char *)tail + i, (const char *)end - READ_AHEAD + i, is_wide);
    } else
        memcpy(tail, at, bytes);
    for (size_t i = 0; i < TAIL_BYTES; i += BLOCK)
        _mm_storeu_si128((__m128i *)(tail + before + bytes + i), _mm_setzero_si128());
    return tail + before;
}

INLINE uint32_t put_all(struct json_places *places, struct json_item *item, uint32_t count, int is_wide) {
    uint8_t tail[READ_AHEAD + TAIL_BYTES];
    const uint8_t *at = item->at, *end = item->end, *next;
    const uint8_t *last = end - READ_AHEAD; /* of the places where it can look at a record */
    struct json_place *p = &places->at[item->ordinal % JSON_ITEM_PLACES], *stop = p + count;
    char *to = item->to;
    for (; p < stop; p++, at = next) {
        if (__builtin_expect((intptr_t)at > (intptr_t)last, 0)) {
            size_t left = (size_t)(end - at);
            at = copy_tail(tail, item->head, at, end, is_wide);
            last = end = at + left;
        }
        if (!(next = put_one(p, item, at, end, (size_t)(stop - p), &to, is_wide)))
            break;
    }
    item->at = item->end - (end - at);
    item->to = to;
    return (uint32_t)(stop - p);
}

static WIDE_TARGET uint32_t put_wide(struct json_places *places, struct json_item *item, uint32_t count) {
    return put_all(places, item, count, 1);
}

uint32_t json_item_put(struct json_places *places, struct json_item *item, uint32_t count) {
    return wide_is_here() ? put_wide(places, item, count) : put_all(places, item, count, 0);
}
#else
uint32_t json_item_put(struct json_places *places, struct json_item *item, uint32_t count) {
    (void)places, (void)item;
    return count;
}
#endif
