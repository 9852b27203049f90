// SPDX-License-Identifier: Apache-2.0
/*
 * seal: unsealed contents become objects. A pass picks what may be sealed, marks it (from then on a
 * writer makes a new content instead of changing it) and hands it to the workers. A
 * content that equals an object which is not synced yet is put off (-EAGAIN): the round ends with a
 * sync of the objects, and the next round tries the content again.
 *
 * A buffer is sealed with the freeze lock held for reading, since it changes the tables that a
 * flush freezes. A slot is hashed without the freeze lock, which may take long, and only placed
 * with it.
 */
#include "compression.h"
#include "yield_cpu.h"
#include "flush_impl.h"
#include "io.h"
#include "state.h"
#include "report.h"
#include "thread.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define TURN_LOOK (50 * NSEC_PER_MSEC) /* how often a thread that waits for its turn looks at the
                                        * time */
#define BATCH 1024      /* contents that are given to the workers at once */
#define FIXED_ROUNDS 3u /* after two syncs nothing that was put off waits for another one */
/* How soon a slot that failed is tried again: it may be long, and each attempt reads all of it. */
#define STUCK_RETRY (10 * NSEC_PER_SEC)
/* A buffer is made a slot only while there are fewer slots than this, or than half of the limit of
 * open files if that is more. */
#define SLOTS_LEAST 512u

/* One pass. */
struct pass {
    struct state *p;
    enum seal_what what;
    bool freeze_lock_held; /* the caller holds it for writing */
    bool all;       /* slots that failed lately are tried again, too */
    /* a frozen tree names the contents: no writer changes them, also those of open files */
    bool fixed;
    int64_t begun;  /* monotonic ns: what was changed later is left to the next pass */
    _Atomic size_t put_off, failed, sealed;
    _Atomic int full;      /* error of the store's full disk, or 0: no commit can be made then */
    _Atomic int one_error; /* error of a content that failed alone, or 0: the pass goes on */
};

/* The sealing of one content. */
struct task {
    struct pass *pass;
    struct content *c;
    enum content_state was; /* its state before it was marked */
};

/* May a pass of this kind seal the content? What changes while it runs is left to the next one:
 * otherwise it might never end beside a busy writer. Whether its file is open is looked at in mark,
 * not here. Needs contents. */
static bool wanted(struct state *p, struct content *c, void *ctx)
{
    const struct pass *pass = ctx;

    if (!content_is_open(c) || c->changing || c->changed > pass->begun ||
        atomic_load(&p->contents.barred))
        return false;
    if (!c->slot)
        return pass->what != SEAL_NEW || c->seal_error == 0 || c->changed > c->tried;
    if (pass->what <= SEAL_BUFFERS ||
        (c->seal_error && !pass->all && ticks(p) - c->tried < STUCK_RETRY))
        return false;
    return pass->what == SEAL_CLOSED ||
           ticks(p) - c->changed >= settings_get(&p->settings, SET_SEAL_DELAY);
}

/* Does the content have a slot? */
static bool is_slot(struct state *p, const struct content *c)
{
    MUTEX_GUARD(&p->contents.lock);
    return c->slot;
}

/* Begins the sealing of a content, so that no writer begins a change of it. False: it must not be
 * sealed now: its file is open for writing and it has a slot, or it is being changed, or it got its
 * slot during this call. *ret_was: its state before. */
static bool mark(const struct pass *pass, struct content *c, enum content_state *ret_was)
{
    struct state *p = pass->p;
    bool slot = is_slot(p, c);

    if (slot && !pass->fixed && c->owner && vnode_is_open(p, c->owner, true))
        return false;
    MUTEX_GUARD(&p->contents.lock);
    if (!content_is_open(c) || c->changing || slot != !!c->slot ||
        atomic_load(&p->contents.barred))
        return false;
    *ret_was = c->state;
    content_set_state(p, c, CONTENT_SEALING);
    return true;
}

/* Sealing failed: writers may change the content again. A buffer may have got a slot meanwhile, and
 * a content that left the table meanwhile stays as it is. */
static void unmark(struct state *p, struct content *c, enum content_state was)
{
    MUTEX_GUARD(&p->contents.lock);
    if (content_is_listed(c))
        content_set_state(p, c, c->slot ? CONTENT_SLOT : was);
}

/* The key of the item that first named the content, in the inode that its owner is now. */
static struct key owner_key(const struct content *c, uint64_t ino)
{
    if (c->owner_off == CONTENT_WHOLE)
        return key_make(ino, ITEM_INODE, 0);
    if (c->owner_off & CONTENT_XATTR)
        return key_make(ino, ITEM_XATTR, c->owner_off & ~CONTENT_XATTR);
    if (c->owner_off & CONTENT_SUBBLOCK)
        return key_make(ino, ITEM_SUBBLOCK, c->owner_off & ~CONTENT_SUBBLOCK);
    return key_make(ino, ITEM_EXTENT, c->owner_off);
}

/* The content's number became an alias of the object `target`. The item that names the alias is
 * changed to name the object itself, unless that would copy a page. */
static void rename_item(struct state *p, const struct content *c, uint64_t target)
{
    uint8_t buf[PAGE_VALUE_MAX];
    struct ns *ns;
    size_t len;

    if (!c->owner || ns_get(p, vfs_node_ns(c->owner), &ns) < 0)
        return;
    {
        WRITE_GUARD(&ns->lock);
        const struct key k = owner_key(c, ns_ino_of(ns, c->owner));

        if (ns->live && tree_get(&ns->tree, k, buf, sizeof buf, &len) == 0 &&
            item_object(k, buf, len) == c->number) {
            item_set_object(k, buf, len, target);
            /* This fails if a branch shares the page: then the item goes on naming the alias. */
            if (tree_put_owned(&ns->tree, k, buf, len) == 0)
                ns->dirty = true;
        }
    }
    ns_put(p, ns);
}

/* The content is the object `target` now: its slot is not needed any more. */
static void sealed(struct state *p, struct content *c, uint64_t target)
{
    if (c->slot) {
        /* If memory is short, the slot's file stays until the next start. */
        (void)refs_reclaim_slot(p->refs, c->number);
        MUTEX_GUARD(&p->contents.lock);
        content_slot_clean(p, c); /* objects_seal_blob has synced the slot */
    }
    if (target != c->number)
        rename_item(p, c, target);
    content_unlist(p, c, CONTENT_SEALED);
}

/* Deletes the sums of a slot whose number was collected while it was being sealed. The sync of the
 * slot may have written them after the slot was deleted, and they would stay until the next start.
 * A slot that a commit still names is sound without sums, too. */
static void forget_sums(struct state *p, const struct content *c)
{
    if (c->slot)
        (void)blob_unlink_slot_sums(p->config.disk, c->number);
}

/* Who holds the freeze lock for writing holds up everybody: it compresses later. */
static enum compress_how how_to_store(const struct pass *pass, const struct content *c)
{
    enum compress_how how = compression_to_seal(pass->p, c->owner);

    return pass->freeze_lock_held && how == COMPRESS_WRITE ? COMPRESS_LATER : how;
}

/* Makes the content an object, under its number. `id`: the hash of a slot; unused for a buffer.
 * -EAGAIN: it equals an object that is not synced yet. Needs the freeze lock. */
static int place(struct pass *pass, struct content *c, const struct id *id,
                 const struct objects_seen *seen)
{
    struct state *p = pass->p;
    struct entry e;
    uint64_t target;
    int err = refs_entry(p->refs, c->number, false, NULL, &e);

    if (err == 0)
        err = c->slot
                  ? objects_seal_blob(p->objects, c->number, c->slot->blob, id, seen, &target)
                  : objects_seal_buffer(p->objects, c->number, c->data, (uint32_t)c->len,
                                        how_to_store(pass, c), seen, &target);
    if (err == 0)
        sealed(p, c, target);
    /* The number was collected while the content waited, or while it was being placed. */
    if (err == -ENOENT && refs_entry(p->refs, c->number, false, NULL, &e) == -ENOENT) {
        forget_sums(p, c);
        content_unlist(p, c, CONTENT_GONE);
        return 0;
    }
    return err;
}

/* Hashes and syncs a slot without the freeze lock, then places it with that lock held. */
static int seal_slot(struct pass *pass, struct content *c)
{
    struct state *p = pass->p;
    struct blob *b = c->slot->blob;
    struct objects_seen seen;
    struct id id;
    MUTEX_GUARD(&c->slot->sync); /* a flush may be syncing the slot */
    int err = objects_hash_blob(p->objects, b, &id);

    /* Placing the slot syncs it. Most of it is synced here, where no branch waits for the lock. */
    if (err == 0)
        err = blob_sync_slot(b);
    if (err < 0)
        return err;
    objects_look_blob(p->objects, b, &id, &seen);
    READ_GUARD(&p->freeze_lock);
    err = place(pass, c, &id, &seen);
    if (err < 0 && seen.ahead > 0)
        blob_unseal(b); /* it may be written again */
    return err;
}

/* Seal one content. Equal objects are looked for without the freeze lock where that is possible. */
static int seal_content(struct pass *pass, struct content *c)
{
    static const struct id none;
    struct objects_seen seen;

    if (c->slot)
        return seal_slot(pass, c);
    if (pass->freeze_lock_held)
        return place(pass, c, &none, NULL);
    objects_look_buffer(pass->p->objects, c->data, (uint32_t)c->len, &seen);
    READ_GUARD(&pass->p->freeze_lock);
    return place(pass, c, &none, &seen);
}

/* At this number of slots make_slot makes no more of them. */
static size_t slots_most(void)
{
    struct rlimit limit;
    size_t most = getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (size_t)limit.rlim_cur / 2 : 0;

    return most > SLOTS_LEAST ? most : SLOTS_LEAST;
}

/* A buffer that could not be sealed because of `err` becomes a slot, which a commit can name.
 * Returns an error if it stays a buffer: the disk is full; there are too many slots, each of which
 * is an open file; or the slot could not be made. */
static int make_slot(struct pass *pass, struct content *c, int err)
{
    struct state *p = pass->p;

    if (io_is_full(err) || atomic_load(&p->contents.slots) >= slots_most())
        return err;
    if (pass->freeze_lock_held)
        return content_spill(p, c);
    READ_GUARD(&p->freeze_lock);
    return content_spill(p, c);
}

/* Notes that the content could not be sealed: it stays a slot, or a buffer whose bytes a commit
 * keeps. `tell`: report it as a warning, too. */
static void stays(struct pass *pass, struct content *c, int err, bool tell)
{
    const char *what = c->slot ? "slot" : "content";

    atomic_store(&pass->one_error, err);
    blame_note(pass->p, BLAME_SLOT, err, c->number, "%s %llu cannot be sealed", what,
               (unsigned long long)c->number);
    if (tell)
        report(REPORT_WARN, "%s %llu cannot be sealed (%s): %s tried again", what,
               (unsigned long long)c->number, strerror(-err),
               c->slot ? "it stays as it is, and is" : "the metadata keeps its bytes, and it is");
}

/* Does that error of a buffer mean that there is no room for a commit either? In a pool it means
 * the disk of the pool, and commits are on the disk of the store. */
static bool no_room_for_commits(struct state *p, int err)
{
    return io_is_full(err) && !p->shared;
}

/* Notes that the store's disk is full, so that the pass fails with `err`. */
static void holds_all(struct pass *pass, struct content *c, int err)
{
    blame_note(pass->p, BLAME_FLUSH, err, c->number, "content %llu cannot be sealed",
               (unsigned long long)c->number);
    atomic_store(&pass->full, err);
}

/* A content could not be sealed: notes the error, and makes its buffer a slot if that can be done.
 * A slot whose sync failed turns the store read-only: what is on disk of it is unknown. */
static void failed(struct pass *pass, struct content *c, int err)
{
    bool slot = c->slot || make_slot(pass, c, err) == 0, again = stuck_note(pass->p, c, err);

    atomic_fetch_add(&pass->failed, 1);
    if (!slot && no_room_for_commits(pass->p, err))
        holds_all(pass, c, err);
    else if (slot && blob_is_suspect(c->slot->blob))
        state_turn_readonly(pass->p, "syncing a slot", err);
    else
        stays(pass, c, err, !again && !io_is_passing(err));
}

/* Seals one content; runs on a worker, or in the thread of the pass. */
static int run_task(void *arg)
{
    struct task *t = arg;
    int err;

    yield_cpu();
    err = seal_content(t->pass, t->c);

    if (err == 0) {
        atomic_fetch_add(&t->pass->sealed, 1);
    } else {
        if (err == -EAGAIN)
            atomic_fetch_add(&t->pass->put_off, 1);
        else
            failed(t->pass, t->c, err);
        unmark(t->pass->p, t->c, t->was);
    }
    content_unref(t->c);
    return 0;
}

/* Seals what was picked, and waits for that. */
static void seal_picked(struct pass *pass, struct task *tasks, struct content **picked, size_t n)
{
    struct workers_group group;
    size_t todo = 0;

    for (size_t i = 0; i < n; i++) {
        tasks[todo] = (struct task){.pass = pass, .c = picked[i]};
        if (mark(pass, picked[i], &tasks[todo].was))
            todo++;
        else
            content_unref(picked[i]);
    }
    workers_group_init(&group);
    for (size_t i = 0; i < todo; i++) {
        if (pass->freeze_lock_held ||
            workers_submit(pass->p->workers, &group, run_task, &tasks[i]) < 0)
            (void)run_task(&tasks[i]);
    }
    (void)workers_group_wait(&group);
}

/* Seals up to BATCH contents, from the place *at of the table on. */
static void seal_some(struct pass *pass, struct task *tasks, struct content **picked, size_t *at)
{
    struct state *p = pass->p;
    size_t from = *at, before = atomic_load(&pass->sealed);
    size_t n = contents_pick_next(p, wanted, pass, picked, BATCH, at);

    seal_picked(pass, tasks, picked, n);
    /* BATCH of one bucket, none of which can be sealed now: those behind them in it have to wait */
    if (n == BATCH && *at == from && atomic_load(&pass->sealed) == before)
        ++*at;
}

/* Has a view that began at `since` waited as long as the setting view_wait allows? */
static bool view_is_late(struct state *p, int64_t since)
{
    return since >= 0 && ticks(p) - since >= settings_get(&p->settings, SET_VIEW_WAIT);
}

/* One round of a pass: seals all contents of the table that it may, unless the disk is full, and
 * syncs the objects if some were put off. But nobody waits for a shard with the freeze lock held:
 * what was put off then stays for the next pass, and the commit keeps its bytes. */
static int round_once(struct pass *pass, struct task *tasks, struct content **picked, int64_t since)
{
    size_t at = 0;
    int err;

    atomic_store(&pass->put_off, 0);
    atomic_store(&pass->failed, 0);
    atomic_store(&pass->sealed, 0);
    do
        seal_some(pass, tasks, picked, &at);
    while (at < CONTENT_BUCKETS && !atomic_load(&pass->full) && !view_is_late(pass->p, since));
    if (atomic_load(&pass->put_off) == 0 ||
        (pass->freeze_lock_held && disk_is_whole(pass->p->config.disk)))
        return 0;
    err = objects_sync(pass->p->objects);
    if (objects_sync_is_lost(pass->p->objects, err))
        state_turn_readonly(pass->p, "writing objects to disk", err);
    return err;
}

/* Rounds until no content is left, until no content gets sealed any more, or until the view has
 * waited long enough. */
static int rounds(struct pass *pass, int64_t since)
{
    struct task *tasks = calloc(BATCH, sizeof *tasks);
    struct content **picked = calloc(BATCH, sizeof(struct content *));
    unsigned idle = 0;
    int err = tasks && picked ? 0 : -ENOMEM;

    while (err == 0) {
        err = round_once(pass, tasks, picked, since);
        if (!atomic_load(&pass->put_off) && !atomic_load(&pass->failed) &&
            !atomic_load(&pass->sealed))
            break;
        idle = atomic_load(&pass->sealed) ? 0 : idle + 1;
        if (idle >= 2 || (atomic_load(&pass->failed) && idle))
            break;
        if (view_is_late(pass->p, since))
            break;
    }
    free(tasks);
    free(picked);
    return err < 0 ? err : atomic_load(&pass->full);
}

/* Seals those of the numbers that are not sealed. */
static void seal_numbers(struct pass *pass, struct task *tasks, struct content **picked,
                         const uint64_t *numbers, size_t count)
{
    size_t n = 0;

    for (size_t i = 0; i < count; i++) {
        picked[n] = content_find(pass->p, numbers[i]);
        n += picked[n] != NULL;
        if (n == BATCH || i + 1 == count) {
            seal_picked(pass, tasks, picked, n);
            n = 0;
        }
    }
}

int seal_fixed(struct state *p, const uint64_t *numbers, size_t count)
{
    struct pass pass = {.p = p, .what = SEAL_CLOSED, .all = true, .fixed = true};
    struct task *tasks = calloc(BATCH, sizeof *tasks);
    struct content **picked = calloc(BATCH, sizeof(struct content *));
    int err = tasks && picked ? 0 : -ENOMEM;
    MUTEX_GUARD(&p->flush->seal);

    for (unsigned i = 0; i < FIXED_ROUNDS && err == 0; i++) {
        atomic_store(&pass.put_off, 0);
        atomic_store(&pass.failed, 0);
        seal_numbers(&pass, tasks, picked, numbers, count);
        err = atomic_load(&pass.full);
        if (err < 0 || !atomic_load(&pass.put_off))
            break;
        err = objects_sync(p->objects);
        if (objects_sync_is_lost(p->objects, err))
            state_turn_readonly(p, "writing objects to disk", err);
    }
    free(tasks);
    free(picked);
    if (err == 0 && atomic_load(&pass.failed))
        err = atomic_load(&pass.one_error);
    return err == 0 && atomic_load(&pass.put_off) ? -EAGAIN : err;
}

/* Takes the lock "seal". False: the view has waited long enough, and the lock is not held. */
static bool take_turn(struct state *p, int64_t since)
{
    if (since < 0) {
        mutex_lock(&p->flush->seal);
        return true;
    }
    while (!mutex_lock_for(&p->flush->seal, TURN_LOOK))
        if (view_is_late(p, since))
            return false;
    return true;
}

int seal_pass(struct state *p, enum seal_what what, int64_t since)
{
    struct pass pass = {.p = p, .what = what, .all = what == SEAL_CLOSED && since < 0};
    int err;

    if (!take_turn(p, since))
        return 0;
    pass.begun = ticks(p);
    err = rounds(&pass, since);
    if (pass.all)
        p->flush->slot_error = atomic_load(&pass.one_error);
    if (pass.all && err == 0 && p->flush->slot_error == 0 && stuck_count(p) == 0)
        blame_clear(p, BLAME_SLOT);
    mutex_unlock(&p->flush->seal);
    return err;
}

int seal_again(struct state *p)
{
    struct pass pass = {.p = p, .what = SEAL_NEW, .begun = ticks(p)};

    mutex_held(&p->flush->seal);
    return rounds(&pass, -1);
}

int seal_rest(struct state *p)
{
    struct pass pass = {.p = p, .what = SEAL_NEW, .freeze_lock_held = true, .begun = INT64_MAX};

    rwlock_held_write(&p->freeze_lock);
    mutex_held(&p->flush->seal);
    return rounds(&pass, -1);
}

size_t seal_waiting(struct state *p)
{
    return atomic_load(&p->contents.count);
}

/* Seals for views until none has asked since the last pass began. */
static void *seal_for_views(void *arg)
{
    struct state *p = arg;
    struct flusher *f = p->flush;
    uint64_t asked;

    mutex_lock(&f->lock);
    while (f->views_served < (asked = f->views_asked) && !f->stop) {
        mutex_unlock(&f->lock);
        (void)seal_pass(p, SEAL_CLOSED, ticks(p)); /* the flush reports a failure */
        mutex_lock(&f->lock);
        f->views_served = asked;
        cond_broadcast(&f->done);
    }
    f->seals_for_views = false;
    cond_broadcast(&f->done); /* then only the unlock: flush_stop_threads waits for it */
    mutex_unlock(&f->lock);
    return NULL;
}

/* Begins the thread that seals for views. False: there can be none. Needs flush.lock. */
static bool start_sealer(struct state *p)
{
    if (!p->flush->seals_for_views)
        p->flush->seals_for_views = thread_start(NULL, seal_for_views, p) == 0;
    return p->flush->seals_for_views;
}

/* Has the views' thread make a pass that begins now, and waits for it. False: there can be no such
 * thread. */
static bool seal_elsewhere(struct state *p, int64_t since)
{
    struct flusher *f = p->flush;
    uint64_t ask;
    MUTEX_GUARD(&f->lock);

    ask = ++f->views_asked;
    if (f->stop)
        return true;
    if (!start_sealer(p))
        return false;
    while (f->views_served < ask && f->seals_for_views && !view_is_late(p, since))
        (void)cond_wait_for(&f->done, &f->lock, TURN_LOOK);
    return true;
}

void seal_for_view(struct state *p)
{
    int64_t since = ticks(p);

    if (!p->flush->threads_running || !seal_elsewhere(p, since))
        (void)seal_pass(p, SEAL_CLOSED, since); /* the flush reports a failure */
}

size_t seal_settle(struct state *p)
{
    size_t waiting = seal_waiting(p);

    if (waiting == 0)
        return 0;
    if (state_writable(p) == 0)
        seal_for_view(p);
    return seal_waiting(p);
}
