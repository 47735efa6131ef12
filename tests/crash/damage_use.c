/* tests/crash/damage_use.c - a segment, damaged or not, is used in every way that larder.h offers.
 *
 * Job      Reads and writes everything on the copy, and judges what comes back (the verdict of
 *          damage.h).
 * Method   Handles are opened as any process opens them, and then moved into a reserved range of
 *          addresses with nothing mapped before and behind. An access one byte too far is a
 *          SIGSEGV. The address sanitizer watches private copies. Waits for locks end after
 *          milliseconds.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#include "core/item/item_records.h"
#include "core/memory/htab.h"
#include "core/segment/seg_layout.h"
#include "core/table/db.h"
#include "index/index.h"
#include "tests/crash/damage.h"
#include "tests/crash/damage_parts.h"

/* A result that larder.h names, except E_INVAL: what is asked for here is allowed. */
int damage_judge(int r, const char *what) {
    switch (r) {
    case LARDER_OK:
    case LARDER_NOT_FOUND:
    case LARDER_MORE:
        return r;
    case LARDER_DAMAGED:
    case LARDER_E_FULL:
    case LARDER_E_BUSY:
    case LARDER_E_NO_TABLE:
    case LARDER_E_NO_INDEX:
    case LARDER_E_EXISTS:
    case LARDER_E_CORRUPT:
    case LARDER_E_DESTROYED:
    case LARDER_E_NO_SLOT:
    case LARDER_E_FORMAT:
    case LARDER_E_NO_SEGMENT:
        if (damage_is_pristine)
            FAIL("%s: %s in an undamaged segment", what, larder_result_name(r));
        return r;
    default:
        FAIL("%s: %s (%d)", what, larder_result_name(r), r);
    }
}

/* What is read, in this order. */
static uint64_t digest;

static void take_in(const void *bytes, size_t count) {
    static uint8_t copy[1u << 16];
    /* memcpy: the sanitizer looks at all of it at once */
    for (size_t done = 0; done < count; done += sizeof copy) {
        size_t part = count - done < sizeof copy ? count - done : sizeof copy;
        memcpy(copy, (const uint8_t *)bytes + done, part);
        digest = XXH3_64bits_withSeed(copy, part, digest);
    }
}

static unsigned char *room; /* reserved addresses */
static uint64_t room_bytes;

/* The mapping goes where both neighbours are unmapped. */
static void move_into_room(struct larder *db) {
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    if (room && room_bytes < db->seg.bytes + 2 * page) {
        munmap(room, room_bytes);
        room = NULL;
    }
    if (!room) {
        room_bytes = db->seg.bytes + 2 * page;
        room = mmap(NULL, room_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        MUST(room != MAP_FAILED);
    }
    void *moved = mremap(db->seg.base, db->seg.bytes, db->seg.bytes, MREMAP_MAYMOVE | MREMAP_FIXED, room + page);
    MUST(moved != MAP_FAILED);
    db->seg.base = moved;
    db->seg.shm = moved;
    (void)writer_is_idle(&db->writers, 0); /* brings all of them into the list */
    for (struct writer *w = db->writers.idle; w; w = w->next)
        w->slot = seg_slot(&db->seg, w->id);
}

static struct larder *open_guarded(uint32_t flags) {
    struct larder *db = damage_open(flags);
    if (db)
        move_into_room(db);
    return db;
}

/* munmap() in larder_close() leaves a hole in the room, into which another mapping might go. */
static void close_guarded(struct larder *db) {
    larder_close(db);
    munmap(room, room_bytes);
    room = NULL;
}

static void read_value(const struct larder_value *value, int depth) {
    char text[LARDER_NUMBER_TEXT_MAX];
    int64_t integer;
    struct larder_iter it;
    struct larder_member member;
    MUST(depth <= LARDER_NESTING_MAX + 1);
    switch (value->type) {
    case LARDER_N:
        if (larder_value_number(value, text) == LARDER_OK)
            take_in(text, strlen(text));
        (void)larder_value_int64(value, &integer);
        break;
    case LARDER_S:
    case LARDER_B:
        take_in(value->data, value->bytes);
        break;
    case LARDER_BOOL:
    case LARDER_NULL:
        take_in(&value->is_true, sizeof value->is_true);
        break;
    case LARDER_M:
    case LARDER_L:
    case LARDER_SS:
    case LARDER_NS:
    case LARDER_BS:
        larder_iter_value(value, &it);
        for (uint32_t i = 0; larder_iter_next(&it, &member) == LARDER_OK; i++) {
            MUST(i < value->count);
            take_in(member.name, member.name ? member.name_bytes : 0);
            read_value(&member.value, depth + 1);
        }
        break;
    default:
        FAIL("a value of type %d", (int)value->type);
    }
}

/* Every byte of an item, by every reader. */
static void read_item(const struct larder_item *item) {
    const struct item_head *image = item_head(item);
    struct larder_iter it;
    struct larder_member member;
    struct larder_value found;
    uint32_t count = 0;
    int is_readable = item_is_readable(image, image->bytes), r;
    MUST(item_head_is_sane(image, image->bytes) && (is_readable || !damage_is_pristine));
    MUST(larder_item_size(item) <= UINT32_MAX);
    larder_iter_item(item, &it);
    while ((r = larder_iter_next(&it, &member)) == LARDER_OK) {
        MUST(count++ < larder_item_count(item));
        take_in(member.name, member.name_bytes);
        read_value(&member.value, 0);
        (void)larder_item_getn(item, member.name, member.name_bytes, &found);
    }
    MUST(r == LARDER_NOT_FOUND || (r == LARDER_E_CORRUPT && !is_readable));
    MUST(count == larder_item_count(item) || !is_readable);
}

/* A copy made by the builder: what was read can be written again. */
static void copy_item(struct larder *db, const struct larder_item *item) {
    struct larder_builder *b;
    const struct larder_item *copy;
    struct larder_iter it;
    struct larder_member member;
    MUST(larder_builder_new(db, &b) == LARDER_OK);
    larder_iter_item(item, &it);
    while (larder_iter_next(&it, &member) == LARDER_OK)
        (void)larder_builder_add_member(b, &member);
    int r = larder_builder_finish(b, &copy);
    MUST(r == LARDER_OK || r == LARDER_E_INVAL); /* a damaged text or number is refused */
    if (r == LARDER_OK)
        MUST(item_is_sane(copy, item_head(copy)->bytes));
    larder_builder_free(b);
}

static void use_gets(struct larder *db, struct larder_table *t, struct larder_page *page, int is_world) {
    struct larder_key keys[ITEMS + 2];
    char pk[ITEMS + 2][24], sk[ITEMS + 2][24];
    int count = is_world ? ITEMS + 2 : PLAIN_ITEMS + 2;
    for (int n = 0; n < count; n++) {
        if (is_world) {
            damage_pk_text(pk[n], sizeof pk[n], n);
            damage_sk_text(sk[n], sizeof sk[n], n);
            keys[n] = (struct larder_key){larder_str(pk[n]), larder_str(sk[n])};
        } else {
            snprintf(pk[n], sizeof pk[n], "%d", n);
            keys[n] = (struct larder_key){larder_num(pk[n]), larder_str("")};
        }
    }
    int many = damage_judge(larder_get_many(t, keys, (uint32_t)count, page), "larder_get_many");
    if (many == LARDER_OK)
        MUST(larder_page_count(page) == (uint32_t)count);
    for (int n = 0; n < count; n++) {
        const struct table_view *v;
        struct item_key key;
        if (damage_judge(larder_get(t, &keys[n], page), "larder_get") != LARDER_OK)
            continue;
        MUST(larder_page_count(page) == 1);
        const struct item_head *image = item_head(larder_page_item(page, 0));
        read_item(larder_page_item(page, 0));
        if (n % 8 == 0)
            copy_item(db, larder_page_item(page, 0));
        if (table_view(t, &v) == LARDER_OK && item_key_from_values(&v->shape, &keys[n], &key) == LARDER_OK)
            MUST(image->partition_bytes == key.partition_bytes && image->sort_bytes == key.sort_bytes &&
                 memcmp(item_key_area(image), key.area, key.area_bytes) == 0);
    }
}

/* The value of an attribute; empty if a damaged item does not have it. */
static struct bytes attr_of(const struct larder_item *item, const char *name) {
    struct larder_value value;
    if (larder_item_get(item, name, &value) != LARDER_OK || value.type > LARDER_B)
        return (struct bytes){NULL, 0};
    return (struct bytes){value.data, value.bytes};
}

static void use_query(struct larder_table *t, struct larder_page *page, const char *index, const char *partition_name,
                      const char *sort_name, const struct larder_query_spec *like) {
    struct larder_query_spec spec = *like;
    struct bytes previous = {NULL, 0};
    uint8_t previous_key[LARDER_SORT_KEY_BYTES_MAX];
    spec.index = index;
    for (uint32_t pages = 0;; pages++) {
        int r = larder_query(t, &spec, page);
        /* a damaged item without its key attributes was the last one */
        if (r == LARDER_E_INVAL && spec.start_key)
            return;
        if (damage_judge(r, "larder_query") < 0)
            return;
        for (uint32_t i = 0; i < larder_page_count(page); i++) {
            const struct larder_item *item = larder_page_item(page, i);
            struct bytes partition = attr_of(item, partition_name), sort = attr_of(item, sort_name);
            MUST(item_head_is_sane(item_head(item), item_head(item)->bytes));
            if (!spec.limit)
                take_in(item, item_head(item)->bytes);
            /* A key attribute's name is payload: damaged, it is not found. */
            if (partition.at)
                MUST(partition.len == spec.partition.bytes &&
                     !memcmp(partition.at, spec.partition.data, partition.len));
            if (!sort.at || sort.len > sizeof previous_key)
                continue;
            int order = previous.at ? item_compare_bytes(previous, sort) : 0;
            MUST(spec.is_descending ? order >= 0 : order <= 0);
            memcpy(previous_key, sort.at, sort.len);
            previous = (struct bytes){previous_key, sort.len};
        }
        if (r != LARDER_MORE)
            return;
        MUST(pages < PAGES_MAX && larder_page_resume(page));
        spec.start_key = larder_page_resume(page);
    }
}

static void use_queries(struct larder_table *t, struct larder_page *page, int is_brief) {
    static const struct {
        const char *index, *partition, *sort;
        int is_number;
    } indexes[] = {{NULL, "PK", "SK", 0}, {"G1x", "G1P", "G1S", 0}, {"G2x", "G2P", "G2S", 1}, {"L1x", "PK", "L1S", 0}};
    for (size_t i = 0; i < sizeof indexes / sizeof *indexes; i++)
        for (int p = 0; p < PARTITIONS; p++)
            for (int down = 0; down < 2; down++) {
                char partition[24];
                damage_pk_text(partition, sizeof partition, p);
                struct larder_query_spec spec = {.partition = larder_str(partition), .is_descending = down};
                use_query(t, page, indexes[i].index, indexes[i].partition, indexes[i].sort, &spec);
                if (is_brief)
                    continue;
                spec.limit = 7;
                spec.sort_op = LARDER_SORT_GE;
                spec.sort_value = indexes[i].is_number ? larder_num("-100") : larder_str(i == 1 ? "SHARED#3" : "2");
                use_query(t, page, indexes[i].index, indexes[i].partition, indexes[i].sort, &spec);
            }
}

static void use_scan(struct larder_table *t, struct larder_page *page, uint32_t limit) {
    struct larder_scan_spec spec = {.limit = limit};
    for (uint32_t pages = 0;; pages++) {
        int r = larder_scan(t, &spec, page);
        if (r == LARDER_E_INVAL && spec.start_key)
            return;
        if (damage_judge(r, "larder_scan") < 0)
            return;
        for (uint32_t i = 0; i < larder_page_count(page); i++)
            read_item(larder_page_item(page, i));
        if (r != LARDER_MORE)
            return;
        MUST(pages < PAGES_MAX && larder_page_resume(page));
        spec.start_key = larder_page_resume(page);
    }
}

static void use_stats(struct larder *db) {
    struct larder_segment_stats segment;
    struct larder_class_stats classes[64];
    struct larder_slot_stats slots[70];
    uint32_t count;
    (void)damage_judge(larder_segment_stats(db, &segment), "larder_segment_stats");
    (void)damage_judge(larder_class_stats(db, classes, 64, &count), "larder_class_stats");
    if (damage_judge(larder_slot_stats(db, slots, 70, &count), "larder_slot_stats") == LARDER_OK)
        for (uint32_t i = 0; i < count && i < 70; i++)
            for (uint32_t k = 0; k < slots[i].lock_count; k++)
                MUST(slots[i].lock_kinds[k] != NULL);
}

static struct larder_table *use_table(struct larder *db, const char *name) {
    struct larder_table *t = NULL;
    const struct larder_table_def *def;
    struct larder_table_stats stats;
    if (damage_judge(larder_table_open(db, name, &t), "larder_table_open") != LARDER_OK)
        return NULL;
    if (damage_judge(larder_table_describe(t, &def), "larder_table_describe") == LARDER_OK) {
        take_in(def->name, strlen(def->name));
        for (uint32_t i = 0; i < def->index_count; i++)
            take_in(def->indexes[i].name, strlen(def->indexes[i].name));
    }
    (void)damage_judge(larder_table_stats(t, &stats), "larder_table_stats");
    return t;
}

static void use_check(struct larder *db) {
    struct larder_check_report report;
    int r = larder_check(db, NULL, &report);
    MUST(r != LARDER_DAMAGED || report.errors > 0);
    MUST(r != LARDER_E_CORRUPT || !damage_is_pristine);
    /* only a process that may write recovers dead slots */
    if (damage_is_pristine && db->seg.is_read_only)
        return;
    (void)damage_judge(r, "larder_check");
}

/* is_brief: the second pass, after writing. */
static void read_all(struct larder *db, int is_brief) {
    const char *names[8];
    uint32_t count = 0;
    struct larder_page *page;
    MUST(larder_page_new(db, &page) == LARDER_OK);
    if (damage_judge(larder_table_list(db, names, 8, &count), "larder_table_list") == LARDER_OK)
        for (uint32_t i = 0; i < count && i < 8; i++)
            take_in(names[i], strlen(names[i]));
    struct larder_table *world = damage_is_pristine && count == 0 ? NULL : use_table(db, "World");
    if (world) {
        use_gets(db, world, page, 1);
        use_queries(world, page, is_brief);
        use_scan(world, page, is_brief ? 9 : 0);
    }
    int saved = damage_is_pristine; /* the template whose table Plain is being dropped */
    damage_is_pristine = 0;
    struct larder_table *plain = use_table(db, "Plain");
    damage_is_pristine = saved;
    if (plain) {
        use_gets(db, plain, page, 0);
        use_scan(plain, page, 5);
    }
    larder_page_free(page);
}

static void write_all(struct larder *db) {
    struct larder_table *world = NULL, *plain = NULL;
    struct larder_page *page;
    uint64_t removed;
    char pk[24], sk[24];
    MUST(larder_page_new(db, &page) == LARDER_OK);
    (void)damage_judge(larder_table_open(db, "World", &world), "larder_table_open");
    for (int n = 0; world && n < 12; n++) { /* overwrites with other keys, new items, a large one */
        int at = n < 8 ? n * 17 % ITEMS : ITEMS + n;
        (void)damage_judge(
            damage_put_item(db, world, at, (n * 3) % 7, n == 3 ? LARGE : 40, n % 2 ? NOW_S + n : 0, page),
            "larder_put");
        if (larder_page_count(page))
            read_item(larder_page_item(page, 0));
    }
    /* a number that some items have: the sort key of an index */
    for (int n = 0; world && n < 8; n++) {
        damage_pk_text(pk, sizeof pk, n * 11);
        damage_sk_text(sk, sizeof sk, n * 11);
        struct larder_key key = {larder_str(pk), larder_str(sk)};
        (void)damage_judge(larder_increment(world, &key, "G2S", n - 3, NULL), "larder_increment");
    }
    for (int n = 0; world && n < 8; n++) {
        damage_pk_text(pk, sizeof pk, n * 13);
        damage_sk_text(sk, sizeof sk, n * 13);
        struct larder_key key = {larder_str(pk), larder_str(sk)};
        (void)damage_judge(larder_delete(world, &key, page), "larder_delete");
        if (larder_page_count(page))
            read_item(larder_page_item(page, 0));
    }
    (void)damage_judge(larder_expire(db, 0, &removed), "larder_expire");
    if (world)
        (void)damage_judge(larder_ttl_set(world, "G2S"), "larder_ttl_set");
    if (world && !damage_is_pristine) {
        int r = damage_add_index(db);
        MUST(r != LARDER_E_INVAL);
    }
    int saved = damage_is_pristine;
    damage_is_pristine = 0;
    if (damage_judge(larder_table_open(db, "Plain", &plain), "larder_table_open") == LARDER_OK)
        (void)damage_judge(damage_put_plain(db, plain, 3), "larder_put");
    damage_is_pristine = saved;
    larder_page_free(page);
}

uint64_t damage_use_read_only(int is_brief) {
    digest = UINT64_C(0xcbf29ce484222325);
    struct larder *db = open_guarded(LARDER_READ_ONLY);
    if (!db)
        return 0;
    read_all(db, is_brief);
    use_stats(db);
    use_check(db);
    close_guarded(db);
    return digest;
}

static void use_read_write(void) {
    struct larder *db = open_guarded(0);
    if (!db)
        return;
    write_all(db);
    read_all(db, 1);
    use_stats(db);
    use_check(db);
    if (!damage_is_pristine) {
        (void)damage_judge(larder_table_drop(db, "World"), "larder_table_drop");
        (void)damage_judge(larder_table_drop(db, "Plain"), "larder_table_drop");
    }
    close_guarded(db);
}

/* Reads, writes, and reads what the writing left. A read-only reader also meets damage that a
 * recovery of the dead slot would meet first. */
void damage_use(const struct damage_template *t) {
    uint64_t seen = damage_use_read_only(0);
    MUST(!damage_is_pristine || seen == t->digest);
    use_read_write();
    if (!damage_is_pristine)
        (void)damage_use_read_only(1);
}
