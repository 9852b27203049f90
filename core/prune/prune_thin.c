// SPDX-License-Identifier: Apache-2.0
/*
 * prune_thin: packs of which little is needed (shard_thin.h).
 *
 * A pack has what was sent within a second or so, and lives as long as anything of it. So one of
 * which less than a quarter is needed is given up as others are, by a catalogue and after the
 * grace. But before it is deleted what is needed of it is put a second time, at the same addresses.
 * Whoever may still need something of it says so in the same ways as of a whole pack (prune.h),
 * only that here it matters which contents that are. Only packs of epochs before the begin are
 * looked at: all segments of later ones are kept anyway.
 */
#include "prune_impl.h"

#include "objects.h"
#include "packs.h"
#include "report.h"
#include "shard_thin.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SPARSE 4u /* it is thinned when less than one part of so many is needed */

uint64_t prune_needed_bytes(struct prune *u, const struct listed_file *f)
{
    const struct live_content *c;
    uint64_t bytes = PACK_FILE_HEAD;
    size_t count;

    if (!f->in_pack || !live_is_old(&u->live, f->where) || !live_has(&u->live, true, f->where))
        return 0;
    c = live_contents(&u->live, f->where, &count);
    for (size_t i = 0; i < count; i++)
        bytes += pack_record_size(c[i].size);
    return bytes;
}

static bool is_sparse(struct prune *u, const struct listed_file *f)
{
    const uint64_t bytes = f->size && !f->cannot_thin ? prune_needed_bytes(u, f) : 0;
    const uint64_t least = u->ask->least ? u->ask->least : PRUNE_LEAST;

    return bytes && bytes < f->size / SPARSE && f->size - bytes >= least;
}

enum prune_fate prune_fate(struct prune *u, const struct listed_file *f)
{
    if (!live_has(&u->live, f->in_pack, f->where))
        return PRUNE_DELETE;
    return is_sparse(u, f) ? PRUNE_THIN : PRUNE_KEEP;
}

/* The head of the pack, and the records. What lies side by side is one part. */
static uint32_t make_parts(const struct live_content *c, size_t count, struct thin_part *parts)
{
    uint32_t n = 1;

    parts[0] = (struct thin_part){0, PACK_FILE_HEAD};
    for (size_t i = 0; i < count; i++) {
        struct thin_part *last = &parts[n - 1];
        const uint32_t len = (uint32_t)pack_record_size(c[i].size);

        if (last->offset + last->len == c[i].offset)
            last->len += len;
        else
            parts[n++] = (struct thin_part){c[i].offset, len};
    }
    return n;
}

/* Is all that is needed there, and sound? */
static bool is_sound(uint64_t where, const uint8_t *pack, size_t len, const struct live_content *c,
                     size_t count)
{
    uint8_t head[PACK_FILE_HEAD];

    pack_file_head(head, where);
    if (len < sizeof head || memcmp(pack, head, sizeof head) != 0)
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct pack_place at = {.pack = where, .offset = c[i].offset};

        if (c[i].offset >= len ||
            pack_record_check(pack + c[i].offset, len - c[i].offset, &at, c[i].size) < 0)
            return false;
    }
    return true;
}

static int thin(struct prune *u, const char *name, const uint8_t *pack, size_t len,
                struct listed_file *f)
{
    struct thin_part *parts;
    size_t count;
    const struct live_content *c = live_contents(&u->live, f->where, &count);
    int err;

    if (len != f->size || count + 1 > THIN_PARTS || !is_sound(f->where, pack, len, c, count))
        return -EINVAL;
    parts = calloc(count + 1, sizeof *parts);
    if (!parts)
        return -ENOMEM;
    err = shard_thin_put(u->shard, name, pack, len, parts, make_parts(c, count, parts),
                         &f->thin_size);
    free(parts);
    return err;
}

int prune_thin(struct prune *u, struct listed_file *f)
{
    const struct entry e = {.kind = ENTRY_PACK, .where = f->where, .shard = u->archive};
    char name[DISK_NAME_MAX + 1];
    void *pack = NULL;
    ssize_t n;
    int err;

    objects_file_name(&e, f->where, name);
    n = shard_range_alloc(u->shard, name, SHARD_PACK_MAX + 1, 0, &pack);
    err = n < 0 ? (int)n : thin(u, name, pack, (size_t)n, f);
    free(pack);
    if (err == -EHOSTUNREACH || err == -ENOMEM)
        return prune_fail(u, err, "what is needed of %s cannot be put", name);
    if (err < 0)
        report(REPORT_WARN, "archive %u: %s stays whole, though little of it is needed: %s",
               u->archive, name, strerror(-err));
    f->cannot_thin = err < 0;
    return err == 0;
}
