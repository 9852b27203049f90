// SPDX-License-Identifier: Apache-2.0
/* merge_tell: see the header. */
#include "merge_tell.h"
#include "array.h"
#include "ino_names.h"
#include "ns_label.h"
#include "report.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MEMORY ((size_t)64 * 1024 * 1024) /* bytes of what is known of names */
#define ROUNDS 16                         /* how often names that move are looked for */

/* ---- the names of one inode ---- */

struct spot {
    uint64_t dir;
    char name[ITEM_NAME_MAX + 1];
};
struct spots {
    struct spot *v;
    size_t count, room;
};

static int add_spot(struct key at, const struct dirent_item *e, void *ctx)
{
    struct spots *l = ctx;
    struct spot *s;

    if (ARRAY_RESERVE(l->v, l->room, l->count + 1) < 0)
        return -ENOMEM;
    s = &l->v[l->count++];
    s->dir = key_ino(at);
    memcpy(s->name, e->name, e->name_len);
    s->name[e->name_len] = '\0';
    return 0;
}

/* Lists the names as they are now. */
static int list_spots(struct ino_names *n, struct ns *ns, uint64_t ino, struct spots *l)
{
    struct inode in;
    int err;

    for (;;) {
        l->count = 0;
        {
            READ_GUARD(&ns->lock);
            err = inode_load(n->tree, ino, &in);
            if (err == 0)
                err = ino_names_each(n, ino, in.nlink, add_spot, l);
        }
        if (err != -EAGAIN)
            return err == -ESTALE ? 0 : err;
        err = ino_names_search(n, &ns->lock, NULL);
        if (err < 0)
            return err;
    }
}

/* A number that tells whether the names are those of the last round, in any order. */
static uint64_t sum_of(const struct spots *l)
{
    uint64_t sum = l->count;

    for (size_t i = 0; i < l->count; i++) {
        uint64_t hash = l->v[i].dir;

        for (const char *c = l->v[i].name; *c; c++)
            hash = (hash ^ (uint8_t)*c) * UINT64_C(0x100000001b3);
        sum += hash;
    }
    return sum;
}

/* Forgets all names of one inode. A rename that comes in between takes a name that was not
 * forgotten yet to another place, so the names are looked for until they stay. */
static int forget_names(struct state *p, struct ns *ns, struct ino_names *n, uint64_t ino,
                        struct spots *l)
{
    uint64_t sum = 0, last;
    int err = 0;

    for (unsigned i = 0; err == 0 && i < ROUNDS; i++) {
        n->all = false; /* the tree may have changed since */
        err = list_spots(n, ns, ino, l);
        last = sum;
        sum = sum_of(l);
        if (err < 0 || (i > 0 && sum == last))
            break;
        for (size_t s = 0; s < l->count; s++)
            event_name(p, vfs_node(ns->number, l->v[s].dir), l->v[s].name);
    }
    return err;
}

/* Those who have the file open go on with what it was; for all others it is another one. */
static void tell_left(struct state *p, struct ns *ns, const struct merge_inode *i)
{
    struct diff_room room = {MEMORY};
    struct ino_names n = INO_NAMES_INIT(&ns->tree, &room);
    struct spots l = {0};
    char label[NS_LABEL_MAX];
    int err = forget_names(p, ns, &n, i->ino, &l);

    if (err < 0) {
        ns_label(p, ns, label);
        report(REPORT_WARN,
               "the kernel may go on showing what inode %llu of %s was, until it is closed (%s)",
               (unsigned long long)i->ino, label, strerror(-err));
    }
    event_stale(p, i->left);
    ino_names_release(&n);
    free(l.v);
}

/* ---- all of it ---- */

static uint64_t node_of(struct ns *ns, uint64_t ino)
{
    READ_GUARD(&ns->lock);

    return ns_node_of(ns, ino);
}

void merge_tell(struct state *p, struct ns *ours, const struct merge_plan *m)
{
    for (size_t i = 0; i < m->name_count; i++)
        event_name(p, vfs_node(ours->number, m->names[i].parent), m->names[i].name);
    for (size_t i = 0; i < m->dir_count; i++)
        event_stale(p, vfs_node(ours->number, m->dirs[i].ino));
    for (size_t i = 0; i < m->link_count; i++)
        event_stale(p, node_of(ours, m->links[i].ino));
    for (size_t i = 0; i < m->inode_count; i++) {
        if (m->inodes[i].left)
            tell_left(p, ours, &m->inodes[i]);
        else
            event_bytes(p, node_of(ours, m->inodes[i].ino));
    }
}
