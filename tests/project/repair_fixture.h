// SPDX-License-Identifier: Apache-2.0
/* repair_fixture: repair a planted store, and keep what it says. */
#pragma once

#include "plant.h"
#include "repair.h"

struct said {
    char found[16384], repaired[16384], left[16384];
    struct repair_result r;
};

static inline void note_line(char *to, size_t room, const char *what, const char *where,
                             const char *sentence)
{
    size_t n = strlen(to);

    snprintf(to + n, room - n, "%s|%s|%s\n", what, where, sentence);
}
static inline void on_first(const char *what, const char *where, const char *sentence, void *ctx)
{
    struct said *s = ctx;
    note_line(s->found, sizeof s->found, what, where, sentence);
}
static inline void on_repaired(const char *what, const char *where, const char *sentence, void *ctx)
{
    struct said *s = ctx;
    note_line(s->repaired, sizeof s->repaired, what, where, sentence);
}
static inline void on_left(const char *what, const char *where, const char *sentence, void *ctx)
{
    struct said *s = ctx;
    note_line(s->left, sizeof s->left, what, where, sentence);
}

static inline int try_repair(struct fixture *x, unsigned flags, struct said *s)
{
    struct repair_options o = {.flags = flags,
                               .clock = &x->clock.base,
                               .check = {.found = on_first, .ctx = s},
                               .repaired = on_repaired,
                               .left = on_left};
    struct kv *kv;
    int err;

    *s = (struct said){.r = {.left = 0}};
    cr_assert_eq(kv_open_mem(x->mem, project_tables, project_table_count, 0, &kv), 0);
    err = project_repair(x->disk, kv, &o, &s->r);
    kv_close(kv);
    return err;
}

static inline void repair(struct fixture *x, unsigned flags, struct said *s)
{
    int err = try_repair(x, flags, s);

    cr_assert_eq(err, 0, "%s\nfound:\n%srepaired:\n%s", strerror(-err), s->found, s->repaired);
}

/* The store with this damage; the project is closed. */
static inline void damaged(struct fixture *x, void (*plant)(struct fixture *))
{
    plant_setup(x);
    plant(x);
    down_clean(x);
}

static inline void read_file(struct fixture *x, const char *path, const char *text)
{
    struct vfs_file *f;
    char buf[256] = "";

    cr_assert(node_of(x, path), "no %s", path);
    cr_assert_eq(vfs_open(x->p, node_of(x, path), 0, &f), 0);
    cr_assert_eq(vfs_read(f, buf, sizeof buf - 1, 0), (ssize_t)strlen(text), "%s", path);
    cr_assert_str_eq(buf, text);
    vfs_release(f);
}

/* What plant_setup made, `deep` and `other` under these paths. */
static inline void is_whole(struct fixture *x, const char *deep, const char *other)
{
    char target[4096];

    fixture_open(x);
    read_file(x, "main/file", "some content");
    read_file(x, deep, "further below");
    read_file(x, other, "another content");
    cr_assert_eq(vfs_readlink(x->p, node_of(x, "main/symlink"), target, sizeof target), 0);
    cr_assert_str_eq(target, "dir/sub");
    down_clean(x);
}
