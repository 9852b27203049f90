// SPDX-License-Identifier: Apache-2.0
/*
 * settings: every knob of a store: name, kind, unit, range, default, kept in the kv table.
 *
 * A new one is a line in `enum setting` and one in setting_infos (settings.c), from which `get` and
 * `set` take all they need. If a thread waits by it, its module calls settings_watch.
 *
 * Values are int64: nanoseconds for durations, bytes for sizes, bytes a second for rates, numbers
 * a second for rates of things, plain numbers else. Per-namespace
 * settings ("ns:NAME.KEY") belong to the namespace's record, not to this table; their descriptions
 * are here too. Threads: get from any thread (one relaxed load); set under the settings' own lock.
 */
#pragma once

#include "strbuf.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum setting {
    SET_FLUSH_INTERVAL,     /* duration, 100ms – 1h, 5s: a flush at least so often */
    SET_MAX_IN_FLIGHT_JOBS, /* number, 1 – 256, 0 = CPUs: background workers; next mount */
    SET_PAGE_CACHE,         /* size, 4M – 64G, 64M: tree pages in memory */
    SET_BUFFERS,            /* size, 1M – 64G, 64M: unsealed bytes in memory */
    SET_SEAL_DELAY, /* duration, 0 – 1h, 1s: a large file is sealed so long after its close */
    SET_VIEW_WAIT,  /* duration, 0 – 1m, 2s */
    SET_PACK_LIMIT, /* size, 4K – 128K, 128K: larger objects get a file of their own */
    SET_PACK_SIZE,  /* size, 1M – 1G, 64M */
    SET_MAX_ENQUEUED_JOBS,   /* number, 1 – 65536, 1024: waiting jobs of a class */
    SET_ON_FATAL,            /* enum on_fatal, readonly: what a failure nobody can handle does */
    SET_MAX_PENDING_FLUSHES, /* number, 1 – 60, 4: flushes in flight */
    SET_FLUSH_RETRY,         /* number, 0 – 1000000, or forever: of a flush that failed */
    SET_LOG_SEGMENT,         /* size, 1M – 1G, 64M: of the log's segments; from the next mount */
    SET_GRACE_PERIOD,           /* duration, 0 – 100d, 300s: unreferenced so long, then marked */
    SET_STALE_REPORT_THRESHOLD, /* duration, 1s – 100d, 600s: a report of that age is stale */
    SET_MIN_NODES_REPORTING,    /* number, 1 – 1024, 1: with fewer a GC cycle does nothing */
    SET_REPORT_INTERVAL,        /* duration, 1s – 1h, 60s: of a pool's nodes */
    SET_STALE_POLICY,           /* enum gc_stale_policy, retain */
    SET_COMPACT_BELOW,          /* percent, 0 – 95, 50%: packs with less alive are rewritten */
    SET_SCRUB_RATE,             /* rate, 1M/s – 64G/s, 64M/s: a scrub reads so much */
    SET_SWEEP_INTERVAL,         /* duration, 1m – 100d, 1h: between sweeps that nobody asks for */
    SET_SWEEP_RATE,             /* count a second, 1 – 1000000, 1000: a sweep asks for so many */
    SET_SHARD_WAIT,             /* duration, 0 – 10m, 0: readers wait so long for a shard */
    SET_SHARD_PATIENCE,         /* duration, 1s – 1h, 30s: for an answer of a shard */
    SET_BRANCH_FRAGMENT_WARN,   /* number, 0 – 1000000000, 10000: flushes of a branch; 0: never */
    SETTING_COUNT
};

#define FLUSH_RETRY_FOREVER (-1)

enum on_fatal {
    ON_FATAL_READONLY, /* go on, without changes */
    ON_FATAL_EXIT,     /* unmount */
};

struct setting_info {
    const char *key;
    enum {
        SETTING_DURATION,
        SETTING_SIZE,
        SETTING_RATE,
        SETTING_COUNT_RATE,
        SETTING_NUMBER,
        SETTING_PERCENT,
        SETTING_WORD,
    } kind;
    int64_t min, max, standard;
    const char *what; /* one line for `get KEY` */
    /* SETTING_WORD: the words that stand for min, min + 1, … max. Of other kinds: one that stands
     * for min, beside what the kind has; or NULL. */
    const char *const *words;
};
extern const struct setting_info setting_infos[SETTING_COUNT];

/* Called after a setting was given a value. The caller may hold locks, so the function takes leaf
 * locks only. It wakes whoever waits for as long, or for as many, as the old value said. */
typedef void setting_fn(void *ctx, int64_t value);
#define SETTING_WATCHES 4

struct settings {
    _Atomic int64_t value[SETTING_COUNT];
    struct setting_watch {
        setting_fn *fn;
        void *ctx;
    } watch[SETTING_COUNT][SETTING_WATCHES]; /* fixed once there are threads */
};

void settings_init(struct settings *s); /* all defaults, nobody watches */
/* From now on `fn` is called for each new value of `which`. A module that waits by a setting
 * watches it, in its own start function: `set` knows nothing of those who wait. At most
 * SETTING_WATCHES of one setting; only while there is one thread. */
void settings_watch(struct settings *s, enum setting which, setting_fn *fn, void *ctx);
/* Stores the value, then calls those who watch. Two calls for one setting must not overlap. */
void settings_put(struct settings *s, enum setting which, int64_t value);
static inline int64_t settings_get(struct settings *s, enum setting which)
{
    return atomic_load_explicit(&s->value[which], memory_order_relaxed);
}
/* Index of a key or -EINVAL. */
int setting_find(const char *key);
/* Parse and range-check; -EINVAL or -ERANGE with a sentence in `why`. Does not store. */
int setting_parse(enum setting which, const char *text, int64_t *ret, struct strbuf *why);
void setting_format(enum setting which, int64_t value, char out[32]);
/* "key=value default=… min=… max=… what" */
void setting_describe(enum setting which, int64_t value, struct strbuf *out);
