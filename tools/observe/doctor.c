// SPDX-License-Identifier: Apache-2.0
#include "doctor.h"

#include "stats.h"
#include "units.h"

#include <stdlib.h>
#include <string.h>

#define SLOW_SYNC_US 50000   /* a sync of the log that takes so long at p99 is slow */
#define SLOW_LOOKUP_US 20000 /* a lookup that takes so long at p99 is slow */
#define FILES_WANTED 65536   /* descriptors, of files that the kernel reads by itself */

const char *const doctor_levels[] = {
    [DOCTOR_GOOD] = "good", [DOCTOR_HINT] = "hint", [DOCTOR_BAD] = "BAD"};

/* The numbers of a histogram in stats.json, or NULL. */
static const json_t *durations(const struct doctor_facts *f, const char *op)
{
    return json_object_get(json_object_get(f->stats, "request_duration"), op);
}

__attribute__((format(printf, 3, 4))) static void
found(struct doctor_finding *r, enum doctor_level level, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    r->level = level;
    strbuf_vaddf(&r->text, fmt, ap);
    va_end(ap);
}

static void advise(struct doctor_finding *r, const char *advice)
{
    strbuf_adds(&r->advice, advice);
}

/* ---- the checks: each adds a text to its finding, or leaves it empty if it does not apply ---- */

static void check_state(const struct doctor_facts *f, struct doctor_finding *r)
{
    const char *state = stats_text(f->stats, "state");
    if (strcmp(state, "ok") == 0) {
        found(r, DOCTOR_GOOD, "the store says that it is ok");
        return;
    }
    found(r, DOCTOR_BAD, "the store is %s%s%s", state, *f->why ? ": " : "", f->why);
    advise(r, "`tally status` has more");
}

static void check_alarms(const struct doctor_facts *f, struct doctor_finding *r)
{
    const uint64_t alarms = stats_number(f->stats, "alarms"),
                   warnings = stats_number(f->stats, "warnings");
    char a[UNIT_TEXT], b[UNIT_TEXT];
    if (alarms + warnings == 0) {
        found(r, DOCTOR_GOOD, "no alarms and no warnings since the mount");
        return;
    }
    found(r, alarms ? DOCTOR_BAD : DOCTOR_HINT, "%s and %s since the mount",
          unit_noun(alarms, "alarm", a), unit_noun(warnings, "warning", b));
    advise(r, "`tally status` shows the last ones, the journal all");
}

static void check_transport(const struct doctor_facts *f, struct doctor_finding *r)
{
    if (strcmp(stats_text(f->stats, "transport"), "io_uring") == 0) {
        found(r, DOCTOR_GOOD, "requests come by io_uring");
    } else if (f->uring == 'N') {
        found(r, DOCTOR_HINT, "requests come by threads: the kernel's switch for io_uring is off");
        advise(r, "`echo Y > /sys/module/fuse/parameters/enable_uring` as root, and mount again: "
                  "small files are up to three times faster");
    } else if (f->uring == 'Y') {
        found(r, DOCTOR_HINT, "requests come by threads although the kernel offers io_uring");
        advise(r, "mount again without `-o transport=threads`");
    } else {
        found(r, DOCTOR_GOOD, "requests come by threads: this kernel has no io_uring for FUSE");
    }
}

static void check_passthrough(const struct doctor_facts *f, struct doctor_finding *r)
{
    const char *state = stats_text(f->stats, "passthrough");
    if (strcmp(state, "yes") == 0) {
        found(r, DOCTOR_GOOD, "the kernel reads large files by itself");
        return;
    }
    found(r, DOCTOR_HINT, "large files are read through the daemon: %s",
          strncmp(state, "no: ", 4) == 0 ? state + 4 : state);
    advise(r, "it needs Linux 6.9, and a mount by root: tally-mount(1), passthrough");
}

static void check_disk(const struct doctor_facts *f, struct doctor_finding *r)
{
    const uint64_t size = stats_number(f->stats, "disk_bytes"),
                   left = stats_number(f->stats, "disk_free_bytes");
    char text[UNIT_TEXT];
    if (size == 0) {
        return;
    }
    const double used = 100 - 100 * (double)left / (double)size;
    found(r,
          used > STATS_VERY_FULL_PERCENT ? DOCTOR_BAD
          : used > STATS_FULL_PERCENT    ? DOCTOR_HINT
                                         : DOCTOR_GOOD,
          "%s of the disk, %.0f %%, are free", unit_bytes(left, text), 100 - used);
    if (used > STATS_FULL_PERCENT) {
        advise(r, "`tally trash empty`, `tally du`, or a second disk: tally-shard(1)");
    }
}

static void check_packs(const struct doctor_facts *f, struct doctor_finding *r)
{
    const uint64_t dead = stats_number(f->stats, "pack_dead_bytes"),
                   file = stats_number(f->stats, "pack_file_bytes");
    char text[UNIT_TEXT];
    if (file < (64u << 20)) {
        return;
    }
    const bool much = dead > file / 2;
    found(r, much ? DOCTOR_HINT : DOCTOR_GOOD, "%s of the packs are dead", unit_bytes(dead, text));
    if (much) {
        advise(r, "`tally compact --wait` frees them");
    }
}

static void check_scrub(const struct doctor_facts *f, struct doctor_finding *r)
{
    const int64_t last = (int64_t)stats_number(f->stats, "last_scrub_seconds");
    char ago[UNIT_TEXT];
    if (stats_number(f->stats, "scrub_damaged")) {
        found(r, DOCTOR_BAD, "the last scrub found damage");
        advise(r, "`tally scrub --wait` names the files; then tally-scrub(1)");
    } else if (last == 0) {
        found(r, DOCTOR_HINT, "no scrub has ever read all contents");
        advise(r, "`tally scrub`, once a month: tally-scrub@.timer does it");
    } else {
        const bool old = f->now - last > STATS_OVERDUE_S;
        found(r, old ? DOCTOR_HINT : DOCTOR_GOOD, "the last scrub ended %s ago",
              unit_duration((f->now - last) * 1000, ago));
        advise(r, old ? "`tally scrub`, once a month: tally-scrub@.timer does it" : "");
    }
}

/* A disk that acknowledges slowly makes each fsync slow. */
static void check_sync(const struct doctor_facts *f, struct doctor_finding *r)
{
    const json_t *h = json_object_get(f->stats, "log_sync_duration");
    const uint64_t us = stats_number(h, "p99_us");
    char text[UNIT_TEXT];
    if (stats_number(h, "count") < 100) {
        return;
    }
    found(r, us > SLOW_SYNC_US ? DOCTOR_HINT : DOCTOR_GOOD,
          "99 %% of the log's syncs take at most %s",
          unit_duration((int64_t)(us + 999) / 1000, text));
    if (us > SLOW_SYNC_US) {
        advise(r, "the disk of the store is slow or shared: iostat -x 1 shows who uses it");
    }
}

static void check_lookups(const struct doctor_facts *f, struct doctor_finding *r)
{
    const json_t *h = durations(f, "LOOKUP");
    const uint64_t us = stats_number(h, "p99_us");
    char text[UNIT_TEXT];
    if (stats_number(h, "count") < 1000) {
        return;
    }
    found(r, us > SLOW_LOOKUP_US ? DOCTOR_HINT : DOCTOR_GOOD,
          "99 %% of the lookups take at most %s", unit_duration((int64_t)(us + 999) / 1000, text));
    if (us > SLOW_LOOKUP_US) {
        advise(r, "`tally profile` shows which programs; a larger `page_cache` keeps more of the "
                  "trees in memory");
    }
}

static void check_waits(const struct doctor_facts *f, struct doctor_finding *r)
{
    const uint64_t waited = stats_number(f->stats, "writers_waited_ms"),
                   up = stats_number(f->stats, "uptime_seconds");
    char text[UNIT_TEXT];
    const bool much = waited / 10 > up; /* more than 1 % of the time */
    if (up < 60) {
        return;
    }
    found(r, much ? DOCTOR_HINT : DOCTOR_GOOD, "writers have waited %s for flushes",
          unit_duration((int64_t)waited, text));
    if (much) {
        advise(r, "more is written than the disk takes; `buffers` lets bursts be longer");
    }
}

static void check_store_fs(const struct doctor_facts *f, struct doctor_finding *r)
{
    static const char *const lost[] = {"tmpfs", "ramfs"};
    static const char *const remote[] = {"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs"};
    if (!*f->store_fs) {
        return;
    }
    found(r, DOCTOR_GOOD, "the store is on %s", f->store_fs);
    for (size_t i = 0; i < sizeof(lost) / sizeof(*lost); i++) {
        if (strcmp(f->store_fs, lost[i]) == 0) {
            r->level = DOCTOR_HINT;
            advise(r, "it is in memory, and gone when the machine restarts");
        }
    }
    for (size_t i = 0; i < sizeof(remote) / sizeof(*remote); i++) {
        if (strcmp(f->store_fs, remote[i]) == 0) {
            r->level = DOCTOR_HINT;
            advise(r, "keep the store on a local disk, and what is seldom read elsewhere: "
                      "tally-shard(1)");
        }
    }
}

static void check_shards(const struct doctor_facts *f, struct doctor_finding *r)
{
    const json_t *shards = json_object_get(f->stats, "shards");
    size_t i, all = 0, away = 0;
    json_t *s;
    char text[UNIT_TEXT];
    json_array_foreach(shards, i, s)
    {
        const char *state = stats_text(s, "state");
        const bool archive = json_is_true(json_object_get(s, "archive"));
        all += !archive;
        away += !archive && !stats_is_well(state);
    }
    if (all == 0) {
        return;
    }
    unit_noun(all, "shard", text);
    if (away) {
        if (all == 1) {
            found(r, DOCTOR_BAD, "the shard cannot be used");
        } else {
            found(r, DOCTOR_BAD, "%zu of %s cannot be used", away, text);
        }
        advise(r, "`tally shard list` says which and why");
    } else {
        found(r, DOCTOR_GOOD, "%s can be read", text);
    }
}

static void found_late(struct doctor_finding *r, bool failing, uint64_t lag)
{
    char text[UNIT_TEXT];
    unit_duration((int64_t)lag, text);
    if (!failing) {
        found(r, DOCTOR_BAD, "an archive lacks what was changed in the last %s", text);
    } else if (lag) {
        found(r, DOCTOR_BAD,
              "nothing can be shipped to an archive, which lacks what was changed in the last %s",
              text);
    } else {
        found(r, DOCTOR_BAD, "nothing can be shipped to an archive");
    }
}

/* The archive that is worst off counts. */
static void check_archives(const struct doctor_facts *f, struct doctor_finding *r)
{
    const json_t *archives = json_object_get(f->stats, "archives");
    const char *key;
    json_t *a;
    uint64_t lag = 0;
    bool failing = false, undrilled = false;
    if (json_object_size(archives) == 0) {
        found(r, DOCTOR_HINT, "there is no archive: when the disk is lost, so is all of this");
        advise(r, "`tally archive add URL`: tallyfs-archive(7)");
        return;
    }
    json_object_foreach((json_t *)(uintptr_t)archives, key, a)
    {
        const char *state = stats_text(a, "state");
        failing |= strcmp(state, "failing") == 0 || strcmp(state, "refused") == 0;
        undrilled |= f->now - (int64_t)stats_number(a, "drill_time") > STATS_OVERDUE_S;
        lag = stats_number(a, "lag_milliseconds") > lag ? stats_number(a, "lag_milliseconds") : lag;
    }
    if (failing || lag > STATS_LAG_MS) {
        found_late(r, failing, lag);
        advise(r, "`tally archive status` says why");
    } else {
        found(r, undrilled ? DOCTOR_HINT : DOCTOR_GOOD, "archives have all changes%s",
              undrilled ? ", and no drill has restored from one this month" : "");
        advise(r, undrilled ? "`tally archive drill --wait`: tally-drill@.timer does it" : "");
    }
}

static void check_files(const struct doctor_facts *f, struct doctor_finding *r)
{
    char text[UNIT_TEXT];
    if (f->files_limit == 0) {
        return;
    }
    const bool few = f->files_limit < FILES_WANTED;
    found(r, few ? DOCTOR_HINT : DOCTOR_GOOD, "the daemon may have %s open",
          unit_noun(f->files_limit, "file", text));
    advise(r, few ? "raise the limit of open files (LimitNOFILE= of the unit)" : "");
}

static void check_place(const struct doctor_facts *f, struct doctor_finding *r)
{
    if (f->in_tmp) {
        found(r, DOCTOR_HINT,
              "the store is in a directory for temporary files, where old files "
              "may be deleted while it is not mounted");
        advise(r, "move it elsewhere, or see systemd-tmpfiles in tallyfs(7)");
    }
}

static void check_boot(const struct doctor_facts *f, struct doctor_finding *r)
{
    if (f->boots) {
        found(r, DOCTOR_GOOD, "it is mounted when the machine starts");
    } else {
        found(r, DOCTOR_HINT, "nothing mounts it when the machine starts");
        advise(r, "a line in /etc/fstab, or tally@.service: tally-mount(1)");
    }
}

static void check_kernel(const struct doctor_facts *f, struct doctor_finding *r)
{
    const int v = f->kernel_major * 100 + f->kernel_minor;
    if (v >= 614) {
        found(r, DOCTOR_GOOD, "Linux %d.%d has all that tallyfs uses", f->kernel_major,
              f->kernel_minor);
    } else {
        found(r, DOCTOR_HINT, "Linux %d.%d lacks %s", f->kernel_major, f->kernel_minor,
              v >= 609 ? "requests by io_uring" : "requests by io_uring and passthrough");
        advise(r, "Linux 6.14 and later has both");
    }
}

/* ---- all of them ---- */

static const struct check {
    const char *subject;
    void (*fn)(const struct doctor_facts *f, struct doctor_finding *r);
} checks[] = {
    {"state", check_state},        {"messages", check_alarms},
    {"disk", check_disk},          {"scrub", check_scrub},
    {"archives", check_archives},  {"shards", check_shards},
    {"packs", check_packs},        {"kernel", check_kernel},
    {"requests", check_transport}, {"passthrough", check_passthrough},
    {"lookups", check_lookups},    {"syncs", check_sync},
    {"writers", check_waits},      {"files", check_files},
    {"store", check_store_fs},     {"start", check_boot},
    {"place", check_place},
};

size_t doctor_check(const struct doctor_facts *f, struct doctor_finding ret[DOCTOR_CHECKS_MAX])
{
    size_t n = 0;
    _Static_assert(sizeof(checks) / sizeof(*checks) <= DOCTOR_CHECKS_MAX, "too many checks");
    for (size_t i = 0; i < sizeof(checks) / sizeof(*checks); i++) {
        ret[n] = (struct doctor_finding){
            .subject = checks[i].subject, .text = STRBUF_INIT, .advice = STRBUF_INIT};
        checks[i].fn(f, &ret[n]);
        n += ret[n].text.len > 0;
    }
    return n;
}

void doctor_release(struct doctor_finding *findings, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        strbuf_release(&findings[i].text);
        strbuf_release(&findings[i].advice);
    }
}
