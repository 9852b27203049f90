// SPDX-License-Identifier: Apache-2.0
/*
 * intake: makes the records of an image from the files of an archive or a directory. It knows which
 * names there are, makes directories that are only implied, and lets the last of several files with
 * one name win.
 *
 *     intake_open(fd, &in);
 *     intake_place(in, path, &place);                       where the file is to be
 *     intake_content(in, length, sparse);                   its bytes, before the file itself
 *     intake_piece(in, offset, bytes, len); …
 *     attributes.content = intake_content_end(in);
 *     intake_add(in, &place, &attributes, &number);         the file
 *     intake_xattr(in, number, name, value, len); …
 *     intake_end(in);
 *
 * Errors: 0 or -errno; intake_why has a sentence, but for an error of a write, after which the
 * reader of the stream has one. One thread at a time.
 */
#pragma once

#include "image.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INTAKE_WHY 8192

/* What has been read, for whoever shows it. It may be in memory that processes share. */
struct intake_counts {
    _Atomic uint64_t files;     /* of any kind */
    _Atomic uint64_t bytes;     /* of contents */
    _Atomic uint64_t at;        /* bytes of the source */
    _Atomic uint64_t absolute;  /* names of which the leading '/' was taken away */
    _Atomic uint64_t passed;    /* attributes that a store cannot have */
};

struct intake;

struct intake_place {
    bool root;       /* the directory that everything is put at */
    uint64_t parent; /* number of the directory's inode */
    const char *name; /* borrowed from the path */
    size_t len;
};

struct intake_attributes {
    uint32_t mode, uid, gid, rdev;
    int64_t mtime;      /* ns since the epoch */
    uint64_t size;      /* of a regular file */
    uint64_t content;   /* 0: none */
    const char *target; /* of a symlink */
    bool implied;       /* of a directory: the source does not describe it */
};

/* `counts` must outlive it. -ENOMEM, -EAGAIN; errors of a write. */
int intake_open(int fd, struct intake_counts *counts, struct intake **ret_in);
void intake_close(struct intake *in); /* NULL is fine */
const char *intake_why(const struct intake *in);
/* Sets the sentence, and returns `err`. */
int intake_fail(struct intake *in, int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* From now on a file that is no directory takes the place of whatever was there before the stream,
 * also of a directory. */
void intake_replace_all(struct intake *in);
/* Finds where a path leads: leading '/' and components "." are taken away, and directories are made
 * that are missing on the way. -EINVAL: it has a component ".."; -ENAMETOOLONG; -ENOTDIR: it leads
 * through something that is no directory. */
int intake_place(struct intake *in, const char *path, struct intake_place *ret);
/* The inode that has the path. -ENOENT: none has; -EISDIR: a directory. */
int intake_find(struct intake *in, const char *path, uint64_t *ret_inode);

/* Begins a content of so many bytes, at least 1. Its pieces follow in order, within that length;
 * without `sparse` they begin at 0 and have no gaps: -EINVAL. */
int intake_content(struct intake *in, uint64_t length, bool sparse);
int intake_piece(struct intake *in, uint64_t offset, const void *data, size_t len);
/* The number of that content; 0: there was no piece, so the file is a hole. */
uint64_t intake_content_end(struct intake *in);
/* Adds a file. One that has the place goes; a directory that has the place of a directory stays,
 * and gets the attributes. */
int intake_add(struct intake *in, const struct intake_place *place,
               const struct intake_attributes *a, uint64_t *ret_inode);
/* Gives an inode one more name. */
int intake_link(struct intake *in, const struct intake_place *place, uint64_t inode);
/* Gives a file that has no content one. */
int intake_fill(struct intake *in, uint64_t inode, const struct intake_attributes *a);
/* What was at the place before the stream goes, and what the stream has put there stays. */
int intake_whiteout(struct intake *in, const struct intake_place *place);
/* What was in the directory of the place before the stream goes. */
int intake_opaque(struct intake *in, const struct intake_place *place);
/* An attribute that a store cannot have is passed over, and counted. */
int intake_xattr(struct intake *in, uint64_t inode, const char *name, const void *value,
                 size_t len);
/* Ends the stream, and waits until all is written. */
int intake_end(struct intake *in);
