// SPDX-License-Identifier: Apache-2.0
/* follow_draft: the tree that a namespace gets, made beside it. */
#include "follow_impl.h"

#include "follow_verify.h"
#include "ns_draft.h"
#include "ns_restore.h"
#include "restore_items.h"
#include <errno.h>
#include <string.h>

static int say(struct state *p, int err, const struct follow_change *c, const struct strbuf *why)
{
    return follow_fail(p, err, "%.60s of segment %llu-%llu cannot be made%s%.100s", c->section.name,
                       (unsigned long long)c->at.epoch, (unsigned long long)c->at.serial,
                       why->len ? ": " : "", why->len ? why->s : "");
}

static int load(struct state *p, struct shard *shard, const struct archive_segment *g,
                struct follow_change *c, struct strbuf *why)
{
    struct restore_items r = {
        .p = p, .archive = p->follow->archive, .draft = c->draft, .why = why, .is_kept = true};
    int err = restore_items_begin(&r);

    if (err == 0)
        err = restore_items_load(&r, shard, g, &c->section);
    restore_items_end(&r);
    return err;
}

static int verify(struct state *p, const struct followed *from, struct follow_change *c,
                  uint64_t *ret_last, struct strbuf *why)
{
    const struct tree empty = {.pages = c->draft->tree.pages, .refs = c->draft->tree.refs};
    uint8_t sum[SEGMENT_STATE_LEN] = {0};
    int err;

    if (from) {
        memcpy(sum, from->note.state, sizeof sum);
        ns_rdlock_two(from->ns, c->draft);
        err = follow_verify(p, &from->ns->tree, &c->draft->tree, sum, ret_last, why);
        ns_rdunlock_two(from->ns, c->draft);
    } else {
        READ_GUARD(&c->draft->lock);

        err = follow_verify(p, &empty, &c->draft->tree, sum, ret_last, why);
    }
    if (err == 0 && memcmp(sum, c->section.state, sizeof sum) != 0) {
        strbuf_adds(why, "it is not the tree that was shipped");
        err = -EUCLEAN;
    }
    return err;
}

int follow_draft(struct state *p, struct shard *shard, const struct archive_segment *g,
                 const struct followed *from, struct follow_change *c)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    uint64_t last = 0;
    int err = from ? ns_draft_from(p, from->ns, &c->draft)
                   : ns_draft_empty(p, c->section.name, &c->draft);

    if (err == 0)
        err = load(p, shard, g, c, &why);
    if (err == 0)
        err = verify(p, from, c, &last, &why);
    if (err == 0)
        err = restore_note_inodes(p, c->draft, last);
    return err < 0 ? say(p, err, c, &why) : 0;
}

int follow_draft_afresh(struct state *p, struct follow_change *c)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    struct restore_plan plan;
    struct restore_result r;
    int err = restore_plan_at(p, p->follow->archive, c->at, &c->section.is, &plan, &why);

    if (err == 0) {
        c->section = plan.steps[plan.count - 1].section;
        err = ns_draft_empty(p, c->section.name, &c->draft);
        if (err == 0)
            err = restore_load(p, &plan, c->draft, 0, NULL, NULL, &r, &why);
        restore_plan_release(&plan);
    }
    return err < 0 ? say(p, err, c, &why) : 0;
}
