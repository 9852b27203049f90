// SPDX-License-Identifier: Apache-2.0
/* path: see the header. */
#include "path.h"
#include <sys/stat.h>

/* A walk that ends at what it looks for. */
struct finding {
    const struct walk *tree;
    uint64_t ino;
    struct inode *inode; /* where the inode goes; NULL: an entry is looked for */
    struct path *path;
    struct key key;
};

void path_begin(struct path *p)
{
    p->start = p->room - 1;
    p->text[p->start] = 0;
    p->cut = false;
}

void path_prepend(struct path *p, const char *name, size_t len)
{
    char text[PATH_ESCAPED_MAX];
    bool first = p->start == p->room - 1;

    if (p->escape) {
        len = p->escape(name, len, text);
        name = text;
    }
    if (p->cut || len + !first + 4 > p->start) {
        p->cut = true;
        return;
    }
    if (!first)
        p->text[--p->start] = '/';
    p->start -= len;
    memcpy(p->text + p->start, name, len);
}

static int take_inode(struct key k, const void *val, size_t len, void *ctx)
{
    const struct finding *f = ctx;

    (void)k;
    return inode_decode(val, len, f->inode) == 0;
}

static int take_entry(struct key k, const void *val, size_t len, void *ctx)
{
    struct finding *f = ctx;
    struct dirent_item d;

    if (key_type(k) != ITEM_DIRENT || dirent_decode(val, len, &d) < 0 || d.ino != f->ino)
        return 0;
    if (f->path)
        path_prepend(f->path, d.name, d.name_len);
    f->key = k;
    return 1;
}

static int find_dirent(struct finding *f, struct key from, struct key to)
{
    struct walk w = *f->tree;

    w.from = from;
    w.to = to;
    w.fn = f->inode ? take_inode : take_entry;
    w.ctx = f;
    return walk_items(&w);
}

int path_load_inode(const struct walk *tree, uint64_t ino, struct inode *ret)
{
    struct finding f = {.tree = tree, .inode = ret};
    struct key k = key_make(ino, ITEM_INODE, 0);

    return find_dirent(&f, k, k);
}

int path_find_entry(const struct walk *tree, uint64_t dir, uint64_t ino, struct path *p,
                    struct key *ret_key)
{
    struct finding f = {.tree = tree, .ino = ino, .path = p};
    int found = find_dirent(&f, key_make(dir, ITEM_DIRENT, 0),
                            key_make(dir ? dir : KEY_INO_MAX, ITEM_DIRENT, UINT64_MAX));

    if (ret_key)
        *ret_key = f.key;
    return found;
}

int path_climb(const struct walk *tree, uint64_t dir, struct path *p)
{
    for (unsigned depth = 0; dir != p->top; depth++) {
        struct inode in;
        int found = depth < p->depth && path_load_inode(tree, dir, &in) == 1 && S_ISDIR(in.mode);
        if (found)
            found = path_find_entry(tree, in.parent, dir, p, NULL);
        if (found != 1)
            return found;
        dir = in.parent;
    }
    return 1;
}
