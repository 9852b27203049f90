// SPDX-License-Identifier: Apache-2.0
#include "top_screen.h"

#include "io.h"
#include "jobs.h"
#include "profile_text.h"
#include "strbuf.h"
#include "stats.h"
#include "table.h"
#include "units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JOBS_SHOWN 4
#define BAR 20
/* The table of programs has a third of the rows that are left, and at least so many. */
#define PROGRAMS_LEAST 3

struct screen {
    struct top_line *lines;
    size_t rows, columns, count;
};

/* ---- lines ---- */

/* Adds a line, cut to the width of the screen. A table cuts a text between two characters. */
static void add_line(struct screen *s, enum top_style style, const char *text)
{
    const struct table_column column = {.title = "", .shrinks = true};
    CLEANUP_STRBUF struct strbuf cut = STRBUF_INIT;
    struct table t;
    if (s->count == s->rows) {
        return;
    }
    table_init(&t, &column, 1);
    table_add(&t, &text);
    table_print(&t, s->columns, &cut);
    table_release(&t);
    const char *line = cut.s ? strchr(cut.s, '\n') : NULL; /* behind the title */
    line = line ? line + 1 : "";
    s->lines[s->count++] = (struct top_line){strndup(line, strcspn(line, "\n")), style};
}

__attribute__((format(printf, 3, 4))) static void add(struct screen *s, enum top_style style,
                                                      const char *fmt, ...)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    strbuf_vaddf(&text, fmt, ap);
    va_end(ap);
    add_line(s, style, text.s ? text.s : "");
}

/* A bar of BAR characters. */
static char *bar(double share, char out[static BAR + 3])
{
    const size_t full = share <= 0 ? 0 : share >= 1 ? BAR : (size_t)(share * BAR + 0.5);
    memset(out, ' ', BAR + 2);
    out[0] = '[';
    memset(out + 1, '#', full);
    out[BAR + 1] = ']';
    out[BAR + 2] = '\0';
    return out;
}

/* ---- what is above the tables ---- */

static void add_title(struct screen *s, const struct top_facts *f)
{
    const char *label = stats_text(f->stats, "label"), *state = stats_text(f->stats, "state");
    char up[UNIT_TEXT];
    unit_duration((int64_t)stats_number(f->stats, "uptime_seconds") * 1000, up);
    add(s, TOP_HEAD, "%s at %s, mounted %s ago", *label ? label : "tallyfs", f->mnt, up);
    if (strcmp(state, "ok") != 0) {
        add(s, TOP_BAD, "state   %s: `tally status` says why", state);
    }
}

static void add_memory(struct screen *s, const struct top_facts *f)
{
    const uint64_t seq = stats_number(f->stats, "seq"),
                   durable = stats_number(f->stats, "durable_seq");
    char changes[UNIT_TEXT], dirty[UNIT_TEXT], buffered[UNIT_TEXT];
    add(s, TOP_PLAIN, "memory  %s not on disk; pages %s, file contents %s",
        unit_noun(seq > durable ? seq - durable : 0, "change", changes),
        unit_bytes(stats_number(f->stats, "dirty_pages_bytes"), dirty),
        unit_bytes(stats_number(f->stats, "buffered_bytes"), buffered));
    add(s, TOP_PLAIN, "flush   %llu of %llu under way; %llu commits, %llu writers wait",
        (unsigned long long)stats_number(f->stats, "flush_permits_used"),
        (unsigned long long)stats_number(f->stats, "flush_permits"),
        (unsigned long long)stats_number(f->stats, "commits"),
        (unsigned long long)stats_number(f->stats, "writers_waiting"));
}

static void add_disk(struct screen *s, const struct top_facts *f)
{
    const uint64_t size = stats_number(f->stats, "disk_bytes"),
                   free_bytes = stats_number(f->stats, "disk_free_bytes");
    char a[UNIT_TEXT], b[UNIT_TEXT], c[UNIT_TEXT], drawn[BAR + 3];
    if (size > 0) {
        add(s, TOP_PLAIN, "disk    %s %s free of %s; %s",
            bar(1 - (double)free_bytes / (double)size, drawn), unit_bytes(free_bytes, a),
            unit_bytes(size, b), unit_noun(stats_number(f->stats, "objects"), "object", c));
    }
}

static void add_archives(struct screen *s, const struct top_facts *f)
{
    const char *key;
    json_t *a;
    char lag[UNIT_TEXT], held[UNIT_TEXT];
    json_object_foreach(json_object_get(f->stats, "archives"), key, a)
    {
        const char *state = stats_text(a, "state");
        const bool ok = stats_is_well(state);
        add(s, ok ? TOP_PLAIN : TOP_BAD, "archive %s, behind %s, %s held: %s", state,
            unit_duration((int64_t)stats_number(a, "lag_milliseconds"), lag),
            unit_bytes(stats_number(a, "held_bytes"), held), stats_text(a, "url"));
    }
}

static void add_shards(struct screen *s, const struct top_facts *f)
{
    size_t i;
    json_t *shard;
    char objects[UNIT_TEXT], bytes[UNIT_TEXT];
    json_array_foreach(json_object_get(f->stats, "shards"), i, shard)
    {
        const char *state = stats_text(shard, "state");
        if (json_is_true(json_object_get(shard, "archive"))) {
            continue;
        }
        add(s, stats_is_well(state) ? TOP_PLAIN : TOP_BAD, "shard %llu %s, %s, %s: %s",
            (unsigned long long)stats_number(shard, "shard"), state,
            unit_noun(stats_number(shard, "ghosts"), "object", objects),
            unit_bytes(stats_number(shard, "bytes"), bytes), stats_text(shard, "url"));
    }
}

static void add_jobs(struct screen *s, const struct top_facts *f)
{
    size_t i, shown = 0;
    json_t *job;
    char how[128], drawn[BAR + 3];
    json_array_foreach(f->jobs, i, job)
    {
        if (strcmp(jobs_text(job, "state"), "running") != 0 || shown == JOBS_SHOWN) {
            continue;
        }
        const double percent = json_number_value(json_object_get(job, "percent"));
        jobs_describe(job, how, sizeof(how));
        add(s, TOP_PLAIN, "job     %s %s", bar(percent / 100, drawn), how);
        shown++;
    }
}

/* ---- the tables ---- */

/* One table of groups as lines of text, `rows` at most with its title. */
static void make_table(const struct costs *costs, enum costs_by by, size_t rows, size_t columns,
                       struct strbuf *out)
{
    static const char *const titles[] = {
        [COSTS_BY_OP] = "REQUEST", [COSTS_BY_NS] = "NAMESPACE", [COSTS_BY_PROGRAM] = "PROGRAM"};
    const struct table_column c[] = {{.title = titles[by], .shrinks = true},
                                     {.title = "PER S", .right = true},
                                     {.title = "MEAN", .right = true},
                                     {.title = "P99", .right = true}};
    struct costs_group *groups;
    struct table t;
    const ssize_t count = costs_group(costs, by, &groups);
    if (count < 0) {
        return; /* no memory: the table is empty until the next time */
    }
    table_init(&t, c, sizeof(c) / sizeof(*c));
    for (ssize_t i = 0; i < count && (size_t)i + 1 < rows; i++) {
        const struct histogram *h = &groups[i].took;
        const uint64_t n = histogram_count(h);
        char rate[32], mean[PROFILE_TIME], p99[PROFILE_TIME];
        snprintf(rate, sizeof(rate), "%.0f", costs->ms ? (double)n * 1000 / (double)costs->ms : 0);
        table_add(&t,
                  (const char *[]){*groups[i].name ? groups[i].name : "(gone)", rate,
                                   profile_time(n ? h->sum_ns / 1000 / n : 0, mean),
                                   profile_time(costs_quantile(h, groups[i].max_us, 0.99), p99)});
    }
    table_print(&t, columns, out);
    table_release(&t);
    free(groups);
}

static const char *next_line(const char *p)
{
    p += strcspn(p, "\n");
    return *p ? p + 1 : p;
}

/* Adds two texts side by side. */
static void add_beside(struct screen *s, const char *left, const char *right, size_t width)
{
    enum top_style style = TOP_HEAD;
    while (*left || *right) {
        const int l = (int)strcspn(left, "\n"), r = (int)strcspn(right, "\n");
        add(s, style, "%.*s%*s%.*s", l, left, (int)width - l > 0 ? (int)width - l : 1, "", r,
            right);
        left = next_line(left);
        right = next_line(right);
        style = TOP_PLAIN;
    }
}

static void add_tables(struct screen *s, const struct top_facts *f)
{
    CLEANUP_STRBUF struct strbuf ops = STRBUF_INIT, names = STRBUF_INIT, programs = STRBUF_INIT;
    const size_t left = s->rows - s->count, half = s->columns / 2;
    if (left < 4) {
        return;
    }
    const size_t below = left / 3 > PROGRAMS_LEAST ? left / 3 : PROGRAMS_LEAST;
    make_table(f->costs, COSTS_BY_OP, left - below - 1, half - 2, &ops);
    make_table(f->costs, COSTS_BY_NS, left - below - 1, s->columns - half - 1, &names);
    make_table(f->costs, COSTS_BY_PROGRAM, below, s->columns, &programs);
    add_beside(s, ops.s ? ops.s : "", names.s ? names.s : "", half);
    add(s, TOP_PLAIN, "%s", "");
    add_beside(s, programs.s ? programs.s : "", "", half);
}

size_t top_screen(const struct top_facts *f, size_t rows, size_t columns, struct top_line *lines)
{
    struct screen s = {.lines = lines, .rows = rows, .columns = columns};
    char count[UNIT_TEXT];
    if (!f->stats) {
        add(&s, TOP_BAD, "%s does not answer", f->mnt);
        return s.count;
    }
    add_title(&s, f);
    add_memory(&s, f);
    add_disk(&s, f);
    add_archives(&s, f);
    add_shards(&s, f);
    add_jobs(&s, f);
    add(&s, TOP_PLAIN, "now     %s in the last %.1f s, %llu wait for an answer",
        unit_noun(costs_requests(f->costs), "request", count), (double)f->costs->ms / 1000,
        (unsigned long long)stats_number(f->stats, "waiting_requests"));
    add(&s, TOP_PLAIN, "%s", "");
    add_tables(&s, f);
    return s.count;
}
