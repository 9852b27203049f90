// SPDX-License-Identifier: Apache-2.0
/* Claims about the numbers of inodes: no two files get one, and what a branch knows of its
 * origin. */
#include "fixture.h"

#include "bytes.h"
#include "report.h"
#include "store_impl.h"

static struct fixture x;

static void up(void)
{
    fixture_setup(&x);
}
static void down(void)
{
    fixture_teardown(&x);
}

TestSuite(inode_numbers, .init = up, .fini = down);

static uint64_t ino_of(const char *path)
{
    return vfs_node_ino(node_of(&x, path));
}

/* A new file's number. */
static uint64_t make(const char *path)
{
    put_file(&x, path, "");
    return ino_of(path);
}

/* The daemon dies, and another one opens the store. */
static void die(void)
{
    store_abandon(x.p);
    kv_close(x.kv);
    fixture_open(&x);
}

static struct ns *get(const char *name)
{
    struct ns *ns;

    cr_assert_eq(ns_get_by_name(x.p, name, &ns), 0);
    ns_put(x.p, ns); /* the table has it */
    return ns;
}

static void branch(const char *from, const char *to)
{
    char command[64];

    snprintf(command, sizeof command, "branch %s %s\n", from, to);
    agreed(&x, command, "ok");
}

static void drop(const char *name)
{
    char command[64];

    snprintf(command, sizeof command, "drop %s\n", name);
    agreed(&x, command, "ok");
}

Test(inode_numbers, two_sides_of_a_branch_never_give_one_number_to_two_files)
{
    uint64_t shared = make("main/shared");

    branch("main", "dev");
    cr_assert_eq(ino_of("dev/shared"), shared);
    uint64_t a = make("main/new"), b = make("dev/new");
    cr_assert_neq(a, b);
    branch("dev", "third");
    cr_assert_eq(ino_of("third/new"), b);
    uint64_t c = make("dev/more"), d = make("third/more"), e = make("main/more");
    cr_assert(c != d && d != e && c != e);
    cr_assert(c != a && d != a && e != b);
}

Test(inode_numbers, the_first_files_of_a_namespace_stand_side_by_side)
{
    cr_assert_eq(make("main/a"), NS_ROOT_INO + 1);
    cr_assert_eq(make("main/b"), NS_ROOT_INO + 2);
    fixture_reopen(&x);
    cr_assert_eq(make("main/c"), NS_ROOT_INO + 3);
}

#define NAMES 6
#define GIVEN_MAX 40000
#define ROUNDS 3000

/* What every file ever made got. */
static uint64_t given[GIVEN_MAX];
static size_t givens;

static void note(uint64_t ino)
{
    for (size_t i = 0; i < givens; i++)
        cr_assert_neq(given[i], ino, "file %zu and file %zu both got %llu", i, givens,
                      (unsigned long long)ino);
    cr_assert_lt(givens, GIVEN_MAX);
    given[givens++] = ino;
}

static uint64_t draw(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static bool is_there(const char *name)
{
    struct ns *ns;
    bool there = ns_get_by_name(x.p, name, &ns) == 0;

    if (there)
        ns_put(x.p, ns);
    return there;
}

static void one_of(uint64_t *seed, char out[16])
{
    snprintf(out, 16, "n%u", (unsigned)(draw(seed) % NAMES));
}

/* Runs end, too: many files at once. */
static void make_some(const char *name, unsigned *serial, unsigned n)
{
    char path[64];

    while (n-- > 0) {
        snprintf(path, sizeof path, "%s/f%u", name, (*serial)++);
        note(make(path));
        if (n % 3 == 0)
            remove_file(&x, path);
    }
}

Test(inode_numbers, whatever_happens_no_number_is_given_twice, .timeout = 200)
{
    uint64_t seed = 7;
    unsigned serial = 0;
    char from[16], to[16];

    agreed(&x, "branch main n0\n", "ok");
    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned what = (unsigned)(draw(&seed) % 100);

        one_of(&seed, from);
        one_of(&seed, to);
        if (what < 70 && is_there(from))
            make_some(from, &serial, what == 0 ? 700 : 1 + what % 3);
        else if (what < 85 && is_there(from) && !is_there(to))
            branch(from, to);
        else if (what < 90 && is_there(from) && strcmp(from, "n0") != 0)
            drop(from);
        else if (what < 95)
            cr_assert_eq(flush_now(x.p), 0);
        else if (what < 97)
            fixture_reopen(&x);
        else
            die();
    }
    cr_assert_gt(givens, 3000);
}

static unsigned alarms;

static void hear(enum report_level level, const char *text, void *ctx)
{
    (void)ctx;
    if (level == REPORT_ALARM && strstr(text, "all numbers of inodes"))
        alarms++;
}

static int try_make(const char *dir, const char *name)
{
    struct vfs_attr attr;

    return vfs_mknod(x.p, node_of(&x, dir), name, S_IFREG | 0644, 0, &fixture_cred, &attr);
}

Test(inode_numbers, when_all_are_given_the_error_and_a_sentence_say_so)
{
    (void)make("main/a");
    branch("main", "dev");
    atomic_store(&x.p->next_ino, KEY_INO_MAX - 1);
    report_set_sink(hear, NULL);
    cr_assert_eq(try_make("dev", "one"), 0);
    cr_assert_eq(try_make("dev", "two"), 0);
    cr_assert_eq(ino_of("dev/two"), KEY_INO_MAX);
    cr_assert_eq(try_make("dev", "three"), -ENOSPC);
    cr_assert_eq(try_make("dev", "three"), -ENOSPC);
    cr_assert_eq(try_make("main", "b"), 0); /* it has a run */
    report_set_sink(NULL, NULL);
    cr_assert_eq(alarms, 1);
    fixture_reopen(&x);
    cr_assert_eq(try_make("dev", "three"), -ENOSPC);
    cr_assert_eq(try_make("main", "c"), 0);
}

/* ---- stores of before ---- */

/* The record "state" as version 5 had it. */
static void age_state(void)
{
    uint8_t buf[STORE_RECORD_LEN];
    struct kv_txn *t;
    size_t len;

    cr_assert_eq(kv_get(x.kv, TABLE_META, "state", 5, buf, sizeof buf, &len), 0);
    cr_assert_eq(len, STORE_RECORD_LEN);
    put_le64(buf, id_checksum(buf + 8, 88 - 8, 1));
    cr_assert_eq(kv_txn_begin(x.kv, &t), 0);
    cr_assert_eq(kv_put(t, TABLE_META, "state", 5, buf, 88), 0);
    cr_assert_eq(kv_commit(t), 0);
}

/* The record of a namespace as version 5 had it: it ends where its run begins. */
static void age_namespace(const char *name)
{
    uint8_t buf[NS_RECORD_MAX], key[8];
    uint32_t number = get(name)->number;
    struct kv_txn *t;
    size_t len;

    put_be64(key, number);
    cr_assert_eq(kv_get(x.kv, TABLE_NAMESPACES, key, 8, buf, sizeof buf, &len), 0);
    memmove(buf + 72, buf + 140, len - 140);
    len -= 68;
    buf[9] &= 15;
    buf[8] = 2;
    put_le64(buf, id_checksum(buf + 8, len - 8, number));
    cr_assert_eq(kv_txn_begin(x.kv, &t), 0);
    cr_assert_eq(kv_put(t, TABLE_NAMESPACES, key, 8, buf, len), 0);
    cr_assert_eq(kv_commit(t), 0);
}

Test(inode_numbers, those_of_an_old_store_go_on_above_all_that_it_gave)
{
    uint64_t a, b;

    (void)make("main/a");
    branch("main", "dev");
    (void)make("dev/b");
    cr_assert_eq(flush_now(x.p), 0);
    age_state();
    age_namespace("main");
    age_namespace("dev");
    die();
    cr_assert_eq(get("dev")->origin.ns, 0);
    cr_assert_eq(get("dev")->own_ino, 0);
    a = make("main/new");
    b = make("dev/new");
    cr_assert_gt(a, ino_of("dev/b"));
    cr_assert_gt(b, ino_of("dev/b"));
    cr_assert_neq(a, b);
    fixture_reopen(&x);
    cr_assert_neq(make("main/more"), make("dev/more"));
}

/* ---- what a branch knows of its origin ---- */

static void knows(const char *name, const struct ns_instant *origin, uint64_t own)
{
    const struct ns *ns = get(name);

    cr_assert_eq(ns->origin.ns, origin->ns);
    cr_assert_eq(ns->origin.generation, origin->generation);
    cr_assert_eq(ns->origin.seq, origin->seq);
    cr_assert_eq(ns->base.ns, origin->ns);
    cr_assert_eq(ns->base.generation, origin->generation);
    cr_assert_eq(ns->base.seq, origin->seq);
    cr_assert_eq(ns->own_ino, own);
}

Test(inode_numbers, a_branch_remembers_its_origin_over_everything)
{
    static const struct ns_instant none;
    uint64_t shared = make("main/shared"), theirs;
    struct ns_instant main;

    main =
        (struct ns_instant){get("main")->number, get("main")->generation, atomic_load(&x.p->seq)};
    branch("main", "dev");
    theirs = make("main/theirs");
    knows("main", &none, 0);
    knows("dev", &main, theirs);
    cr_assert_lt(shared, get("dev")->own_ino);
    cr_assert_geq(make("dev/mine"), get("dev")->own_ino);
    die(); /* the log has it */
    knows("dev", &main, theirs);
    agreed(&x, "set ns:dev.frozen yes\n", "ok");
    die();
    fixture_reopen(&x); /* a commit has it */
    knows("dev", &main, theirs);
    drop("main");
    fixture_reopen(&x);
    knows("dev", &main, theirs);
}

Test(inode_numbers, what_a_nameless_file_had_at_a_branch_is_not_the_origins_again)
{
    struct vfs_file *f;
    struct vfs_attr a;

    (void)make("main/shared");
    cr_assert_eq(flush_now(x.p), 0); /* the commit has main's run */
    cr_assert_eq(vfs_tmpfile(x.p, node_of(&x, "main"), 0600, &fixture_cred, VFS_WRITE, &a, &f), 0);
    branch("main", "dev");
    cr_assert_lt(vfs_node_ino(a.nodeid), get("dev")->own_ino);
    vfs_release(f);
    vfs_forget(x.p, a.nodeid, 1);
    die(); /* no frame has that number as one of main */
    cr_assert_geq(make("main/new"), get("dev")->own_ino);
}

/* A run is taken for a file before it is known whether the file can be made. */
Test(inode_numbers, a_name_that_is_taken_changes_nothing_though_a_run_was_needed)
{
    struct vfs_attr a;

    (void)make("main/there");
    struct ns *ns = get("main");
    ns->ino_end = ns->next_ino; /* the run is used up */
    uint64_t seq = state_seq(x.p);
    int err = vfs_mknod(x.p, node_of(&x, "main"), "there", S_IFREG | 0644, 0, &fixture_cred, &a);
    cr_assert_eq(err, -EEXIST);
    cr_assert_eq(state_seq(x.p), seq);
    uint64_t next = make("main/new");
    die();
    cr_assert_gt(make("main/after"), next);
}

static struct vfs_file *nameless(const char *ns, uint64_t *ret_node);

/* Files without a name are in no frame under their number; some program may have seen it. */
Test(inode_numbers, the_number_of_a_file_without_a_name_is_not_given_again_after_a_death)
{
    uint64_t seen, of_dev;
    struct vfs_file *f;

    (void)make("main/first");
    branch("main", "dev");
    fixture_reopen(&x); /* a commit has main's run, and dev has none */
    for (int i = 0; i < 3; i++) {
        f = nameless("main", &seen);
        vfs_release(f);
        f = nameless("dev", &of_dev);
        vfs_release(f);
        die();
        char path[32];
        snprintf(path, sizeof path, "main/after%d", i);
        cr_assert_gt(make(path), vfs_node_ino(seen));
        cr_assert_neq(ino_of(path), vfs_node_ino(of_dev));
        snprintf(path, sizeof path, "dev/after%d", i);
        cr_assert_gt(make(path), vfs_node_ino(of_dev));
        if (i == 1)
            fixture_reopen(&x); /* nor after what was replayed is committed */
    }
    f = nameless("main", &seen);
    vfs_release(f);
    die();
    fixture_reopen(&x); /* no change but the recovery */
    cr_assert_gt(make("main/last"), vfs_node_ino(seen));
}

/* A file without a name in that namespace, open. */
static struct vfs_file *nameless(const char *ns, uint64_t *ret_node)
{
    struct vfs_file *f;
    struct vfs_attr a;

    cr_assert_eq(vfs_tmpfile(x.p, node_of(&x, ns), 0600, &fixture_cred, VFS_WRITE, &a, &f), 0);
    vfs_forget(x.p, a.nodeid, 1);
    *ret_node = a.nodeid;
    return f;
}

static void name_it(const char *ns, uint64_t node)
{
    struct vfs_attr a;

    cr_assert_eq(vfs_link(x.p, node, node_of(&x, ns), "named", &a), 0);
    cr_assert_eq(a.nodeid, node);
    vfs_forget(x.p, a.nodeid, 1);
}

Test(inode_numbers, a_file_that_gets_its_name_after_a_branch_is_of_the_side_that_made_it)
{
    uint64_t of_main, of_dev, own;
    struct vfs_file *f = nameless("main", &of_main), *g;

    branch("main", "dev");
    own = get("dev")->own_ino;
    g = nameless("dev", &of_dev);
    cr_assert_lt(vfs_node_ino(of_main), own);
    cr_assert_geq(vfs_node_ino(of_dev), own);
    name_it("main", of_main);
    name_it("dev", of_dev);
    vfs_release(f);
    vfs_release(g);
    die();
    cr_assert_eq(node_of(&x, "main/named"), of_main);
    cr_assert_eq(node_of(&x, "dev/named"), of_dev);
    cr_assert_neq(make("main/more"), vfs_node_ino(of_dev));
    cr_assert_gt(make("dev/more"), vfs_node_ino(of_dev));
}
