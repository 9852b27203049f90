// SPDX-License-Identifier: Apache-2.0
/*
 * ops_shard: operations on what lives on other shards. None of them changes what a file has: the
 * model learns only what they have committed.
 */
#include "control.h"
#include "model.h"
#include "move.h"
#include "shards.h"
#include "sweep.h"
#include <errno.h>
#include <string.h>

/* ---- which shards there are ---- */

static int add(uint16_t shard)
{
    char url[SHARD_URL_MAX + 1], why[SHARD_WHY] = "";
    int err;

    world_shard_url(shard, url);
    err = shards_add(w.p->shards, shard, url, why);
    return err == -EEXIST ? 0 : err; /* a commit that failed had it all the same */
}

void op_shard_add(uint16_t shard)
{
    w.sharded = true;
    DO(add(shard));
}

/* What an error said of a shard holds for a second, and one that is NEW is asked when it is
 * used. */
void op_look(void)
{
    if (!w.sharded || !w.p)
        return;
    op_advance(2000);
    (void)shards_look(w.p->shards);
}

/* ---- moves ---- */

static int move_each(uint64_t number, void *ctx)
{
    return move_one(ctx, number, NULL);
}

/* *ret_objects: moved, which is committed. */
static int move_selected(const struct move_selection *what, uint16_t shard, uint64_t *ret_objects)
{
    struct move_result r = {0};
    char why[256] = "";
    struct move *m;
    int end, err = move_begin(w.p, NULL, shard, &m);

    *ret_objects = 0;
    if (err < 0)
        return err;
    err = move_select(w.p, what, move_each, m, why);
    end = move_end(m, &r);
    *ret_objects = r.objects;
    if (err < 0 || end < 0)
        return err < 0 ? err : end;
    return r.failed ? -EIO : 0;
}

/* One that failed is not repeated here: what it left undone later moves find. */
static void move_what(const struct move_selection *what, uint16_t shard)
{
    uint64_t objects;
    int err;

    if (is_off())
        return;
    note_attempt();
    err = move_selected(what, shard, &objects);
    if (err < 0 || objects > 0)
        flushed(err);
    if (err < 0)
        op_look();
}

void op_move(size_t s, const char *name, uint16_t shard)
{
    char path[64];
    const char *words[1] = {path};
    struct move_selection what = {.words = words, .count = 1, .idle = -1, .on = -1};

    snprintf(path, sizeof path, "%s/%s", space_names[s], name);
    move_what(&what, shard);
}

void op_move_all(int from, uint16_t shard)
{
    struct move_selection what = {.idle = -1, .on = from};

    move_what(&what, shard);
}

/* As a person says it. */
static int leave(uint16_t shard)
{
    static const _Atomic bool never;
    struct control_session *s;
    char line[40];
    int n = snprintf(line, sizeof line, "shard remove %u\n", shard);
    ssize_t r = control_open(w.p, &s);

    if (r < 0)
        return (int)r;
    r = control_write_at(s, line, (size_t)n, -1, &never);
    control_close(s);
    if (r < 0) /* perhaps since an answer of the shard was lost */
        op_look();
    return r == -ENOENT ? 0 : r < 0 ? (int)r : 0; /* a commit that failed did it all the same */
}

void op_shard_remove(uint16_t shard)
{
    DO(shards_set_draining(w.p->shards, shard, true));
    op_move_all(shard, 0);
    if (w.flush_failures) { /* perhaps not all of it; and a move that failed may have left a copy */
        op_move_all(shard, 0);
        op_gc();
        op_gc();
    }
    DO(leave(shard));
}

static int release(void)
{
    uint64_t left;

    return release_pass(w.p, 0, &left);
}

void op_release(void)
{
    DO(release());
}

/* ---- sweeps and cycles ---- */

/* Nothing is lost, ever; and without a fault nothing is uncertain but what is young. */
static int sweep(void)
{
    struct ghost_report r = {0};
    int err = sweep_store(w.p, NULL, false, NULL, &r);

    if (err == 0 && !fault_is_cut(&w.fault))
        CHECK(r.lost == 0);
    return err;
}

void op_sweep(void)
{
    DO(sweep());
}

static int cycle(void)
{
    struct gc_result r = {0};
    int err = gc_store_run(w.p, NULL, false, 0, &r);

    gc_result_release(&r);
    return err;
}

void op_gc(void)
{
    DO(cycle());
}
