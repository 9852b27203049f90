// SPDX-License-Identifier: Apache-2.0
#include "intake.h"

#include "names.h"
#include "outlet.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A record that waits. Its name and its data are behind it. */
struct delayed {
    struct delayed *next;
    struct image_record r;
    uint8_t bytes[];
};

/* Who takes the stream stores a large content beside what follows it, and waits for that once an
 * inode names it. So behind a large content the other records wait for a while. */
#define LARGE (128u * 1024)
#define LARGE_MAX 16u        /* large contents for which records wait */
#define CONTENTS_MAX 2000u   /* contents since the first of them: a stream names the last 4,096 */
#define DELAYED_MAX (4u << 20) /* bytes of what waits */

struct intake {
    struct outlet *out;
    struct delayed *first, **last;
    size_t delayed; /* bytes */
    uint64_t large, since; /* large contents, and the number of the content before the first one */
    struct names *names;
    struct intake_counts *counts;
    uint64_t inodes, contents; /* the last numbers */
    /* the content whose pieces come: its length, where the last piece ended, and its number */
    uint64_t length, at, content;
    bool sparse;
    bool replace_all;
    char why[INTAKE_WHY];
};

int intake_fail(struct intake *in, int err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(in->why, sizeof(in->why), fmt, ap);
    va_end(ap);
    return err;
}

const char *intake_why(const struct intake *in)
{
    return in->why;
}

/* Puts the records that wait. */
static int put_delayed(struct intake *in)
{
    int err = 0;
    while (in->first) {
        struct delayed *d = in->first;
        in->first = d->next;
        err = err < 0 ? err : outlet_put(in->out, &d->r);
        free(d);
    }
    in->last = &in->first;
    in->delayed = 0;
    in->large = 0;
    return err;
}

/* Puts a record that is no content: at once, or behind those that wait. */
static int put_record(struct intake *in, const struct image_record *r)
{
    size_t bytes = r->name_len + r->len;
    if (in->large == 0) {
        return outlet_put(in->out, r);
    }
    struct delayed *d = malloc(sizeof(*d) + bytes);
    if (!d) {
        return -ENOMEM;
    }
    *d = (struct delayed){.r = *r};
    if (r->name_len) {
        d->r.name = memcpy(d->bytes, r->name, r->name_len);
    }
    if (r->len) {
        d->r.data = memcpy(d->bytes + r->name_len, r->data, r->len);
    }
    *in->last = d;
    in->last = &d->next;
    in->delayed += sizeof(*d) + bytes;
    return in->large > LARGE_MAX || in->delayed > DELAYED_MAX ||
                   in->contents - in->since > CONTENTS_MAX
               ? put_delayed(in)
               : 0;
}

/* Attributes of a directory that no entry describes. */
static struct intake_attributes implied(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (struct intake_attributes){.implied = true,
                                      .mode = S_IFDIR | 0755,
                                      .uid = geteuid(),
                                      .gid = getegid(),
                                      .mtime = now.tv_sec * INT64_C(1000000000) + now.tv_nsec};
}

/* Writes the attributes of an inode; *ret_inode is its number, or with 0 it gets the next one. */
static int put_inode(struct intake *in, const struct intake_attributes *a, uint64_t *ret_inode)
{
    bool link = S_ISLNK(a->mode), file = S_ISREG(a->mode);
    struct image_record r = {.type = IMAGE_INODE,
                             .mode = a->mode,
                             .implied = a->implied,
                             .uid = a->uid,
                             .gid = a->gid,
                             .rdev = a->rdev,
                             .mtime = a->mtime,
                             .size = link ? strlen(a->target) : file ? a->size : 0,
                             .content = a->content,
                             .data = link ? a->target : NULL};
    r.len = link ? (size_t)r.size : 0;
    *ret_inode = *ret_inode ? *ret_inode : ++in->inodes;
    r.number = *ret_inode;
    return put_record(in, &r);
}

int intake_open(int fd, struct intake_counts *counts, struct intake **ret_in)
{
    struct intake *in = calloc(1, sizeof(*in));
    struct intake_attributes root = implied();
    uint64_t number = 0;
    if (!in) {
        return -ENOMEM;
    }
    in->counts = counts;
    in->last = &in->first;
    int err = names_open(&in->names);
    if (err == 0) {
        err = outlet_open(fd, &in->out);
    }
    if (err == 0) {
        err = put_inode(in, &root, &number);
    }
    if (err < 0) {
        intake_close(in);
        return err;
    }
    *ret_in = in;
    return 0;
}

void intake_close(struct intake *in)
{
    if (!in) {
        return;
    }
    while (in->first) {
        struct delayed *d = in->first;
        in->first = d->next;
        free(d);
    }
    (void)outlet_close(in->out);
    names_close(in->names);
    free(in);
}

void intake_replace_all(struct intake *in)
{
    in->replace_all = true;
}

/* ---- paths ---- */

/* The next component behind *at, without "." and empty ones. False: there is none. */
static bool next_component(const char **at, const char **ret, size_t *ret_len)
{
    do {
        *at += strspn(*at, "/");
        *ret = *at;
        *ret_len = strcspn(*at, "/");
        *at += *ret_len;
    } while (*ret_len == 1 && **ret == '.');
    return *ret_len > 0;
}

static int check_component(struct intake *in, const char *path, const char *name, size_t len)
{
    if (len == 2 && memcmp(name, "..", 2) == 0) {
        return intake_fail(in, -EINVAL, "%s: a name with '..' is not taken", path);
    }
    return len > ITEM_NAME_MAX
               ? intake_fail(in, -ENAMETOOLONG, "%s: a name has at most 255 bytes", path)
               : 0;
}

static int put_entry(struct intake *in, const struct intake_place *place, const struct named *is)
{
    int err = put_record(in, &(struct image_record){.type = IMAGE_ENTRY,
                                                    .parent = place->parent,
                                                    .number = is->inode,
                                                    .name = place->name,
                                                    .name_len = place->len});
    return err < 0 ? err : names_put(in->names, place->parent, place->name, place->len, is);
}

/* Goes into a directory, and makes it if there is none. */
static int enter(struct intake *in, const char *path, struct intake_place *place)
{
    const struct named *is = names_find(in->names, place->parent, place->name, place->len);
    struct named made = {.is_dir = true};
    if (is && !is->is_dir) {
        return intake_fail(in, -ENOTDIR, "%s: '%.*s' is no directory", path, (int)place->len,
                           place->name);
    }
    if (is) {
        place->parent = is->inode;
        return 0;
    }
    struct intake_attributes a = implied();
    int err = put_inode(in, &a, &made.inode);
    if (err == 0) {
        err = put_entry(in, place, &made);
    }
    place->parent = made.inode;
    return err;
}

int intake_place(struct intake *in, const char *path, struct intake_place *ret)
{
    const char *at = path, *name;
    size_t len;
    int err = 0;
    *ret = (struct intake_place){.root = true, .parent = IMAGE_ROOT};
    in->counts->absolute += *path == '/';
    while (err == 0 && next_component(&at, &name, &len)) {
        err = check_component(in, path, name, len);
        if (err == 0 && !ret->root) {
            err = enter(in, path, ret);
        }
        ret->root = false;
        ret->name = name;
        ret->len = len;
    }
    return err;
}

int intake_find(struct intake *in, const char *path, uint64_t *ret_inode)
{
    struct named root = {.inode = IMAGE_ROOT, .is_dir = true};
    const struct named *is = &root;
    const char *at = path, *name;
    size_t len;
    while (is && next_component(&at, &name, &len)) {
        is = is->is_dir ? names_find(in->names, is->inode, name, len) : NULL;
    }
    if (!is || is->is_dir) {
        return is ? -EISDIR : -ENOENT;
    }
    *ret_inode = is->inode;
    return 0;
}

/* ---- contents ---- */

int intake_content(struct intake *in, uint64_t length, bool sparse)
{
    if (length > IMAGE_LENGTH_MAX) {
        return intake_fail(in, -EFBIG, "a file has more than 16 TiB");
    }
    in->length = length;
    in->sparse = sparse;
    in->at = in->content = 0;
    return 0;
}

int intake_piece(struct intake *in, uint64_t offset, const void *data, size_t len)
{
    int err = 0;
    if (offset < in->at || (offset > in->at && !in->sparse) || offset > in->length ||
        len > in->length - offset) {
        return intake_fail(in, -EINVAL, "a file does not have the bytes that its length says");
    }
    if (len && !in->content) {
        in->since = in->large ? in->since : in->contents;
        in->large += in->length > LARGE;
        in->content = ++in->contents;
    }
    struct image_record r = {
        .type = IMAGE_CONTENT, .number = in->content, .length = in->length, .sparse = in->sparse};
    for (size_t at = 0; at < len && err == 0; at += r.len) {
        r.offset = offset + at;
        r.data = (const uint8_t *)data + at;
        r.len = len - at < IMAGE_PIECE_MAX ? len - at : IMAGE_PIECE_MAX;
        err = outlet_put(in->out, &r);
    }
    in->at = offset + len;
    in->counts->bytes += len;
    return err;
}

uint64_t intake_content_end(struct intake *in)
{
    return in->content;
}

/* ---- files ---- */

static int remove_name(struct intake *in, const struct intake_place *place)
{
    names_remove(in->names, place->parent, place->name, place->len);
    return put_record(in, &(struct image_record){.type = IMAGE_REMOVE,
                                                 .parent = place->parent,
                                                 .name = place->name,
                                                 .name_len = place->len});
}

/* What has the place goes if a directory is one of the two, since an entry alone replaces neither.
 */
static int make_way(struct intake *in, const struct intake_place *place, bool is_dir)
{
    const struct named *is = names_find(in->names, place->parent, place->name, place->len);
    bool clash = is ? is->is_dir || is_dir : in->replace_all && !is_dir;
    return clash ? remove_name(in, place) : 0;
}

int intake_add(struct intake *in, const struct intake_place *place,
               const struct intake_attributes *a, uint64_t *ret_inode)
{
    struct named made = {.is_dir = S_ISDIR(a->mode)};
    const struct named *is =
        place->root ? NULL : names_find(in->names, place->parent, place->name, place->len);
    in->counts->files += !place->root;
    if (S_ISREG(a->mode) && a->size > IMAGE_LENGTH_MAX) {
        return intake_fail(in, -EFBIG, "a file has more than 16 TiB");
    }
    if (place->root && !made.is_dir) {
        return intake_fail(in, -ENOTDIR, "an entry for the directory itself is none");
    }
    if (place->root || (is && is->is_dir && made.is_dir)) {
        *ret_inode = place->root ? IMAGE_ROOT : is->inode;
        return put_inode(in, a, ret_inode);
    }
    int err = make_way(in, place, made.is_dir);
    if (err == 0) {
        err = put_inode(in, a, &made.inode);
    }
    *ret_inode = made.inode;
    return err < 0 ? err : put_entry(in, place, &made);
}

int intake_link(struct intake *in, const struct intake_place *place, uint64_t inode)
{
    if (place->root) {
        return intake_fail(in, -EISDIR, "a hard link has no name");
    }
    in->counts->files++;
    int err = make_way(in, place, false);
    return err < 0 ? err : put_entry(in, place, &(struct named){.inode = inode});
}

int intake_fill(struct intake *in, uint64_t inode, const struct intake_attributes *a)
{
    return put_inode(in, a, &inode);
}

static int put_opaque(struct intake *in, uint64_t directory)
{
    return put_record(in, &(struct image_record){.type = IMAGE_OPAQUE, .number = directory});
}

int intake_whiteout(struct intake *in, const struct intake_place *place)
{
    const struct named *is = names_find(in->names, place->parent, place->name, place->len);
    if (!is) {
        return remove_name(in, place);
    }
    return is->is_dir ? put_opaque(in, is->inode) : 0;
}

int intake_opaque(struct intake *in, const struct intake_place *place)
{
    return put_opaque(in, place->parent);
}

/* ---- attributes ---- */

/* Can a store have it? What a store computes is nothing that it keeps. */
static bool is_stored(const char *name, size_t len)
{
    static const char *const prefixes[] = {"user.", "trusted.", "security."};
    if (geteuid() != 0 && strncmp(name, "user.", 5) != 0 && strncmp(name, "system.", 7) != 0) {
        return false; /* only root may give it to a file */
    }
    if (strlen(name) > XATTR_NAME_MAX || len > XATTR_VALUE_MAX ||
        strncmp(name, "user.tally.", 11) == 0) {
        return false;
    }
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++) {
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0) {
            return name[strlen(prefixes[i])];
        }
    }
    return strcmp(name, "system.posix_acl_access") == 0 ||
           strcmp(name, "system.posix_acl_default") == 0;
}

int intake_xattr(struct intake *in, uint64_t inode, const char *name, const void *value, size_t len)
{
    if (!is_stored(name, len)) {
        in->counts->passed++;
        return 0;
    }
    return put_record(in, &(struct image_record){.type = IMAGE_XATTR,
                                                 .number = inode,
                                                 .name = name,
                                                 .name_len = strlen(name),
                                                 .data = len ? value : NULL,
                                                 .len = len});
}

int intake_end(struct intake *in)
{
    int err = put_delayed(in);
    if (err == 0) {
        err = outlet_put(in->out, &(struct image_record){.type = IMAGE_END,
                                                         .number = outlet_records(in->out)});
    }
    int err_close = outlet_close(in->out);
    in->out = NULL;
    return err < 0 ? err : err_close;
}
