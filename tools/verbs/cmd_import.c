// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_import: an archive or a directory becomes a namespace, or goes into one. This process opens
 * the source with the rights of the caller and writes an image of it to `.tally/import`; the mount
 * never sees the source. An archive is read by a process without rights.
 */
#include "client.h"
#include "command.h"
#include "confined.h"
#include "ctl.h"
#include "form.h"
#include "from_directory.h"
#include "io.h"
#include "say.h"
#include "session.h"
#include "verbs.h"
#include "which_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

struct importing {
    const char *source, *name; /* `name`: NS or NS/PATH */
    bool json, layer;
    int fd;        /* the source */
    uint64_t size; /* of an archive that is a file; 0: not known */
    int session;
    struct intake_counts counts;
    uint64_t changed;
    struct confined_result result;
};

/* ---- progress ---- */

static void show(const struct intake_counts *counts, void *ctx)
{
    const struct importing *i = ctx;
    char part[16] = "";
    if (i->size) {
        snprintf(part, sizeof(part), " %" PRIu64 "%%", counts->at * 100 / i->size);
    }
    tally_progress("import%s, %" PRIu64 " files, %" PRIu64 " MiB", part, counts->files,
                   counts->bytes >> 20);
}

static void tick(void *ctx)
{
    struct importing *i = ctx;
    if (tally_progress_is_due()) {
        show(&i->counts, i);
    }
}

static void note_changed(const char *path, void *ctx)
{
    struct importing *i = ctx;
    i->changed++;
    tally_warn("%s changed while it was read, again and again: it is as it was read last", path);
}

/* ---- the source ---- */

static void read_directory(struct importing *i)
{
    const struct directory_source source = {
        .fd = i->fd, .owners = geteuid() == 0, .tick = tick, .changed = note_changed, .ctx = i};
    struct intake *in = NULL;
    int err = intake_open(i->session, &i->counts, &in);
    if (err == 0) {
        err = from_directory(in, &source, &i->counts);
    }
    if (err == 0) {
        err = intake_end(in);
    }
    i->result = (struct confined_result){.err = err};
    if (in) {
        memcpy(i->result.why, intake_why(in), INTAKE_WHY);
    }
    intake_close(in);
    i->result.passed = i->counts.passed;
}

/* A file without a name, for what an archive says of its files too late. */
static int open_spool(void)
{
    const char *dir = getenv("TMPDIR");
    return open(dir && *dir ? dir : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

static int read_archive(struct importing *i)
{
    struct accounts *accounts = NULL;
    struct archive_source source = {
        .fd = i->fd, .spool = open_spool(), .layer = i->layer, .owners = geteuid() == 0};
    if (source.spool < 0) {
        return tally_fail("no temporary file can be made: %m");
    }
    if (accounts_load(&accounts) < 0) {
        close(source.spool);
        return tally_fail("out of memory");
    }
    source.accounts = accounts;
    confined_run(i->session, &source, show, i, &i->result);
    accounts_free(accounts);
    close(source.spool);
    return 0;
}

/* Opens what is imported. Returns the exit code. */
static int open_source(struct importing *i, struct stat *ret)
{
    bool stdin_is_it = strcmp(i->source, "-") == 0;
    i->fd = stdin_is_it ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                        : open(i->source, O_RDONLY | O_CLOEXEC);
    if (i->fd < 0 || fstat(i->fd, ret) < 0) {
        return tally_fail("%s: %m", i->source);
    }
    if (stdin_is_it && isatty(i->fd)) {
        return tally_fail("standard input is a terminal, and no archive");
    }
    i->size = S_ISREG(ret->st_mode) ? (uint64_t)ret->st_size : 0;
    return 0;
}

/* ---- the session ---- */

/* Opens the session and says what is to be made. Returns 0 or -errno. */
static int begin_session(struct importing *i, const char *mnt)
{
    CLEANUP_STRBUF struct strbuf line = STRBUF_INIT;
    strbuf_adds(&line, "import ");
    command_add_word(&line, i->name);
    strbuf_adds(&line, "\n");
    return strbuf_error(&line) ? -ENOMEM : session_begin(mnt, ".tally/import", line.s, &i->session);
}

/* ---- the result ---- */

static void print_notes(const struct importing *i)
{
    if (i->result.absolute) {
        tally_warn("%" PRIu64 " names began with '/', which was left out", i->result.absolute);
    }
    if (i->result.passed) {
        tally_warn("%" PRIu64 " attributes were left out that a store cannot have",
                   i->result.passed);
    }
}

static int print_result(const struct importing *i, int err, struct reply *reply)
{
    tally_progress("%s", "");
    if (err == 0) {
        strbuf_addf(&reply->head, " absolute=%" PRIu64 " passed=%" PRIu64 " changed=%" PRIu64,
                    i->result.absolute, i->result.passed, i->changed);
    }
    if (i->json) {
        ctl_print_json("import", err, reply);
    } else if (err == 0) {
        char *const args[] = {(char *)(uintptr_t)i->source, (char *)(uintptr_t)i->name};
        const struct people_call call = form_call("import", args, 2);
        ctl_show(&call, reply);
        print_notes(i);
    }
    return err < 0 ? tally_fail("%s", reply->head.s) : 0;
}

/* Makes the namespace. Returns the exit code. */
static int run(struct importing *i, const char *mnt, bool directory)
{
    struct reply reply = REPLY_INIT;
    int err = begin_session(i, mnt);
    if (i->session < 0) {
        return tally_fail("%s/.tally/import: %s", mnt, strerror(-err));
    }
    if (err == 0 && directory) {
        read_directory(i);
    } else if (err == 0 && read_archive(i)) {
        return 1;
    }
    err = err < 0 ? err : i->result.err;
    if (err < 0 && *i->result.why) {
        strbuf_adds(&reply.head, i->result.why);
    } else {
        err = session_reply(i->session, err, &reply);
    }
    int rc = print_result(i, err, &reply);
    reply_release(&reply);
    return rc;
}

/* The names of a directory are worked off while the directories above it stay open. */
static void raise_limit(void)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
        l.rlim_cur = l.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &l);
    }
}

static int run_found(struct importing *i)
{
    struct tally_mountinfo m;
    struct stat st;
    int err = which_mount(&m);
    if (err < 0) {
        return which_mount_fail(err, &m);
    }
    if (open_source(i, &st)) {
        return 1;
    }
    bool directory = S_ISDIR(st.st_mode);
    if (directory && i->layer) {
        return tally_fail("--oci is for an archive, and %s is a directory", i->source);
    }
    raise_limit();
    int rc = run(i, m.point, directory);
    io_cleanup_close(&i->session);
    io_cleanup_close(&i->fd);
    return rc;
}

int cmd_import_run(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'}, {"oci", no_argument, NULL, 'o'}, {NULL, 0, NULL, 0}};
    static struct importing i;
    int o;
    i.session = i.fd = -1;
    while ((o = form_getopt(argc, argv, "C:", options)) >= 0) {
        if (o == '?') {
            return verbs_misuse();
        }
        if (o == 'C') {
            tally_mount = optarg;
        }
        i.json |= o == 'j';
        i.layer |= o == 'o';
    }
    if (argc - optind != 2) {
        return verbs_misuse();
    }
    i.source = argv[optind];
    i.name = argv[optind + 1];
    return run_found(&i);
}
