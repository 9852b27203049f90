// SPDX-License-Identifier: Apache-2.0
/*
 * draft: a store in memory, and a namespace "draft" of it into which a test loads records. Each
 * record goes through the codec first, so none is tried that a reader would not give.
 */
#pragma once

#include "check_fixture.h"
#include "flush.h"
#include "load.h"

struct draft {
    struct fixture store;
    struct ns *ns;
    const struct tree_observer *observer; /* of its tree, when nothing is loaded */
    struct load *load;
    struct image_stream stream;
    uint64_t inodes, contents; /* the last numbers */
    struct strbuf why;
};

static inline void draft_begin(struct draft *d)
{
    uint8_t head[IMAGE_HEAD];
    struct vfs_attr a;

    cr_assert_eq(vfs_mknod(d->store.p, VFS_ROOT, "draft", S_IFDIR | 0755, 0, &fixture_cred, &a), 0);
    vfs_forget(d->store.p, a.nodeid, 1);
    cr_assert_eq(ns_get_by_name(d->store.p, "draft", &d->ns), 0);
    d->observer = d->ns->tree.observer;
    d->ns->tree.observer = NULL;
    cr_assert_eq(load_open(d->store.p, d->ns, &(struct vfs_cred){.uid = 0}, &d->load), 0);
    image_begin(&d->stream, head);
    d->inodes = d->contents = 0;
    d->why = (struct strbuf)STRBUF_INIT;
}

/* Ends the load, wherever it is. */
static inline void draft_end(struct draft *d)
{
    load_close(d->load);
    d->load = NULL;
    d->ns->tree.observer = d->observer;
    ns_put(d->store.p, d->ns);
    strbuf_release(&d->why);
}

static inline int draft_try(struct draft *d, const struct image_record *r)
{
    static uint8_t buf[IMAGE_RECORD_MAX];
    struct image_stream writer = d->stream;
    struct image_record got;
    size_t n = image_put(&writer, r, buf), used;

    if (r->len)
        memcpy(buf + n, r->data, r->len);
    cr_assert_eq(image_next(&d->stream, buf, n + r->len, &used, &got), 0);
    return load_take(d->load, &got, &d->why);
}

static inline void draft_take(struct draft *d, const struct image_record *r)
{
    cr_assert_eq(draft_try(d, r), 0, "record %llu, type %d: %s",
                 (unsigned long long)d->stream.records, r->type, d->why.s);
}

/* ---- records ---- */

static inline uint64_t add_content(struct draft *d, const void *bytes, size_t len)
{
    struct image_record r = {.type = IMAGE_CONTENT, .number = ++d->contents, .length = len};

    for (size_t at = 0; at < len; at += r.len) {
        r.offset = at;
        r.data = (const uint8_t *)bytes + at;
        r.len = len - at < IMAGE_PIECE_MAX ? len - at : IMAGE_PIECE_MAX;
        draft_take(d, &r);
    }
    return d->contents;
}

static inline struct image_record inode_record(struct draft *d, uint32_t mode)
{
    return (struct image_record){.type = IMAGE_INODE,
                                 .number = ++d->inodes,
                                 .mode = mode,
                                 .uid = 7,
                                 .gid = 8,
                                 .mtime = (int64_t)d->inodes * 1000003};
}

static inline uint64_t add_inode(struct draft *d, uint32_t mode)
{
    struct image_record r = inode_record(d, mode);

    draft_take(d, &r);
    return r.number;
}

static inline uint64_t add_regular(struct draft *d, uint64_t content, uint64_t size)
{
    struct image_record r = inode_record(d, S_IFREG | 0640);

    r.content = content;
    r.size = size;
    draft_take(d, &r);
    return r.number;
}

static inline struct image_record named_record(enum image_type type, uint64_t parent,
                                               const char *name, uint64_t number)
{
    return (struct image_record){.type = type,
                                 .parent = parent,
                                 .number = number,
                                 .name = name,
                                 .name_len = strlen(name)};
}

static inline int try_entry(struct draft *d, uint64_t parent, const char *name, uint64_t number)
{
    struct image_record r = named_record(IMAGE_ENTRY, parent, name, number);

    return draft_try(d, &r);
}

static inline void add_entry(struct draft *d, uint64_t parent, const char *name, uint64_t number)
{
    struct image_record r = named_record(IMAGE_ENTRY, parent, name, number);

    draft_take(d, &r);
}

static inline void add_remove(struct draft *d, uint64_t parent, const char *name)
{
    struct image_record r = named_record(IMAGE_REMOVE, parent, name, 0);

    draft_take(d, &r);
}

static inline uint64_t add_directory(struct draft *d, uint64_t parent, const char *name)
{
    uint64_t dir = add_inode(d, S_IFDIR | 0750);

    add_entry(d, parent, name, dir);
    return dir;
}

static inline uint64_t add_file(struct draft *d, uint64_t parent, const char *name,
                                const void *bytes, size_t len)
{
    uint64_t content = len ? add_content(d, bytes, len) : 0;
    uint64_t file = add_regular(d, content, len);

    add_entry(d, parent, name, file);
    return file;
}

static inline uint64_t add_text(struct draft *d, uint64_t parent, const char *name,
                                const char *text)
{
    return add_file(d, parent, name, text, strlen(text));
}

static inline int try_xattr(struct draft *d, uint64_t inode, const char *name, const void *value,
                            size_t len)
{
    return draft_try(d, &(struct image_record){.type = IMAGE_XATTR,
                                               .number = inode,
                                               .name = name,
                                               .name_len = strlen(name),
                                               .data = len ? value : NULL,
                                               .len = len});
}

static inline int try_end(struct draft *d)
{
    return draft_try(d, &(struct image_record){.type = IMAGE_END, .number = d->stream.records});
}

/* ---- what came of it ---- */

static inline struct vfs_attr attr_of(struct draft *d, const char *path)
{
    struct vfs_attr a;
    uint64_t node = node_of(&d->store, path);

    cr_assert(node, "no %s", path);
    cr_assert_eq(vfs_getattr(d->store.p, node, &a), 0, "%s", path);
    return a;
}

static inline void has_bytes_at(struct draft *d, const char *path, const void *bytes, size_t len)
{
    uint8_t *got = malloc(len + 1);
    struct vfs_file *f;
    ssize_t n = 0;
    size_t at = 0;

    cr_assert_eq(vfs_open(d->store.p, node_of(&d->store, path), 0, &f), 0, "%s", path);
    while (at < len + 1 && (n = vfs_read(f, got + at, len + 1 - at, at)) > 0)
        at += (size_t)n;
    cr_assert_eq(n, 0, "%s: %zd", path, n);
    vfs_release(f);
    cr_assert_eq(at, len, "%s has %zu bytes", path, at);
    cr_assert(len == 0 || memcmp(got, bytes, len) == 0, "%s has other bytes", path);
    free(got);
}

static inline void has_text_at(struct draft *d, const char *path, const char *text)
{
    has_bytes_at(d, path, text, strlen(text));
}

/* Everything is committed, the store is sound, and is opened again. */
static inline void draft_is_sound(struct draft *d)
{
    struct findings f;

    down_clean(&d->store);
    is_clean(&d->store, &f);
    fixture_open(&d->store);
}
