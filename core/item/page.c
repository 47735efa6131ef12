/* core/item/page.c - where reads put items. See page.h. */
#include "core/item/page.h"
#include "core/base/err.h"
#include <string.h>

int page_new(struct priv *priv, struct epochs *epochs, struct larder_page **out) {
    struct larder_page *p = priv_alloc(priv, sizeof *p);
    if (!p)
        return LARDER_E_NO_MEMORY;
    p->priv = priv;
    p->epochs = epochs;
    epoch_use_add(epochs, &p->use);
    p->ahead_bytes = PAGE_AHEAD_BYTES;
    *out = p;
    return LARDER_OK;
}

void larder_page_free(struct larder_page *p) {
    if (!p)
        return;
    struct priv *priv = p->priv;
    epoch_use_remove(p->epochs, &p->use);
    priv_free(priv, p->bytes);
    priv_free(priv, p->at);
    priv_free(priv, p->keys);
    priv_free(priv, p->resume);
    priv_free(priv, p->work.at);
    priv_free(priv, p->seen.at);
    priv_free(priv, p->sieve.at);
    priv_free(priv, p);
}

uint32_t larder_page_count(const struct larder_page *p) {
    return p ? p->count : 0;
}

const struct larder_item *larder_page_item(const struct larder_page *p, uint32_t i) {
    if (!p || i >= p->count || p->at[i] == PAGE_HOLE)
        return NULL;
    return (const struct larder_item *)(p->bytes + p->at[i]);
}

const struct larder_item *larder_page_resume(const struct larder_page *p) {
    return p && p->has_resume ? (const struct larder_item *)p->resume : NULL;
}

int larder_page_is_snapshot(const struct larder_page *p) {
    return p && p->is_snapshot;
}

uint64_t larder_page_scanned(const struct larder_page *p) {
    return p ? p->scanned : 0;
}

uint32_t larder_page_matched(const struct larder_page *p) {
    return p ? p->count + p->dropped : 0;
}

void page_reset(struct larder_page *p) {
    p->used = 0;
    p->dropped = 0;
    p->count = 0;
    p->scanned = 0;
    p->has_resume = 0;
    p->is_snapshot = 0;
}

int page_fail(struct larder_page *p, int result) {
    if (p)
        page_reset(p);
    return result;
}

int page_grow(struct larder_page *p, size_t bytes) {
    size_t capacity = (p->used + bytes) * 2;
    uint8_t *grown = priv_realloc(p->priv, p->bytes, capacity);
    if (!grown)
        return LARDER_E_NO_MEMORY;
    p->bytes = grown;
    p->capacity = capacity;
    return LARDER_OK;
}

int page_grow_places(struct larder_page *p, uint32_t more) {
    uint32_t capacity = p->at_capacity ? p->at_capacity * 2 : 32;
    if (capacity < p->count + more)
        capacity = p->count + more;
    size_t *grown = priv_realloc(p->priv, p->at, capacity * sizeof *grown);
    if (!grown)
        return LARDER_E_NO_MEMORY;
    p->at = grown;
    p->at_capacity = capacity;
    return LARDER_OK;
}

int page_make(struct larder_page *p, struct page_memory *memory, size_t bytes) {
    if (memory->bytes >= bytes)
        return LARDER_OK;
    size_t wanted = memory->bytes * 2 > bytes ? memory->bytes * 2 : bytes;
    void *grown = priv_realloc(p->priv, memory->at, wanted);
    if (!grown)
        return LARDER_E_NO_MEMORY;
    memory->at = grown;
    memory->bytes = wanted;
    return LARDER_OK;
}

int page_make_keys(struct larder_page *p, size_t bytes) {
    if (!p->keys)
        p->keys = priv_realloc(p->priv, NULL, bytes);
    return p->keys ? LARDER_OK : LARDER_E_NO_MEMORY;
}

void page_take_over(struct larder_page *p, void **bytes, size_t *capacity) {
    uint8_t *mine = p->bytes;
    size_t my_capacity = p->capacity;
    p->bytes = *bytes;
    p->capacity = *capacity;
    *bytes = mine;
    *capacity = my_capacity;
    p->at[0] = 0;
    p->count = 1;
    p->used = ((const struct item_head *)p->bytes)->bytes;
}

int page_add_hole(struct larder_page *p) {
    int r = page_make_places(p, 1);
    if (r == LARDER_OK)
        p->at[p->count++] = PAGE_HOLE;
    return r;
}

void page_truncate(struct larder_page *p, uint32_t count) {
    while (p->count > count) {
        size_t at = p->at[--p->count];
        if (at != PAGE_HOLE)
            p->used = at;
    }
}

int page_project_last(struct larder_page *p, const struct bytes *names, uint32_t name_count) {
    size_t at = p->at[p->count - 1];
    const struct item_head *whole = (const struct item_head *)(p->bytes + at);
    int r = item_check_records(whole);
    if (r == LARDER_OK)
        r = page_reserve(p, item_project_bytes_max(whole));
    if (r)
        return r;
    whole = (const struct item_head *)(p->bytes + at); /* the buffer may have moved */
    size_t bytes = item_project(whole, names, name_count, p->bytes + p->used);
    memmove(p->bytes + at, p->bytes + p->used, bytes);
    p->used = at + bytes;
    return LARDER_OK;
}

/* Behind the images, which may lie in any order: a scan sorts them. */
int page_project_all(struct larder_page *p, const struct bytes *names, uint32_t name_count) {
    for (uint32_t i = 0; i < p->count; i++) {
        const struct item_head *whole = (const struct item_head *)(p->bytes + p->at[i]);
        int r = item_check_records(whole);
        if (r == LARDER_OK)
            r = page_reserve(p, item_project_bytes_max(whole));
        if (r)
            return r;
        whole = (const struct item_head *)(p->bytes + p->at[i]); /* the buffer may have moved */
        size_t bytes = item_project(whole, names, name_count, p->bytes + p->used);
        p->at[i] = p->used;
        p->used += bytes;
    }
    return LARDER_OK;
}

/* The value of the i-th key attribute of a page's last item. In a stored item the table's keys lie
 * in the key area. */
static int resume_value(const struct larder_item *last, const struct item_key_attr *attr, const struct bytes *known,
                        uint32_t i, struct larder_value *value) {
    const struct item_head *h = item_head(last);
    if (known && known[i].at) {
        *value = (struct larder_value){.type = attr->type, .data = known[i].at, .bytes = known[i].len};
        return LARDER_OK;
    }
    if (h->version != 0 && i == 0) {
        *value = (struct larder_value){.type = attr->type, .data = item_key_area(h), .bytes = h->partition_bytes};
        return LARDER_OK;
    }
    if (h->version != 0 && i == 1 && h->sort_bytes != 0) {
        *value = (struct larder_value){
            .type = attr->type, .data = item_key_area(h) + h->partition_bytes, .bytes = h->sort_bytes};
        return LARDER_OK;
    }
    if (larder_item_getn(last, attr->name, attr->name_bytes, value) == LARDER_OK && value->type == attr->type)
        return LARDER_OK;
    return err_set(LARDER_E_CORRUPT, "the table is damaged: an item has no key attribute \"%.64s\"", attr->name);
}

int page_set_resume(struct larder_page *p, const struct item_key_attr *const *attrs, const struct bytes *known,
                    uint32_t count) {
    const struct larder_item *last = larder_page_item(p, p->count - 1);
    struct larder_value values[ITEM_KEYS_MAX];
    for (uint32_t i = 0; i < count; i++) {
        int r = resume_value(last, attrs[i], known, i, &values[i]);
        if (r)
            return r;
    }
    size_t most = item_of_keys_bytes_max(attrs, values, count);
    if (p->resume_capacity < most) {
        uint8_t *grown = priv_realloc(p->priv, p->resume, most);
        if (!grown)
            return LARDER_E_NO_MEMORY;
        p->resume = grown;
        p->resume_capacity = most;
    }
    item_of_keys(attrs, values, count, p->resume);
    p->has_resume = 1;
    return LARDER_OK;
}
