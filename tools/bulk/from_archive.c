// SPDX-License-Identifier: Apache-2.0
/*
 * from_archive: see the header. An entry is either a name for a file that came before (a hard
 * link), or a file of its own: its content first, then its attributes and its name, then its
 * extended attributes.
 *
 * In a layer of an OCI image an entry `.wh.NAME` removes NAME of the layers below, and
 * `.wh..wh..opq` all that they have in that directory.
 */
#include "from_archive.h"

#include "acl_value.h"
#include "io.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_SIZE (1u << 20)
#define MAP_STEP (4u << 20) /* bytes of a mapped archive that are given at once */
#define WHITEOUT ".wh."
#define OPAQUE ".wh..wh..opq"

struct reading {
    struct intake *in;
    const struct archive_source *source;
    struct intake_counts *counts;
    struct archive *a;
    struct archive_entry *e;
    const char *path;
    uint32_t uid, gid;  /* of this process */
    const uint8_t *map; /* all of the source; NULL: it is read */
    uint64_t size, at;  /* of `map`: its length, and how much has been given */
    uint8_t buffer[READ_SIZE];
};

static struct reading reading;

/* The sentence for what libarchive says. */
static int fail_archive(struct reading *r)
{
    const char *said = archive_error_string(r->a);
    return intake_fail(r->in, -EINVAL, "the archive cannot be read%s%s: %s", r->path ? " at " : "",
                       r->path ? r->path : "", said ? said : "it is damaged");
}

/* Maps a source that is a file. It is read if that is not possible. */
static void map_source(struct reading *r)
{
    struct stat st;
    off_t at = lseek(r->source->fd, 0, SEEK_CUR);
    r->map = NULL;
    if (at < 0 || fstat(r->source->fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= at) {
        return;
    }
    void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, r->source->fd, 0);
    if (map != MAP_FAILED) {
        r->map = map;
        r->size = (uint64_t)st.st_size;
        r->at = (uint64_t)at;
    }
}

static void unmap_source(struct reading *r)
{
    if (r->map) {
        (void)munmap((void *)(uintptr_t)r->map, r->size);
    }
    r->map = NULL;
}

/* Brings the pages into memory, so that an error of the disk, or a file that has become shorter, is
 * an error here and no signal. */
static int fetch(const struct reading *r, size_t len)
{
    const uintptr_t page = 4096, from = ((uintptr_t)r->map + r->at) & ~(page - 1);
    void *start = (void *)from;
    if (madvise(start, (uintptr_t)r->map + r->at + len - from, MADV_POPULATE_READ) == 0 ||
        errno == EINVAL) { /* an older kernel */
        return 0;
    }
    return errno == EFAULT ? -EIO : -errno;
}

/* Gives the next bytes of a mapped source. */
static ssize_t give_mapped(struct reading *r, const void **ret)
{
    size_t n = r->size - r->at < MAP_STEP ? (size_t)(r->size - r->at) : MAP_STEP;
    int err = n ? fetch(r, n) : 0;
    if (err < 0) {
        archive_set_error(r->a, -err, "%s", strerror(-err));
        return -1;
    }
    *ret = r->map + r->at;
    r->at += n;
    r->counts->at += n;
    return (ssize_t)n;
}

static ssize_t read_source(struct archive *a, void *ctx, const void **ret)
{
    struct reading *r = ctx;
    ssize_t n;
    if (r->map) {
        return give_mapped(r, ret);
    }
    do {
        n = read(r->source->fd, r->buffer, sizeof(r->buffer));
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        archive_set_error(a, errno, "%s", strerror(errno));
        return -1;
    }
    r->counts->at += (uint64_t)n;
    *ret = r->buffer;
    return n;
}

static la_int64_t seek_mapped(struct reading *r, la_int64_t off, int whence)
{
    int64_t from = whence == SEEK_SET ? 0 : (int64_t)(whence == SEEK_CUR ? r->at : r->size), at;
    if (__builtin_add_overflow(from, off, &at) || at < 0 || (uint64_t)at > r->size) {
        archive_set_error(r->a, EINVAL, "it leads out of itself");
        return ARCHIVE_FATAL;
    }
    r->at = (uint64_t)at;
    return at;
}

static la_int64_t seek_source(struct archive *a, void *ctx, la_int64_t off, int whence)
{
    struct reading *r = ctx;
    if (r->map) {
        return seek_mapped(r, off, whence);
    }
    off_t at = lseek(r->source->fd, off, whence);
    if (at < 0) {
        archive_set_error(a, errno, "%s", strerror(errno));
        return ARCHIVE_FATAL;
    }
    return at;
}

/* ---- contents ---- */

/* Gives the bytes of the entry as pieces of a content. */
static int copy_data(struct reading *r)
{
    const void *data;
    size_t len;
    la_int64_t off;
    int err = 0;
    for (int said;
         err == 0 && (said = archive_read_data_block(r->a, &data, &len, &off)) != ARCHIVE_EOF;) {
        if (said < ARCHIVE_WARN || off < 0) {
            return fail_archive(r);
        }
        err = len ? intake_piece(r->in, (uint64_t)off, data, len) : 0;
    }
    return err;
}

/* The same for an entry whose length is not known: its bytes go through a file. */
static int spool_data(struct reading *r, struct intake_attributes *a)
{
    const void *data;
    size_t len;
    la_int64_t off;
    int said, err = ftruncate(r->source->spool, 0) < 0 ? -errno : 0;
    while (err == 0 && (said = archive_read_data_block(r->a, &data, &len, &off)) != ARCHIVE_EOF) {
        if (said < ARCHIVE_WARN || off < 0) {
            return fail_archive(r);
        }
        err = io_pwrite(r->source->spool, data, len, (uint64_t)off);
        a->size = err == 0 && len ? (uint64_t)off + len : a->size;
    }
    if (err < 0) {
        return intake_fail(r->in, err, "a file for %s: %s", r->path, strerror(-err));
    }
    err = a->size ? intake_content(r->in, a->size, false) : 0;
    for (uint64_t at = 0; err == 0 && at < a->size;) {
        static uint8_t piece[READ_SIZE];
        ssize_t n = io_pread(r->source->spool, piece, sizeof(piece), at);
        err = n <= 0 ? intake_fail(r->in, -EIO, "a file for %s cannot be read", r->path)
                     : intake_piece(r->in, at, piece, (size_t)n);
        at += n > 0 ? (uint64_t)n : 0;
    }
    a->content = a->size ? intake_content_end(r->in) : 0;
    return err;
}

/* Reads the content of a regular file. */
static int take_content(struct reading *r, struct intake_attributes *a)
{
    if (!archive_entry_size_is_set(r->e)) {
        return spool_data(r, a);
    }
    if (archive_entry_size(r->e) < 0) {
        return fail_archive(r);
    }
    a->size = (uint64_t)archive_entry_size(r->e);
    if (a->size == 0) {
        return 0;
    }
    int err = intake_content(r->in, a->size, archive_entry_sparse_count(r->e) > 0);
    if (err == 0) {
        err = copy_data(r);
    }
    a->content = intake_content_end(r->in);
    return err;
}

/* ---- attributes ---- */

/* A time in ns since the epoch; of one that is too far away the last one that there is. */
static int64_t to_time(int64_t seconds, long nsec)
{
    int64_t ns;
    if (__builtin_mul_overflow(seconds, INT64_C(1000000000), &ns) ||
        __builtin_add_overflow(ns, (int64_t)nsec, &ns)) {
        return seconds < 0 ? INT64_MIN : INT64_MAX;
    }
    return ns;
}

/* An owner. -EINVAL: it is none. */
static int to_owner(struct reading *r, int64_t id, uint32_t own, uint32_t *ret)
{
    *ret = r->source->owners ? (uint32_t)id : own;
    return id < 0 || id >= UINT32_MAX
               ? intake_fail(r->in, -EINVAL, "%s has an owner that cannot be", r->path)
               : 0;
}

static int get_attributes(struct reading *r, struct intake_attributes *a)
{
    *a = (struct intake_attributes){.mode = (uint32_t)archive_entry_mode(r->e) & (S_IFMT | 07777)};
    if (archive_entry_mtime_is_set(r->e)) {
        a->mtime = to_time(archive_entry_mtime(r->e), archive_entry_mtime_nsec(r->e));
    }
    if (S_ISCHR(a->mode) || S_ISBLK(a->mode)) {
        a->rdev = (uint32_t)archive_entry_rdev(r->e);
    }
    int err = to_owner(r, archive_entry_uid(r->e), r->uid, &a->uid);
    if (err == 0) {
        err = to_owner(r, archive_entry_gid(r->e), r->gid, &a->gid);
    }
    if (a->uid != (uint64_t)archive_entry_uid(r->e) ||
        a->gid != (uint64_t)archive_entry_gid(r->e)) {
        a->mode &= ~(uint32_t)(S_ISUID | S_ISGID); /* they would give the rights of somebody else */
    }
    return err;
}

/* Puts one of the two ACLs, if the entry has it. */
static int take_acl(struct reading *r, uint64_t inode, int type, const char *name)
{
    uint8_t value[ACL_VALUE_MAX];
    int kind, permset, tag, id;
    const char *who;
    struct acl_value acl;
    acl_value_begin(&acl, value);
    if (archive_entry_acl_reset(r->e, type) <= 0) {
        return 0;
    }
    while (archive_entry_acl_next(r->e, type, &kind, &permset, &tag, &id, &who) == ARCHIVE_OK) {
        if (id < 0 && who && *who) {
            id = accounts_find(r->source->accounts, tag == ARCHIVE_ENTRY_ACL_GROUP, who);
        }
        if (!acl_value_add(&acl, tag, permset, id)) {
            return intake_fail(r->in, -EINVAL, "%s has an ACL for '%s', whom nobody knows here",
                               r->path, who ? who : "");
        }
    }
    size_t len = acl_value_end(&acl);
    return len ? intake_xattr(r->in, inode, name, value, len) : 0;
}

static int take_attributes(struct reading *r, uint64_t inode)
{
    const char *name;
    const void *value;
    size_t len;
    int err = 0;
    (void)archive_entry_xattr_reset(r->e);
    while (err == 0 && archive_entry_xattr_next(r->e, &name, &value, &len) == ARCHIVE_OK) {
        err = name ? intake_xattr(r->in, inode, name, value, len) : 0;
    }
    if (err == 0 && !S_ISLNK(archive_entry_mode(r->e))) {
        err = take_acl(r, inode, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, "system.posix_acl_access");
    }
    return err < 0 ? err
                   : take_acl(r, inode, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT, "system.posix_acl_default");
}

/* ---- entries ---- */

/* A name for a file that came before. In some formats only the last of its names has the bytes. */
static int take_link(struct reading *r, const struct intake_place *place, const char *to)
{
    struct intake_attributes a;
    uint64_t inode;
    int err = intake_find(r->in, to, &inode);
    if (err < 0) {
        return intake_fail(r->in, err, "%s is a hard link to %s, which is %s", r->path, to,
                           err == -EISDIR ? "a directory" : "not there");
    }
    err = get_attributes(r, &a);
    if (err == 0 && S_ISREG(a.mode) && archive_entry_size_is_set(r->e) &&
        archive_entry_size(r->e) > 0) {
        err = take_content(r, &a);
        if (err == 0) {
            err = intake_fill(r->in, inode, &a);
        }
    }
    return err < 0 ? err : intake_link(r->in, place, inode);
}

/* A file of its own. */
static int take_file(struct reading *r, const struct intake_place *place)
{
    struct intake_attributes a;
    uint64_t inode;
    int err = get_attributes(r, &a);
    if (err < 0) {
        return err;
    }
    if (S_ISLNK(a.mode)) {
        a.target = archive_entry_symlink(r->e);
        a.target = a.target ? a.target : archive_entry_symlink_utf8(r->e);
        if (!a.target || !*a.target || strlen(a.target) > IMAGE_TARGET_MAX) {
            return intake_fail(r->in, -EINVAL, "%s: its target is empty or too long", r->path);
        }
    } else if ((a.mode & S_IFMT) == 0) {
        return intake_fail(r->in, -EINVAL, "%s is of a type that is not known", r->path);
    }
    err = S_ISREG(a.mode) ? take_content(r, &a) : 0;
    if (err == 0) {
        err = intake_add(r->in, place, &a, &inode);
    }
    return err < 0 ? err : take_attributes(r, inode);
}

/* Is the place that of a whiteout? Then it is worked off. 1, 0 or -errno */
static int take_whiteout(struct reading *r, struct intake_place *place)
{
    size_t prefix = strlen(WHITEOUT);
    if (!r->source->layer || place->root || place->len <= prefix ||
        strncmp(place->name, WHITEOUT, prefix) != 0) {
        return 0;
    }
    if (place->len == strlen(OPAQUE) && memcmp(place->name, OPAQUE, place->len) == 0) {
        int err = intake_opaque(r->in, place);
        return err < 0 ? err : 1;
    }
    place->name += prefix;
    place->len -= prefix;
    int err = intake_whiteout(r->in, place);
    return err < 0 ? err : 1;
}

static int take_entry(struct reading *r)
{
    struct intake_place place;
    const char *to = archive_entry_hardlink(r->e);
    r->path = archive_entry_pathname(r->e);
    r->path = r->path ? r->path : archive_entry_pathname_utf8(r->e);
    to = to ? to : archive_entry_hardlink_utf8(r->e);
    if (!r->path) {
        return intake_fail(r->in, -EINVAL, "the archive has a file without a name");
    }
    if (archive_entry_is_encrypted(r->e) > 0) {
        return intake_fail(r->in, -EINVAL, "%s is encrypted", r->path);
    }
    int err = intake_place(r->in, r->path, &place);
    if (err == 0) {
        err = take_whiteout(r, &place);
    }
    if (err != 0) {
        return err < 0 ? err : 0;
    }
    return to ? take_link(r, &place, to) : take_file(r, &place);
}

static int take_entries(struct reading *r)
{
    int said, err = 0;
    while (err == 0 && (said = archive_read_next_header(r->a, &r->e)) != ARCHIVE_EOF) {
        r->path = NULL;
        if (said < ARCHIVE_WARN) {
            return fail_archive(r);
        }
        err = take_entry(r);
    }
    return err;
}

/* The formats in which trees are passed on, and compressions that need no program to be run. */
static void support(struct archive *a)
{
    archive_read_support_filter_bzip2(a);
    archive_read_support_filter_compress(a);
    archive_read_support_filter_gzip(a);
    archive_read_support_filter_lz4(a);
    archive_read_support_filter_lzip(a);
    archive_read_support_filter_lzma(a);
    archive_read_support_filter_xz(a);
    archive_read_support_filter_zstd(a);
    archive_read_support_format_cpio(a);
    archive_read_support_format_tar(a);
    archive_read_support_format_zip(a);
}

int from_archive(struct intake *in, const struct archive_source *source,
                 struct intake_counts *counts)
{
    struct reading *r = &reading;
    r->in = in;
    r->source = source;
    r->counts = counts;
    r->path = NULL;
    r->uid = geteuid();
    r->gid = getegid();
    if (source->layer) {
        intake_replace_all(in);
    }
    (void)setlocale(LC_CTYPE, "C.UTF-8"); /* names stay the bytes that they are */
    r->a = archive_read_new();
    if (!r->a) {
        return -ENOMEM;
    }
    support(r->a);
    map_source(r);
    if (lseek(source->fd, 0, SEEK_CUR) >= 0) { /* the list of a zip file is at its end */
        (void)archive_read_set_seek_callback(r->a, seek_source);
    }
    int err = archive_read_open(r->a, r, NULL, read_source, NULL) < ARCHIVE_WARN ? fail_archive(r)
                                                                                 : take_entries(r);
    (void)archive_read_free(r->a);
    unmap_source(r);
    return err;
}
