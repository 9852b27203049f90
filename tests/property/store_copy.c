// SPDX-License-Identifier: Apache-2.0
/* store_copy: see the header. */
#include "store_copy.h"

#include "disk_mem.h"
#include "random_tree.h"
#include "record.h"
#include "store.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- the disk ---- */

struct copying {
    struct disk *from, *to;
    const char *dir;
};

static void copy_bytes(struct disk_file *in, struct disk_file *out)
{
    struct disk_stat st;
    uint8_t *buf;

    CHECK(disk_fstat(in, &st) == 0);
    buf = malloc(st.size + 1);
    CHECK(buf && disk_pread(in, buf, st.size, 0) == (ssize_t)st.size);
    CHECK(st.size == 0 || disk_pwrite(out, buf, st.size, 0) == 0);
    CHECK(disk_sync(out) == 0);
    free(buf);
}

static void copy_dir(struct copying *c);

static int copy_name(const char *name, void *ctx)
{
    const struct copying *c = ctx;
    struct disk_file *in, *out;
    char path[DISK_NAME_MAX + 1];
    struct copying below = {c->from, c->to, path};
    struct disk_stat st;

    snprintf(path, sizeof path, "%s%s%.60s", c->dir, *c->dir ? "/" : "", name);
    if (disk_stat(c->from, path, &st) < 0) {
        CHECK(disk_mkdir(c->to, path) == 0);
        copy_dir(&below);
        return 0;
    }
    CHECK(disk_open(c->from, path, DISK_READ, &in) == 0);
    CHECK(disk_open(c->to, path, DISK_WRITE | DISK_CREATE, &out) == 0);
    copy_bytes(in, out);
    disk_file_close(in);
    disk_file_close(out);
    return 0;
}

static void copy_dir(struct copying *c)
{
    CHECK(disk_list(c->from, c->dir, copy_name, c) == 0);
    CHECK(disk_sync_dir(c->to, c->dir) == 0);
}

void store_copy_disk(struct disk *from, struct disk **ret)
{
    struct copying c = {.from = from, .dir = ""};

    CHECK(disk_mem_create(NULL, 0, &c.to) == 0);
    copy_dir(&c);
    *ret = c.to;
}

/* ---- the tables ---- */

static void copy_table(struct kv_snap *snap, struct kv_txn *t, unsigned table)
{
    struct kv_each e = {.snap = snap, .table = table};

    while (kv_next(&e)) {
        CHECK(e.len != KV_DAMAGED);
        e.err = kv_put(t, table, e.key, e.klen, e.val, e.len);
    }
    CHECK(e.err == 0);
}

void store_copy_kv(struct kv_mem *from, struct kv_mem **ret)
{
    struct kv *in, *out;
    struct kv_snap *snap;
    struct kv_txn *t;

    CHECK(kv_mem_create(NULL, ret) == 0);
    CHECK(kv_open_mem(from, store_tables, store_table_count, 0, &in) == 0);
    CHECK(kv_open_mem(*ret, store_tables, store_table_count, KV_CREATE, &out) == 0);
    CHECK(kv_snap_begin(in, &snap) == 0 && kv_txn_begin(out, &t) == 0);
    for (unsigned i = 0; i < store_table_count; i++)
        copy_table(snap, t, i);
    CHECK(kv_commit(t) == 0);
    kv_snap_end(snap);
    kv_close(in);
    kv_close(out);
}
