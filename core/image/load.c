// SPDX-License-Identifier: Apache-2.0
/*
 * load: see the header. This file has the inodes, and gives each record to who takes it.
 */
#include "load_impl.h"
#include "flush.h"
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>

int load_fail(struct load *l, int err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    strbuf_vaddf(l->why, fmt, ap);
    va_end(ap);
    return err;
}

int load_fail_removed(struct load *l, uint64_t number)
{
    return load_fail(l, -EINVAL, "inode %llu of the stream is used after it was removed",
                     (unsigned long long)number);
}

int load_wait(struct load *l)
{
    int err = state_writable(l->p);

    if (err == 0)
        err = flush_throttle(l->p);
    return err == 0 ? flush_room(l->p) : err;
}

/* ---- which inode of the namespace it is ---- */

/* Notes that the next number of the stream is that inode. */
static int add_inode(struct load *l, uint64_t ino)
{
    const struct load_run *last = l->run_count ? &l->runs[l->run_count - 1] : NULL;
    size_t room = l->run_room ? 2 * l->run_room : 64;
    struct load_run *runs;

    if (!last || last->ino + (l->inodes + 1 - last->number) != ino) {
        if (l->run_count == l->run_room) {
            runs = reallocarray(l->runs, room, sizeof *runs);
            if (!runs)
                return -ENOMEM;
            l->runs = runs;
            l->run_room = room;
        }
        l->runs[l->run_count++] = (struct load_run){l->inodes + 1, ino};
    }
    l->inodes++;
    return 0;
}

/* The inode of a number that has come. */
static uint64_t find_ino(const struct load *l, uint64_t number)
{
    size_t low = 0, high = l->run_count;
    uint64_t met;

    if (map64_get(&l->met, number, &met))
        return met;
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;

        if (l->runs[mid].number <= number)
            low = mid;
        else
            high = mid;
    }
    return l->runs[low].ino + (number - l->runs[low].number);
}

/* ---- the cache ---- */

/* Writes an inode into the tree, which counts its object from then on. */
static int write_back(struct load *l, struct load_inode *i)
{
    int err = i->number && i->dirty ? inode_store(&l->ns->tree, i->ino, &i->in) : 0;

    if (err < 0)
        return err;
    i->dirty = false;
    if (i->held)
        refs_unhold(l->p->refs, i->held);
    i->held = 0;
    return 0;
}

int load_inodes_forget(struct load *l)
{
    int err = 0;

    for (size_t i = 0; i < 2 * LOAD_SETS && err == 0; i++)
        err = write_back(l, &l->cached[i / 2][i % 2]);
    if (err == 0)
        memset(l->cached, 0, sizeof l->cached);
    return err;
}

/* The inode of that number, if the cache has it; NULL. */
static struct load_inode *find_cached(struct load *l, uint64_t number)
{
    size_t set = number % LOAD_SETS;

    for (uint8_t i = 0; i < 2; i++)
        if (l->cached[set][i].number == number) {
            l->recent[set] = i;
            return &l->cached[set][i];
        }
    return NULL;
}

/* Frees a place in the cache for that number. */
static int make_place(struct load *l, uint64_t number, struct load_inode **ret)
{
    size_t set = number % LOAD_SETS;
    struct load_inode *i = &l->cached[set][1 - l->recent[set]];
    int err = write_back(l, i);

    if (err < 0)
        return err;
    l->recent[set] = 1 - l->recent[set];
    *i = (struct load_inode){0};
    *ret = i;
    return 0;
}

int load_inode_get(struct load *l, uint64_t number, struct load_inode **ret)
{
    struct inode in;
    uint64_t ino;
    int err;

    *ret = find_cached(l, number);
    if (*ret)
        return 0;
    ino = find_ino(l, number);
    err = inode_load(&l->ns->tree, ino, &in);
    if (err == -ESTALE)
        return load_fail_removed(l, number);
    if (err == 0)
        err = make_place(l, number, ret);
    if (err == 0)
        **ret = (struct load_inode){.number = number, .ino = ino, .in = in};
    return err;
}

/* ---- records of inodes ---- */

void load_set_attributes(struct load *l, const struct image_record *r, struct inode *in)
{
    in->mode = r->mode;
    in->uid = r->uid;
    in->gid = r->gid;
    in->rdev = r->rdev;
    in->atime = in->mtime = r->mtime;
    in->ctime = now(l->p);
}

/* Stores the target of a symlink in pieces, as items do not take all of a long one. */
static int put_target(struct load *l, uint64_t ino, const struct image_record *r)
{
    int err = 0;

    for (size_t at = 0, i = 0; err == 0 && at < r->len; i++, at += ITEM_SYMLINK_PIECE) {
        size_t n = r->len - at < ITEM_SYMLINK_PIECE ? r->len - at : ITEM_SYMLINK_PIECE;

        err = tree_put(&l->ns->tree, key_make(ino, ITEM_SYMLINK, i), (const char *)r->data + at, n);
    }
    return err;
}

/* Finds the number in the namespace. */
static int new_number(struct load *l, const struct image_record *r, uint64_t *ret_ino)
{
    int err;

    *ret_ino = r->number == IMAGE_ROOT ? l->root : load_content_adopt(l, r->content, r->number);
    if (r->number == IMAGE_ROOT && !S_ISDIR(r->mode))
        return load_fail(l, -EINVAL, "the root of the stream is no directory");
    if (*ret_ino)
        return 0;
    err = ns_need_ino(l->p, l->ns);
    if (err == 0)
        *ret_ino = ns_give_ino(l->ns);
    return err;
}

/* The directory that the stream is put at. What is in it stays. */
static int begin_root(struct load *l, const struct image_record *r, struct load_inode *i)
{
    int err = inode_load(&l->ns->tree, i->ino, &i->in);

    if (err == 0 && load_is_old(l, i->ino)) {
        err = map64_put(&l->described, i->ino, false);
        return err < 0 ? err : load_describe(l, r, i);
    }
    load_set_attributes(l, r, &i->in);
    i->in.btime = i->in.ctime;
    return err;
}

/* An inode that is new. Until its first entry it has no name and no parent. */
static int begin_inode(struct load *l, const struct image_record *r)
{
    struct load_inode *i;
    uint64_t ino = 0;
    int err = new_number(l, r, &ino);

    if (err == 0)
        err = make_place(l, r->number, &i);
    if (err == 0)
        err = add_inode(l, ino);
    if (err < 0)
        return err;
    *i = (struct load_inode){.number = r->number, .ino = ino, .dirty = true};
    if (r->number == IMAGE_ROOT)
        return begin_root(l, r, i);
    i->in = (struct inode){.nlink = S_ISDIR(r->mode) ? 2 : 0, .size = r->size};
    load_set_attributes(l, r, &i->in);
    i->in.btime = i->in.ctime;
    l->unnamed++;
    err = load_note_implied(l, r);
    if (err == 0 && r->content)
        err = load_content_give(l, r->content, i);
    return err == 0 && S_ISLNK(r->mode) ? put_target(l, ino, r) : err;
}

/* Other attributes for a directory that came before, or for an empty file, which may get a content
 * with them. */
static int change_inode(struct load *l, const struct image_record *r)
{
    struct load_inode *i;
    int err = load_inode_get(l, r->number, &i);

    if (err < 0)
        return err;
    if ((r->mode ^ i->in.mode) & S_IFMT || S_ISLNK(r->mode) ||
        (S_ISREG(r->mode) && i->in.size > 0))
        return load_fail(l, -EINVAL, "inode %llu comes twice, and is no directory or empty file",
                         (unsigned long long)r->number);
    if (load_is_old(l, i->ino))
        return load_describe(l, r, i);
    err = load_note_implied(l, r);
    if (err < 0)
        return err;
    load_set_attributes(l, r, &i->in);
    i->dirty = true;
    if (S_ISREG(r->mode))
        i->in.size = r->size;
    return r->content ? load_content_give(l, r->content, i) : 0;
}

/* May who gives the stream have such a file? */
static int check_rights(struct load *l, const struct image_record *r)
{
    const bool device = S_ISCHR(r->mode) || S_ISBLK(r->mode);

    if (l->cred.uid == 0 || (r->uid == l->cred.uid && r->gid == l->cred.gid && !device))
        return 0;
    return load_fail(l, -EPERM, "inode %llu is %s: only root may import that",
                     (unsigned long long)r->number, device ? "a device" : "somebody else's");
}

static int take_inode(struct load *l, const struct image_record *r)
{
    int err = check_rights(l, r);

    if (err < 0)
        return err;
    LOAD_GUARD(l);

    return r->number > l->inodes ? begin_inode(l, r) : change_inode(l, r);
}

/* The END: all is in the tree. */
static int take_end(struct load *l)
{
    int err;

    if (l->unnamed)
        return load_fail(l, -EINVAL, "%llu inodes of the stream have no name",
                         (unsigned long long)l->unnamed);
    {
        LOAD_GUARD(l);
        err = load_inodes_forget(l);
    }
    return err == 0 ? load_contents_forget(l) : err;
}

int load_take(struct load *l, const struct image_record *r, struct strbuf *why)
{
    int err;

    l->why = why;
    err = load_wait(l);
    if (err == 0 && (r->type != IMAGE_CONTENT || r->number != l->piece.is.number))
        err = load_content_end(l);
    if (err < 0)
        return err;
    switch (r->type) {
    case IMAGE_CONTENT:
        return load_content_take(l, r);
    case IMAGE_INODE:
        err = r->content ? load_content_settle(l, r->content) : 0;
        return err == 0 ? take_inode(l, r) : err;
    case IMAGE_ENTRY:
        return load_entry_take(l, r);
    case IMAGE_XATTR:
        return load_xattr_take(l, r);
    case IMAGE_REMOVE:
        return load_remove_take(l, r);
    case IMAGE_OPAQUE:
        return load_opaque_take(l, r);
    default:
        return take_end(l);
    }
}

/* ---- begin and end ---- */

int load_open(struct state *p, struct ns *draft, const struct vfs_cred *cred, struct load **ret_l)
{
    struct load *l = calloc(1, sizeof *l);

    if (l)
        l->piece.buf = malloc(EXTENT_BLOCK);
    if (!l || !l->piece.buf) {
        free(l);
        return -ENOMEM;
    }
    l->p = p;
    l->ns = draft;
    l->cred = *cred;
    l->root = NS_ROOT_INO;
    *ret_l = l;
    return 0;
}

/* Notes which inodes are there before the stream: those that come get higher numbers. */
static int find_first(struct load *l, const char *path)
{
    int err;
    LOAD_GUARD(l);

    err = ns_need_ino(l->p, l->ns);
    if (err < 0)
        return err;
    l->first = l->ns->next_ino;
    return load_find_target(l, path);
}

int load_open_at(struct state *p, struct ns *draft, const struct vfs_cred *cred, const char *path,
                 struct load **ret_l, struct strbuf *why)
{
    struct load *l;
    int err = load_open(p, draft, cred, &l);

    if (err < 0)
        return err;
    l->why = why;
    err = cred->uid == 0 ? find_first(l, path)
                         : load_fail(l, -EPERM, "only root may import into what is there");
    if (err < 0)
        load_close(l);
    else
        *ret_l = l;
    return err;
}

void load_get_result(const struct load *l, struct load_result *ret)
{
    *ret = l->result;
}

void load_close(struct load *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < 2 * LOAD_SETS; i++)
        if (l->cached[i / 2][i % 2].held)
            refs_unhold(l->p->refs, l->cached[i / 2][i % 2].held);
    load_contents_release(l);
    map64_release(&l->implied);
    map64_release(&l->met);
    map64_release(&l->described);
    free(l->piece.buf);
    free(l->runs);
    free(l);
}
