// SPDX-License-Identifier: Apache-2.0
/*
 * race_stamps: who reads what others write, under ThreadSanitizer. Each block of each file carries
 * the stamp of who wrote it: owner, file, place, and a number that only grows. So a reader that
 * knows nothing of the writers sees a torn block, a foreign one, one at a wrong place and one from
 * the past.
 *
 *     race_stamps [SEED [OPS]]          OPS of each writer
 *
 * Writers: blocks, truncations, holes, replacement by rename, shared copies, branches and forced
 * drops. Readers, until those have ended: by name, through handles that they keep, in branches
 * (which stand still, also when they are dropped meanwhile), and listings. Beside them flush,
 * drain, compaction, GC, and the store's own threads. Each writer knows what its files must have:
 * compared while it runs, at the end, and after a restart, and the store must be sound.
 */
#include "check.h"
#include "control.h"
#include "disk_mem.h"
#include "durability.h"
#include "kv_mem.h"
#include "record.h"
#include "store.h"
#include "vfs.h"

#include <errno.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WRITERS 3
#define READERS 3
#define FILES 3        /* of each writer; the last one is a copy of another */
#define COPY (FILES - 1)
#define BLOCK 4096u
#define BLOCKS 48u     /* of a file: 192 KiB, buffers, slots and overlays among them */
#define RUN 8u         /* blocks read or written at once */
#define HELD 4         /* handles a reader keeps */

#define MUST(what)                                                                                 \
    do {                                                                                           \
        if (!(what))                                                                               \
            die(__LINE__, #what);                                                                  \
    } while (0)

/* A block is full of one of these, or of zeros. */
struct stamp {
    uint32_t owner, file, block, magic;
    uint64_t number, check;
};
#define STAMPS (BLOCK / sizeof(struct stamp))

struct writer {
    unsigned index;
    uint64_t random;
    unsigned long ops;
    uint64_t number;                        /* of the last stamp */
    struct stamp is[FILES][BLOCKS];         /* number 0: zeros */
    unsigned size[FILES];                   /* blocks */
    bool has_branch;
    struct stamp buf[BLOCKS + RUN][STAMPS];
};

/* What a reader has seen last, by place: the number may not go back. */
struct seen {
    uint64_t number[BLOCKS];
};

struct reader {
    uint64_t random, reads, blocks;
    struct seen seen[WRITERS][FILES];
    struct {
        struct vfs_file *file;
        unsigned owner, which;
        struct seen seen;
    } held[HELD];
    struct stamp buf[RUN][STAMPS], again[RUN][STAMPS];
};

static struct state *p;
static uint64_t main_node, seed = 1;
static const struct vfs_cred cred;
static const _Atomic bool never;
static _Atomic bool stop;
static struct writer writers[WRITERS];
static struct reader readers[READERS];

static _Noreturn void die(int line, const char *what)
{
    fprintf(stderr, "race_stamps: seed %llu, line %d: %s\n", (unsigned long long)seed, line, what);
    abort();
}

static unsigned below(uint64_t *random, unsigned n)
{
    return (unsigned)(fault_random(random) >> 20) % n;
}

static const char *file_name(unsigned owner, unsigned file, char out[16])
{
    snprintf(out, 16, "w%u-%u", owner, file);
    return out;
}

static void command(const char *text)
{
    struct control_session *s;
    ssize_t n;

    MUST(control_open(p, &s) == 0);
    n = control_write_at(s, text, strlen(text), -1, &never);
    MUST(n == (ssize_t)strlen(text));
    control_close(s);
}

static int find(uint64_t dir, const char *name, uint64_t *ret)
{
    struct vfs_attr a;
    int err = vfs_lookup(p, dir, name, &a);

    if (err == 0) {
        vfs_forget(p, a.nodeid, 1);
        *ret = a.nodeid;
    }
    return err;
}

static struct vfs_file *open_own(const struct writer *w, unsigned file, unsigned flags)
{
    struct vfs_file *f;
    uint64_t node;
    char name[16];

    MUST(find(main_node, file_name(w->index, file, name), &node) == 0);
    MUST(vfs_open(p, node, flags, &f) == 0);
    return f;
}

/* ---- stamps ---- */

static uint64_t check_of(const struct stamp *s)
{
    return (s->number ^ (uint64_t)s->owner << 48 ^ (uint64_t)s->file << 40 ^ s->block) *
           UINT64_C(0x9e3779b97f4a7c15);
}

static struct stamp next_stamp(struct writer *w, unsigned file, unsigned block)
{
    struct stamp s = {w->index, file, block, 0x5741u, ++w->number, 0};

    s.check = check_of(&s);
    return s;
}

static void fill(struct stamp block[STAMPS], const struct stamp *s)
{
    for (size_t i = 0; i < STAMPS; i++)
        block[i] = *s;
}

/* The stamp that all of the block is, of that owner and place; number 0: zeros. */
static const struct stamp *must_be_whole(const struct stamp block[STAMPS], unsigned owner,
                                         unsigned at)
{
    const struct stamp *s = block;

    MUST(memcmp(block, block + 1, BLOCK - sizeof *s) == 0);
    if (s->magic == 0) {
        static const struct stamp zero;
        MUST(memcmp(s, &zero, sizeof zero) == 0);
        return s;
    }
    MUST(s->magic == 0x5741u && s->check == check_of(s));
    MUST(s->owner == owner && s->block == at && s->file < FILES);
    return s;
}

/* ---- what a writer does ---- */

static void compare(struct writer *w, struct vfs_file *f, unsigned file)
{
    ssize_t n = vfs_read(f, w->buf, sizeof w->buf, 0);

    MUST(n == (ssize_t)(w->size[file] * BLOCK));
    for (unsigned i = 0; i < w->size[file]; i++) {
        (void)must_be_whole(w->buf[i], w->index, i);
        MUST(memcmp(w->buf[i], &w->is[file][i], sizeof(struct stamp)) == 0);
    }
}

static void compare_name(struct writer *w, uint64_t dir, unsigned file)
{
    struct vfs_file *f;
    uint64_t node;
    char name[16];

    MUST(find(dir, file_name(w->index, file, name), &node) == 0);
    MUST(vfs_open(p, node, 0, &f) == 0);
    compare(w, f, file);
    vfs_release(f);
}

static void write_blocks(struct writer *w, struct vfs_file *f, unsigned file, unsigned at,
                         unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        w->is[file][at + i] = next_stamp(w, file, at + i);
        fill(w->buf[i], &w->is[file][at + i]);
    }
    MUST(vfs_write(f, w->buf, count * BLOCK, at * BLOCK) == (ssize_t)(count * BLOCK));
    if (at + count > w->size[file])
        w->size[file] = at + count;
}

static void do_write(struct writer *w, unsigned file)
{
    struct vfs_file *f = open_own(w, file, VFS_WRITE);
    unsigned at = below(&w->random, BLOCKS - RUN);

    write_blocks(w, f, file, at, 1 + below(&w->random, RUN));
    if (below(&w->random, 3) == 0)
        compare(w, f, file);
    vfs_release(f);
}

static void zero_model(struct writer *w, unsigned file, unsigned from, unsigned end)
{
    if (end > from)
        memset(&w->is[file][from], 0, (end - from) * sizeof(struct stamp));
}

static void do_truncate(struct writer *w, unsigned file)
{
    unsigned size = below(&w->random, BLOCKS);
    struct vfs_attr in = {.size = size * BLOCK}, out;
    uint64_t node;
    char name[16];

    MUST(find(main_node, file_name(w->index, file, name), &node) == 0);
    MUST(vfs_setattr(p, node, VFS_SET_SIZE, &in, &out) == 0);
    zero_model(w, file, size, w->size[file]);
    w->size[file] = size;
}

static void do_punch(struct writer *w, unsigned file)
{
    struct vfs_file *f = open_own(w, file, VFS_WRITE);
    unsigned at = below(&w->random, BLOCKS), count = 1 + below(&w->random, BLOCKS);

    MUST(vfs_fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at * BLOCK, count * BLOCK) ==
         0);
    zero_model(w, file, at, at + count < w->size[file] ? at + count : w->size[file]);
    vfs_release(f);
}

/* As editors do: a new file takes the name. */
static void do_replace(struct writer *w, unsigned file)
{
    struct vfs_file *f;
    struct vfs_attr a;
    char name[16], new[16];

    snprintf(new, sizeof new, "n%u", w->index);
    MUST(vfs_create(p, main_node, new, 0644, &cred, VFS_WRITE | VFS_EXCL, &a, &f) == 0);
    vfs_forget(p, a.nodeid, 1);
    zero_model(w, file, 0, BLOCKS);
    w->size[file] = 0;
    write_blocks(w, f, file, 0, 1 + below(&w->random, BLOCKS));
    vfs_release(f);
    MUST(vfs_rename(p, main_node, new, main_node, file_name(w->index, file, name), 0, NULL) == 0);
}

/* The last file becomes the same bytes as another. */
static void do_share(struct writer *w)
{
    unsigned from = below(&w->random, COPY);
    struct vfs_file *in = open_own(w, from, 0), *out = open_own(w, COPY, VFS_WRITE | VFS_TRUNC);
    ssize_t n = vfs_share_range(in, 0, out, 0, BLOCKS * BLOCK);

    MUST(n == -EOPNOTSUPP || (n >= 0 && n % BLOCK == 0));
    zero_model(w, COPY, 0, BLOCKS);
    w->size[COPY] = n > 0 ? (unsigned)n / BLOCK : 0;
    memcpy(w->is[COPY], w->is[from], w->size[COPY] * sizeof(struct stamp));
    compare(w, out, COPY);
    vfs_release(in);
    vfs_release(out);
}

static void do_branch(struct writer *w)
{
    char text[40];
    uint64_t node;

    if (w->has_branch) {
        snprintf(text, sizeof text, "drop b%u force\n", w->index);
        command(text);
    } else {
        snprintf(text, sizeof text, "branch main b%u\n", w->index);
        command(text);
        snprintf(text, sizeof text, "b%u", w->index);
        MUST(find(VFS_ROOT, text, &node) == 0);
        do_write(w, 0);
        do_replace(w, 1);
        compare_name(w, node, COPY); /* the only one that is as it was then */
    }
    w->has_branch = !w->has_branch;
}

static void *write_all(void *arg)
{
    struct writer *w = arg;

    for (unsigned long i = 0; i < w->ops; i++) {
        unsigned what = below(&w->random, 20), file = below(&w->random, COPY);
        if (what < 10)
            do_write(w, file);
        else if (what < 12)
            do_truncate(w, file);
        else if (what < 14)
            do_punch(w, file);
        else if (what < 16)
            do_replace(w, file);
        else if (what < 17)
            do_share(w);
        else if (what < 18)
            do_branch(w);
        else
            compare_name(w, main_node, below(&w->random, FILES));
    }
    return NULL;
}

/* ---- what a reader does ---- */

/* Bytes of a file that `owner` is writing; `seen`: what was there before, or NULL. */
static void read_some(struct reader *r, struct vfs_file *f, unsigned owner, struct seen *seen)
{
    unsigned at = below(&r->random, BLOCKS - RUN);
    ssize_t n = vfs_read(f, r->buf, sizeof r->buf, at * BLOCK);

    MUST(n >= 0 && n % BLOCK == 0);
    for (unsigned i = 0; i < (size_t)n / BLOCK; i++) {
        const struct stamp *s = must_be_whole(r->buf[i], owner, at + i);
        if (!seen || s->number == 0)
            continue;
        MUST(s->number >= seen->number[at + i]);
        seen->number[at + i] = s->number;
    }
    r->reads++;
    r->blocks += (size_t)n / BLOCK;
}

/* NULL: it was replaced in between, or its namespace dropped. */
static struct vfs_file *open_any(uint64_t dir, unsigned owner, unsigned file)
{
    struct vfs_file *f;
    uint64_t node;
    char name[16];
    int err = find(dir, file_name(owner, file, name), &node);

    if (err == 0)
        err = vfs_open(p, node, 0, &f);
    MUST(err == 0 || err == -ESTALE || (err == -ENOENT && dir != main_node));
    return err == 0 ? f : NULL;
}

static void read_name(struct reader *r, unsigned owner, unsigned file)
{
    struct vfs_file *f = open_any(main_node, owner, file);

    if (!f)
        return;
    read_some(r, f, owner, file == COPY ? NULL : &r->seen[owner][file]);
    vfs_release(f);
}

static void read_held(struct reader *r, unsigned owner, unsigned file)
{
    unsigned n = below(&r->random, HELD);

    if (r->held[n].file && below(&r->random, 40) == 0) {
        vfs_release(r->held[n].file);
        r->held[n].file = NULL;
    }
    if (!r->held[n].file) {
        r->held[n].file = open_any(main_node, owner, file);
        r->held[n].owner = owner;
        r->held[n].which = file;
        memset(&r->held[n].seen, 0, sizeof r->held[n].seen);
    }
    if (r->held[n].file)
        read_some(r, r->held[n].file, r->held[n].owner,
                  r->held[n].which == COPY ? NULL : &r->held[n].seen);
}

/* Nobody writes in a branch: what is read twice is the same, also when it is dropped in between. */
static void read_branch(struct reader *r, unsigned of, unsigned owner, unsigned file)
{
    uint64_t node, at = below(&r->random, BLOCKS - RUN) * BLOCK;
    struct vfs_file *f;
    char name[16];
    ssize_t n;

    snprintf(name, sizeof name, "b%u", of);
    f = find(VFS_ROOT, name, &node) == 0 ? open_any(node, owner, file) : NULL;
    if (!f)
        return;
    n = vfs_read(f, r->again, sizeof r->again, at);
    MUST(n >= 0 && n % BLOCK == 0);
    read_held(r, owner, file);
    MUST(vfs_read(f, r->buf, sizeof r->buf, at) == n);
    MUST(memcmp(r->buf, r->again, (size_t)n) == 0);
    for (unsigned i = 0; i < (size_t)n / BLOCK; i++)
        (void)must_be_whole(r->buf[i], owner, (unsigned)(at / BLOCK) + i);
    vfs_release(f);
}

static bool count_file(const struct vfs_dirent *d, void *ctx)
{
    unsigned *count = ctx;

    *count += d->name[0] == 'w';
    return true;
}

/* Replaced or not, each name is there once. */
static void list(void)
{
    unsigned count = 0;

    MUST(vfs_readdir(p, main_node, 0, false, count_file, &count) == 0);
    MUST(count == WRITERS * FILES);
}

static void *read_all(void *arg)
{
    struct reader *r = arg;

    while (!atomic_load(&stop)) {
        unsigned owner = below(&r->random, WRITERS), file = below(&r->random, FILES);
        unsigned what = below(&r->random, 10);
        if (what < 4)
            read_name(r, owner, file);
        else if (what < 7)
            read_held(r, owner, file);
        else if (what < 9)
            read_branch(r, below(&r->random, WRITERS), owner, file);
        else
            list();
    }
    for (unsigned i = 0; i < HELD; i++)
        if (r->held[i].file)
            vfs_release(r->held[i].file);
    return NULL;
}

static void *keep_up(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop)) {
        MUST(flush_now(p) == 0);
        MUST(flush_sync(p) == 0);
        command("compact wait\n");
        command("gc grace=0s wait\n");
        MUST(flush_drain(p, false, -1, NULL) == 0);
    }
    return NULL;
}

/* ---- the whole ---- */

static void writer_init(struct writer *w, unsigned index, unsigned long ops)
{
    struct vfs_file *f;
    struct vfs_attr a;
    char name[16];

    w->index = index;
    w->ops = ops;
    w->random = seed * 1000 + index + 1;
    for (unsigned file = 0; file < FILES; file++) {
        MUST(vfs_create(p, main_node, file_name(index, file, name), 0644, &cred,
                        VFS_WRITE | VFS_EXCL, &a, &f) == 0);
        vfs_forget(p, a.nodeid, 1);
        vfs_release(f);
    }
}

static void compare_all(void)
{
    for (unsigned i = 0; i < WRITERS; i++)
        for (unsigned file = 0; file < FILES; file++)
            compare_name(&writers[i], main_node, file);
}

static void open_store(struct disk *d, struct kv *kv)
{
    struct state_config c = {
        .disk = d, .kv = kv, .clock = clock_real(), .background = true, .threads = 2};

    MUST(store_open(&c, &p) == 0);
    MUST(find(VFS_ROOT, "main", &main_node) == 0);
}

static void run(unsigned long ops)
{
    pthread_t writer[WRITERS], reader[READERS], upkeep;

    for (unsigned i = 0; i < WRITERS; i++)
        writer_init(&writers[i], i, ops);
    for (unsigned i = 0; i < WRITERS; i++)
        MUST(!pthread_create(&writer[i], NULL, write_all, &writers[i]));
    for (unsigned i = 0; i < READERS; i++) {
        readers[i].random = seed * 2000 + i + 1;
        MUST(!pthread_create(&reader[i], NULL, read_all, &readers[i]));
    }
    MUST(!pthread_create(&upkeep, NULL, keep_up, NULL));
    for (unsigned i = 0; i < WRITERS; i++)
        MUST(!pthread_join(writer[i], NULL));
    atomic_store(&stop, true);
    for (unsigned i = 0; i < READERS; i++)
        MUST(!pthread_join(reader[i], NULL));
    MUST(!pthread_join(upkeep, NULL));
    compare_all();
}

static void found(const char *what, const char *where, const char *sentence, void *ctx)
{
    ++*(unsigned *)ctx;
    fprintf(stderr, "check: %s: %s: %s\n", what, where, sentence);
}

int main(int argc, char **argv)
{
    struct fault fault = {0};
    struct check_result result;
    unsigned findings = 0;
    struct check_options check = {.found = found, .ctx = &findings};
    struct disk *d;
    struct kv_mem *mem;
    struct kv *kv;

    seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    MUST(disk_mem_create(&fault, 0, &d) == 0);
    MUST(kv_mem_create(&fault, &mem) == 0);
    MUST(kv_open_mem(mem, store_tables, store_table_count, KV_CREATE, &kv) == 0);
    MUST(store_format(d, kv, clock_real(), "org/race", 0, 0, NULL) == 0);
    open_store(d, kv);
    command("set seal_delay 0s\n");
    command("set buffers 1M\n");
    run(argc > 2 ? strtoul(argv[2], NULL, 10) : 300);
    MUST(store_close(p) == 0);
    open_store(d, kv);
    compare_all();
    MUST(store_close(p) == 0);
    MUST(store_check(d, kv, &check, &result) == 0);
    MUST(result.problems == 0 && findings == 0);
    for (unsigned i = 0; i < READERS; i++)
        printf("reader %u: %llu reads, %llu blocks\n", i, (unsigned long long)readers[i].reads,
               (unsigned long long)readers[i].blocks);
    kv_close(kv);
    kv_mem_destroy(mem);
    disk_close(d);
    return 0;
}
