// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_export: a namespace, or a directory in one, becomes an archive or a directory elsewhere. The
 * mount gives all of it as one stream; a user who may not open that stream reads the files through
 * the mount. What is written gets its name when it is whole.
 */
#include "beneath.h"
#include "client.h"
#include "command.h"
#include "ctl.h"
#include "form.h"
#include "io.h"
#include "say.h"
#include "session.h"
#include "to_archive.h"
#include "to_directory.h"
#include "verbs.h"
#include "which_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct exporting {
    const char *source, *dest;
    bool json;
    struct export e;
};

static void tick(void *ctx)
{
    struct exporting *x = ctx;
    if (tally_progress_is_due()) {
        tally_progress("export, %" PRIu64 " files, %" PRIu64 " MiB", x->e.files, x->e.bytes >> 20);
    }
}

/* The name under which something is made before it is whole. */
static char *partial_name(const char *dest)
{
    char *name;
    size_t len = strlen(dest);
    while (len > 1 && dest[len - 1] == '/') {
        len--;
    }
    return asprintf(&name, "%.*s.partial-%d", (int)len, dest, (int)getpid()) < 0 ? NULL : name;
}

/* If an error has no sentence yet the mount has one. Returns the error. */
static int fetch_why(struct exporting *x, int err)
{
    struct reply reply = REPLY_INIT;
    if (err < 0 && x->e.session_failed) {
        (void)session_reply(x->e.session, err, &reply);
        snprintf(x->e.why, sizeof(x->e.why), "%s", reply.head.s);
    }
    reply_release(&reply);
    return err;
}

/* ---- an archive ---- */

static int to_stdout(struct exporting *x)
{
    if (isatty(STDOUT_FILENO)) {
        return tally_fail("standard output is a terminal, and takes no archive");
    }
    int err = fetch_why(x, to_archive(&x->e, STDOUT_FILENO, ".tar"));
    return err < 0 ? tally_fail("%s", x->e.why) : 0;
}

/* Writes the archive under another name, and gives it its own at the end. */
static int to_file(struct exporting *x)
{
    CLEANUP_FREE char *partial = partial_name(x->dest);
    int fd = partial ? open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666) : -1;
    if (fd < 0) {
        return tally_fail("%s: %m", partial ? partial : x->dest);
    }
    int err = fetch_why(x, to_archive(&x->e, fd, x->dest));
    if (err == 0 && fsync(fd) < 0 && errno != EINVAL) {
        err = export_fail(&x->e, -errno, x->dest, "writing it");
    }
    if (close(fd) < 0 && err == 0) {
        err = export_fail(&x->e, -errno, x->dest, "writing it");
    }
    if (err == 0 && rename(partial, x->dest) < 0) {
        err = export_fail(&x->e, -errno, x->dest, "naming it");
    }
    if (err < 0) {
        (void)unlink(partial);
        return tally_fail("%s", x->e.why);
    }
    return 0;
}

/* ---- a directory ---- */

/* Copies into a directory of another name, which gets its own at the end. */
static int to_tree(struct exporting *x)
{
    CLEANUP_FREE char *partial = partial_name(x->dest);
    if (!partial || mkdir(partial, 0700) < 0) {
        return tally_fail("%s: %m", partial ? partial : x->dest);
    }
    int fd = open(partial, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int err = fd < 0 ? export_fail(&x->e, -errno, partial, "opening it")
                     : fetch_why(x, to_directory(&x->e, fd));
    io_cleanup_close(&fd);
    if (err == 0 && renameat2(AT_FDCWD, partial, AT_FDCWD, x->dest, RENAME_NOREPLACE) < 0) {
        err = export_fail(&x->e, -errno, x->dest, "naming it");
    }
    return err < 0 ? tally_fail("%s; what was copied so far is in %s", x->e.why, partial) : 0;
}

/* ---- the source ---- */

/* NS or NS/PATH without '/' at the end, which the caller frees. NULL: it is empty, or no memory. */
static char *trim(const char *source)
{
    size_t len = strlen(source);
    while (len > 0 && source[len - 1] == '/') {
        len--;
    }
    return len ? strndup(source, len) : NULL;
}

/* Begins a stream of the mount. 1: this user may not have one, or the mount has no such file
 * (`nocontrol`). */
static int begin_stream(struct exporting *x, const char *mnt, const char *source)
{
    CLEANUP_STRBUF struct strbuf line = STRBUF_INIT;
    strbuf_adds(&line, "export ");
    command_add_word(&line, source);
    strbuf_adds(&line, "\n");
    if (strbuf_error(&line)) {
        return -ENOMEM;
    }
    int err = session_begin(mnt, ".tally/export", line.s, &x->e.session);
    bool opened = x->e.session >= 0;
    x->e.session_failed = opened && err < 0;
    return !opened && (err == -EACCES || err == -ENOENT) ? 1 : err;
}

/* Opens what is read: a stream, for those who may read all, or else the directory in the mount. */
static int open_source(struct exporting *x, const struct tally_mountinfo *m)
{
    CLEANUP_FREE char *source = trim(x->source);
    if (!source) {
        return -ENOENT;
    }
    int err = begin_stream(x, m->point, source);
    if (err <= 0) {
        return err;
    }
    x->e.fd = client_open_user_file(m->point, source, O_RDONLY | O_DIRECTORY);
    return x->e.fd < 0 ? x->e.fd : 0;
}

static void print_result(const struct exporting *x)
{
    if (x->json) {
        json_t *result = json_pack("{s:s, s:b, s:I, s:I}", "verb", "export", "ok", 1, "files",
                                   (json_int_t)x->e.files, "bytes", (json_int_t)x->e.bytes);
        tally_print_json(result, JSON_INDENT(2));
        json_decref(result);
    } else {
        struct reply reply = REPLY_INIT;
        char *const args[] = {(char *)(uintptr_t)x->source, (char *)(uintptr_t)x->dest};
        const struct people_call call = form_call("export", args, 2);
        strbuf_addf(&reply.head, "files=%" PRIu64 " bytes=%" PRIu64, x->e.files, x->e.bytes);
        ctl_show(&call, &reply);
        reply_release(&reply);
    }
}

static int run(struct exporting *x)
{
    struct tally_mountinfo m;
    bool to_pipe = strcmp(x->dest, "-") == 0;
    struct stat st;
    int err = which_mount(&m);
    if (err < 0) {
        return which_mount_fail(err, &m);
    }
    if (!to_pipe && lstat(x->dest, &st) == 0) {
        return tally_fail("%s exists already", x->dest);
    }
    if (!to_pipe && archive_is_other_name(x->dest)) {
        return tally_fail("%s: archives are .tar, .tar.gz, .tar.bz2, .tar.xz or .tar.zst; '/' at "
                          "the end makes it a directory",
                          x->dest);
    }
    err = open_source(x, &m);
    if (err < 0) {
        (void)fetch_why(x, err);
        return *x->e.why ? tally_fail("%s", x->e.why)
                         : tally_fail("%s: %s", x->source, strerror(-err));
    }
    x->e.tick = tick;
    x->e.ctx = x;
    int rc = to_pipe ? to_stdout(x) : archive_is_name(x->dest) ? to_file(x) : to_tree(x);
    io_cleanup_close(&x->e.fd);
    io_cleanup_close(&x->e.session);
    tally_progress("%s", "");
    if (rc == 0 && !to_pipe) {
        print_result(x);
    }
    return rc;
}

int cmd_export_run(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
    static struct exporting x = {.e = {.session = -1, .fd = -1}};
    int o;
    while ((o = form_getopt(argc, argv, "C:", options)) >= 0) {
        if (o == '?') {
            return verbs_misuse();
        }
        if (o == 'C') {
            tally_mount = optarg;
        }
        x.json |= o == 'j';
    }
    if (argc - optind != 2) {
        return verbs_misuse();
    }
    x.source = argv[optind];
    x.dest = argv[optind + 1];
    return run(&x);
}
