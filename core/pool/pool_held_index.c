// SPDX-License-Identifier: Apache-2.0
/*
 * pool_held_index: makes the indexes of packs that are closed for good. It scans the pack file, so
 * that no node's table has to be trusted. It also looks at the bytes between records. Zeros were
 * never written, or were removed. Anything else may be a damaged record that somebody needs, and
 * then the file is never removed as a whole.
 */
#include "pool_held_impl.h"

#include "array.h"
#include "io.h"
#include "packs.h"
#include "pool_file.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK (64 * 1024) /* bytes that are looked at at once */

struct indexing {
    struct disk_file *file;
    uint64_t pack;
    uint64_t size; /* bytes of the file */
    uint64_t end;  /* end of what was looked at */
    bool whole;    /* nothing but records and zeros so far */
    struct pool_indexed *v;
    size_t count, room;
    uint8_t *chunk;
};

static bool is_zero(const uint8_t *b, size_t len)
{
    return len == 0 || (b[0] == 0 && memcmp(b, b + 1, len - 1) == 0);
}

/* Looks for anything but zeros from x->end to `to`; if there is, the pack is not `whole`. */
static int look_between(struct indexing *x, uint64_t to)
{
    for (uint64_t at = x->end; at < to && x->whole; at += CHUNK) {
        size_t len = to - at < CHUNK ? (size_t)(to - at) : CHUNK;
        ssize_t n = disk_pread(x->file, x->chunk, len, at);

        if (n < 0)
            return (int)n;
        x->whole = is_zero(x->chunk, (size_t)n);
    }
    return 0;
}

/* Adds a sound record to the index. */
static int add_record(const struct id *id, const struct pack_place *place, const void *data,
                      uint32_t len, void *ctx)
{
    struct indexing *x = ctx;
    int err = look_between(x, place->offset);

    (void)data;
    if (err == 0)
        err = ARRAY_RESERVE(x->v, x->room, x->count + 1);
    if (err < 0)
        return err;
    x->v[x->count++] = (struct pool_indexed){*id, place->offset, len};
    x->end = place->offset + pack_record_size(len);
    return 0;
}

/* Scans the pack. A pack without a sound head had its first write interrupted, or is damaged; what
 * stands in place of the head is looked at like a gap. */
static int scan(struct indexing *x)
{
    CLEANUP_FREE void *record = malloc(PACK_RECORD_MAX);
    struct disk_stat st;
    int err = record && x->chunk ? packs_check_head(x->file, x->pack) : -ENOMEM;

    if (err == -EUCLEAN)
        err = look_between(x, PACK_FILE_HEAD);
    x->end = PACK_FILE_HEAD;
    if (err == 0)
        err = packs_scan(x->file, x->pack, record, add_record, x);
    if (err == 0)
        err = disk_fstat(x->file, &st);
    if (err < 0)
        return err;
    x->size = st.size;
    return look_between(x, st.size);
}

/* Writes the index. Its extra word is 0 if the pack is not whole, and else 1 + the size of the
 * file. */
static int write_index(struct disk *disk, unsigned node, const struct indexing *x)
{
    struct pool_body body = {.kind = POOL_BODY_INDEX, .owner = x->pack};
    char name[DISK_NAME_MAX + 1];
    uint8_t bytes[POOL_INDEXED_LEN];
    struct pool_writer *w;
    int err;

    body.extra = x->whole ? 1 + x->size : 0;
    err = pool_writer_open(disk, node, &body, &w);
    if (err < 0)
        return err;
    for (size_t i = 0; i < x->count; i++) {
        pool_indexed_encode(&x->v[i], bytes);
        pool_writer_add(w, bytes);
    }
    held_pack_name(x->pack, ".index", name);
    return pool_writer_end(w, name, POOL_REPLACE, NULL);
}

/* Scans a pack file and writes its index. -ENOENT: there is no such pack. */
static int make_index(struct disk *disk, unsigned node, uint64_t pack)
{
    struct indexing x = {.pack = pack, .whole = true, .chunk = malloc(CHUNK)};
    char name[DISK_NAME_MAX + 1];

    held_pack_name(pack, "", name);
    int err = disk_open(disk, name, DISK_READ, &x.file);

    if (err == 0) {
        err = scan(&x);
        disk_file_close(x.file);
    }
    if (err == 0)
        err = write_index(disk, node, &x);
    free(x.v);
    free(x.chunk);
    return err;
}

/* Has the pack an index? 1, 0 or -errno. A damaged one is made again. */
static int has_index(struct disk *disk, uint64_t pack)
{
    static const struct held_numbers none;
    struct held_pack k;
    int err = held_pack_load(disk, pack, &none, &k);

    if (err == 0)
        held_pack_release(&k);
    return err == 0 ? 1 : err == -ENOENT || err == -EUCLEAN ? 0 : err;
}

/* Makes the index of one pack if it has none. 1: made; 0: nothing to do; -errno. */
static int index_pack(struct disk *disk, unsigned node, uint64_t pack)
{
    int has = has_index(disk, pack), err;

    if (has != 0)
        return has < 0 ? has : 0;
    err = make_index(disk, node, pack);
    return err == 0 ? 1 : err == -ENOENT ? 0 : err; /* the pack was removed meanwhile */
}

int pool_index_packs(struct disk *disk, unsigned node, unsigned owner, pool_is_open_fn *is_open,
                     void *ctx, unsigned *ret_made)
{
    struct held_numbers packs = {0};
    unsigned made = 0;
    int err = held_packs_list(disk, "", &packs);

    for (size_t i = 0; i < packs.count; i++) {
        uint64_t pack = packs.v[i];

        if (pool_number_node(pack) != owner || (is_open && is_open(ctx, pack)))
            continue;
        int indexed = index_pack(disk, node, pack);

        made += indexed == 1;
        if (indexed < 0 && err == 0)
            err = indexed;
    }
    held_numbers_release(&packs);
    if (ret_made)
        *ret_made = made;
    return err;
}

int pool_index_new_packs(struct disk *disk, unsigned node, pool_is_open_fn *is_open, void *ctx)
{
    struct held_beside b;
    int err = held_beside_list(disk, &b);

    for (size_t i = 0; i < b.packs.count; i++) {
        uint64_t pack = b.packs.v[i];

        if (pool_number_node(pack) != node || held_numbers_have(&b.indexes, pack) ||
            is_open(ctx, pack))
            continue;
        int indexed = make_index(disk, node, pack);

        if (indexed < 0 && indexed != -ENOENT && err == 0)
            err = indexed;
    }
    held_beside_release(&b);
    return err;
}

int pool_index_pack(struct disk *disk, unsigned node, uint64_t pack)
{
    int made = index_pack(disk, node, pack);

    return made < 0 ? made : 0;
}
