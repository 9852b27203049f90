// SPDX-License-Identifier: Apache-2.0
/* xattr_fixture: attributes of files in few words. */
#pragma once

#include "check_fixture.h"

#define BIG 65536u

static uint8_t big[BIG + 1];
static uint8_t read_back[BIG + 1];

static inline void fill_big(unsigned seed)
{
    uint64_t state = seed + 1;

    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (uint8_t)fault_random(&state);
}

static inline int set_bytes(struct fixture *x, const char *path, const char *name,
                            const void *value, size_t len, unsigned flags)
{
    return vfs_setxattr(x->p, node_of(x, path), name, value, len, flags);
}

static inline int set_text(struct fixture *x, const char *path, const char *name, const char *text)
{
    return set_bytes(x, path, name, text, strlen(text), 0);
}

static inline ssize_t get(struct fixture *x, const char *path, const char *name)
{
    return vfs_getxattr(x->p, node_of(x, path), name, read_back, sizeof read_back);
}

static inline int unset(struct fixture *x, const char *path, const char *name)
{
    return vfs_removexattr(x->p, node_of(x, path), name);
}

static inline void has_bytes(struct fixture *x, const char *path, const char *name,
                             const void *value, size_t len)
{
    cr_assert_eq(get(x, path, name), (ssize_t)len, "%s of %s: %zd", name, path, get(x, path, name));
    cr_assert_eq(memcmp(read_back, value, len), 0, "%s of %s", name, path);
}

static inline void has_text(struct fixture *x, const char *path, const char *name, const char *text)
{
    has_bytes(x, path, name, text, strlen(text));
}

/* The names, sorted, with a blank behind each. */
static inline const char *names_of(struct fixture *x, const char *path, bool trusted)
{
    static char text[BIG * 2];
    char list[BIG], *name[64];
    size_t count = 0;
    ssize_t n = vfs_listxattr(x->p, node_of(x, path), list, sizeof list, trusted);

    cr_assert_geq(n, 0);
    cr_assert_eq(vfs_listxattr(x->p, node_of(x, path), NULL, 0, trusted), n);
    for (ssize_t i = 0; i < n; i += (ssize_t)strlen(list + i) + 1)
        name[count++] = list + i;
    for (size_t i = 0; i < count; i++) /* few */
        for (size_t j = i + 1; j < count; j++)
            if (strcmp(name[i], name[j]) > 0) {
                char *t = name[i];
                name[i] = name[j];
                name[j] = t;
            }
    text[0] = 0;
    for (size_t i = 0, at = 0; i < count; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s ", name[i]);
    return text;
}

static inline struct vfs_attr stat_of(struct fixture *x, const char *path)
{
    struct vfs_attr a;

    cr_assert_eq(vfs_getattr(x->p, node_of(x, path), &a), 0, "%s", path);
    return a;
}

static inline void make_dir(struct fixture *x, const char *path, uint32_t mode,
                            const struct vfs_cred *cred)
{
    const char *name;
    uint64_t dir = parent_of(x, path, &name);
    struct vfs_attr a;

    cr_assert_eq(vfs_mknod(x->p, dir, name, S_IFDIR | mode, 0, cred, &a), 0, "%s", path);
    vfs_forget(x->p, a.nodeid, 1);
}
