// SPDX-License-Identifier: Apache-2.0
/*
 * view: the facts behind `.tally`: texts rendered on demand, and listings of objects and names.
 *
 * All of them first seal the files closed before the call, waiting at most `view_wait`; texts then
 * say `unsealed=n` (stats: "unsealed_files"). Errors: 0 or -errno. Threads: any.
 */
#pragma once

#include "id.h"
#include "state_config.h"
#include "strbuf.h"

struct gc_result;

/* What only the edge that serves the store can count; borrowed, shown as it is. */
struct view_count {
    const char *name; /* upper-case letters, digits, '_' */
    uint64_t count;
};
struct view_edge {
    const struct view_count *requests; /* by kind, since the edge began to serve */
    size_t request_kinds;
    const char *transport; /* how requests come */
    const char *passthrough; /* does the kernel read files by itself? "yes", or "no: " and why */
    size_t waiting;           /* requests that are not answered yet, */
    int64_t longest_wait;     /* for how long the first of them, ns, */
    const char *longest_kind; /* and what it asks for; NULL: none waits */
    bool waits_too_long;      /* nobody should wait for so long */
    const char *mounted;      /* "rw,relatime" and the like; "" or NULL: not known */
};

/* Files of `.tally` that are plain texts. */
enum view_text {
    VIEW_STATUS,
    VIEW_STATS_JSON,
    VIEW_METRICS, /* the same numbers in Prometheus' text format, without pid */
};
/* "ok"; "degraded": what is damaged is known, or the last commit failed and is tried again;
 * "read-only". `why` (may be NULL) gets ": " and a sentence, or nothing. */
const char *view_state(struct state *p, struct strbuf *why);
/* edge NULL: nobody serves it. */
int view_render(struct state *p, enum view_text which, const struct view_edge *edge,
                struct strbuf *out);

/* The refcount table as JSON (CONTRACTS section 1, "Dump"), one consistent sequence number, written
 * to `fd` from its start. */
int view_refcounts(struct state *p, int fd);
/* The ghosts, one a line, in the order of their numbers, likewise. What changes meanwhile is seen
 * or not. */
int view_ghosts(struct state *p, int fd);

/* One object's facts; -ENOENT also for a count of zero. */
struct view_object {
    struct id id;
    uint64_t number, refs, size;
};
int view_object(struct state *p, const struct id *id, struct view_object *ret);
/* Objects with a count above zero whose id starts with byte `prefix`, in id order, ids > `after`
 * (NULL: all). Non-zero from `fn` stops (and is not an error). */
typedef int view_object_fn(const struct view_object *o, void *ctx);
int view_objects(struct state *p, uint8_t prefix, const struct id *after, view_object_fn *fn,
                 void *ctx);

/* Who uses the shard, one a line; and the GC cycles that had something, the last one first, with
 * some of what they would collect. */
int view_nodes(struct state *p, struct strbuf *out, size_t *ret_count); /* or NULL */
int view_gc_history(struct state *p, struct strbuf *out);
int view_flushes(struct state *p, struct strbuf *out); /* those that were named */
/* Namespace names, sorted, after `after` (NULL: all). */
typedef int view_name_fn(const char *name, void *ctx);
int view_namespaces(struct state *p, const char *after, view_name_fn *fn, void *ctx);
/* The files under namespaces/<name>/, one fact a line: "root", "seq", "durable", "options", and of
 * flushes that had changes of it: how many ("flushes"), and when the last one began ("flushed").
 * These two are fields of the namespace's record (FORMAT.md, section 4). */
extern const char *const view_ns_files[];
extern const unsigned view_ns_file_count;
/* The text of one of them. -ENOENT: no such namespace or file. */
int view_namespace(struct state *p, const char *name, const char *file, struct strbuf *out);
void view_ns_flushes(struct state *p, struct strbuf *out); /* lines of status, one for each */

/* Job numbers, ascending, above `after`; and one job's key=value lines. */
typedef int view_job_fn(uint64_t job, void *ctx);
int view_jobs(struct state *p, uint64_t after, view_job_fn *fn, void *ctx);
int view_job(struct state *p, uint64_t job, struct strbuf *out);
