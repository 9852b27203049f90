// SPDX-License-Identifier: Apache-2.0
/* pool_file: see the header. */
#include "pool_file.h"

#include "bytes.h"
#include "io.h"
#include "pool_dir.h"
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_TRIED 1000 /* names of temporary files that are tried */

/* ---- names ---- */

int pool_file_number(const char *text, unsigned digits, uint64_t *ret_number)
{
    if (strlen(text) != digits || strspn(text, "0123456789abcdef") != digits)
        return -EINVAL;
    *ret_number = strtoull(text, NULL, 16);
    return 0;
}

static void dir_of(const char *name, char out[DISK_NAME_MAX + 1])
{
    const char *slash = strrchr(name, '/');

    snprintf(out, DISK_NAME_MAX + 1, "%.*s", slash ? (int)(slash - name) : 0, name);
}

/* Creates a temporary file under a name that nobody else uses. The number is unique in this
 * process, and a name that exists is passed over. */
static int create_temporary(struct disk *disk, unsigned node, char name[DISK_NAME_MAX + 1],
                            struct disk_file **ret_file)
{
    static _Atomic unsigned next;
    int err = -EEXIST;

    for (int i = 0; i < NAMES_TRIED && err == -EEXIST; i++) {
        char last[24];

        snprintf(last, sizeof last, "tmp.%u", atomic_fetch_add(&next, 1));
        if (node)
            pool_node_path(node, last, name);
        else
            snprintf(name, DISK_NAME_MAX + 1, "%s", last);
        err = disk_open(disk, name, DISK_WRITE | DISK_CREATE, ret_file);
    }
    return err;
}

/* Gives the temporary file its name, and syncs the directory of that name. */
static int put_in_place(struct disk *disk, const char *temporary, const char *name,
                        enum pool_put how)
{
    char dir[DISK_NAME_MAX + 1];
    int err =
        how == POOL_REPLACE ? disk_rename(disk, temporary, name) : disk_link(disk, temporary, name);

    if (err < 0 || how == POOL_PUT)
        (void)disk_unlink(disk, temporary);
    if (err < 0)
        return err;
    dir_of(name, dir);
    return disk_sync_dir(disk, dir);
}

/* ---- small files ---- */

int pool_file_put(struct disk *disk, unsigned node, const char *name, const void *bytes, size_t len,
                  enum pool_put how)
{
    char temporary[DISK_NAME_MAX + 1];
    struct disk_file *f;
    int err = create_temporary(disk, node, temporary, &f);

    if (err < 0)
        return err;
    err = disk_pwrite(f, bytes, len, 0);
    if (err == 0)
        err = disk_sync(f);
    disk_file_close(f);
    if (err == 0)
        return put_in_place(disk, temporary, name, how);
    (void)disk_unlink(disk, temporary);
    return err;
}

int pool_file_get(struct disk *disk, const char *name, void *buf, size_t max, size_t *ret_len)
{
    struct disk_file *f;
    int err = disk_open(disk, name, DISK_READ, &f);

    if (err < 0)
        return err;
    ssize_t n = disk_pread(f, buf, max, 0);

    disk_file_close(f);
    if (n < 0)
        return (int)n;
    if ((size_t)n == max)
        return -EUCLEAN;
    *ret_len = (size_t)n;
    return 0;
}

int pool_file_exists(struct disk *disk, const char *name)
{
    struct disk_stat st;
    int err = disk_stat(disk, name, &st);

    return err == 0 ? 1 : err == -ENOENT ? 0 : err;
}

int pool_file_unlink(struct disk *disk, const char *name)
{
    int err = disk_unlink(disk, name);

    return err == -ENOENT ? 0 : err;
}

/* ---- numbered files ---- */

void pool_file_numbered(const char *dir, uint64_t number, char out[DISK_NAME_MAX + 1])
{
    snprintf(out, DISK_NAME_MAX + 1, "%s/%016" PRIx64, dir, number);
}

static int keep_highest(const char *name, void *ctx)
{
    uint64_t *highest = ctx, n;

    if (pool_file_number(name, 16, &n) == 0 && n > *highest)
        *highest = n;
    return 0;
}

int pool_file_newest(struct disk *disk, const char *dir, uint64_t from, uint64_t *ret_number)
{
    char name[DISK_NAME_MAX + 1];
    uint64_t n = from;
    int err = disk_list(disk, dir, keep_highest, &n), exists = err == 0 ? 1 : err;

    while (exists == 1 && n < UINT64_MAX) {
        pool_file_numbered(dir, n + 1, name);
        exists = pool_file_exists(disk, name);
        n += exists == 1;
    }
    if (exists < 0)
        return exists;
    *ret_number = n;
    return 0;
}

struct pruning {
    struct disk *disk;
    const char *dir;
    uint64_t below;
};

/* Removes one numbered file; errors are ignored. */
static int prune(const char *name, void *ctx)
{
    const struct pruning *p = ctx;
    char path[DISK_NAME_MAX + 1];
    uint64_t n;

    if (pool_file_number(name, 16, &n) == 0 && n < p->below) {
        pool_file_numbered(p->dir, n, path);
        (void)disk_unlink(p->disk, path);
    }
    return 0;
}

void pool_file_prune(struct disk *disk, const char *dir, uint64_t below)
{
    struct pruning p = {disk, dir, below};

    (void)disk_list(disk, dir, prune, &p);
}

/* ---- writing bodies ---- */

struct pool_writer {
    struct disk *disk;
    struct disk_file *file;
    char temporary[DISK_NAME_MAX + 1];
    struct pool_body body;
    uint64_t written; /* blocks written so far */
    size_t filled;    /* whole blocks in `blocks` that are not written yet */
    size_t records;   /* records in the block behind these */
    int err;          /* the first error */
    uint8_t blocks[POOL_WINDOW][POOL_BLOCK];
};

int pool_writer_open(struct disk *disk, unsigned node, const struct pool_body *body,
                     struct pool_writer **ret_w)
{
    struct pool_writer *w = calloc(1, sizeof *w);

    if (!w)
        return -ENOMEM;
    w->disk = disk;
    w->body = *body;
    w->body.count = w->body.chain = 0;
    int err = create_temporary(disk, node, w->temporary, &w->file);

    if (err < 0) {
        free(w);
        return err;
    }
    *ret_w = w;
    return 0;
}

/* Writes the whole blocks. The head, block 0, is written at the end. */
static void write_window(struct pool_writer *w)
{
    if (w->err == 0 && w->filled)
        w->err =
            disk_pwrite(w->file, w->blocks, w->filled * POOL_BLOCK, (1 + w->written) * POOL_BLOCK);
    w->written += w->filled;
    w->filled = 0;
}

/* Completes a block with its checksum, which goes into the chain. */
static void end_block(struct pool_writer *w)
{
    uint64_t sum =
        pool_block_seal(w->blocks[w->filled], &w->body, w->written + w->filled, w->records);

    w->body.chain = pool_chain(w->body.chain, sum);
    w->body.count += w->records;
    w->records = 0;
    if (++w->filled == POOL_WINDOW)
        write_window(w);
}

void pool_writer_add(struct pool_writer *w, const void *record)
{
    size_t len = pool_body_record_len(w->body.kind);

    memcpy(w->blocks[w->filled] + POOL_BLOCK_HEAD + w->records * len, record, len);
    if (++w->records == pool_body_per_block(w->body.kind))
        end_block(w);
}

/* Writes the rest and then the head, because the head has the number of records. */
static int finish(struct pool_writer *w)
{
    if (w->records)
        end_block(w);
    write_window(w);
    pool_body_encode(&w->body, w->blocks[0]);
    if (w->err == 0)
        w->err = disk_pwrite(w->file, w->blocks[0], POOL_BLOCK, 0);
    if (w->err == 0)
        w->err = disk_sync(w->file);
    return w->err;
}

int pool_writer_end(struct pool_writer *w, const char *name, enum pool_put how,
                    struct pool_body *ret_body)
{
    int err = name ? finish(w) : 0;

    disk_file_close(w->file);
    if (err < 0 || !name)
        (void)disk_unlink(w->disk, w->temporary);
    else
        err = put_in_place(w->disk, w->temporary, name, how);
    if (err == 0 && ret_body)
        *ret_body = w->body;
    free(w);
    return err;
}

/* ---- reading bodies ---- */

/* Reads the head of a body, and compares the length of the file with it. */
static int check_body(struct disk_file *f, enum pool_body_kind kind, uint64_t owner,
                      struct pool_body *ret)
{
    uint8_t block[POOL_BLOCK];
    struct disk_stat st;
    struct pool_body b;
    ssize_t n = disk_pread(f, block, sizeof block, 0);

    if (n != POOL_BLOCK)
        return n < 0 ? (int)n : -EUCLEAN;
    int err = pool_body_decode(block, kind, owner, &b);

    if (err == 0)
        err = disk_fstat(f, &st);
    if (err < 0)
        return err;
    if (st.size != pool_body_size(&b))
        return -EUCLEAN;
    *ret = b;
    return 0;
}

int pool_body_open(struct disk *disk, const char *name, unsigned flags, enum pool_body_kind kind,
                   uint64_t owner, struct disk_file **ret_file, struct pool_body *ret)
{
    struct disk_file *f;
    int err = disk_open(disk, name, DISK_READ | flags, &f);

    if (err < 0)
        return err;
    err = check_body(f, kind, owner, ret);
    if (err < 0)
        disk_file_close(f);
    else
        *ret_file = f;
    return err;
}

int pool_body_read(struct disk_file *file, const struct pool_body *b, uint64_t index, size_t n,
                   uint8_t *buf)
{
    ssize_t len = disk_pread(file, buf, n * POOL_BLOCK, (1 + index) * POOL_BLOCK);
    int err = 0;

    if (len < 0)
        return (int)len;
    if ((size_t)len != n * POOL_BLOCK)
        return -EUCLEAN;
    for (size_t i = 0; i < n && err == 0; i++)
        err = pool_block_check(buf + i * POOL_BLOCK, b, index + i, NULL);
    return err;
}

/* Gives the records of a window to `fn`, block by block. */
static int give(const struct pool_body *b, const uint8_t *window, size_t blocks, uint64_t index,
                uint64_t *chain, pool_records_fn *fn, void *ctx)
{
    int err = 0;

    for (size_t i = 0; i < blocks && err == 0; i++) {
        const uint8_t *block = window + i * POOL_BLOCK;

        *chain = pool_chain(*chain, get_le64(block));
        err = fn(ctx, block + POOL_BLOCK_HEAD, pool_block_count(b, index + i),
                 (index + i) * pool_body_per_block(b->kind));
    }
    return err;
}

int pool_body_each(struct disk_file *file, const struct pool_body *b, pool_records_fn *fn,
                   void *ctx)
{
    CLEANUP_FREE uint8_t *window = malloc((size_t)POOL_WINDOW * POOL_BLOCK);
    uint64_t blocks = pool_body_blocks(b), chain = 0;
    int err = window ? 0 : -ENOMEM;

    for (uint64_t i = 0; i < blocks && err == 0; i += POOL_WINDOW) {
        size_t n = blocks - i < POOL_WINDOW ? (size_t)(blocks - i) : POOL_WINDOW;

        err = pool_body_read(file, b, i, n, window);
        if (err == 0)
            err = give(b, window, n, i, &chain, fn, ctx);
    }
    return err == 0 && chain != b->chain ? -EUCLEAN : err;
}
