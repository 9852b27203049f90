// SPDX-License-Identifier: Apache-2.0
/* Claims about an import into a namespace that is there (import_into.h, load_met.c, load_target.c). */
#include "check_fixture.h"

#include "flush.h"
#include "image.h"
#include "import.h"
#include "kept.h"

#define DAY (86400 * NSEC_PER_SEC)

static struct fixture x;
static const struct vfs_cred root = {.uid = 0};

/* ---- a stream ---- */

static uint8_t bytes[1 << 20];
static size_t length;
static struct image_stream out;
static uint64_t inodes, contents;

static void add(const struct image_record *r)
{
    cr_assert_lt(length + IMAGE_FIXED_MAX + r->len, sizeof bytes);
    length += image_put(&out, r, bytes + length);
    if (r->len)
        memcpy(bytes + length, r->data, r->len);
    length += r->len;
}

static uint64_t put_inode(uint32_t mode, bool implied)
{
    add(&(struct image_record){
        .type = IMAGE_INODE, .number = ++inodes, .mode = mode, .implied = implied, .mtime = 77});
    return inodes;
}

static void begin_stream(bool implied)
{
    image_begin(&out, bytes);
    length = IMAGE_HEAD;
    inodes = contents = 0;
    put_inode(S_IFDIR | 0711, implied);
}

static void end_stream(void)
{
    add(&(struct image_record){.type = IMAGE_END, .number = out.records});
}

static void put_name(enum image_type type, uint64_t dir, const char *name, uint64_t number)
{
    add(&(struct image_record){.type = type,
                               .parent = dir,
                               .number = number,
                               .name = name,
                               .name_len = strlen(name)});
}

static uint64_t add_dir(uint64_t dir, const char *name, bool implied)
{
    uint64_t number = put_inode(S_IFDIR | 0700, implied);

    put_name(IMAGE_ENTRY, dir, name, number);
    return number;
}

static uint64_t add_file(uint64_t dir, const char *name, const char *text)
{
    add(&(struct image_record){.type = IMAGE_CONTENT,
                               .number = ++contents,
                               .length = strlen(text),
                               .data = text,
                               .len = strlen(text)});
    add(&(struct image_record){.type = IMAGE_INODE,
                               .number = ++inodes,
                               .mode = S_IFREG | 0640,
                               .size = strlen(text),
                               .content = contents});
    put_name(IMAGE_ENTRY, dir, name, inodes);
    return inodes;
}

static void add_xattr(uint64_t number, const char *name, const char *value)
{
    add(&(struct image_record){.type = IMAGE_XATTR,
                               .number = number,
                               .name = name,
                               .name_len = strlen(name),
                               .data = value,
                               .len = strlen(value)});
}

static void add_opaque(uint64_t number)
{
    add(&(struct image_record){.type = IMAGE_OPAQUE, .number = number});
}

/* ---- a session ---- */

static char reply[4096];

/* Gives it the first bytes of the stream. They are worked off then, so that what the disk has
 * afterwards does not depend on threads. */
static ssize_t give(struct import *s, size_t len)
{
    ssize_t n = import_write(s, (const char *)bytes, len);

    cr_assert_eq(import_read(s, reply, 0), 0);
    return n;
}

/* Gives a session a line, and all of the stream. Returns the first error, or what was taken. */
static ssize_t import_as(const struct vfs_cred *cred, const char *target)
{
    char line[512];
    struct import *s;
    ssize_t n, got;

    snprintf(line, sizeof line, "import \"%s\"\n", target);
    cr_assert_eq(import_open(x.p, cred, &s), 0);
    n = import_write(s, line, strlen(line));
    if (n > 0)
        n = give(s, length);
    got = import_read(s, reply, sizeof reply - 1);
    cr_assert_geq(got, 0);
    reply[got] = 0;
    import_close(s);
    return n;
}

static void imported(const char *target)
{
    ssize_t n = import_as(&root, target);

    cr_assert_eq(n, (ssize_t)length, "%zd: %s", n, reply);
    cr_assert_eq(strncmp(reply, "ok ns=", 6), 0, "%s", reply);
}

/* It is refused with that error and a sentence, and main is as it was. */
static void is_refused(const char *target, int err, const char *part)
{
    struct ns *ns;
    uint64_t seq;
    ssize_t n;

    cr_assert_eq(ns_get_by_name(x.p, "main", &ns), 0);
    seq = ns->seq;
    n = import_as(&root, target);

    cr_assert_eq(n, err, "%zd: %s", n, reply);
    cr_assert(strstr(reply, part), "'%s', without '%s'", reply, part);
    cr_assert_eq(ns->seq, seq, "it was changed");
    ns_put(x.p, ns);
}

/* ---- what is there ---- */

static void has(const char *path, const char *text)
{
    char got[200];
    struct vfs_file *f;
    ssize_t n;

    cr_assert_eq(vfs_open(x.p, node_of(&x, path), 0, &f), 0, "%s", path);
    n = vfs_read(f, got, sizeof got, 0);
    vfs_release(f);
    cr_assert(n == (ssize_t)strlen(text) && !memcmp(got, text, (size_t)n), "%s: %.*s", path, (int)n,
              got);
}

static struct vfs_attr attr_of(const char *path)
{
    struct vfs_attr a;

    cr_assert_eq(vfs_getattr(x.p, node_of(&x, path), &a), 0, "%s", path);
    return a;
}

static void make_dir(const char *path)
{
    const char *name;
    struct vfs_attr a;
    uint64_t dir = parent_of(&x, path, &name);

    cr_assert_eq(vfs_mknod(x.p, dir, name, S_IFDIR | 0755, 0, &fixture_cred, &a), 0, "%s", path);
    vfs_forget(x.p, a.nodeid, 1);
}

static void make_link(const char *path, const char *target)
{
    const char *name;
    struct vfs_attr a;
    uint64_t dir = parent_of(&x, path, &name);

    cr_assert_eq(vfs_symlink(x.p, dir, name, target, &fixture_cred, &a), 0, "%s", path);
    vfs_forget(x.p, a.nodeid, 1);
}

static void link_file(const char *from, const char *to)
{
    const char *name;
    struct vfs_attr a;
    uint64_t dir = parent_of(&x, to, &name);

    cr_assert_eq(vfs_link(x.p, node_of(&x, from), dir, name, &a), 0, "%s", to);
    vfs_forget(x.p, a.nodeid, 1);
}

static void write_over(const char *path, const char *text)
{
    struct vfs_file *f;

    cr_assert_eq(vfs_open(x.p, node_of(&x, path), VFS_WRITE, &f), 0, "%s", path);
    cr_assert_eq(vfs_write(f, text, strlen(text), 0), (ssize_t)strlen(text));
    vfs_release(f);
}

static bool is_there(const char *path)
{
    return node_of(&x, path) != 0;
}

static void into_up(void)
{
    fixture_setup(&x);
    settings_put(&x.p->settings, SET_ORIGIN_KEEP, 7 * DAY);
    settings_put(&x.p->settings, SET_TRASH_KEEP, DAY);
    put_file(&x, "main/a", "old a");
    make_dir("main/d");
    put_file(&x, "main/d/f", "old f");
    put_file(&x, "main/d/g", "old g");
    make_link("main/l", "d");
    clock_manual_advance(&x.clock, NSEC_PER_SEC);
    begin_stream(false);
}
static void into_down(void)
{
    struct findings f;

    down_clean(&x);
    is_clean(&x, &f);
}

TestSuite(into, .init = into_up, .fini = into_down);

Test(into, a_path_that_is_not_there_becomes_a_directory_with_the_attributes_of_the_source)
{
    add_file(1, "new", "text");
    end_stream();
    imported("main/d/sub");
    has("main/d/sub/new", "text");
    has("main/d/f", "old f");
    cr_assert_eq(attr_of("main/d/sub").mode & 07777, 0711);
    cr_assert_eq(attr_of("main/d/sub").mtime, 77);
    cr_assert_eq(attr_of("main/d").nlink, 3);
}

Test(into, files_take_the_place_of_files_and_directories_are_merged)
{
    uint64_t d = add_dir(1, "d", false);

    add_file(d, "f", "new f");
    add_file(d, "h", "new h");
    add_file(1, "a", "new a");
    end_stream();
    imported("main");
    has("main/a", "new a");
    has("main/d/f", "new f");
    has("main/d/g", "old g");
    has("main/d/h", "new h");
    cr_assert_eq(attr_of("main/d").mode & 07777, 0700);
    cr_assert_eq(attr_of("main/d").mtime, 77);
    cr_assert_eq(attr_of("main").mode & 07777, 0711);
}

Test(into, an_implied_directory_keeps_its_own_attributes)
{
    struct vfs_attr before = attr_of("main/d"), top = attr_of("main");
    char value[8];

    cr_assert_eq(vfs_setxattr(x.p, node_of(&x, "main/d"), "user.own", "v", 1, 0), 0);
    begin_stream(true);
    add_file(add_dir(1, "d", true), "h", "new h");
    end_stream();
    imported("main");
    cr_assert_eq(attr_of("main/d").mode, before.mode);
    cr_assert_gt(attr_of("main/d").mtime, before.mtime, "it got a file just now");
    cr_assert_eq(attr_of("main").mode, top.mode);
    cr_assert_eq(attr_of("main").mtime, top.mtime);
    cr_assert_eq(vfs_getxattr(x.p, node_of(&x, "main/d"), "user.own", value, sizeof value), 1);
}

Test(into, a_directory_that_is_described_gets_the_extended_attributes_of_the_source)
{
    char value[8];
    uint64_t d;

    cr_assert_eq(vfs_setxattr(x.p, node_of(&x, "main/d"), "user.own", "v", 1, 0), 0);
    d = put_inode(S_IFDIR | 0700, false);
    add_xattr(d, "user.before", "1");
    put_name(IMAGE_ENTRY, 1, "d", d);
    add_xattr(d, "user.behind", "2");
    end_stream();
    imported("main");
    cr_assert_eq(vfs_getxattr(x.p, node_of(&x, "main/d"), "user.own", value, 8), -ENODATA);
    cr_assert_eq(vfs_getxattr(x.p, node_of(&x, "main/d"), "user.before", value, 8), 1);
    cr_assert_eq(vfs_getxattr(x.p, node_of(&x, "main/d"), "user.behind", value, 8), 1);
}

Test(into, a_whiteout_and_an_opaque_directory_delete_what_was_there_and_no_more)
{
    uint64_t d;

    make_dir("main/d/deep");
    put_file(&x, "main/d/deep/one", "old");
    make_dir("main/d/deep/er");
    put_file(&x, "main/d/deep/er/two", "old");
    d = add_dir(1, "d", true);
    add_file(add_dir(d, "deep", true), "new", "stays");
    put_name(IMAGE_REMOVE, 1, "a", 0);
    put_name(IMAGE_REMOVE, 1, "not there", 0);
    add_opaque(d);
    add_file(d, "behind", "stays, too");
    end_stream();
    imported("main");
    cr_assert(!is_there("main/a") && !is_there("main/d/f") && !is_there("main/d/g"));
    cr_assert(!is_there("main/d/deep/one") && !is_there("main/d/deep/er"));
    has("main/d/deep/new", "stays");
    has("main/d/behind", "stays, too");
    cr_assert_eq(attr_of("main/d").nlink, 3);
    cr_assert(is_there("main/l"));
}

Test(into, a_file_of_several_names_loses_the_one_that_is_taken)
{
    link_file("main/a", "main/d/a2");
    add_file(1, "a", "new a");
    end_stream();
    imported("main");
    has("main/a", "new a");
    has("main/d/a2", "old a");
    cr_assert_eq(attr_of("main/d/a2").nlink, 1);
}

Test(into, a_file_does_not_take_the_place_of_a_directory_unless_that_was_removed)
{
    add_file(1, "d", "a file");
    end_stream();
    is_refused("main", -EISDIR, "'d' is a directory there");
    begin_stream(false);
    put_name(IMAGE_REMOVE, 1, "d", 0);
    add_file(1, "d", "a file");
    end_stream();
    imported("main");
    has("main/d", "a file");
}

Test(into, a_directory_takes_the_place_of_a_file_or_symlink_unless_it_is_implied)
{
    add_file(add_dir(1, "l", true), "f", "not through the symlink");
    end_stream();
    is_refused("main", -ENOTDIR, "'l' is no directory there");
    has("main/d/f", "old f");
    begin_stream(false);
    add_file(add_dir(1, "l", false), "f", "not through the symlink");
    end_stream();
    imported("main");
    has("main/l/f", "not through the symlink");
    has("main/d/f", "old f");
}

Test(into, a_path_of_the_target_leads_through_directories_of_the_namespace_only)
{
    make_link("main/out", "/other");
    end_stream();
    is_refused("main/l", -ENOTDIR, "l is a symlink");
    is_refused("main/l/new", -ENOTDIR, "l is a symlink");
    is_refused("main/out/new", -ENOTDIR, "out is a symlink");
    is_refused("main/a", -ENOTDIR, "a is no directory");
    is_refused("main/a/new", -ENOTDIR, "a is no directory");
    is_refused("main/x/y", -ENOENT, "x is not there");
    is_refused("main/d/../e", -EINVAL, "'..'");
    is_refused("nowhere/d", -ENOENT, "nowhere is no namespace");
    imported("main//d/./new/");
    cr_assert(is_there("main/d/new"));
}

Test(into, only_root_may_import_into_what_is_there)
{
    static const struct vfs_cred user = {.uid = 1000, .gid = 1000};

    end_stream();
    cr_assert_eq(import_as(&user, "main/new"), -EPERM, "%s", reply);
    cr_assert(!is_there("main/new"));
}

Test(into, a_frozen_namespace_is_refused_at_the_begin_and_at_the_end)
{
    static const char line[] = "import main/new\n";
    struct import *s;

    end_stream();
    cr_assert_eq(import_open(x.p, &root, &s), 0);
    cr_assert_eq(import_write(s, line, sizeof line - 1), (ssize_t)(sizeof line - 1));
    agreed(&x, "set ns:main.frozen yes", "ok");
    cr_assert_eq(give(s, length), -EROFS);
    import_close(s);
    is_refused("main/new", -EROFS, "main is frozen");
    agreed(&x, "set ns:main.frozen no", "ok");
    imported("main/new");
}

Test(into, what_is_written_meanwhile_stays_and_the_import_wins_where_both_changed)
{
    static const char line[] = "import main\n";
    struct import *s;

    add_file(1, "a", "new a");
    add_file(1, "both", "of the import");
    end_stream();
    cr_assert_eq(import_open(x.p, &root, &s), 0);
    cr_assert_eq(import_write(s, line, sizeof line - 1), (ssize_t)(sizeof line - 1));
    write_over("main/a", "OLD");
    write_over("main/d/f", "OLD");
    put_file(&x, "main/both", "of main");
    put_file(&x, "main/d/later", "of main");
    cr_assert_eq(give(s, length), (ssize_t)length);
    import_close(s);
    has("main/a", "new a");
    has("main/both", "of the import");
    has("main/d/f", "OLD f");
    has("main/d/later", "of main");
}

Test(into, what_does_not_fit_to_what_was_written_meanwhile_changes_nothing)
{
    static const char line[] = "import main\n";
    struct import *s;

    put_name(IMAGE_REMOVE, 1, "d", 0);
    add_file(1, "new", "text");
    end_stream();
    cr_assert_eq(import_open(x.p, &root, &s), 0);
    cr_assert_eq(import_write(s, line, sizeof line - 1), (ssize_t)(sizeof line - 1));
    put_file(&x, "main/d/later", "of main");
    cr_assert_eq(give(s, length), -EEXIST);
    cr_assert_gt(import_read(s, reply, sizeof reply), 0);
    cr_assert(strstr(reply, "d was changed meanwhile (filled)"), "%s", reply);
    import_close(s);
    has("main/d/later", "of main");
    cr_assert(!is_there("main/new"));
}

Test(into, an_open_file_that_was_replaced_is_read_to_its_end)
{
    struct vfs_file *f;
    char got[5];

    cr_assert_eq(vfs_open(x.p, node_of(&x, "main/a"), 0, &f), 0);
    add_file(1, "a", "new a");
    end_stream();
    imported("main");
    cr_assert_eq(vfs_read(f, got, 5, 0), 5);
    cr_assert_eq(memcmp(got, "old a", 5), 0);
    vfs_release(f);
    has("main/a", "new a");
}

Test(into, an_import_is_undone_as_a_merge_is)
{
    add_file(1, "a", "new a");
    end_stream();
    imported("main");
    agreed(&x, "undo main", "ok");
    has("main/a", "old a");
    agreed(&x, "redo main", "ok");
    has("main/a", "new a");
}

Test(into, a_session_that_ends_early_changes_nothing_and_leaves_nothing)
{
    static const char line[] = "import main/d\n";
    uint64_t before[2], after[2];
    struct import *s;

    for (int i = 0; i < 50; i++) {
        char name[16];

        snprintf(name, sizeof name, "f%d", i);
        add_file(1, name, name);
    }
    end_stream();
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    disk_use(&x, &before[0], &before[1]);
    for (size_t len = 0; len < length; len += length / 5) {
        cr_assert_eq(import_open(x.p, &root, &s), 0);
        cr_assert_eq(import_write(s, line, sizeof line - 1), (ssize_t)(sizeof line - 1));
        cr_assert_eq(give(s, len), (ssize_t)len);
        cr_assert_eq(flush_now(x.p), 0);
        import_close(s);
        cr_assert(!is_there("main/d/f0"));
    }
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    disk_use(&x, &after[0], &after[1]);
    cr_assert_leq(after[0], before[0] + 64, "%lu bytes are left", after[0] - before[0]);
}

Test(into, what_was_imported_is_there_after_a_crash_and_what_was_not_is_not)
{
    static const char line[] = "import main/half\n";
    struct import *s;

    add_file(add_dir(1, "sub", false), "f", "text");
    end_stream();
    imported("main/d");
    cr_assert_eq(import_open(x.p, &root, &s), 0);
    cr_assert_eq(import_write(s, line, sizeof line - 1), (ssize_t)(sizeof line - 1));
    cr_assert_eq(give(s, length - 1), (ssize_t)(length - 1));
    cr_assert_eq(flush_now(x.p), 0);
    atomic_store(&x.p->closing, true); /* nothing can be dropped any more */
    import_close(s);
    down(&x);
    disk_mem_power_cycle(x.disk);
    fixture_open(&x);
    has("main/d/sub/f", "text");
    has("main/d/f", "old f");
    cr_assert(!is_there("main/half"));
}

/* ---- any tree, any stream ---- */

/* The model: what each of the paths a, b, c, a/a, … leads to. */
#define NAMES 3
#define PATHS (NAMES + NAMES * NAMES + NAMES * NAMES * NAMES)

enum what { NOTHING, FILE_, DIR_ };
struct spot {
    enum what what;
    bool old;        /* it was there before the stream */
    int text;        /* of a file */
    uint64_t number; /* of a directory that the stream has; 0: it has not */
};
static struct spot model[PATHS];
static unsigned seed;

static unsigned dice(unsigned n)
{
    seed = seed * 1103515245u + 12345;
    return (seed >> 16) % n;
}

/* Path i is name i % NAMES in path (i - NAMES) / NAMES, or in the top. */
static int above(int i)
{
    return i < NAMES ? -1 : (i - NAMES) / NAMES;
}
static int below(int i)
{
    return (i + 1) * NAMES;
}

static void text_of(int i, char out_[64])
{
    char rest[64] = "";

    *out_ = 0;
    for (; i >= 0; i = above(i)) {
        snprintf(out_, 64, "%c%.62s", 'a' + i % NAMES, rest);
        snprintf(rest, sizeof rest, "/%.62s", out_);
    }
}

/* Removes what is below a path, but for what the stream has if `old` alone is to go. */
static void clear(int i, bool old)
{
    for (int k = 0; k < NAMES && below(i) + k < PATHS; k++) {
        struct spot *s = &model[below(i) + k];

        if (s->what == DIR_)
            clear(below(i) + k, old);
        if (!old || (s->old && !s->number))
            *s = (struct spot){0};
    }
}

static bool is_dir_of_stream(int i)
{
    return i < 0 || (model[i].what == DIR_ && model[i].number);
}

static uint64_t number_of(int i)
{
    return i < 0 ? IMAGE_ROOT : model[i].number;
}

static void step_model(int i)
{
    struct spot *s = &model[i];
    char name[2] = {(char)('a' + i % NAMES), 0}, text[16];

    if (!is_dir_of_stream(above(i)))
        return;
    switch (dice(5)) {
    case 0:
    case 1:
        if (s->what == DIR_)
            return;
        *s = (struct spot){.what = FILE_, .text = (int)dice(1000)};
        snprintf(text, sizeof text, "%d", s->text);
        add_file(number_of(above(i)), name, text);
        return;
    case 2:
        if (is_dir_of_stream(i) || (s->what == FILE_ && !s->old))
            return;
        *s = (struct spot){.what = DIR_, .old = s->what == DIR_};
        s->number = add_dir(number_of(above(i)), name, false);
        return;
    case 3:
        put_name(IMAGE_REMOVE, number_of(above(i)), name, 0);
        clear(i, false);
        *s = (struct spot){0};
        return;
    default:
        if (!is_dir_of_stream(i))
            return;
        add_opaque(s->number);
        if (s->old)
            clear(i, true);
    }
}

static void grow_main(void)
{
    char path[80] = "main/", text[16];

    for (int i = 0; i < PATHS; i++) {
        struct spot *s = &model[i];

        *s = (struct spot){0};
        if (above(i) >= 0 && model[above(i)].what != DIR_)
            continue;
        *s = (struct spot){.what = DIR_, .old = true, .text = (int)dice(1000)};
        if (dice(2))
            s->what = (enum what)dice(2);
        text_of(i, path + 5);
        snprintf(text, sizeof text, "%d", s->text);
        if (s->what == DIR_)
            make_dir(path);
        else if (s->what == FILE_)
            put_file(&x, path, text);
    }
}

static void is_as_the_model(void)
{
    char path[80] = "main/", text[16];

    for (int i = 0; i < PATHS; i++) {
        text_of(i, path + 5);
        snprintf(text, sizeof text, "%d", model[i].text);
        cr_assert_eq(is_there(path), model[i].what != NOTHING, "%s, seed %u", path, seed);
        if (model[i].what == FILE_)
            has(path, text);
        else if (model[i].what == DIR_)
            cr_assert(S_ISDIR(attr_of(path).mode), "%s", path);
    }
}

Test(into, any_stream_does_to_any_tree_what_it_does_to_a_list_of_paths)
{
    for (unsigned run = 1; run <= 60; run++) {
        seed = run;
        agreed(&x, "drop main now", "ok");
        cr_assert_eq(vfs_mknod(x.p, VFS_ROOT, "main", S_IFDIR | 0755, 0, &fixture_cred,
                               &(struct vfs_attr){0}),
                     0);
        grow_main();
        begin_stream(run % 2);
        for (unsigned i = 0; i < 100; i++)
            step_model((int)dice(dice(2) ? NAMES + NAMES * NAMES : PATHS));
        end_stream();
        imported("main");
        is_as_the_model();
    }
}
