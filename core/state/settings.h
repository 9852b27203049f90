// SPDX-License-Identifier: Apache-2.0
/*
 * settings: the settings of a store: name, kind, unit, range, default, kept in the kv table.
 *
 * A new setting is a line in `enum setting` and one in setting_infos (settings.c), from which `get`
 * and `set` take all they need. If a thread waits by it, the module of that thread calls
 * settings_watch.
 *
 * Values are int64: nanoseconds for durations, bytes for sizes, bytes a second for rates, things a
 * second for rates of things, and plain numbers. The settings of a namespace ("ns:NAME.KEY") belong
 * to its record, and not to this table. Threads: any thread may get (one relaxed load); changes are
 * made under "settings".
 */
#pragma once

#include "strbuf.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum setting {
    SET_FLUSH_INTERVAL,     /* duration, 100ms – 1h, 5s: there is a flush at least so often */
    SET_MAX_IN_FLIGHT_JOBS, /* number, 0 – 256, 0: background workers and jobs; 0: one per CPU */
    SET_PAGE_CACHE,         /* size, 4M – 64G, 64M: tree pages in memory */
    SET_BUFFERS,            /* size, 1M – 64G, 64M: unsealed bytes in memory */
    SET_SEAL_DELAY, /* duration, 0 – 1h, 1s: a large file is sealed so long after its close */
    SET_VIEW_WAIT,  /* duration, 0 – 1m, 2s: a view waits so long for closed files to be sealed */
    SET_PACK_LIMIT, /* size, 4K – 128K, 128K: larger objects get a file of their own */
    SET_PACK_SIZE,  /* size, 1M – 1G, 64M: a pack is closed at about this size */
    SET_MAX_ENQUEUED_JOBS, /* number, 1 – 65536, 1024: work of a class that waits for a worker */
    SET_ON_FATAL, /* enum on_fatal, readonly: what follows a failure that nothing can handle */
    SET_MAX_PENDING_FLUSHES, /* number, 1 – 60, 4: flushes in flight */
    SET_FLUSH_RETRY,         /* number, 0 – 1000000, or forever: tries after a flush has failed */
    SET_LOG_SEGMENT,  /* size, 1M – 1G, 64M: a segment of the log; from the next mount on */
    SET_GRACE_PERIOD, /* duration, 0 – 100d, 300s: unreferenced for so long, then marked */
    SET_STALE_REPORT_THRESHOLD, /* duration, 1s – 100d, 600s: a report of that age is stale */
    SET_MIN_NODES_REPORTING,    /* number, 1 – 1024, 1: with fewer a GC cycle does nothing */
    SET_REPORT_INTERVAL,        /* duration, 1s – 1h, 60s: a node of a pool reports so often */
    SET_STALE_POLICY,           /* enum stale_policy, retain */
    SET_COMPACT_BELOW,          /* percent, 0 – 95, 50%: packs with less alive are rewritten */
    SET_SCRUB_RATE,             /* rate, 1M/s – 64G/s, 64M/s: a scrub reads so much */
    SET_SWEEP_INTERVAL, /* duration, 1m – 100d, 1h: between sweeps that begin by themselves */
    SET_SWEEP_RATE,     /* count a second, 1 – 1000000, 1000: a sweep asks for so many */
    SET_SHARD_WAIT,     /* duration, 0 – 10m, 0: readers wait so long for a shard */
    SET_SHARD_PATIENCE, /* duration, 1s – 1h, 30s: a shard has so long for an answer */
    SET_SHARD_PARALLEL, /* number, 1 – 64, 16: so many requests of one work to shards at once */
    SET_SHARD_CACHE,    /* size, 0 – 1T, 1G: bytes of far shards that are kept nearby; 0: none */
    SET_BRANCH_FRAGMENT_WARN, /* number, 0 – 1000000000, 10000: flushes of a branch; 0: never */
    SET_ORIGIN_KEEP,  /* duration, 0 – 3650d, 7d: the base of a branch is held so long; 0: not */
    SET_TRASH_KEEP,   /* duration, 0 – 3650d, 24h: what was dropped can be taken back so long */
    SET_HISTORY_KEEP, /* duration, 0 – 3650d, 30d: operations on namespaces are listed so long */
    SET_ARCHIVE_INTERVAL, /* duration, 100ms – 1h, 1s: changes are shipped to archives so often */
    SET_ARCHIVE_KEEP,     /* duration, 1m – 3650d, 7d: every state in an archive is kept */
    SET_ARCHIVE_KEEP_HOURLY, /* duration, 0 – 3650d, 30d: the last state of each hour is */
    SET_ARCHIVE_KEEP_DAILY,  /* duration, 0 – 36500d, 365d: the last state of each day is */
    SET_ARCHIVE_GRACE,       /* duration, 1m – 3650d, 24h: from the mark to the deletion there */
    SET_ARCHIVE_BACKLOG, /* size, 0 – 64T, 0: points of an archive that is behind hold so much */
    SET_FOLLOW_INTERVAL, /* duration, 100ms – 1h, 1s: a follower asks for more so often */
    SET_WATCHDOG_PATIENCE, /* duration, 0 – 1d, 30s: what hangs for so long is said; 0: nothing */
    SET_COMPRESSION,     /* enum compression, off: which small objects are compressed */
    SETTING_COUNT
};

#define FLUSH_RETRY_FOREVER (-1)

enum on_fatal {
    ON_FATAL_READONLY, /* the store goes on, and takes no changes */
    ON_FATAL_EXIT,     /* the mount ends */
};

enum compression {
    COMPRESSION_OFF,
    COMPRESSION_REST,  /* once the store is idle */
    COMPRESSION_WRITE, /* as they are written; and those that are not, once it is idle */
};

enum stale_policy {
    STALE_RETAIN, /* what a stale node of a pool could own stays until the node is retired */
    STALE_DROP,   /* the next GC cycle retires the node */
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
    /* SETTING_WORD: the words that stand for min, min + 1, … max. Of other kinds: a word that
     * stands for min, beside the values of the kind; or NULL. */
    const char *const *words;
};
extern const struct setting_info setting_infos[SETTING_COUNT];

/* Called after a setting was given a value. The caller may hold locks, so the function takes leaf
 * locks only. It wakes the threads that wait for as long, or for as many, as the old value said. */
typedef void setting_fn(void *ctx, int64_t value);
#define SETTING_WATCHES 4

struct settings {
    _Atomic int64_t value[SETTING_COUNT];
    struct setting_watch {
        setting_fn *fn;
        void *ctx;
    } watch[SETTING_COUNT][SETTING_WATCHES]; /* fixed once there are threads */
};

void settings_init(struct settings *s); /* all defaults; no function watches */
/* From now on `fn` is called for each new value of `which`. A module that waits by a setting
 * watches it, in its own start function, so that `set` need not know who waits. At most
 * SETTING_WATCHES functions watch one setting. Called only while there is one thread. */
void settings_watch(struct settings *s, enum setting which, setting_fn *fn, void *ctx);
/* Stores the value, then calls the functions that watch it. Two calls for one setting must not
 * overlap. */
void settings_put(struct settings *s, enum setting which, int64_t value);
static inline int64_t settings_get(struct settings *s, enum setting which)
{
    return atomic_load_explicit(&s->value[which], memory_order_relaxed);
}
/* The index of a key; -EINVAL: there is none. */
int setting_find(const char *key);
/* Parses a value and checks its range. -EINVAL or -ERANGE, with a sentence in `why`. It does not
 * store the value. */
int setting_parse(enum setting which, const char *text, int64_t *ret, struct strbuf *why);
void setting_format(enum setting which, int64_t value, char out[32]);
/* Appends "key=value default=… min=… max=… what". */
void setting_describe(enum setting which, int64_t value, struct strbuf *out);
