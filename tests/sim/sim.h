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
 * The daemon's own parts are linked: stores over disk_mem and kv_mem, the pool one shared
 * disk_mem. Only clock, disk and kv are replaced. One thread acts at a time, so a seed does the
 * same again, step by step.
 */
#pragma once

#include "../property/history.h"
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
    int64_t skew; /* ns the calendar is wrong by */
};

/* ---- the pool as one node sees it (eye.c) ---- */

struct eye {
    struct disk base;
    unsigned node;       /* whose */
    struct fault *fault; /* of the node: where its power is off, nothing reaches the pool */
    unsigned open_files; /* through it */
    unsigned die_in;     /* so many calls, and then its power is off; 0: it stays on */
    unsigned fail_in; /* so many calls that touch the pool's own records, and one fails; 0: none */
    bool fail_after;  /* that one was done all the same */
    unsigned short_list;                           /* of the next listings, so many are short */
    enum { EYE_NOW, EYE_FROZEN, EYE_BEHIND } sees; /* heads of reports: eye.c */
    uint64_t frozen_head[NODES_MAX + 1], frozen_marks;
};

/* ---- a node ---- */

struct file {
    unsigned content; /* 0: there is none */
    bool changed;     /* by this step */
    struct history history;
};

struct node {
    unsigned number;     /* from 1, in the order they joined */
    bool gone, retired;  /* it will never be mounted again; a node noted that */
    struct pool_who who; /* in its newest life */
    struct pool_member pool;
    struct fault fault; /* of its own disk and kv */
    struct disk *own;
    struct kv_mem *mem;
    struct eye eye;
    struct disk *disk; /* what its store has: its own, or a route that leads to the pool, too */
    struct kv *kv;
    struct sim_clock clock;
    struct state *p;   /* NULL: not mounted */
    struct baton *still; /* work of it that stands still */
    int result;          /* of the last that came to its end */
    bool reporting;      /* that is what it does */

    bool space[SPACES], space_changed[SPACES];
    struct history space_history[SPACES];
    struct file file[SPACES][FILES];
    uint64_t before; /* the store's last change when the step began, */
    uint64_t found;  /* and when it was mounted */
};

struct sim {
    uint64_t seed, rng, secrets, step, steps;
    bool quiet;   /* faults have stopped */
    int64_t time; /* ns */
    /* Of two ways in which a pool can deceive, a run has one: listings are short, and what nodes
     * see is late by less than the grace period; or it may be late by any time. */
    bool shortens;
    int64_t delay;      /* ns */
    struct fault fault; /* of the pool */
    struct disk *pool;
    struct heads {
        uint64_t count; /* versions of the head of a node, all of which are kept, */
        size_t room;
        int64_t *time; /* and when each came */
    } heads[NODES_MAX + 1];
    uint64_t marks;    /* the newest list of marks there ever was */
    uint64_t removals; /* changes of the pool that can take bytes away */
    struct node node[NODES_MAX];
    unsigned nodes;
    struct strbuf trace;
    bool tell; /* the trace goes to stderr at once */
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

/* Print the seed, the step and what was done, and abort. */
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
/* One line of the trace. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
uint64_t pick(uint64_t n); /* 0 … n - 1 */
static inline bool chance(unsigned of)
{
    return pick(of) == 0;
}

/* ---- eye.c ---- */

void eye_open(struct eye *e, unsigned node, struct fault *fault);
/* Nothing is wrong with it any more. */
void eye_clear(struct eye *e);
/* FROZEN: heads and lists of marks are those of this moment. BEHIND: heads are those of a while
 * ago, by sim.delay. */
void eye_freeze(struct eye *e);
#define GRACE (60 * NSEC_PER_SEC)

/* ---- baton.c ---- */

/* Call fn(ctx) in another context, which stands still before its `after`-th operation on the pool
 * (0: it does not). *slot, NULL before, is that context until it has come to its end. Either the
 * caller runs or the other does. */
void baton_begin(struct baton **slot, void (*fn)(void *ctx), void *ctx, unsigned after);
/* Go on for so many operations. */
void baton_go_on(struct baton **slot, unsigned operations);
/* Called before each operation of the node that has that context, or NULL: may stand still here. */
void baton_operation(struct baton *b);

/* ---- node.c ---- */

void node_make(unsigned number); /* an empty store, mounted */
void node_mount(struct node *n);
void node_unmount(struct node *n);
/* From now on none of its disks does anything; it still has to die. */
void node_stop(struct node *n);
void node_die(struct node *n); /* the death of the daemon */
void node_destroy(struct node *n);
/* It dies, and is mounted again. Power: of its machine, or of all; what was not synced is lost, but
 * nothing up to change `durable`. */
void node_restart(struct node *n);
void node_power(struct node *n, uint64_t durable);
void all_power(bool stores_too);
bool node_may_act(const struct node *n); /* mounted, and nothing stands still in it */
struct node *some_node(void);            /* that may act; NULL: none */
struct node *add_node(void);             /* one more, mounted */

/* ---- member.c ---- */

/* Where the bytes of a new store go: what store_format gets. */
void member_join(struct node *n);
void member_format(struct node *n);
/* A new incarnation of it begins; what store_open gets. */
void member_begin(struct node *n, struct state_config *config);
void member_end(struct node *n); /* it is not mounted any more */
/* What it does in a context of its own, which may stand still. */
enum work { WORK_CYCLE, WORK_REPORT, WORK_FLUSH, WORK_DRAIN, WORK_COMPACT, WORKS };
extern const char *const work_names[WORKS];
/* Before the `stop_after`-th operation on the pool; 0: it does not. Ended, n->result is what it
 * said. */
void member_work(struct node *n, enum work work, unsigned stop_after);
/* What stands still goes on, for so many operations; 0: to its end. */
void member_go_on(struct node *n, unsigned operations);
bool member_retire(struct node *n, struct node *other);

/* ---- files.c ---- */

void op_put(struct node *n);     /* a new file, or an old one anew */
void op_want(struct node *n);    /* with what nobody has any more */
void op_replace(struct node *n); /* write another, rename over */
void op_remove(struct node *n);
void op_link(struct node *n); /* across namespaces */
void op_branch(struct node *n);
void op_drop(struct node *n);
void op_pin(struct node *n);
void op_read(struct node *n);
void model_begin(struct node *n);   /* before each step, */
void model_note(struct node *n);    /* after it, */
void model_restart(struct node *n); /* and when all is durable */
void model_after_power(struct node *n, uint64_t durable);
void model_compare(struct node *n);
void model_release(struct node *n);

/* ---- verify.c ---- */

/* Every object that tables name has its bytes in the pool. */
void verify_named(void);
/* Faults have stopped: what nobody names goes. */
void verify_all_goes(void);

/* ---- run.c ---- */

void run(uint64_t seed, uint64_t steps, unsigned nodes);
