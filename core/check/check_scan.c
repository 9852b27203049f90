// SPDX-License-Identifier: Apache-2.0
/*
 * check_scan: the items of one tree in the order of their keys, read from the snapshot; damaged
 * parts are skipped. Also the paths that lead to an inode.
 *
 * A page is entered only if its first key lies in the range of keys that its parent gives it, and a
 * child only if its key does. So even in a damaged tree items come in rising order, and pages that
 * lead to each other cannot make the scan endless.
 */
#include "check_impl.h"
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#define PATH_DEPTH 4096 /* directories that a path is followed upwards at most */
#define ESCAPED_MAX (4 * ITEM_NAME_MAX) /* bytes of an escaped name: \ooo for each byte */

/* ---- the scan ---- */

struct range {
    struct key low, high; /* keys in [low, high) */
    bool bounded;         /* `high` holds */
};

struct scan {
    struct check *c;
    struct key from;
    scan_fn *fn;
    void *ctx;
    bool hidden;
};

static bool in_range(const struct range *r, struct key k)
{
    return key_compare(k, r->low) >= 0 && (!r->bounded || key_compare(k, r->high) < 0);
}

/* Load a page. NULL: it cannot be read or is damaged, or it does not belong here by its level or
 * its first key. An error that is no damage (memory, disk) makes the whole look worthless:
 * scan_err. */
static const uint8_t *scan_load(struct scan *s, uint64_t no, int level, const struct range *r)
{
    const void *p;
    size_t len;
    unsigned first;
    int err = kv_snap_get_number(s->c->snap, TABLE_PAGES, no, &p, &len);
    if (err < 0 && err != -ENOENT && err != -EUCLEAN)
        s->c->scan_err = err;
    if (err < 0 || len != PAGE_SIZE_BYTES || page_check(p, no, NULL) < 0)
        return NULL;
    if (level >= 0 && page_level(p) != (unsigned)level)
        return NULL;
    first = page_level(p) > 0; /* the first slot of an inner page stands for minus infinity */
    return page_count(p) <= first || in_range(r, page_key(p, first)) ? p : NULL;
}

/* Call `fn` for the sound items of a leaf. Items that do not belong there count as hidden. */
static int scan_leaf(struct scan *s, const uint8_t *p, const struct range *r)
{
    int stop = 0;

    for (unsigned i = 0; i < page_count(p) && stop == 0; i++) {
        struct key k = page_key(p, i);
        size_t len;
        const uint8_t *val = page_value(p, i, &len);
        if (key_compare(k, s->from) < 0)
            continue;
        if (in_range(r, k) && item_check(k, val, len) == 0)
            stop = s->fn(k, val, len, s->ctx);
        else
            s->hidden = true;
    }
    return stop;
}

/* Scan a page and what is below it. The recursion is as deep as a tree is high, because a child's
 * level must be one below its parent's. */
static int scan_page(struct scan *s, uint64_t no, int level, const struct range *r)
{
    const uint8_t *p = scan_load(s, no, level, r);
    int stop = 0;

    if (!p) {
        s->hidden = true;
        return 0;
    }
    if (page_level(p) == 0)
        return scan_leaf(s, p, r);
    for (unsigned i = page_search_child(p, s->from); i < page_count(p) && stop == 0; i++) {
        bool last = i + 1 == page_count(p);
        struct range child = {.low = i ? page_key(p, i) : r->low,
                              .high = last ? r->high : page_key(p, i + 1),
                              .bounded = !last || r->bounded};
        if (r->bounded && key_compare(child.high, r->high) > 0)
            child.high = r->high; /* what lies behind belongs to the next page */
        if (i && !in_range(r, child.low)) {
            s->hidden = true;
            break;
        }
        stop = scan_page(s, page_child(p, i), (int)page_level(p) - 1, &child);
    }
    return stop;
}

int check_scan(struct check *c, uint64_t root, struct key from, scan_fn *fn, void *ctx,
               bool *ret_hidden)
{
    struct scan s = {.c = c, .from = from, .fn = fn, .ctx = ctx};
    struct range all = {.bounded = false};
    int stop = root ? scan_page(&s, root, -1, &all) : 0;

    if (ret_hidden)
        *ret_hidden = s.hidden;
    return stop;
}

/* ---- one inode ---- */

/* A look for one inode. */
struct finding_inode {
    uint64_t ino;
    struct inode *ret;
    bool found;
};

/* Called for the first item at or behind the inode's key; ends the scan. */
static int take_inode(struct key k, const uint8_t *val, size_t len, void *ctx)
{
    struct finding_inode *f = ctx;

    f->found =
        key_ino(k) == f->ino && key_type(k) == ITEM_INODE && inode_decode(val, len, f->ret) == 0;
    return 1;
}

bool check_inode(struct check *c, uint64_t root, uint64_t ino, struct inode *ret)
{
    struct finding_inode f = {.ino = ino, .ret = ret};

    (void)check_scan(c, root, key_make(ino, ITEM_INODE, 0), take_inode, &f, NULL);
    return f.found;
}

/* ---- paths, written from their end to their start ---- */

struct path {
    char text[CHECK_PATH];
    size_t start; /* where the text begins; it ends at the end of `text` */
    bool cut;     /* the front of the path did not fit */
};

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
static size_t escape(const char *name, size_t len, char out[ESCAPED_MAX])
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

static void path_begin(struct path *p)
{
    p->start = sizeof p->text - 1;
    p->text[p->start] = 0;
    p->cut = false;
}

/* Put a name in front of the path. If it does not fit, the path is cut here. */
static void path_prepend(struct path *p, const char *name, size_t len)
{
    char text[ESCAPED_MAX];
    size_t n = escape(name, len < ITEM_NAME_MAX ? len : ITEM_NAME_MAX, text);
    bool first = p->text[p->start] == 0;

    if (p->cut || n + !first + 4 > p->start) { /* 4 bytes for ".../" at the front */
        p->cut = true;
        return;
    }
    if (!first)
        p->text[--p->start] = '/';
    p->start -= n;
    memcpy(p->text + p->start, text, n);
}

/* Copy the finished path. */
static void path_end(struct path *p, char out[CHECK_PATH])
{
    if (p->cut) {
        p->start -= 4;
        memcpy(p->text + p->start, ".../", 4);
    }
    memcpy(out, p->text + p->start, sizeof p->text - p->start);
}

/* Looking for an entry that names `ino`, in one directory or anywhere. */
struct finding_name {
    uint64_t ino, only_dir; /* 0: anywhere */
    struct path *path;      /* NULL: only its key is wanted */
    struct key key;
    bool found;
};

/* Called for each item: does this entry name the inode? 1 ends the scan. */
static int take_name(struct key k, const uint8_t *val, size_t len, void *ctx)
{
    struct finding_name *f = ctx;
    struct dirent_item d;

    if (f->only_dir && key_ino(k) != f->only_dir)
        return 1;
    if (key_type(k) != ITEM_DIRENT || dirent_decode(val, len, &d) < 0 || d.ino != f->ino)
        return 0;
    if (f->path)
        path_prepend(f->path, d.name, d.name_len);
    f->key = k;
    f->found = true;
    return 1;
}

bool check_entry_key(struct check *c, uint64_t root, uint64_t dir, uint64_t ino,
                     struct key *ret_key)
{
    struct finding_name f = {.ino = ino, .only_dir = dir};

    (void)check_scan(c, root, key_make(dir, ITEM_DIRENT, 0), take_name, &f, NULL);
    *ret_key = f.key;
    return f.found;
}

/* Prepend all directories from `dir` up to the root. False: they do not lead to the root. */
static bool path_climb(struct check *c, const struct check_tree *t, uint64_t dir, struct path *p)
{
    for (unsigned depth = 0; dir != NS_ROOT_INO; depth++) {
        struct inode in;
        struct finding_name f = {.ino = dir, .path = p};
        if (depth == PATH_DEPTH || !check_inode(c, t->root, dir, &in) || !S_ISDIR(in.mode))
            return false;
        f.only_dir = in.parent;
        (void)check_scan(c, t->root, key_make(in.parent, ITEM_DIRENT, 0), take_name, &f, NULL);
        if (!f.found)
            return false;
        dir = in.parent;
    }
    path_prepend(p, t->name, strlen(t->name));
    return true;
}

void check_where_inode(struct check *c, const struct check_tree *t, uint64_t ino, bool search,
                       char out[CHECK_PATH])
{
    struct path p;
    struct inode in;
    struct finding_name f = {.ino = ino, .path = &p};
    bool known = false;

    path_begin(&p);
    if (search && check_inode(c, t->root, ino, &in) && S_ISDIR(in.mode)) {
        known = path_climb(c, t, ino, &p);
    } else if (search) {
        (void)check_scan(c, t->root, (struct key){0, 0}, take_name, &f, NULL);
        known = f.found && path_climb(c, t, key_ino(f.key), &p);
    }
    if (known)
        path_end(&p, out);
    else
        (void)snprintf(out, CHECK_PATH, "%s inode %" PRIu64, t->name, ino);
}

void check_where_entry(struct check *c, const struct check_tree *t, struct key k,
                       const struct dirent_item *d, bool search, char out[CHECK_PATH])
{
    struct path p;
    char text[ESCAPED_MAX + 1];

    path_begin(&p);
    path_prepend(&p, d->name, d->name_len);
    if (search && path_climb(c, t, key_ino(k), &p)) {
        path_end(&p, out);
        return;
    }
    text[escape(d->name, d->name_len, text)] = 0;
    (void)snprintf(out, CHECK_PATH, "%s inode %" PRIu64 "/%s", t->name, key_ino(k), text);
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
