// SPDX-License-Identifier: Apache-2.0
/*
 * leaks_fix: is one leak needed after all, and away with it. Both what changed and the last commit
 * are asked: bytes that a commit names stay until the one that does not is durable.
 */
#include "flush.h"
#include "leaks_impl.h"
#include "move.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>

/* ---- asking ---- */

/* What the last commit has under that number. 1, 0 or -errno. */
static int committed(struct state *p, unsigned table, uint64_t number, struct entry *ret)
{
    uint8_t key[8], buf[ENTRY_MAX];
    size_t len;
    int err;

    put_be64(key, number);
    err = kv_get(p->config.kv, table, key, sizeof key, buf, sizeof buf, &len);
    if (err == -ENOENT)
        return 0;
    if (err == -ERANGE || err == -EUCLEAN || (ret && err == 0 && entry_decode(buf, len, ret) < 0))
        return ret ? -EUCLEAN : 1;
    return err < 0 ? err : 1;
}

static bool has_content(struct state *p, uint64_t number)
{
    struct content *c = content_find(p, number);

    content_unref(c);
    return c != NULL;
}

/* Bytes on their way from a slot to an object, home from a shard, to the dead, or out of the world. */
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
    int err = kv_get(p->config.kv, TABLE_IDS, l->id.b, ID_LEN, buf, sizeof buf, &len);

    if (err == -ENOENT || (err == 0 && len == 8 && get_be64(buf) == 0))
        return 0;
    if (err < 0 || len != 8)
        return err < 0 && err != -ERANGE ? err : -EUCLEAN;
    err = committed(p, TABLE_OBJECTS, get_be64(buf), &e);
    return err <= 0 ? err : e.kind == ENTRY_FILE && e.shard == 0 && e.where == leak_number(&l->key);
}

static int file_is_needed(struct state *p, const struct leak *l)
{
    uint64_t number = leak_number(&l->key);
    struct entry e;
    int r = is_moving(p, number);

    if (r == 0)
        r = objects_is_named(p->objects, &l->id, number);
    if (r == 0) {
        r = committed(p, TABLE_OBJECTS, number, &e);
        /* As an alias, in a pack, or on another shard it has no file of its own. */
        r = r > 0 ? e.kind != ENTRY_ALIAS && e.kind != ENTRY_PACK && !entry_is_ghost(&e) : r;
    }
    if (r == 0)
        r = committed(p, TABLE_DYING, number, NULL);
    return r ? r : committed_by_id(p, l);
}

/* A name that stays beside an object's takes no space: it can wait until the object goes. */
static int slot_is_needed(struct state *p, uint64_t number)
{
    struct entry e;
    int r = is_moving(p, number);

    if (r == 0)
        r = flush_has_slot(p, number);
    if (r == 0) {
        r = refs_entry(p->refs, number, false, NULL, &e);
        r = r == -ENOENT ? 0 : r < 0 ? r : 1;
    }
    if (r == 0)
        r = committed(p, TABLE_OBJECTS, number, NULL);
    return r ? r : committed(p, TABLE_DYING, number, NULL);
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

    switch (leak_kind(&l->key)) {
    case LEAK_FILE:
        return file_is_needed(p, l);
    case LEAK_SLOT:
        return slot_is_needed(p, number);
    case LEAK_PACK:
        return pack_is_needed(p, number);
    case LEAK_RECORDS:
        return 0; /* it is only a count */
    case LEAK_PAGE:
        return page_is_needed(p, number);
    case LEAK_ENTRY:
        return entry_is_needed(p, number);
    case LEAK_SHARD_FILE:
    case LEAK_SHARD_PACK:
    case LEAK_SHARD_RECORDS:
        return leak_shard_is_needed(p, l);
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
        WRITE_GUARD(&p->gate);
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

/* What stands in a table; the next commit has it. */
static int forget(struct state *p, const struct leak *l)
{
    uint64_t number = leak_number(&l->key);
    int err;
    INSTANT_TXN(t, p);

    err = leak_is_needed(p, l);
    if (err)
        return err < 0 ? err : -EBUSY;
    switch (leak_kind(&l->key)) {
    case LEAK_RECORDS:
        err = packs_count_out(p->packs, number, l->records, l->bytes);
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

/* Once nobody needs such a file nobody ever will: it need not be held up for the removal. */
static int unlink_file(struct state *p, const struct leak *l)
{
    uint64_t number = leak_number(&l->key);
    int err;

    {
        WRITE_GUARD(&p->gate);
        err = leak_is_needed(p, l);
    }
    if (err)
        return err < 0 ? err : -EBUSY;
    if (leak_kind(&l->key) == LEAK_FILE)
        return blob_unlink_object(p->config.disk, &l->id, number);
    if (leak_kind(&l->key) == LEAK_SLOT)
        return blob_unlink_slot(p->config.disk, number);
    return packs_remove_unknown(p->packs, number);
}

int leak_remove(struct state *p, const struct leak *l)
{
    int err = state_writable(p);

    if (err < 0)
        return err;
    switch (leak_kind(&l->key)) {
    case LEAK_FILE:
    case LEAK_SLOT:
    case LEAK_PACK:
        return unlink_file(p, l);
    case LEAK_SHARD_FILE:
    case LEAK_SHARD_PACK:
    case LEAK_SHARD_RECORDS:
        return leak_shard_remove(p, l);
    default:
        return forget(p, l);
    }
}
