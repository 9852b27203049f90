// SPDX-License-Identifier: Apache-2.0
/*
 * mutate: spoil a store that nobody has mounted, in a way that a seed draws, for mutations.py.
 *
 *     mutate STORE MODE SEED        says what it did; exit code 0
 *
 *     flip    bytes of any file             page   what LMDB relies on in its own file
 *     value   values of tables, with right checksums
 *     frame   frames of the log, likewise   record records of packs, likewise
 *     cut     a file is shorter, longer, gone, or something else
 *     text    another text in a small file
 */
#include "fault.h"
#include "log_list.h"
#include "packs.h"
#include "store_impl.h"
#include "store_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES_MAX 4096
#define PAGE 4096
#define KEY_BYTES 64

static uint64_t rng;
static char *files[FILES_MAX];
static unsigned count;
static const char *top;

#define MUST(claim)                                                                                \
    do {                                                                                           \
        if (!(claim)) {                                                                            \
            fprintf(stderr, "mutate: %s: %s\n", #claim, strerror(errno));                          \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static uint64_t below(uint64_t n)
{
    return n ? (fault_random(&rng) >> 16) % n : 0;
}

/* ---- files ---- */

struct bytes {
    uint8_t *p;
    size_t len;
};

static struct bytes load(const char *path)
{
    struct bytes b = {0};
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    MUST(fd >= 0 && fstat(fd, &st) == 0);
    b.len = (size_t)st.st_size;
    b.p = malloc(b.len + 1);
    MUST(b.p && pread(fd, b.p, b.len, 0) == (ssize_t)b.len);
    close(fd);
    return b;
}

static void save(const char *path, const struct bytes *b)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

    MUST(fd >= 0 && pwrite(fd, b->p, b->len, 0) == (ssize_t)b->len);
    close(fd);
}

/* LMDB's file and the log more often than others; what is no more than zeros not at all. */
static int note_file(const char *path, const struct stat *st, int type, struct FTW *at)
{
    unsigned times = strstr(path, "/kv/data") ? 12 : strstr(path, "/log/") ? 12 : 1;
    const char *name = path + at->base;

    if (type != FTW_F || st->st_size == 0 || !strcmp(name, "lock") || !strcmp(name, "lock.mdb"))
        return 0;
    while (times-- && count < FILES_MAX)
        files[count++] = strdup(path);
    return 0;
}

static const char *any_file(void)
{
    if (!count)
        MUST(nftw(top, note_file, 16, FTW_PHYS) == 0 && count);
    return files[below(count)];
}

/* Where in it something is: most of a segment of the log is zeros. */
static size_t used_page(const struct bytes *b)
{
    size_t pages = (b->len + PAGE - 1) / PAGE;

    for (int tries = 0; tries < 1000; tries++) {
        size_t at = below(pages) * PAGE;
        for (size_t i = at; i < at + PAGE && i < b->len; i++)
            if (b->p[i])
                return at;
    }
    return 0;
}

static void flip(void)
{
    static const unsigned many[] = {1, 1, 3, 20};
    const char *path = any_file();
    struct bytes b = load(path);
    unsigned n = many[below(4)];

    for (unsigned i = 0; i < n; i++) {
        size_t at = used_page(&b) + below(PAGE);

        at = at < b.len ? at : b.len - 1;
        b.p[at] = (uint8_t)(below(2) ? b.p[at] ^ 1u << below(8) : below(256));
    }
    save(path, &b);
    printf("%u bytes of %s\n", n, path);
}

static uint64_t likely(void)
{
    static const uint64_t v[] = {0,          1,          15,         16,        255,
                                 4096,       8176,       65535,      131072,    0x7fffffff,
                                 0xffffffff, 1ull << 58, 1ull << 63, UINT64_MAX};

    return below(3) ? v[below(sizeof v / sizeof *v)] : below(300);
}

static void put(uint8_t *p, size_t len, uint64_t v)
{
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

static void page(void)
{
    char path[4200];
    struct bytes b;

    snprintf(path, sizeof path, "%s/kv/data.mdb", top);
    b = load(path);
    for (uint64_t n = 1 + below(3); n > 0; n--) {
        uint64_t number = used_page(&b) / PAGE, kind = below(6);
        uint8_t *p = b.p + number * PAGE;

        if (kind == 0)
            put(p + 10 + 2 * below(3), 2, likely());
        else if (kind == 1)
            put(p, 8, likely());
        else if (kind == 2)
            put(p + 16 + 2 * below(60), 2, likely());
        else if (kind == 3)
            put(p + 8 * below(512), 4, likely());
        else if (kind == 4)
            memcpy(p, b.p + used_page(&b), PAGE);
        else
            p[below(200)] = (uint8_t)below(256);
        printf("page %" PRIu64 " kind %" PRIu64 "; ", number, kind);
    }
    puts("");
    save(path, &b);
}

/* ---- values with right checksums ---- */

static void spoil(uint8_t *p, size_t len)
{
    for (uint64_t n = 1 + below(3); n > 0 && len; n--) {
        size_t width = (size_t)1 << below(4), at = below(len);

        width = width < len - at ? width : len - at;
        if (below(3))
            put(p + at, width, likely());
        else
            p[at] ^= (uint8_t)(1u << below(8));
    }
}

static uint64_t own_seed(unsigned table, const void *key, size_t klen)
{
    static const char *const meta[] = {"identity", "state", "scrub", "sweep",
                                       "flushes",  "log",   "stored"};
    const uint8_t *p = key;
    uint64_t number = 0;

    if (table == TABLE_GC)
        return id_checksum(key, klen, 0);
    for (size_t i = 0; i < sizeof meta / sizeof *meta && table == TABLE_META; i++)
        if (klen == strlen(meta[i]) && !memcmp(key, meta[i], klen))
            return i;
    for (size_t i = 0; i < klen && i < 8; i++)
        number = number << 8 | p[i];
    return number;
}

/* One row drawn from a table: `val` has room for a value. False: it is empty. */
static bool any_row(struct kv *kv, unsigned table, uint8_t *key, size_t *klen, uint8_t *val,
                    size_t *len)
{
    const void *k = NULL, *v;
    size_t kl = 0, l;
    uint64_t n = 0, take;
    struct kv_snap *s;

    MUST(kv_snap_begin(kv, &s) == 0 && kv_snap_count(s, table, &n) == 0);
    take = below(n);
    for (uint64_t i = 0; i <= take && n; i++) {
        int err = kv_snap_seek(s, table, k, kl, i > 0, &k, &kl, &v, &l);
        if (err < 0)
            n = 0;
        else if (i == take) {
            memcpy(key, k, *klen = kl);
            memcpy(val, v, *len = l);
        }
    }
    kv_snap_end(s);
    return n > 0;
}

static void change_row(struct kv *kv, unsigned table)
{
    static uint8_t val[KV_VALUE_MAX + 16];
    uint8_t key[KEY_BYTES];
    size_t klen = 0, len = 0, head = store_tables[table].checks_itself ? 8 : 0;
    struct kv_txn *t;
    uint64_t kind = below(10);

    if (!any_row(kv, table, key, &klen, val, &len) || len < head ||
        (table == TABLE_META && klen == 8))
        return;
    MUST(kv_txn_begin(kv, &t) == 0);
    if (kind == 0) {
        MUST(kv_del(t, table, key, klen) == 0);
    } else {
        if (kind == 1)
            len = head + below(len - head + 1);
        else if (kind == 2)
            len += below(16);
        spoil(val + head, below(2) && len - head > 200 ? 200 : len - head);
        if (head)
            put_le64(val, id_checksum(val + 8, len - 8, own_seed(table, key, klen)));
        MUST(kv_put(t, table, key, klen, val, len) == 0);
    }
    MUST(kv_commit(t) == 0);
    printf("%s: %zu bytes kind %" PRIu64 "; ", store_tables[table].name, len, kind);
}

static void value(void)
{
    static const unsigned often[] = {TABLE_PAGES, TABLE_PAGES, TABLE_OBJECTS, TABLE_NAMESPACES};
    char why[STORE_WHY] = "";
    struct store_dir s;

    MUST(store_dir_open(top, 0, "mutate", top, &s, why) == 0);
    for (uint64_t n = 1 + below(3); n > 0; n--)
        change_row(s.kv, below(2) ? often[below(4)] : (unsigned)below(TABLE_COUNT));
    store_dir_close(&s);
    puts("");
}

/* ---- frames and records with right checksums ---- */

struct segment_file {
    char path[4200];
    struct bytes b;
    struct segment_head head;
    size_t at[FILES_MAX];
    unsigned frames;
};

static bool load_segment(const char *path, struct segment_file *s)
{
    struct frame_head h;
    size_t at = SEGMENT_HEAD;

    snprintf(s->path, sizeof s->path, "%s", path);
    s->b = load(path);
    s->frames = 0;
    if (s->b.len < SEGMENT_HEAD || segment_head_decode(s->b.p, &s->head))
        return false;
    while (at < s->b.len && s->frames < FILES_MAX &&
           !frame_decode(s->b.p + at, s->b.len - at, segment_seed(&s->head), at, &h)) {
        s->at[s->frames++] = at;
        at += frame_size(h.len);
    }
    return s->frames > 0;
}

static void frame(void)
{
    static struct segment_file s;

    for (int tries = 0; tries < 1000; tries++) {
        const char *path = any_file();
        if (strstr(path, "/log/") && load_segment(path, &s))
            break;
        s.frames = 0;
    }
    if (!s.frames) {
        flip();
        return;
    }
    for (uint64_t n = 1 + below(2); n > 0; n--) {
        size_t at = s.at[below(s.frames)];
        struct frame_head h;

        MUST(frame_peek(s.b.p + at, &h) == 0);
        if (h.len && below(5))
            spoil(s.b.p + at + FRAME_HEAD, h.len < 60 || below(4) == 0 ? h.len : 60);
        else if (below(2))
            h.seq = likely();
        else
            h.ns = (uint32_t)likely();
        frame_seal(s.b.p + at, &h, segment_seed(&s.head), at);
        printf("%s: frame at %zu; ", s.path, at);
    }
    puts("");
    save(s.path, &s.b);
}

static void record(void)
{
    char path[4200] = "";
    struct bytes b = {0};
    size_t at = 0, found = 0;
    uint64_t records = 0;

    for (int tries = 0; tries < 1000 && !*path; tries++) {
        const char *p = any_file();
        if (strstr(p, "/packs/"))
            snprintf(path, sizeof path, "%s", p);
    }
    if (*path)
        b = load(path);
    for (at = 32; at + PACK_RECORD_HEAD <= b.len; at += 8)
        if (!memcmp(b.p + at, "TLRC", 4) && below(++records) == 0)
            found = at;
    if (!found) {
        flip();
        return;
    }
    uint8_t *p = b.p + found;
    uint32_t len = get_le32(p + 4);
    uint64_t kind = below(4), pack = strtoull(strrchr(path, '/') + 1, NULL, 16);
    uint64_t sum;
    if (kind == 0)
        put_le32(p + 4, len = (uint32_t)likely());
    else if (kind == 1)
        p[8 + below(16)] ^= 255;
    else if (kind == 2)
        p[PACK_RECORD_HEAD + below(len ? len : 1)] ^= 1;
    else if (len) { /* compressed */
        p[32] = (uint8_t)(1 + below(2));
        put_le32(p + 36, len);
        put_le32(p + 4, --len);
    }
    sum = id_checksum(p, 24, pack * UINT64_C(0x9e3779b97f4a7c15) + found);
    if (p[32])
        sum = id_checksum(p + 32, 8, sum);
    if (len <= b.len - found - PACK_RECORD_HEAD)
        put_le64(p + 24, id_checksum(p + PACK_RECORD_HEAD, len, sum));
    save(path, &b);
    printf("%s: record at %zu kind %" PRIu64 "\n", path, found, kind);
}

/* ---- names ---- */

static void cut(void)
{
    const char *path = any_file();
    uint64_t kind = below(7);
    struct stat st;

    MUST(lstat(path, &st) == 0);
    if (kind < 2)
        MUST(truncate(path, kind ? st.st_size + 1 + (off_t)below(100000)
                                 : (off_t)below((uint64_t)st.st_size)) == 0);
    else
        MUST(unlink(path) == 0);
    if (kind == 3)
        MUST(mkdir(path, 0700) == 0);
    else if (kind == 4)
        MUST(symlink("/etc/passwd", path) == 0);
    else if (kind == 5)
        MUST(mkfifo(path, 0600) == 0);
    else if (kind == 6)
        MUST(symlink(path, path) == 0);
    printf("%s: cut %" PRIu64 "\n", path, kind);
}

static void text(void)
{
    static const char *const names[] = {"tally-store", "lock", "kv/closed"};
    static const char *const texts[] = {"",
                                        "tallyfs store 99999999999999999999\n",
                                        "tallyfs store 3 in a pool\n",
                                        "tallyfs store -1\n",
                                        "pid=1 what=mount at=/\n",
                                        "commit 0\n"};
    char path[4200];
    const char *s = texts[below(6)];

    snprintf(path, sizeof path, "%s/%s", top, names[below(3)]);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    MUST(fd >= 0 && write(fd, s, strlen(s)) == (ssize_t)strlen(s));
    close(fd);
    printf("%s: \"%.20s\"\n", path, s);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } modes[] = {{"flip", flip},     {"page", page}, {"value", value}, {"frame", frame},
                 {"record", record}, {"cut", cut},   {"text", text}};

    MUST(argc == 4);
    top = argv[1];
    rng = strtoull(argv[3], NULL, 0) * UINT64_C(0x9e3779b97f4a7c15) | 1;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (!strcmp(argv[2], modes[i].name)) {
            modes[i].run();
            return 0;
        }
    return 1;
}
