// SPDX-License-Identifier: Apache-2.0
/* merge_paths: see the header. */
#include "merge_paths.h"
#include "ino_names.h"
#include "merge_twins.h"
#include "ns_label.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MEMORY ((size_t)64 * 1024 * 1024) /* bytes of what is known of names */

/* Where a path ends: a name in a directory. */
struct spot {
    uint64_t dir;
    char name[ITEM_NAME_MAX + 1];
};

/* Takes the first name of an inode. */
static int take_name(struct key at, const struct dirent_item *e, void *ctx)
{
    struct spot *spot = ctx;

    spot->dir = key_ino(at);
    memcpy(spot->name, e->name, e->name_len);
    spot->name[e->name_len] = '\0';
    return 1;
}

/* Finds one name of the inode, and the directories above it. 1: found; 0: it is not in that tree;
 * -EAGAIN as ino_names.h. The caller holds the lock of the tree. */
static int climb(struct ino_names *n, const struct merge_conflict *c, struct path *path)
{
    struct spot spot = {.dir = c->parent};
    struct inode in;
    int err;

    if (c->name) {
        path_prepend(path, c->name, strlen(c->name));
    } else {
        if (c->ino == NS_ROOT_INO)
            return 1;
        err = inode_load(n->tree, c->ino, &in);
        if (err == 0)
            err = ino_names_each(n, c->ino, S_ISDIR(in.mode) ? 1 : in.nlink, take_name, &spot);
        if (err <= 0)
            return err == -ESTALE ? 0 : err;
        path_prepend(path, spot.name, strlen(spot.name));
    }
    if (spot.dir != NS_ROOT_INO && inode_load(n->tree, spot.dir, &in) < 0)
        return 0;
    err = ino_names_climb(n, spot.dir, path);
    return err < 0 ? err : 1;
}

/* Finds the path in one tree. 1, 0, -errno. */
static int find_in(struct ns *ns, const struct merge_plan *m, const struct merge_conflict *c,
                   char text[PATH_MAX], const char **ret)
{
    struct diff_room room = {MEMORY};
    struct ino_names n = INO_NAMES_INIT(&ns->tree, &room);
    struct path path;
    int err;

    for (;;) {
        path = (struct path){
            .text = text, .room = PATH_MAX, .top = NS_ROOT_INO, .depth = INO_NAMES_DEPTH};
        path_begin(&path);
        {
            READ_GUARD(&ns->lock);
            err = climb(&n, c, &path);
        }
        if (err != -EAGAIN)
            break;
        err = ino_names_search(&n, &ns->lock, m->interrupted);
        if (err < 0)
            break;
    }
    ino_names_release(&n);
    *ret = path.text + path.start;
    return err;
}

static int compare(const void *a, const void *b)
{
    const struct merge_found *x = a, *y = b;
    int order = strcmp(x->path, y->path);

    return order ? order : (x->why > y->why) - (x->why < y->why);
}

int merge_paths(const struct merge_sides *s, const struct merge_plan *m, struct merge_result *ret)
{
    struct ns *const trees[] = {s->theirs, s->base, s->ours};
    char text[PATH_MAX];
    int err = 0;

    ret->conflicts = calloc(m->conflict_count, sizeof *ret->conflicts);
    if (!ret->conflicts)
        return -ENOMEM;
    for (size_t i = 0; i < m->conflict_count && err == 0; i++) {
        const char *path = "?";

        for (size_t j = 0; j < 3 && err == 0; j++)
            err = find_in(trees[j], m, &m->conflicts[i], text, &path);
        if (err == 0)
            path = "?";
        err = err < 0 && err != -ENAMETOOLONG && err != -EUCLEAN ? err : 0;
        ret->conflicts[i] =
            (struct merge_found){.why = m->conflicts[i].why, .path = strdup(path)};
        if (!ret->conflicts[i].path)
            err = -ENOMEM;
        ret->conflict_count = i + 1;
    }
    return err;
}

/* One place of a conflict. The number of a file that is a twin is that of ours. */
static int find_place(struct ns *ns, const char *label, const struct merge_plan *m, uint64_t ino,
                      char **ret)
{
    const struct merge_conflict c = {.ino = ino};
    char text[PATH_MAX];
    const char *path;
    int err = find_in(ns, m, &c, text, &path);

    if (err <= 0)
        return err == -ENAMETOOLONG || err == -EUCLEAN ? 0 : err;
    return asprintf(ret, "%s/%s", label, path) < 0 ? -ENOMEM : 0;
}

int merge_paths_all(struct state *p, const struct merge_sides *s, const struct merge_sides *named,
                    const struct merge_plan *m, struct merge_result *ret)
{
    char theirs[NS_LABEL_MAX], base[NS_LABEL_MAX], ours[NS_LABEL_MAX];
    int err = 0;

    ns_label(p, named->theirs, theirs);
    ns_label(p, named->base, base);
    ns_label(p, named->ours, ours);

    for (size_t i = 0; i < m->conflict_count && err == 0; i++) {
        struct merge_found *f = &ret->conflicts[i];
        uint64_t ino = m->conflicts[i].ino;

        if (f->why != MERGE_CONTENT)
            continue;
        err = find_place(s->theirs, theirs, m, merge_twins_in_theirs(m, ino), &f->theirs);
        if (err == 0)
            err = find_place(s->base, base, m, merge_twins_in_base(m, ino), &f->base);
        if (err == 0)
            err = find_place(s->ours, ours, m, ino, &f->ours);
    }
    return err;
}

void merge_paths_sort(struct merge_result *r)
{
    qsort(r->conflicts, r->conflict_count, sizeof *r->conflicts, compare);
}

static void free_found(struct merge_found *f)
{
    free(f->path);
    free(f->theirs);
    free(f->base);
    free(f->ours);
}

void merge_result_release(struct merge_result *r)
{
    for (size_t i = 0; i < r->conflict_count; i++)
        free_found(&r->conflicts[i]);
    free(r->conflicts);
    r->conflicts = NULL;
    r->conflict_count = 0;
}
