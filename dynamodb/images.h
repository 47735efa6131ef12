/* dynamodb/images.h - copies of items that a request of several items needs all together.
 *
 * Idea     One block that grows, so a copy is known by its place until all are there.
 */
#ifndef LARDER_DYNAMODB_IMAGES_H
#define LARDER_DYNAMODB_IMAGES_H

#include <stddef.h>

struct larder_item;

struct images {
    char *at;
    size_t bytes, room;
};

/* Copies an item behind the others. LARDER_OK, LARDER_E_NO_MEMORY. */
int images_keep(struct images *images, const struct larder_item *item, size_t *place);
/* Valid until the next images_keep(). */
static inline const struct larder_item *images_item(const struct images *images, size_t place) {
    return (const struct larder_item *)(images->at + place);
}
/* Keeps the block for the next request. Zero it before the first. */
static inline void images_forget(struct images *images) {
    images->bytes = 0;
}
void images_free(struct images *images);

#endif
