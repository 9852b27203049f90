// SPDX-License-Identifier: Apache-2.0
/*
 * spaces: what all processes do together: branches, drops, renames of namespaces, drains.
 *
 * The processes meet at a barrier after the same number of operations. What happens there is drawn
 * from a generator that each of them has a copy of, so that all know it without a word; process 0
 * does it between two barriers. So a branch is made at a moment at which every model is known.
 *
 * A race is the other kind of branch: all go on with operations that a branch must see whole or not
 * at all, each remembering its model after every one, while a thread of process 0 makes the branch.
 * Then each must find what the branch shows of its directory among those moments.
 */
#include "fsx.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define RACE_OPS 24
#define MEET_EVERY 1000 /* operations, on average about the half of it */

struct shared {
    pthread_barrier_t barrier;
};

static uint64_t schedule, next_meeting;
static unsigned named; /* namespaces that were ever made */
static bool racing;

struct shared *shared_new(unsigned procs)
{
    struct shared *s =
        mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_barrierattr_t attr;

    if (s == MAP_FAILED)
        return NULL;
    pthread_barrierattr_init(&attr);
    pthread_barrierattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&s->barrier, &attr, procs);
    return s;
}

static void together(void)
{
    (void)pthread_barrier_wait(&run.shared->barrier);
}

static uint64_t draw(uint64_t n)
{
    return chance(&schedule) % n;
}

bool spaces_racing(void)
{
    return racing;
}

uint64_t spaces_next(void)
{
    return next_meeting;
}

/* ---- commands ---- */

/* One line to the control file. The reply's first word is "ok", or it is told; EBUSY is returned.
 */
static int command(const char *line)
{
    char path[PATH_MAX], reply[4096];
    ssize_t n;
    int fd, err = 0;

    snprintf(path, sizeof path, "%s/.tally/control", run.opt.top);
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        fail(NULL, "%s: %s", path, strerror(errno));
    if (write(fd, line, strlen(line)) < 0)
        err = errno;
    n = read(fd, reply, sizeof reply - 1);
    reply[n > 0 ? n : 0] = 0;
    close(fd);
    if (err && err != EBUSY)
        fail(NULL, "\"%s\" failed: %s: %s", line, strerror(err), reply);
    if (!err && strncmp(reply, "ok", 2) != 0)
        fail(NULL, "\"%s\" replied: %s", line, reply);
    return err;
}

static void branch(const char *from, const char *to)
{
    char line[200];

    snprintf(line, sizeof line, "branch %s %s", from, to);
    (void)command(line);
}

/* A close is told to the daemon after it returned: so for a while files are open there. */
static void drop(const char *name, bool force)
{
    char line[200];
    int tries = 0;

    snprintf(line, sizeof line, "drop %s%s", name, force ? " force" : "");
    while (command(line) == EBUSY) {
        if (++tries == 20000)
            fail(NULL, "\"%s\": files are open there, although all were closed", line);
        usleep(10000);
    }
}

static void drop_caches(void)
{
    int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    (void)!write(fd, "3", 1);
    close(fd);
}

/* ---- which ---- */

static struct space *draw_live(unsigned first)
{
    struct space *live[SPACES];
    unsigned n = 0;

    for (unsigned i = first; i < SPACES; i++)
        if (run.space[i].live)
            live[n++] = &run.space[i];
    return n ? live[draw(n)] : NULL;
}

static struct space *free_slot(void)
{
    for (unsigned i = 1; i < SPACES; i++)
        if (!run.space[i].live)
            return &run.space[i];
    return NULL;
}

static void new_name(char out[64])
{
    snprintf(out, 64, "fsx-%u", ++named);
}

static void space_path(const char *name, char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "%s/%s", run.opt.top, name);
}

static void write_back_all(struct space *s)
{
    struct entry all[ENTRIES_MAX];
    size_t n = space_entries(s, 1u << KIND_FILE, all);

    run.in = s;
    for (size_t i = 0; i < n; i++)
        node_write_back(all[i].node);
}

/* ---- what happens ---- */

static void do_branch(void)
{
    struct space *from = draw_live(0), *to = free_slot();
    char name[64];

    if (!to)
        return;
    new_name(name);
    together();
    if (run.proc == 0)
        branch(from->name, name);
    together();
    space_clone(from, name, to);
}

static void node_read_on(struct node *n)
{
    for (unsigned i = 0; i < n->handles; i++)
        if ((n->handle[i].flags & O_ACCMODE) != O_WRONLY)
            bytes_check(n, n->handle[i].fd, true);
}

/* What is open of a namespace that was dropped by force reads on. */
static void space_reads_on(struct space *s)
{
    struct entry all[ENTRIES_MAX];
    size_t n = space_entries(s, 1u << KIND_FILE, all);

    for (size_t i = 0; i < n; i++)
        node_read_on(all[i].node);
    for (unsigned i = 0; i < s->orphans; i++)
        node_read_on(s->orphan[i]);
}

static void do_drop(void)
{
    struct space *s = draw_live(1);
    bool force = draw(4) == 0;
    char name[64];

    if (!s)
        return;
    run.in = s;
    memcpy(name, s->name, sizeof name);
    if (force)
        write_back_all(s);
    else
        space_release(s);
    together();
    if (run.proc == 0)
        drop(name, force);
    together();
    if (force) {
        space_reads_on(s);
        space_release(s);
    }
}

/* A new name, or names exchanged with another branch. */
static void do_rename(void)
{
    struct space *a = draw_live(1), *b = draw_live(1);
    char from[PATH_MAX], to[PATH_MAX], name[64];
    bool exchange = a && a != b;

    if (!a)
        return;
    if (exchange)
        memcpy(name, b->name, sizeof name);
    else
        new_name(name);
    space_path(a->name, from);
    space_path(name, to);
    together();
    if (run.proc == 0 &&
        renameat2(AT_FDCWD, from, AT_FDCWD, to, exchange ? RENAME_EXCHANGE : 0) < 0)
        fail(NULL, "rename of namespace %s to %s: %s", from, to, strerror(errno));
    if (exchange)
        memcpy(b->name, a->name, sizeof b->name);
    memcpy(a->name, name, sizeof a->name);
    together();
}

static void make_mine(struct space *s)
{
    char path[PATH_MAX];

    dir_path(s, s->root, path);
    if (mkdir(path, 0755) < 0)
        fail(s->root, "mkdir %s: %s", path, strerror(errno));
}

static void do_make(void)
{
    struct space *s = free_slot();
    char name[64], path[PATH_MAX];

    if (!s)
        return;
    new_name(name);
    space_path(name, path);
    together();
    if (run.proc == 0 && mkdir(path, 0755) < 0)
        fail(NULL, "mkdir %s: %s", path, strerror(errno));
    together();
    space_init(s, name);
    make_mine(s);
}

static void do_verify(void)
{
    struct space *s = draw_live(0);
    bool cold = draw(2);

    verify_space(s, cold);
}

/* ---- a race ---- */

static const char *history[RACE_OPS];

struct racer {
    char from[64], to[64];
};

static void *race_branch(void *arg)
{
    const struct racer *r = arg;
    branch(r->from, r->to);
    return NULL;
}

/* The lines of `a` that are not in `b`, each with `mark` before it; told or only counted. */
static size_t lines_missing(const char *a, const char *b, const char *mark)
{
    size_t missing = 0;

    for (const char *end; *a; a = end + 1) {
        size_t len = (size_t)((end = strchr(a, '\n')) - a) + 1;
        const char *at = b;
        while (*at && strncmp(at, a, len) != 0)
            at = strchr(at, '\n') + 1;
        missing += *at == 0;
        if (*at == 0 && mark)
            printf("  %s%.*s", mark, (int)len, a);
    }
    return missing;
}

/* No moment is what the branch shows: tell what it lacks of the nearest. */
__attribute__((noreturn)) static void race_lost(struct space *moment, size_t count, const char *got)
{
    size_t best = 0, least = SIZE_MAX;
    char *want;

    for (size_t i = 0; i < count; i++) {
        want = manifest_of_model(&moment[i], false);
        size_t missing = lines_missing(got, want, NULL) + lines_missing(want, got, NULL);
        if (missing < least) {
            least = missing;
            best = i;
        }
        free(want);
    }
    want = manifest_of_model(&moment[best], false);
    printf(
        "\nthe nearest moment is after %zu of %d operations; in the branch (+), in the model (-)\n",
        best, RACE_OPS);
    (void)lines_missing(got, want, "+ ");
    (void)lines_missing(want, got, "- ");
    for (size_t i = 0; i < RACE_OPS; i++)
        printf("  operation %zu: %s\n", i + 1, history[i]);
    verify_space(&moment[best], false); /* tells which bytes */
    fail(NULL, "branch %s is no moment of its source while that was changed", moment[0].name);
}

/* Some moment's tree is what the branch shows. */
static void race_check(struct space *moment, size_t count)
{
    char dir[PATH_MAX], *got;
    bool same = false;

    dir_path(&moment[0], moment[0].root, dir);
    got = manifest_of_files(run.opt.top, dir, false);
    for (size_t i = 0; i < count && !same; i++) {
        char *want = manifest_of_model(&moment[i], false);
        same = strcmp(got, want) == 0;
        free(want);
    }
    if (!same)
        race_lost(moment, count, got);
    free(got);
    for (size_t i = 0; i < count; i++)
        space_release(&moment[i]);
}

/* The branch is dropped again: which moment it is depends on time, and what is drawn later must
 * not. */
static void do_race(void)
{
    struct space *from = draw_live(0), moment[RACE_OPS + 1];
    unsigned start = (unsigned)draw(RACE_OPS);
    struct racer r;
    pthread_t thread;

    new_name(r.to);
    memcpy(r.from, from->name, sizeof r.from);
    racing = true;
    together();
    space_clone(from, r.to, &moment[0]);
    for (unsigned i = 0; i < RACE_OPS; i++) {
        if (run.proc == 0 && i == start && pthread_create(&thread, NULL, race_branch, &r) != 0)
            fail(NULL, "no thread");
        run.in = from;
        history[i] = operation();
        space_clone(from, r.to, &moment[i + 1]);
    }
    if (run.proc == 0)
        pthread_join(thread, NULL);
    together();
    racing = false;
    race_check(moment, RACE_OPS + 1);
    together();
    if (run.proc == 0)
        drop(r.to, false);
}

/* ---- meeting ---- */

static void do_something(void)
{
    uint64_t what = draw(100);
    bool branches = run.opt.features & F_BRANCH;

    if (what < 25)
        do_verify();
    else if (what < 27 && run.opt.features & F_DROP_CACHES) {
        together();
        if (run.proc == 0)
            drop_caches();
    } else if (!branches)
        return;
    else if (what < 50)
        do_branch();
    else if (what < 66)
        do_drop();
    else if (what < 72)
        do_rename();
    else if (what < 76)
        do_make();
    else if (what < 84) {
        if (run.proc == 0)
            (void)command("drain");
    } else if (run.opt.features & F_RACE)
        do_race();
}

void spaces_meet(void)
{
    together();
    run.started = now_coarse();
    do_something();
    next_meeting += 10 + draw(MEET_EVERY);
}

void spaces_start(void)
{
    schedule = run.opt.seed * 2654435761u + 12345;
    next_meeting = 1 + draw(MEET_EVERY);
    make_mine(&run.space[0]);
    together();
}

void spaces_end(void)
{
    together();
    for (unsigned i = 0; i < SPACES; i++)
        if (run.space[i].live) {
            write_back_all(&run.space[i]);
            verify_space(&run.space[i], true);
        }
}
