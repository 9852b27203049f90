// SPDX-License-Identifier: Apache-2.0
/*
 * restore_load: the sections of a plan become the tree of a draft. Inode numbers are those that the
 * archive has, so what is restored beside the original is compared with it as a branch is; names
 * get the hashes of this store.
 */
#include "ns_restore.h"

#include "archive_read.h"
#include "ns_draft.h"
#include "restore_items.h"
#include "restore_pin.h"
#include "restore_verify.h"
#include "shards.h"
#include "state.h"
#include "tree_item.h"
#include <errno.h>
#include <string.h>

struct restoring {
    const struct restore_plan *plan;
    struct restore_items items;
    uint64_t last_ino, lost;
};

static int fail(struct restoring *r, int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static int fail(struct restoring *r, int err, const char *fmt, ...)
{
    va_list ap;

    if (r->items.why->len)
        return err;
    va_start(ap, fmt);
    strbuf_vaddf(r->items.why, fmt, ap);
    va_end(ap);
    return err;
}

static int load_step(struct restoring *r, struct shard *shard, const struct restore_step *step)
{
    struct archive_segment g;
    int err = archive_read(shard, r->plan->lineage, step->at, &g);

    if (err < 0)
        return err;
    if (memcmp(g.sum, step->sum, sizeof g.sum) != 0) /* it is not what the plan was made of */
        err = -EUCLEAN;
    if (err == 0)
        err = restore_items_load(&r->items, shard, &g, &step->section);
    archive_segment_release(&g);
    return err;
}

/* Is the tree what was shipped, and sound? */
static int check(struct restoring *r)
{
    const struct segment_section *last = &r->plan->steps[r->plan->count - 1].section;
    struct ns *draft = r->items.draft;
    uint8_t sum[SEGMENT_STATE_LEN];
    int err;

    {
        READ_GUARD(&draft->lock);

        err = tree_item_sum(r->items.p, &draft->tree, sum, &r->lost);
    }
    if (err == 0 && memcmp(sum, last->state, sizeof sum) != 0)
        err = -EUCLEAN;
    return err < 0 ? err : restore_verify(r->items.p, draft, &r->last_ino, r->items.why);
}

/* Numbers beyond half of those that there are may have come only from a store that has given them.
 * So no archive can take away all that are left. */
#define INO_HALF (KEY_INO_MAX / 2)

int restore_note_inodes(struct state *p, struct ns *draft, uint64_t last_ino)
{
    if (last_ino > INO_HALF && last_ino >= atomic_load(&p->next_ino))
        return -EUCLEAN;
    READ_GUARD(&p->freeze_lock);
    WRITE_GUARD(&draft->lock);

    ns_saw_ino(p, draft, last_ino);
    draft->dirty = true;
    return 0;
}

/* Loads all steps. */
static int load_steps(struct restoring *r)
{
    struct shards *shards = r->items.p->shards;
    struct shard *shard;
    int err = shards_get(shards, r->plan->archive, SHARDS_READ, &shard, NULL);

    if (err < 0)
        return fail(r, err, "the archive cannot be asked");
    err = restore_items_begin(&r->items);
    r->items.local = err < 0;
    for (size_t i = 0; i < r->plan->count && err == 0; i++)
        err = load_step(r, shard, &r->plan->steps[i]);
    restore_items_end(&r->items);
    if (!r->items.local)
        err = shards_said(shards, r->plan->archive, err);
    shards_put_back(shards, r->plan->archive);
    return err;
}

int restore_load(struct state *p, const struct restore_plan *plan, struct ns *draft, unsigned read,
                 restore_progress_fn *progress, void *ctx, struct restore_result *ret,
                 struct strbuf *why)
{
    struct restoring r = {.plan = plan,
                          .items = {.p = p,
                                    .archive = plan->archive,
                                    .draft = draft,
                                    .read = read,
                                    .is_kept = plan->pinned || plan->by_writer,
                                    .why = why,
                                    .progress = progress,
                                    .ctx = ctx,
                                    .of = plan->items}};
    int err = load_steps(&r);

    if (err == 0)
        err = check(&r);
    if (err == 0)
        err = restore_note_inodes(p, draft, r.last_ino);
    *ret = (struct restore_result){.items = r.items.done,
                                   .ghosts = r.items.ghosts,
                                   .shared = r.items.shared,
                                   .moved = r.items.moved,
                                   .lost = r.lost,
                                   .read = r.items.reads,
                                   .inodes = draft->tree.usage.inodes};
    if (err == -EUCLEAN)
        return fail(&r, err,
                    r.items.local ? "something of this store is damaged that it needs"
                                  : "what the archive has does not make the tree that was shipped");
    return err;
}

/* Fills a draft, and shows it. */
static int run(struct state *p, const struct restore_plan *plan, const char *name,
               restore_progress_fn *progress, void *ctx, struct restore_result *ret,
               struct strbuf *why)
{
    struct ns *draft;
    int err = ns_draft(p, name, &draft);

    if (err < 0)
        return err;
    err = restore_load(p, plan, draft, 0, progress, ctx, ret, why);
    if (err == 0)
        err = ns_draft_publish(p, draft, name, &ret->seq);
    if (err < 0)
        ns_draft_drop(p, draft);
    else
        ns_put(p, draft);
    return err;
}

int restore_run(struct state *p, const struct restore_plan *plan, const char *name,
                restore_progress_fn *progress, void *ctx, struct restore_result *ret,
                struct strbuf *why)
{
    int err = restore_begin(p, plan, why);

    *ret = (struct restore_result){0};
    if (err < 0)
        return err;
    err = run(p, plan, name, progress, ctx, ret, why);
    restore_end(p, plan);
    return err;
}
