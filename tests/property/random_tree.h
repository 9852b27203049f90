// SPDX-License-Identifier: Apache-2.0
/*
 * random_tree: random changes of a tree, and a naive list of what a tree has, for programs that
 * compare two of them.
 *
 *     random_tree_begin();
 *     struct random_tree t = {.p = p, .clock = &clock, .rng = &rng, .top = nodeid};
 *     random_tree_step(&t) ...
 *     tree_lines_read(p, nodeid, &x) ... tree_lines_same(&x, &y)
 *
 * A list is made by walking and reading all, through the vfs alone. Threads: one.
 */
#pragma once

#include "clock_manual.h"
#include "fault.h"
#include "vfs.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct state;

/* Number of the round, which a failure names. */
extern uint64_t random_round;
_Noreturn void random_failed(const char *file, int line, const char *what);

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond))                                                                               \
            random_failed(__FILE__, __LINE__, #cond);                                              \
    } while (0)

/* ---- changes ---- */

struct random_tree {
    struct state *p;
    struct clock_manual *clock;
    uint64_t *rng; /* of fault_random */
    uint64_t top;  /* nodeid of the directory below which all is changed */
};

/* Bits of these bytes that are not 0; of fewer than 8 compression makes less. */
extern uint8_t random_tree_bits;
/* Makes the bytes of which files are written. It is called once, before the first step. */
void random_tree_begin(void);
/* One change: something is made, written, renamed, exchanged, linked, copied, replaced, removed, or
 * gets other attributes. Now and then it changes nothing. */
void random_tree_step(struct random_tree *t);

/* ---- lists ---- */

#define TREE_LINES 4096
#define TREE_UNREADABLE 1 /* in place of a hash */

/* One name in a tree. */
struct tree_line {
    char path[400];
    struct vfs_attr attr;
    uint64_t hash, xattrs; /* of its bytes, and of its extended attributes */
    size_t first;          /* the line of the first name of the inode */
};
struct tree_lines {
    bool lenient; /* bytes that cannot be read are TREE_UNREADABLE, and not a failure */
    size_t unreadable;
    struct tree_line v[TREE_LINES]; /* by path */
    size_t count;
};

/* Lists all below that directory. */
void tree_lines_read(struct state *p, uint64_t top, struct tree_lines *l);
/* Do both have the same, but for nodeids and for all times except mtime? Else it prints what
 * differs. */
bool tree_lines_same(const struct tree_lines *x, const struct tree_lines *y);
