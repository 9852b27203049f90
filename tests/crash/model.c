// SPDX-License-Identifier: Apache-2.0
/*
 * model: files as plain arrays, and operations that change them and the project alike. An operation
 * touches the model only after the project said that it was done; the states that a flush may make
 * durable are noted before it starts.
 */
#include "crash.h"
#include <errno.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const struct vfs_cred cred = {0};
static const char *const space_names[SPACES] = {"main", "a", "b", "c"};

/* ---- bytes and states ---- */

static struct bytes *bytes_new(size_t len)
{
    struct bytes *b = calloc(1, sizeof *b + len);

    CHECK(b);
    b->refs = 1;
    b->len = len;
    return b;
}

static struct bytes *bytes_ref(struct bytes *b)
{
    b->refs++;
    return b;
}

static void bytes_unref(struct bytes *b)
{
    if (b && --b->refs == 0)
        free(b);
}

static bool bytes_equal(const struct bytes *a, const struct bytes *b)
{
    return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

void model_copy(struct model *to, const struct model *from)
{
    *to = *from;
    for (size_t i = 0; i < to->files; i++)
        (void)bytes_ref(to->file[i].bytes);
    for (size_t i = 0; i < to->pins; i++)
        (void)bytes_ref(to->pin[i].bytes);
}

void model_drop(struct model *s)
{
    for (size_t i = 0; i < s->files; i++)
        bytes_unref(s->file[i].bytes);
    for (size_t i = 0; i < s->pins; i++)
        bytes_unref(s->pin[i].bytes);
    *s = (struct model){0};
}

void model_release(void)
{
    model_drop(&w.live);
    model_drop(&w.acked);
    while (w.attempts)
        model_drop(&w.attempt[--w.attempts]);
    while (w.versions)
        bytes_unref(w.history[--w.versions].bytes);
    bytes_unref(w.rotten);
    w.rotten = NULL;
}

static struct mfile *model_find(struct model *s, size_t space, const char *name)
{
    for (size_t i = 0; i < s->files; i++)
        if (s->file[i].space == space && !strcmp(s->file[i].name, name))
            return &s->file[i];
    return NULL;
}

/* The file's bytes are these now (takes over the reference); NULL: it is gone. */
static void model_set(size_t space, const char *name, struct bytes *b)
{
    struct mfile *f = model_find(&w.live, space, name);

    if (w.loose && b) {
        CHECK(w.versions < HISTORY_MAX);
        w.history[w.versions] = (struct mfile){.space = space, .bytes = bytes_ref(b)};
        strcpy(w.history[w.versions++].name, name);
    }
    if (f)
        bytes_unref(f->bytes);
    if (f && !b) {
        *f = w.live.file[--w.live.files];
        return;
    }
    if (!b)
        return;
    if (!f) {
        CHECK(w.live.files < FILES_MAX);
        f = &w.live.file[w.live.files++];
        f->space = space;
        strcpy(f->name, name);
    }
    f->bytes = b;
}

static struct bytes *model_get(size_t space, const char *name)
{
    struct mfile *f = model_find(&w.live, space, name);

    CHECK(f);
    return f->bytes;
}

/* ---- how an operation ends ---- */

/* No more operations, also when the power went without one having noticed. */
static bool is_off(void)
{
    w.stopped = w.stopped || fault_is_cut(&w.fault);
    return w.stopped;
}

/* Was it done? On an error: is it the injected one? Then *again says whether to try once more. */
static bool done(int err, bool *again)
{
    bool hit = w.fault.fail_at && atomic_load(&w.fault.writes) >= w.fault.fail_at;

    *again = false;
    if (err >= 0)
        return true;
    if (!hit) {
        fprintf(stderr, "an operation failed without a fault: %s\n", strerror(-err));
        CHECK(hit);
    }
    if (w.fault.cut || atomic_load(&w.p->readonly))
        w.stopped = true;
    else
        *again = true;
    return false;
}

static void note_attempt(void)
{
    CHECK(w.attempts < ATTEMPTS_MAX);
    model_copy(&w.attempt[w.attempts++], &w.live);
}

/* The power goes: what was done last may be there, too. */
void model_note(void)
{
    note_attempt();
}

/* Memory is short, so that any operation may commit first what was done before it. */
void op_short_of_memory(void)
{
    atomic_store(&w.p->settings.value[SET_BUFFERS], 40 * 1024);
    atomic_store(&w.p->settings.value[SET_PACK_LIMIT], 8 * 1024);
}

/* Run `call` until it is done; a second failure in a row is one too many. */
#define DO(call)                                                                                   \
    do {                                                                                           \
        bool again_;                                                                               \
        if (is_off())                                                                              \
            return;                                                                                \
        note_attempt();                                                                            \
        if (!done((int)(call), &again_)) {                                                         \
            if (!again_)                                                                           \
                return;                                                                            \
            w.retried++;                                                                           \
            if (!done((int)(call), &again_)) {                                                     \
                CHECK(w.stopped);                                                                  \
                return;                                                                            \
            }                                                                                      \
        }                                                                                          \
    } while (0)

/* ---- names ---- */

static uint64_t space_node(size_t s)
{
    struct vfs_attr attr;

    CHECK(vfs_lookup(w.p, VFS_ROOT, space_names[s], &attr) == 0);
    vfs_forget(w.p, attr.nodeid, 1);
    return attr.nodeid;
}

static int find(size_t s, const char *name, struct vfs_attr *ret)
{
    int err = vfs_lookup(w.p, space_node(s), name, ret);

    if (err == 0)
        vfs_forget(w.p, ret->nodeid, 1);
    return err;
}

/* ---- files ---- */

/* The same `value` gives the same bytes. */
static void fill(uint8_t *buf, size_t len, unsigned value)
{
    uint64_t state = value * UINT64_C(0x9E3779B97F4A7C15) + 1;

    for (size_t i = 0; i < len; i++)
        buf[i] = i % 8 ? (uint8_t)(buf[i - 1] * 31 + 7) : (uint8_t)fault_random(&state);
}

static int write_all(struct vfs_file *f, const uint8_t *buf, size_t len, size_t off)
{
    ssize_t n = vfs_write(f, buf, len, off);

    return n < 0 ? (int)n : (size_t)n == len ? 0 : -EIO;
}

static int write_file(size_t s, const char *name, const uint8_t *buf, size_t len, size_t off)
{
    struct vfs_file *f;
    struct vfs_attr attr;
    int err = vfs_create(w.p, space_node(s), name, 0644, &cred, VFS_WRITE, &attr, &f);

    if (err < 0)
        return err;
    vfs_forget(w.p, attr.nodeid, 1);
    err = write_all(f, buf, len, off);
    vfs_release(f);
    return err;
}

/* The bytes after `len` new ones at `off`. */
static struct bytes *patched(const struct bytes *old, const uint8_t *buf, size_t len, size_t off)
{
    size_t size = old && old->len > off + len ? old->len : off + len;
    struct bytes *b = bytes_new(size);

    if (old)
        memcpy(b->data, old->data, old->len);
    memcpy(b->data + off, buf, len);
    return b;
}

/* What a write of more than a grain has done half-way: a frame for each. */
static void note_parts(size_t s, const char *name, size_t off, const uint8_t *buf, size_t len)
{
    struct mfile *f = model_find(&w.live, s, name);
    struct bytes *whole = bytes_ref(f->bytes);

    for (size_t n = EXTENT_GRAIN - off % EXTENT_GRAIN; n < len; n += EXTENT_GRAIN) {
        f->bytes = patched(whole, buf, n, off);
        note_attempt();
        bytes_unref(f->bytes);
        f->bytes = whole;
    }
    bytes_unref(whole);
}

static int create_file(size_t s, const char *name)
{
    struct vfs_attr attr;
    int err = vfs_mknod(w.p, space_node(s), name, S_IFREG | 0644, 0, &cred, &attr);

    if (err == 0)
        vfs_forget(w.p, attr.nodeid, 1);
    return err == -EEXIST ? 0 : err;
}

static void do_write(size_t s, const char *name, size_t off, const uint8_t *buf, size_t len)
{
    struct mfile *f = model_find(&w.live, s, name);
    struct bytes *b = patched(f ? f->bytes : NULL, buf, len, off);

    if (w.loose) { /* also if it fails: a part of it may be on the disk */
        CHECK(w.versions < HISTORY_MAX);
        w.history[w.versions] = (struct mfile){.space = s, .bytes = bytes_ref(b)};
        strcpy(w.history[w.versions++].name, name);
    }
    bytes_unref(b);
    if (!f) {
        DO(create_file(s, name));
        model_set(s, name, bytes_new(0));
        f = model_find(&w.live, s, name);
    }
    note_parts(s, name, off, buf, len);
    DO(write_file(s, name, buf, len, off));
    model_set(s, name, patched(f->bytes, buf, len, off));
}

void op_write(size_t s, const char *name, size_t off, size_t len, unsigned value)
{
    uint8_t *buf = malloc(len);

    CHECK(buf);
    fill(buf, len, value);
    if (!is_off())
        do_write(s, name, off, buf, len);
    free(buf);
}

static int truncate_file(size_t s, const char *name, size_t size)
{
    struct vfs_attr attr, in = {.size = size};

    CHECK(find(s, name, &attr) == 0);
    return vfs_setattr(w.p, attr.nodeid, VFS_SET_SIZE, &in, &attr);
}

void op_truncate(size_t s, const char *name, size_t size)
{
    struct bytes *old, *b;

    DO(truncate_file(s, name, size));
    old = model_get(s, name);
    b = bytes_new(size);
    memcpy(b->data, old->data, old->len < size ? old->len : size);
    model_set(s, name, b);
}

static int punch_file(size_t s, const char *name, size_t off, size_t len)
{
    struct vfs_attr attr;
    struct vfs_file *f;
    int err;

    CHECK(find(s, name, &attr) == 0);
    err = vfs_open(w.p, attr.nodeid, VFS_WRITE, &f);
    if (err < 0)
        return err;
    err = vfs_fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len);
    vfs_release(f);
    return err;
}

/* Punched in part: of its edges, and of what is between them. */
static void note_punched(size_t s, const char *name, size_t off, size_t len)
{
    struct mfile *f = model_find(&w.live, s, name);
    struct bytes *whole = f->bytes;
    size_t end = off + len < whole->len ? off + len : whole->len;
    size_t first = (off + EXTENT_GRAIN - 1) / EXTENT_GRAIN * EXTENT_GRAIN;
    size_t last = end / EXTENT_GRAIN * EXTENT_GRAIN;

    for (unsigned parts = 1; parts < 8; parts++) {
        f->bytes = bytes_new(whole->len);
        memcpy(f->bytes->data, whole->data, whole->len);
        for (size_t i = off; i < end; i++)
            if (parts & (i < first ? 1 : i < last ? 2 : 4))
                f->bytes->data[i] = 0;
        note_attempt();
        bytes_unref(f->bytes);
    }
    f->bytes = whole;
}

void op_punch(size_t s, const char *name, size_t off, size_t len)
{
    struct bytes *old, *b;

    if (!is_off())
        note_punched(s, name, off, len);
    DO(punch_file(s, name, off, len));
    old = model_get(s, name);
    b = bytes_new(old->len);
    memcpy(b->data, old->data, old->len);
    if (off < old->len)
        memset(b->data + off, 0, old->len - off < len ? old->len - off : len);
    model_set(s, name, b);
}

/* ---- attributes ---- */

static const char *attr_of(const char *name)
{
    static char buf[2][24];
    static unsigned turn;
    char *text = buf[turn++ % 2];

    snprintf(text, 24, "%.22s@", name);
    return text;
}

static bool is_attr(const struct mfile *f)
{
    return f->name[strlen(f->name) - 1] == '@';
}

static int set_attr(size_t s, const char *name, const struct bytes *b)
{
    struct vfs_attr attr;

    CHECK(find(s, name, &attr) == 0);
    return b ? vfs_setxattr(w.p, attr.nodeid, "user.v", b->data, b->len, 0)
             : vfs_removexattr(w.p, attr.nodeid, "user.v");
}

static void do_xattr(size_t s, const char *name, struct bytes *b)
{
    DO(set_attr(s, name, b));
    model_set(s, attr_of(name), bytes_ref(b));
}

void op_xattr(size_t s, const char *name, size_t len, unsigned value)
{
    struct bytes *b = bytes_new(len);

    fill(b->data, len, value);
    do_xattr(s, name, b);
    bytes_unref(b);
}

void op_unxattr(size_t s, const char *name)
{
    DO(set_attr(s, name, NULL));
    model_set(s, attr_of(name), NULL);
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

/* ---- names of files ---- */

void op_unlink(size_t s, const char *name)
{
    DO(vfs_unlink(w.p, space_node(s), name));
    model_set(s, name, NULL);
    model_set(s, attr_of(name), NULL);
}

void op_rename(size_t s, const char *name, const char *newname)
{
    uint64_t node;

    if (is_off())
        return;
    node = space_node(s);
    DO(vfs_rename(w.p, node, name, node, newname, 0, NULL));
    model_set(s, newname, bytes_ref(model_get(s, name)));
    model_set(s, name, NULL);
    model_set(s, attr_of(newname),
              model_find(&w.live, s, attr_of(name)) ? bytes_ref(model_get(s, attr_of(name)))
                                                    : NULL);
    model_set(s, attr_of(name), NULL);
}

static int link_file(size_t s, const char *name, size_t s2, const char *name2)
{
    struct vfs_attr attr;
    int err;

    CHECK(find(s, name, &attr) == 0);
    err = vfs_link(w.p, attr.nodeid, space_node(s2), name2, &attr);
    if (err == 0)
        vfs_forget(w.p, attr.nodeid, 1);
    return err;
}

void op_link(size_t s, const char *name, size_t s2, const char *name2)
{
    DO(link_file(s, name, s2, name2));
    model_set(s2, name2, bytes_ref(model_get(s, name)));
    if (model_find(&w.live, s, attr_of(name)))
        model_set(s2, attr_of(name2), bytes_ref(model_get(s, attr_of(name))));
}

/* The power may be off without an operation having noticed. */
static bool id_of_file(size_t s, const char *name, struct id *ret)
{
    char hex[ID_HEX + 1] = "";
    struct vfs_attr attr;

    CHECK(find(s, name, &attr) == 0);
    if (vfs_getxattr(w.p, attr.nodeid, "user.tally.object", hex, ID_HEX) != ID_HEX) {
        CHECK(fault_is_cut(&w.fault));
        w.stopped = true;
        return false;
    }
    CHECK(id_from_hex(hex, ret) == 0);
    return true;
}

static int link_object(size_t s, const char *name, size_t s2, const char *name2)
{
    struct vfs_attr attr;
    struct id id;
    int err;

    if (!id_of_file(s, name, &id))
        return -EIO;
    err = vfs_link_object(w.p, &id, space_node(s2), name2, &cred, &attr);
    if (err == 0)
        vfs_forget(w.p, attr.nodeid, 1);
    return err;
}

void op_link_object(size_t s, const char *name, size_t s2, const char *name2)
{
    DO(link_object(s, name, s2, name2));
    model_set(s2, name2, bytes_ref(model_get(s, name)));
}

static int share_file(size_t s, const char *name, size_t s2, const char *name2)
{
    struct vfs_file *in, *out;
    struct vfs_attr attr;
    ssize_t n;

    CHECK(find(s, name, &attr) == 0 && vfs_open(w.p, attr.nodeid, 0, &in) == 0);
    n = vfs_create(w.p, space_node(s2), name2, 0644, &cred, VFS_WRITE, &attr, &out);
    if (n == 0) {
        vfs_forget(w.p, attr.nodeid, 1);
        n = vfs_share_range(in, 0, out, 0, SIZE_MAX);
        vfs_release(out);
    }
    vfs_release(in);
    return n < 0 ? (int)n : 0;
}

void op_share(size_t s, const char *name, size_t s2, const char *name2)
{
    if (!model_find(&w.live, s2, name2)) {
        DO(create_file(s2, name2));
        model_set(s2, name2, bytes_new(0));
    }
    DO(share_file(s, name, s2, name2));
    model_set(s2, name2, bytes_ref(model_get(s, name)));
}

/* ---- pins ---- */

static int pin(const struct id *id, bool on)
{
    struct entry e;
    uint64_t number;
    bool pending;
    int err = refs_find(w.p->refs, id, &number, &e, &pending);

    if (err < 0)
        return err;
    err = project_pin(w.p, number, on);
    refs_unhold(w.p->refs, number);
    return err;
}

void op_pin(size_t s, const char *name)
{
    struct id id;

    if (is_off())
        return;
    if (!id_of_file(s, name, &id))
        return;
    DO(pin(&id, true));
    CHECK(w.live.pins < PINS_MAX);
    w.live.pin[w.live.pins++] = (struct mpin){id, bytes_ref(model_get(s, name))};
}

void op_unpin(size_t which)
{
    if (is_off())
        return;
    CHECK(which < w.live.pins);
    DO(pin(&w.live.pin[which].id, false));
    bytes_unref(w.live.pin[which].bytes);
    w.live.pin[which] = w.live.pin[--w.live.pins];
}

/* ---- namespaces ---- */

void op_create_space(size_t s)
{
    struct vfs_attr attr;

    DO(vfs_mknod(w.p, VFS_ROOT, space_names[s], S_IFDIR | 0755, 0, &cred, &attr));
    vfs_forget(w.p, attr.nodeid, 1);
    w.live.space[s] = true;
}

void op_branch(size_t from, size_t to)
{
    uint64_t seq;
    uint32_t number;

    DO(ns_branch(w.p, space_names[from], space_names[to], &seq, &number));
    w.live.space[to] = true;
    for (size_t i = 0, n = w.live.files; i < n; i++)
        if (w.live.file[i].space == from)
            model_set(to, w.live.file[i].name, bytes_ref(w.live.file[i].bytes));
}

void op_drop(size_t s)
{
    uint32_t open;

    DO(ns_drop(w.p, space_names[s], true, false, false, &open));
    w.live.space[s] = false;
    for (size_t i = w.live.files; i-- > 0;)
        if (w.live.file[i].space == s)
            model_set(s, w.live.file[i].name, NULL);
}

void op_rename_space(size_t s, size_t to, bool exchange)
{
    DO(ns_rename(w.p, space_names[s], space_names[to], exchange ? RENAME_EXCHANGE : 0));
    for (size_t i = 0; i < w.live.files; i++) {
        struct mfile *f = &w.live.file[i];
        f->space = f->space == s ? to : f->space == to ? s : f->space;
    }
    w.live.space[s] = exchange;
    w.live.space[to] = true;
}

/* ---- open files ---- */

void op_open(size_t h, size_t s, const char *name)
{
    struct vfs_attr attr;

    if (is_off())
        return;
    CHECK(!w.handle[h] && find(s, name, &attr) == 0);
    CHECK(vfs_open(w.p, attr.nodeid, VFS_WRITE, &w.handle[h]) == 0);
}

static void do_write_open(size_t h, const uint8_t *buf, size_t len, size_t off)
{
    uint8_t *back = malloc(len);

    CHECK(back);
    if (is_off()) {
        free(back);
        return;
    }
    int err = write_all(w.handle[h], buf, len, off);
    bool again;
    if (!done(err, &again) && again)
        err = write_all(w.handle[h], buf, len, off);
    if (!is_off()) {
        CHECK(err == 0 && vfs_read(w.handle[h], back, len, off) == (ssize_t)len);
        CHECK(memcmp(back, buf, len) == 0);
    }
    free(back);
}

void op_write_open(size_t h, size_t off, size_t len, unsigned value)
{
    uint8_t *buf = malloc(len);

    CHECK(buf);
    fill(buf, len, value);
    do_write_open(h, buf, len, off);
    free(buf);
}

void op_close(size_t h)
{
    if (w.handle[h])
        vfs_release(w.handle[h]);
    w.handle[h] = NULL;
}

/* ---- time, flushing ---- */

void op_advance(int64_t ms)
{
    clock_manual_advance(&w.clock, ms * NSEC_PER_MSEC);
}

/* Everything that was done so far is durable. */
static void acknowledged(void)
{
    model_drop(&w.acked);
    while (w.attempts)
        model_drop(&w.attempt[--w.attempts]);
    model_copy(&w.acked, &w.live);
}

/* A plain fault does not stop the work: what is done after a flush that failed must be in the next
 * one that does not, which every second time is the last thing the store does. */
static void flushed(int err)
{
    bool again;

    if (done(err, &again)) {
        acknowledged();
        w.stopped = w.flush_failures && w.fault.fail_at % 2;
    } else if (again) {
        w.flush_failures++;
        CHECK(w.flush_failures < 4); /* neither well nor read-only: it would go on for ever */
    }
}

void op_flush(void)
{
    if (is_off())
        return;
    note_attempt();
    flushed(project_flush(w.p));
}

void op_sync(void)
{
    if (is_off())
        return;
    note_attempt();
    flushed(project_sync(w.p));
}

void op_begin_flush(void)
{
    enum seal_what what = SEAL_READY;
    struct ticket *t = NULL;
    bool again;
    int err;

    if (is_off())
        return;
    note_attempt();
    err = coordinator_try_flush(w.p->flush.coordinator, &what, &t);
    if (err == 0)
        ticket_unref(t);
    else if (err != -EAGAIN && !done(err, &again) && again) /* -EAGAIN: as many as there may be */
        w.flush_failures++;
}

void op_drain(bool idle)
{
    if (is_off())
        return;
    note_attempt();
    flushed(project_drain(w.p, idle, -1, NULL));
}

static int drop_some(unsigned budget)
{
    unsigned n;
    READ_GUARD(&w.p->gate);

    return drops_step(w.p->drops, budget, &n);
}

void op_drop_steps(unsigned budget)
{
    DO(drop_some(budget));
}

/* ---- damage ---- */

struct looking {
    char name[DISK_NAME_MAX + 1];
    const char *dir, *start;
};

static int look(const char *name, void *ctx)
{
    struct looking *l = ctx;

    if (strncmp(name, l->start, strlen(l->start)) || strstr(name, ".sums"))
        return 0;
    snprintf(l->name, sizeof l->name, "%.20s/%.100s", l->dir, name);
    return 1;
}

void op_damage(size_t s, const char *name)
{
    char hex[ID_HEX + 1], dir[32];
    struct entry e;
    uint64_t number;
    bool pending;
    struct id id;
    struct looking l = {.dir = dir, .start = hex};

    if (is_off())
        return;
    if (!id_of_file(s, name, &id))
        return;
    CHECK(refs_find(w.p->refs, &id, &number, &e, &pending) == 0);
    refs_unhold(w.p->refs, number);
    id_to_hex(&id, hex);
    w.rotten = bytes_ref(model_get(s, name));
    if (e.kind == ENTRY_PACK) {
        pack_name(e.where, l.name);
        CHECK(disk_mem_flip(w.disk, l.name, e.offset + 40 + e.size / 2, 3) == 0);
    } else {
        snprintf(dir, sizeof dir, "objects/%.2s", hex);
        CHECK(disk_list(w.disk, dir, look, &l) == 1);
        CHECK(disk_mem_flip(w.disk, l.name, e.size / 2, 3) == 0);
    }
}

/* ---- comparing ---- */

/* Is byte `at` of the file one that it ever had there? */
static bool some_version(const struct mfile *f, size_t at, uint8_t byte)
{
    for (size_t i = 0; i < w.versions; i++) {
        const struct mfile *h = &w.history[i];
        if (h->space == f->space && !strcmp(h->name, f->name) && at < h->bytes->len &&
            h->bytes->data[at] == byte)
            return true;
    }
    return false;
}

static bool bytes_match(const struct mfile *f, const uint8_t *buf, char why[256])
{
    for (size_t i = 0; i < f->bytes->len; i++)
        if (buf[i] != f->bytes->data[i] && !(w.loose && some_version(f, i, buf[i]))) {
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

bool model_matches(const struct model *s, char why[256])
{
    struct refs_stats stats;
    bool good = spaces_match(s, why);

    for (size_t i = 0; i < s->files && good; i++)
        good = is_attr(&s->file[i]) ? attr_matches(&s->file[i], why)
                                    : file_matches(s, &s->file[i], why);
    for (size_t i = 0; i < s->pins && good; i++)
        good = pin_matches(&s->pin[i], why);
    refs_get_stats(w.p->refs, &stats);
    if (good && stats.pinned != s->pins) {
        snprintf(why, 256, "%llu pins, not %zu", (unsigned long long)stats.pinned, s->pins);
        return false;
    }
    return good;
}

/* ---- the store ---- */

void project_reopen(void)
{
    struct project_config c = {
        .disk = w.disk, .clock = &w.clock.base, .threads = 1, .log_segment = LOG_SEGMENT};
    int err = kv_open_mem(w.mem, project_tables, project_table_count, KV_CREATE, &w.kv);

    CHECK(err == 0);
    c.kv = w.kv;
    err = project_open(&c, &w.p);
    if (err < 0)
        fprintf(stderr, "project_open: %s\n", strerror(-err));
    CHECK(err == 0);
    packs_set_size(w.p->packs, 200 * 1024);
}

void process_dies(void)
{
    for (size_t h = 0; h < HANDLES; h++)
        op_close(h);
    project_abandon(w.p);
    kv_close(w.kv);
    w.p = NULL;
    w.kv = NULL;
}
