// SPDX-License-Identifier: Apache-2.0
#include "status_people.h"

#include "jobs.h"
#include "stats.h"
#include "units.h"

#include <string.h>

#define ELSEWHERE_PERCENT 10   /* of the bytes on one shard are worth a line */
#define SAVED_LEAST (1u << 20) /* bytes that are worth a word */

/* ---- facts ---- */

/* The line of the status whose subject is that word: where its text begins. NULL: there is none. */
static const char *line_of(const struct status_facts *f, const char *subject)
{
    const size_t len = strlen(subject);
    for (const char *p = f->text; p && *p;) {
        if (strncmp(p, subject, len) == 0 && p[len] == ' ') {
            return p + len + strspn(p + len, " ");
        }
        p = strchr(p, '\n');
        p = p ? p + 1 : NULL;
    }
    return NULL;
}

/* ---- lines ---- */

/* What is unusual is counted, for the first line. */
struct notes {
    struct strbuf text;
    unsigned count;
};

__attribute__((format(printf, 2, 3))) static void note(struct notes *n, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    strbuf_adds(&n->text, "! ");
    strbuf_vaddf(&n->text, fmt, ap);
    strbuf_adds(&n->text, "\n");
    n->count++;
    va_end(ap);
}

static struct status_word add_state(const struct status_facts *f, const struct notes *n,
                                    struct strbuf *out)
{
    static const char *const words[][3] = {{"ok", "all is well", "\033[32m"},
                                           {"degraded", "DEGRADED", "\033[33m"},
                                           {"read-only", "READ-ONLY", "\033[31m"}};
    const char *state = stats_text(f->stats, "state"), *label = stats_text(f->stats, "label");
    const char *line = line_of(f, "state"), *why = line ? line + strcspn(line, ":\n") : "";
    const char *word = state, *colour = "";
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        if (strcmp(words[i][0], state) == 0) {
            word = words[i][1];
            colour = words[i][2];
        }
    }
    strbuf_addf(out, "tallyfs store %s at %s: ", *label ? label : "(no label)", f->mnt);
    const struct status_word place = {out->len, strlen(word), colour};
    strbuf_adds(out, word);
    strbuf_add(out, why, strcspn(why, "\n"));
    if (n->count && strcmp(state, "ok") == 0) {
        strbuf_addf(out, ", with %u thing%s to look at", n->count, n->count > 1 ? "s" : "");
    }
    strbuf_adds(out, "\n");
    return place;
}

static void add_contents(const struct status_facts *f, struct strbuf *out)
{
    char bytes[UNIT_TEXT], inodes[UNIT_TEXT], names[UNIT_TEXT], objects[UNIT_TEXT];
    const uint64_t stored = stats_number(f->stats, "stored_bytes");
    const uint64_t saved = stats_number(f->stats, "saved_bytes");
    unit_noun(stats_number(f->stats, "namespaces"), "namespace", names);
    unit_noun(stats_number(f->stats, "objects"), "content", objects);
    strbuf_adds(out, "  ");
    if (f->usage_known) {
        strbuf_addf(out, "%s in %s, in %s; ", unit_bytes(f->bytes, bytes),
                    unit_noun(f->inodes, "file or directory|files and directories", inodes), names);
    } else {
        strbuf_addf(out, "%s; ", names);
    }
    strbuf_adds(out, objects);
    if (stats_number(f->stats, "objects")) {
        strbuf_addf(out, " of %s, each stored once", unit_bytes(stored, bytes));
    }
    if (f->usage_known && f->bytes > stored + stored / 20 + SAVED_LEAST) {
        strbuf_addf(out, ", which saves %s", unit_bytes(f->bytes - stored, bytes));
    }
    if (saved > SAVED_LEAST) {
        strbuf_addf(out, "; compression saves %s of these", unit_bytes(saved, bytes));
    }
    strbuf_adds(out, "\n");
}

/* Where the bytes are that are not here, such as those of a clone. */
static void add_elsewhere(const struct status_facts *f, struct strbuf *out)
{
    const uint64_t stored = stats_number(f->stats, "stored_bytes");
    char bytes[UNIT_TEXT], objects[UNIT_TEXT];
    size_t i;
    json_t *s;
    json_array_foreach(json_object_get(f->stats, "shards"), i, s)
    {
        const uint64_t there = stats_number(s, "bytes");
        if (there == 0 || (double)there * 100 < (double)stored * ELSEWHERE_PERCENT) {
            continue;
        }
        strbuf_addf(out, "  not here, but on shard %llu (%s%s): %s of %s\n",
                    (unsigned long long)stats_number(s, "shard"),
                    json_is_true(json_object_get(s, "archive")) ? "archive " : "",
                    stats_text(s, "url"), unit_noun(stats_number(s, "ghosts"), "content", objects),
                    unit_bytes(there, bytes));
    }
}

static void add_disk(const struct status_facts *f, struct notes *n, struct strbuf *out)
{
    const uint64_t size = stats_number(f->stats, "disk_bytes"),
                   free = stats_number(f->stats, "disk_free_bytes");
    const uint64_t trash = stats_number(f->stats, "trash_frees_bytes");
    char a[UNIT_TEXT], b[UNIT_TEXT];
    if (size == 0) {
        return;
    }
    const unsigned percent = (unsigned)(100 - (double)free * 100 / (double)size);
    strbuf_addf(out, "  %s of %s are free on its disk\n", unit_bytes(free, a), unit_bytes(size, b));
    if (percent >= STATS_FULL_PERCENT) {
        note(n, "the disk is %u %% full", percent);
    }
    if (trash > size / 20 || (trash && percent >= STATS_FULL_PERCENT)) {
        note(n, "the trash has %s that `tally trash empty` gives back", unit_bytes(trash, a));
    }
}

/* How many archives have all changes; *ret_all: of so many. */
static uint64_t current_archives(const struct status_facts *f, uint64_t *ret_all)
{
    const json_t *archives = json_object_get(f->stats, "archives");
    const char *key;
    json_t *a;
    uint64_t current = 0;
    *ret_all = json_object_size(archives);
    json_object_foreach((json_t *)(uintptr_t)archives, key, a)
    {
        current +=
            stats_number(a, "lag_milliseconds") == 0 && strcmp(stats_text(a, "state"), "ok") == 0;
    }
    return current;
}

static void add_durable(const struct status_facts *f, struct strbuf *out)
{
    const uint64_t seq = stats_number(f->stats, "seq"),
                   durable = stats_number(f->stats, "durable_seq");
    const int64_t last = (int64_t)stats_number(f->stats, "last_commit_seconds");
    char changes[UNIT_TEXT], ago[UNIT_TEXT];
    uint64_t all;
    const uint64_t current = current_archives(f, &all);
    if (seq <= durable) {
        strbuf_adds(out, "  all changes are on disk");
    } else {
        strbuf_addf(out, "  %s not on disk yet",
                    unit_noun(seq - durable, "change is|changes are", changes));
    }
    if (seq > durable && last > 0) {
        strbuf_addf(out, " (the last flush was %s ago)",
                    unit_duration((f->now - last) * 1000, ago));
    }
    if (all > 0 && current == all) {
        strbuf_addf(out,
                    all == 1 ? "; the archive has what is on disk"
                             : "; all %llu archives have what is on disk",
                    (unsigned long long)all);
    }
    strbuf_adds(out, "\n");
}

static void add_kept(const struct status_facts *f, struct strbuf *out)
{
    const uint64_t snapshots = stats_number(f->stats, "kept_snapshots");
    const uint64_t dropped = stats_number(f->stats, "kept_dropped");
    char a[UNIT_TEXT], b[UNIT_TEXT];
    if (snapshots == 0 && dropped == 0) {
        return;
    }
    strbuf_addf(out, "  kept: %s%s%s\n", snapshots ? unit_noun(snapshots, "snapshot", a) : "",
                snapshots && dropped ? ", " : "",
                dropped ? unit_noun(dropped, "dropped namespace", b) : "");
}

/* ---- what is unusual ---- */

/* A number that is usually 0, and the sentence about it. */
struct unusual {
    const char *key;
    const char *noun; /* unit_noun() */
    const char *more; /* what follows the noun */
};

static void note_numbers(const struct status_facts *f, struct notes *n)
{
    static const struct unusual all[] = {
        {"undeleted_objects", "content", " could not be deleted so far, which is tried again"},
        {"leaks", "leak", " found: `tally gc` deletes what nothing needs, in its second run"},
        {"scrub_damaged", "damaged thing",
         " found by the last scrub: tally-scrub(1) says what to do"},
        {"ghosts_lost", "content", " lost on another shard: tally-sweep(1)"},
        {"writers_waiting", "writer", " waiting for a flush"},
        {"given_up_flushes", "flush|flushes", " given up"},
        {"unknown_decrements", "count", " missing: `tally rebuild` counts anew"},
        {"collisions", "collision", " of two contents with one id"},
    };
    char text[UNIT_TEXT];
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        const uint64_t x = stats_number(f->stats, all[i].key);
        if (x) {
            note(n, "%s%s", unit_noun(x, all[i].noun, text), all[i].more);
        }
    }
}

static void note_edge(const struct status_facts *f, struct notes *n)
{
    const uint64_t waiting = stats_number(f->stats, "waiting_requests");
    const double longest = json_number_value(json_object_get(f->stats, "longest_wait_seconds"));
    char text[UNIT_TEXT], time[UNIT_TEXT];
    if (waiting && longest >= 1) {
        note(n, "%s waiting for an answer, the longest for %s", unit_noun(waiting, "request", text),
             unit_duration((int64_t)(longest * 1000), time));
    }
    if (strncmp(stats_text(f->stats, "mounted"), "ro", 2) == 0) {
        note(n, "it is mounted ro: nothing can be changed through this mount");
    }
    const char *stuck = line_of(f, "unsealable");
    if (stuck) {
        note(n, "some files cannot be made objects: `tally status --all` names them");
    }
}

static bool is_active(const json_t *job)
{
    const char *state = jobs_text(job, "state");
    return strcmp(state, "running") == 0 || strcmp(state, "queued") == 0;
}

static bool runs(const struct status_facts *f, const char *verb)
{
    size_t i;
    json_t *job;
    json_array_foreach(f->jobs, i, job)
    {
        if (is_active(job) && strcmp(jobs_text(job, "verb"), verb) == 0) {
            return true;
        }
    }
    return false;
}

static void note_scrub(const struct status_facts *f, struct notes *n)
{
    const int64_t last = (int64_t)stats_number(f->stats, "last_scrub_seconds");
    char ago[UNIT_TEXT];
    if (stats_number(f->stats, "objects") == 0 || runs(f, "scrub")) {
        return;
    }
    if (last == 0) {
        note(n, "no scrub has read all contents yet: run `tally scrub` once a month");
    } else if (f->now - last > STATS_OVERDUE_S) {
        note(n, "the last scrub was %s ago: run `tally scrub` once a month",
             unit_duration((f->now - last) * 1000, ago));
    }
}

static void note_shards(const struct status_facts *f, struct notes *n)
{
    const json_t *shards = json_object_get(f->stats, "shards");
    size_t i;
    json_t *s;
    json_array_foreach(shards, i, s)
    {
        const char *state = stats_text(s, "state"), *why = stats_text(s, "why");
        if (!stats_is_well(state) && !json_is_true(json_object_get(s, "archive"))) {
            note(n, "shard %llu (%s) is %s%s%s", (unsigned long long)stats_number(s, "shard"),
                 stats_text(s, "url"), state, *why ? ": " : "", why);
        }
    }
}

static void note_archives(const struct status_facts *f, struct notes *n)
{
    const char *key;
    json_t *a;
    char lag[UNIT_TEXT];
    json_object_foreach(json_object_get(f->stats, "archives"), key, a)
    {
        const char *state = stats_text(a, "state"), *why = stats_text(a, "why");
        if (strcmp(state, "failing") == 0 || strcmp(state, "refused") == 0) {
            note(n, "archive %s (%s) is %s%s%s", key, stats_text(a, "url"), state, *why ? ": " : "",
                 why);
        }
        if (stats_number(a, "lag_milliseconds") > STATS_LAG_MS) {
            note(n, "archive %s (%s) lacks what was changed in the last %s", key,
                 stats_text(a, "url"),
                 unit_duration((int64_t)stats_number(a, "lag_milliseconds"), lag));
        }
        if (stats_number(a, "lost")) {
            note(n, "archive %s lacks contents that the store could not read", key);
        }
    }
}

static void note_follow(const struct status_facts *f, struct notes *n)
{
    const json_t *follow = json_object_get(f->stats, "follow");
    if (follow && stats_number(follow, "failing")) {
        note(n, "the archive that it follows cannot be read: `tally archive status`");
    }
}

/* The last messages of the daemon, which stand below the line `alarms`. */
static void note_messages(const struct status_facts *f, struct notes *n)
{
    const uint64_t alarms = stats_number(f->stats, "alarms"),
                   warnings = stats_number(f->stats, "warnings");
    const char *p = line_of(f, "alarms");
    char a[UNIT_TEXT], b[UNIT_TEXT];
    if (alarms == 0 && warnings == 0) {
        return;
    }
    note(n, "%s%s%s since it was mounted:", alarms ? unit_noun(alarms, "alarm", a) : "",
         alarms && warnings ? " and " : "", warnings ? unit_noun(warnings, "warning", b) : "");
    while (p && (p = strchr(p, '\n')) && p[1] == ' ') {
        p += 1 + strspn(p + 1, " ");
        strbuf_addf(&n->text, "    %.*s\n", (int)strcspn(p, "\n"), p);
    }
}

/* What runs is no trouble: it has no '!'. */
static void add_jobs(const struct status_facts *f, struct strbuf *out)
{
    size_t i;
    json_t *job;
    char left[UNIT_TEXT];
    json_array_foreach(f->jobs, i, job)
    {
        if (!is_active(job)) {
            continue;
        }
        strbuf_addf(out, "  job %llu, %s, is %s: %llu %%",
                    (unsigned long long)stats_number(job, "job"), jobs_text(job, "verb"),
                    jobs_text(job, "state"), (unsigned long long)stats_number(job, "percent"));
        if (json_object_get(job, "left_seconds")) {
            unit_duration((int64_t)stats_number(job, "left_seconds") * 1000, left);
            strbuf_addf(out, ", %s left", left);
        }
        strbuf_adds(out, "\n");
    }
}

struct status_word status_people_add(const struct status_facts *f, struct strbuf *out)
{
    struct notes n = {.text = STRBUF_INIT};
    CLEANUP_STRBUF struct strbuf numbers = STRBUF_INIT;
    add_contents(f, &numbers);
    add_elsewhere(f, &numbers);
    add_disk(f, &n, &numbers);
    add_durable(f, &numbers);
    add_kept(f, &numbers);
    add_jobs(f, &numbers);
    note_edge(f, &n);
    note_shards(f, &n);
    note_archives(f, &n);
    note_follow(f, &n);
    note_numbers(f, &n);
    note_messages(f, &n);
    note_scrub(f, &n);
    const struct status_word word = add_state(f, &n, out);
    strbuf_add(out, numbers.s, numbers.len);
    strbuf_add(out, n.text.s, n.text.len);
    out->failed |= numbers.failed || n.text.failed;
    strbuf_release(&n.text);
    return word;
}
