// SPDX-License-Identifier: Apache-2.0
/*
 * Bits are flipped at random in what a settled store has on the disk: pages, what the other tables
 * say, packs, objects with their sums, a slot, the log. Every read gives the right bytes or an
 * error, a name that is there is never said not to be, and a scrub names what is damaged, unless
 * nobody needs it.
 *
 * The same seed does the same. Others, and more of them: FLIP_SEED=7 FLIPS=20000 test-flips.
 */
#include "check_fixture.h"

#include "damage.h"
#include "fault.h"
#include "report.h"
#include "scrub.h"

#define SMALL 90       /* different contents, each of two files */
#define RECORD_HEAD 40 /* bytes of a record before its payload */
#define NAMES_MAX 512

static struct fixture x;
static uint64_t rng;
static char said[65536]; /* alarms */

static uint64_t chance(uint64_t below)
{
    return fault_random(&rng) % below;
}

static uint64_t option(const char *name, uint64_t otherwise)
{
    const char *v = getenv(name);

    return v ? strtoull(v, NULL, 10) : otherwise;
}

static void on_report(enum report_level level, const char *text, void *ctx)
{
    size_t n = strlen(said);

    (void)ctx;
    if (level == REPORT_ALARM)
        snprintf(said + n, sizeof said - n, "%s\n", text);
}

/* ---- contents ---- */

struct wanted {
    char path[64];
    unsigned value;
    size_t len;
};
static struct wanted wanted[4 * SMALL];
static size_t wanted_count;
static uint8_t buf[512 * 1024], got[512 * 1024 + 1];
static struct vfs_file *slot;

static void fill(unsigned value, size_t len)
{
    for (size_t i = 0; i < len; i++)
        buf[i] = (uint8_t)(value * 37 + i * 31 + i / 4096);
}

static struct vfs_file *make(const char *path, unsigned value, size_t len)
{
    const char *name;
    struct vfs_file *f;
    struct vfs_attr a;
    uint64_t dir = parent_of(&x, path, &name);

    fill(value, len);
    cr_assert_eq(vfs_create(x.p, dir, name, 0644, &fixture_cred, VFS_WRITE | VFS_TRUNC, &a, &f), 0);
    cr_assert_eq(vfs_write(f, buf, len, 0), (ssize_t)len);
    vfs_forget(x.p, a.nodeid, 1);
    return f;
}

static void want(const char *ns, const char *name, unsigned value, size_t len)
{
    struct wanted *v = &wanted[wanted_count++];

    snprintf(v->path, sizeof v->path, "%s/%s", ns, name);
    v->value = value;
    v->len = len;
}

static void want_both(const char *name, unsigned value, size_t len)
{
    want("main", name, value, len);
    want("other", name, value, len);
}

/* Records alive and dead, equal ones, objects with a file, a slot, and a branch that shares
 * most. */
static void populate_all(void)
{
    char path[32];

    wanted_count = 0;
    for (unsigned i = 0; i < 2 * SMALL; i++) {
        size_t len = 50 + i / 2 * 31;
        snprintf(path, sizeof path, "main/f%u", i);
        vfs_release(make(path, i / 2, len));
        if (i % 4)
            want_both(path + 5, i / 2, len);
    }
    vfs_release(make("main/big", 200, 150000));
    vfs_release(make("main/bigger", 201, 300000));
    want_both("big", 200, 150000);
    want_both("bigger", 201, 300000);
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    branch(&x, "main", "other");
    for (unsigned i = 0; i < 2 * SMALL; i += 4) {
        snprintf(path, sizeof path, "main/f%u", i);
        remove_file(&x, path);
        snprintf(path, sizeof path, "other/f%u", i);
        remove_file(&x, path);
    }
    vfs_release(make("other/own", 202, 3000));
    want("other", "own", 202, 3000);
    slot = make("main/slot", 203, 200000);
    want("main", "slot", 203, 200000);
    branch(&x, "other", "third"); /* with pages in common */
    agreed(&x, "pin main/f1", "ok");
    agreed(&x, "set seal_delay 2s", "ok");
    cr_assert_eq(flush_drain(x.p, false, -1, NULL), 0);
}

/* What damage may answer. */
static bool is_refusal(int64_t err)
{
    return err == -EIO || err == -EUCLEAN;
}

/* Its node, or 0: that cannot be said. */
static uint64_t find(const char *path)
{
    uint64_t node = VFS_ROOT;
    char part[32];

    while (*path) {
        size_t n = strcspn(path, "/");
        struct vfs_attr a;
        snprintf(part, sizeof part, "%.*s", (int)n, path);
        int err = vfs_lookup(x.p, node, part, &a);
        if (is_refusal(err))
            return 0;
        cr_assert_eq(err, 0, "lookup of %s: %d", path, err);
        vfs_forget(x.p, a.nodeid, 1);
        node = a.nodeid;
        path += n + (path[n] == '/');
    }
    return node;
}

/* Was it read? */
static bool is_right(const struct wanted *v)
{
    uint64_t node = find(v->path);
    struct vfs_file *f;
    ssize_t n;
    int err;

    if (!node)
        return false;
    err = vfs_open(x.p, node, 0, &f);
    if (err < 0) {
        cr_assert(is_refusal(err), "open of %s: %d", v->path, err);
        return false;
    }
    n = vfs_read(f, got, sizeof got, 0);
    vfs_release(f);
    if (n < 0) {
        cr_assert(is_refusal(n), "read of %s: %zd", v->path, n);
        return false;
    }
    fill(v->value, v->len);
    cr_assert_eq((size_t)n, v->len, "%s has %zd bytes, not %zu", v->path, n, v->len);
    cr_assert_eq(memcmp(got, buf, v->len), 0, "%s has wrong bytes", v->path);
    return true;
}

static size_t read_everything(void)
{
    size_t right = 0;

    for (size_t i = 0; i < wanted_count; i++)
        right += is_right(&wanted[i]);
    return right;
}

/* ---- where ---- */

struct place {
    char file[DISK_NAME_MAX + 1]; /* empty: an entry of a table */
    unsigned table;
    uint8_t key[KV_KEY_MAX];
    size_t klen;
    uint64_t byte;
    unsigned bit;
    char name[64];  /* what a scrub says of it */
    bool is_needed; /* else it may be in the dead part of a pack */
};

struct names {
    char v[NAMES_MAX][DISK_NAME_MAX + 1];
    size_t count;
    const char *dir;
};

static int add_name(const char *name, void *ctx)
{
    struct names *n = ctx;

    cr_assert_lt(n->count, NAMES_MAX);
    snprintf(n->v[n->count++], sizeof n->v[0], "%.20s/%.100s", n->dir, name);
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void pick_file(const char *dir, struct place *l)
{
    static struct names n;
    char sub[32];

    n.count = 0;
    n.dir = dir;
    if (strcmp(dir, "objects") != 0)
        cr_assert_eq(disk_list(x.disk, dir, add_name, &n), 0);
    for (unsigned i = 0; i < 256 && n.dir == dir && !strcmp(dir, "objects"); i++) {
        snprintf(sub, sizeof sub, "objects/%02x", i);
        n.dir = sub;
        cr_assert_eq(disk_list(x.disk, sub, add_name, &n), 0);
        n.dir = dir;
    }
    cr_assert_gt(n.count, 0, "nothing in %s", dir);
    qsort(n.v, n.count, sizeof n.v[0], by_name); /* the listing has no order */
    snprintf(l->file, sizeof l->file, "%s", n.v[chance(n.count)]);
}

static uint64_t size_of(const char *file)
{
    struct disk_file *f;
    struct disk_stat st;

    cr_assert_eq(disk_open(x.disk, file, DISK_READ, &f), 0);
    cr_assert_eq(disk_fstat(f, &st), 0);
    disk_file_close(f);
    return st.size;
}

/* Any entry; *ret_len: bytes of its value as they are stored. */
static void pick_entry(struct place *l, uint64_t *ret_len)
{
    const void *key = NULL, *val;
    size_t klen = 0, len = 0;
    uint64_t count, at;
    struct kv_snap *s;

    cr_assert_eq(kv_snap_begin(x.kv, &s), 0);
    cr_assert_eq(kv_snap_count(s, l->table, &count), 0);
    cr_assert_gt(count, 0, "nothing in the table %s", store_tables[l->table].name);
    at = chance(count);
    for (uint64_t i = 0; i <= at; i++)
        cr_assert_eq(kv_snap_seek(s, l->table, key, klen, klen > 0, &key, &klen, &val, &len), 0);
    memcpy(l->key, key, klen);
    l->klen = klen;
    l->is_needed = true;
    *ret_len = len + (store_tables[l->table].checks_itself ? 0 : 8);
    kv_snap_end(s);
}

static void pick_page(struct place *l)
{
    uint64_t len;

    l->table = TABLE_PAGES;
    pick_entry(l, &len);
    l->byte = chance(len);
    snprintf(l->name, sizeof l->name, "page %llu", (unsigned long long)get_be64(l->key));
}

/* What a scrub remembers is none of it: without that it begins anew. */
static struct place pick_value(unsigned table)
{
    struct place l = {.bit = (unsigned)chance(8), .table = table};
    const char *name = store_tables[table].name;
    uint64_t len;

    pick_entry(&l, &len);
    l.byte = chance(len);
    if (table == TABLE_META || table == TABLE_SETTINGS)
        snprintf(l.name, sizeof l.name, "entry %.*s of the table %s", (int)l.klen, l.key, name);
    else if (table == TABLE_IDS)
        snprintf(l.name, sizeof l.name, "entry %02x%02x", l.key[0], l.key[1]);
    else if (table == TABLE_OBJECTS)
        snprintf(l.name, sizeof l.name, "entry of object number %llu is damaged",
                 (unsigned long long)get_be64(l.key));
    else
        snprintf(l.name, sizeof l.name, "entry %llu of the table %s",
                 (unsigned long long)get_be64(l.key), name);
    return l;
}

/* Whose record is it in? */
static void find_record(struct place *l)
{
    const void *key = NULL, *val;
    size_t klen = 0, len;
    struct kv_snap *s;
    char pack[DISK_NAME_MAX + 1], hex[ID_HEX + 1];
    struct entry e;

    cr_assert_eq(kv_snap_begin(x.kv, &s), 0);
    while (!l->is_needed &&
           kv_snap_seek(s, TABLE_OBJECTS, key, klen, klen > 0, &key, &klen, &val, &len) == 0) {
        cr_assert_eq(entry_decode(val, len, &e), 0);
        if (e.kind != ENTRY_PACK)
            continue;
        pack_name(e.where, pack);
        l->is_needed = !strcmp(pack, l->file) && l->byte >= e.offset &&
                       l->byte < e.offset + RECORD_HEAD + e.size;
        id_to_hex(&e.id, hex);
        snprintf(l->name, sizeof l->name, "object %s", hex);
    }
    kv_snap_end(s);
}

static struct place pick_place(void)
{
    struct place l = {.bit = (unsigned)chance(8)};
    uint64_t kind = chance(8);

    if (kind < 3) {
        pick_page(&l);
        return l;
    }
    pick_file(kind < 6 ? "packs" : kind < 7 ? "objects" : "slots", &l);
    l.byte = chance(size_of(l.file));
    if (kind < 6) {
        find_record(&l);
        return l;
    }
    /* Those of a slot are made anew when they do not verify: a crash may have torn them. */
    l.is_needed = kind < 7 || !strstr(l.file, ".sums");
    if (kind < 7)
        snprintf(l.name, sizeof l.name, "object %.2s", l.file + strlen("objects/"));
    else
        snprintf(l.name, sizeof l.name, "unsealed content ");
    return l;
}

static void flip_at(const struct place *l)
{
    if (*l->file)
        cr_assert_eq(disk_mem_flip(x.disk, l->file, l->byte, l->bit), 0);
    else
        cr_assert_eq(kv_mem_flip(x.mem, l->table, l->key, l->klen, l->byte, l->bit), 0);
}

/* ---- claims ---- */

static void build(void)
{
    fixture_setup(&x);
    populate_all();
    cr_assert_eq(read_everything(), wanted_count);
}

static void is_named(const struct place *l)
{
    char reply[4096];
    ssize_t r = say(&x, "scrub wait", reply);
    const char *damaged = strstr(reply, " damaged=");

    cr_assert_gt(r, 0, "%s", reply);
    cr_assert(damaged, "%s", reply);
    if (l->is_needed)
        cr_assert(strtoul(damaged + 9, NULL, 10) > 0 && strstr(said, l->name),
                  "%s byte %llu bit %u is not found, '%s' not in: %s%s",
                  *l->file ? l->file : store_tables[l->table].name, (unsigned long long)l->byte,
                  l->bit, l->name, reply, said);
    else
        cr_assert_eq(strtoul(damaged + 9, NULL, 10), 0, "%s%s", reply, said);
}

static int start(void)
{
    cr_assert_eq(kv_open_mem(x.mem, store_tables, store_table_count, 0, &x.kv), 0);
    struct state_config config = {
        .disk = x.disk, .kv = x.kv, .clock = &x.clock.base, .threads = 1, .log_segment = 1 << 20};
    return store_open(&config, &x.p);
}

static void die(void)
{
    vfs_release(slot);
    slot = NULL;
    down(&x);
}

/* As it runs, with what it has in memory; and after it died and was started anew, which damage may
 * prevent. */
static void flip_once(struct place l, bool restarted)
{
    said[0] = 0;
    if (restarted)
        die();
    flip_at(&l);
    if (restarted) {
        int err = start();
        if (err < 0) {
            cr_assert(is_refusal(err) && l.is_needed, "%d", err);
            return;
        }
    }
    size_t right = read_everything();
    cr_assert(l.is_needed || right == wanted_count, "%zu of %zu", right, wanted_count);
    is_named(&l);
    (void)read_everything();
}

static void release(void)
{
    if (slot)
        vfs_release(slot);
    slot = NULL;
    if (x.p)
        store_abandon(x.p);
    if (x.kv)
        kv_close(x.kv);
    kv_mem_destroy(x.mem);
    disk_close(x.disk);
    x = (struct fixture){0};
}

Test(flips, one_is_found_by_a_scrub_and_never_read_as_data)
{
    uint64_t rounds = option("FLIPS", 30);

    rng = option("FLIP_SEED", 1);
    report_set_sink(on_report, NULL);
    for (uint64_t i = 0; i < rounds; i++) {
        build();
        flip_once(pick_place(), i % 2);
        release();
    }
    report_set_sink(NULL, NULL);
}

Test(flips, one_in_what_a_table_says_is_found_by_a_scrub_and_never_believed)
{
    static const unsigned tables[] = {TABLE_OBJECTS, TABLE_IDS,        TABLE_PAGE_COUNTS,
                                      TABLE_OBJECTS, TABLE_META,       TABLE_NAMESPACES,
                                      TABLE_PACKS,   TABLE_PINS,       TABLE_OBJECTS,
                                      TABLE_IDS,     TABLE_PAGE_COUNTS, TABLE_SETTINGS};
    uint64_t count = sizeof tables / sizeof *tables, rounds = option("FLIPS", count);

    rng = option("FLIP_SEED", 1);
    report_set_sink(on_report, NULL);
    for (uint64_t i = 0; i < rounds; i++) {
        build();
        flip_once(pick_value(tables[i % count]), (i + i / count) % 2);
        release();
    }
    report_set_sink(NULL, NULL);
}

/* ---- the log ---- */

#define CHANGES 24

static size_t lens[CHANGES]; /* bytes of each */

/* How many of them two syncs vouch for. */
static unsigned make_changes(void)
{
    unsigned sure = 0, synced = 0;
    char path[32];

    for (unsigned i = 0; i < CHANGES; i++) {
        snprintf(path, sizeof path, "main/new%u", i);
        lens[i] = 20 + chance(3000);
        vfs_release(make(path, 300 + i, lens[i]));
        if (chance(4))
            continue;
        cr_assert_eq(flush_sync(x.p), 0);
        sure = synced; /* a later sync vouches for it */
        synced = i + 1;
    }
    return sure;
}

/* Bytes of a segment up to where it was written. */
static uint64_t written(const char *file)
{
    uint64_t size = size_of(file);
    uint8_t *all = malloc(size);
    struct disk_file *f;

    cr_assert_eq(disk_open(x.disk, file, DISK_READ, &f), 0);
    cr_assert_eq(disk_pread(f, all, size, 0), (ssize_t)size);
    disk_file_close(f);
    while (size > 1 && !all[size - 1])
        size--;
    free(all);
    return size;
}

/* Mostly of the segment that was written last, behind `from`. */
static struct place pick_log(const char *last, uint64_t from)
{
    struct place l = {.bit = (unsigned)chance(8)};

    pick_file("log", &l);
    if (chance(8))
        snprintf(l.file, sizeof l.file, "%s", last);
    if (strcmp(l.file, last) != 0 || written(last) <= from)
        from = 0;
    l.byte = from + chance(written(l.file) - from);
    return l;
}

static void last_segment(char name[DISK_NAME_MAX + 1])
{
    static struct names n;

    n.count = 0;
    n.dir = "log";
    cr_assert_eq(disk_list(x.disk, n.dir, add_name, &n), 0);
    qsort(n.v, n.count, sizeof n.v[0], by_name);
    snprintf(name, DISK_NAME_MAX + 1, "%s", n.v[n.count - 1]);
}

/* The first so many of the changes were made, and none behind them; one may be half done. */
static unsigned count_changes(void)
{
    unsigned n = 0;
    char path[32];

    for (bool more = true; n < CHANGES; n += more) {
        struct wanted v = {.value = 300 + n, .len = lens[n]};
        struct vfs_attr a;
        snprintf(v.path, sizeof v.path, "main/new%u", n);
        if (vfs_lookup(x.p, node_of(&x, "main"), v.path + 5, &a) == 0) {
            vfs_forget(x.p, a.nodeid, 1);
            more = a.size == lens[n];
            cr_assert(more || a.size == 0, "%s has %llu bytes", v.path, (unsigned long long)a.size);
            cr_assert(!more || is_right(&v));
        } else {
            more = false;
        }
        if (!more)
            break;
    }
    for (unsigned i = n + 1; i < CHANGES; i++) {
        snprintf(path, sizeof path, "main/new%u", i);
        cr_assert_eq(node_of(&x, path), 0, "%s is there, new%u is not", path, n);
    }
    return n;
}

/* All but one write that no sync covered: where nothing is lost the page cache counts as alive. */
static void power_goes(void)
{
    x.fault.loss = FAULT_LOSE_ONE;
    x.fault.seed = 1 + chance(1000);
    disk_mem_power_cycle(x.disk);
    fault_reset(&x.fault);
}

/* The power went, or the daemon alone died. */
static bool flip_log_once(bool power, bool *ret_refused)
{
    static struct findings f;
    char last[DISK_NAME_MAX + 1], then[DISK_NAME_MAX + 1];
    unsigned sure, n;
    uint64_t from;
    struct place l;
    int err;

    last_segment(then);
    from = written(then);
    sure = make_changes();
    last_segment(last);
    die();
    if (power)
        power_goes();
    l = pick_log(last, strcmp(last, then) ? 0 : from);
    flip_at(&l);
    err = start();
    *ret_refused = err < 0;
    if (err < 0) {
        cr_assert(is_refusal(err), "%d", err);
        kv_close(x.kv);
        x.kv = NULL;
        examine(&x, &f);
        cr_assert_gt(f.r.problems, 0, "%s byte %llu: check finds nothing", l.file,
                     (unsigned long long)l.byte);
        return false;
    }
    n = count_changes();
    cr_assert_geq(n, sure, "%u changes are there, %u were certain: %s byte %llu", n, sure, l.file,
                  (unsigned long long)l.byte);
    cr_assert_eq(read_everything(), wanted_count);
    return n < CHANGES;
}

Test(flips, one_in_the_log_is_refused_or_cuts_off_what_nobody_was_told_of)
{
    uint64_t rounds = option("FLIPS", 30), refused_ones = 0, cut_ones = 0;
    bool refused_one;

    rng = option("FLIP_SEED", 1);
    report_set_sink(on_report, NULL);
    for (uint64_t i = 0; i < rounds; i++) {
        build();
        cut_ones += flip_log_once(i % 2, &refused_one);
        refused_ones += refused_one;
        release();
    }
    report_set_sink(NULL, NULL);
    cr_assert(rounds < 30 || (refused_ones > 0 && cut_ones > 0), "%llu refused, %llu cut",
              (unsigned long long)refused_ones, (unsigned long long)cut_ones);
}
