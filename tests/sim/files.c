// SPDX-License-Identifier: Apache-2.0
/*
 * files: what is done to the files of a node, and the model of what they are: a content number by
 * namespace and name, with what it was before as long as a loss of power may bring it back.
 *
 * Contents are few, so equal bytes turn up on every node. Files are made, never overwritten: the
 * bytes of a slot that is overwritten arrive in any order, and the model would have to know.
 */
#include "ns_drop.h"
#include "ns_branch.h"
#include "sim.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const struct vfs_cred root = {0};
static const char *const space_names[SPACES] = {"main", "a"};

/* ---- contents ---- */

/* Half are files of their own, the others records of packs. */
static size_t content_len(unsigned content)
{
    uint64_t h = content * UINT64_C(0x9E3779B97F4A7C15) >> 40;

    return content % 2 ? PACK_LIMIT + 1 + h % (CONTENT_MAX - PACK_LIMIT) : 100 + h % PACK_LIMIT / 2;
}

static void content_fill(unsigned content, uint8_t *buf)
{
    uint64_t state = content * UINT64_C(0x9E3779B97F4A7C15) + 1;
    size_t len = content_len(content);

    for (size_t i = 0; i < len; i += sizeof state) {
        uint64_t word = fault_random(&state);
        memcpy(buf + i, &word, len - i < sizeof word ? len - i : sizeof word);
    }
}

static bool is_anywhere(unsigned content)
{
    for (unsigned i = 0; i < sim.nodes; i++)
        for (size_t f = 0; f < SPACES * FILES; f++)
            if (sim.node[i].p && sim.node[i].file[f / FILES][f % FILES].content == content)
                return true;
    return false;
}

static unsigned some_content(void)
{
    return 1 + (unsigned)pick(CONTENTS);
}

/* One that nobody has any more: it is on its way out. */
static unsigned wanted_content(void)
{
    unsigned first = some_content();

    for (unsigned i = 0; i < CONTENTS; i++)
        if (!is_anywhere(1 + (first + i) % CONTENTS))
            return 1 + (first + i) % CONTENTS;
    return first;
}

/* ---- names ---- */

static void file_name(size_t f, char out[16])
{
    snprintf(out, 16, "file%zu", f);
}

static uint64_t space_node(struct node *n, size_t s)
{
    struct vfs_attr attr;

    CHECK_OK(vfs_lookup(n->p, VFS_ROOT, space_names[s], &attr));
    vfs_forget(n->p, attr.nodeid, 1);
    return attr.nodeid;
}

static int find(struct node *n, size_t s, size_t f, struct vfs_attr *ret)
{
    char name[16];
    int err;

    file_name(f, name);
    err = vfs_lookup(n->p, space_node(n, s), name, ret);
    if (err == 0)
        vfs_forget(n->p, ret->nodeid, 1);
    return err;
}

static size_t some_space(struct node *n)
{
    size_t s = pick(SPACES);

    return n->space[s] ? s : 0;
}

static struct file *model_set(struct node *n, size_t s, size_t f, unsigned content)
{
    n->file[s][f].content = content;
    n->file[s][f].changed = true;
    return &n->file[s][f];
}

/* ---- operations ---- */

static void make(struct node *n, size_t s, const char *name, unsigned content)
{
    static uint8_t buf[CONTENT_MAX + 8];
    size_t len = content_len(content);
    struct vfs_file *file;
    struct vfs_attr attr;

    content_fill(content, buf);
    CHECK_OK(
        vfs_create(n->p, space_node(n, s), name, 0644, &root, VFS_WRITE | VFS_EXCL, &attr, &file));
    CHECK(vfs_write(file, buf, len, 0) == (ssize_t)len);
    vfs_release(file);
    vfs_forget(n->p, attr.nodeid, 1);
}

static void put(struct node *n, unsigned content)
{
    size_t s = some_space(n), f = pick(FILES);
    char name[16];

    file_name(f, name);
    say("node %u: %s/%s is written: content %u", n->number, space_names[s], name, content);
    if (n->file[s][f].content)
        CHECK_OK(vfs_unlink(n->p, space_node(n, s), name));
    make(n, s, name, content);
    model_set(n, s, f, content);
}

void op_put(struct node *n)
{
    put(n, some_content());
}

void op_want(struct node *n)
{
    put(n, wanted_content());
}

void op_replace(struct node *n)
{
    size_t s = some_space(n), f = pick(FILES);
    unsigned content = some_content();
    uint64_t dir = space_node(n, s);
    char name[16];

    file_name(f, name);
    say("node %u: %s/%s is replaced: content %u", n->number, space_names[s], name, content);
    (void)vfs_unlink(n->p, dir, "new"); /* of one that a loss of power ended half-way */
    make(n, s, "new", content);
    CHECK_OK(vfs_rename(n->p, dir, "new", dir, name, 0, NULL));
    model_set(n, s, f, content);
}

void op_remove(struct node *n)
{
    size_t s = some_space(n), f = pick(FILES);
    char name[16];

    if (!n->file[s][f].content)
        return;
    file_name(f, name);
    say("node %u: %s/%s is removed", n->number, space_names[s], name);
    CHECK_OK(vfs_unlink(n->p, space_node(n, s), name));
    model_set(n, s, f, 0);
}

void op_link(struct node *n)
{
    size_t s = some_space(n), to = some_space(n), f = pick(FILES), g = pick(FILES);
    struct vfs_attr attr;
    char name[16];

    if (s == to || !n->file[s][f].content || n->file[to][g].content)
        return;
    file_name(g, name);
    say("node %u: %s/file%zu is linked to %s/%s", n->number, space_names[s], f, space_names[to],
        name);
    CHECK_OK(find(n, s, f, &attr));
    CHECK_OK(vfs_link(n->p, attr.nodeid, space_node(n, to), name, &attr));
    vfs_forget(n->p, attr.nodeid, 1);
    model_set(n, to, g, n->file[s][f].content);
}

void op_branch(struct node *n)
{
    size_t s = some_space(n), to = 1 + pick(SPACES - 1);
    uint32_t number;
    uint64_t seq;

    if (n->space[to])
        return;
    say("node %u: %s is branched from %s", n->number, space_names[to], space_names[s]);
    CHECK_OK(ns_branch(n->p, space_names[s], space_names[to], &seq, &number));
    n->space[to] = n->space_changed[to] = true;
    for (size_t f = 0; f < FILES; f++)
        model_set(n, to, f, n->file[s][f].content);
}

void op_drop(struct node *n)
{
    size_t s = 1 + pick(SPACES - 1);
    uint32_t open;

    if (!n->space[s])
        return;
    say("node %u: %s is dropped", n->number, space_names[s]);
    CHECK_OK(ns_drop(n->p, space_names[s], false, false, false, &open));
    n->space[s] = false;
    n->space_changed[s] = true;
    for (size_t f = 0; f < FILES; f++)
        model_set(n, s, f, 0);
}

static bool object_of(struct node *n, size_t s, size_t f, struct id *ret)
{
    char text[ID_HEX + 1] = "";
    struct vfs_attr attr;

    return n->file[s][f].content && find(n, s, f, &attr) == 0 &&
           vfs_getxattr(n->p, attr.nodeid, "user.tally.object", text, ID_HEX) == ID_HEX &&
           id_from_hex(text, ret) == 0;
}

/* An object of one of its files; a second time it is unpinned. */
void op_pin(struct node *n)
{
    size_t s = some_space(n), f = pick(FILES);
    struct entry e;
    uint64_t number;
    struct id id;
    bool pending, pinned;

    if (!object_of(n, s, f, &id) || refs_find(n->p->refs, &id, &number, &e, &pending) < 0)
        return;
    pinned = refs_is_pinned(n->p->refs, number);
    say("node %u: object %llu of %s/file%zu is %spinned", n->number, (unsigned long long)number,
        space_names[s], f, pinned ? "un" : "");
    CHECK_OK(state_pin(n->p, number, !pinned));
    refs_unhold(n->p->refs, number);
}

static void compare(struct node *n, size_t s, size_t f)
{
    static uint8_t want[CONTENT_MAX + 8], have[CONTENT_MAX + 8];
    unsigned content = n->file[s][f].content;
    struct vfs_file *file;
    struct vfs_attr attr;
    ssize_t len;
    int err = find(n, s, f, &attr);

    if (!content) {
        if (err != -ENOENT)
            fail(__FILE__, __LINE__, "node %u: %s/file%zu came back", n->number, space_names[s], f);
        return;
    }
    if (err < 0)
        fail(__FILE__, __LINE__, "node %u: %s/file%zu is gone", n->number, space_names[s], f);
    CHECK_OK(vfs_open(n->p, attr.nodeid, 0, &file));
    len = vfs_read(file, have, sizeof have, 0);
    vfs_release(file);
    content_fill(content, want);
    if (len < 0)
        fail(__FILE__, __LINE__, "node %u: %s/file%zu cannot be read: %s", n->number,
             space_names[s], f, strerror((int)-len));
    if (len != (ssize_t)content_len(content) || memcmp(have, want, (size_t)len) != 0)
        fail(__FILE__, __LINE__, "node %u: %s/file%zu is not content %u", n->number, space_names[s],
             f, content);
}

void op_read(struct node *n)
{
    compare(n, some_space(n), pick(FILES));
}

/* ---- the model over time ---- */

static struct version_state state_of(const struct file *m)
{
    return (struct version_state){.exists = m->content, .hash = m->content};
}

void model_begin(struct node *n)
{
    n->before = n->p ? state_seq(n->p) : 0;
}

void model_note(struct node *n)
{
    uint64_t after, durable;

    if (!n->p)
        return;
    after = state_seq(n->p);
    durable = flush_durable(n->p);
    for (size_t s = 0; s < SPACES; s++) {
        if (n->space_changed[s])
            versions_note(&n->space_history[s], n->before, after,
                         (struct version_state){.exists = n->space[s]});
        n->space_changed[s] = false;
        versions_trim(&n->space_history[s], durable);
        for (size_t f = 0; f < FILES; f++) {
            struct file *m = &n->file[s][f];
            if (m->changed)
                versions_note(&m->history, n->before, after, state_of(m));
            m->changed = false;
            versions_trim(&m->history, durable);
        }
    }
}

void model_restart(struct node *n)
{
    for (size_t s = 0; s < SPACES; s++) {
        versions_restart(&n->space_history[s], (struct version_state){.exists = n->space[s]});
        for (size_t f = 0; f < FILES; f++)
            versions_restart(&n->file[s][f].history, state_of(&n->file[s][f]));
    }
}

/* Which content it is: the model knows what it may be. */
static unsigned adopt(struct node *n, size_t s, size_t f)
{
    static uint8_t want[CONTENT_MAX + 8], have[CONTENT_MAX + 8];
    struct vfs_file *file;
    struct vfs_attr attr;
    ssize_t len;

    if (find(n, s, f, &attr) < 0)
        return 0;
    CHECK_OK(vfs_open(n->p, attr.nodeid, 0, &file));
    len = vfs_read(file, have, sizeof have, 0);
    vfs_release(file);
    CHECK_OK(len);
    for (unsigned c = 1; c <= CONTENTS; c++) {
        content_fill(c, want);
        if ((size_t)len == content_len(c) && memcmp(have, want, (size_t)len) == 0)
            return c;
    }
    return 0;
}

/* In the middle of making it, it may be there and have a part of its bytes: it goes. */
static void settle_half(struct node *n, size_t s, size_t f)
{
    struct vfs_attr attr;
    char name[16];

    file_name(f, name);
    n->file[s][f].content = adopt(n, s, f);
    if (n->file[s][f].content == 0 && find(n, s, f, &attr) == 0)
        CHECK_OK(vfs_unlink(n->p, space_node(n, s), name));
}

static void file_after_power(struct node *n, size_t s, size_t f, uint64_t seq)
{
    struct file *m = &n->file[s][f];
    struct version_state want;

    if (!n->space[s]) {
        m->content = 0;
    } else if (versions_at(&m->history, seq, &want)) {
        m->content = (unsigned)want.hash;
        compare(n, s, f);
    } else {
        settle_half(n, s, f);
    }
}

void model_after_power(struct node *n, uint64_t durable)
{
    uint64_t seq = n->found;

    if (seq < durable)
        fail(__FILE__, __LINE__, "node %u: change %llu was durable, and %llu is the last now",
             n->number, (unsigned long long)durable, (unsigned long long)seq);
    for (size_t s = 0; s < SPACES; s++) {
        struct version_state there;
        struct vfs_attr attr;
        bool is = vfs_lookup(n->p, VFS_ROOT, space_names[s], &attr) == 0;
        if (is)
            vfs_forget(n->p, attr.nodeid, 1);
        CHECK(!versions_at(&n->space_history[s], seq, &there) || there.exists == is);
        n->space[s] = is;
        for (size_t f = 0; f < FILES; f++)
            file_after_power(n, s, f, seq);
    }
    model_restart(n);
}

void model_compare(struct node *n)
{
    for (size_t s = 0; s < SPACES; s++)
        for (size_t f = 0; f < FILES; f++)
            if (n->space[s])
                compare(n, s, f);
}

void model_release(struct node *n)
{
    for (size_t s = 0; s < SPACES; s++) {
        versions_release(&n->space_history[s]);
        for (size_t f = 0; f < FILES; f++)
            versions_release(&n->file[s][f].history);
    }
}
