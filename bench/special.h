/* bench/special.h - measurements of Larder alone that are not a mix of calls. */
#ifndef LARDER_BENCH_SPECIAL_H
#define LARDER_BENCH_SPECIAL_H

#include <stdint.h>

struct expiry_figures {
    uint64_t items;
    double seconds;                 /* from the moment they expire until their memory is back */
    double gets_alone, gets_beside; /* per second, of a process that reads items that stay */
};

/* `items` with four index keys expire at the same second, while another process gets. */
void special_expiry(uint64_t items, struct expiry_figures *out);

/* Bytes of segment per byte of item (names and values, as DynamoDB counts them) after as many
 * random inserts, updates of another size and deletes as there are items. */
double special_memory(uint64_t items, uint32_t item_bytes, int indexes);

#endif
