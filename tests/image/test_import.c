// SPDX-License-Identifier: Apache-2.0
/* Claims of import.h and ns_draft.h. */
#include "check_fixture.h"

#include "flush.h"
#include "image.h"
#include "import.h"
#include "kept.h"
#include "ns_draft.h"

static struct fixture x;
static const struct vfs_cred root = {.uid = 0};
static uint8_t stream[1 << 20];
static size_t stream_len;

/* Appends a record to a stream. */
static void add(struct image_stream *s, const struct image_record *r)
{
    stream_len += image_put(s, r, stream + stream_len);
    if (r->len)
        memcpy(stream + stream_len, r->data, r->len);
    stream_len += r->len;
}

/* Makes a stream with so many files, each with bytes of its own. */
static void make_stream(unsigned files)
{
    static char bytes[900];
    char name[16];
    struct image_stream s;

    image_begin(&s, stream);
    stream_len = IMAGE_HEAD;
    add(&s, &(struct image_record){.type = IMAGE_INODE, .number = 1, .mode = S_IFDIR | 0755});
    for (unsigned i = 0; i < files; i++) {
        snprintf(name, sizeof name, "f%u", i);
        memset(bytes, (int)('a' + i % 26), sizeof bytes);
        memcpy(bytes, name, strlen(name));
        add(&s, &(struct image_record){.type = IMAGE_CONTENT,
                                       .number = i + 1,
                                       .length = sizeof bytes,
                                       .data = bytes,
                                       .len = sizeof bytes});
        add(&s, &(struct image_record){.type = IMAGE_INODE,
                                       .number = i + 2,
                                       .mode = S_IFREG | 0644,
                                       .size = sizeof bytes,
                                       .content = i + 1});
        add(&s, &(struct image_record){.type = IMAGE_ENTRY,
                                       .parent = 1,
                                       .number = i + 2,
                                       .name = name,
                                       .name_len = strlen(name)});
    }
    add(&s, &(struct image_record){.type = IMAGE_END, .number = s.records});
}

static void import_up(void)
{
    fixture_setup(&x);
    make_stream(100);
}
static void import_down(void)
{
    if (x.p)
        fixture_teardown(&x);
}

TestSuite(import, .init = import_up, .fini = import_down);

static struct import *begin(const char *line)
{
    struct import *s;

    cr_assert_eq(import_open(x.p, &root, &s), 0);
    cr_assert_eq(import_write(s, line, strlen(line)), (ssize_t)strlen(line));
    return s;
}

static const char *reply_of(struct import *s)
{
    static char reply[4096];
    ssize_t n = import_read(s, reply, sizeof reply - 1);

    cr_assert_geq(n, 0);
    reply[n] = 0;
    return reply;
}

/* Gives it bytes of the stream. They are worked off then, so that what the disk has afterwards does
 * not depend on threads. */
static ssize_t give(struct import *s, size_t from, size_t end)
{
    ssize_t n = import_write(s, (const char *)stream + from, end - from);
    char none;

    cr_assert_eq(import_read(s, &none, 0), 0);
    return n;
}

/* The session fails with that error and a sentence, and nothing is left of it. */
static void is_refused(struct import *s, ssize_t n, int err, const char *part)
{
    const char *reply;

    cr_assert_eq(n, err, "%zd", n);
    reply = reply_of(s);
    cr_assert_eq(strncmp(reply, "error ", 6), 0, "'%s'", reply);
    cr_assert(strstr(reply, part), "'%s', without '%s'", reply, part);
    cr_assert_eq(give(s, 0, 10), err, "each later write, too");
    import_close(s);
}

static void nothing_is_there(const char *name)
{
    struct findings f;

    cr_assert_eq(node_of(&x, name), 0);
    down_clean(&x);
    is_clean(&x, &f);
    fixture_open(&x);
    cr_assert_eq(node_of(&x, name), 0);
    cr_assert_eq(try_read(&x, "main/nothing"), -ESTALE);
}

static void all_is_there(const char *name)
{
    char path[64];

    for (int i = 0; i < 100; i++) {
        snprintf(path, sizeof path, "%s/f%d", name, i);
        cr_assert_eq(try_read(&x, path), 900, "%s", path);
    }
}

Test(import, a_stream_in_pieces_of_any_size_becomes_a_namespace)
{
    static const size_t sizes[] = {1, 3, 17, 900, 4096, sizeof stream};
    char line[64], name[16];

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        snprintf(name, sizeof name, "n%zu", i);
        snprintf(line, sizeof line, "import n%zu\n", i);
        struct import *s = begin(line);
        for (size_t at = 0; at < stream_len; at += sizes[i]) {
            size_t end = at + sizes[i] < stream_len ? at + sizes[i] : stream_len;
            cr_assert_eq(node_of(&x, name), 0, "it is seen at %zu", at);
            cr_assert_eq(give(s, at, end), (ssize_t)(end - at));
        }
        cr_assert_eq(strncmp(reply_of(s), "ok ns=n", 7), 0);
        cr_assert_str_eq(reply_of(s), "");
        import_close(s);
        all_is_there(name);
    }
}

Test(import, the_reply_says_what_there_is_and_what_is_new)
{
    struct import *s = begin("import one\n");

    cr_assert_eq(give(s, 0, stream_len), (ssize_t)stream_len);
    cr_assert(strstr(reply_of(s), " inodes=100 files=100 bytes=90000 stored=90000 seq="));
    import_close(s);
    s = begin("import \"t w\\\"o\"\n");
    cr_assert_eq(give(s, 0, stream_len), (ssize_t)stream_len);
    cr_assert(strstr(reply_of(s), "ns=\"t w\\\"o\" inodes=100 files=100 bytes=90000 stored=0 seq="));
    import_close(s);
}

Test(import, what_is_imported_is_there_after_a_crash_and_changes_like_any_namespace)
{
    struct import *s = begin("import one\n");
    struct findings f;

    cr_assert_eq(give(s, 0, stream_len), (ssize_t)stream_len);
    import_close(s);
    put_file(&x, "one/more", "more");
    remove_file(&x, "one/f7");
    cr_assert_eq(flush_sync(x.p), 0);
    down(&x); /* without a commit: only the log has what came behind the import */
    disk_mem_power_cycle(x.disk);
    fixture_open(&x);
    cr_assert_eq(try_read(&x, "one/f8"), 900);
    cr_assert_eq(node_of(&x, "one/f7"), 0);
    down_clean(&x);
    is_clean(&x, &f);
    fixture_open(&x);
}

Test(import, a_session_that_ends_early_leaves_nothing)
{
    uint64_t before[2], after[2];
    struct import *s;

    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    disk_use(&x, &before[0], &before[1]);
    for (size_t len = 0; len < stream_len; len += stream_len / 7) {
        s = begin("import one\n");
        cr_assert_eq(give(s, 0, len), (ssize_t)len);
        cr_assert_eq(flush_now(x.p), 0);
        import_close(s);
    }
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    disk_use(&x, &after[0], &after[1]);
    cr_assert_leq(after[0], before[0] + 64, "%lu bytes are left", after[0] - before[0]);
    nothing_is_there("one");
}

Test(import, a_start_after_a_crash_drops_what_was_not_finished)
{
    struct import *s = begin("import one\n");
    struct findings f;
    uint64_t bytes, names;

    cr_assert_eq(give(s, 0, stream_len / 2), (ssize_t)(stream_len / 2));
    cr_assert_eq(flush_now(x.p), 0);
    cr_assert_eq(give(s, stream_len / 2, stream_len - 60), (ssize_t)(stream_len - 60 -
                                                                      stream_len / 2));
    atomic_store(&x.p->closing, true); /* nothing can be dropped any more */
    import_close(s);
    down(&x);
    disk_mem_power_cycle(x.disk);
    is_clean(&x, &f);
    fixture_open(&x);
    kept_expire(x.p);
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    disk_use(&x, &bytes, &names);
    cr_assert_lt(bytes, 20000, "%lu", bytes);
    nothing_is_there("one");
    s = begin("import one\n");
    cr_assert_eq(give(s, 0, stream_len), (ssize_t)stream_len);
    import_close(s);
    all_is_there("one");
}

Test(import, a_line_that_is_none_is_refused)
{
    static const char *const bad[] = {"import\n",     "import a b\n",  "import a", "\n",
                                      "branch a b\n", "import a x=1\n", "import \"a\n"};
    struct import *s;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_assert_eq(import_open(x.p, &root, &s), 0);
        is_refused(s, import_write(s, bad[i], strlen(bad[i])), -EINVAL, "import:");
    }
    cr_assert_eq(import_open(x.p, &root, &s), 0);
    is_refused(s, give(s, 0, stream_len), -EINVAL, "the first write is a line");
}

Test(import, a_name_that_is_taken_meanwhile_or_none_is_refused)
{
    struct import *s, *t;

    cr_assert_eq(import_open(x.p, &root, &s), 0);
    is_refused(s, import_write(s, "import ..\n", 10), -EINVAL, "cannot be the name");
    s = begin("import one\n");
    t = begin("import one\n");
    cr_assert_eq(give(s, 0, stream_len), (ssize_t)stream_len);
    import_close(s);
    is_refused(t, give(t, 0, stream_len), -EEXIST, "exists by now");
    all_is_there("one");
}

Test(import, damage_and_what_is_no_stream_are_refused)
{
    struct import *s = begin("import one\n");

    is_refused(s, import_write(s, "this is no stream at all, is it?", 32), -EUCLEAN, "damaged");
    s = begin("import one\n");
    stream[stream_len / 2] ^= 1;
    is_refused(s, give(s, 0, stream_len), -EUCLEAN, "damaged");
    nothing_is_there("one");
}

Test(import, bytes_behind_the_end_are_refused_and_nothing_is_there)
{
    struct import *s = begin("import one\n");

    (void)give(s, 0, stream_len + 1);
    is_refused(s, give(s, 0, 1), -EINVAL, "bytes follow the end");
    s = begin("import one\n");
    cr_assert_eq(give(s, 0, stream_len - 10), (ssize_t)stream_len - 10);
    is_refused(s, give(s, stream_len - 10, stream_len + 1), -EINVAL, "bytes follow the end");
    nothing_is_there("one");
    s = begin("import one\n");
    cr_assert_eq(give(s, 0, stream_len), (ssize_t)stream_len);
    cr_assert_eq(give(s, 0, 1), -EINVAL, "the session is over");
    import_close(s);
    all_is_there("one");
}

Test(import, a_cancelled_job_leaves_nothing)
{
    struct import *s = begin("import one\n");
    char reply[4096];

    cr_assert_eq(give(s, 0, stream_len / 2), (ssize_t)(stream_len / 2));
    cr_assert_gt(say(&x, "cancel 1\n", reply), 0, "%s", reply);
    is_refused(s, give(s, stream_len / 2, stream_len), -ECANCELED, "cancelled");
    nothing_is_there("one");
}

Test(import, as_many_as_there_can_be_at_a_time_and_no_more)
{
    struct import *s[NS_DRAFTS_MAX], *more;
    char line[32];

    for (int i = 0; i < NS_DRAFTS_MAX; i++) {
        snprintf(line, sizeof line, "import n%d\n", i);
        s[i] = begin(line);
    }
    cr_assert_eq(import_open(x.p, &root, &more), 0);
    is_refused(more, import_write(more, "import more\n", 12), -EBUSY, "as many imports");
    for (int i = 0; i < NS_DRAFTS_MAX; i++)
        import_close(s[i]);
    import_close(begin("import more\n"));
}

Test(import, who_is_not_root_imports_only_what_they_could_make)
{
    static const struct vfs_cred user = {.uid = 1000, .gid = 1000};
    struct import *s;

    cr_assert_eq(import_open(x.p, &user, &s), 0);
    cr_assert_eq(import_write(s, "import one\n", 11), 11);
    is_refused(s, give(s, 0, stream_len), -EPERM, "only root may import that");
    nothing_is_there("one");
}
