// SPDX-License-Identifier: Apache-2.0
/*
 * merge_model: trees as plain lists, and the merge of three of them by the rules of merge_plan.h,
 * without any thought of cost: each question looks through whole trees.
 *
 * Contents are known by a hash of their bytes. Where bytes are equal that the store may take for
 * different, since it does not compare bytes, a conflict is one that may be reported or not
 * (`maybe`), and the outcome is `unsure`.
 */
#pragma once

#include "merge_plan.h"

#define FILES 3000
#define NAME_ROOM 64

#define XATTRS 4
#define CAPABILITY 3 /* which of them is security.capability */
struct file {
    uint64_t ino, hash;     /* of the content */
    uint64_t xattr[XATTRS]; /* hashes of extended attributes; 0: it has not */
    struct inode in;
    /* Of a result: any time will do; any capability will do. */
    bool mtime_free, capability_free;
};
struct entry_name {
    uint64_t parent, ino;
    char name[NAME_ROOM];
};
struct plain {
    struct file v[FILES];
    struct entry_name n[FILES];
    size_t files, names;
};

void plain_clear(struct plain *t);
void plain_add_file(struct plain *t, const struct file *f);
void plain_add_name(struct plain *t, uint64_t parent, const char *name, uint64_t ino);
struct file *plain_file(const struct plain *t, uint64_t ino); /* NULL: it is not there */
uint64_t plain_ino(const struct plain *t, uint64_t parent, const char *name); /* 0: no such name */
size_t plain_links(const struct plain *t, uint64_t ino);
size_t plain_entries(const struct plain *t, uint64_t dir);

struct problem {
    enum merge_why why;
    uint64_t ino; /* 0: it is about a name */
    uint64_t parent;
    char name[NAME_ROOM];
    bool maybe;
};
struct outcome {
    struct plain tree; /* valid if nothing is a conflict */
    struct problem v[FILES];
    size_t count, sure; /* conflicts, and those that are no `maybe` */
    bool decided, unsure;
};

struct three {
    const struct plain *base, *theirs, *ours;
    enum merge_rule rule;
    uint64_t open; /* an inode of ours that is open for writing; 0: none */
    bool apart;    /* no two files are twins */
    bool (*same_object)(uint64_t x, uint64_t y);
};
void naive_merge(const struct three *t, struct outcome *ret);
