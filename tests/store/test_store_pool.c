// SPDX-License-Identifier: Apache-2.0
/* test_store_pool: stores that share a pool, and who may be which of its nodes. */
#include "io.h"
#include "dir_disk.h"
#include "pool_dir.h"
#include "store.h"
#include "store_dir.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char top[64], why[STORE_WHY];

static const char *at(const char *name)
{
    static char paths[4][512];
    static unsigned next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof paths[0], "%s/%s", top, name);
    return path;
}

__attribute__((format(printf, 1, 2))) static void run(const char *fmt, ...)
{
    char command[1024], line[1200];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(command, sizeof command, fmt, args);
    va_end(args);
    snprintf(line, sizeof line, "cd '%s' && %s", top, command);
    cr_assert_eq(system(line), 0, "%s", line);
}

static int init(const char *name, const char *pool)
{
    char url[512];

    snprintf(url, sizeof url, "dir:%s/%s", top, pool);
    why[0] = '\0';
    return store_init(at(name), "org/project", url, NULL, 0, why);
}

static int open_store(const char *name, unsigned flags, struct store_dir *s)
{
    why[0] = '\0';
    return store_dir_open(at(name), flags, "mount", "/mnt", s, why);
}

/* Open and close; 0 or the error. */
static int try(const char *name, unsigned flags)
{
    struct store_dir s;
    int err = open_store(name, flags, &s);

    if (err == 0)
        store_dir_close(&s);
    return err;
}

static void says(const char *part)
{
    cr_assert(strstr(why, part), "'%s' is not in '%s'", part, why);
}

static void setup(void)
{
    strcpy(top, "/tmp/tally-pool-XXXXXX");
    cr_assert_not_null(mkdtemp(top));
    cr_assert_eq(init("one", "pool"), 0, "%s", why);
}
static void teardown(void)
{
    run("rm -rf '%s'", top);
}

TestSuite(store_pool, .init = setup, .fini = teardown);

/* What everything in the pool and in that store looks like. */
static void note(const char *name)
{
    run("find pool %s -type f ! -name 'lock*' -exec md5sum {} + | sort > %s", "one", name);
}

static void is_unchanged(const char *name)
{
    note("now");
    run("cmp now %s", name);
}

static unsigned node_of(const char *name, uint32_t *ret_incarnation)
{
    struct store_dir s;
    unsigned node;

    cr_assert_eq(open_store(name, 0, &s), 0, "%s", why);
    cr_assert_not_null(store_get_pool(&s));
    node = store_get_pool(&s)->node;
    *ret_incarnation = store_get_pool(&s)->incarnation;
    store_dir_close(&s);
    return node;
}

/* ---- joining ---- */

Test(store_pool, each_store_is_a_node_of_its_own_with_the_same_secret)
{
    struct store_dir one, two;

    cr_assert_eq(init("two", "pool"), 0, "%s", why);
    cr_assert_eq(open_store("one", 0, &one), 0, "%s", why);
    cr_assert_eq(open_store("two", 0, &two), 0, "%s", why);
    cr_assert_eq(store_get_pool(&one)->node, 1);
    cr_assert_eq(store_get_pool(&two)->node, 2);
    cr_assert(id_key_equal(&store_get_pool(&one)->key, &store_get_pool(&two)->key));
    store_dir_close(&one);
    store_dir_close(&two);
}

Test(store_pool, a_store_alone_has_none)
{
    struct store_dir s;

    cr_assert_eq(store_init(at("alone"), "org/project", NULL, NULL, 0, why), 0, "%s", why);
    cr_assert_eq(open_store("alone", 0, &s), 0, "%s", why);
    cr_assert_null(store_get_pool(&s));
    store_dir_close(&s);
}

Test(store_pool, what_is_no_pool_and_not_empty_is_refused_and_no_store_is_made)
{
    run("mkdir full && touch full/something");
    cr_assert_eq(init("two", "full"), -ENOTEMPTY);
    says("full");
    cr_assert_eq(access(at("two"), F_OK), -1);
    run("test \"$(ls full)\" = something");
    cr_assert_eq(store_init(at("two"), "org/project", "somewhere", NULL, 0, why), -EINVAL);
    says("dir:PATH");
    cr_assert_eq(access(at("two"), F_OK), -1);
}

Test(store_pool, a_pool_inside_of_the_store_is_refused_and_nothing_is_left)
{
    static const char *const inside[] = {"two/pool", "two/other"};

    for (unsigned i = 0; i < 2; i++) {
        cr_assert_eq(init("two", inside[i]), -EINVAL);
        says("inside of the store");
        cr_assert_eq(access(at("two"), F_OK), -1);
    }
    cr_assert_eq(init("two", "twofold"), 0, "%s", why);
}

Test(store_pool, a_store_inside_of_its_pool_is_refused_and_nothing_is_left)
{
    run("mkdir shelf");
    cr_assert_eq(init("pool/two", "pool"), -EINVAL);
    says("would be inside of the pool");
    cr_assert_eq(init("pool/objects/two", "pool"), -EINVAL);
    cr_assert_eq(init("shelf/two", "shelf"), -EINVAL);
    cr_assert_eq(access(at("pool/two"), F_OK), -1);
    cr_assert_eq(access(at("pool/objects/two"), F_OK), -1);
    run("test -z \"$(ls -A shelf)\"");
    cr_assert_eq(init("same", "same"), -EINVAL);
    says("itself");
    cr_assert_eq(access(at("same"), F_OK), -1);
    cr_assert_eq(init("pooled", "pool"), 0, "%s", why);
}

Test(store_pool, one_whose_key_is_not_that_of_the_pool_is_refused)
{
    struct store_dir s;
    struct state *p;
    struct pool_member other;
    struct state_config c = {.clock = clock_real(), .threads = 1};

    cr_assert_eq(open_store("one", 0, &s), 0, "%s", why);
    other = *store_get_pool(&s);
    other.key.secret[3] ^= 1;
    c.disk = s.disk;
    c.kv = s.kv;
    c.pool = &other;
    cr_assert_eq(store_open(&c, &p), -EXDEV);
    c.pool = store_get_pool(&s);
    cr_assert_eq(store_open(&c, &p), 0);
    cr_assert_eq(store_close(p), 0);
    store_dir_close(&s);
}

Test(store_pool, a_store_in_a_pool_cannot_compress)
{
    struct store_dir s;

    cr_assert_eq(open_store("one", 0, &s), 0, "%s", why);
    cr_assert(!store_get_compression(&s).on && !store_get_compression(&s).raise);
    s.compressed = true; /* as a text with the feature makes it */
    cr_assert(!store_get_compression(&s).on);
    store_dir_close(&s);
}

/* ---- lives ---- */

Test(store_pool, each_opening_is_a_new_incarnation_and_one_that_only_reads_is_none)
{
    uint32_t first, next;

    cr_assert_eq(node_of("one", &first), 1);
    note("before");
    cr_assert_eq(try("one", STORE_READONLY), 0, "%s", why);
    is_unchanged("before");
    cr_assert_eq(node_of("one", &next), 1);
    cr_assert_eq(next, first + 1);
}

Test(store_pool, claims_of_incarnations_that_are_over_are_removed)
{
    for (int i = 0; i < 5; i++)
        cr_assert_eq(try("one", 0), 0, "%s", why);
    run("test $(ls pool/nodes/0001 | grep -c '^life[.]') = 1");
}

/* What STORE/pool of the store `name` says, and its replacement. */
static struct pool_home home_of(const char *name)
{
    CLEANUP_CLOSE int dir = open(at(name), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct pool_home home;
    char *text;
    size_t len;

    cr_assert_eq(io_read_file(dir, "pool", POOL_TEXT_MAX, &text, &len), 0);
    cr_assert_eq(pool_home_decode(text, len, &home), 0);
    free(text);
    return home;
}

static void set_home(const char *name, const struct pool_home *home)
{
    CLEANUP_CLOSE int dir = open(at(name), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char text[POOL_TEXT_MAX];
    size_t len = pool_home_encode(home, text);

    cr_assert_eq(io_write_file(dir, "pool", text, len, 0600), 0);
}

/* The durable writes of an opening, in their order. */
enum {
    NOTHING,
    STORE_HAS_BOTH,
    INCARNATION_IS_CLAIMED,
    POOL_HAS_IT,
    STORE_HAS_ONE,
    OPENING_WRITES
};

/* Open it, and undo all that comes after the write `upto`. */
static void open_up_to(int upto, uint32_t *ret_incarnation)
{
    struct pool_home was = home_of("one"), begun;
    struct pool_home is;

    run("rm -rf nodes.was && cp -a pool/nodes nodes.was");
    cr_assert_eq(try("one", 0), 0, "%s", why);
    is = begun = home_of("one");
    memcpy(begun.before, was.token, sizeof begun.before);
    cr_assert_neq(memcmp(is.token, begun.before, sizeof is.token), 0);
    if (upto < POOL_HAS_IT)
        run("cp nodes.was/0001/node pool/nodes/0001/node");
    if (upto < INCARNATION_IS_CLAIMED)
        run("rm pool/nodes/0001/life.*");
    if (upto < STORE_HAS_ONE)
        set_home("one", upto == NOTHING ? &was : &begun);
    *ret_incarnation = is.incarnation;
}

Test(store_pool, an_opening_that_was_cut_at_any_write_is_followed_by_one_more_life)
{
    uint32_t cut, next;

    for (int upto = NOTHING; upto < OPENING_WRITES; upto++) {
        open_up_to(upto, &cut);
        cr_assert_eq(try("one", STORE_READONLY), 0, "%d: %s", upto, why);
        cr_assert_eq(node_of("one", &next), 1);
        cr_assert_eq(next, upto == NOTHING ? cut : cut + 1, "%d", upto);
    }
}

/* A claim in its way ends it behind the first write. */
Test(store_pool, until_the_pool_has_the_new_token_that_before_is_good)
{
    struct pool_home home = home_of("one");
    char claim[64];

    snprintf(claim, sizeof claim, "pool/nodes/0001/life.%05x", home.incarnation + 1);
    run("touch %s", claim);
    cr_assert_eq(try("one", 0), -ESTALE);
    run("rm %s", claim);
    cr_assert_arr_eq(home_of("one").before, home.token, sizeof home.token);
    cr_assert_eq(try("one", 0), 0, "%s", why);
    home = home_of("one");
    cr_assert_arr_eq(home.before, home.token, sizeof home.token);
}

Test(store_pool, a_life_that_another_one_began_is_not_begun_again)
{
    uint32_t incarnation;
    char claim[64];

    (void)node_of("one", &incarnation);
    snprintf(claim, sizeof claim, "pool/nodes/0001/life.%05x", incarnation + 1);
    run("cp pool/nodes/0001/node before && touch %s", claim);
    cr_assert_eq(try("one", 0), -ESTALE);
    run("cmp before pool/nodes/0001/node");
}

Test(store_pool, a_store_has_only_so_many_lives)
{
    struct pool_home home = home_of("one");

    home.incarnation = POOL_INCARNATION_MAX;
    set_home("one", &home);
    note("before");
    cr_assert_eq(try("one", 0), -EOVERFLOW);
    says("make a new one");
    is_unchanged("before");
}

/* ---- copies ---- */

Test(store_pool, of_a_store_and_its_copy_only_the_one_that_was_opened_first_goes_on)
{
    run("cp -a one copy");
    cr_assert_eq(try("one", 0), 0, "%s", why);
    note("before");
    cr_assert_eq(try("copy", 0), -ESTALE);
    says("is a copy, or was restored from a backup");
    cr_assert_eq(try("copy", STORE_READONLY), -ESTALE);
    is_unchanged("before");
    cr_assert_eq(try("one", 0), 0, "%s", why);
}

Test(store_pool, a_copy_of_a_store_in_use_is_told_so)
{
    struct store_dir s;

    cr_assert_eq(open_store("one", 0, &s), 0, "%s", why);
    run("cp -a one copy");
    note("before");
    cr_assert_eq(try("copy", 0), -EBUSY);
    says("copy");
    is_unchanged("before");
    store_dir_close(&s);
    cr_assert_eq(try("one", 0), 0, "%s", why);
    cr_assert_eq(try("copy", 0), -ESTALE);
}

Test(store_pool, a_retired_node_is_refused)
{
    struct disk *pool;

    cr_assert_eq(dir_disk_open(at("pool"), 0, &pool), 0);
    cr_assert_eq(pool_node_retire(pool, 1), 0);
    disk_close(pool);
    note("before");
    cr_assert_eq(try("one", 0), -ESTALE);
    says("was retired as node 1");
    is_unchanged("before");
}

/* ---- the wrong pool ---- */

Test(store_pool, a_pool_that_is_one_opening_older_is_refused_and_the_right_one_is_still_good)
{
    cr_assert_eq(try("one", 0), 0, "%s", why);
    run("cp -a pool backup");
    cr_assert_eq(try("one", 0), 0, "%s", why);
    run("mv pool right && cp -a backup pool");
    note("before");
    cr_assert_eq(try("one", 0), -ESTALE);
    says("is older than the store");
    says("nothing was changed");
    cr_assert(!strstr(why, "copy"), "%s", why);
    cr_assert_eq(try("one", STORE_READONLY), -ESTALE);
    is_unchanged("before");
    run("rm -rf pool && mv right pool");
    cr_assert_eq(try("one", 0), 0, "%s", why);
}

Test(store_pool, of_an_opening_that_was_cut_both_are_named)
{
    uint32_t incarnation;

    run("cp -a pool backup");
    cr_assert_eq(try("one", 0), 0, "%s", why);
    open_up_to(STORE_HAS_BOTH, &incarnation);
    run("rm -rf pool && mv backup pool");
    cr_assert_eq(try("one", 0), -ESTALE);
    says("is older than the store");
    says("or another copy of the store was opened since");
}

Test(store_pool, a_missing_pool_is_named_and_nothing_is_made_in_its_place)
{
    run("mv pool away");
    cr_assert_eq(try("one", 0), -ENOENT);
    says("is missing");
    says("symlink");
    says(at("pool"));
    cr_assert_eq(access(at("pool"), F_OK), -1);
    run("mkdir pool"); /* where its disk is mounted */
    cr_assert_eq(try("one", 0), -ENOENT);
    says("it is no pool");
    run("test -z \"$(ls -A pool)\" && rmdir pool && mv away pool");
    cr_assert_eq(try("one", 0), 0, "%s", why);
}

Test(store_pool, another_pool_in_its_place_is_named_and_left_alone)
{
    cr_assert_eq(init("two", "other"), 0, "%s", why);
    run("mv pool away && mv other pool");
    note("before");
    cr_assert_eq(try("one", 0), -ESTALE);
    says("is another one than that of the store");
    is_unchanged("before");
}

Test(store_pool, what_says_which_pool_it_is_is_checked)
{
    run("printf x >> one/pool");
    cr_assert_eq(try("one", 0), -EUCLEAN);
    says("one/pool is damaged");
    run("rm one/pool");
    cr_assert_eq(try("one", 0), -ENOENT);
    says("one/pool");
}

Test(store_pool, a_damaged_identity_of_the_pool_is_named)
{
    run("printf x >> pool/tally-pool");
    cr_assert_eq(try("one", 0), -EUCLEAN);
    says("its file tally-pool is damaged");
}

/* The pool is as a version made it that has a feature of this kind, which nobody here knows. */
static void set_feature(enum feature_kind kind)
{
    struct pool_identity identity;
    char text[POOL_TEXT_MAX];
    size_t len;
    char *was;

    cr_assert_eq(io_read_file(AT_FDCWD, at("pool/tally-pool"), POOL_TEXT_MAX, &was, &len), 0);
    cr_assert_eq(pool_identity_decode(was, len, &identity), 0);
    free(was);
    identity.features = (struct features){0};
    identity.features.mask[kind] = 1ull << 63;
    len = pool_identity_encode(&identity, text);
    FILE *f = fopen(at("pool/tally-pool"), "w");

    cr_assert_not_null(f);
    cr_assert_eq(fwrite(text, 1, len, f), len);
    cr_assert_eq(fclose(f), 0);
}

Test(store_pool, members_use_a_pool_whose_features_they_know)
{
    set_feature(FEATURE_COMPATIBLE);
    cr_assert_eq(try("one", 0), 0, "%s", why);
    set_feature(FEATURE_READ_ONLY);
    note("before");
    cr_assert_eq(try("one", 0), -EPROTO);
    says(
        "was made by a newer version of tally: it uses read_only 63, which this one does not know");
    cr_assert_eq(init("two", "pool"), -EPROTO);
    is_unchanged("before");
    cr_assert_eq(try("one", STORE_READONLY), 0, "%s", why);
    set_feature(FEATURE_INCOMPATIBLE);
    cr_assert_eq(try("one", STORE_READONLY), -EPROTO);
    says("incompatible 63");
}
