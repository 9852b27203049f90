// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_mount: serves a store at a mount point, in the background unless called with -f.
 *
 * It forks before it opens anything and before it starts a thread: locks and LMDB's maps belong to
 * the process that made them. The parent waits on a pipe. One NUL byte means that the store is
 * mounted; anything else is the sentence to print. Until then the child keeps the standard error of
 * the terminal, for messages of libfuse and for reports (such as what was recovered from the log).
 * The reports go to syslog, too, and later only there.
 *
 * With the option ns= the daemon serves at a hidden place. Another process puts the namespace at
 * the mount point (mount_ns.h), and it is this that writes the NUL byte.
 *
 * mount(8) calls the same program as `mount.fuse.tally STORE MNT [-sfnv] [-N ns] [-t type] [-o
 * options]`. There -f means "do nothing", and -s means "ignore options that you do not know".
 */
#include "client.h"
#include "fs.h"
#include "identity.h"
#include "io.h"
#include "kv.h"
#include "label.h"
#include "mapped.h"
#include "mount_flags.h"
#include "mount_ns.h"
#include "mount_options.h"
#include "mountinfo.h"
#include "new_store.h"
#include "own.h"
#include "owner_wait.h"
#include "remount.h"
#include "remount_mount.h"
#include "report.h"
#include "run.h"
#include "say.h"
#include "store_dir.h"
#include "utab.h"
#include "verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

struct mounting {
    const char *store_arg, *mountpoint_arg;
    char store[PATH_MAX], mountpoint[PATH_MAX], dev[32]; /* `dev`: of the mount; "" before */
    char hidden[MOUNT_NS_PLACE]; /* with ns=: where the daemon mounts; "": at the mount point */
    struct mount_options options;
    bool create, foreground, fake;
    bool in_group; /* it leaves its process group when it has mounted (stays_in_group) */
    const struct store_dir *opened;
    int cache_fd;            /* the directory of the option shard_cache_dir; -1: none */
    struct disk *cache_disk; /* the same as a disk, or NULL */
    int ready_fd;            /* the pipe to the waiting parent; -1: none, or the parent knows */
    int show_fd; /* the pipe to the process that shows the namespace; -1: none, or it knows */
    char why[STORE_WHY];
};

static void sink_stderr(enum report_level level, const char *text, void *ctx)
{
    static const char *const name[] = {
        [REPORT_NOTE] = "note", [REPORT_WARN] = "warning", [REPORT_ALARM] = "ALARM"};
    (void)ctx;
    fprintf(stderr, "tally: %s: %s\n", name[level], text);
}

static void sink_syslog(enum report_level level, const char *text, void *ctx)
{
    static const int priority[] = {
        [REPORT_NOTE] = LOG_NOTICE, [REPORT_WARN] = LOG_WARNING, [REPORT_ALARM] = LOG_CRIT};
    (void)ctx;
    syslog(priority[level], "%s", text);
}

/* The sink while the daemon starts in the background: the user who called mount still reads
 * standard error. */
static void sink_both(enum report_level level, const char *text, void *ctx)
{
    sink_stderr(level, text, ctx);
    sink_syslog(level, text, ctx);
}

/* Where the daemon mounts. */
static const char *place_of(const struct mounting *m)
{
    return *m->hidden ? m->hidden : m->mountpoint;
}

static void leave_terminal(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        close(null);
    }
    report_set_sink(sink_syslog, NULL);
}

/* Called when the mount serves requests: informs the parent, and gives up the terminal. It also
 * adds a line to utab: umount(8) otherwise takes a short cut by statfs(2), which returns "fuse" and
 * not "fuse.tally". Then it would not call our helper, and would return before the daemon has
 * ended. */
static void on_ready(void *ctx)
{
    struct mounting *m = ctx;
    if (mountinfo_dev(place_of(m), m->dev) < 0) {
        m->dev[0] = '\0';
    }
    if (!*m->hidden) {
        utab_note(m->store, m->mountpoint);
    }
    if (m->ready_fd >= 0) {
        if (m->in_group) {
            setsid();
        }
        leave_terminal();
    }
    const bool shows = m->show_fd >= 0; /* then that process informs the parent */
    if (shows || m->ready_fd >= 0) {
        (void)!write(shows ? m->show_fd : m->ready_fd, "", 1);
    }
    io_cleanup_close(&m->show_fd);
    io_cleanup_close(&m->ready_fd);
    m->show_fd = m->ready_fd = -1;
}

/* Called when the mount begins to end: writes that into the lock file. */
static void on_ending(void *ctx)
{
    const struct mounting *m = ctx;
    store_tell_end(m->opened, m->mountpoint);
}

/* Called when the mount is gone. It may have been moved, or parts of it may be mounted elsewhere.
 * These mounts are dead now, and are unmounted. */
static void on_unmounted(void *ctx)
{
    const struct mounting *m = ctx;
    if (*m->dev) {
        mountinfo_detach_all(m->store, m->dev);
    }
    utab_clean(m->store);
}

/* Opens the directory of the option shard_cache_dir, before anything else: a path that is wrong is
 * an error of the mount, not of reads. 0, or -errno with m->why. */
static int open_cache_dir(struct mounting *m)
{
    const char *path = m->options.cache_dir;
    char why[OWN_WHY] = "";
    int err = 0;
    if (!path) {
        return 0;
    }
    m->cache_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (m->cache_fd < 0) {
        err = -errno;
    }
    if (err == 0 && !m->options.foreign_store) {
        err = own_check(m->cache_fd, why);
    }
    if (err == 0) {
        err =
            disk_open_fd(m->cache_fd, m->options.foreign_store ? DISK_FOREIGN : 0, &m->cache_disk);
    }
    if (err < 0) {
        snprintf(m->why, sizeof(m->why), "cannot use the shard_cache_dir %.300s: %s%s", path,
                 *why ? "it " : "", *why ? why : strerror(-err));
    }
    return err;
}

static void close_cache_dir(struct mounting *m)
{
    disk_close(m->cache_disk);
    if (m->cache_fd >= 0) {
        close(m->cache_fd);
    }
    m->cache_disk = NULL;
    m->cache_fd = -1;
}

/* How reads move access times. `ro` of one namespace is about its mount, and others may be rw. */
static unsigned atime_of(const struct mounting *m)
{
    const unsigned long flags = m->options.flags;
    return remount_atime(m->options.ns ? flags & ~(unsigned long)MS_RDONLY : flags);
}

/* Serves an open store until it is unmounted. */
static int serve_store(struct mounting *m, struct store_dir *store)
{
    struct fs_options *o = &m->options.fs;
    o->state = (struct state_config){.disk = store->disk,
                                     .kv = store->kv,
                                     .cache = m->cache_disk ? m->cache_disk : store->own,
                                     .clock = clock_real(),
                                     .atime = atime_of(m),
                                     .background = true,
                                     .follow = m->options.follow,
                                     .pool = store_get_pool(store),
                                     .compression = store_get_compression(store)};
    o->store = m->store;
    o->follow_url = m->options.follow_url;
    o->mountpoint = place_of(m);
    o->shown_elsewhere = *m->hidden != '\0';
    o->extra = m->options.extra.len ? m->options.extra.s : NULL;
    o->set_attr = !*m->hidden && mount_flags_beyond_libfuse(m->options.flags);
    o->attr = mount_flags_attr(m->options.flags);
    o->ready = on_ready;
    o->unmounted = on_unmounted;
    o->ending = on_ending;
    o->ctx = m;
    return fs_main(o, m->why, sizeof(m->why));
}

/* What this process mounts, for callbacks that have no context. */
static struct mounting *mounted;

/* Called if the disk cannot read a page of the tables where no request can get the error: the
 * process ends when this returns. Before it is mounted, the waiting parent prints the sentence. */
static int on_unreadable(const char *file, uint64_t offset)
{
    struct mounting *m = mounted;
    snprintf(
        m->why, sizeof(m->why),
        "the disk cannot read %.400s/%s at byte %llu: the daemon ends; what was durable stays so",
        m->store, file, (unsigned long long)offset);
    if (m->ready_fd >= 0) {
        (void)!write(m->ready_fd, m->why, strlen(m->why));
    } else {
        report(REPORT_ALARM, "%s", m->why);
    }
    return 1;
}

/* Opens the store, which is made before if that was asked for, and serves it. 0, or -errno with
 * m->why. */
static int serve(struct mounting *m)
{
    struct store_dir store;
    char label[STORE_LABEL_MAX + 1];
    unsigned flags = m->options.foreign_store ? STORE_FOREIGN : 0;
    mounted = m;
    int err = mapped_catch_faults(on_unreadable);
    tally_raise_file_limit();
    if (err == 0) {
        err = open_cache_dir(m);
    }
    if (err == 0 && m->create && !m->options.follow_url && !store_exists(m->store)) {
        tally_default_label(m->store, label, sizeof(label));
        err = store_init(m->store, label, NULL, NULL, flags, m->why);
    }
    if (err == 0 && m->options.follow_url && !store_exists(m->store)) {
        err = new_store_follow(m->options.follow_url, m->options.follow_lineage, m->store, m->why);
    }
    if (err == 0) {
        err = owner_open(m->store, flags, "mount", m->mountpoint, &store, m->why);
    }
    if (err < 0) {
        close_cache_dir(m);
        return err;
    }
    m->opened = &store;
    err = serve_store(m, &store);
    store_dir_close(&store);
    close_cache_dir(m);
    if (err < 0 && !*m->why) {
        snprintf(m->why, sizeof(m->why), "%s", strerror(-err));
    }
    return err;
}

static struct mount_ns ns_of(const struct mounting *m)
{
    return (struct mount_ns){.store = m->store,
                             .at = m->mountpoint,
                             .create = m->create,
                             .in_group = m->in_group,
                             .options = &m->options};
}

/* With ns=: starts the process that puts the namespace at the mount point, and tells of it on
 * `result`. 0, or -errno with m->why. */
static int start_showing(struct mounting *m, int result)
{
    const struct mount_ns a = ns_of(m);
    int err = *m->hidden ? mount_ns_start(&a, m->hidden, result, &m->show_fd) : 0;
    if (err < 0) {
        snprintf(m->why, sizeof(m->why), "cannot start a process: %s", strerror(-err));
    }
    return err;
}

/* The child: detaches itself and serves. It never returns. Its threads are of the class that
 * below.h chooses by the session, so the session is left later only where it must be. */
static _Noreturn void serve_background(struct mounting *m)
{
    if (!m->in_group) {
        setsid();
    }
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        close(null);
    }
    openlog("tally", LOG_PID, LOG_DAEMON);
    report_set_sink(sink_both, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (chdir("/") < 0) {
        snprintf(m->why, sizeof(m->why), "cannot leave the current directory: %s", strerror(errno));
    } else if (start_showing(m, m->ready_fd) == 0 && serve(m) == 0) {
        tally_end(0);
    }
    if (m->ready_fd < 0) {
        syslog(LOG_ERR, "%s at %s: %s", m->store, m->mountpoint, m->why);
    } else {
        (void)!write(m->ready_fd, m->why, strlen(m->why));
    }
    tally_end(1);
}

/* Reads the word of the daemon. 0: it has mounted. -EIO: it has not; what it said is in `word`. */
static int read_word(int fd, char word[STORE_WHY])
{
    size_t len = 0;
    for (;;) {
        ssize_t n = read(fd, word + len, STORE_WHY - 1 - len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return -EIO;
        }
        len += (size_t)n;
        word[len] = '\0';
        if (word[0] == '\0') {
            return 0;
        }
    }
}

/* The parent: waits until the child has mounted or failed. 0, or -EIO with m->why. */
static int await_ready(struct mounting *m, int fd, pid_t child)
{
    m->why[0] = '\0';
    if (read_word(fd, m->why) == 0) {
        return 0;
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (!*m->why && WIFSIGNALED(status)) {
        snprintf(m->why, sizeof(m->why), "the daemon was killed before it had mounted: %s",
                 strsignal(WTERMSIG(status)));
    } else if (!*m->why) {
        snprintf(m->why, sizeof(m->why), "the daemon ended before it had mounted");
    }
    return -EIO;
}

/* Forks: the child serves the store, and the parent waits for its word. 0: the parent is done, and
 * *ret_rc is its exit code. -errno with m->why: there is no mount. */
static int mount_background(struct mounting *m, int *ret_rc)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0) {
        snprintf(m->why, sizeof(m->why), "cannot make a pipe: %s", strerror(errno));
        return -EIO;
    }
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        close(fds[0]);
        m->ready_fd = fds[1];
        serve_background(m);
    }
    close(fds[1]);
    int err = child < 0 ? -errno : await_ready(m, fds[0], child);
    close(fds[0]);
    if (child < 0) {
        snprintf(m->why, sizeof(m->why), "cannot start the daemon: %s", strerror(-err));
    }
    *ret_rc = err < 0;
    return err < 0 && m->why[0] == MOUNT_NS_SAID ? 0 : err;
}

/* As mount_background, but this process serves until it is unmounted. */
static int mount_foreground(struct mounting *m, int *ret_rc)
{
    int fds[2];
    char word[STORE_WHY] = "";
    report_set_sink(sink_stderr, NULL);
    if (pipe2(fds, O_CLOEXEC) < 0) {
        snprintf(m->why, sizeof(m->why), "cannot make a pipe: %s", strerror(errno));
        return -EIO;
    }
    int err = start_showing(m, fds[1]);
    close(fds[1]);
    if (err == 0) {
        err = serve(m);
    }
    io_cleanup_close(&m->show_fd); /* still open if it was not mounted */
    m->show_fd = -1;
    const bool shown = !*m->hidden || read_word(fds[0], word) == 0;
    close(fds[0]);
    *ret_rc = err < 0 || !shown;
    return err;
}

/* Adds a mount to a daemon that serves the store already, or starts one. Several mounts of a store
 * may begin at once, as those of an fstab do: then one of them becomes the owner, and the others
 * join it. Returns the exit code. */
static int mount_it(struct mounting *m)
{
    const struct mount_ns a = ns_of(m);
    const bool joins = geteuid() == 0;
    int rc = 1, err;
    do {
        if (joins && mount_ns_join(&a, &rc)) {
            return rc;
        }
        err = m->options.ns ? mount_ns_hide(m->hidden) : 0;
        if (err < 0) {
            return tally_fail("cannot make a directory in /run or /tmp: %s", strerror(-err));
        }
        err = m->foreground ? mount_foreground(m, &rc) : mount_background(m, &rc);
        if (err < 0 && *m->hidden) {
            mount_ns_unhide(m->hidden);
        }
    } while (err < 0 && m->options.ns && mount_ns_await(&a));
    return err < 0 ? tally_fail("%s", m->why) : rc;
}

/* Is `path` that directory, or in it? Both paths are absolute and without symlinks. */
static bool is_within(const char *path, const char *dir)
{
    size_t n = strlen(dir);
    return strncmp(path, dir, n) == 0 &&
           (path[n] == '\0' || path[n] == '/' || (n > 0 && dir[n - 1] == '/'));
}

/* Refuses a mount point that has the store in it, which the mount would hide; and one that is in
 * the store, which would look like a part of it. */
static int check_overlap(const struct mounting *m)
{
    char store[PATH_MAX];
    if (!realpath(m->store, store)) {
        return 0; /* it does not exist yet */
    }
    if (is_within(m->mountpoint, store)) {
        return tally_fail("%s is the store itself or lies in it: mount it at a directory outside",
                          m->mountpoint_arg);
    }
    if (is_within(store, m->mountpoint)) {
        return tally_fail("the store %s lies in %s and would be hidden by the mount: mount it at "
                          "another directory",
                          m->store_arg, m->mountpoint_arg);
    }
    return 0;
}

/* Explains that the mount point is a tally mount already. Returns 1. */
static int refuse_mounted(const struct mounting *m, const struct tally_mountinfo *at)
{
    CLEANUP_CLOSE int fd = client_open(at->point); /* a request; attributes may be cached */
    if (fd == -ENOTCONN || fd == -ECONNABORTED) {
        return tally_fail("the daemon that served %s at %s is gone; `tally umount %s`, then mount "
                          "it again",
                          at->source, m->mountpoint_arg, m->mountpoint_arg);
    }
    return tally_fail("%s is a tally mount already, of %s", m->mountpoint_arg, at->source);
}

/* Explains why the path is no store. Returns 1; 0: by now it is one. */
static int refuse_no_store(const struct mounting *m)
{
    char why[STORE_WHY] = "";
    if (store_exists(m->mountpoint_arg)) {
        return tally_fail("%s is not a store, but %s is: the store comes first, then the mount "
                          "point",
                          m->store_arg, m->mountpoint_arg);
    }
    return store_explain(m->store_arg, why) < 0 ? tally_fail("%s", why) : 0;
}

/* Is an automounter (autofs) to mount there? Then the kernel makes all wait who look at the
 * directory, but the processes of the automounter's own group. */
static bool stays_in_group(const char *mountpoint)
{
    char type[64];
    mountinfo_type_of(mountpoint, type);
    return strcmp(type, "autofs") == 0;
}

/* Makes the paths absolute, and checks for likely mistakes. 0, or 1 after a sentence. */
static int check_places(struct mounting *m)
{
    struct stat st;
    struct tally_mountinfo at;
    int err = mountinfo_absolute(m->store_arg, m->store);
    if (err < 0) {
        return tally_fail("%s: %s", m->store_arg, strerror(-err));
    }
    if (stat(m->store, &st) == 0 && !S_ISDIR(st.st_mode)) {
        return tally_fail("cannot open the store %s: %s", m->store_arg, strerror(ENOTDIR));
    }
    if (access(m->store, X_OK) < 0 && errno == EACCES) {
        return tally_fail("cannot open the store %s: %m", m->store_arg);
    }
    if (!m->create && !m->options.follow_url && !store_exists(m->store)) {
        return refuse_no_store(m);
    }
    if (owner_await_unmount(m->mountpoint_arg) < 0 && mountinfo_at(m->mountpoint_arg, &at) == 0) {
        return refuse_mounted(m, &at);
    }
    if (!realpath(m->mountpoint_arg, m->mountpoint) || stat(m->mountpoint, &st) < 0) {
        return tally_fail("cannot mount at %s: %m", m->mountpoint_arg);
    }
    if (!S_ISDIR(st.st_mode)) {
        return tally_fail("%s is not a directory", m->mountpoint_arg);
    }
    m->in_group = stays_in_group(m->mountpoint);
    return check_overlap(m);
}

/* Reads the command line. 0, or 1 after a sentence. */
static int take_options(int argc, char **argv, struct mounting *m)
{
    static const struct option long_options[] = {{"create", no_argument, NULL, 'c'},
                                                 {"foreground", no_argument, NULL, 'f'},
                                                 {NULL, 0, NULL, 0}};
    bool helper = strcmp(argv[0], "mount") != 0, sloppy = false;
    CLEANUP_STRBUF struct strbuf list = STRBUF_INIT, why = STRBUF_INIT;
    int o;
    while ((o = tally_getopt(argc, argv, helper ? "sfnvo:N:t:" : "fo:", long_options)) >= 0) {
        if (o == '?') {
            return verbs_misuse();
        }
        if (o == 'N' && tally_enter_mounts(optarg) < 0) {
            return tally_fail("cannot enter the mount namespace %s: %m", optarg);
        }
        if (o == 'o') {
            strbuf_addf(&list, "%s,", optarg);
        }
        m->create |= o == 'c';
        m->foreground |= o == 'f' && !helper;
        m->fake |= o == 'f' && helper;
        sloppy |= o == 's';
    }
    if (argc - optind != 2) {
        return verbs_misuse();
    }
    m->store_arg = argv[optind];
    m->mountpoint_arg = argv[optind + 1];
    if (strbuf_error(&list) < 0 || mount_options_add(&m->options, list.s, sloppy, &why) < 0) {
        return tally_fail("%s", why.len ? why.s : "out of memory");
    }
    if (m->options.ns && geteuid() != 0) {
        return tally_fail("ns=%s: only root can mount one namespace by itself; mount the whole "
                          "store",
                          m->options.ns);
    }
    return mount_options_end(&m->options) < 0 ? tally_fail("out of memory") : 0;
}

int cmd_mount_run(int argc, char **argv)
{
    struct mounting m = {
        .options = MOUNT_OPTIONS_INIT, .cache_fd = -1, .ready_fd = -1, .show_fd = -1};
    m.options.fs.allow_other = geteuid() == 0;
    /* A mount of root is like that of a disk: suid and dev. */
    m.options.flags = geteuid() == 0 ? 0 : MS_NOSUID | MS_NODEV;
    int rc = take_options(argc, argv, &m);
    if (rc == 0 && !m.fake && m.options.remount) {
        rc = remount(m.mountpoint_arg, &m.options);
        mount_options_release(&m.options);
        return rc;
    }
    if (rc == 0 && !m.fake) {
        rc = check_places(&m);
    }
    if (rc == 0 && !m.fake) {
        rc = mount_it(&m);
    }
    mount_options_release(&m.options);
    return rc;
}
