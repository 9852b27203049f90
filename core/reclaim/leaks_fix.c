// SPDX-License-Identifier: Apache-2.0
/*
 * leaks_fix: asks whether one leak is needed after all, and removes it. Both the changes since the
 * last commit and that commit are asked, because bytes that a commit names must stay until a commit
 * that does not name them is durable. For a leak on another shard the search has proved already
 * that nothing needs it; asking again is a second safeguard.
 *
 * Right before a deletion on a shard, the shard is asked again whether it is the right one: two
 * shards of a store may have equal names, and disks may be swapped.
 */
#include "flush.h"
#include "leaks_impl.h"
#include "move.h"
#include "shards.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>

/* ---- asking ---- */

/* Reads a row of the last commit. 1, 0 or -errno. -EUCLEAN: it is damaged, so whether the leak is
 * needed cannot be decided. */
static int committed_row(struct state *p, unsigned table, const void *key, size_t klen, void *buf,
                         size_t cap, size_t *ret_len)
{
    int err = kv_get(p->config.kv, table, key, klen, buf, cap, ret_len);

    return err == -ENOENT ? 0 : err == -ERANGE ? -EUCLEAN : err < 0 ? err : 1;
}

/* Reads the entry under that number in the last commit (`ret` may be NULL). 1, 0 or -errno. */
static int committed(struct state *p, unsigned table, uint64_t number, struct entry *ret)
{
    uint8_t key[8], buf[ENTRY_MAX];
    size_t len;
    int found;

    put_be64(key, number);
    found = committed_row(p, table, key, sizeof key, buf, sizeof buf, &len);
    if (!ret)
        return found == -EUCLEAN ? 1 : found;
    return found <= 0 ? found : entry_decode(buf, len, ret) < 0 ? -EUCLEAN : 1;
}

/* Has the number unsealed bytes in memory? */
static bool has_content(struct state *p, uint64_t number)
{
    struct content *c = content_find(p, number);

    content_unref(c);
    return c;
}

/* Are bytes of this number on their way: from a slot to an object, home from a shard, to the dying,
 * or being deleted? 1 or 0. */
static int is_moving(struct state *p, uint64_t number)
{
    if (number >= move_in_flight(p, 0))
        return 1;
    return has_content(p, number) ? 1 : refs_is_dying(p->refs, number);
}

/* Does the entry of the leak's id name this file? A healed object keeps its number, and its file
 * has another one. */
static int committed_by_id(struct state *p, const struct leak *l)
{
    uint8_t buf[8];
    struct entry e;
    size_t len;
    int found = committed_row(p, TABLE_IDS, l->id.b, ID_LEN, buf, sizeof buf, &len);

    if (found <= 0 || len != 8)
        return found <= 0 ? found : -EUCLEAN;
    found = get_be64(buf) ? committed(p, TABLE_OBJECTS, get_be64(buf), &e) : 0;
    return found <= 0 ? found
                      : e.kind == ENTRY_FILE && e.shard == leak_shard(&l->key) &&
                            e.where == leak_number(&l->key);
}

/* Does something with the number of a file at home need the file? A file has the number that its
 * object had as a slot. */
static int number_is_needed(struct state *p, uint64_t number)
{
    struct entry e;
    int needed = is_moving(p, number);

    if (needed)
        return needed;
    needed = committed(p, TABLE_OBJECTS, number, &e);
    /* An alias, a record of a pack, and an object on another shard or elsewhere have no file of
     * their own. */
    if (needed > 0)
        needed = e.kind != ENTRY_ALIAS && e.kind != ENTRY_PACK && e.kind != ENTRY_ABSENT &&
                 !entry_is_ghost(&e);
    return needed ? needed : committed(p, TABLE_DYING, number, NULL);
}

/* Is a file of an object needed, by its number or by its id? */
static int file_is_needed(struct state *p, const struct leak *l)
{
    uint64_t number = leak_number(&l->key);
    uint16_t shard = leak_shard(&l->key);
    int needed = shard ? 0 : number_is_needed(p, number);

    if (needed == 0)
        needed = objects_is_named(p->objects, shard, &l->id, number);
    return needed ? needed : committed_by_id(p, l);
}

/* Is a slot needed? A name of a slot that remains beside an object takes no space, so it may wait
 * until the object is deleted. */
static int slot_is_needed(struct state *p, uint64_t number)
{
    struct entry e;
    int needed = is_moving(p, number);

    if (needed == 0)
        needed = refs_has_slot(p->refs, number);
    if (needed == 0) {
        needed = refs_entry(p->refs, number, false, NULL, &e);
        needed = needed == -ENOENT ? 0 : needed < 0 ? needed : 1;
    }
    if (needed == 0)
        needed = committed(p, TABLE_OBJECTS, number, NULL);
    return needed ? needed : committed(p, TABLE_DYING, number, NULL);
}

/* Is a pack on a shard needed? One without live records is not. */
static int shard_pack_is_needed(struct state *p, uint16_t shard, uint64_t pack)
{
    uint8_t key[10] = {(uint8_t)(shard >> 8), (uint8_t)shard}, buf[PACK_ENTRY_LEN];
    struct pack_entry e;
    size_t len;
    int err = packs_get(p->packs, shard, pack, &e), found;

    if (err < 0 && err != -ENOENT)
        return err;
    if (err == 0 && e.live_records > 0)
        return 1;
    put_be64(key + 2, pack);
    found = committed_row(p, TABLE_SHARD_PACKS, key, sizeof key, buf, sizeof buf, &len);
    return found <= 0 ? found : pack_entry_decode(buf, len, &e) < 0 ? -EUCLEAN : e.live_records > 0;
}

static int pack_is_needed(struct state *p, uint64_t number)
{
    int known = packs_is_known(p->packs, number);

    return known ? known : committed(p, TABLE_PACKS, number, NULL);
}

/* Is page `no` in the last commit, and not freed by this process since? A freed one waits for the
 * commit that says so. */
static int page_is_needed(struct state *p, uint64_t no)
{
    int found = committed(p, TABLE_PAGES, no, NULL);

    return found < 0 ? found : !pages_is_idle(p->pages, no);
}

/* Is an entry with count 0 needed: by a new reference, a hold, or bytes on their way? */
static int entry_is_needed(struct state *p, uint64_t number)
{
    struct entry e;
    int moving = is_moving(p, number), err;

    if (moving)
        return moving;
    err = refs_entry(p->refs, number, false, NULL, &e);
    if (err == -ENOENT)
        return 1; /* it was let go meanwhile, and is deleted on that way */
    if (err < 0)
        return err;
    return e.count > 0 || refs_holds(p->refs, number) > 0;
}

int leak_is_needed(struct state *p, const struct leak *l)
{
    uint64_t number = leak_number(&l->key);
    uint16_t shard = leak_shard(&l->key);

    if (l->unknown || (shard && number >= move_in_flight(p, shard)))
        return 1;
    switch (leak_what(&l->key)) {
    case LEAK_FILE:
        return file_is_needed(p, l);
    case LEAK_SLOT:
        return slot_is_needed(p, number);
    case LEAK_PACK:
        return shard ? shard_pack_is_needed(p, shard, number) : pack_is_needed(p, number);
    case LEAK_RECORDS:
        return 0; /* only a count, which nothing can need */
    case LEAK_PAGE:
        return page_is_needed(p, number);
    case LEAK_ENTRY:
        return entry_is_needed(p, number);
    default:
        return -EINVAL;
    }
}

/* Has the file no name on the disk any more? 1, 0 or -errno. */
static int is_gone(struct state *p, const char *name)
{
    struct disk_stat st;
    int err = disk_stat(p->config.disk, name, &st);

    return err == -ENOENT ? 1 : err;
}

/* The same for a file and its sums. */
static int both_are_gone(struct state *p, const char *name)
{
    char sums[DISK_NAME_MAX + 1];
    int err = sums_name(name, sums);

    if (err == 0)
        err = is_gone(p, name);
    return err <= 0 ? err : is_gone(p, sums);
}

/* What is to be deleted for a leak of a file, a slot or a pack. */
static struct refs_dead dead_of(const struct leak *l)
{
    static const enum entry_kind kinds[] = {
        [LEAK_FILE] = ENTRY_FILE, [LEAK_SLOT] = ENTRY_SLOT, [LEAK_PACK] = ENTRY_PACK};

    return (struct refs_dead){.number = leak_number(&l->key),
                              .entry = {.kind = kinds[leak_what(&l->key)],
                                        .id = l->id,
                                        .shard = leak_shard(&l->key),
                                        .where = leak_number(&l->key)}};
}

/* Does the file of a leak at home not exist any more? 1, 0 or -errno. Leaks in tables, and on
 * shards, count as existing. */
static int file_is_gone(struct state *p, const struct leak *l)
{
    enum leak_kind kind = leak_kind(&l->key);
    char name[DISK_NAME_MAX + 1];
    struct refs_dead d;

    if (kind != LEAK_FILE && kind != LEAK_SLOT && kind != LEAK_PACK)
        return 0;
    d = dead_of(l);
    objects_file_name(&d.entry, d.number, name);
    return kind == LEAK_PACK ? is_gone(p, name) : both_are_gone(p, name);
}

int leak_look(struct state *p, const struct leak *l)
{
    int needed;

    {
        WRITE_GUARD(&p->freeze_lock);
        needed = leak_is_needed(p, l);
    }
    return needed ? needed : file_is_gone(p, l);
}

/* ---- removing ---- */

/* Frees a page with all its references. */
static int free_page(struct state *p, uint64_t no)
{
    uint32_t count;
    int err = pages_get_count(p->pages, no, &count);

    if (err == 0 && count > INT_MAX)
        return -EUCLEAN;
    if (err == 0 && count > 1) /* otherwise its count would stay in the table */
        err = pages_add_count(p->pages, no, 1 - (int)count, NULL);
    return err < 0 ? err : pages_free(p->pages, no);
}

/* Removes a leak that stands in a table, after a last look. The next commit has the removal. */
static int forget(struct state *p, const struct leak *l)
{
    uint64_t number = leak_number(&l->key);
    int err;
    INSTANT_TXN(t, p);

    err = leak_is_needed(p, l);
    if (err)
        return err < 0 ? err : -EBUSY;
    switch (leak_what(&l->key)) {
    case LEAK_RECORDS:
        err = packs_count_out(p->packs, leak_shard(&l->key), number, l->records, l->bytes, NULL);
        break;
    case LEAK_PAGE:
        err = free_page(p, number);
        break;
    default:
        err = refs_let_go(p->refs, number);
    }
    if (err == 0)
        state_changed(&t, NULL);
    return err;
}

/* Removes the row of a pack on a shard that was deleted. */
static int forget_row(struct state *p, const struct leak *l)
{
    int err;
    INSTANT_TXN(t, p);

    err = packs_forget(p->packs, leak_shard(&l->key), leak_number(&l->key));
    if (err == 0)
        state_changed(&t, NULL);
    return err == -ENOENT ? 0 : err;
}

/* Deletes a file, a slot or a pack, and then the row of a pack on a shard. The row is removed last:
 * as long as it exists, a release would delete the pack. */
static int delete_bytes(struct state *p, const struct leak *l)
{
    const struct refs_dead d = dead_of(l);
    bool pack = d.entry.kind == ENTRY_PACK;
    int err;

    if (d.entry.shard == 0)
        return pack ? packs_remove_unknown(p->packs, d.number) : objects_delete(p->objects, &d);
    err = objects_delete_remote(p->objects, &d.entry);
    return err == 0 && pack ? forget_row(p, l) : err;
}

/* Deletes a file at home or on a shard. Once nothing needs such a file, nothing can come to need
 * it. So the freeze lock is held only for the look, and not for the deletion. */
static int delete_file(struct state *p, const struct leak *l)
{
    int err;

    {
        WRITE_GUARD(&p->freeze_lock);
        err = leak_is_needed(p, l);
    }
    if (err)
        return err < 0 ? err : -EBUSY;
    return delete_bytes(p, l);
}

/* Deletes on a shard, if the right shard is there: shards_said asks it again, and returns the
 * -ENOENT that it was given if it is the right one. */
static int delete_if_right(struct state *p, const struct leak *l)
{
    uint16_t shard = leak_shard(&l->key);
    int err = shards_get(p->shards, shard, SHARDS_WRITE, NULL, NULL);

    if (err < 0)
        return err;
    err = shards_said(p->shards, shard, -ENOENT);
    err = err == -ENOENT ? delete_file(p, l) : err;
    shards_put_back(p->shards, shard);
    return err;
}

int leak_remove(struct state *p, const struct leak *l)
{
    int err = state_writable(p);

    if (err < 0)
        return err;
    switch (leak_what(&l->key)) {
    case LEAK_FILE:
    case LEAK_SLOT:
    case LEAK_PACK:
        return leak_shard(&l->key) ? delete_if_right(p, l) : delete_file(p, l);
    default:
        return forget(p, l);
    }
}
