// SPDX-License-Identifier: Apache-2.0
/*
 * fsx: random operations on a mounted filesystem, compared with a model.
 *
 *     fsx [--seed S] [--ops N] [--files K] [--procs P] [--size MAX] [--no WORD,…] [--ext4]
 *         [--manifest FILE] DIR
 *     fsx --verify FILE DIR
 *
 * DIR is a namespace of a mount, or with --ext4 a directory of any filesystem: then there are no
 * branches, and the program itself is what is tested. Each of P processes does N operations in a
 * directory p<N> of its own, in DIR and in the branches that are made of it, with up to K files of
 * up to MAX bytes each. --no leaves out mmap, direct, copy, fallocate, names, fsync, branch, race,
 * drop_caches, times. The same arguments do the same operations again. --manifest writes what
 * there is at the end; --verify compares it with what is found after a remount.
 *
 * Exit code: 0 all as it should be, 1 a mismatch (which is told), 2 wrong usage.
 */
#include "fsx.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROCS_MAX 32

/* ---- one operation ---- */

struct op {
    const char *name;
    void (*on_file)(struct node *);
    void (*on_names)(void);
    unsigned weight, feature;
    bool whole; /* a branch sees all of it or nothing */
};

static const struct op ops[] = {
    {"read", op_read, NULL, 300, 0, false},
    {"read cold", op_read_cold, NULL, 60, 0, false},
    {"write", op_write, NULL, 110, 0, true},
    {"append", op_append, NULL, 30, 0, true},
    {"truncate", op_truncate, NULL, 30, 0, true},
    {"truncating open", op_truncate_open, NULL, 8, 0, true},
    {"rewrite", op_rewrite, NULL, 20, 0, false},
    {"open", op_open, NULL, 30, 0, false},
    {"close", op_close, NULL, 50, 0, false},
    {"fsync", op_fsync, NULL, 1, F_FSYNC, false},
    {"fstat", op_fstat, NULL, 400, 0, false},
    {"map and read", op_map_read, NULL, 100, F_MMAP, false},
    {"map and write", op_map_write, NULL, 35, F_MMAP, false},
    {"map for long", op_map_hold, NULL, 10, F_MMAP, false},
    {"map privately", op_map_private, NULL, 15, F_MMAP, false},
    {"copy a range", op_copy_range, NULL, 20, F_COPY, false},
    {"copy a file", op_copy_whole, NULL, 12, F_COPY, false},
    {"allocate", op_allocate, NULL, 25, F_FALLOCATE, true},
    {"seek", op_seek, NULL, 25, 0, false},
    {"create", NULL, op_create, 40, 0, true},
    {"mkdir", NULL, op_mkdir, 12, F_NAMES, true},
    {"symlink", NULL, op_symlink, 8, F_NAMES, true},
    {"link", NULL, op_link, 20, F_NAMES, true},
    {"link across", NULL, op_link_across, 12, F_BRANCH, false},
    {"rename", NULL, op_rename, 35, F_NAMES, true},
    {"replace", NULL, op_replace, 15, F_NAMES, false},
    {"unlink", NULL, op_unlink, 20, 0, true},
    {"rmdir", NULL, op_rmdir, 8, F_NAMES, true},
    {"list", NULL, op_list, 25, F_NAMES, false},
    {"chmod", NULL, op_chmod, 12, 0, true},
    {"utimens", NULL, op_utimens, 15, 0, true},
    {"stat", NULL, op_stat, 400, 0, false},
};
#define OPS (sizeof ops / sizeof ops[0])

static uint64_t (*counts)[OPS]; /* by process, shared */

static bool possible(const struct op *op)
{
    return (op->feature & run.opt.features) == op->feature && (op->whole || !spaces_racing());
}

static const struct op *pick_op(void)
{
    uint64_t sum = 0, at;

    for (size_t i = 0; i < OPS; i++)
        sum += possible(&ops[i]) ? ops[i].weight : 0;
    at = pick(sum);
    for (size_t i = 0; i < OPS; i++) {
        if (!possible(&ops[i]))
            continue;
        if (at < ops[i].weight)
            return &ops[i];
        at -= ops[i].weight;
    }
    return NULL;
}

const char *operation(void)
{
    const struct op *op = pick_op();
    struct node *n = op->on_file ? pick_file(run.in) : NULL;

    run.op++;
    run.started = now_coarse();
    counts[run.proc][op - ops]++;
    if (n)
        op->on_file(n);
    else if (op->on_names)
        op->on_names();
    else
        op_create();
    return op->name;
}

static struct space *pick_space(void)
{
    struct space *s = &run.space[pick(SPACES)];
    return s->live ? s : &run.space[0];
}

/* ---- a process ---- */

static void on_bus_error(int sig)
{
    (void)sig;
    fail(NULL, "SIGBUS: a mapped page could not be read");
}

/* Each space in one write, so that the processes' lines do not mix. */
static void write_manifests(const char *file)
{
    int fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);

    if (fd < 0)
        fail(NULL, "%s: %s", file, strerror(errno));
    for (unsigned i = 0; i < SPACES; i++)
        if (run.space[i].live) {
            char *text = manifest_of_model(&run.space[i], true);
            if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
                fail(NULL, "%s: %s", file, strerror(errno));
            free(text);
        }
    close(fd);
}

static void process(unsigned number, const char *main_space, const char *manifest)
{
    run.proc = number;
    run.started = now_coarse();
    run.rng = run.opt.seed * 1000003 + number;
    (void)chance(&run.rng);
    signal(SIGBUS, on_bus_error);
    space_init(&run.space[0], main_space);
    spaces_start();
    while (run.op < run.opt.ops) {
        if (run.op >= spaces_next())
            spaces_meet();
        run.in = pick_space();
        (void)operation();
    }
    spaces_end();
    if (manifest)
        write_manifests(manifest);
    for (unsigned i = 0; i < SPACES; i++)
        if (run.space[i].live) {
            run.in = &run.space[i];
            space_release(&run.space[i]);
        }
}

/* ---- all of them ---- */

static pid_t child[PROCS_MAX];

/* At the first that fails the others are ended: they wait for it at the barrier. */
static int wait_for_all(unsigned n)
{
    int status, rc = 0;
    pid_t pid;

    while ((pid = wait(&status)) > 0) {
        for (unsigned i = 0; i < n; i++)
            if (child[i] == pid)
                child[i] = 0;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
            continue;
        if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
            printf("a process was ended by signal %d; again: %s\n", WTERMSIG(status),
                   run.opt.replay);
        rc = 1;
        for (unsigned i = 0; i < n; i++)
            if (child[i] > 0)
                kill(child[i], SIGKILL);
    }
    return rc;
}

static void tell(double seconds)
{
    uint64_t all = 0;

    for (size_t i = 0; i < OPS; i++) {
        uint64_t sum = 0;
        for (unsigned p = 0; p < run.opt.procs; p++)
            sum += counts[p][i];
        all += sum;
        if (sum)
            printf("%s %llu, ", ops[i].name, (unsigned long long)sum);
    }
    printf("\nfsx: seed %llu: %llu operations in %.0f s, %.0f a second\n",
           (unsigned long long)run.opt.seed, (unsigned long long)all, seconds,
           (double)all / seconds);
}

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int run_all(const char *main_space, const char *manifest)
{
    double start = seconds_now();
    int rc;

    run.shared = shared_new(run.opt.procs);
    counts = mmap(NULL, sizeof *counts * PROCS_MAX, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!run.shared || counts == MAP_FAILED)
        return 2;
    fflush(stdout);
    for (unsigned i = 0; i < run.opt.procs; i++) {
        child[i] = fork();
        if (child[i] == 0) {
            process(i, main_space, manifest);
            exit(0);
        }
    }
    rc = wait_for_all(run.opt.procs);
    if (rc == 0)
        tell(seconds_now() - start);
    return rc;
}

/* ---- arguments ---- */

static const struct {
    const char *word;
    unsigned feature;
} words[] = {{"mmap", F_MMAP},           {"direct", F_DIRECT}, {"copy", F_COPY},
             {"fallocate", F_FALLOCATE}, {"names", F_NAMES},   {"fsync", F_FSYNC},
             {"branch", F_BRANCH},       {"race", F_RACE},     {"drop_caches", F_DROP_CACHES},
             {"times", F_TIMES}};

static bool leave_out(char *list)
{
    for (char *word = strsep(&list, ","); word; word = strsep(&list, ",")) {
        size_t i = 0, n = sizeof words / sizeof words[0];
        while (i < n && strcmp(words[i].word, word) != 0)
            i++;
        if (i == n)
            return false;
        run.opt.features &= ~words[i].feature;
    }
    return true;
}

static int usage(void)
{
    fputs("usage: fsx [--seed S] [--ops N] [--files K] [--procs P] [--size MAX] [--no WORD,…]\n"
          "           [--ext4] [--manifest FILE] DIR\n"
          "       fsx --verify FILE DIR\n",
          stderr);
    return 2;
}

static const struct option long_options[] = {{"seed", 1, NULL, 's'},   {"ops", 1, NULL, 'n'},
                                             {"files", 1, NULL, 'f'},  {"procs", 1, NULL, 'p'},
                                             {"size", 1, NULL, 'z'},   {"no", 1, NULL, 'x'},
                                             {"ext4", 0, NULL, 'e'},   {"manifest", 1, NULL, 'm'},
                                             {"verify", 1, NULL, 'v'}, {NULL, 0, NULL, 0}};

static bool parse(int argc, char **argv, const char **ret_manifest, const char **ret_verify)
{
    bool good = true;

    for (int c; good && (c = getopt_long(argc, argv, "", long_options, NULL)) >= 0;) {
        if (c == 's')
            run.opt.seed = strtoull(optarg, NULL, 0);
        else if (c == 'n')
            run.opt.ops = strtoull(optarg, NULL, 0);
        else if (c == 'f')
            run.opt.files = (unsigned)strtoul(optarg, NULL, 0);
        else if (c == 'p')
            run.opt.procs = (unsigned)strtoul(optarg, NULL, 0);
        else if (c == 'z')
            run.opt.size = strtoull(optarg, NULL, 0);
        else if (c == 'x')
            good = leave_out(optarg);
        else if (c == 'e')
            run.opt.ext4 = true;
        else if (c == 'm')
            *ret_manifest = optarg;
        else if (c == 'v')
            *ret_verify = optarg;
        else
            good = false;
    }
    return good && optind == argc - 1 && run.opt.procs >= 1 && run.opt.procs <= PROCS_MAX &&
           run.opt.files >= 1 && run.opt.files <= 64 && run.opt.size >= 2 * IO_MAX;
}

static void make_replay(int argc, char *const *argv)
{
    size_t at = 0;

    for (int i = 0; i < argc && at < sizeof run.opt.replay; i++)
        at += (size_t)snprintf(run.opt.replay + at, sizeof run.opt.replay - at, "%s%s",
                               i ? " " : "", argv[i]);
}

int main(int argc, char **argv)
{
    const char *manifest = NULL, *verify = NULL;
    char dir[PATH_MAX], base[PATH_MAX];

    run.opt = (struct options){
        .seed = 1, .ops = 100000, .files = 24, .procs = 1, .size = 1 << 20, .features = ~0u};
    make_replay(argc, argv);
    if (!parse(argc, argv, &manifest, &verify))
        return usage();
    if (!realpath(argv[optind], dir)) {
        perror(argv[optind]);
        return 2;
    }
    memcpy(base, dir, sizeof base);
    if (snprintf(run.opt.top, sizeof run.opt.top, "%s", dirname(dir)) >= (int)sizeof run.opt.top)
        return usage();
    if (posix_memalign((void **)&run.buf, BYTES_PAGE, IO_MAX + BYTES_PAGE) != 0 ||
        posix_memalign((void **)&run.buf2, BYTES_PAGE, IO_MAX + BYTES_PAGE) != 0)
        return 2;
    if (verify)
        return manifest_verify(verify, run.opt.top);
    umask(0);
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){8192, 8192});
    if (run.opt.ext4)
        run.opt.features &= ~(unsigned)F_BRANCH;
    if (!allocate_probe(base))
        run.opt.features &= ~(unsigned)F_FALLOCATE;
    return run_all(basename(base), manifest);
}
