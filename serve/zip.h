/* serve/zip.h - gzip: bodies of requests, and of answers.
 *
 * Tests    tests/serve/serve_http_test.c
 */
#ifndef LARDER_SERVE_ZIP_H
#define LARDER_SERVE_ZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zlib.h>

#define ZIP_ANSWER_BYTES_MIN 4096u /* shorter answers are sent as they are: packing costs more */

/* Streams and room of one worker, used again. Zero it first. */
struct zip {
    z_stream in, out;
    bool is_in_ready, is_out_ready;
    char *room;
    size_t room_bytes;
};

enum zip_end { ZIP_DONE, ZIP_BAD, ZIP_TOO_LONG, ZIP_NO_MEMORY };

/* Unpacks one gzip member. What it gives lies in z->room until the next call. */
enum zip_end zip_unpack(struct zip *z, const char *data, size_t bytes, size_t bytes_max, size_t *out);
/* Packs. ZIP_DONE or ZIP_NO_MEMORY. */
enum zip_end zip_pack(struct zip *z, const char *data, size_t bytes, size_t *out);
/* Gives back room that a large body took. */
void zip_trim(struct zip *z);
void zip_free(struct zip *z);

#endif
