// SPDX-License-Identifier: Apache-2.0
/*
 * ops_store: operations on namespaces, pins, open files and the store itself, on the model and on
 * the store alike; see ops.c.
 */
#include "model.h"
#include "ns_drop.h"
#include "ns_branch.h"
#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- pins ---- */

static int pin(const struct id *id, bool on)
{
    struct entry e;
    uint64_t number;
    bool pending;
    int err = refs_find(w.p->refs, id, &number, &e, &pending);

    if (err < 0)
        return err;
    err = state_pin(w.p, number, on);
    refs_unhold(w.p->refs, number);
    return err;
}

void op_pin(size_t s, const char *name)
{
    struct id id;

    if (is_off())
        return;
    if (!id_of_file(s, name, &id))
        return;
    DO(pin(&id, true));
    CHECK(w.live.pins < PINS_MAX);
    w.live.pin[w.live.pins++] = (struct mpin){id, bytes_ref(model_get(s, name))};
}

void op_unpin(size_t which)
{
    if (is_off())
        return;
    CHECK(which < w.live.pins);
    DO(pin(&w.live.pin[which].id, false));
    bytes_unref(w.live.pin[which].bytes);
    w.live.pin[which] = w.live.pin[--w.live.pins];
}

/* ---- namespaces ---- */

void op_create_space(size_t s)
{
    struct vfs_attr attr;

    DO(vfs_mknod(w.p, VFS_ROOT, space_names[s], S_IFDIR | 0755, 0, &crash_cred, &attr));
    vfs_forget(w.p, attr.nodeid, 1);
    w.live.space[s] = true;
    w.live.operations++;
}

void op_branch(size_t from, size_t to)
{
    uint64_t seq;
    uint32_t number;

    DO(ns_branch(w.p, space_names[from], space_names[to], &seq, &number));
    w.live.space[to] = true;
    w.live.operations++;
    for (size_t i = 0, n = w.live.files; i < n; i++)
        if (w.live.file[i].space == from) {
            share_versions(from, w.live.file[i].name, to, w.live.file[i].name);
            model_set(to, w.live.file[i].name, bytes_ref(w.live.file[i].bytes));
        }
}

void op_drop(size_t s)
{
    uint32_t open;

    DO(ns_drop(w.p, space_names[s], true, false, false, &open));
    w.live.operations++;
    w.live.space[s] = false;
    for (size_t i = w.live.files; i-- > 0;)
        if (w.live.file[i].space == s)
            model_set(s, w.live.file[i].name, NULL);
}

void op_rename_space(size_t s, size_t to, bool exchange)
{
    DO(ns_rename(w.p, space_names[s], space_names[to], exchange ? RENAME_EXCHANGE : 0));
    w.live.operations++;
    for (size_t i = 0; i < w.live.files; i++) {
        struct mfile *f = &w.live.file[i];
        f->space = f->space == s ? to : f->space == to ? s : f->space;
    }
    w.live.space[s] = exchange;
    w.live.space[to] = true;
}

/* ---- open files ---- */

void op_open(size_t h, size_t s, const char *name)
{
    struct vfs_attr attr;

    if (is_off())
        return;
    CHECK(!w.handle[h] && find(s, name, &attr) == 0);
    CHECK(vfs_open(w.p, attr.nodeid, VFS_WRITE, &w.handle[h]) == 0);
}

static void do_write_open(size_t h, const uint8_t *buf, size_t len, size_t off)
{
    uint8_t *back = malloc(len);

    CHECK(back);
    if (is_off()) {
        free(back);
        return;
    }
    int err = write_all(w.handle[h], buf, len, off);
    bool again;
    if (!done(err, &again) && again)
        err = write_all(w.handle[h], buf, len, off);
    if (!is_off()) {
        CHECK(err == 0 && vfs_read(w.handle[h], back, len, off) == (ssize_t)len);
        CHECK(memcmp(back, buf, len) == 0);
    }
    free(back);
}

void op_write_open(size_t h, size_t off, size_t len, unsigned value)
{
    uint8_t *buf = malloc(len);

    CHECK(buf);
    fill(buf, len, value);
    do_write_open(h, buf, len, off);
    free(buf);
}

void op_close(size_t h)
{
    if (w.handle[h])
        vfs_release(w.handle[h]);
    w.handle[h] = NULL;
}

/* ---- time, memory, faults, flushing ---- */

void op_flush_retry(unsigned n)
{
    atomic_store(&w.p->settings.value[SET_FLUSH_RETRY], n);
    coordinator_set_retry(w.p->flush->coordinator, n);
}

void op_given_up(uint64_t n)
{
    struct coordinator_stats s;

    if (is_off() || w.flush_failures || w.retried)
        return;
    coordinator_get_stats(w.p->flush->coordinator, &s);
    CHECK(s.given_up == n);
}

void op_commit_full(void)
{
    w.full = true;
}

/* Memory is short, so that any operation may commit first what was done before it. */
void op_short_of_memory(void)
{
    atomic_store(&w.p->settings.value[SET_BUFFERS], 40 * 1024);
    atomic_store(&w.p->settings.value[SET_PACK_LIMIT], 8 * 1024);
}

void op_advance(int64_t ms)
{
    clock_manual_advance(&w.clock, ms * NSEC_PER_MSEC);
}

/* A plain fault does not stop the work: what is done after a flush that failed must be in the next
 * one that does not, which every second time is the last thing the store does. */
void flushed(int err)
{
    bool again, full = w.was_full;

    if (done(err, &again)) {
        acknowledged();
        w.stopped = w.flush_failures && w.fault.fail_at % 2;
    } else if (again && full) {
        w.was_full = false; /* the workload knows */
    } else if (again) {
        w.flush_failures++;
        CHECK(w.flush_failures < 4); /* neither well nor read-only: it would go on for ever */
    }
}

void op_flush(void)
{
    if (is_off())
        return;
    note_attempt();
    flushed(flush_now(w.p));
}

void op_sync(void)
{
    if (is_off())
        return;
    note_attempt();
    flushed(flush_sync(w.p));
}

void op_begin_flush(void)
{
    struct flush_ask ask = {SEAL_READY, NULL};
    struct coordinator_stats s;
    struct ticket *t = NULL;
    bool again;
    int err;

    if (is_off())
        return;
    note_attempt();
    coordinator_get_stats(w.p->flush->coordinator, &s);
    if (s.used >= s.permits || s.pending >= COORDINATOR_MAX)
        return; /* as many as there may be: it would wait for this thread */
    err = coordinator_flush(w.p->flush->coordinator, &ask, false, &t);
    if (err == 0)
        ticket_unref(t);
    else if (!done(err, &again) && again)
        w.flush_failures++;
}

void op_drain(bool idle)
{
    if (is_off())
        return;
    note_attempt();
    flushed(flush_drain(w.p, idle, -1, NULL));
}

/* It commits as a flush does, and nobody sees a difference. */
void op_compact(uint64_t packs)
{
    struct compact_result r;

    if (is_off())
        return;
    note_attempt();
    flushed(compact_store(w.p, NULL, 50, true, &r));
    if (!is_off() && !w.flush_failures && !w.retried && now_at.compression == COMPRESSION_OFF)
        CHECK(r.packs >= packs); /* else they are fewer */
}

static int drop_some(unsigned budget)
{
    unsigned n;
    READ_GUARD(&w.p->freeze_lock);

    return drops_step(w.p->drops, budget, &n);
}

void op_drop_steps(unsigned budget)
{
    DO(drop_some(budget));
}

/* ---- damage ---- */

void op_damage(size_t s, const char *name)
{
    char file[DISK_NAME_MAX + 1];
    struct entry e;
    uint64_t number;
    bool pending;
    struct id id;

    if (is_off())
        return;
    if (!id_of_file(s, name, &id))
        return;
    CHECK(refs_find(w.p->refs, &id, &number, &e, &pending) == 0);
    refs_unhold(w.p->refs, number);
    w.rotten = bytes_ref(model_get(s, name));
    if (e.kind == ENTRY_PACK) {
        pack_name(e.where, file);
        world_flip(file, e.offset + 40 + e.size / 2, 3);
    } else {
        blob_object_name(&e.id, e.where, file);
        world_flip(file, e.size / 2, 3);
    }
}
