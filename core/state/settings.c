// SPDX-License-Identifier: Apache-2.0
/*
 * settings: the table of settings, and their texts. Kinds, ranges and defaults are those of
 * CONTROL.md; the order is that of enum setting.
 */
#include "settings.h"

#include "command.h"
#include "gc.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MS INT64_C(1000000)
#define SECOND (1000 * MS)
#define MINUTE (60 * SECOND)
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)
#define KIB INT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

static const char *const on_fatal_words[] = {"readonly", "exit"};
static const char *const stale_policy_words[] = {"retain", "drop"};
static const char *const flush_retry_words[] = {"forever"};
static const char *const compression_words[] = {"off", "rest", "write"};

const struct setting_info setting_infos[SETTING_COUNT] = {
    [SET_FLUSH_INTERVAL] = {"flush_interval", SETTING_DURATION, 100 * MS, HOUR, 5 * SECOND,
                            "all changes are made durable at least this often", NULL},
    [SET_MAX_IN_FLIGHT_JOBS] = {"max_in_flight_jobs", SETTING_NUMBER, 0, 256, 0,
                                "so many jobs run at once, and so many pieces of short background "
                                "work; 0: one per CPU, and at least 4 jobs",
                                NULL},
    [SET_PAGE_CACHE] = {"page_cache", SETTING_SIZE, 4 * MIB, 64 * GIB, 64 * MIB,
                        "memory for pages of the namespaces' trees", NULL},
    [SET_BUFFERS] = {"buffers", SETTING_SIZE, MIB, 64 * GIB, 64 * MIB,
                     "memory for bytes that are not sealed yet; at the limit writers wait", NULL},
    [SET_SEAL_DELAY] = {"seal_delay", SETTING_DURATION, 0, HOUR, SECOND,
                        "a large file is sealed this long after its last close", NULL},
    [SET_VIEW_WAIT] = {"view_wait", SETTING_DURATION, 0, 60 * SECOND, 2 * SECOND,
                       "how long a view waits for closed files to be sealed", NULL},
    [SET_PACK_LIMIT] = {"pack_limit", SETTING_SIZE, 4 * KIB, 128 * KIB, 128 * KIB,
                        "objects above this size get a file of their own", NULL},
    [SET_PACK_SIZE] = {"pack_size", SETTING_SIZE, MIB, GIB, 64 * MIB,
                       "a pack is closed at about this size; in a pool on a shard at 8 MiB at "
                       "most",
                       NULL},
    [SET_MAX_ENQUEUED_JOBS] = {"max_enqueued_jobs", SETTING_NUMBER, 1, 65536, 1024,
                               "jobs that are queued, and work of each class that waits for a "
                               "worker; more waits to be taken",
                               NULL},
    [SET_ON_FATAL] = {"on_fatal", SETTING_WORD, ON_FATAL_READONLY, ON_FATAL_EXIT, ON_FATAL_READONLY,
                      "if the data on disk can no longer be trusted: go on read-only, or exit",
                      on_fatal_words},
    [SET_MAX_PENDING_FLUSHES] = {"max_pending_flushes", SETTING_NUMBER, 1, 60, 4,
                                 "flushes in flight; at the limit writers wait", NULL},
    [SET_FLUSH_RETRY] = {"flush_retry", SETTING_NUMBER, FLUSH_RETRY_FOREVER, 1000000,
                         FLUSH_RETRY_FOREVER,
                         "how often a failed flush is tried again before its ticket fails; the "
                         "next flush then makes its changes durable",
                         flush_retry_words},
    [SET_LOG_SEGMENT] = {"log_segment", SETTING_SIZE, MIB, GIB, 64 * MIB,
                         "size of a segment of the log; smaller at first and on a small or full "
                         "disk; counts from the next mount on",
                         NULL},
    [SET_GRACE_PERIOD] = {"grace_period", SETTING_DURATION, 0, 100 * DAY, 300 * SECOND,
                          "an unneeded thing is kept this long after a GC cycle has found it",
                          NULL},
    [SET_STALE_REPORT_THRESHOLD] = {"stale_report_threshold", SETTING_DURATION, SECOND, 100 * DAY,
                                    600 * SECOND,
                                    "a node that has sent no new report for this long is stale",
                                    NULL},
    [SET_MIN_NODES_REPORTING] = {"min_nodes_reporting", SETTING_NUMBER, 1, 1024, 1,
                                 "a GC cycle judges nothing if fewer nodes report", NULL},
    [SET_REPORT_INTERVAL] = {"report_interval", SETTING_DURATION, SECOND, HOUR, 60 * SECOND,
                             "a node of a pool reports this often; a store alone in each GC cycle",
                             NULL},
    [SET_STALE_POLICY] = {"stale_policy", SETTING_WORD, STALE_RETAIN, STALE_DROP, STALE_RETAIN,
                          "what only a stale node of a pool names: retain it, or drop the node, "
                          "which the next GC cycle retires",
                          stale_policy_words},
    [SET_COMPACT_BELOW] =
        {"compact_below", SETTING_PERCENT, 0, 95, 50,
         "packs with a smaller live part than this are rewritten automatically; 0%: none", NULL},
    [SET_SCRUB_RATE] = {"scrub_rate", SETTING_RATE, MIB, 64 * GIB, 64 * MIB,
                        "a scrub reads at most this much", NULL},
    [SET_SWEEP_INTERVAL] = {"sweep_interval", SETTING_DURATION, MINUTE, 100 * DAY, HOUR,
                            "a sweep begins this often while there are ghosts", NULL},
    [SET_SWEEP_RATE] = {"sweep_rate", SETTING_COUNT_RATE, 1, 1000000, 1000,
                        "a sweep looks for at most this many ghosts", NULL},
    [SET_SHARD_WAIT] = {"shard_wait", SETTING_DURATION, 0, 10 * MINUTE, 0,
                        "reading from an unreachable shard waits this long for it", NULL},
    [SET_SHARD_PATIENCE] = {"shard_patience", SETTING_DURATION, SECOND, HOUR, 30 * SECOND,
                            "a shard that does not answer for this long is unreachable", NULL},
    [SET_SHARD_PARALLEL] = {"shard_parallel", SETTING_NUMBER, 1, 64, 16,
                            "so many requests to shards are under way at once: of a move, of a "
                            "sweep, of a release, and of all that is read ahead of readers",
                            NULL},
    [SET_SHARD_CACHE] = {"shard_cache", SETTING_SIZE, 0, 1024 * GIB, GIB,
                         "what is read from shards that are far (s3:, rados:) is kept on a disk of "
                         "this machine, up to this size; 0: nothing is",
                         NULL},
    [SET_BRANCH_FRAGMENT_WARN] = {"branch_fragment_warn", SETTING_NUMBER, 0, 1000000000, 10000,
                                  "flushes of a branch, or pieces of its files, after which a "
                                  "warning says that it is scattered; 0: none",
                                  NULL},
    [SET_ORIGIN_KEEP] = {"origin_keep", SETTING_DURATION, 0, 3650 * DAY, 7 * DAY,
                         "what a branch was made of is held this long, for diff and merge; 0: not",
                         NULL},
    [SET_TRASH_KEEP] = {"trash_keep", SETTING_DURATION, 0, 3650 * DAY, DAY,
                        "a namespace that was dropped can be taken back this long; 0: not", NULL},
    [SET_HISTORY_KEEP] = {"history_keep", SETTING_DURATION, 0, 3650 * DAY, 30 * DAY,
                          "operations on namespaces are in the history this long, and at most the "
                          "last 10000; 0: not",
                          NULL},
    [SET_ARCHIVE_INTERVAL] = {"archive_interval", SETTING_DURATION, 100 * MS, HOUR, SECOND,
                              "what changed is shipped to archives this often; nothing is sent "
                              "while nothing changes",
                              NULL},
    [SET_ARCHIVE_KEEP] = {"archive_keep", SETTING_DURATION, MINUTE, 3650 * DAY, 7 * DAY,
                          "`archive prune` keeps every state that is younger", NULL},
    [SET_ARCHIVE_KEEP_HOURLY] = {"archive_keep_hourly", SETTING_DURATION, 0, 3650 * DAY, 30 * DAY,
                                 "`archive prune` keeps the last state of each hour so long", NULL},
    [SET_ARCHIVE_KEEP_DAILY] = {"archive_keep_daily", SETTING_DURATION, 0, 36500 * DAY, 365 * DAY,
                                "`archive prune` keeps the last state of each day so long", NULL},
    [SET_ARCHIVE_GRACE] = {"archive_grace", SETTING_DURATION, MINUTE, 3650 * DAY, DAY,
                           "so long after `archive prune` has marked it something is deleted there",
                           NULL},
    [SET_ARCHIVE_BACKLOG] = {"archive_backlog", SETTING_SIZE, 0, 65536 * GIB, 0,
                             "bytes that are held for an archive that is behind; beyond it gets "
                             "what changed whole; 0: no bound but a full disk",
                             NULL},
    [SET_FOLLOW_INTERVAL] = {"follow_interval", SETTING_DURATION, 100 * MS, HOUR, SECOND,
                             "a follower asks its archive this often for what is new", NULL},
    [SET_WATCHDOG_PATIENCE] = {"watchdog_patience", SETTING_DURATION, 0, DAY, 30 * SECOND,
                               "a request or a thread that hangs for this long is said in journal "
                               "and status; 0: none is",
                               NULL},
    [SET_COMPRESSION] = {"compression", SETTING_WORD, COMPRESSION_OFF, COMPRESSION_WRITE,
                         COMPRESSION_OFF,
                         "objects in packs are compressed: rest: once the store is idle; write: as "
                         "they are written",
                         compression_words},
};

void settings_init(struct settings *s)
{
    for (int i = 0; i < SETTING_COUNT; i++) {
        atomic_init(&s->value[i], setting_infos[i].standard);
    }
    memset(s->watch, 0, sizeof s->watch);
}

void settings_watch(struct settings *s, enum setting which, setting_fn *fn, void *ctx)
{
    struct setting_watch *w = s->watch[which];
    while (w->fn) {
        w++;
        assert(w < s->watch[which] + SETTING_WATCHES);
    }
    *w = (struct setting_watch){fn, ctx};
}

void settings_put(struct settings *s, enum setting which, int64_t value)
{
    atomic_store(&s->value[which], value);
    for (const struct setting_watch *w = s->watch[which];
         w < s->watch[which] + SETTING_WATCHES && w->fn; w++) {
        w->fn(w->ctx, value);
    }
}

int setting_find(const char *key)
{
    for (int i = 0; i < SETTING_COUNT; i++) {
        if (strcmp(setting_infos[i].key, key) == 0) {
            return i;
        }
    }
    return -EINVAL;
}

/* How many values have a word. */
static int64_t word_count(const struct setting_info *info)
{
    if (!info->words) {
        return 0;
    }
    return info->kind == SETTING_WORD ? info->max - info->min + 1 : 1;
}

/* Parses a percentage: a decimal number, with or without "%". */
static int parse_percent(const char *text, int64_t *ret)
{
    size_t digits = strspn(text, "0123456789");
    char number[16];
    uint64_t n;
    int err;
    if (digits >= sizeof number || strcmp(text + digits + (text[digits] == '%'), "") != 0) {
        return -EINVAL;
    }
    memcpy(number, text, digits);
    number[digits] = '\0';
    err = command_number(number, &n);
    if (err == 0) {
        *ret = (int64_t)n;
    }
    return err;
}

/* Parses a rate: a size, or a plain number, with or without "/s". */
static int parse_rate(const char *text, bool plain, uint64_t *ret)
{
    size_t n = strlen(text);
    char size[32];
    if (n > 2 && strcmp(text + n - 2, "/s") == 0) {
        n -= 2;
    }
    if (n >= sizeof size) {
        return -EINVAL;
    }
    memcpy(size, text, n);
    size[n] = '\0';
    return plain ? command_number(size, ret) : command_size(size, ret);
}

/* Parses a value of that kind. -EINVAL: it is none. A number too large for int64 is out of every
 * range. */
static int parse_kind(const struct setting_info *info, const char *text, int64_t *ret)
{
    uint64_t n;
    int err;
    for (int64_t i = 0; i < word_count(info); i++) {
        if (strcmp(info->words[i], text) == 0) {
            *ret = info->min + i;
            return 0;
        }
    }
    if (info->kind == SETTING_WORD) {
        return -EINVAL;
    }
    if (info->kind == SETTING_DURATION) {
        return command_duration(text, ret);
    }
    if (info->kind == SETTING_PERCENT)
        return parse_percent(text, ret);
    err = info->kind == SETTING_SIZE ? command_size(text, &n)
          : info->kind == SETTING_RATE || info->kind == SETTING_COUNT_RATE
              ? parse_rate(text, info->kind == SETTING_COUNT_RATE, &n)
              : command_number(text, &n);
    if (err < 0) {
        return err;
    }
    *ret = n > INT64_MAX ? INT64_MAX : (int64_t)n;
    return 0;
}

/* Appends the words of a setting: "readonly or exit". */
static void add_words(const struct setting_info *info, struct strbuf *out)
{
    for (int64_t i = 0; i < word_count(info); i++) {
        strbuf_addf(out, "%s%s", i == 0 ? "" : " or ", info->words[i]);
    }
}

int setting_parse(enum setting which, const char *text, int64_t *ret, struct strbuf *why)
{
    static const char *const form[] = {
        [SETTING_DURATION] = "a duration: a decimal number and ms, s, m, h or d",
        [SETTING_SIZE] = "a size: a decimal number and perhaps K, M, G or T",
        [SETTING_RATE] = "a rate: a decimal number and perhaps K, M, G or T, and /s",
        [SETTING_COUNT_RATE] = "a rate: a decimal number, and perhaps /s",
        [SETTING_NUMBER] = "a decimal number",
        [SETTING_PERCENT] = "a decimal number of percent",
    };
    const struct setting_info *info = &setting_infos[which];
    int64_t value;
    int err = parse_kind(info, text, &value);
    if (err < 0) {
        strbuf_addf(why, "%s is ", info->key);
        add_words(info, why);
        if (info->kind != SETTING_WORD) {
            strbuf_addf(why, "%s%s", info->words ? " or " : "", form[info->kind]);
        }
        strbuf_adds(why, ", not ");
        command_add_word(why, text);
        return err;
    }
    if (value < info->min || value > info->max) {
        char min[32], max[32];
        setting_format(which, info->min, min);
        setting_format(which, info->max, max);
        strbuf_addf(why, "%s is between %s and %s, not %s", info->key, min, max, text);
        return -ERANGE;
    }
    *ret = value;
    return 0;
}

void setting_format(enum setting which, int64_t value, char out[32])
{
    const struct setting_info *info = &setting_infos[which];
    char size[32];
    if (value >= info->min && value - info->min < word_count(info)) {
        snprintf(out, 32, "%s", info->words[value - info->min]);
    } else if (info->kind == SETTING_DURATION) {
        command_format_duration(value, out);
    } else if (info->kind == SETTING_SIZE) {
        command_format_size((uint64_t)value, out);
    } else if (info->kind == SETTING_PERCENT) {
        snprintf(out, 32, "%lld%%", (long long)value);
    } else if (info->kind == SETTING_COUNT_RATE) {
        snprintf(out, 32, "%lld/s", (long long)value);
    } else if (info->kind == SETTING_RATE) {
        command_format_size((uint64_t)value, size);
        snprintf(out, 32, "%.29s/s", size);
    } else {
        snprintf(out, 32, "%lld", (long long)value);
    }
}

void setting_describe(enum setting which, int64_t value, struct strbuf *out)
{
    const struct setting_info *info = &setting_infos[which];
    char now[32], standard[32], min[32], max[32];
    setting_format(which, value, now);
    setting_format(which, info->standard, standard);
    setting_format(which, info->min, min);
    setting_format(which, info->max, max);
    strbuf_addf(out, "%s=%s default=%s min=%s max=%s %s", info->key, now, standard, min, max,
                info->what);
}
