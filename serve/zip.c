/* serve/zip.c - gzip: bodies of requests, and of answers. See zip.h.
 *
 * Tests    tests/serve/serve_http_test.c
 */
#include "serve/zip.h"

#include <stdlib.h>

#define ZIP_ROOM_BYTES_KEPT (1u << 20)
#define ZIP_GZIP 16 /* added to windowBits: with gzip's head and check */
#define ZIP_LEVEL 1 /* the network is this host's, or near */

static bool zip_grow(struct zip *z, size_t bytes) {
    if (bytes <= z->room_bytes)
        return true;
    char *room = realloc(z->room, bytes);
    if (room == NULL)
        return false;
    z->room = room;
    z->room_bytes = bytes;
    return true;
}

/* One more step of inflate() into the room that is left, or into more. */
static enum zip_end zip_unpack_step(struct zip *z, size_t bytes_max, int *status) {
    size_t have = z->in.total_out, want = have < 16384 ? 32768 : have * 2;
    if (have > bytes_max)
        return ZIP_TOO_LONG;
    if (have == z->room_bytes && !zip_grow(z, want < bytes_max + 1 ? want : bytes_max + 1))
        return ZIP_NO_MEMORY;
    z->in.next_out = (Bytef *)z->room + have;
    z->in.avail_out = (uInt)(z->room_bytes - have);
    *status = inflate(&z->in, Z_NO_FLUSH);
    if (*status == Z_MEM_ERROR)
        return ZIP_NO_MEMORY;
    bool is_stuck = *status == Z_BUF_ERROR || (*status == Z_OK && z->in.avail_in == 0 && z->in.avail_out != 0);
    return is_stuck || (*status != Z_OK && *status != Z_STREAM_END) ? ZIP_BAD : ZIP_DONE;
}

enum zip_end zip_unpack(struct zip *z, const char *data, size_t bytes, size_t bytes_max, size_t *out) {
    enum zip_end end;
    int status = Z_OK;
    if (!z->is_in_ready && inflateInit2(&z->in, MAX_WBITS + ZIP_GZIP) != Z_OK)
        return ZIP_NO_MEMORY;
    z->is_in_ready = true;
    inflateReset(&z->in);
    z->in.next_in = (Bytef *)(uintptr_t)data;
    z->in.avail_in = (uInt)bytes;
    if (!zip_grow(z, 32768))
        return ZIP_NO_MEMORY;
    do
        end = zip_unpack_step(z, bytes_max, &status);
    while (end == ZIP_DONE && status == Z_OK);
    if (end != ZIP_DONE)
        return end;
    *out = z->in.total_out;
    return z->in.avail_in != 0 ? ZIP_BAD : *out > bytes_max ? ZIP_TOO_LONG : ZIP_DONE;
}

enum zip_end zip_pack(struct zip *z, const char *data, size_t bytes, size_t *out) {
    if (!z->is_out_ready &&
        deflateInit2(&z->out, ZIP_LEVEL, Z_DEFLATED, MAX_WBITS + ZIP_GZIP, MAX_MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
        return ZIP_NO_MEMORY;
    z->is_out_ready = true;
    deflateReset(&z->out);
    if (!zip_grow(z, deflateBound(&z->out, (uLong)bytes)))
        return ZIP_NO_MEMORY;
    z->out.next_in = (Bytef *)(uintptr_t)data;
    z->out.avail_in = (uInt)bytes;
    z->out.next_out = (Bytef *)z->room;
    z->out.avail_out = (uInt)z->room_bytes;
    if (deflate(&z->out, Z_FINISH) != Z_STREAM_END)
        return ZIP_NO_MEMORY;
    *out = z->out.total_out;
    return ZIP_DONE;
}

void zip_trim(struct zip *z) {
    if (z->room_bytes <= ZIP_ROOM_BYTES_KEPT)
        return;
    free(z->room);
    z->room = NULL;
    z->room_bytes = 0;
}

void zip_free(struct zip *z) {
    if (z->is_in_ready)
        inflateEnd(&z->in);
    if (z->is_out_ready)
        deflateEnd(&z->out);
    free(z->room);
    *z = (struct zip){0};
}
