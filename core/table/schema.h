/* core/table/schema.h - definitions of tables: what is allowed, and their bytes in the segment.
 *
 * Job      Checks a definition by DynamoDB's rules, writes it into a block, makes a table_view of
 *          such a block.
 * Picture  A block: struct schema_head, then in this order, packed, without gaps:
 *            string  table name
 *            key     partition
 *            key     sort
 *            string  TTL attribute (empty: none)
 *            per index ordinal:
 *              u8      state; unless it is dead also
 *              u8      is_local; 2 if keys of several attributes follow the names
 *              u8      projection
 *              string  name
 *              key     partition
 *              key     sort
 *              u8      included_count
 *              string  [included_count]
 *              after a 2: u8 count, key [count] of the partition key's further attributes; the same
 *              of the sort key's
 *            zeros up to a multiple of 8
 *          and behind it, if head.settings_bytes is not 0, which older libraries leave alone:
 *            u64     checksum of the settings; 0: they were lost
 *            settings, zeros up to a multiple of 8
 *          string: u8 length, the bytes, a zero. key: u8 type, string; type 0 and an empty string:
 *          there is none.
 * Rules    D1 A block never changes once schema_off names it. A change writes another block.
 *          D2 A block is input: its length, its checksum and every length in it are checked, and
 *             its definition is checked again as if a caller had given it. So a table_view always
 *             holds a legal one.
 * Files    schema_check.c what is allowed, schema_blob.c the bytes, schema.c from bytes to a view.
 * Tests    tests/unit/table/schema_test.c
 */
#ifndef LARDER_TABLE_SCHEMA_H
#define LARDER_TABLE_SCHEMA_H

#include "core/table/table.h"

#define SCHEMA_MAGIC UINT32_C(0x6863734c) /* "Lsch" */
#define SCHEMA_BYTES_MAX 98304u           /* the largest legal definition takes about 78,000 */
/* Secondary indexes that a table can have in its life; an image counts them in 8 bits. */
#define SCHEMA_ORDINALS_MAX 255u

struct schema_head {
    uint64_t checksum; /* XXH3-64 of the bytes behind this word */
    uint32_t magic;
    uint32_t bytes; /* of the definition with this head, a multiple of 8 */
    /* generation of the table's creation: a table that is dropped and created again is another
     * one */
    uint32_t birth;
    uint16_t ttl_generation;
    uint8_t removal;
    uint8_t index_count;     /* ordinals, dead ones too */
    uint16_t included_count; /* projected names of all ordinals together */
    uint8_t eviction;        /* 0 in definitions of older libraries, which read no more than that */
    uint8_t more_count;      /* further key attributes of all ordinals together; 0 in older ones */
    /* 0 in definitions of older libraries, which read no more than `bytes` */
    uint32_t settings_bytes;
};
_Static_assert(sizeof(struct schema_head) == 32, "schema_head is part of the segment format");

/* The head and the table's name, which always follows it: enough to find a table. */
#define SCHEMA_NAMED_BYTES (sizeof(struct schema_head) + 1 + LARDER_NAME_BYTES_MAX + 1 + 7)

/* A definition as it is written. Everything is borrowed. */
struct schema_source {
    struct larder_table_def def; /* without its indexes: the ordinals below count */
    uint32_t birth;
    uint16_t ttl_generation;
    uint32_t index_count;
    const struct larder_index_def *index[SCHEMA_ORDINALS_MAX + 1]; /* by ordinal; NULL: dead */
    uint8_t state[SCHEMA_ORDINALS_MAX + 1];
};

/* A definition as it was read. All strings lie in the bytes that it was read from. The caller
 * provides the arrays. */
struct schema_parts {
    struct larder_table_def def; /* without indexes */
    /* [head.index_count] by ordinal; those of dead ones are all zero */
    struct larder_index_def *index;
    uint8_t *state;              /* [head.index_count] */
    const char **included;       /* [head.included_count], where index[i].included points */
    struct larder_key_def *more; /* [head.more_count], where index[i].partition_more points */
    int has_bad_settings;
};

/* Attributes of an index's key; 0: there is none. `more`: those behind the first. */
#define SCHEMA_MORE_MAX (2u * (LARDER_KEY_ATTRIBUTES_MAX - 1u) * (LARDER_INDEXES_MAX + 1u))
static inline int schema_is_joined(const struct larder_index_def *def) {
    return def->partition_more_count || def->sort_more_count;
}

/* ---- What is allowed (schema_check.c) --------------------------------------------------------
 * LARDER_OK, or LARDER_E_INVAL with a message that names the wrong value and what is allowed. */
int schema_check(const struct larder_table_def *def);
/* An index to be added to a table; also LARDER_E_EXISTS. */
int schema_check_index(const struct table_view *v, const struct larder_index_def *def);
/* A table's or index's name; `what` is "table" or "index". */
int schema_check_name(const char *name, const char *what);
/* A TTL attribute; NULL (none) is allowed. It may be a key, as in DynamoDB. */
int schema_check_ttl(const char *name);
int schema_check_eviction(uint64_t eviction);
int schema_check_settings(const void *settings, uint64_t bytes);

/* ---- Bytes (schema_blob.c) ------------------------------------------------------------------- */
void schema_source_of_def(const struct larder_table_def *def, struct schema_source *source);
void schema_source_of_view(const struct table_view *v, struct schema_source *source);
/* Bytes of the block that holds it, with its settings. */
uint32_t schema_bytes(const struct schema_source *source);
/* The same of a sane head. */
static inline uint32_t schema_block_bytes(const struct schema_head *head) {
    return head->bytes + (head->settings_bytes ? 8 + ((head->settings_bytes + 7) & ~UINT32_C(7)) : 0);
}
/* Writes it to a block of schema_bytes() that nothing refers to yet. Needs no private memory, so it
 * may run under locks. */
void schema_write(const struct schema_source *source, void *block);
/* Whether the fields of the head are possible. */
int schema_head_is_sane(const struct schema_head *head);
/* copy: private, 8-aligned, of schema_block_bytes(). Settings without their checksum are damaged,
 * but the definition is not: def.settings is NULL then, and has_bad_settings set. LARDER_OK or
 * LARDER_E_CORRUPT with a message. */
int schema_decode(const struct schema_head *copy, struct schema_parts *parts);
/* The table's name in a private copy of the first `bytes` bytes of a definition. NULL: it makes no
 * sense. */
const char *schema_name(const struct schema_head *copy, size_t bytes);

/* ---- Views (schema.c) ------------------------------------------------------------------------ */
/* Zeroed memory for the view of a definition with this (sane) head. *copy is the place in it for
 * the definition and its settings, which the caller fills. NULL: LARDER_E_NO_MEMORY. */
struct table_view *schema_view_new(struct priv *p, const struct schema_head *head, struct schema_head **copy);
/* Makes the view from the copy. The caller sets db, ordinal, life, schema_off, shm and the hash
 * tables. LARDER_OK or LARDER_E_CORRUPT. */
int schema_view_fill(struct table_view *v, const struct schema_head *copy);

/* Whether two definitions say the same to a caller: all but their generations. */
int schema_is_same(const struct schema_head *a, const struct schema_head *b);

#endif
