// SPDX-License-Identifier: Apache-2.0
/*
 * crash: what the crash tests share: a store in memory whose writes are counted, a plain model of
 * its files, and operations that do the same to both.
 *
 *     workloads.c   lists of operations                         (workload_fn)
 *     model.c       the model, the operations, the comparison
 *     crash.c       cuts and faults, reopening, what must hold then
 *
 * The model keeps the states a crash may leave: the one of the last acknowledged flush or sync, and
 * those of every change since, in which one that is more than one frame may be half done. An
 * operation that fails because of the injected fault ends the workload when the power is off, and
 * is tried once more when it was a plain fault.
 */
#pragma once

#include "disk_mem.h"
#include "kv_mem.h"
#include "project_impl.h"
#include <stdio.h>

#define SPACES 4
#define FILES_MAX 48
#define PINS_MAX 4
#define HANDLES 3
#define ATTEMPTS_MAX 1024
#define LOG_SEGMENT (128 * 1024)
#define HISTORY_MAX 512

/* Immutable, counted. */
struct bytes {
    unsigned refs;
    size_t len;
    uint8_t data[];
};

/* A file, or, where the name ends with "@", the value of the attribute user.v of the file. */
struct mfile {
    size_t space;
    char name[24];
    struct bytes *bytes;
};

struct mpin {
    struct id id;
    struct bytes *bytes;
};

struct model {
    bool space[SPACES];
    struct mfile file[FILES_MAX];
    size_t files;
    struct mpin pin[PINS_MAX];
    size_t pins;
};

struct world {
    struct fault fault;
    struct kv_mem *mem;
    struct kv *kv;
    struct disk *disk;
    struct clock_manual clock;
    struct project *p;
    struct vfs_file *handle[HANDLES];
    uint64_t rng;

    struct model live;                  /* what the operations made */
    struct model acked;                 /* at the last flush or sync that succeeded */
    struct model attempt[ATTEMPTS_MAX]; /* after each change since then, and within it */
    size_t attempts;
    struct mfile history[HISTORY_MAX]; /* loose: every version of every file */
    size_t versions;
    bool loose;           /* slots are overwritten: after a cut each byte is that of some version */
    struct bytes *rotten; /* files of these bytes may be unreadable: the disk damaged them */

    bool formatted; /* the store was made whole before the cut */
    bool stopped;   /* no more operations: the power is off, or the store read-only */
    unsigned retried, flush_failures;
};

extern struct world w;

/* Print what was cut and how, and abort. */
_Noreturn void fail(const char *file, int line, const char *what);
#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond))                                                                               \
            fail(__FILE__, __LINE__, #cond);                                                       \
    } while (0)

/* ---- the store (model.c) ---- */

void project_reopen(void); /* kv and project; must succeed */
/* The death of the process: handles, project and kv are gone. */
void process_dies(void);

/* ---- operations (model.c): to the project and to the model ---- */

/* `len` bytes that follow from `value`, at `off`. Creates the file. */
void op_write(size_t space, const char *name, size_t off, size_t len, unsigned value);
void op_truncate(size_t space, const char *name, size_t size);
void op_punch(size_t space, const char *name, size_t off, size_t len);
void op_xattr(size_t space, const char *name, size_t len, unsigned value);
void op_unxattr(size_t space, const char *name);
void op_unlink(size_t space, const char *name);
void op_rename(size_t space, const char *name, const char *newname);
void op_link(size_t space, const char *name, size_t space2, const char *name2); /* across */
void op_link_object(size_t space, const char *name, size_t space2, const char *name2);
void op_share(size_t space, const char *name, size_t space2, const char *name2); /* whole file */
void op_pin(size_t space, const char *name);
void op_unpin(size_t which);
void op_create_space(size_t space);
void op_branch(size_t from, size_t to);
void op_drop(size_t space); /* also with open files */
void op_rename_space(size_t space, size_t to, bool exchange);
void op_open(size_t h, size_t space, const char *name);
void op_write_open(size_t h, size_t off, size_t len, unsigned value); /* of an unlinked file */
void op_close(size_t h);
void op_flush(void);
void op_begin_flush(void); /* it is frozen, and committed with the next flush or drain */
void op_sync(void); /* fsync */
void op_drain(bool idle);
void op_advance(int64_t ms);
void op_short_of_memory(void);
void op_drop_steps(unsigned budget); /* a part of the background drops */
/* Flip a bit of the stored bytes of a sealed file. */
void op_damage(size_t space, const char *name);

/* ---- comparing (model.c) ---- */

/* Does the project hold exactly `s`? Else `why` says where not. */
bool model_matches(const struct model *s, char why[256]);
void model_copy(struct model *to, const struct model *from); /* `to` holds nothing */
void model_drop(struct model *s);
void model_release(void);
void model_note(void); /* the state now is one that a crash may leave */

/* ---- workloads.c ---- */

struct workload {
    const char *name;
    void (*run)(void); /* NULL: making the store is the work */
};
extern const struct workload workloads[];
extern const size_t workload_count;
