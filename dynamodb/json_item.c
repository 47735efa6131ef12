/* dynamodb/json_item.c - the attributes of an item as JSON text. See json_item.h.
 *
 * Bounds   A look at a record reads READ_AHEAD bytes from its start, whatever its length is. Where
 *          the image ends before that, the rest of it is copied to a place with room behind it.
 *          Blocks are written whole, so text is written beyond its end, too: json_item_room().
 */
#include "dynamodb/json_item.h"

#include "core/item/item_records.h"

#ifdef __SSE2__
#include <immintrin.h>

#include "core/base/wide.h"

#define INLINE static inline __attribute__((always_inline))
#define BLOCK JSON_ITEM_BLOCK
#define WIDE_BLOCK 32u
#define READ_AHEAD 176u
_Static_assert(READ_AHEAD >= BLOCK + 127 + WIDE_BLOCK && READ_AHEAD % BLOCK == 0, "a record and a block behind it");
/* Of an attribute, besides the bytes of its text: what its name and a number take, and a block. */
#define TEXT_BESIDE (32 + 24 + WIDE_BLOCK + 4)

enum kind { KIND_NONE, KIND_TEXT, KIND_NUMBER, KIND_PARTITION, KIND_SORT };

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

static const char digits[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445"
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

static enum kind kind_of(unsigned tag) {
    if (tag >= ITEM_SHORT_N)
        return tag >= ITEM_SHORT_S ? KIND_TEXT : KIND_NUMBER;
    if (item_tag_type(tag) > LARDER_N || !item_tag_keys(tag))
        return KIND_NONE;
    return tag & ITEM_IN_PARTITION_KEY ? KIND_PARTITION : KIND_SORT;
}

/* Notes what stands in the record at `at`. 0: it is not usual. */
static __attribute__((noinline)) int learn(struct json_place *p, const uint8_t *at) {
    static const uint8_t lengths[] = {[KIND_TEXT] = ITEM_SHORT_S - 1, [KIND_NUMBER] = ITEM_SHORT_N - 1, [KIND_SORT] = 0};
    enum kind kind = kind_of(*at);
    struct item_record r;
    char *to = p->text, plain[2 * BLOCK];
    uint8_t name[2 * BLOCK] = "";
    *p = (struct json_place){.kind = KIND_NONE};
    if (!kind || !item_take_record(at, at + READ_AHEAD, &r) || 1 + r.name_field.len > BLOCK || r.name.len > BLOCK - 2)
        return 0;
    memcpy(name, r.name.at, r.name.len);
    if (copy_text(plain, name, r.name.len, 0))
        return 0;
    *to++ = '"';
    memcpy(to, name, r.name.len);
    memcpy(to + r.name.len, item_tag_type(*at) == LARDER_N ? "\":{\"N\":\"" : "\":{\"S\":\"", 8);
    p->text_bytes = (uint8_t)(1 + r.name.len + 8);
    p->value_at = (uint8_t)(1 + r.name_field.len);
    p->kind = (uint8_t)kind;
    memset(p->ignored, 0xff, BLOCK);
    memset(p->ignored, 0, p->value_at);
    p->ignored[0] = lengths[kind];
    for (size_t i = 0; i < BLOCK; i++)
        p->start[i] = at[i] | p->ignored[i];
    return 1;
}

INLINE int is_known(const struct json_place *p, const uint8_t *at) {
    __m128i is = _mm_loadu_si128((const __m128i *)at), ignored = _mm_loadu_si128((const __m128i *)p->ignored);
    __m128i same = _mm_cmpeq_epi8(_mm_or_si128(is, ignored), _mm_loadu_si128((const __m128i *)p->start));
    return _mm_movemask_epi8(same) == 0xffff;
}

/* The value of a key, which lies in the head. Returns its bytes in text. 0: it is not usual, or
 * there is no room: a damaged image may have one key in all its records. */
INLINE size_t put_key(const struct json_item *item, int is_sort, unsigned tag, char *to, int is_wide) {
    const struct item_head *h = item->head;
    const uint8_t *from = item_key_area(h) + (is_sort ? h->partition_bytes : 0), *image_end = (const uint8_t *)h + h->bytes;
    size_t bytes = is_sort ? h->sort_bytes : h->partition_bytes;
    if (from + bytes + WIDE_BLOCK > image_end || (size_t)(item->to_end - to) < bytes + TEXT_BESIDE)
        return 0;
    if (item_tag_type(tag) == LARDER_N)
        return copy_integer(to, from, bytes);
    return copy_text(to, from, bytes, is_wide) ? 0 : bytes;
}

/* The record at `at`. Returns its end; NULL: it is not usual, and nothing was written. */
INLINE const uint8_t *put_one(struct json_place *p, const struct json_item *item, const uint8_t *at, const uint8_t *end,
                              char **text, int is_wide) {
    if (__builtin_expect(!is_known(p, at), 0) && !learn(p, at))
        return NULL;
    const uint8_t *value = at + p->value_at;
    char *to = *text + p->text_bytes;
    size_t bytes = *at & (ITEM_SHORT_S - 1u);
    copy_start(*text, p->text, is_wide); /* and what is behind it in *p */
    const uint8_t *next = value + bytes;
    if (__builtin_expect(p->kind == KIND_TEXT, 1)) {
        if (next > end || copy_text(to, value, bytes, is_wide))
            return NULL;
    } else if (p->kind == KIND_NUMBER) {
        next -= ITEM_SHORT_N;
        if (next > end || !(bytes = copy_integer(to, value, bytes - ITEM_SHORT_N)))
            return NULL;
    } else {
        next = value;
        if (p->kind == KIND_NONE || next > end || !(bytes = put_key(item, p->kind == KIND_SORT, *at, to, is_wide)))
            return NULL;
    }
    memcpy(to + bytes, "\"},", 4);
    *text = to + bytes + 3;
    return next;
}

/* The rest of the records, with room behind it. */
INLINE void copy_tail(uint8_t tail[2 * READ_AHEAD], const uint8_t *at, size_t bytes) {
    memcpy(tail, at, bytes);
    for (size_t i = 0; i < READ_AHEAD; i += BLOCK)
        _mm_storeu_si128((__m128i *)(tail + bytes + i), _mm_setzero_si128());
}

INLINE uint32_t put_all(struct json_places *places, struct json_item *item, uint32_t count, int is_wide) {
    uint8_t tail[2 * READ_AHEAD];
    const uint8_t *at = item->at, *end = item->end, *next;
    const uint8_t *last = end - READ_AHEAD; /* of the places where it can look at a record */
    struct json_place *p = &places->at[item->ordinal % JSON_ITEM_PLACES], *stop = p + count;
    char *to = item->to;
    for (; p < stop; p++, at = next) {
        if (__builtin_expect((intptr_t)at > (intptr_t)last, 0)) {
            copy_tail(tail, at, (size_t)(end - at));
            last = end = tail + (end - at);
            at = tail;
        }
        if (!(next = put_one(p, item, at, end, &to, is_wide)))
            break;
    }
    item->at = item->end - (end - at);
    item->to = to;
    count = (uint32_t)(stop - p);
    return count;
}

static WIDE_TARGET uint32_t put_wide(struct json_places *places, struct json_item *item, uint32_t count) {
    return put_all(places, item, count, 1);
}

uint32_t json_item_put(struct json_places *places, struct json_item *item, uint32_t count) {
    return wide_is_here() ? put_wide(places, item, count) : put_all(places, item, count, 0);
}

size_t json_item_room(uint32_t count, size_t record_bytes) {
    return record_bytes + (size_t)count * TEXT_BESIDE;
}
#else
uint32_t json_item_put(struct json_places *places, struct json_item *item, uint32_t count) {
    (void)places, (void)item;
    return count;
}

size_t json_item_room(uint32_t count, size_t record_bytes) {
    (void)count;
    return record_bytes;
}
#endif
