// SPDX-License-Identifier: Apache-2.0
/*
 * shards_archive: archives among the shards: is a place the archive that it should be, and may this
 * store write there?
 *
 * An archive is read by several stores and belongs to none of them. So it has no identity of a
 * shard, no owner and no fence: its file `format` says which archive it is. Who writes there is
 * decided by what the writer claims in the archive itself. The writer says here that it may write,
 * and which numbers are its own (shards_allow). Nothing here puts or deletes anything.
 */
#include "shards_impl.h"

#include "archive_text.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- is it the right archive? ---- */

/* Reads which archive a place is. -ENOENT: it is none; -EUCLEAN: the text is damaged; -EPROTO: it
 * is of a newer version. */
static int read_format(struct shard *shard, struct archive_format *ret)
{
    char text[ARCHIVE_TEXT_MAX];
    ssize_t n = shard_get(shard, ARCHIVE_FORMAT, text, sizeof text);

    if (n < 0)
        return n == -EFBIG ? -EUCLEAN : (int)n;
    return archive_format_decode(text, (size_t)n, ret);
}

int shards_check_archive(struct shard *shard, const uint8_t id[SHARD_ID_LEN], char why[SHARD_WHY])
{
    struct archive_format found;
    int err = read_format(shard, &found);

    if (err == 0 && memcmp(found.id, id, sizeof found.id) != 0)
        err = -EBUSY;
    if (err == -EBUSY)
        snprintf(why, SHARD_WHY, "another archive is there");
    else if (err == -ENOENT)
        snprintf(why, SHARD_WHY, "there is no archive: is it mounted?");
    else if (err == -EUCLEAN)
        snprintf(why, SHARD_WHY, "the archive's file '" ARCHIVE_FORMAT "' is damaged");
    else if (err == -EPROTO)
        snprintf(why, SHARD_WHY, "the archive was made by a newer version");
    else if (err < 0)
        snprintf(why, SHARD_WHY, "the archive's file '" ARCHIVE_FORMAT "' cannot be read: %s",
                 strerror(-err));
    return err;
}

/* ---- may this store write there? ---- */

int shards_allow(struct shards *s, uint16_t number, uint64_t prefix)
{
    MUTEX_GUARD(&s->lock);
    struct shards_slot *slot = shards_find(s, number);

    if (!slot)
        return -ENXIO;
    if (!slot->record.archive || prefix == 0 || prefix & SHARDS_PREFIX_ROOM)
        return -EINVAL;
    if (s->readonly)
        return -EROFS;
    if (slot->prefix != prefix)
        slot->sequence = 0;
    slot->prefix = prefix;
    slot->allowed = true;
    slot->no_write = false;
    if (slot->state == SHARDS_READONLY)
        shards_set_state(s, slot, SHARDS_OK, "");
    return 0;
}

void shards_disallow(struct shards *s, uint16_t number)
{
    MUTEX_GUARD(&s->lock);
    struct shards_slot *slot = shards_find(s, number);

    if (slot)
        slot->allowed = false;
}

int shards_archive_number(struct shards_slot *slot, uint64_t *ret_where)
{
    if (!slot->allowed)
        return -EROFS;
    if (slot->sequence == SHARDS_PREFIX_ROOM)
        return -EOVERFLOW;
    *ret_where = slot->prefix | ++slot->sequence;
    return 0;
}

/* ---- which there are ---- */

bool shards_is_archive(struct shards *s, uint16_t number)
{
    MUTEX_GUARD(&s->lock);
    const struct shards_slot *slot = shards_find(s, number);

    return slot && slot->record.archive;
}

uint16_t shards_free_number(struct shards *s)
{
    MUTEX_GUARD(&s->lock);
    unsigned number = UINT16_MAX;

    if (s->count == SHARDS_MAX)
        return 0;
    /* the slots are sorted by number */
    for (size_t i = s->count; i > 0 && s->slot[i - 1]->number == number; i--)
        number--;
    return (uint16_t)number;
}

/* Changes the record of an archive. */
static int change(struct shards *s, uint16_t number, void (*how)(struct shard_record *r, int64_t n),
                  int64_t n)
{
    struct shards_slot *slot = shards_begin_busy(s, number);

    if (!slot)
        return -ENXIO;
    struct shard_record r = slot->record;
    int err = s->readonly ? -EROFS : slot->damaged ? -EUCLEAN : r.archive ? 0 : -EINVAL;

    how(&r, n);
    if (err == 0)
        err = shards_write_record(s, slot, &r);
    shards_end_busy(s, slot);
    return err;
}

static void begin_lineage(struct shard_record *r, int64_t lineage)
{
    r->lineage = (uint32_t)lineage;
    r->seen = 0;
    r->draining = r->gap = r->follows = false;
    r->drilled = 0;
}

int shards_set_lineage(struct shards *s, uint16_t number, uint32_t lineage)
{
    return change(s, number, begin_lineage, lineage);
}

static void set_gap(struct shard_record *r, int64_t gap)
{
    r->gap = gap;
}

int shards_note_gap(struct shards *s, uint16_t number, bool gap)
{
    return change(s, number, set_gap, gap);
}

static void set_follows(struct shard_record *r, int64_t follows)
{
    r->follows = follows != 0;
}

int shards_set_follows(struct shards *s, uint16_t number)
{
    return change(s, number, set_follows, true);
}

static void set_drilled(struct shard_record *r, int64_t time)
{
    r->drilled = time;
}

int shards_note_drill(struct shards *s, uint16_t number, int64_t time)
{
    return change(s, number, set_drilled, time);
}

static void set_seen(struct shard_record *r, int64_t catalogue)
{
    r->seen = (uint32_t)catalogue;
}

int shards_note_seen(struct shards *s, uint16_t number, uint32_t catalogue)
{
    return change(s, number, set_seen, catalogue);
}
