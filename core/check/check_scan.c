// SPDX-License-Identifier: Apache-2.0
/*
 * check_scan: walks (walk.h) over one tree of the snapshot, in which damaged parts are skipped, and
 * the paths that lead to an inode.
 */
#include "check_impl.h"
#include "path.h"
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#define PATH_DEPTH 4096 /* directories that a path is followed upwards at most */

/* ---- the scan ---- */

struct scan {
    scan_fn *fn;
    void *ctx;
    bool hidden;
};

/* Load a page of the snapshot. An error that is no damage (memory, disk) makes the whole look
 * worthless: scan_err. The scan goes on behind the page. */
static int get_page(const struct walk *w, uint64_t no, struct walk_page *ret)
{
    struct check *c = w->pages;
    const void *p;
    size_t len;
    int err = kv_snap_get_number(c->snap, TABLE_PAGES, no, &p, &len);

    if (err < 0 && err != -ENOENT && err != -EUCLEAN)
        c->scan_err = err;
    if (err < 0 || len != PAGE_SIZE_BYTES || page_check(p, no, NULL) < 0)
        return -EUCLEAN;
    *ret = (struct walk_page){.data = p};
    return 0;
}

const struct walk_source check_pages = {.get = get_page};

/* Hand on an item that is sound. Another one counts as hidden. */
static int take_item(struct key k, const void *val, size_t len, void *ctx)
{
    struct scan *s = ctx;

    if (item_check(k, val, len) == 0)
        return s->fn(k, val, len, s->ctx);
    s->hidden = true;
    return 0;
}

int check_scan(struct check *c, uint64_t root, struct key from, scan_fn *fn, void *ctx,
               bool *ret_hidden)
{
    struct scan s = {.fn = fn, .ctx = ctx};
    struct walk w = {CHECK_TREE(c, &root), .from = from, WALK_ALL, .fn = take_item, .ctx = &s};
    int stop = walk_items(&w);

    if (ret_hidden)
        *ret_hidden = s.hidden || w.hidden;
    return stop;
}

bool check_inode(struct check *c, uint64_t root, uint64_t ino, struct inode *ret)
{
    return path_load_inode(&(struct walk){CHECK_TREE(c, &root)}, ino, ret) == 1;
}

bool check_entry_key(struct check *c, uint64_t root, uint64_t dir, uint64_t ino,
                     struct key *ret_key)
{
    return path_find_entry(&(struct walk){CHECK_TREE(c, &root)}, dir, ino, NULL, ret_key) == 1;
}

/* ---- texts and paths ---- */

/* The length of the UTF-8 character at `s`, in bytes; 0: there is no valid one, or it is a control
 * character of U+0080 to U+009F. */
static size_t utf8_length(const uint8_t *s, size_t left)
{
    size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

    if (n > left || s[0] > 0xf4 || (s[0] == 0xc2 && s[1] < 0xa0)) /* 0xc2 0x80 to 0xc2 0x9f are
                                                                   * control characters */
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if (n == 3 && ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f)))
        return 0;
    if (n == 4 && ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f)))
        return 0;
    return n;
}

/* Write a name so that it can stand in one line of text: bytes that are no printable character,
 * and backslashes, become \ooo. Returns the number of bytes; no NUL is added. */
static size_t escape(const char *name, size_t len, char out[PATH_ESCAPED_MAX])
{
    const uint8_t *s = (const uint8_t *)name;
    size_t n = 0;

    for (size_t i = 0; i < len;) {
        size_t one = utf8_length(s + i, len - i);
        if (one == 0 || s[i] < ' ' || s[i] == 0x7f || s[i] == '\\') {
            static const char digits[] = "01234567";
            uint8_t b = s[i++];
            out[n++] = '\\';
            out[n++] = digits[b >> 6];
            out[n++] = digits[b >> 3 & 7];
            out[n++] = digits[b & 7];
            continue;
        }
        memcpy(out + n, s + i, one);
        n += one;
        i += one;
    }
    return n;
}

#define PATH_IN(t)                                                                                 \
    .text = (t), .room = sizeof(t), .top = NS_ROOT_INO, .depth = PATH_DEPTH, .escape = escape

void check_text(const char *text, char *out, size_t room)
{
    const uint8_t *s = (const uint8_t *)text;
    size_t len = strlen(text), n = 0, one;

    for (size_t i = 0; i < len && n + 5 <= room; i += one) {
        one = utf8_length(s + i, len - i);
        if (one && s[i] >= ' ' && s[i] != 0x7f) {
            memcpy(out + n, s + i, one);
            n += one;
            continue;
        }
        n += (size_t)snprintf(out + n, room - n, "\\%03o", s[i]);
        one = 1;
    }
    out[n] = 0;
}

/* Put the namespace and the directories down to `dir` before the path, and copy it. False: they do
 * not lead there. */
static bool path_end(struct check *c, const struct check_tree *t, uint64_t dir, struct path *p,
                     char out[CHECK_PATH])
{
    if (path_climb(&(struct walk){CHECK_TREE(c, &t->root)}, dir, p) != 1)
        return false;
    path_prepend(p, t->name, strlen(t->name));
    (void)snprintf(out, CHECK_PATH, "%s%s", p->cut ? ".../" : "", p->text + p->start);
    return true;
}

void check_where_inode(struct check *c, const struct check_tree *t, uint64_t ino, bool search,
                       char out[CHECK_PATH])
{
    char text[CHECK_PATH];
    struct path p = {PATH_IN(text)};
    struct walk tree = {CHECK_TREE(c, &t->root)};
    struct inode in;
    struct key k;

    path_begin(&p);
    if (search && check_inode(c, t->root, ino, &in) && S_ISDIR(in.mode))
        search = path_end(c, t, ino, &p, out);
    else if (search)
        search = path_find_entry(&tree, 0, ino, &p, &k) == 1 && path_end(c, t, key_ino(k), &p, out);
    if (!search)
        (void)snprintf(out, CHECK_PATH, "%s inode %" PRIu64, t->name, ino);
}

void check_where_entry(struct check *c, const struct check_tree *t, struct key k,
                       const struct dirent_item *d, bool search, char out[CHECK_PATH])
{
    char text[CHECK_PATH], name[PATH_ESCAPED_MAX + 1];
    struct path p = {PATH_IN(text)};

    path_begin(&p);
    path_prepend(&p, d->name, d->name_len);
    if (search && path_end(c, t, key_ino(k), &p, out))
        return;
    name[escape(d->name, d->name_len, name)] = 0;
    (void)snprintf(out, CHECK_PATH, "%s inode %" PRIu64 "/%s", t->name, key_ino(k), name);
}

const char *check_type_name(unsigned type)
{
    switch (type) {
    case DT_REG:
        return "a regular file";
    case DT_DIR:
        return "a directory";
    case DT_LNK:
        return "a symbolic link";
    case DT_FIFO:
        return "a fifo";
    case DT_SOCK:
        return "a socket";
    case DT_CHR:
    case DT_BLK:
        return "a device";
    default:
        return "of no known type";
    }
}
