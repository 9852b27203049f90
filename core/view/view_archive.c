// SPDX-License-Identifier: Apache-2.0
/* view_archive: see the header. */
#include "view_archive.h"

#include "command.h"
#include "json_text.h"
#include "shards.h"
#include "ship.h"
#include "state.h"
#include <stdio.h>

#define U(x) ((unsigned long long)(x))

static const char *const state_names[] = {
    [SHIP_NEW] = "new",
    [SHIP_OK] = "ok",
    [SHIP_FAILING] = "failing",
    [SHIP_REFUSED] = "refused",
};

/* How long the archive has lacked something, in ns; 0: it lacks nothing that is known. */
static int64_t lag_of(struct state *p, const struct ship_stats *s)
{
    int64_t lag = s->behind && s->time ? now(p) - s->time : 0;

    return lag > 0 ? lag : 0;
}

/* When a drill succeeded last; 0: never. */
static int64_t drilled(struct state *p, const struct ship_stats *s)
{
    struct shards_info info;

    return shards_info_get(p->shards, s->archive, &info) == 0 ? info.drilled : 0;
}

void view_archive_line(struct state *p, const struct ship_stats *s, struct strbuf *out)
{
    strbuf_addf(out, "archive=%u state=%s url=", s->archive, state_names[s->state]);
    command_add_word(out, s->url);
    strbuf_addf(out, " lineage=%u segment=%llu-%llu seq=%llu time=", s->lineage, U(s->at.epoch),
                U(s->at.serial), U(s->seq));
    strbuf_add_time(out, s->time);
    strbuf_addf(out,
                " behind=%d lag_ms=%lld segments=%llu sections=%llu objects=%llu bytes=%llu "
                "lost=%llu",
                s->behind, (long long)(lag_of(p, s) / NSEC_PER_MSEC), U(s->segments),
                U(s->sections), U(s->contents), U(s->content_bytes), U(s->lost));
    if (s->oldest) {
        strbuf_adds(out, " oldest=");
        strbuf_add_time(out, s->oldest);
    }
    strbuf_adds(out, " drill=");
    strbuf_add_time(out, drilled(p, s));
    if (s->held)
        strbuf_addf(out, " held=%llu", U(s->held));
    if (*s->why) {
        strbuf_adds(out, " why=");
        command_add_word(out, s->why);
    }
}

void view_archive_readers(struct state *p, const char *before, struct strbuf *out)
{
    struct shards_info info;

    for (unsigned at = 0; shards_next(p->shards, at, &info) == 0; at = info.number) {
        if (!info.archive || info.ships)
            continue;
        strbuf_addf(out, "%sarchive=%u state=read-only url=", before, info.number);
        command_add_word(out, info.url);
        strbuf_addf(out, " lineage=%u\n", info.lineage);
    }
}

void view_archive_status(struct state *p, struct strbuf *out)
{
    const char *head = "archives    ";
    struct ship_stats s;

    for (unsigned at = 0; ship_next(p, at, &s) == 0; at = s.archive) {
        strbuf_adds(out, head);
        view_archive_line(p, &s, out);
        strbuf_adds(out, "\n");
        head = "            ";
    }
    view_archive_readers(p, "archives    ", out);
}

const char *view_archive_trouble(struct state *p)
{
    struct ship_stats s;

    for (unsigned at = 0; ship_next(p, at, &s) == 0; at = s.archive)
        if (s.state == SHIP_REFUSED)
            return "an archive has the history of another store or mount: nothing is shipped "
                   "there, "
                   "see `tally archive fork` and `remove`";
    return NULL;
}

/* ---- stats.json and metrics ---- */

#define NUMBERS 13

static void list_numbers(struct state *p, const struct ship_stats *s,
                         struct view_number ret[static NUMBERS])
{
    const struct view_number numbers[NUMBERS] = {
        {"refused", VIEW_GAUGE, s->state == SHIP_REFUSED,
         "1: the archive has the history of another store, and nothing is shipped."},
        {"failing", VIEW_GAUGE, s->state == SHIP_FAILING,
         "1: the archive cannot be reached, which is tried again."},
        {"seq", VIEW_GAUGE, s->seq, "The archive has all changes up to this one."},
        {"last_seconds", VIEW_TIME, (uint64_t)(s->time / NSEC_PER_SEC),
         "When the last segment was made that the archive has, since the epoch."},
        {"lag_milliseconds", VIEW_GAUGE, (uint64_t)(lag_of(p, s) / NSEC_PER_MSEC),
         "How long the oldest change has waited that the archive lacks."},
        {"oldest_time", VIEW_TIME, (uint64_t)(s->oldest / NSEC_PER_SEC),
         "The oldest moment that can be restored, since the epoch."},
        {"drill_time", VIEW_TIME, (uint64_t)(drilled(p, s) / NSEC_PER_SEC),
         "When a drill last restored from there, since the epoch; 0: never."},
        {"segments", VIEW_COUNTER, s->segments, "Segments that were shipped."},
        {"sections", VIEW_COUNTER, s->sections, "Sections of namespaces that were shipped."},
        {"objects", VIEW_COUNTER, s->contents, "Objects that were shipped."},
        {"bytes", VIEW_COUNTER, s->content_bytes, "Bytes of objects that were shipped."},
        {"held_bytes", VIEW_GAUGE, s->held, "Bytes that are kept here until they are shipped."},
        {"lost", VIEW_GAUGE, s->lost, "Damaged objects that were shipped as lost."},
    };

    for (unsigned i = 0; i < NUMBERS; i++)
        ret[i] = numbers[i];
}

/* One number of each archive, by its number among the shards. */
static void add_metric(struct state *p, struct view_numbers *group, unsigned which)
{
    struct view_number of[NUMBERS];
    struct view_count counts[SHIP_MAX];
    char labels[SHIP_MAX][8];
    struct ship_stats s;
    size_t count = 0;

    for (unsigned at = 0; count < SHIP_MAX && ship_next(p, at, &s) == 0; at = s.archive) {
        list_numbers(p, &s, of);
        snprintf(labels[count], sizeof labels[count], "%u", s.archive);
        counts[count] = (struct view_count){labels[count], of[which].value};
        count++;
    }
    if (count)
        view_add_labelled(group, of[which], "archive", counts, count);
}

void view_archive_numbers(struct state *p, struct view_numbers *n)
{
    struct view_numbers group = view_add_group(n, "archives", "archive_");
    struct ship_stats s;

    for (unsigned i = 0; !n->json && i < NUMBERS; i++)
        add_metric(p, &group, i);
    for (unsigned at = 0; n->json && ship_next(p, at, &s) == 0; at = s.archive) {
        struct view_number of[NUMBERS];
        struct view_numbers one;
        char label[8];

        snprintf(label, sizeof label, "%u", s.archive);
        one = view_add_group(&group, label, "");
        list_numbers(p, &s, of);
        view_add_json(&one, "url", json_text(s.url));
        view_add_json(&one, "state", json_string(state_names[s.state]));
        view_add_json(&one, "why", json_text(s.why));
        view_add_numbers(&one, of, NUMBERS);
    }
}
