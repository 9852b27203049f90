// SPDX-License-Identifier: Apache-2.0
/* Claims of pool_report.h. */
#include "pool_report.h"

#include "disk_impl.h"
#include "pool_fixture.h"
#include <stdlib.h>

#define NODE 1
#define MANY 1000 /* records: a dozen blocks */
#define BLOCK_RECORDS 85

/* ---- records ---- */

static struct pool_record records[2 * MANY];
static size_t count;
static struct pool_head head;

static struct entry entry_of(unsigned i)
{
    uint64_t n[2] = {i * UINT64_C(0x9e3779b97f4a7c15), i};
    struct entry e = {.kind = i % 3 ? ENTRY_PACK : ENTRY_FILE,
                      .size = i,
                      .where = pool_number(NODE, 1, 1 + i / 100),
                      .offset = i % 3 ? 32 + 8 * i : 0};

    memcpy(e.id.b, n, sizeof e.id.b);
    return e;
}

static int by_key(const void *a, const void *b)
{
    return id_compare(&((const struct pool_record *)a)->key, &((const struct pool_record *)b)->key);
}

static void sort(void)
{
    qsort(records, count, sizeof *records, by_key);
}

/* Those of [from, to), every seventh pinned. */
static void make_records(unsigned from, unsigned to)
{
    count = 0;
    for (unsigned i = from; i < to; i++) {
        struct entry e = entry_of(i);

        pool_record_make(&e, i % 7 == 0, &records[count++]);
    }
    sort();
}

static int write_report(void)
{
    head.node = NODE;
    head.incarnation = 1;
    return pool_report_write(disk, &head, records, count);
}

static void must_write(void)
{
    cr_assert_eq(write_report(), 0);
}

static struct pool_report *open_report(void)
{
    struct pool_report *r = NULL;

    cr_assert_eq(pool_report_open(disk, NODE, NULL, &r), 0);
    return r;
}

static void a_node_with(unsigned from, unsigned to)
{
    a_pool();
    a_node();
    head = (struct pool_head){.ack = 3, .time = 4};
    make_records(from, to);
    must_write();
}

static void end(struct pool_report *r)
{
    pool_report_close(r);
    pool_disk_destroy(disk);
    disk = NULL;
}

/* What the report says of the entries [0, 2 * MANY) is what `records` has: of each of `step` of
 * them however it is asked, of the others when asked of all. */
static void must_say_of(const struct pool_report *r, unsigned step)
{
    static struct id keys[2 * MANY];
    static uint8_t named[2 * MANY];
    static struct pool_record all[2 * MANY];
    size_t at = 0;

    for (unsigned i = 0; i < 2 * MANY; i++) {
        struct entry e = entry_of(i);

        pool_record_make(&e, false, &all[i]);
    }
    qsort(all, 2 * MANY, sizeof *all, by_key);
    for (unsigned i = 0; i < 2 * MANY; i++)
        keys[i] = all[i].key;
    cr_assert_eq(pool_report_names(r, keys, 2 * MANY, named), 0);
    for (unsigned i = 0; i < 2 * MANY; i++) {
        bool here = at < count && id_equal(&records[at].key, &keys[i]);
        uint8_t want = !here                               ? GC_NAMED_NOT
                       : records[at].flags & POOL_PINNED ? GC_NAMED_PINNED
                                                         : GC_NAMED_ACTIVE;
        struct pool_record got;
        struct entry e, found;

        cr_assert_eq(named[i], want, "key %u", i);
        const struct pool_record *mine = &records[at];

        at += here;
        if (i % step)
            continue;
        pool_record_entry(&all[i], &e);
        cr_assert_eq(pool_report_get(r, &keys[i], &got), here ? 0 : -ENOENT);
        cr_assert(!here || memcmp(&got, mine, sizeof got) == 0);
        cr_assert_eq(pool_report_find(r, &e.id, e.size, 0, &found), here ? 0 : -ENOENT);
        cr_assert(!here || (found.where == e.where && found.offset == e.offset &&
                            found.kind == e.kind && found.count == 0));
    }
    cr_assert_eq(at, count);
}

static void must_say(const struct pool_report *r)
{
    must_say_of(r, 1);
}

static void must_be_on_disk(void)
{
    struct pool_report *r = open_report();

    must_say_of(r, 40);
    pool_report_close(r);
}

static struct pool_head head_on_disk(void)
{
    struct pool_head h;

    cr_assert_eq(pool_head_read(disk, NODE, &h), 0);
    return h;
}

/* ---- what is written is read ---- */

Test(pool_report, what_a_node_names_is_found_by_key_by_id_and_by_many_keys)
{
    static const unsigned sizes[] = {1, BLOCK_RECORDS - 1, BLOCK_RECORDS, BLOCK_RECORDS + 1, MANY};

    for (int i = 0; i < 5; i++) {
        a_node_with(0, sizes[i]);
        struct pool_report *r = open_report();
        const struct pool_head *h = pool_report_head(r);

        must_say(r);
        cr_assert(h->ack == 3 && h->time == 4 && h->serial == head.serial);
        cr_assert_eq(h->active + h->pinned, sizes[i]);
        cr_assert_eq(h->pinned, (sizes[i] + 6) / 7);
        end(r);
    }
}

Test(pool_report, a_node_that_names_nothing_has_a_report)
{
    a_node_with(0, 0);
    struct pool_report *r = open_report();

    must_say(r);
    cr_assert_eq(pool_report_head(r)->base.serial, 0);
    end(r);
}

Test(pool_report, a_node_that_has_not_reported_has_none)
{
    struct pool_report *r;

    a_pool();
    a_node();
    cr_assert_eq(pool_report_open(disk, NODE, NULL, &r), -ENOENT);
    pool_disk_destroy(disk);
}

Test(pool_report, one_content_is_found_at_each_of_its_places)
{
    struct entry e = {.kind = ENTRY_PACK, .size = 50, .id = {{7}}}, found;
    bool seen[200] = {false};

    a_node_with(0, 0);
    for (unsigned i = 0; i < 200; i++) { /* more than two blocks of one id */
        e.where = pool_number(NODE, 1, 1 + i);
        e.size = i == 9 ? 51 : 50;
        pool_record_make(&e, false, &records[count++]);
    }
    sort();
    must_write();
    struct pool_report *r = open_report();

    for (unsigned i = 0; i < 199; i++) {
        cr_assert_eq(pool_report_find(r, &e.id, 50, i, &found), 0);
        unsigned n = (uint32_t)found.where - 1;

        cr_assert(n < 200 && n != 9 && !seen[n]);
        seen[n] = true;
    }
    cr_assert_eq(pool_report_find(r, &e.id, 50, 199, &found), -ENOENT);
    cr_assert_eq(pool_report_find(r, &e.id, POOL_ANY_SIZE, 199, &found), 0);
    cr_assert_eq(pool_report_find(r, &e.id, 52, 0, &found), -ENOENT);
    e.id.b[15]++;
    cr_assert_eq(pool_report_find(r, &e.id, 50, 0, &found), -ENOENT, "its first bytes are equal");
    end(r);
}

/* ---- base and delta ---- */

Test(pool_report, nothing_changed_writes_a_head_alone)
{
    a_node_with(0, MANY);
    struct pool_head first = head_on_disk();

    head.ack = 9;
    must_write();
    struct pool_head second = head_on_disk();

    cr_assert(second.serial > first.serial && second.ack == 9);
    cr_assert_eq(memcmp(&second.base, &first.base, sizeof first.base), 0);
    cr_assert_eq(second.delta.serial, 0);
    cr_assert_eq(names_in("nodes/0001"), 3 + POOL_SLOTS, "node, slots, head, base");
    must_be_on_disk();
    pool_disk_destroy(disk);
}

Test(pool_report, a_small_change_is_a_delta_against_the_base)
{
    a_node_with(0, MANY);
    struct pool_head first = head_on_disk();

    make_records(50, MANY + 50);
    size_t i = 0;

    while (records[i].size >= MANY) /* one that the base has, too */
        i++;
    records[i].flags ^= POOL_PINNED;
    must_write();
    struct pool_head second = head_on_disk();

    cr_assert_eq(memcmp(&second.base, &first.base, sizeof first.base), 0);
    cr_assert_eq(second.delta.count, 101);
    cr_assert_eq(second.active + second.pinned, MANY);
    must_be_on_disk();
    must_write();
    cr_assert_eq(head_on_disk().delta.serial, second.delta.serial, "nothing changed");
    make_records(0, MANY);
    must_write();
    cr_assert_eq(head_on_disk().delta.serial, 0, "as the base again");
    must_be_on_disk();
    cr_assert_eq(names_in("nodes/0001"), 3 + POOL_SLOTS);
    pool_disk_destroy(disk);
}

Test(pool_report, a_large_change_is_a_new_base)
{
    a_node_with(0, MANY);
    struct pool_head first = head_on_disk();

    make_records(130, MANY + 130);
    must_write();
    struct pool_head second = head_on_disk();

    cr_assert_eq(second.base.serial, second.serial);
    cr_assert_neq(second.base.serial, first.base.serial);
    cr_assert_eq(second.delta.serial, 0);
    must_be_on_disk();
    make_records(0, 0);
    must_write();
    cr_assert_eq(head_on_disk().base.serial, 0);
    must_be_on_disk();
    cr_assert_eq(names_in("nodes/0001"), 2 + POOL_SLOTS, "node, slots, head");
    pool_disk_destroy(disk);
}

Test(pool_report, whatever_comes_and_goes_the_report_says_it)
{
    uint64_t state = 12;
    static bool in[2 * MANY];

    a_node_with(0, 0);
    for (int round = 0; round < 40; round++) {
        unsigned changes = (unsigned)(fault_random(&state) % (round % 5 ? 100 : 1200));

        for (unsigned i = 0; i < changes; i++) {
            unsigned n = (unsigned)(fault_random(&state) % (2 * MANY));
            in[n] = !in[n];
        }
        count = 0;
        for (unsigned i = 0; i < 2 * MANY; i++) {
            struct entry e = entry_of(i);

            if (in[i])
                pool_record_make(&e, fault_random(&state) % 64 == 0, &records[count++]);
        }
        sort();
        must_write();
        must_be_on_disk();
    }
    pool_disk_destroy(disk);
}

/* ---- a report that is open ---- */

Test(pool_report, an_open_report_stays_what_it_was)
{
    a_node_with(0, MANY);
    struct pool_report *r = open_report();

    make_records(500, 2 * MANY);
    must_write();
    make_records(0, MANY);
    must_say(r);
    end(r);
}

Test(pool_report, what_has_not_changed_is_not_read_again)
{
    struct pool_report *second, *third;

    a_node_with(0, MANY);
    struct pool_report *first = open_report();
    struct pool_head h = head_on_disk();
    char name[DISK_NAME_MAX + 1];

    make_records(10, MANY);
    must_write();
    snprintf(name, sizeof name, "nodes/0001/base.%016llx", (unsigned long long)h.base.serial);
    cr_assert_eq(pool_disk_flip(disk, name, 5000, 0), 0);
    cr_assert_eq(pool_report_open(disk, NODE, NULL, &third), -EUCLEAN);
    cr_assert_eq(pool_report_open(disk, NODE, first, &second), 0);
    cr_assert_eq(pool_disk_flip(disk, name, 5000, 0), 0);
    pool_report_close(first);
    must_say(second);
    end(second);
}

/* ---- damage ---- */

static void body_name(enum pool_body_kind kind, char out[DISK_NAME_MAX + 1])
{
    struct pool_head h = head_on_disk();
    bool base = kind == POOL_BODY_BASE;

    snprintf(out, DISK_NAME_MAX + 1, "nodes/0001/%s.%016llx", base ? "base" : "delta",
             (unsigned long long)(base ? h.base.serial : h.delta.serial));
}

static uint64_t size_of(const char *name)
{
    struct disk_stat st;
    struct disk_file *f;

    cr_assert_eq(disk_open(disk, name, DISK_READ, &f), 0, "%s", name);
    cr_assert_eq(disk_fstat(f, &st), 0);
    disk_file_close(f);
    cr_assert_gt(st.size, 0);
    return st.size;
}

Test(pool_report, damage_anywhere_is_told_when_it_is_opened)
{
    struct pool_report *r;

    a_node_with(0, 300);
    make_records(5, 300);
    must_write();
    for (enum pool_body_kind kind = POOL_BODY_BASE; kind <= POOL_BODY_DELTA; kind++) {
        char name[DISK_NAME_MAX + 1];

        body_name(kind, name);
        for (uint64_t byte = 0; byte < size_of(name); byte += 211) {
            cr_assert_eq(pool_disk_flip(disk, name, byte, 2), 0);
            cr_assert_eq(pool_report_open(disk, NODE, NULL, &r), -EUCLEAN, "%s %u", name,
                         (unsigned)byte);
            cr_assert_eq(pool_disk_flip(disk, name, byte, 2), 0);
        }
    }
    must_be_on_disk();
    pool_disk_destroy(disk);
}

#ifndef POOL_ON_SHARD /* where bytes that were read once may be known */
Test(pool_report, damage_of_an_open_report_is_never_an_answer)
{
    char name[DISK_NAME_MAX + 1];
    struct pool_record got;
    struct entry e, found;
    uint8_t named;

    a_node_with(0, MANY);
    body_name(POOL_BODY_BASE, name);
    struct pool_report *r = open_report();

    cr_assert_gt(size_of(name), 2 * POOL_BLOCK);
    for (uint64_t byte = POOL_BLOCK + 3000; byte < size_of(name); byte += POOL_BLOCK)
        cr_assert_eq(pool_disk_flip(disk, name, byte, 5), 0);
    for (unsigned i = 0; i < MANY; i += 50) {
        e = entry_of(i);
        struct id key = pool_key(&e);

        cr_assert_eq(pool_report_get(r, &key, &got), -EUCLEAN);
        cr_assert_eq(pool_report_find(r, &e.id, e.size, 0, &found), -EUCLEAN);
        cr_assert_eq(pool_report_names(r, &key, 1, &named), -EUCLEAN);
    }
    end(r);
}
#endif

Test(pool_report, a_body_that_is_cut_missing_or_another_is_damage)
{
    struct pool_report *r;
    char name[DISK_NAME_MAX + 1];

    a_node_with(0, 300);
    body_name(POOL_BODY_BASE, name);
    pool_disk_move(disk, name, name, 2 * POOL_BLOCK);
    cr_assert_eq(pool_report_open(disk, NODE, NULL, &r), -EUCLEAN);
    pool_disk_move(disk, name, "nodes/0001/hidden", 0);
    cr_assert_eq(pool_report_open(disk, NODE, NULL, &r), -EUCLEAN);
    write_text(name, "the bytes of another file");
    cr_assert_eq(pool_report_open(disk, NODE, NULL, &r), -EUCLEAN);
    cr_assert_eq(disk_unlink(disk, name), 0);
    struct pool_head h = head_on_disk();

    must_write(); /* the old one cannot be built on: a base */
    cr_assert_eq(head_on_disk().base.serial, head_on_disk().serial);
    cr_assert_gt(head_on_disk().serial, h.serial);
    must_be_on_disk();
    pool_disk_destroy(disk);
}

/* Two processes take themselves for one node: the second's base has the name of the first's. */
Test(pool_report, a_base_of_somebody_else_under_the_same_name_is_damage)
{
    char name[DISK_NAME_MAX + 1], text[] = "nodes/0001/mine";
    struct pool_report *r;

    a_node_with(0, 300);
    body_name(POOL_BODY_BASE, name);
    pool_disk_move(disk, name, text, 0);
    cr_assert_eq(disk_unlink(disk, "nodes/0001/head"), 0);
    head.serial = 0;
    make_records(1, 301);
    must_write();
    cr_assert(is_there(name), "the claim is of equal names");
    pool_disk_move(disk, text, name, 0);
    cr_assert_eq(pool_report_open(disk, NODE, NULL, &r), -EUCLEAN);
    pool_disk_destroy(disk);
}

/* ---- replaced while it is opened ---- */

struct hooked {
    struct disk base;
    int writes; /* reports to be written, each when a body is opened */
};

static int hooked_open(struct disk *d, const char *name, unsigned flags, struct disk_file **ret)
{
    struct hooked *h = (struct hooked *)d;

    if (strstr(name, "base.") && h->writes > 0) {
        h->writes--;
        make_records(count == MANY ? 0 : 200, count == MANY ? MANY + 500 : MANY + 200);
        must_write();
    }
    return disk_open(disk, name, flags, ret);
}

static const struct disk_ops hooked_ops = {.open = hooked_open};

Test(pool_report, a_report_that_is_replaced_while_it_is_opened_is_opened_anew)
{
    for (int writes = 0; writes < 4; writes++) {
        struct hooked h = {.base.ops = &hooked_ops};
        struct pool_report *r;

        a_node_with(0, MANY);
        h.writes = writes;
        int err = pool_report_open(&h.base, NODE, NULL, &r);

        cr_assert_eq(err, writes < 3 ? 0 : -EAGAIN, "%d", writes);
        if (err == 0)
            must_say(r);
        end(err == 0 ? r : NULL);
    }
}

/* ---- what is not written ---- */

Test(pool_report, records_out_of_order_twice_or_wrong_are_refused)
{
    a_node_with(0, 300);
    struct pool_head before = head_on_disk(), after;
    struct pool_record keep = records[10];

    records[10] = records[9];
    cr_assert_eq(write_report(), -EUCLEAN);
    records[10] = records[8];
    cr_assert_eq(write_report(), -EINVAL);
    records[10] = keep;
    records[10].flags |= POOL_GONE;
    cr_assert_eq(write_report(), -EINVAL);
    records[10] = keep;
    records[10].where++;
    cr_assert_eq(write_report(), -EINVAL, "not its key");
    records[10] = keep;
    after = head_on_disk();
    cr_assert_eq(memcmp(&before, &after, sizeof before), 0);
    must_be_on_disk();
    pool_disk_destroy(disk);
}

Test(pool_report, a_node_that_is_retired_or_replaced_does_not_report)
{
    struct pool_who who = {.node = NODE, .incarnation = 2};
    struct pool_report *r;

    a_node_with(0, 300);
    cr_assert_eq(pool_node_write(disk, &who), 0);
    make_records(0, 200);
    cr_assert_eq(write_report(), -ESTALE);
    make_records(0, 300);
    must_be_on_disk();
    who.incarnation = 1;
    cr_assert_eq(pool_node_write(disk, &who), 0);
    must_write();
    cr_assert_eq(pool_node_retire(disk, NODE), 0);
    cr_assert_eq(write_report(), -ESTALE);
    cr_assert_eq(pool_report_open(disk, NODE, NULL, &r), -ENOENT);
    pool_disk_destroy(disk);
}

Test(pool_report, a_report_that_comes_back_after_the_retirement_is_none)
{
    struct pool_report *r;
    char name[DISK_NAME_MAX + 1];

    a_node_with(0, 300);
    body_name(POOL_BODY_BASE, name);
    pool_disk_move(disk, name, "base", 0);
    pool_disk_move(disk, "nodes/0001/head", "head", 0);
    cr_assert_eq(pool_node_retire(disk, NODE), 0);
    cr_assert_eq(pool_node_clear(disk, NODE), 0);
    pool_disk_move(disk, "base", name, 0);
    pool_disk_move(disk, "head", "nodes/0001/head", 0);
    cr_assert_eq(pool_report_open(disk, NODE, NULL, &r), -ENOENT);
    pool_disk_destroy(disk);
}

Test(pool_report, serials_rise_over_lives_and_lost_heads)
{
    uint64_t last = 0;

    a_node_with(0, 100);
    for (uint32_t incarnation = 1; incarnation < 6; incarnation++) {
        struct pool_who who = {.node = NODE, .incarnation = incarnation};

        cr_assert_eq(pool_node_write(disk, &who), 0);
        head = (struct pool_head){.node = NODE, .incarnation = incarnation};
        for (int i = 0; i < 3; i++) {
            cr_assert_eq(pool_report_write(disk, &head, records, count), 0);
            cr_assert_gt(head.serial, last);
            last = head.serial;
            if (i == 1 && incarnation % 2)
                cr_assert_eq(pool_disk_flip(disk, "nodes/0001/head", 30, 1), 0);
        }
        if (incarnation % 2 == 0)
            cr_assert_eq(disk_unlink(disk, "nodes/0001/head"), 0);
    }
    pool_disk_destroy(disk);
}

/* As a copy of the store leaves it that was mounted meanwhile. */
Test(pool_report, a_report_of_a_life_that_has_not_come_is_not_built_on_nor_counted_from)
{
    struct pool_who who = {.node = NODE, .incarnation = 2};

    a_node_with(0, 300);
    struct pool_head mine = head, theirs = {.node = NODE, .incarnation = 2};

    cr_assert_eq(pool_node_write(disk, &who), 0);
    cr_assert_eq(pool_report_write(disk, &theirs, records, count), 0);
    who.incarnation = 1;
    cr_assert_eq(pool_node_write(disk, &who), 0);
    head = mine;
    must_write();
    cr_assert(head.serial > mine.serial && head.serial >> 32 == 1, "%lx", (long)head.serial);
    cr_assert_eq(head.base.serial, head.serial, "a base of its own");
    must_be_on_disk();
    pool_disk_destroy(disk);
}

Test(pool_report, a_serial_rises_above_the_head_that_is_there_whatever_its_writer_remembers)
{
    a_node_with(0, 300);
    must_write();
    uint64_t last = head.serial;

    head.serial = 0;
    must_write();
    cr_assert_eq(head.serial, last + 1);
    must_be_on_disk();
    pool_disk_destroy(disk);
}

/* ---- a disk that does not give back what it has ---- */

struct unreadable {
    struct disk base;
    int err; /* of opening a body to read it */
    unsigned refused;
};

static int unreadable_open(struct disk *d, const char *name, unsigned flags, struct disk_file **ret)
{
    struct unreadable *u = (struct unreadable *)d;

    if (strstr(name, "/base.") && !(flags & DISK_WRITE)) {
        u->refused++;
        return u->err;
    }
    return disk_open(disk, name, flags, ret);
}

static int through_link(struct disk *d, const char *from, const char *to)
{
    (void)d;
    return disk_link(disk, from, to);
}

static int through_unlink(struct disk *d, const char *name)
{
    (void)d;
    return disk_unlink(disk, name);
}

static int through_rename(struct disk *d, const char *from, const char *to)
{
    (void)d;
    return disk_rename(disk, from, to);
}

static int through_sync_dir(struct disk *d, const char *name)
{
    (void)d;
    return disk_sync_dir(disk, name);
}

static int through_list(struct disk *d, const char *name, disk_list_fn *fn, void *ctx)
{
    (void)d;
    return disk_list(disk, name, fn, ctx);
}

static const struct disk_ops unreadable_ops = {.open = unreadable_open,
                                               .link = through_link,
                                               .unlink = through_unlink,
                                               .rename = through_rename,
                                               .sync_dir = through_sync_dir,
                                               .list = through_list};

Test(pool_report, one_that_cannot_be_read_is_replaced_by_a_base)
{
    static const int errs[] = {-EIO, -ESTALE};

    for (int i = 0; i < 2; i++) {
        struct unreadable u = {.base.ops = &unreadable_ops, .err = errs[i]};

        a_node_with(0, 300);
        make_records(5, 300);
        cr_assert_eq(pool_report_write(&u.base, &head, records, count), 0, "%d", u.err);
        cr_assert_gt(u.refused, 0);
        cr_assert_eq(head.base.serial, head.serial, "there is nothing to compare with");
        must_be_on_disk();
        pool_disk_destroy(disk);
    }
}

/* ---- faults ---- */

static int change_report(unsigned from, unsigned to)
{
    make_records(from, to);
    return write_report();
}

/* Old or new, whole; and the next one is written whatever was left. */
static void old_or_new(int r, unsigned from, unsigned to)
{
    bool is_new = head_on_disk().serial == head.serial && head.serial > 0;

    cr_assert(r < 0 || is_new, "what was said to be written is lost");
    if (!is_new)
        make_records(0, 300);
    must_be_on_disk();
    make_records(from + 1, to);
    must_write();
    must_be_on_disk();
    cr_assert_eq(pool_node_tidy(disk, NODE), 0);
    cr_assert_eq(names_in("nodes/0001"), 3u + POOL_SLOTS + (head.delta.serial != 0),
                 "old bodies stay");
}

Test(pool_report, a_base_replaces_another_wholly_or_not_wherever_it_is_cut)
{
    int r = 0;

    AT_EACH_WRITE(a_node_with(0, 300), r = change_report(200, 500))
    {
        old_or_new(r, 200, 500);
    }
}

Test(pool_report, a_delta_comes_wholly_or_not_wherever_it_is_cut)
{
    int r = 0;

    AT_EACH_WRITE(a_node_with(0, 300), r = change_report(20, 310))
    {
        old_or_new(r, 20, 310);
    }
}

static void a_node_with_a_delta(void)
{
    a_node_with(5, 300);
    make_records(0, 300);
    must_write();
}

Test(pool_report, a_delta_replaces_another_wholly_or_not_wherever_it_is_cut)
{
    int r = 0;

    AT_EACH_WRITE(a_node_with_a_delta(), r = change_report(20, 310))
    {
        old_or_new(r, 20, 310);
    }
}
