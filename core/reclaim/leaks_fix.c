// SPDX-License-Identifier: Apache-2.0
/*
 * leaks_fix: is one leak needed after all, and away with it. Both what changed and the last commit
 * are asked: bytes that a commit names stay until the one that does not is durable. What is on
 * another shard was seen to be nobody's by the search, and asking again is the second rope.
 *
 * Right before a deletion there the shard is asked afresh whether it is the right one: names on two
 * shards of a store may be equal, and disks are swapped.
 */
#include "flush.h"
#include "leaks_impl.h"
#include "move.h"
#include "shard_packs.h"
#include "shards.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>

/* ---- asking ---- */

/* 1, 0 or -errno. Of what is damaged nobody can say whether it is needed. */
static int committed_row(struct state *p, unsigned table, const void *key, size_t klen, void *buf,
                         size_t cap, size_t *ret_len)
{
    int err = kv_get(p->config.kv, table, key, klen, buf, cap, ret_len);

    return err == -ENOENT ? 0 : err == -ERANGE ? -EUCLEAN : err < 0 ? err : 1;
}

/* What the last commit has under that number. 1, 0 or -errno. */
static int committed(struct state *p, unsigned table, uint64_t number, struct entry *ret)
{
    uint8_t key[8], buf[ENTRY_MAX];
    size_t len;
    int r;

    put_be64(key, number);
    r = committed_row(p, table, key, sizeof key, buf, sizeof buf, &len);
    if (!ret)
        return r == -EUCLEAN ? 1 : r;
    return r <= 0 ? r : entry_decode(buf, len, ret) < 0 ? -EUCLEAN : 1;
}

static bool has_content(struct state *p, uint64_t number)
{
    struct content *c = content_find(p, number);

    content_unref(c);
    return c != NULL;
}

/* Bytes on their way from a slot to an object, home from a shard, to the dead, or out of the world.
 * */
static int is_moving(struct state *p, uint64_t number)
{
    if (number >= move_in_flight(p, 0))
        return 1;
    return has_content(p, number) ? 1 : refs_is_dying(p->refs, number);
}

/* Healed ones stand under another number than the file's: that of their id. */
static int committed_by_id(struct state *p, const struct leak *l)
{
    uint8_t buf[8];
    struct entry e;
    size_t len;
    int r = committed_row(p, TABLE_IDS, l->id.b, ID_LEN, buf, sizeof buf, &len);

    if (r <= 0 || len != 8)
        return r <= 0 ? r : -EUCLEAN;
    r = get_be64(buf) ? committed(p, TABLE_OBJECTS, get_be64(buf), &e) : 0;
    return r <= 0 ? r
                  : e.kind == ENTRY_FILE && e.shard == leak_shard(&l->key) &&
                        e.where == leak_number(&l->key);
}

/* At home a file has the number of an object: that which it had as a slot. */
static int number_is_needed(struct state *p, uint64_t number)
{
    struct entry e;
    int r = is_moving(p, number);

    if (r)
        return r;
    r = committed(p, TABLE_OBJECTS, number, &e);
    /* An alias, a record of a pack, and an object on another shard or elsewhere have no file of their
     * own. */
    if (r > 0)
        r = e.kind != ENTRY_ALIAS && e.kind != ENTRY_PACK && e.kind != ENTRY_ABSENT &&
            !entry_is_ghost(&e);
    return r ? r : committed(p, TABLE_DYING, number, NULL);
}

static int file_is_needed(struct state *p, const struct leak *l)
{
    uint64_t number = leak_number(&l->key);
    uint16_t shard = leak_shard(&l->key);
    int r = shard ? 0 : number_is_needed(p, number);

    if (r == 0)
        r = objects_is_named(p->objects, shard, &l->id, number);
    return r ? r : committed_by_id(p, l);
}

/* A name that stays beside an object's takes no space: it can wait until the object goes. */
static int slot_is_needed(struct state *p, uint64_t number)
{
    struct entry e;
    int r = is_moving(p, number);

    if (r == 0)
        r = refs_has_slot(p->refs, number);
    if (r == 0) {
        r = refs_entry(p->refs, number, false, NULL, &e);
        r = r == -ENOENT ? 0 : r < 0 ? r : 1;
    }
    if (r == 0)
        r = committed(p, TABLE_OBJECTS, number, NULL);
    return r ? r : committed(p, TABLE_DYING, number, NULL);
}

/* On a shard one without live records is not. */
static int shard_pack_is_needed(struct state *p, uint16_t shard, uint64_t pack)
{
    uint8_t key[10] = {(uint8_t)(shard >> 8), (uint8_t)shard}, buf[PACK_ENTRY_LEN];
    struct pack_entry e;
    size_t len;
    int r = shard_packs_get(p->shard_packs, shard, pack, &e);

    if (r < 0 && r != -ENOENT)
        return r;
    if (r == 0 && e.live_records > 0)
        return 1;
    put_be64(key + 2, pack);
    r = committed_row(p, TABLE_SHARD_PACKS, key, sizeof key, buf, sizeof buf, &len);
    return r <= 0 ? r : pack_entry_decode(buf, len, &e) < 0 ? -EUCLEAN : e.live_records > 0;
}

static int pack_is_needed(struct state *p, uint64_t number)
{
    int r = packs_is_known(p->packs, number);

    return r ? r : committed(p, TABLE_PACKS, number, NULL);
}

/* Freed in this process already: then the commit that says so is on its way. */
static int page_is_needed(struct state *p, uint64_t no)
{
    int r = committed(p, TABLE_PAGES, no, NULL);

    return r < 0 ? r : !pages_is_idle(p->pages, no);
}

static int entry_is_needed(struct state *p, uint64_t number)
{
    struct entry e;
    int r = is_moving(p, number);

    if (r)
        return r;
    r = refs_entry(p->refs, number, false, NULL, &e);
    if (r == -ENOENT)
        return 1; /* somebody has let it go meanwhile, and has its own way to the end */
    if (r < 0)
        return r;
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
        return 0; /* it is only a count */
    case LEAK_PAGE:
        return page_is_needed(p, number);
    case LEAK_ENTRY:
        return entry_is_needed(p, number);
    default:
        return -EINVAL;
    }
}

/* Has it no name on the disk any more? */
static int is_gone(struct state *p, const char *name)
{
    struct disk_file *f;
    int err = disk_open(p->config.disk, name, DISK_READ, &f);

    if (err == 0)
        disk_file_close(f);
    return err == -ENOENT ? 1 : err;
}

static int both_are_gone(struct state *p, const char *name)
{
    char sums[DISK_NAME_MAX + 1 + 5];
    int r = is_gone(p, name);

    snprintf(sums, sizeof sums, "%s.sums", name);
    return r <= 0 ? r : is_gone(p, sums);
}

static int file_is_gone(struct state *p, const struct leak *l)
{
    char name[DISK_NAME_MAX + 1];

    switch (leak_kind(&l->key)) {
    case LEAK_FILE:
        blob_object_name(&l->id, leak_number(&l->key), name);
        return both_are_gone(p, name);
    case LEAK_SLOT:
        blob_slot_name(leak_number(&l->key), name);
        return both_are_gone(p, name);
    case LEAK_PACK:
        pack_name(leak_number(&l->key), name);
        return is_gone(p, name);
    default:
        return 0;
    }
}

int leak_look(struct state *p, const struct leak *l)
{
    int r;

    {
        WRITE_GUARD(&p->freeze_lock);
        r = leak_is_needed(p, l);
    }
    return r ? r : file_is_gone(p, l);
}

/* ---- removing ---- */

static int free_page(struct state *p, uint64_t no)
{
    uint32_t count;
    int err = pages_get_count(p->pages, no, &count);

    if (err == 0 && count > INT_MAX)
        return -EUCLEAN;
    if (err == 0 && count > 1) /* else its count would be left behind */
        err = pages_add_count(p->pages, no, 1 - (int)count, NULL);
    return err < 0 ? err : pages_free(p->pages, no);
}

static int count_out(struct state *p, const struct leak *l)
{
    uint64_t number = leak_number(&l->key);
    uint16_t shard = leak_shard(&l->key);

    return shard ? shard_packs_count_out(p->shard_packs, shard, number, l->records, l->bytes, NULL)
                 : packs_count_out(p->packs, number, l->records, l->bytes);
}

/* What stands in a table; the next commit has it. */
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
        err = count_out(p, l);
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

static int forget_row(struct state *p, const struct leak *l)
{
    int err;
    INSTANT_TXN(t, p);

    err = shard_packs_forget(p->shard_packs, leak_shard(&l->key), leak_number(&l->key));
    if (err == 0)
        state_changed(&t, NULL);
    return err == -ENOENT ? 0 : err;
}

static int delete_there(struct state *p, const struct leak *l)
{
    const struct entry at = {.kind = leak_what(&l->key) == LEAK_FILE ? ENTRY_FILE : ENTRY_PACK,
                             .id = l->id,
                             .shard = leak_shard(&l->key),
                             .where = leak_number(&l->key)};
    int err = objects_delete_remote(p->objects, &at);

    return err < 0 || at.kind == ENTRY_FILE ? err : forget_row(p, l);
}

static int delete_here(struct state *p, const struct leak *l)
{
    uint64_t number = leak_number(&l->key);

    switch (leak_kind(&l->key)) {
    case LEAK_FILE:
        return blob_unlink_object(p->config.disk, &l->id, number);
    case LEAK_SLOT:
        return blob_unlink_slot(p->config.disk, number);
    default:
        return packs_remove_unknown(p->packs, number);
    }
}

/* Once nobody needs such a file nobody ever will: it need not be held up for the removal. */
static int delete_file(struct state *p, const struct leak *l)
{
    int err;

    {
        WRITE_GUARD(&p->freeze_lock);
        err = leak_is_needed(p, l);
    }
    if (err)
        return err < 0 ? err : -EBUSY;
    return leak_shard(&l->key) ? delete_there(p, l) : delete_here(p, l);
}

/* -ENOENT, from the right shard: nothing is missing. */
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
