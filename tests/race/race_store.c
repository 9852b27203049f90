// SPDX-License-Identifier: Apache-2.0
/*
 * race_store: threads that use one store in every way at once, with its flusher and dropper
 * running, under ThreadSanitizer. A plain program, because Criterion does not start there.
 *
 *     race_store [SEED [OPS]]          OPS of each thread
 *
 * Each worker has files of its own in main, with an array beside each that says what is in it;
 * everything that shares them (branches, links across, shared ranges, forced drops under an open
 * handle, files without a name) is compared at once, and a GC cycle finds nothing to mark in it,
 * nor a scrub any damage. All workers write one file together, a block at a time: a block is never
 * torn. At the end all is compared, flushed, compared after a restart, and the store checked: no
 * damage, and no leak either.
 */
#include "check.h"
#include "control.h"
#include "disk_mem.h"
#include "durability.h"
#include "kv_mem.h"
#include "record.h"
#include "store.h"
#include "view.h"
#include "vfs.h"

#include <errno.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORKERS 4
#define FILES 3                 /* of each worker */
#define SIZE_MAX_ (600u * 1024) /* bytes of a file: slots and overlays among them */
#define HOT_BLOCK 4096u
#define HOT_BLOCKS 64u

#define MUST(what)                                                                                 \
    do {                                                                                           \
        if (!(what))                                                                               \
            die(__LINE__, #what);                                                                  \
    } while (0)

struct file {
    char name[32];
    uint8_t *bytes;
    size_t size;
};

struct worker {
    unsigned number;
    uint64_t random;
    unsigned long ops;
    struct file file[FILES];
    char branch[16];
    bool has_branch;
    uint8_t *scratch;
};

static struct state *p;
static uint64_t main_node, hot_node;
static const struct vfs_cred cred;
static const _Atomic bool never;
static _Atomic bool stop;
static uint64_t seed = 1;

static _Noreturn void die(int line, const char *what)
{
    fprintf(stderr, "race_store: seed %llu, line %d: %s\n", (unsigned long long)seed, line, what);
    abort();
}

static unsigned below(struct worker *w, unsigned n)
{
    return (unsigned)(fault_random(&w->random) >> 20) % n;
}

/* ---- files ---- */

static uint64_t find(uint64_t dir, const char *name)
{
    struct vfs_attr a;

    MUST(vfs_lookup(p, dir, name, &a) == 0);
    vfs_forget(p, a.nodeid, 1);
    return a.nodeid;
}

static struct vfs_file *open_node(uint64_t node, unsigned flags)
{
    struct vfs_file *f;

    MUST(vfs_open(p, node, flags, &f) == 0);
    return f;
}

static void same(struct worker *w, struct vfs_file *f, const uint8_t *bytes, size_t size)
{
    ssize_t n = vfs_read(f, w->scratch, SIZE_MAX_ + 1, 0);

    MUST(n == (ssize_t)size);
    MUST(memcmp(w->scratch, bytes, size) == 0);
}

static void same_node(struct worker *w, uint64_t node, const struct file *file)
{
    struct vfs_file *f = open_node(node, 0);

    same(w, f, file->bytes, file->size);
    vfs_release(f);
}

static void make(struct file *file)
{
    struct vfs_file *f;
    struct vfs_attr a;

    MUST(vfs_create(p, main_node, file->name, 0644, &cred, VFS_WRITE | VFS_EXCL, &a, &f) == 0);
    vfs_forget(p, a.nodeid, 1);
    vfs_release(f);
    memset(file->bytes, 0, SIZE_MAX_);
    file->size = 0;
}

/* ---- what a worker does ---- */

/* Half of the time with few different bytes, so that equal contents meet. */
static void do_write(struct worker *w, struct file *file, unsigned most)
{
    struct vfs_file *f = open_node(find(main_node, file->name), VFS_WRITE);
    size_t off = below(w, 2) ? 0 : below(w, SIZE_MAX_ - most), len = 1 + below(w, most);
    bool dull = below(w, 2);

    for (size_t i = 0; i < len; i++)
        file->bytes[off + i] = dull ? 7 : (uint8_t)fault_random(&w->random);
    MUST(vfs_write(f, file->bytes + off, len, off) == (ssize_t)len);
    if (off + len > file->size)
        file->size = off + len;
    if (below(w, 3) == 0)
        same(w, f, file->bytes, file->size);
    vfs_release(f);
}

static void do_truncate(struct worker *w, struct file *file)
{
    struct vfs_attr in = {.size = below(w, 4) ? below(w, SIZE_MAX_) : 0}, out;

    MUST(vfs_setattr(p, find(main_node, file->name), VFS_SET_SIZE, &in, &out) == 0);
    if (in.size < file->size)
        memset(file->bytes + in.size, 0, file->size - (size_t)in.size);
    file->size = (size_t)in.size;
}

static void do_rename(struct worker *w, struct file *file)
{
    char name[32];

    snprintf(name, sizeof name, "w%u-%u", w->number, below(w, 1u << 30));
    MUST(vfs_rename(p, main_node, file->name, main_node, name, 0, NULL) == 0);
    strcpy(file->name, name);
}

/* The name goes while the file is open: removed, or taken by an empty file. */
static void do_unlink(struct worker *w, struct file *file)
{
    struct vfs_file *f = open_node(find(main_node, file->name), VFS_WRITE);
    struct file other = {.bytes = w->scratch};

    if (below(w, 2)) {
        snprintf(other.name, sizeof other.name, "w%u-new", w->number);
        make(&other);
        MUST(vfs_rename(p, main_node, other.name, main_node, file->name, 0, NULL) == 0);
    } else {
        MUST(vfs_unlink(p, main_node, file->name) == 0);
    }
    same(w, f, file->bytes, file->size);
    MUST(vfs_write(f, "orphan", 6, 0) == 6);
    memcpy(file->bytes, "orphan", 6);
    same(w, f, file->bytes, file->size > 6 ? file->size : 6);
    vfs_release(f);
    if (!other.name[0]) {
        make(file);
        return;
    }
    memset(file->bytes, 0, SIZE_MAX_);
    file->size = 0;
}

static void drop_branch(struct worker *w)
{
    char text[64];
    struct control_session *s;
    struct file *file = &w->file[below(w, FILES)];
    struct vfs_file *f = NULL;
    struct vfs_attr a;
    uint64_t node = find(VFS_ROOT, w->branch);

    if (below(w, 2) && vfs_lookup(p, node, "kept", &a) == 0) {
        f = open_node(a.nodeid, VFS_WRITE);
        MUST(vfs_write(f, "kept", 4, 0) == 4);
    }
    snprintf(text, sizeof text, "drop %s force now\n", w->branch);
    MUST(control_open(p, &s) == 0);
    MUST(control_write_at(s, text, strlen(text), -1, &never) == (ssize_t)strlen(text));
    control_close(s);
    w->has_branch = false;
    if (!f)
        return;
    MUST(vfs_read(f, w->scratch, 4, 0) == 4 && !memcmp(w->scratch, "kept", 4));
    MUST(vfs_link(p, a.nodeid, main_node, "none", &(struct vfs_attr){0}) < 0);
    vfs_release(f);
    vfs_forget(p, a.nodeid, 1);
    same_node(w, find(main_node, file->name), file);
}

/* Nobody else writes this worker's files: they stand in the branch as they are now. */
static void do_branch(struct worker *w)
{
    char text[64];
    struct control_session *s;
    struct file *file = &w->file[below(w, FILES)];
    struct vfs_file *f;
    struct vfs_attr a;
    uint64_t node;

    if (w->has_branch)
        drop_branch(w);
    snprintf(text, sizeof text, "branch main %s\n", w->branch);
    MUST(control_open(p, &s) == 0);
    MUST(control_write_at(s, text, strlen(text), -1, &never) == (ssize_t)strlen(text));
    control_close(s);
    w->has_branch = true;
    node = find(VFS_ROOT, w->branch);
    same_node(w, find(node, file->name), file);
    MUST(vfs_create(p, node, "kept", 0644, &cred, VFS_WRITE, &a, &f) == 0);
    vfs_forget(p, a.nodeid, 1);
    MUST(vfs_write(f, file->bytes, file->size, 0) == (ssize_t)file->size);
    vfs_release(f);
    /* A change there is none here. */
    f = open_node(find(node, file->name), VFS_WRITE);
    MUST(vfs_write(f, "there", 5, below(w, SIZE_MAX_)) == 5);
    vfs_release(f);
    same_node(w, find(main_node, file->name), file);
}

static void do_link_across(struct worker *w, struct file *file)
{
    uint64_t node = w->has_branch ? find(VFS_ROOT, w->branch) : 0;
    struct vfs_attr a;
    int err;

    if (!node)
        return;
    err = vfs_link(p, find(main_node, file->name), node, "across", &a);
    if (err == -EEXIST) {
        MUST(vfs_unlink(p, node, "across") == 0);
        return;
    }
    MUST(err == 0);
    vfs_forget(p, a.nodeid, 1);
    do_write(w, file, 3000);
    do_write(w, file, 3000);
    same_node(w, find(main_node, file->name), file);
}

static void do_share(struct worker *w, struct file *from, struct file *to)
{
    struct vfs_file *in, *out;
    struct vfs_attr zero = {0}, got;
    ssize_t n;

    if (from == to)
        return;
    in = open_node(find(main_node, from->name), 0);
    out = open_node(find(main_node, to->name), VFS_WRITE);
    MUST(vfs_setattr(p, find(main_node, to->name), VFS_SET_SIZE, &zero, &got) == 0);
    memset(to->bytes, 0, SIZE_MAX_);
    to->size = 0;
    n = vfs_share_range(in, 0, out, 0, below(w, 3) ? SIZE_MAX_ : 1 + below(w, SIZE_MAX_));
    MUST(n >= 0 || n == -EOPNOTSUPP);
    if (n > 0) {
        memcpy(to->bytes, from->bytes, (size_t)n);
        to->size = (size_t)n;
    }
    same(w, out, to->bytes, to->size);
    vfs_release(in);
    vfs_release(out);
}

static void do_hot(struct worker *w)
{
    struct vfs_file *f = open_node(hot_node, VFS_WRITE);
    uint64_t off = (uint64_t)below(w, HOT_BLOCKS) * HOT_BLOCK;

    memset(w->scratch, (int)below(w, 256), HOT_BLOCK);
    MUST(vfs_write(f, w->scratch, HOT_BLOCK, off) == HOT_BLOCK);
    off = (uint64_t)below(w, HOT_BLOCKS) * HOT_BLOCK;
    ssize_t n = vfs_read(f, w->scratch, HOT_BLOCK, off);
    for (ssize_t i = 1; i < n; i++)
        MUST(w->scratch[i] == w->scratch[0]);
    vfs_release(f);
}

/* Holes, as long as blocks and shorter; what is data is told. */
static void do_space(struct worker *w, struct file *file)
{
    struct vfs_file *f = open_node(find(main_node, file->name), VFS_WRITE);
    size_t off = below(w, SIZE_MAX_ / 2), len = 1 + below(w, SIZE_MAX_ / 2);
    bool zero = below(w, 2);
    int64_t at;

    MUST(vfs_fallocate(f, zero ? FALLOC_FL_ZERO_RANGE
                               : FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                       off, len) == 0);
    memset(file->bytes + off, 0, len);
    if (zero && off + len > file->size)
        file->size = off + len;
    at = vfs_seek(f, 0, true);
    MUST(at >= 0 || at == -ENXIO);
    for (size_t i = 0; i < (at < 0 ? file->size : (size_t)at); i++)
        MUST(file->bytes[i] == 0);
    same(w, f, file->bytes, file->size);
    vfs_release(f);
}

/* The file is replaced by one that had no name before. */
static void do_nameless(struct worker *w, struct file *file)
{
    struct vfs_attr a, b;
    struct vfs_file *f;

    MUST(vfs_tmpfile(p, main_node, 0600, &cred, VFS_WRITE, &a, &f) == 0);
    MUST(vfs_write(f, file->bytes, file->size, 0) == (ssize_t)file->size);
    MUST(vfs_unlink(p, main_node, file->name) == 0);
    MUST(vfs_link(p, a.nodeid, main_node, file->name, &b) == 0);
    MUST(a.nodeid == b.nodeid && b.nlink == 1);
    same(w, f, file->bytes, file->size);
    vfs_forget(p, a.nodeid, 2);
    vfs_release(f);
}

static bool count_entry(const struct vfs_dirent *d, void *ctx)
{
    const struct worker *w = ctx;
    char mine[16];

    /* Each of one's own is there, under one name. */
    snprintf(mine, sizeof mine, "w%u-", w->number);
    if (!strncmp(d->name, mine, strlen(mine)))
        ++*(unsigned *)w->scratch;
    return true;
}

static void do_list(struct worker *w)
{
    *(unsigned *)w->scratch = 0;
    MUST(vfs_readdir(p, main_node, 0, false, count_entry, w) == 0);
    MUST(*(unsigned *)w->scratch == FILES);
}

/* The same few bytes in all files: values that are equal, and equal to files, meet. */
static void do_attr(struct worker *w, struct file *file)
{
    uint64_t node = find(main_node, file->name);
    size_t len = below(w, 2) ? 60000 : below(w, 100);
    int byte = (int)below(w, 3);
    ssize_t n;

    memset(w->scratch, byte, len);
    MUST(vfs_setxattr(p, node, "user.w", w->scratch, len, 0) == 0);
    memset(w->scratch, 9, len);
    n = vfs_getxattr(p, node, "user.w", w->scratch, SIZE_MAX_);
    MUST(n == (ssize_t)len);
    for (size_t i = 0; i < len; i++)
        MUST(w->scratch[i] == byte);
    MUST(vfs_listxattr(p, node, NULL, 0, true) == 7);
    if (below(w, 3) == 0)
        MUST(vfs_removexattr(p, node, "user.w") == 0);
}

static void do_ask(struct worker *w, struct file *file)
{
    static const char *const verbs[] = {"pin", "unpin", "refs", "why"};
    struct control_session *s;
    char text[96], buf[64];

    (void)vfs_getxattr(p, find(main_node, file->name), "user.tally.object", buf, sizeof buf);
    snprintf(text, sizeof text, "%s main/%s\n", verbs[below(w, 4)], file->name);
    MUST(control_open(p, &s) == 0);
    (void)control_write_at(s, text, strlen(text), -1, &never);
    control_close(s);
}

static void step(struct worker *w)
{
    struct file *file = &w->file[below(w, FILES)], *other = &w->file[below(w, FILES)];

    switch (below(w, 22)) {
    case 0:
    case 1:
    case 2:
        do_write(w, file, 5000);
        break;
    case 3:
        do_write(w, file, SIZE_MAX_ / 2);
        break;
    case 4:
        do_truncate(w, file);
        break;
    case 5:
        do_rename(w, file);
        break;
    case 6:
        do_unlink(w, file);
        break;
    case 7:
        do_branch(w);
        break;
    case 8:
    case 9:
        do_link_across(w, file);
        break;
    case 10:
        do_share(w, file, other);
        break;
    case 11:
        MUST(flush_now(p) == 0);
        break;
    case 12:
        do_ask(w, file);
        break;
    case 13:
        do_attr(w, file);
        break;
    case 14:
        same_node(w, find(main_node, file->name), file);
        break;
    case 15:
    case 16:
        do_space(w, file);
        break;
    case 17:
        do_nameless(w, file);
        break;
    case 18:
        do_list(w);
        break;
    default:
        do_hot(w);
    }
}

static void *work(void *arg)
{
    struct worker *w = arg;

    for (unsigned long i = 0; i < w->ops; i++)
        step(w);
    if (w->has_branch)
        drop_branch(w);
    return NULL;
}

/* ---- who only looks ---- */

static int on_object(const struct view_object *o, void *ctx)
{
    (void)ctx;
    MUST(o->refs > 0);
    return 0;
}

static bool on_entry(const struct vfs_dirent *d, void *ctx)
{
    (void)ctx;
    MUST(d->name[0]);
    return true;
}

/* Each job; every drain but every third is cancelled. */
static int on_job(uint64_t job, void *ctx)
{
    struct strbuf b = STRBUF_INIT;
    struct control_session *s;
    char line[40];

    (void)ctx;
    if (view_job(p, job, &b) == 0 && strstr(b.s, "verb=drain\n") && job % 3) {
        snprintf(line, sizeof line, "cancel %llu\n", (unsigned long long)job);
        MUST(control_open(p, &s) == 0);
        (void)control_write_at(s, line, strlen(line), -1, &never); /* it may have ended */
        control_close(s);
    }
    strbuf_release(&b);
    return 0;
}

static void look(void)
{
    struct strbuf b = STRBUF_INIT;
    FILE *f = tmpfile();

    MUST(f && view_refcounts(p, f) == 0);
    fclose(f);
    MUST(view_render(p, VIEW_STATS_JSON, NULL, &b) == 0);
    strbuf_clear(&b);
    (void)view_namespace(p, vfs_node_ns(main_node), VIEW_NS_DURABLE, &b);
    strbuf_release(&b);
    MUST(view_jobs(p, 0, on_job, NULL) == 0);
    for (unsigned i = 0; i < 256; i += 16)
        MUST(view_objects(p, (uint8_t)i, NULL, on_object, NULL) == 0);
    MUST(vfs_readdir(p, VFS_ROOT, 0, false, on_entry, NULL) == 0);
    MUST(vfs_readdir(p, main_node, 0, false, on_entry, NULL) == 0);
}

static void *viewer(void *arg)
{
    struct control_session *s;

    (void)arg;
    MUST(control_open(p, &s) == 0);
    for (unsigned i = 0; !atomic_load(&stop); i++) {
        const char *text = i % 4   ? "status\n"
                           : i % 8 ? "drain\n"
                           : i % 3 ? "compact wait\n"
                                   : "rebuild wait\n";
        look();
        ssize_t n = control_write_at(s, text, strlen(text), -1, &never);
        MUST(n == (ssize_t)strlen(text) || (*text == 'd' && n == -ECANCELED));
        for (char buf[4096]; control_read_at(s, buf, sizeof buf, -1) > 0;)
            ;
    }
    control_close(s);
    return NULL;
}

static void show_history(const char *reply)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    (void)view_gc_history(p, &text);
    fprintf(stderr, "gc: %s%s", reply, text.s);
}

/* It must succeed, and say so. */
static void command(struct control_session *s, const char *text, const char *part)
{
    char reply[4096];
    ssize_t r = control_write_at(s, text, strlen(text), -1, &never);
    ssize_t n = control_read_at(s, reply, sizeof reply - 1, -1);

    MUST(n > 0);
    reply[n] = 0;
    if (r != (ssize_t)strlen(text))
        fprintf(stderr, "%s: %zd %s", text, r, reply);
    MUST(r == (ssize_t)strlen(text));
    if (!strstr(reply, part))
        show_history(reply);
    MUST(strstr(reply, part));
}

/* Nothing leaks here, so nothing may ever be marked, whatever is on its way; nor is anything
 * damaged, whatever is moved or deleted while it is read. */
static void *collector(void *arg)
{
    struct control_session *s;

    (void)arg;
    MUST(control_open(p, &s) == 0);
    while (!atomic_load(&stop)) {
        command(s, "gc grace=0s wait\n", " marked=0 collected=0 ");
        command(s, "scrub wait\n", " damaged=0 ");
        usleep(10000);
    }
    control_close(s);
    return NULL;
}

/* ---- the whole ---- */

static void worker_init(struct worker *w, unsigned number, unsigned long ops)
{
    *w = (struct worker){.number = number, .ops = ops};
    w->random = seed * 1000 + number + 1;
    w->scratch = malloc(SIZE_MAX_ + 1);
    MUST(w->scratch);
    snprintf(w->branch, sizeof w->branch, "b%u", number);
    for (unsigned i = 0; i < FILES; i++) {
        snprintf(w->file[i].name, sizeof w->file[i].name, "w%u-f%u", number, i);
        w->file[i].bytes = malloc(SIZE_MAX_);
        MUST(w->file[i].bytes);
        make(&w->file[i]);
    }
}

static void worker_compare(struct worker *w)
{
    for (unsigned i = 0; i < FILES; i++)
        same_node(w, find(main_node, w->file[i].name), &w->file[i]);
}

static void worker_release(struct worker *w)
{
    for (unsigned i = 0; i < FILES; i++)
        free(w->file[i].bytes);
    free(w->scratch);
}

static void found(const char *what, const char *where, const char *sentence, void *ctx)
{
    ++*(unsigned *)ctx;
    fprintf(stderr, "check: %s: %s: %s\n", what, where, sentence);
}

static void open_store(struct disk *d, struct kv *kv)
{
    struct state_config c = {
        .disk = d, .kv = kv, .clock = clock_real(), .background = true, .threads = 2};

    MUST(store_open(&c, &p) == 0);
    main_node = find(VFS_ROOT, "main");
}

int main(int argc, char **argv)
{
    struct disk *d;
    struct kv_mem *mem;
    struct kv *kv;
    struct fault fault = {0};
    struct worker w[WORKERS];
    struct check_result result;
    pthread_t thread[WORKERS + 2];
    unsigned findings = 0;
    struct check_options check = {.found = found, .ctx = &findings};
    struct file hot = {.name = "hot"};

    seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    MUST(disk_mem_create(&fault, 0, &d) == 0);
    MUST(kv_mem_create(&fault, &mem) == 0);
    MUST(kv_open_mem(mem, store_tables, store_table_count, KV_CREATE, &kv) == 0);
    MUST(store_format(d, kv, clock_real(), "org/race", 0, 0, NULL) == 0);
    open_store(d, kv);
    hot.bytes = malloc(SIZE_MAX_);
    MUST(hot.bytes);
    make(&hot);
    hot_node = find(main_node, "hot");
    for (unsigned i = 0; i < WORKERS; i++)
        worker_init(&w[i], i, argc > 2 ? strtoul(argv[2], NULL, 10) : 300);
    for (unsigned i = 0; i < WORKERS; i++)
        MUST(!pthread_create(&thread[i], NULL, work, &w[i]));
    MUST(!pthread_create(&thread[WORKERS], NULL, viewer, NULL));
    MUST(!pthread_create(&thread[WORKERS + 1], NULL, collector, NULL));
    for (unsigned i = 0; i < WORKERS; i++)
        MUST(!pthread_join(thread[i], NULL));
    atomic_store(&stop, true);
    MUST(!pthread_join(thread[WORKERS], NULL));
    MUST(!pthread_join(thread[WORKERS + 1], NULL));

    for (unsigned i = 0; i < WORKERS; i++)
        worker_compare(&w[i]);
    MUST(store_close(p) == 0);
    open_store(d, kv);
    for (unsigned i = 0; i < WORKERS; i++)
        worker_compare(&w[i]);
    MUST(store_close(p) == 0);
    MUST(store_check(d, kv, &check, &result) == 0);
    MUST(result.problems == 0 && findings == 0);
    printf("%llu objects, %llu pages\n", (unsigned long long)result.objects,
           (unsigned long long)result.pages);
    for (unsigned i = 0; i < WORKERS; i++)
        worker_release(&w[i]);
    free(hot.bytes);
    kv_close(kv);
    kv_mem_destroy(mem);
    disk_close(d);
    return 0;
}
