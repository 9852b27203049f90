// SPDX-License-Identifier: Apache-2.0
/*
 * mem_loss: the changes of a disk in memory that were not synced, and what a loss of power does to
 * them. Each change is kept, lost or torn, as the fault says. Then the visible side becomes a copy
 * of the durable one.
 */
#include "disk_mem_impl.h"

#include <stdio.h>
#include <string.h>

#define SECTOR 512

/* What was done to a change. Each way to tear one has a number of its own above FATE_TORN. */
enum { FATE_LOST = 1, FATE_KEPT, FATE_TORN };

/* ---- changes of a file ---- */

struct change *mem_change_add(struct inode *n, enum change_kind kind, uint64_t off, uint64_t len)
{
    size_t room = kind == CHANGE_WRITE || kind == CHANGE_MAPPED ? (size_t)len : 0;
    struct change *c = mem_must(malloc(sizeof *c + room));

    c->kind = kind;
    c->off = off;
    c->len = len;
    STAILQ_INSERT_TAIL(&n->changes, c, next);
    return c;
}

void mem_change_apply(const struct change *c, struct bytes *b)
{
    switch (c->kind) {
    case CHANGE_WRITE:
    case CHANGE_MAPPED:
        mem_bytes_write(b, c->data, c->len, c->off);
        break;
    case CHANGE_ALLOCATE:
        mem_bytes_allocate(b, c->off);
        break;
    case CHANGE_TRUNCATE:
        mem_bytes_truncate(b, c->off);
        break;
    case CHANGE_PUNCH:
        mem_bytes_punch(b, c->off, c->len);
        break;
    }
}

/* Applies a torn write: only the sectors before or after a random one arrive. Returns what
 * arrived. */
static uint64_t change_apply_torn(const struct change *c, struct bytes *b, uint64_t *state)
{
    uint64_t sectors = (c->off % SECTOR + c->len) / SECTOR;
    uint64_t cut = (fault_random(state) % (sectors + 1)) * SECTOR;
    uint64_t before = cut > c->off % SECTOR ? cut - c->off % SECTOR : 0;
    bool first = fault_random(state) & 1;

    before = before < c->len ? before : c->len;
    if (first)
        mem_bytes_write(b, c->data, before, c->off);
    else if (before < c->len)
        mem_bytes_write(b, c->data + before, c->len - before, c->off + before);
    if (before == 0 || before == c->len)
        return first == (before != 0) ? FATE_KEPT : FATE_LOST;
    return FATE_TORN + before * 2 + first;
}

/* Adds a fate to a hash. */
static uint64_t report_loss(uint64_t told, uint64_t what)
{
    told = (told ^ what) * UINT64_C(0x9e3779b97f4a7c15);
    return told ^ told >> 29;
}

/* Applies any of the sectors of a change in a mapping: the kernel writes pages of a mapping back
 * when it likes. Returns what arrived. */
static uint64_t change_apply_sectors(const struct change *c, struct bytes *b, uint64_t *state)
{
    uint64_t told = 0, kept = 0, sectors = 0;

    for (uint64_t done = 0, n; done < c->len; done += n, sectors++) {
        bool arrives = fault_random(state) & 1;
        n = SECTOR - (c->off + done) % SECTOR;
        n = n < c->len - done ? n : c->len - done;
        if (arrives)
            mem_bytes_write(b, c->data + done, n, c->off + done);
        kept += arrives;
        told = report_loss(told, arrives);
    }
    return kept == 0 ? FATE_LOST : kept == sectors ? FATE_KEPT : FATE_TORN + (told >> 1);
}

/* FAULT_LOSE_SOME: the change is lost, torn or kept. Returns which. */
static uint64_t change_survive_some(const struct change *c, struct bytes *b, uint64_t *state)
{
    uint64_t luck = fault_random(state) % 3;

    if (luck == 1 && c->kind == CHANGE_MAPPED)
        return change_apply_sectors(c, b, state);
    if (luck == 0)
        return FATE_LOST;
    if (luck == 1 && c->kind == CHANGE_WRITE)
        return change_apply_torn(c, b, state);
    mem_change_apply(c, b);
    return FATE_KEPT;
}

/* What happens to the next change: FAULT_KEEP_ALL, FAULT_LOSE_ALL, or FAULT_LOSE_SOME for that
 * change alone. */
static enum fault_loss next_fate(struct fates *f)
{
    bool one = f->loss == FAULT_LOSE_ONE || f->loss == FAULT_KEEP_ONE;
    bool chosen = one && f->chosen-- == 0;

    if (!one)
        return f->loss;
    if (chosen && (fault_random(&f->state) & 1))
        return FAULT_LOSE_SOME;
    return chosen == (f->loss == FAULT_LOSE_ONE) ? FAULT_LOSE_ALL : FAULT_KEEP_ALL;
}

/* Decides about one change, applies it as far as it survives, and adds its fate to the hash. */
static void change_settle(const struct change *c, struct bytes *b, struct fates *f)
{
    enum fault_loss loss = next_fate(f);
    uint64_t fate = loss == FAULT_LOSE_ALL ? FATE_LOST : FATE_KEPT;

    if (loss == FAULT_LOSE_SOME)
        fate = change_survive_some(c, b, &f->state);
    else if (loss == FAULT_KEEP_ALL)
        mem_change_apply(c, b);
    f->told = report_loss(f->told, fate);
}

/* Applies the changes to the durable bytes, as the fates decide, and frees them. */
void mem_changes_settle(struct inode *n, struct fates *f)
{
    struct change *c;

    while ((c = STAILQ_FIRST(&n->changes))) {
        STAILQ_REMOVE_HEAD(&n->changes, next);
        change_settle(c, &n->durable, f);
        free(c);
    }
}

/* ---- names ---- */

struct entry *mem_names_find(const struct names *t, const char *name)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->entry[i].name[0] == *name && strcmp(t->entry[i].name, name) == 0)
            return &t->entry[i];
    return NULL;
}

/* Sets a name, new or not, in a table of names. */
static void mem_names_set(struct names *t, const char *name, struct inode *n)
{
    struct entry *e = mem_names_find(t, name);

    if (!e) {
        if (t->count == t->room) {
            t->room = t->room ? t->room * 2 : 8;
            t->entry = mem_must(realloc(t->entry, t->room * sizeof *t->entry));
        }
        e = &t->entry[t->count++];
        snprintf(e->name, sizeof e->name, "%s", name);
    }
    e->inode = n;
}

static void mem_names_remove(struct names *t, const char *name)
{
    struct entry *e = mem_names_find(t, name);

    if (e)
        *e = t->entry[--t->count];
}

void mem_names_copy(struct names *to, const struct names *from)
{
    to->count = 0;
    for (size_t i = 0; i < from->count; i++)
        mem_names_set(to, from->entry[i].name, from->entry[i].inode);
}

void mem_name_change_apply(const struct name_change *c, struct names *t)
{
    if (*c->remove)
        mem_names_remove(t, c->remove);
    if (*c->set)
        mem_names_set(t, c->set, c->inode);
}

void mem_name_changes_settle(struct inode *dir, struct fates *f)
{
    struct name_change *c;

    while ((c = STAILQ_FIRST(&dir->name_changes))) {
        STAILQ_REMOVE_HEAD(&dir->name_changes, next);
        enum fault_loss loss = next_fate(f);
        bool kept =
            loss == FAULT_KEEP_ALL || (loss == FAULT_LOSE_SOME && (fault_random(&f->state) & 1));

        if (kept)
            mem_name_change_apply(c, &dir->durable_names);
        f->told = report_loss(f->told, kept ? FATE_KEPT : FATE_LOST);
        free(c);
    }
}

/* ---- loss of power ---- */

/* How many changes a power cycle may lose. */
static uint64_t count_changes(const struct mem_disk *d)
{
    const struct name_change *name;
    const struct change *c;
    const struct inode *n;
    uint64_t count = 0;

    LIST_FOREACH(n, &d->inodes, all)
    {
        STAILQ_FOREACH(c, &n->changes, next)
        count++;
        STAILQ_FOREACH(name, &n->name_changes, next)
        count++;
    }
    return count;
}

/* Decides about all changes of the disk, by the seed and the number of the cycle. */
static void settle_all(struct mem_disk *d)
{
    struct fates f = {
        .loss = d->fault ? d->fault->loss : FAULT_LOSE_ALL,
        .state = (d->fault ? d->fault->seed : 0) ^ ++d->cycles * UINT64_C(0x9e3779b97f4a7c15),
    };
    uint64_t count = count_changes(d);
    struct inode *n;

    if (f.state == 0)
        f.state = 1;
    if (f.loss != FAULT_KEEP_ALL)
        d->lives++;
    f.chosen = UINT64_MAX;
    if (count && (f.loss == FAULT_LOSE_ONE || f.loss == FAULT_KEEP_ONE))
        f.chosen = fault_random(&f.state) % count;
    LIST_FOREACH(n, &d->inodes, all)
    {
        if (n->opens)
            abort(); /* disk_mem.h: all files must be closed */
        f.told = n->number;
        mem_changes_settle(n, &f);
        mem_name_changes_settle(n, &f);
        n->lost = f.told;
        n->reachable = false;
        n->links = 0;
    }
}

/* Makes the visible side of an inode, and of all below it, a copy of the durable one. The depth of
 * the recursion is bounded, since names have at most DISK_NAME_MAX bytes. */
static void restore(struct mem_disk *d, struct inode *n)
{
    if (n->reachable)
        return;
    n->reachable = true;
    n->write_failed = false;
    mem_bytes_copy(&n->visible, &n->durable);
    d->used += mem_bytes_held(&n->visible);
    mem_names_copy(&n->visible_names, &n->durable_names);
    for (size_t i = 0; i < n->visible_names.count; i++) {
        n->visible_names.entry[i].inode->links++;
        restore(d, n->visible_names.entry[i].inode);
    }
}

void disk_mem_power_cycle(struct disk *base)
{
    struct mem_disk *d = mem_disk_of(base);
    struct inode *n, *next;

    MUTEX_GUARD(&d->lock);
    settle_all(d);
    d->used = 0;
    d->lost = 0;
    restore(d, d->root);
    for (n = LIST_FIRST(&d->inodes); n; n = next) {
        next = LIST_NEXT(n, all);
        if (n->reachable)
            d->lost = report_loss(d->lost, n->lost);
        else
            mem_inode_destroy(n);
    }
}
