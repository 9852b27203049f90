// SPDX-License-Identifier: Apache-2.0
/*
 * sim: what the files of the simulation share: several stores on one pool, driven by one seed.
 *
 *     main.c     options; one run after the other
 *     run.c      what is done at each step, drawn by weights; the end, when faults have stopped
 *     node.c     a store: its disk, kv, clock and daemon; deaths, losses of power
 *     member.c   its part in the pool: joining, reports, cycles, retirement
 *     eye.c      the pool as one node sees it: failing, short, late, or waiting (struct disk)
 *     baton.c    work of a node that stands still between two operations on the pool
 *     files.c    what is done to files, and the model of what they are
 *     verify.c   what must hold
 *     breaks.c   rules that can be switched off, to see that it is noticed
 *
 * The simulation links the code of the daemon. Only clock, disk and kv are replaced: each store is
 * over a disk_mem and a kv_mem of its own, and the pool is one shared disk_mem. One thread acts at
 * a time, so a seed repeats a run step by step.
 */
#pragma once

#include "../property/versions.h"
#include "disk_impl.h"
#include "disk_mem.h"
#include "kv_mem.h"
#include "pool_format.h"
#include "store_impl.h"
#include <stdio.h>

#define NODES_MAX 6
#define SPACES 2
#define FILES 4
#define CONTENTS 24
#define PACK_LIMIT (12 * 1024) /* bytes, as the setting */
#define CONTENT_MAX (20 * 1024)
#define LOG_SEGMENT (256 * 1024)

/* ---- time: one for all, with what each node's calendar makes of it ---- */

struct sim_clock {
    struct clock base;
    int64_t skew; /* ns by which the calendar of the node is wrong */
};

/* ---- the pool as one node sees it (eye.c) ---- */

struct eye {
    struct disk base;
    unsigned node;       /* number of the node */
    struct fault *fault; /* fault of the node: while its power is off, nothing reaches the pool */
    unsigned open_files; /* files of the pool that the node has open */
    unsigned die_in;     /* calls until its power goes off; 0: it stays on */
    unsigned fail_in; /* calls that touch the pool's own records until one fails; 0: none does */
    bool fail_after;  /* the failing call takes effect all the same */
    unsigned short_list;                           /* so many of the next listings leave names
                                                    * out */
    enum { EYE_NOW, EYE_FROZEN, EYE_BEHIND } sees; /* heads of reports: eye.c */
    uint64_t frozen_head[NODES_MAX + 1], frozen_marks;
};

/* ---- a node ---- */

struct file {
    unsigned content; /* 0: there is none */
    bool changed;     /* the present step changed it */
    struct versions history;
};

struct node {
    unsigned number;     /* from 1, in the order in which the nodes joined */
    bool gone, retired;  /* it will never be mounted again; another node has retired it */
    struct pool_who who; /* as of its newest incarnation */
    struct pool_member pool;
    struct fault fault; /* of its own disk and kv */
    struct disk *own;
    struct kv_mem *mem;
    struct eye eye;
    struct disk *disk; /* the store's disk: its own one, or a route that leads to the pool, too */
    struct kv *kv;
    struct sim_clock clock;
    struct state *p;   /* NULL: not mounted */
    struct baton *still; /* its work that is paused, or NULL */
    int result;          /* result of its last work that has ended */
    bool reporting;      /* its paused work is a report */

    bool space[SPACES], space_changed[SPACES];
    struct versions space_history[SPACES];
    struct file file[SPACES][FILES];
    uint64_t before; /* number of the store's last change when the step began */
    uint64_t found;  /* number of the store's last change when it was mounted */
};

struct sim {
    uint64_t seed, rng, secrets, step, steps;
    bool quiet;   /* faults have stopped */
    int64_t time; /* ns */
    /* A pool can mislead nodes in two ways, and a run has one of them. With `shortens` listings
     * leave names out, and nodes see changes late by less than the grace period. Without it
     * listings are complete, and changes may be seen late by any time. */
    bool shortens;
    int64_t delay;      /* ns */
    struct fault fault; /* of the pool */
    struct disk *pool;
    struct heads {
        uint64_t count; /* versions of the head of a node; all are kept */
        size_t room;
        int64_t *time; /* when each version was written, ns */
    } heads[NODES_MAX + 1];
    uint64_t marks;    /* serial of the newest list of marks */
    uint64_t removals; /* changes of the pool that can take bytes away */
    struct node node[NODES_MAX];
    unsigned nodes;
    struct strbuf trace;
    bool tell; /* each line of the trace is printed at once */
    struct {
        uint64_t changes, flushes, reports, cycles, collected, paused, deaths, power, failed, late,
            shorts, joined, retired, jumps, dedup, moved, checks;
    } count;
};
extern struct sim sim;

extern const char *const break_names[]; /* NULL at the end */
extern const char *sim_break;           /* the rule that is off; NULL: none */
static inline bool broken(const char *rule)
{
    return sim_break && strcmp(sim_break, rule) == 0;
}

/* Print the seed, the step and the trace, and abort. */
_Noreturn void fail(const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond))                                                                               \
            fail(__FILE__, __LINE__, "%s", #cond);                                                 \
    } while (0)
#define CHECK_OK(call)                                                                             \
    do {                                                                                           \
        long long err_ = (long long)(call);                                                        \
        if (err_ < 0)                                                                              \
            fail(__FILE__, __LINE__, "%s: %s", #call, strerror((int)-err_));                       \
    } while (0)
/* Add a line to the trace. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
uint64_t pick(uint64_t n); /* 0 … n - 1 */
static inline bool chance(unsigned of)
{
    return pick(of) == 0;
}

/* ---- eye.c ---- */

void eye_open(struct eye *e, unsigned node, struct fault *fault);
/* End all faults of this eye. */
void eye_clear(struct eye *e);
/* Freeze what the node sees. FROZEN: heads of reports and lists of marks are those of this moment.
 * BEHIND: heads are as old as sim.delay. */
void eye_freeze(struct eye *e);
#define GRACE (60 * NSEC_PER_SEC)

/* ---- baton.c ---- */

/* Call fn(ctx) in another context, which pauses before its `after`-th operation on the pool (0: it
 * does not pause). *slot, which was NULL, is that context until `fn` has ended. Only one of the two
 * contexts runs at a time. */
void baton_begin(struct baton **slot, void (*fn)(void *ctx), void *ctx, unsigned after);
/* Continue the context for so many operations. */
void baton_go_on(struct baton **slot, unsigned operations);
/* Called before each operation on the pool of the node that has this context (or NULL); it may
 * pause here. */
void baton_operation(struct baton *b);

/* ---- node.c ---- */

void node_make(unsigned number); /* an empty store, mounted */
void node_mount(struct node *n);
void node_unmount(struct node *n);
/* From now on its disks do nothing; the node still has to die. */
void node_stop(struct node *n);
void node_die(struct node *n); /* the death of the daemon */
void node_destroy(struct node *n);
/* node_restart: the node dies, and is mounted again. node_power: its machine loses power;
 * all_power: all machines do. Unsynced bytes are lost, but nothing up to change `durable`. */
void node_restart(struct node *n);
void node_power(struct node *n, uint64_t durable);
void all_power(bool stores_too);
bool node_may_act(const struct node *n); /* it is mounted and has no paused work */
struct node *some_node(void);            /* a node that may act; NULL: there is none */
struct node *add_node(void);             /* make one more node, mounted */

/* ---- member.c ---- */

/* Join the pool; format the store with the identity of the pool. */
void member_join(struct node *n);
void member_format(struct node *n);
/* Begin a new incarnation, and set the parts of the configuration that store_open needs for a
 * pool. */
void member_begin(struct node *n, struct state_config *config);
void member_end(struct node *n); /* the node was unmounted */
/* Work of a node in a context of its own, which may pause. */
enum work { WORK_CYCLE, WORK_REPORT, WORK_FLUSH, WORK_DRAIN, WORK_COMPACT, WORKS };
extern const char *const work_names[WORKS];
/* Begin work, which pauses before its `stop_after`-th operation on the pool; 0: it does not pause.
 * When it has ended, n->result is its result. */
void member_work(struct node *n, enum work work, unsigned stop_after);
/* Continue the paused work for so many operations; 0: to its end. */
void member_go_on(struct node *n, unsigned operations);
bool member_retire(struct node *n, struct node *other);

/* ---- files.c ---- */

void op_put(struct node *n);     /* make a file, or write one anew */
void op_want(struct node *n);    /* make a file with a content that no file has any more */
void op_replace(struct node *n); /* write a new file and rename it over an old one */
void op_remove(struct node *n);
void op_link(struct node *n); /* across namespaces */
void op_branch(struct node *n);
void op_drop(struct node *n);
void op_pin(struct node *n);
void op_read(struct node *n);
void model_begin(struct node *n);   /* called before each step */
void model_note(struct node *n);    /* called after each step */
void model_restart(struct node *n); /* called when all is durable */
void model_after_power(struct node *n, uint64_t durable);
void model_compare(struct node *n);
void model_release(struct node *n);

/* ---- verify.c ---- */

/* Check that every object that tables name has its bytes in the pool. */
void verify_named(void);
/* Called when faults have stopped: check that everything that nobody names is deleted. */
void verify_all_goes(void);

/* ---- run.c ---- */

void run(uint64_t seed, uint64_t steps, unsigned nodes);
