// SPDX-License-Identifier: Apache-2.0
/*
 * compare: does the store hold what the model does?
 */
#include "model.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- comparing ---- */

/* Is byte `at` of the file one that it had there since the last acknowledged flush or sync? */
static bool some_version(const struct mfile *f, size_t at, uint8_t byte)
{
    size_t family = family_of(f->space, f->name);

    for (size_t i = 0; i < w.versions; i++) {
        const struct version *h = &w.history[i];
        if (h->family == family && at < h->bytes->len && h->bytes->data[at] == byte)
            return true;
    }
    return false;
}

static bool bytes_match(const struct mfile *f, const uint8_t *buf, char why[256])
{
    if (memcmp(buf, f->bytes->data, f->bytes->len) == 0)
        return true;
    for (size_t i = 0; i < f->bytes->len; i++)
        if (buf[i] != f->bytes->data[i] && !(w.lenient && some_version(f, i, buf[i]))) {
            snprintf(why, 256, "%s/%s: byte %zu of %zu is %02x, not %02x", space_names[f->space],
                     f->name, i, f->bytes->len, buf[i], f->bytes->data[i]);
            return false;
        }
    return true;
}

static bool opened_matches(const struct mfile *f, struct vfs_file *file, char why[256])
{
    size_t len = f->bytes->len;
    uint8_t *buf = malloc(len + 1);
    ssize_t n = vfs_read(file, buf, len + 1, 0);
    bool good;

    if (n < 0 && w.rotten && bytes_equal(f->bytes, w.rotten)) {
        free(buf);
        return true;
    }
    good = n == (ssize_t)len;
    if (!good)
        snprintf(why, 256, "%s/%s: reading says %zd, not %zu", space_names[f->space], f->name, n,
                 len);
    good = good && bytes_match(f, buf, why);
    free(buf);
    return good;
}

static bool attr_matches(const struct mfile *f, char why[256])
{
    char name[24];
    struct vfs_attr attr;
    uint8_t *buf = malloc(f->bytes->len + 1);
    ssize_t n = -ENOENT;
    bool good;

    snprintf(name, sizeof name, "%.*s", (int)strlen(f->name) - 1, f->name);
    if (find(f->space, name, &attr) == 0)
        n = vfs_getxattr(w.p, attr.nodeid, "user.v", buf, f->bytes->len + 1);
    good = n == (ssize_t)f->bytes->len && memcmp(buf, f->bytes->data, f->bytes->len) == 0;
    if (!good)
        snprintf(why, 256, "%s/%s: getting it says %zd of %zu, or other bytes",
                 space_names[f->space], f->name, n, f->bytes->len);
    free(buf);
    return good;
}

/* A file without one in the model must have none. */
static bool has_no_attr(const struct model *s, const struct mfile *f, const struct vfs_attr *attr)
{
    for (size_t i = 0; i < s->files; i++)
        if (s->file[i].space == f->space && !strcmp(s->file[i].name, attr_of(f->name)))
            return true;
    return vfs_getxattr(w.p, attr->nodeid, "user.v", NULL, 0) == -ENODATA &&
           vfs_listxattr(w.p, attr->nodeid, NULL, 0, true) == 0;
}

static bool file_matches(const struct model *s, const struct mfile *f, char why[256])
{
    struct vfs_file *file;
    struct vfs_attr attr;
    bool good;

    if (find(f->space, f->name, &attr) < 0 || attr.size != f->bytes->len) {
        snprintf(why, 256, "%s/%s is not there, or has another size", space_names[f->space],
                 f->name);
        return false;
    }
    CHECK(vfs_open(w.p, attr.nodeid, 0, &file) == 0);
    good = opened_matches(f, file, why);
    vfs_release(file);
    if (good && !has_no_attr(s, f, &attr)) {
        snprintf(why, 256, "%s/%s has an attribute", space_names[f->space], f->name);
        return false;
    }
    return good;
}

static bool pin_matches(const struct mpin *m, char why[256])
{
    struct mfile f = {.name = "(pinned)", .bytes = m->bytes};
    struct vfs_file *file;
    bool good;

    if (vfs_open_object(w.p, &m->id, &file) < 0) {
        snprintf(why, 256, "a pinned object is gone");
        return false;
    }
    good = opened_matches(&f, file, why);
    vfs_release(file);
    return good;
}

static bool count_entry(const struct vfs_dirent *d, void *ctx)
{
    *(size_t *)ctx += strcmp(d->name, ".") && strcmp(d->name, "..");
    return true;
}

static size_t count_entries(uint64_t node)
{
    size_t n = 0;

    CHECK(vfs_readdir(w.p, node, 0, false, count_entry, &n) == 0);
    return n;
}

static bool spaces_match(const struct model *s, char why[256])
{
    size_t spaces = 0;

    for (size_t i = 0; i < SPACES; i++) {
        struct vfs_attr attr;
        size_t files = 0;
        bool there = vfs_lookup(w.p, VFS_ROOT, space_names[i], &attr) == 0;
        snprintf(why, 256, "namespace %s: there or not, or how many files", space_names[i]);
        if (there)
            vfs_forget(w.p, attr.nodeid, 1);
        if (there != s->space[i])
            return false;
        for (size_t f = 0; f < s->files; f++)
            files += s->file[f].space == i && !is_attr(&s->file[f]);
        if (there && count_entries(attr.nodeid) != files)
            return false;
        spaces += there;
    }
    snprintf(why, 256, "how many namespaces");
    return count_entries(VFS_ROOT) == spaces;
}

static size_t count_operations(void)
{
    struct history_op op = {.entry.seq = UINT64_MAX};
    size_t n = 0;

    while (history_before(&w.p->history, op.entry.seq, &op) == 0)
        n++;
    return n;
}

bool model_matches(const struct model *s, char why[256])
{
    struct refs_stats stats;
    bool good = spaces_match(s, why);

    for (size_t i = 0; i < s->files && good; i++)
        good = is_attr(&s->file[i]) ? attr_matches(&s->file[i], why)
                                    : file_matches(s, &s->file[i], why);
    for (size_t i = 0; i < s->pins && good; i++)
        good = pin_matches(&s->pin[i], why);
    if (good && count_operations() != s->operations) {
        snprintf(why, 256, "%zu operations in the history, not %zu", count_operations(),
                 s->operations);
        return false;
    }
    refs_get_stats(w.p->refs, &stats);
    if (good && stats.pinned != s->pins) {
        snprintf(why, 256, "%llu pins, not %zu", (unsigned long long)stats.pinned, s->pins);
        return false;
    }
    return good;
}

static void adopt(struct mfile *f)
{
    struct bytes *b = bytes_new(f->bytes->len);
    struct vfs_file *file;
    struct vfs_attr attr;

    CHECK(find(f->space, f->name, &attr) == 0 && vfs_open(w.p, attr.nodeid, 0, &file) == 0);
    CHECK(!b->len || vfs_read(file, b->data, b->len, 0) == (ssize_t)b->len);
    vfs_release(file);
    bytes_unref(f->bytes);
    f->bytes = b;
}

void model_adopt(struct model *s)
{
    for (size_t i = 0; w.loose && i < s->files; i++)
        if (!is_attr(&s->file[i]))
            adopt(&s->file[i]);
}
