// SPDX-License-Identifier: Apache-2.0
/*
 * to_archive: see the header. libarchive writes the format and the compression. It wants all bytes
 * of a file with holes, and leaves those out that the list of its data does not name.
 */
#include "to_archive.h"

#include "acl_value.h"
#include "io.h"
#include "first_names.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *end;
    int (*filter)(struct archive *a); /* NULL: none */
} kinds[] = {
    {".tar", NULL},
    {".tar.gz", archive_write_add_filter_gzip},
    {".tgz", archive_write_add_filter_gzip},
    {".tar.bz2", archive_write_add_filter_bzip2},
    {".tbz2", archive_write_add_filter_bzip2},
    {".tar.xz", archive_write_add_filter_xz},
    {".txz", archive_write_add_filter_xz},
    {".tar.zst", archive_write_add_filter_zstd},
    {".tzst", archive_write_add_filter_zstd},
};
#define KINDS (sizeof(kinds) / sizeof(*kinds))

#define BLOCK (1u << 20) /* bytes of one write */
#define USTAR_NAME 100 /* bytes that a name has in a header of ustar */

struct packing {
    struct export *e;
    struct archive *a;
    struct archive_entry *entry;
    struct first_names first;
    uint64_t at; /* bytes of the file so far */
};

static bool ends_with(const char *name, const char *end)
{
    size_t len = strlen(name), end_len = strlen(end);
    return len > end_len && strcmp(name + len - end_len, end) == 0;
}

/* The kind of that name; KINDS: none. */
static size_t kind_of(const char *name)
{
    size_t i = 0;
    while (i < KINDS && !ends_with(name, kinds[i].end)) {
        i++;
    }
    return i;
}

bool archive_is_name(const char *name)
{
    return kind_of(name) < KINDS;
}

bool archive_is_other_name(const char *name)
{
    static const char *const ends[] = {".zip", ".cpio", ".7z",  ".rar", ".gz",  ".bz2",
                                       ".xz",  ".zst",  ".lz4", ".lz",  ".lzma", ".Z"};
    bool is = false;
    for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
        is |= ends_with(name, ends[i]);
    }
    return is && !archive_is_name(name);
}

/* The sentence for what libarchive says. */
static int fail_archive(struct packing *p, const char *path)
{
    int err = archive_errno(p->a) > 0 ? -archive_errno(p->a) : -EIO;
    const char *said = archive_error_string(p->a);
    snprintf(p->e->why, sizeof(p->e->why), "%s: %s", path, said ? said : strerror(-err));
    return err;
}

/* ---- bytes ---- */

static int put_bytes(struct packing *p, const void *bytes, size_t len)
{
    if (archive_write_data(p->a, bytes, len) != (la_ssize_t)len) {
        return archive_errno(p->a) > 0 ? -archive_errno(p->a) : -EIO;
    }
    p->at += len;
    return 0;
}

/* Puts zeros up to an offset. */
static int put_hole(struct packing *p, uint64_t end)
{
    static const uint8_t zeros[1 << 20];
    int err = 0;
    while (err == 0 && p->at < end) {
        uint64_t left = end - p->at;
        err = put_bytes(p, zeros, left < sizeof(zeros) ? (size_t)left : sizeof(zeros));
    }
    return err;
}

static int put_data(const void *bytes, size_t len, uint64_t off, void *ctx)
{
    struct packing *p = ctx;
    int err = put_hole(p, off);
    if (err == 0) {
        err = put_bytes(p, bytes, len);
    }
    if (p->e->tick) {
        p->e->tick(p->e->ctx);
    }
    return err;
}

static int fail_spill(struct packing *p, int err, const char *path, const char *dir)
{
    snprintf(p->e->why, sizeof(p->e->why), "%s: keeping its data in %s: %s", path, dir,
             strerror(-err));
    return err;
}

struct spill {
    int fd;
    bool failed; /* to be written */
};

static int write_spill(const void *bytes, size_t len, uint64_t off, void *ctx)
{
    struct spill *s = ctx;
    int err = io_pwrite(s->fd, bytes, len, off);
    s->failed = err < 0;
    return err;
}

/* Makes a file without a name. */
static int open_unnamed(const char *dir)
{
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    CLEANUP_FREE char *name = NULL;
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR)) {
        return fd;
    }
    if (asprintf(&name, "%s/tally-export-XXXXXX", dir) < 0) {
        name = NULL;
        return -1;
    }
    fd = mkostemp(name, O_CLOEXEC);
    if (fd >= 0) {
        (void)unlink(name);
    }
    return fd;
}

/* Puts the data of a file with holes that comes from a stream into a file without a name: where it
 * has data must be known before its bytes. */
static int spill(struct packing *p, struct source_file *f, const char *path)
{
    const char *dir = getenv("TMPDIR");
    dir = dir && *dir ? dir : "/var/tmp";
    struct spill s = {.fd = open_unnamed(dir)};
    if (s.fd < 0) {
        return fail_spill(p, -errno, path, dir);
    }
    f->fd = s.fd;
    int err = export_data(f, write_spill, &s);
    f->next_piece = NULL;
    if (err == 0 && ftruncate(s.fd, f->st.st_size) < 0) {
        return fail_spill(p, -errno, path, dir);
    }
    return s.failed ? fail_spill(p, err, path, dir) : err;
}

/* Adds the ranges of a file with holes that have data. One that has none has an entry without
 * bytes. libarchive (3.6) gives a file with holes whose name is longer than that of ustar a wrong
 * name: such a file is stored with zeros. */
static void list_data(struct packing *p, const struct source_file *f, const char *path)
{
    off_t size = f->st.st_size;
    if (f->bytes || f->fd < 0 || !source_has_holes(f) || strlen(path) >= USTAR_NAME) {
        return;
    }
    for (off_t at = 0; at < size;) {
        off_t data = lseek(f->fd, at, SEEK_DATA);
        if (data < 0 || data >= size) {
            break;
        }
        at = lseek(f->fd, data, SEEK_HOLE);
        at = at < 0 || at > size ? size : at;
        archive_entry_sparse_add_entry(p->entry, data, at - data);
    }
    if (archive_entry_sparse_count(p->entry) == 0) {
        archive_entry_sparse_add_entry(p->entry, size, 0);
    }
}

/* ---- attributes ---- */

static void add_acl(struct packing *p, const struct source_xattr *x, int type)
{
    int tag, permissions, id;
    for (size_t i = 0; acl_value_get(x->value, x->len, i, &tag, &permissions, &id); i++) {
        (void)archive_entry_acl_add_entry(p->entry, type, permissions, tag, id, NULL);
    }
}

static void add_xattrs(struct packing *p, const struct source_file *f)
{
    for (const struct source_xattr *x = f->xattrs; x; x = x->next) {
        if (strcmp(x->name, "system.posix_acl_access") == 0) {
            add_acl(p, x, ARCHIVE_ENTRY_ACL_TYPE_ACCESS);
        } else if (strcmp(x->name, "system.posix_acl_default") == 0) {
            add_acl(p, x, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT);
        } else {
            archive_entry_xattr_add_entry(p->entry, x->name, x->value, x->len);
        }
    }
}

/* `first`: the name at which the file came before; NULL: it did not. */
static void describe(struct packing *p, const struct source_file *f, const char *path,
                     const char *first)
{
    archive_entry_clear(p->entry);
    archive_entry_copy_stat(p->entry, &f->st);
    archive_entry_set_size(p->entry, S_ISREG(f->st.st_mode) && !first ? f->st.st_size : 0);
    archive_entry_set_pathname(p->entry, *path ? path : "./");
    /* A stream has none of these, and the archive is the same however the files are read. */
    archive_entry_unset_atime(p->entry);
    archive_entry_unset_ctime(p->entry);
    archive_entry_unset_birthtime(p->entry);
    if (first) {
        archive_entry_set_hardlink(p->entry, first);
        return;
    }
    if (f->target) {
        archive_entry_set_symlink(p->entry, f->target);
    }
    add_xattrs(p, f);
    if (S_ISREG(f->st.st_mode)) {
        list_data(p, f, path);
    }
}

/* ---- files ---- */

static int put_file(struct source_file *f, const char *path, void *ctx)
{
    struct packing *p = ctx;
    if (S_ISSOCK(f->st.st_mode)) {
        return 0; /* no archive has one, and it is nothing without its process */
    }
    const char *first = first_names_find(&p->first, &f->st);
    int err = first ? 0 : first_names_add(&p->first, &f->st, path);
    if (err < 0) {
        return export_fail(p->e, err, path, "noting its name");
    }
    if (!first && f->next_piece && source_has_holes(f) && strlen(path) < USTAR_NAME) {
        err = spill(p, f, path);
        if (err < 0) {
            return err;
        }
    }
    describe(p, f, path, first);
    if (archive_write_header(p->a, p->entry) < ARCHIVE_WARN) {
        return fail_archive(p, path);
    }
    p->at = 0;
    if (archive_entry_size(p->entry) > 0) {
        err = export_data(f, put_data, p);
        if (err == 0) {
            err = put_hole(p, (uint64_t)f->st.st_size);
        }
        if (err < 0) {
            return export_fail(p->e, err, path, "its bytes");
        }
    }
    p->e->files++;
    p->e->bytes += p->at;
    if (p->e->tick) {
        p->e->tick(p->e->ctx);
    }
    return 0;
}

/* Several threads compress where the library can do that. */
static int open_archive(struct packing *p, int fd, const char *name)
{
    size_t kind = kind_of(name);
    archive_write_set_format_pax(p->a);
    (void)archive_write_set_bytes_per_block(p->a, BLOCK);
    (void)archive_write_set_bytes_in_last_block(p->a, 1); /* a pipe gets what a file gets */
    archive_write_set_options(p->a, "xattrheader=SCHILY"); /* as others read and write them */
    if (kind < KINDS && kinds[kind].filter) {
        (void)kinds[kind].filter(p->a);
        (void)archive_write_set_filter_option(p->a, NULL, "threads", "0");
        archive_clear_error(p->a);
    }
    return archive_write_open_fd(p->a, fd) < ARCHIVE_WARN ? fail_archive(p, name) : 0;
}

int to_archive(struct export *e, int fd, const char *name)
{
    struct packing p = {.e = e, .a = archive_write_new(), .entry = archive_entry_new()};
    (void)setlocale(LC_CTYPE, "C.UTF-8"); /* names stay the bytes that they are */
    int err = p.a && p.entry && first_names_open(&p.first) == 0
                  ? 0
                  : export_fail(e, -ENOMEM, name, "packing");
    if (err == 0) {
        err = open_archive(&p, fd, name);
    }
    if (err == 0) {
        err = export_walk(e, put_file, &p);
    }
    if (err == 0 && archive_write_close(p.a) < ARCHIVE_WARN) {
        err = fail_archive(&p, name);
    }
    if (err < 0 && p.a) {
        (void)archive_write_fail(p.a); /* no end is written, so a reader of a pipe sees it, too */
    }
    archive_entry_free(p.entry);
    (void)archive_write_free(p.a);
    first_names_close(&p.first);
    return err;
}
