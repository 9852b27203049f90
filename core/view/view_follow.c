// SPDX-License-Identifier: Apache-2.0
/* view_follow: see the header. */
#include "view_follow.h"

#include "command.h"
#include "follow.h"
#include "json_text.h"
#include "state.h"

#define U(x) ((unsigned long long)(x))
#define PATIENCE (60 * NSEC_PER_SEC) /* so long it may fail before the store is degraded */

static const char *const state_names[] = {
    [FOLLOW_IDLE] = "idle",
    [FOLLOW_OK] = "ok",
    [FOLLOW_BEHIND] = "behind",
    [FOLLOW_FAILING] = "failing",
};

static void add_text(struct strbuf *out, const char *key, const char *text)
{
    if (!*text)
        return;
    strbuf_addf(out, " %s=", key);
    command_add_word(out, text);
}

bool view_follow_line(struct state *p, struct strbuf *out)
{
    struct follow_stats s;

    if (follow_get_stats(p, &s) < 0)
        return false;
    strbuf_addf(out, "following=%u state=%s url=", s.archive, state_names[s.state]);
    command_add_word(out, s.url);
    strbuf_addf(out, " lineage=%u applied=%llu-%llu from_seq=%llu time=", s.lineage, U(s.at.epoch),
                U(s.at.serial), U(s.seq));
    strbuf_add_time(out, s.time);
    strbuf_adds(out, " asked=");
    strbuf_add_time(out, s.asked);
    strbuf_addf(out, " lag_ms=%lld segments=%llu entries=%llu afresh=%llu",
                (long long)(follow_lag(p, &s) / NSEC_PER_MSEC), U(s.segments), U(s.items),
                U(s.afresh));
    add_text(out, "why", s.why);
    add_text(out, "ended", s.ended);
    return true;
}

void view_follow_status(struct state *p, struct strbuf *out)
{
    CLEANUP_STRBUF struct strbuf line = STRBUF_INIT;

    if (view_follow_line(p, &line))
        strbuf_addf(out, "follows     %s\n", line.s);
}

const char *view_follow_trouble(struct state *p)
{
    struct follow_stats s;

    return follow_get_stats(p, &s) == 0 && s.failing_since && now(p) - s.failing_since > PATIENCE
               ? "the archive that is followed cannot be read"
               : NULL;
}

/* ---- stats.json and metrics ---- */

#define NUMBERS 8

void view_follow_numbers(struct state *p, struct view_numbers *n)
{
    struct view_numbers group;
    struct follow_stats s;

    if (follow_get_stats(p, &s) < 0)
        return;
    const struct view_number numbers[NUMBERS] = {
        {"failing", VIEW_GAUGE, s.state == FOLLOW_FAILING,
         "1: the archive cannot be read, which is tried again."},
        {"applied_seq", VIEW_GAUGE, s.seq, "The last change of the followed store that is here."},
        {"applied_seconds", VIEW_TIME, (uint64_t)(s.time / NSEC_PER_SEC),
         "When the last change that is here was made in the followed store, since the epoch."},
        {"asked_seconds", VIEW_TIME, (uint64_t)(s.asked / NSEC_PER_SEC),
         "When the archive was last asked for something new, since the epoch."},
        {"lag_milliseconds", VIEW_GAUGE, (uint64_t)(follow_lag(p, &s) / NSEC_PER_MSEC),
         "How far this store is behind."},
        {"segments", VIEW_COUNTER, s.segments, "Segments that were applied."},
        {"entries", VIEW_COUNTER, s.items, "Entries of segments that were applied."},
        {"afresh", VIEW_COUNTER, s.afresh, "Namespaces that had to be restored anew."},
    };

    group = view_add_group(n, "follow", "follow_");
    if (n->json) {
        view_add_json(&group, "url", json_text(s.url));
        view_add_json(&group, "state", json_string(state_names[s.state]));
        view_add_json(&group, "why", json_text(s.why));
        view_add_json(&group, "ended", json_text(s.ended));
    }
    view_add_numbers(&group, numbers, NUMBERS);
}
