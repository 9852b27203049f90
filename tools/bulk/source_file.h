// SPDX-License-Identifier: Apache-2.0
/*
 * source_file: one file of a tree that is read: its attributes, its extended attributes and, if it
 * is small, its bytes. A thread fills it (source_read); then another one uses it. Or it comes from
 * a stream.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define FILE_SMALL (256u * 1024) /* bytes; a larger file is left open and read in pieces */

/* A directory that is open as long as files in it are to be read. */
struct source_dir {
    int fd;
    unsigned refs; /* changed by the thread that gives and takes */
    char *path;    /* from the top; "" for the top */
};

struct source_xattr {
    struct source_xattr *next;
    char *name;
    void *value;
    size_t len;
};

struct source_file {
    struct source_dir *dir;
    char *name;
    bool is_read;
    int err;          /* -errno of reading it */
    const char *what; /* what failed, static text */
    struct stat st;
    int fd;      /* of a directory, and of a regular file that is not small or has holes; else -1 */
    bool changed; /* it went on changing while it was read */
    uint8_t *bytes; /* of a small file without holes: st.st_size bytes */
    /* Of a file that comes from a stream (source_stream.h): gives the next piece of its data, which
     * is valid until the next call. The pieces come in order, and what is between them is a hole.
     * -ENOENT: there are no more; or -errno. NULL: the bytes are at `fd` or `bytes`. */
    int (*next_piece)(void *ctx, const void **ret_bytes, size_t *ret_len, uint64_t *ret_off);
    void *piece_ctx;
    char *target;   /* of a symlink */
    struct source_xattr *xattrs;
};

struct source_dir *source_dir_new(int fd, char *path); /* takes both over; NULL: no memory */
void source_dir_put(struct source_dir *d);             /* the last one closes it */
/* Makes a file that is to be read. A copy of the name is made. NULL: no memory. */
struct source_file *source_new(struct source_dir *dir, const char *name);
void source_free(struct source_file *f); /* NULL is fine */
void source_free_xattrs(struct source_xattr *first); /* with all that follow; NULL is fine */
/* Reads it; an error is in f->err. */
void source_read(struct source_file *f);
/* Has the open file changed since it was read? */
bool source_has_changed(const struct source_file *f);
bool source_has_holes(const struct source_file *f);
/* Its path from the top, in memory that the caller frees; NULL: no memory. */
char *source_path(const struct source_file *f);
