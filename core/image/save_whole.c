// SPDX-License-Identifier: Apache-2.0
/* save_whole: all of a tree, directory by directory, in the order of names. */
#include "save_impl.h"
#include "array.h"
#include "tree_walk.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

/* Notes the number of a directory, which is the last one on the way. */
static int note_directory(struct save *s, size_t depth, uint64_t number)
{
    int err = ARRAY_RESERVE(s->dirs, s->dirs_room, depth + 1);

    if (err == 0)
        s->dirs[depth] = number;
    return err;
}

/* An inode that the walk has reached by its first name. */
static int begin(struct save *s, const struct vfs_attr *a, const char *name, size_t depth)
{
    uint64_t ino = vfs_node_ino(a->nodeid), number = s->stream.inodes + 1;
    int err = save_begin_inode(s, ino, number);

    if (err == 0)
        err = save_begin_bytes(s);
    if (err == 0 && S_ISDIR(a->mode))
        err = note_directory(s, depth, number);
    else if (err == 0 && a->nlink > 1)
        err = map64_put(&s->numbers, ino, number);
    if (err < 0 || depth == 0)
        return err;
    s->now.name = name;
    s->now.parent = s->dirs[depth - 1];
    return 0;
}

int save_whole_next(struct save *s)
{
    const char *path, *name;
    struct vfs_attr a;
    size_t depth;
    uint64_t number;
    int err = 0;

    if (!s->walk)
        err = tree_walk_open(s->p, s->top, &s->walk);
    s->path = NULL;
    if (err == 0)
        err = tree_walk_next(s->walk, &path, &name, &depth, &a);
    if (err < 0)
        return err;
    s->path = path;
    if (S_ISDIR(a.mode) || !map64_get(&s->numbers, vfs_node_ino(a.nodeid), &number))
        return begin(s, &a, name, depth);
    return save_put(s, &(struct image_record){.type = IMAGE_ENTRY,
                                              .parent = s->dirs[depth - 1],
                                              .number = number,
                                              .name = name,
                                              .name_len = strlen(name)});
}

void save_whole_release(struct save *s)
{
    tree_walk_close(s->walk);
    free(s->dirs);
}
