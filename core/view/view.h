// SPDX-License-Identifier: Apache-2.0
/*
 * view: the facts behind `.tally`: texts that are made when they are read, and listings of objects
 * and names.
 *
 * All of them first seal the files that were closed before the call, and wait for that for at most
 * `view_wait`. Texts then say how many files are not sealed: `unsealed=n` (stats:
 * "unsealed_files"). Errors: 0 or -errno. Threads: any. The caller holds no lock.
 */
#pragma once

#include "id.h"
#include "state_config.h"
#include "strbuf.h"
#include <stdio.h>

/* One number of several that have names. All is borrowed. */
struct view_count {
    const char *name; /* becomes the label of a metric: without quotes and backslashes */
    uint64_t count;
};
/* Counts that only the edge has which serves the store (fs/). They are shown as they are. */
struct view_edge {
    const struct view_count *requests; /* one for each kind, since the edge began to serve */
    size_t request_kinds;
    const char *transport; /* how requests reach the edge */
    /* does the kernel read files by itself? "yes", or "no: " and the reason */
    const char *passthrough;
    size_t waiting;           /* requests that are not answered yet */
    int64_t longest_wait;     /* how long the oldest of them has waited, ns */
    const char *longest_kind; /* the kind of that one; NULL: none waits */
    /* what hangs for longer than watchdog_patience, and what it waits for, a line each, the alarms
     * first; "": nothing does */
    char stuck[1024];
    bool is_stuck;                        /* the first line is an alarm */
    size_t stuck_requests, stuck_threads; /* of alarms */
    const char *mounted;                  /* "rw,relatime" and the like; "" or NULL: not known */
};

/* Files of `.tally` that are plain texts. */
enum view_text {
    VIEW_STATUS,
    VIEW_STATS_JSON,
    VIEW_METRICS, /* the same numbers in the text format of Prometheus, without the pid */
};
/* The state in a word. "ok"; "degraded": damage is known, something hangs, or something failed and
 * is tried again; "read-only". `why` (may be NULL) gets ": " and a sentence; nothing if the state
 * is "ok". `edge` may be NULL. */
const char *view_state(struct state *p, const struct view_edge *edge, struct strbuf *why);
/* Appends the text to `out`. `edge` NULL: nothing serves the store. */
int view_render(struct state *p, enum view_text which, const struct view_edge *edge,
                struct strbuf *out);

/* Writes the refcount table as JSON (CONTRACTS section 1, "Dump") to `out`, and flushes that. The
 * counts are those of one sequence number. */
int view_refcounts(struct state *p, FILE *out);
/* Writes the ghosts to `out`, one a line, in the order of their numbers, and flushes that. A change
 * during the call is seen or not. */
int view_ghosts(struct state *p, FILE *out);

/* Makes objects of what was written, as far as that can be done. Waits for at most the setting
 * view_wait. */
void view_settle(struct state *p);

/* The facts of one object. -ENOENT also for a count of zero. */
struct view_object {
    struct id id;
    uint64_t number, refs, size;
};
int view_object(struct state *p, const struct id *id, struct view_object *ret);
/* The same by number, which is never given twice. It seals nothing. */
int view_object_numbered(struct state *p, uint64_t number, struct view_object *ret);
/* Lists the objects with a count above zero whose id begins with the byte `prefix` and is above
 * `after` (NULL: all), in the order of ids. A result other than 0 of `fn` ends the listing, and is
 * no error. What was written just before has no id yet: the caller calls view_settle first, once
 * for a listing of several prefixes. */
typedef int view_object_fn(const struct view_object *o, void *ctx);
int view_objects(struct state *p, uint8_t prefix, const struct id *after, view_object_fn *fn,
                 void *ctx);

/* view_nodes: the nodes that use the store or its pool, one a line; *ret_count (may be NULL): how
 * many. view_gc_history: the GC cycles that had something eligible, the last one first, with the
 * ids that were kept. */
int view_nodes(struct state *p, struct strbuf *out, size_t *ret_count);
int view_gc_history(struct state *p, struct strbuf *out);
int view_flushes(struct state *p, struct strbuf *out); /* the flushes that were named */
/* The files under namespaces/<name>/. Each has one fact a line: "root", "seq", "durable",
 * "options", "usage", and, for the flushes that had changes of the namespace, how many ("flushes"),
 * and when the last one began ("flushed"). Those two are fields of its record (FORMAT.md, section
 * 4). */
enum view_ns_file {
    VIEW_NS_ROOT,
    VIEW_NS_SEQ,
    VIEW_NS_DURABLE,
    VIEW_NS_OPTIONS,
    VIEW_NS_FLUSHES,
    VIEW_NS_FLUSHED,
    VIEW_NS_USAGE,
    VIEW_NS_FILES
};
extern const char *const view_ns_files[VIEW_NS_FILES];
/* Appends the text of one of them for the namespace of that number. -ESTALE: there is none. */
int view_namespace(struct state *p, uint32_t number, enum view_ns_file file, struct strbuf *out);
/* appends lines of status, one for each of the first namespaces */
void view_ns_flushes(struct state *p, struct strbuf *out);

/* view_jobs lists the numbers of jobs above `after`, ascending; a result other than 0 of `fn` ends
 * it. view_job appends the key=value lines of one job. -ENOENT */
typedef int view_job_fn(uint64_t job, void *ctx);
int view_jobs(struct state *p, uint64_t after, view_job_fn *fn, void *ctx);
int view_job(struct state *p, uint64_t job, struct strbuf *out);
