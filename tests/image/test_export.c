// SPDX-License-Identifier: Apache-2.0
/* Claims of export.h about a stream for a program. The bytes behind names, several names and what
 * an archive gets are in tests/mount/export.sh; a stream for a store is in test_send.c. */
#include "check_fixture.h"

#include "export.h"
#include "image.h"
#include "import.h"

static struct fixture x;
static const struct vfs_cred root = {.uid = 0};
static const _Atomic bool never = false;
static uint8_t stream[1 << 20];
static size_t stream_len;

static struct export_session *begin(const char *line)
{
    struct export_session *s;

    cr_assert_eq(export_open(x.p, &s), 0);
    cr_assert_eq(export_write(s, line, strlen(line)), (ssize_t)strlen(line), "%s", line);
    return s;
}

/* Reads to the end, and closes the session. */
static void read_all(struct export_session *s)
{
    ssize_t n = 1;

    for (stream_len = 0; n > 0; stream_len += (size_t)n) {
        n = export_read(s, (char *)stream + stream_len, sizeof stream - stream_len, &never);
        cr_assert_geq(n, 0);
    }
    export_close(s);
}

static void is_refused(const char *line, int err, const char *sentence)
{
    char reply[500] = "";
    struct export_session *s;

    cr_assert_eq(export_open(x.p, &s), 0);
    cr_assert_eq(export_write(s, line, strlen(line)), err, "%s", line);
    cr_assert_gt(export_read(s, reply, sizeof reply - 1, &never), 0);
    cr_assert(strstr(reply, sentence), "%s: %s", line, reply);
    export_close(s);
}

/* Imports the stream as a namespace. */
static void import_as(const char *name)
{
    char line[100], reply[500] = "";
    struct import *s;
    ssize_t n;

    snprintf(line, sizeof line, "import %s\n", name);
    cr_assert_eq(import_open(x.p, &root, true, &s), 0);
    cr_assert_eq(import_write(s, line, strlen(line), &never), (ssize_t)strlen(line));
    n = import_write(s, (const char *)stream, stream_len, &never);
    (void)import_read(s, reply, sizeof reply - 1);
    cr_assert_eq(n, (ssize_t)stream_len, "%s", reply);
    import_close(s);
}

static void make_dir(const char *path)
{
    const char *name;
    struct vfs_attr a;
    uint64_t dir = parent_of(&x, path, &name);

    cr_assert_eq(vfs_mknod(x.p, dir, name, S_IFDIR | 0755, 0, &root, &a), 0);
    vfs_forget(x.p, a.nodeid, 1);
}

static void export_up(void)
{
    fixture_setup(&x);
    make_dir("main/dir");
    make_dir("main/dir/below");
    put_file(&x, "main/dir/below/file", "some bytes");
    put_file(&x, "main/dir/same", "some bytes");
    put_file(&x, "main/other", "more bytes");
}
static void export_down(void)
{
    fixture_teardown(&x);
}

TestSuite(export, .init = export_up, .fini = export_down);

Test(export, a_stream_is_an_image_as_any_other_one)
{
    read_all(begin("export main\n"));
    import_as("copy");
    cr_assert_eq(try_read(&x, "copy/dir/below/file"), 10);
    cr_assert_eq(try_read(&x, "copy/dir/same"), 10);
    cr_assert_eq(try_read(&x, "copy/other"), 10);
}

Test(export, it_begins_at_any_directory)
{
    read_all(begin("export main/dir\n"));
    import_as("copy");
    cr_assert_eq(try_read(&x, "copy/below/file"), 10);
    cr_assert_eq(node_of(&x, "copy/other"), 0);
}

Test(export, it_has_what_was_there_at_the_line)
{
    struct export_session *s = begin("export main\n");

    put_file(&x, "main/other", "these are more bytes than before");
    put_file(&x, "main/later", "x");
    read_all(s);
    import_as("copy");
    cr_assert_eq(try_read(&x, "copy/other"), 10);
    cr_assert_eq(node_of(&x, "copy/later"), 0);
}

Test(export, each_file_has_bytes_of_its_own_behind_its_name)
{
    uint64_t named = 0, contents = 0;
    struct image_stream in;
    struct image_record r;
    size_t at = IMAGE_HEAD, used;

    read_all(begin("export main\n"));
    cr_assert_eq(image_open(&in, stream, stream_len), 0);
    while (image_next(&in, stream + at, stream_len - at, &used, &r) == 0) {
        at += used;
        if (r.type == IMAGE_ENTRY)
            named = r.number;
        if (r.type == IMAGE_CONTENT)
            cr_assert_eq(r.number, ++contents);
        if (r.type == IMAGE_INODE && r.content)
            cr_assert(r.number == named && r.content == contents && r.size == 10);
    }
    cr_assert_eq(contents, 3);
}

Test(export, a_line_that_names_nothing_is_refused)
{
    is_refused("export none\n", -ENOENT, "error ENOENT export: there is no namespace none");
    is_refused("export main/none\n", -ENOENT, "there is no main/none");
    is_refused("export main/other\n", -ENOTDIR, "main/other is not a directory");
    is_refused("export main/other/x\n", -ENOENT, "there is no main/other/x");
    is_refused("export /main\n", -EINVAL, "is not of the form NS/PATH");
    is_refused("export main dir\n", -EINVAL, "export NS[/PATH]");
    is_refused("export\n", -EINVAL, "export NS[/PATH]");
    is_refused("export main wait\n", -EINVAL, "export NS[/PATH]");
}
