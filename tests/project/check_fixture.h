// SPDX-License-Identifier: Apache-2.0
/*
 * check_fixture: a store in memory with something of everything in it, its tables picked and
 * changed behind its back, and what check finds then.
 */
#pragma once

#include "bytes.h"
#include "check.h"
#include "fixture.h"
#include "project_impl.h"
#include "recount.h"

/* Findings as lines "what|where|sentence". */
struct findings {
    char text[16384];
    struct check_result r;
};

static inline void on_found(const char *what, const char *where, const char *sentence, void *ctx)
{
    struct findings *f = ctx;
    size_t n = strlen(f->text);

    snprintf(f->text + n, sizeof f->text - n, "%s|%s|%s\n", what, where, sentence);
}

/* The store as the disk has it now; the project is closed or forgotten. */
static inline void examine(struct fixture *x, struct findings *f)
{
    struct check_options o = {.found = on_found, .ctx = f};
    struct kv *kv;

    *f = (struct findings){0};
    cr_assert_eq(kv_open_mem(x->mem, project_tables, project_table_count, KV_READONLY, &kv), 0);
    cr_assert_eq(project_check(x->disk, kv, &o, &f->r), 0);
    kv_close(kv);
}

static inline void down(struct fixture *x)
{
    project_abandon(x->p);
    kv_close(x->kv);
    x->p = NULL;
    x->kv = NULL;
}

static inline void down_clean(struct fixture *x)
{
    cr_assert_eq(project_drain(x->p, true, -1, NULL), 0);
    down(x);
}

static inline void is_clean(struct fixture *x, struct findings *f)
{
    examine(x, f);
    cr_assert_eq(f->r.problems, 0, "%s", f->text);
    cr_assert_eq(f->text[0], 0, "%s", f->text);
}

/* Exactly one problem: this. */
static inline void is_only(struct findings *f, const char *what, const char *where)
{
    char line[256];

    snprintf(line, sizeof line, "%s|%s|", what, where);
    cr_assert_eq(f->r.problems, 1, "%llu problems:\n%s", (unsigned long long)f->r.problems,
                 f->text);
    cr_assert(strstr(f->text, line), "no '%s' in:\n%s", line, f->text);
}

static inline void put_big(struct fixture *x, const char *path, size_t len)
{
    const char *name;
    struct vfs_file *f;
    struct vfs_attr a;
    uint64_t dir = parent_of(x, path, &name);
    uint8_t *buf = malloc(len);

    for (size_t i = 0; i < len; i++)
        buf[i] = (uint8_t)(i * 31 + i / 4096);
    cr_assert_eq(vfs_create(x->p, dir, name, 0644, &fixture_cred, VFS_WRITE, &a, &f), 0);
    cr_assert_eq(vfs_write(f, buf, len, 0), (ssize_t)len);
    vfs_release(f);
    vfs_forget(x->p, a.nodeid, 1);
    free(buf);
}

static inline void branch(struct fixture *x, const char *from, const char *to)
{
    uint64_t seq;
    uint32_t number;

    cr_assert_eq(ns_branch(x->p, from, to, &seq, &number), 0);
}

/* Small files, a large one, a branch that shares and one that has parted. */
static inline void populate(struct fixture *x)
{
    char path[64], text[64];

    for (int i = 0; i < 300; i++) {
        snprintf(path, sizeof path, "main/file%d", i);
        snprintf(text, sizeof text, "content %d", i / 2);
        put_file(x, path, text);
    }
    put_big(x, "main/big", 300000);
    branch(x, "main", "same");
    branch(x, "main", "other");
    put_file(x, "other/file1", "another content");
    remove_file(x, "other/file2");
}

static inline void setup(struct fixture *x)
{
    fixture_setup(x);
    populate(x);
    down_clean(x);
}

/* The first entry of a table that `want` likes: its key and value. */
struct found {
    uint8_t key[64], val[9000];
    size_t klen, len;
};
typedef bool want_fn(const struct found *f);
typedef void change_fn(struct fixture *x, unsigned table, const struct found *f, size_t byte,
                       unsigned bit);

static inline void pick(struct fixture *x, unsigned table, want_fn *want, struct found *ret)
{
    const void *key = NULL, *val;
    size_t klen = 0, len;
    struct kv *kv;
    struct kv_snap *s;

    cr_assert_eq(kv_open_mem(x->mem, project_tables, project_table_count, KV_READONLY, &kv), 0);
    cr_assert_eq(kv_snap_begin(kv, &s), 0);
    for (bool ok = false; !ok;) {
        cr_assert_eq(kv_snap_seek(s, table, key, klen, klen > 0, &key, &klen, &val, &len), 0,
                     "nothing wanted in table %u", table);
        memcpy(ret->key, key, klen);
        memcpy(ret->val, val, len < sizeof ret->val ? len : sizeof ret->val);
        ret->klen = klen;
        ret->len = len;
        ok = !want || want(ret);
    }
    kv_snap_end(s);
    kv_close(kv);
}

static inline void put_at(struct fixture *x, unsigned table, const void *key, size_t klen,
                          const void *val, size_t len)
{
    struct kv *kv;
    struct kv_txn *t;

    cr_assert_eq(kv_open_mem(x->mem, project_tables, project_table_count, 0, &kv), 0);
    cr_assert_eq(kv_txn_begin(kv, &t), 0);
    cr_assert_eq(kv_put(t, table, key, klen, val, len), 0);
    cr_assert_eq(kv_commit(t), 0);
    kv_close(kv);
}

static inline void put(struct fixture *x, unsigned table, const void *key, const void *val,
                       size_t len)
{
    put_at(x, table, key, 8, val, len);
}

/* Something false was written: its checksum is right. */
static inline void alter(struct fixture *x, unsigned table, const struct found *f, size_t byte,
                         unsigned bit)
{
    struct found other = *f;

    cr_assert_lt(byte, f->len);
    other.val[byte] ^= (uint8_t)(1u << bit);
    put_at(x, table, f->key, f->klen, other.val, f->len);
}

/* What was written is no longer what is there. */
static inline void flip(struct fixture *x, unsigned table, const struct found *f, size_t byte,
                        unsigned bit)
{
    cr_assert_eq(kv_mem_flip(x->mem, table, f->key, f->klen, byte, bit), 0);
}

static inline struct entry entry_of(const struct found *f)
{
    struct entry e;

    cr_assert_eq(entry_decode(f->val, f->len, &e), 0);
    return e;
}

static inline bool in_pack(const struct found *f)
{
    return entry_of(f).kind == ENTRY_PACK;
}
static inline bool in_file(const struct found *f)
{
    return entry_of(f).kind == ENTRY_FILE;
}
static inline bool in_slot(const struct found *f)
{
    return entry_of(f).kind == ENTRY_SLOT;
}
static inline bool a_leaf(const struct found *f)
{
    return page_level(f->val) == 0;
}
static inline bool with_objects(const struct found *f)
{
    for (unsigned i = 0; a_leaf(f) && i < page_count(f->val); i++) {
        size_t len;
        const uint8_t *v = page_value(f->val, i, &len);
        if (item_object(page_key(f->val, i), v, len))
            return true;
    }
    return false;
}
static inline bool an_inner(const struct found *f)
{
    return page_level(f->val) > 0;
}
