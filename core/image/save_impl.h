// SPDX-License-Identifier: Apache-2.0
/*
 * save_impl: what the save*.c files share.
 *
 * One step makes the records of a part of one inode: a piece of its bytes, its attributes, or one
 * extended attribute. What inode is next is said by save_whole.c or save_changes.c.
 */
#pragma once

#include "delta.h"
#include "file_image.h"
#include "ino_names.h"
#include "map64.h"
#include "save.h"
#include "state.h"
#include "strbuf.h"
#include "vfs.h"

struct tree_walk;

/* A content that the stream has, or the base: that of an inode. */
struct save_known {
    uint64_t number; /* of the inode, in the stream */
    uint64_t size, valid;
    bool passing; /* the inode gets other bytes later in the stream */
};

/* What is done next for the present inode, in this order. For a program the bytes come behind the
 * name, and are followed by SAVE_FILL: the attributes again, with size and content. */
enum save_part {
    SAVE_NOTHING,
    SAVE_BYTES,
    SAVE_INODE,
    SAVE_XATTRS,
    SAVE_PATCHES,
    SAVE_NAME,
    SAVE_FILL
};

/* The present inode. */
struct save_now {
    enum save_part part;
    uint64_t ino, number; /* in the tree, and in the stream */
    struct vfs_attr attr;
    struct inode in;
    bool of_base;     /* it is an inode of the base */
    bool keeps;       /* of the base: its bytes, or all but some blocks, stay */
    bool again;       /* of the base: its extended attributes are replaced */
    uint64_t content; /* number of its content in the stream; 0: none */
    uint64_t share;   /* number of the inode of which it has the content; 0: none */
    const char *name; /* that it gets; NULL: none. Borrowed from the walk */
    uint64_t parent;  /* number of the directory */
    /* its bytes */
    struct vfs_file *file; /* NULL: not open */
    uint64_t at, end;
    bool sparse; /* there may be holes between its pieces, or behind them */
    bool seek;   /* where they are has to be looked for */
    struct vfs_file *was;   /* the file in the base, if blocks of it are patched */
    const uint64_t *blocks; /* those that may differ from the base; NULL: it is no patch */
    size_t block_count;
    /* its extended attributes: NUL-terminated names from `xattr` on */
    size_t xattr, xattrs_len;
};

/* How a difference is made, in this order. */
enum save_stage { STAGE_FIND, STAGE_NEW, STAGE_CHANGE, STAGE_UNLINK, STAGE_REMOVE, STAGE_ENTRY };

/* An inode of the base that the stream names. */
struct save_find {
    uint64_t ino, parent; /* parent: the inode of its directory */
    struct key at;        /* of the entry */
};

struct save {
    struct state *p;
    struct ns *base, *ns; /* base NULL: whole */
    const _Atomic bool *interrupted;
    bool for_program; /* as save_for_program says */
    uint64_t top;     /* node where a whole tree begins */
    struct image_stream stream;
    uint8_t *bytes; /* made and not taken: from `taken` to `len` */
    size_t taken, len, room;
    uint8_t *piece; /* IMAGE_PIECE_MAX bytes */
    char *xattrs;   /* XATTR_VALUE_MAX bytes: names */
    struct save_now now;
    struct map64 numbers; /* inode number -> number in the stream: of files with several names, or
                           * in a difference of all that it names */
    struct map64 known;   /* object -> index + 1 in `contents` */
    struct save_known *contents;
    size_t contents_count, contents_room;
    struct strbuf why;
    /* whole */
    struct tree_walk *walk;
    const char *path; /* of the present inode; NULL: none. Borrowed from the walk */
    uint64_t *dirs; /* numbers of the directories on the way */
    size_t dirs_room;
    /* a difference */
    enum save_stage stage;
    size_t next; /* in the stage */
    struct diff_room budget;
    struct delta delta;
    struct ino_names names; /* of the base */
    struct save_find *finds;
    size_t find_count, finds_room;
    struct map64 pending;  /* directory -> index + 1 in delta.names, of its name to come */
    struct map64 attached; /* directories with a name below the root */
};

/* ---- save.c ---- */

/* Sets the sentence, and returns `err`. */
int save_fail(struct save *s, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int save_put(struct save *s, const struct image_record *r);
/* 0; -ECANCELED, -ESHUTDOWN */
int save_look(const struct save *s);
/* Loads an inode of the tree, and its attributes, and makes it the present one. It is new. */
int save_begin_inode(struct save *s, uint64_t ino, uint64_t number);
/* Decides how its bytes come: not at all, from another inode, or as a content. */
int save_begin_bytes(struct save *s);

/* ---- save_bytes.c ---- */

/* The inode whose content the present one has, if the stream or the base has it; else 0. */
uint64_t save_find_known(struct save *s);
/* From now on the stream has the content of an inode. */
int save_note_known(struct save *s, const struct inode *in, uint64_t number, bool passing);
/* Opens the present inode. Afterwards `file` is NULL if it has only a hole. */
int save_open_bytes(struct save *s);
/* Makes the next piece, or looks at the next block of `blocks`. -ENOENT: there are no more. */
int save_next_piece(struct save *s);
int save_next_patch(struct save *s);
void save_close_bytes(struct save *s);

/* ---- save_whole.c ---- */

/* Makes the next inode of the tree the present one. -ENOENT: there are no more. */
int save_whole_next(struct save *s);
void save_whole_release(struct save *s);

/* ---- save_delta.c ---- */

/* Finds out what differs, and which inodes of the base the stream names. */
int save_delta_gather(struct save *s);
void save_delta_release(struct save *s);
/* Is it one file on both sides? */
bool save_stays(const struct delta_inode *d);
/* Is that number of an inode of the base a file that stays? */
bool save_ino_stays(const struct save *s, uint64_t ino);
/* Do the bytes of a file that stays differ? */
bool save_bytes_differ(struct save *s, const struct delta_inode *d);

/* ---- save_changes.c ---- */

/* Makes the next record of the difference, or the next inode the present one. -ENOENT */
int save_changes_next(struct save *s);
