// SPDX-License-Identifier: Apache-2.0
/*
 * damage: spoil a store that nobody has mounted, as only a fault of the program or of the machine
 * could, for the test of `tally check --repair`. PATH begins with a namespace.
 *
 *     damage STORE links PATH N     its link count is N
 *     damage STORE entries PATH N   the directory is said to have N entries
 *     damage STORE unname PATH      the entry goes, the inode stays
 *     damage STORE dangle PATH      an entry that leads to no inode
 *     damage STORE counts           every object's count is 5 more than it should be
 *     damage STORE forget PATH      the object of the file has no entry any more
 *     damage STORE sum              the sum of what is stored is 5 bytes more
 *     damage STORE spoil PATH       one byte of the object file is another
 *
 * Exit code 0, or 1 with a sentence.
 */
#include "bytes.h"
#include "store_impl.h"
#include "store_dir.h"
#include "stored_record.h"
#include "vfs_impl.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct store_dir store;
static struct state *state;

_Noreturn static void die(const char *what, int err)
{
    fprintf(stderr, "damage: %s: %s\n", what, strerror(-err));
    exit(1);
}

static void must(const char *what, int err)
{
    if (err < 0)
        die(what, err);
}

static void store_up(void)
{
    struct state_config config = {
        .disk = store.disk, .kv = store.kv, .clock = clock_real(), .threads = 1};

    must("opening the store", store_open(&config, &state));
}

/* ---- trees: through an opened store, so that the counts stay right ---- */

struct place {
    struct ns *ns;
    uint64_t dir, ino; /* ino 0: there is no such name yet */
    struct key key;
    const char *name;
};

static struct place find(const char *path)
{
    struct place p = {.ino = NS_ROOT_INO};
    char part[256];
    unsigned type;
    size_t n = strcspn(path, "/");

    snprintf(part, sizeof part, "%.*s", (int)n, path);
    must(part, ns_get_by_name(state, part, &p.ns));
    p.ns->tree.observer = NULL; /* the log is not told */
    p.ns->dirty = true;
    for (path += n; *path++ == '/' && *path; path += n) {
        n = strcspn(path, "/");
        snprintf(part, sizeof part, "%.*s", (int)n, path);
        p.dir = p.ino;
        p.name = path;
        int err = dirent_find(state, &p.ns->tree, p.dir, part, &p.key, &p.ino, &type);
        if (err == -ENOENT && !path[n])
            p.ino = 0;
        else
            must(part, err);
    }
    return p;
}

static void change_inode(const char *path, const char *field, const char *value)
{
    struct place p = find(path);
    struct inode in;

    must(path, inode_load(&p.ns->tree, p.ino, &in));
    if (!strcmp(field, "links"))
        in.nlink = (uint32_t)strtoul(value, NULL, 10);
    else
        in.size = strtoull(value, NULL, 10);
    must(path, inode_store(&p.ns->tree, p.ino, &in));
    ns_put(state, p.ns);
}

static void unname(const char *path)
{
    struct place p = find(path);

    must(path, tree_del(&p.ns->tree, p.key));
    ns_put(state, p.ns);
}

static void dangle(const char *path)
{
    struct place p = find(path);

    must(path, dirent_put(state, &p.ns->tree, p.key, KEY_INO_MAX, S_IFREG, p.name));
    ns_put(state, p.ns);
}

/* ---- tables: one transaction behind the store's back ---- */

static uint64_t object_of(const char *path)
{
    struct place p = find(path);
    struct inode in;

    must(path, inode_load(&p.ns->tree, p.ino, &in));
    ns_put(state, p.ns);
    return refs_resolve(state->refs, in.object);
}

static struct entry entry_of(uint64_t number)
{
    struct entry e;

    must("the object", refs_entry(state->refs, number, true, NULL, &e));
    return e;
}

static void add_to_counts(struct kv_txn *t)
{
    const void *key = NULL, *val;
    size_t klen = 0, len;
    struct kv_snap *s;

    must("reading", kv_snap_begin(store.kv, &s));
    while (kv_snap_seek(s, TABLE_OBJECTS, key, klen, klen > 0, &key, &klen, &val, &len) == 0) {
        uint8_t buf[ENTRY_MAX];
        struct entry e;
        must("an entry", entry_decode(val, len, &e));
        e.count += 5;
        must("an entry", kv_put(t, TABLE_OBJECTS, key, klen, buf, entry_encode(&e, buf)));
    }
    kv_snap_end(s);
}

static void spoil_file(const struct entry *e)
{
    char name[DISK_NAME_MAX + 1];
    struct disk_file *file;
    uint8_t byte;

    if (e->kind != ENTRY_FILE)
        die("its object has no file of its own", -EINVAL);
    blob_object_name(&e->id, e->where, name);
    must(name, disk_open(store.disk, name, DISK_WRITE, &file));
    must(name, (int)disk_pread(file, &byte, 1, e->size / 2));
    byte ^= 1;
    must(name, disk_pwrite(file, &byte, 1, e->size / 2));
    disk_file_close(file);
}

/* The sum is that of the last commit, as far as anybody can tell. */
static void add_to_sum(struct kv_txn *t)
{
    uint8_t record[STORE_RECORD_LEN];
    struct stored_record s;
    size_t len;

    must("reading", stored_record_load(store.kv, &s));
    must("reading", kv_get(store.kv, TABLE_META, "state", 5, record, sizeof record, &len));
    s.state = stored_record_tie(record);
    s.bytes += 5;
    must("writing", stored_record_put(&s, t));
}

static void change_tables(const char *what, uint64_t object)
{
    struct kv_txn *t;
    uint8_t key[8];

    must("writing", kv_txn_begin(store.kv, &t));
    put_be64(key, object);
    if (!strcmp(what, "counts"))
        add_to_counts(t);
    else if (!strcmp(what, "sum"))
        add_to_sum(t);
    else
        must("writing", kv_del(t, TABLE_OBJECTS, key, sizeof key));
    must("writing", kv_commit(t));
}

int main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[2] : "", *path = argc > 3 ? argv[3] : "main";
    uint64_t object = 0;
    char why[STORE_WHY];

    if (argc < 3 || store_dir_open(argv[1], 0, "damage", argv[1], &store, why) < 0) {
        fprintf(stderr, "damage: %s\n", argc < 3 ? "damage STORE WHAT [PATH [N]]" : why);
        return 1;
    }
    store_up();
    if (!strcmp(what, "links") || !strcmp(what, "entries"))
        change_inode(path, what, argc > 4 ? argv[4] : "0");
    else if (!strcmp(what, "unname"))
        unname(path);
    else if (!strcmp(what, "dangle"))
        dangle(path);
    else if (!strcmp(what, "forget") || !strcmp(what, "spoil"))
        object = object_of(path);
    if (!strcmp(what, "spoil")) {
        struct entry e = entry_of(object);
        spoil_file(&e);
    }
    must("closing", store_close(state));
    if (!strcmp(what, "counts") || !strcmp(what, "forget") || !strcmp(what, "sum"))
        change_tables(what, object);
    store_dir_close(&store);
    return 0;
}
