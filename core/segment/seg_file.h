/* core/segment/seg_file.h - the file under a segment: its name, its descriptor, and what its first
 * bytes say.
 *
 * Job      Turns a name or path into a descriptor, refuses files that cannot be segments, and reads
 *          the state of a file from its head. It does not map the file: unchecked bytes are read
 *          with pread().
 * Tests    tests/unit/segment/seg_foreign_test.c
 */
#ifndef LARDER_SEGMENT_SEG_FILE_H
#define LARDER_SEGMENT_SEG_FILE_H

#include "core/segment/seg.h"

#define SEG_NAME_BYTES_MAX 200
#define SEG_SHM_DIR "/dev/shm/" /* where shm_open() of Linux's C libraries keeps its objects */
#define SEG_MODE_MAKING 0600u   /* while a file is made: no other user can lock it */
#define SEG_NAMED_TEXT "segment \"%.200s\""

struct seg_file {
    const char *shown; /* as the caller wrote it, for messages */
    const char *path;  /* NULL: a memfd */
    int is_new;        /* this attempt created the file, and removes it if it fails */
    int is_foreign;    /* the file that was opened belongs to another user */
    char shm_path[sizeof SEG_SHM_DIR + SEG_NAME_BYTES_MAX];
};

/* Fills in *file from a name or path; NULL is "larder". LARDER_OK or LARDER_E_INVAL. `segment` is
 * borrowed as long as *file is used. */
int seg_file_name(struct seg_file *file, const char *segment);
/* Whether a segment may have this mode: its owner needs both rights, and writing without reading is
 * useless to others. */
static inline int seg_mode_is_possible(uint32_t mode) {
    return (mode & ~0777u) == 0 && (mode & 0600u) == 0600u && (mode & 060u) != 020u && (mode & 06u) != 02u;
}
/* Opens an existing file, and notes if it belongs to another user. LARDER_OK, LARDER_E_NO_SEGMENT,
 * LARDER_E_ACCESS, LARDER_E_FORMAT (not a regular file), LARDER_E_OS. */
int seg_file_open(struct seg_file *file, int is_read_only, int *fd);
/* LARDER_E_ACCESS for a file of another user, with its owner and `why` in the message. */
int seg_file_is_foreign(const struct seg_file *file, int fd, const char *why);
/* Creates an empty file. LARDER_E_EXISTS, without a message, if the name is taken; LARDER_E_FULL
 * and as above. */
int seg_file_create(struct seg_file *file, int *fd);
/* Whether the name still leads to this file. Always true of a memfd. */
int seg_file_is_named(const struct seg_file *file, int fd);
/* Whether seg_file_unlink() will succeed, as far as can be known: the name is no mount, and its
 * directory may be written to. LARDER_OK, also if there is nothing to remove; LARDER_E_ACCESS,
 * LARDER_E_OS, LARDER_E_INVAL. */
int seg_file_check_removable(const struct seg_file *file, int fd);
/* Removes the name of the file that is open as fd. LARDER_OK, also if the name is gone or leads to
 * another file, which may have replaced it while this process stood still. LARDER_E_ACCESS,
 * LARDER_E_OS. */
int seg_file_unlink(const struct seg_file *file, int fd);
/* The path of an open file, from the kernel. LARDER_OK; LARDER_NOT_FOUND, without a message, if it
 * has none. `path` has PATH_MAX bytes. */
int seg_file_path_of(int fd, char *path);
/* Whether the file is a memfd, which never had a name. */
int seg_file_has_no_name(int fd);
/* Page size of the file's memory: the system's, or its hugetlbfs mount's. */
uint64_t seg_file_page_bytes(int fd);
int seg_file_is_huge(int fd);
/* Backs `bytes` bytes from `from` with memory, as fallocate(). 0, or -1 and errno, never EINTR. */
int seg_file_back(int fd, uint64_t from, uint64_t bytes);

/* The state of a file. */
enum seg_look {
    SEG_LOOK_EMPTY,     /* not written yet: a creator may take it */
    SEG_LOOK_HALF_MADE, /* ours; its creator is at work or dead */
    SEG_LOOK_READY,
    SEG_LOOK_DESTROYED,
    SEG_LOOK_REPAIRING, /* only a repair may attach; *result is the failure for others */
    SEG_LOOK_BAD_STATE, /* the state is invalid: as REPAIRING */
    SEG_LOOK_UNUSABLE,  /* our magic, but another version, or truncated */
    SEG_LOOK_FOREIGN,   /* anything else: never written to, never removed */
    SEG_LOOK_FAILED     /* could not be read */
};

/* Reads the head into *head and the file's size into *file_bytes. With REPAIRING, BAD_STATE,
 * UNUSABLE, FOREIGN and FAILED, *result is the failure and its message is set. */
enum seg_look seg_look(const struct seg_file *file, int fd, struct seg_shm *head, uint64_t *file_bytes, int *result);

#endif
