// SPDX-License-Identifier: Apache-2.0
/* Claims of export.h, receive.h and parked.h, and of what a difference may say (load.h). */
#include "check_fixture.h"

#include "digest.h"
#include "export.h"
#include "image.h"
#include "import.h"
#include "noted.h"
#include "job.h"
#include "ns_drop.h"
#include "ns_find.h"
#include "parked.h"

static struct fixture x;
static const struct vfs_cred root = {.uid = 0};
static const _Atomic bool never = false;
static uint8_t stream[1 << 20], whole[1 << 20];
static size_t stream_len, whole_len;

/* Reads a stream. Returns the error of the session, or 0. */
static int send_it(const char *spec)
{
    struct export_session *s;
    char line[600];
    ssize_t n;

    snprintf(line, sizeof line, "send %s\n", spec);
    stream_len = 0;
    cr_assert_eq(export_open(x.p, &s), 0);
    n = export_write(s, line, strlen(line));
    while (n > 0) {
        n = export_read(s, (char *)stream + stream_len, sizeof stream - stream_len, &never);
        stream_len += n > 0 ? (size_t)n : 0;
    }
    export_close(s);
    return (int)n;
}

static struct import *begin_as(const char *line, bool trusted)
{
    struct import *s;

    cr_assert_eq(import_open(x.p, &root, trusted, &s), 0);
    cr_assert_eq(import_write(s, line, strlen(line), &never), (ssize_t)strlen(line));
    return s;
}

static struct import *begin(const char *line)
{
    return begin_as(line, true);
}

/* Gives it bytes of the stream, which are worked off then. An error of these is that of the next
 * write. */
static ssize_t give(struct import *s, size_t from, size_t end)
{
    ssize_t n = import_write(s, (const char *)stream + from, end - from, &never);
    char none;

    cr_assert_eq(import_read(s, &none, 0), 0);
    return n;
}

/* Gives it the stream. Returns its error, which is that of the next write unless it ends. */
static ssize_t give_all(struct import *s)
{
    ssize_t n = give(s, 0, stream_len);

    return n < 0 ? n : give(s, 0, 1);
}

static const char *reply_of(struct import *s)
{
    static char reply[4096];
    ssize_t n = import_read(s, reply, sizeof reply - 1);

    cr_assert_geq(n, 0);
    reply[n] = 0;
    return reply;
}

static const char *have(void)
{
    struct import *s = begin("have\n");
    const char *reply = reply_of(s);

    import_close(s);
    return reply;
}

static void receive(const char *name)
{
    char line[100];
    struct import *s;

    snprintf(line, sizeof line, "receive %s\n", name);
    s = begin(line);
    cr_assert_eq(give(s, 0, stream_len), (ssize_t)stream_len, "%s", reply_of(s));
    cr_assert_eq(strncmp(reply_of(s), "ok ", 3), 0);
    import_close(s);
}

static void take_snapshot(const char *name)
{
    struct ns *ns;
    uint64_t seq;

    cr_assert_eq(ns_get_by_name(x.p, "main", &ns), 0);
    cr_assert_eq(ns_snapshot(x.p, ns, name, &seq), 0);
    ns_put(x.p, ns);
}

static void make_dir(const char *path)
{
    const char *name;
    struct vfs_attr a;
    uint64_t dir = parent_of(&x, path, &name);

    cr_assert_eq(vfs_mknod(x.p, dir, name, S_IFDIR | 0755, 0, &root, &a), 0);
    vfs_forget(x.p, a.nodeid, 1);
}

static void send_up(void)
{
    fixture_setup(&x);
    make_dir("main/dir");
    put_file(&x, "main/dir/file", "some bytes");
    put_file(&x, "main/other", "more bytes");
    take_snapshot("a");
    cr_assert_eq(send_it("main@a"), 0);
    memcpy(whole, stream, stream_len);
    whole_len = stream_len;
}
static void send_down(void)
{
    fixture_teardown(&x);
}

TestSuite(send, .init = send_up, .fini = send_down);

/* ---- interruption ---- */

Test(send, the_write_of_the_end_stops_comparing_when_it_is_interrupted)
{
    static const _Atomic bool now = true;
    struct import *s = begin("receive late\n");

    cr_assert_eq(import_write(s, (const char *)stream, stream_len, &now), -EINTR);
    cr_assert(strstr(reply_of(s), "error EINTR receive: "));
    import_close(s);
    cr_assert_eq(node_of(&x, "late"), 0);
}

/* ---- streams that are not whole ---- */

Test(send, a_stream_that_is_cut_anywhere_leaves_nothing)
{
    for (size_t len = 0; len < stream_len; len++) {
        struct import *s = begin("receive cut\n");

        cr_assert_eq(give(s, 0, len), (ssize_t)len);
        cr_assert_str_eq(reply_of(s), "");
        import_drop(s);
        cr_assert_eq(node_of(&x, "cut"), 0, "cut at %zu", len);
    }
}

Test(send, a_stream_with_another_byte_anywhere_leaves_nothing)
{
    for (size_t at = 0; at < stream_len; at++) {
        struct import *s = begin("receive bad\n");
        ssize_t n;

        stream[at] ^= 0x11;
        n = give(s, 0, stream_len);
        cr_assert(n < 0 || strncmp(reply_of(s), "ok", 2) != 0, "byte %zu", at);
        stream[at] ^= 0x11;
        import_drop(s);
        cr_assert_eq(node_of(&x, "bad"), 0, "byte %zu", at);
    }
    receive("good");
    cr_assert_eq(try_read(&x, "good/dir/file"), 10);
}

Test(send, what_arrived_is_kept_for_an_hour_and_the_rest_can_follow)
{
    unsigned long long taken, sum;
    struct import *s = begin("receive part\n");
    char line[100];

    cr_assert_gt(give(s, 0, stream_len - 30), 0);
    import_close(s);
    cr_assert_eq(node_of(&x, "part"), 0);
    cr_assert_eq(sscanf(strstr(have(), "partial "), "partial part %llu %llx", &taken, &sum), 2);
    snprintf(line, sizeof line, "receive part resume=%llu:%llx\n", taken, sum);
    s = begin(line);
    cr_assert_gt(give(s, taken, stream_len), 0, "%s", reply_of(s));
    cr_assert_eq(strncmp(reply_of(s), "ok ", 3), 0);
    import_close(s);
    cr_assert_eq(try_read(&x, "part/dir/file"), 10);
    cr_assert_null(strstr(have(), "partial"));
}

static bool is_kept(void)
{
    return strstr(have(), "partial") != NULL;
}

Test(send, what_arrived_goes_after_that_hour)
{
    struct import *s = begin("receive part\n");
    uint64_t number, at = 0;
    struct job j;

    cr_assert_gt(give(s, 0, stream_len / 2), 0);
    import_close(s);
    while (job_next(x.p, at, &number) == 0)
        at = number;
    clock_manual_advance(&x.clock, PARKED_NS / 2);
    cr_assert(is_kept());
    clock_manual_advance(&x.clock, PARKED_NS / 2 + 1);
    cr_assert_eq(job_wait(x.p, at, -1, NULL, &(int){0}, (char[256]){0}), 0);
    cr_assert_eq(job_get(x.p, at, &j), 0);
    cr_assert_str_eq(j.verb, "keep");
    cr_assert(!is_kept());
}

Test(send, of_many_streams_that_are_interrupted_some_are_kept)
{
    char line[50];
    size_t kept = 0;

    for (int i = 0; i < PARKED_MAX + 2; i++) {
        snprintf(line, sizeof line, "receive part%d\n", i);
        struct import *s = begin(line);
        cr_assert_gt(give(s, 0, stream_len / 2), 0);
        import_close(s);
    }
    for (const char *c = have(); (c = strstr(c, "partial ")); c++)
        kept++;
    cr_assert_eq(kept, PARKED_MAX);
}

/* ---- digests ---- */

/* Writes the stream again, with a change. */
static void rewrite(void (*change)(struct image_record *r))
{
    static uint8_t from[sizeof stream];
    struct image_stream in, out;
    struct image_record r;
    size_t at = IMAGE_HEAD, used, len = stream_len;

    memcpy(from, stream, len);
    cr_assert_eq(image_open(&in, from, len), 0);
    image_begin(&out, stream);
    stream_len = IMAGE_HEAD;
    while (image_next(&in, from + at, len - at, &used, &r) == 0) {
        change(&r);
        stream_len += image_put(&out, &r, stream + stream_len);
        if (r.len)
            memcpy(stream + stream_len, r.data, r.len);
        stream_len += r.len;
        at += used;
    }
    cr_assert_eq(at, len);
}

static void is_refused(const char *line, int err, const char *part)
{
    struct import *s = begin(line);
    const char *reply;

    cr_assert_eq(give_all(s), err);
    reply = reply_of(s);
    cr_assert(strstr(reply, part), "%s", reply);
    import_close(s);
    cr_assert_eq(node_of(&x, "new"), 0);
}

static void other_digest(struct image_record *r)
{
    static uint8_t other[SHA256_LEN] = "another";

    if (r->type == IMAGE_DIGEST)
        r->digest = other;
}
static void other_mode(struct image_record *r)
{
    if (r->type == IMAGE_INODE && S_ISREG(r->mode))
        r->mode ^= 0100;
}
static void other_bytes(struct image_record *r)
{
    if (r->type == IMAGE_CONTENT)
        r->data = "what is it";
}

Test(send, what_is_not_of_the_digest_that_was_sent_is_never_seen)
{
    void (*const changes[])(struct image_record *) = {other_digest, other_mode, other_bytes};

    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        memcpy(stream, whole, whole_len);
        stream_len = whole_len;
        rewrite(changes[i]);
        is_refused("receive new\n", -EBADMSG, "what was received has the digest");
    }
}

Test(send, a_base_is_found_by_its_digest_and_by_nothing_else)
{
    put_file(&x, "main/dir/file", "other bytes");
    take_snapshot("b");
    cr_assert_eq(send_it("main@a..b"), 0);
    receive("here"); /* the sender's own snapshot has the digest */
    cr_assert_eq(try_read(&x, "here/dir/file"), 11);
    is_refused("receive new base=main\n", -EBADMSG, "main has the digest");
    is_refused("receive new base=main@b\n", -EBADMSG, "main@b has the digest");
    is_refused("receive new base=none\n", -ENOENT, "there is no none");
}

Test(send, what_was_received_is_a_base_also_after_a_crash_and_when_it_was_changed)
{
    struct ns *ns;
    uint32_t open;

    receive("copy");
    put_file(&x, "copy/dir/file", "changed here");
    put_file(&x, "main/other", "changed there");
    take_snapshot("b");
    cr_assert_eq(send_it("main@a..b"), 0);
    cr_assert_eq(ns_find(x.p, "main@a", &ns), 0);
    cr_assert_eq(ns_remove(x.p, ns, NS_SNAPSHOT, false, &open), 0);
    ns_put(x.p, ns);
    down(&x);
    fixture_open(&x);
    cr_assert(strstr(have(), " copy@received\n"), "%s", have());
    receive("next");
    cr_assert_eq(try_read(&x, "next/dir/file"), 10);
    cr_assert_eq(try_read(&x, "next/other"), 13);
}

/* Is a text in the stream? */
static bool is_sent(const char *text)
{
    return memmem(stream, stream_len, text, strlen(text)) != NULL;
}

Test(send, bytes_that_go_from_one_file_to_another_are_those_of_the_base)
{
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    take_snapshot("sealed");
    put_file(&x, "main/dir/file", "new in the first");
    put_file(&x, "main/other", "some bytes"); /* what the first had */
    put_file(&x, "main/third", "more bytes"); /* what the second had */
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    take_snapshot("b");
    cr_assert_eq(send_it("main@sealed..b"), 0);
    cr_assert(!is_sent("more bytes"), "the base has it");
    receive("next");
    cr_assert_eq(try_read(&x, "next/dir/file"), 16);
    cr_assert_eq(try_read(&x, "next/other"), 10);
    cr_assert_eq(try_read(&x, "next/third"), 10);
}

Test(send, a_difference_is_made_only_for_who_is_trusted)
{
    struct import *s;

    put_file(&x, "main/other", "changed");
    take_snapshot("b");
    cr_assert_eq(send_it("main@a..b"), 0);
    s = begin_as("receive new\n", false);
    cr_assert_eq(give_all(s), -EPERM);
    cr_assert(strstr(reply_of(s), "only root and the owner of the mount"));
    import_close(s);
    cr_assert_eq(node_of(&x, "new"), 0);
}

Test(send, a_stream_of_one_kind_is_refused_by_the_other)
{
    is_refused("import new\n", -EINVAL, "tally receive takes it");
    stream_len = IMAGE_HEAD + 64;
    struct image_stream s;
    image_begin(&s, stream);
    stream_len =
        IMAGE_HEAD +
        image_put(&s, &(struct image_record){.type = IMAGE_INODE, .number = 1, .mode = S_IFDIR},
                  stream + IMAGE_HEAD);
    is_refused("receive new\n", -EINVAL, "no stream of tally send");
}

Test(send, lines_that_say_nothing_are_refused)
{
    static const char *const bad[] = {"nowhere", "main@x..y", "main@a..none", "main@a notadigest",
                                      "main@none"};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_lt(send_it(bad[i]), 0, "%s", bad[i]);
}

/* ---- what a difference may say ---- */

static uint8_t base_digest[SHA256_LEN];
static struct image_stream out;

static void add(const struct image_record *r)
{
    stream_len += image_put(&out, r, stream + stream_len);
    if (r->len)
        memcpy(stream + stream_len, r->data, r->len);
    stream_len += r->len;
}

static struct image_record named(enum image_type type, uint64_t parent, uint64_t number,
                                 const char *name)
{
    return (struct image_record){
        .type = type, .parent = parent, .number = number, .name = name, .name_len = strlen(name)};
}

static void add_named(enum image_type type, uint64_t parent, uint64_t number, const char *name)
{
    const struct image_record r = named(type, parent, number, name);

    add(&r);
}

static void add_file(uint64_t number, uint64_t size)
{
    add(&(struct image_record){
        .type = IMAGE_INODE, .number = number, .mode = S_IFREG | 0644, .size = size});
}

/* A difference to main@a: 1 is the root, 2 "dir", 3 "dir/file", 4 "other". */
static void begin_difference(void)
{
    struct ns *ns;

    cr_assert_eq(ns_find(x.p, "main@a", &ns), 0);
    cr_assert_eq(digest_known(x.p, ns, ns, NULL, NULL, base_digest), 0);
    ns_put(x.p, ns);
    image_begin(&out, stream);
    stream_len = IMAGE_HEAD;
    add(&(struct image_record){.type = IMAGE_BASE, .digest = base_digest});
    add(&(struct image_record){.type = IMAGE_INODE, .number = 1, .mode = S_IFDIR | 0755});
    add_named(IMAGE_FIND, 1, 2, "dir");
    add_named(IMAGE_FIND, 2, 3, "file");
    add_named(IMAGE_FIND, 1, 4, "other");
}

static void end_difference(void)
{
    add(&(struct image_record){.type = IMAGE_DIGEST, .digest = base_digest});
    add(&(struct image_record){.type = IMAGE_END, .number = out.records});
}

/* The difference is refused at the record that was added last, or at its end. */
static void cannot_be(const char *part)
{
    is_refused("receive new\n", -EINVAL, part);
}

Test(send, a_difference_names_only_what_the_base_has)
{
    begin_difference();
    add_named(IMAGE_FIND, 1, 5, "missing");
    cannot_be("the base has no file for inode 5");
    begin_difference();
    add_named(IMAGE_FIND, 3, 5, "below");
    cannot_be("the base has no file for inode 5");
    begin_difference();
    add_named(IMAGE_FIND, 1, 5, "other");
    cannot_be("inode 5 has two numbers");
    begin_difference();
    add_named(IMAGE_UNLINK, 1, 3, "other");
    cannot_be("inode 3 of the base does not have that name");
    begin_difference();
    add_named(IMAGE_UNLINK, 1, 3, "gone");
    cannot_be("inode 3 of the base does not have that name");
}

Test(send, a_difference_leaves_no_file_without_a_name_and_no_directory_below_itself)
{
    begin_difference();
    add_named(IMAGE_UNLINK, 1, 4, "other");
    end_difference();
    cannot_be("1 inodes of the stream have no name");
    begin_difference();
    add_named(IMAGE_ENTRY, 1, 2, "again");
    cannot_be("directory 2 has two names");
    begin_difference();
    add_named(IMAGE_UNLINK, 1, 2, "dir");
    add_named(IMAGE_ENTRY, 2, 2, "self");
    cannot_be("directory 2 would not be below the root");
    begin_difference();
    add_named(IMAGE_UNLINK, 1, 2, "dir");
    add_named(IMAGE_ENTRY, 2, 4, "below");
    cannot_be("is no directory with a name");
    begin_difference();
    add_named(IMAGE_REMOVE, 1, 0, "dir");
    add_file(3, 0);
    cannot_be("inode 3 of the stream is used after it was removed");
}

Test(send, a_difference_gives_bytes_only_to_files_that_can_have_them)
{
    begin_difference();
    add(&(struct image_record){
        .type = IMAGE_PATCH, .number = 3, .offset = 8, .data = "123", .len = 3});
    cannot_be("inode 3 is patched over the end of a block");
    begin_difference();
    add(&(struct image_record){
        .type = IMAGE_PATCH, .number = 3, .offset = 1 << 20, .data = "1", .len = 1});
    cannot_be("inode 3 is patched behind its end");
    begin_difference();
    add(&(struct image_record){.type = IMAGE_PATCH, .number = 2, .data = "1", .len = 1});
    cannot_be("inode 2 is patched behind its end");
    begin_difference();
    add(&(struct image_record){.type = IMAGE_SHARE, .number = 3, .content = 4});
    cannot_be("inode 3 cannot have the bytes of inode 4");
    begin_difference();
    add_file(5, 0);
    add(&(struct image_record){.type = IMAGE_SHARE, .number = 5, .content = 2});
    cannot_be("inode 5 cannot have the bytes of inode 2");
    begin_difference();
    add_file(3, 4);
    cannot_be("inode 3 would be cut");
    begin_difference();
    add(&(struct image_record){.type = IMAGE_INODE, .number = 3, .mode = S_IFDIR | 0755});
    cannot_be("inode 3 comes twice");
}

/* ---- the store afterwards ---- */

Test(send, what_is_received_is_sound_and_nothing_of_what_is_not_is_left)
{
    struct findings f;
    struct import *s;

    receive("copy");
    put_file(&x, "main/other", "changed");
    take_snapshot("b");
    cr_assert_eq(send_it("main@a..b"), 0);
    receive("next");
    rewrite(other_digest);
    is_refused("receive new\n", -EBADMSG, "digest");
    s = begin("receive half\n");
    cr_assert_gt(give(s, 0, stream_len / 2), 0);
    import_close(s); /* and it is kept when the store is closed */
    down_clean(&x);
    is_clean(&x, &f);
    fixture_open(&x);
    cr_assert_eq(node_of(&x, "half"), 0);
    cr_assert_null(strstr(have(), "partial"));
    cr_assert_eq(try_read(&x, "next/other"), 7);
}
