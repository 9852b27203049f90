// SPDX-License-Identifier: Apache-2.0
/*
 * test_lost: rows that are gone from the tables. What names a lost object is an error when it is
 * read, never "no such file"; a scrub finds and names it; the bytes stay, whatever deletes; and a
 * rebuild puts back what can be found again.
 */
#include "compressed.h"
#include "picky.h"
#include "repair_fixture.h"

#include "damage.h"
#include "gc.h"
#include "lost.h"
#include "met.h"
#include "rebuild.h"
#include "report.h"
#include "stored_record.h"
#include "vfs_impl.h"

static struct fixture x;
static char told[1 << 18]; /* alarms and warnings */

static void on_report(enum report_level level, const char *text, void *ctx)
{
    size_t n = strlen(told);

    (void)ctx;
    if (level != REPORT_NOTE)
        snprintf(told + n, sizeof told - n, "%s\n", text);
}

static void up(void)
{
    fixture_setup(&x);
    populate(&x);
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    told[0] = 0;
    report_set_sink(on_report, NULL);
}
static void down_all(void)
{
    report_set_sink(NULL, NULL);
    if (x.p)
        fixture_teardown(&x);
}
TestSuite(lost, .init = up, .fini = down_all);

/* ---- losing ---- */

static void lose(unsigned table, const void *key, size_t klen)
{
    struct kv_txn *t;

    cr_assert_eq(kv_txn_begin(x.kv, &t), 0);
    cr_assert_eq(kv_del(t, table, key, klen), 0);
    cr_assert_eq(kv_commit(t), 0);
}

static void lose_number(unsigned table, uint64_t number)
{
    uint8_t key[8];

    put_be64(key, number);
    lose(table, key, sizeof key);
}

/* What the item of the file names, and what the table says of it. */
static uint64_t number_at(const char *path, struct entry *ret)
{
    struct inode in;
    struct ns *ns;
    uint64_t node = node_of(&x, path);

    cr_assert(node, "%s", path);
    cr_assert_eq(ns_get(x.p, vfs_node_ns(node), &ns), 0);
    {
        READ_GUARD(&ns->lock);
        cr_assert_eq(inode_load(&ns->tree, vfs_node_ino(node), &in), 0);
    }
    ns_put(x.p, ns);
    cr_assert_eq(refs_entry(x.p->refs, in.object, false, NULL, ret), 0);
    return in.object;
}

static uint64_t lose_object(const char *path, struct entry *ret)
{
    uint64_t number = number_at(path, ret);

    lose_number(TABLE_OBJECTS, number);
    return number;
}

static bool has_file(const char *name)
{
    struct disk_file *f;

    if (disk_open(x.disk, name, DISK_READ, &f) < 0)
        return false;
    disk_file_close(f);
    return true;
}

static void reopen(void)
{
    cr_assert_eq(store_close(x.p), 0);
    kv_close(x.kv);
    fixture_open(&x);
}

static void finds_nothing(void)
{
    struct findings f;

    down_clean(&x);
    is_clean(&x, &f);
    fixture_open(&x);
}

/* ---- reading ---- */

Test(lost, reading_is_an_error_and_known_as_damage)
{
    struct entry e;
    char line[128];
    uint64_t number = lose_object("main/file10", &e);

    agreed(&x, "status", "ok state=ok ");
    cr_assert_eq(try_read(&x, "main/file10"), -EUCLEAN);
    snprintf(line, sizeof line, "object number %llu is named, but the table of objects",
             (unsigned long long)number);
    cr_assert(strstr(told, line), "%s", told);
    agreed(&x, "status", "ok state=degraded ");
    cr_assert_eq(met_tell(x.p), 0);
    cr_assert(strstr(told, " is used by main/file10\n"), "%s", told);
    cr_assert_gt(try_read(&x, "main/file12"), 0);
}

Test(lost, the_verbs_say_what_is_the_matter)
{
    struct entry e;
    char hex[ID_HEX + 1], line[64];

    lose_object("main/file10", &e);
    id_to_hex(&e.id, hex);
    refused(&x, "object main/file10", -EUCLEAN, "`tally rebuild`");
    refused(&x, "why main/file10", -EUCLEAN, "`tally rebuild`");
    snprintf(line, sizeof line, "object %s", hex);
    refused(&x, line, -EUCLEAN, "`tally rebuild`");
    snprintf(line, sizeof line, "why %s", hex);
    refused(&x, line, -EUCLEAN, "`tally rebuild`");
}

/* ---- scrub ---- */

Test(lost, a_scrub_finds_it_and_names_the_files)
{
    struct entry e;
    char line[128];
    uint64_t number = lose_object("main/file10", &e);

    agreed(&x, "scrub wait", " damaged=1 ");
    snprintf(line, sizeof line, "scrub: object number %llu is used by main/file10\n",
             (unsigned long long)number);
    cr_assert(strstr(told, line), "%s", told);
    agreed(&x, "status", "ok state=degraded ");
    agreed(&x, "rebuild wait", "ok changed=");
    agreed(&x, "scrub wait", " damaged=0 ");
    agreed(&x, "status", "ok state=ok ");
}

static void scrub_says(const char *part)
{
    agreed(&x, "scrub wait", " damaged=1 ");
    cr_assert(strstr(told, part), "no '%s' in %s", part, told);
    agreed(&x, "rebuild wait", "ok changed=1 ");
    agreed(&x, "scrub wait", " damaged=0 ");
    finds_nothing();
}

static void set_count(uint64_t number, struct entry *e, uint32_t count)
{
    uint8_t key[8], val[ENTRY_MAX];
    struct kv_txn *t;

    put_be64(key, number);
    e->count = count;
    cr_assert_eq(kv_txn_begin(x.kv, &t), 0);
    cr_assert_eq(kv_put(t, TABLE_OBJECTS, key, sizeof key, val, entry_encode(e, val)), 0);
    cr_assert_eq(kv_commit(t), 0);
}

Test(lost, a_count_that_is_too_low_is_found_and_mended)
{
    struct entry e;
    uint64_t number = number_at("main/file10", &e);

    set_count(number, &e, e.count - 1);
    scrub_says("scrub: the count of object number ");
}

Test(lost, a_count_that_is_too_high_is_found_and_mended)
{
    struct entry e;
    uint64_t number = number_at("main/file10", &e);

    set_count(number, &e, e.count + 5);
    scrub_says("scrub: the count of object number ");
}

/* The first row of a table, as the last commit has it. The length of its key; 0: there is none. */
static size_t first_row(unsigned table, uint8_t key[KV_KEY_MAX])
{
    struct kv_each e = {.table = table};
    size_t klen = 0;

    cr_assert_eq(kv_snap_begin(x.kv, &e.snap), 0);
    if (kv_next(&e)) {
        klen = e.klen;
        memcpy(key, e.key, klen);
    }
    cr_assert_eq(e.err, 0);
    kv_snap_end(e.snap);
    return klen;
}

static void lose_first(unsigned table)
{
    uint8_t key[KV_KEY_MAX];
    size_t klen = first_row(table, key);

    lose(table, key, klen);
}

static void lose_all(unsigned table)
{
    uint8_t key[KV_KEY_MAX];
    size_t klen;

    while ((klen = first_row(table, key)) > 0)
        lose(table, key, klen);
}

Test(lost, a_row_of_the_index)
{
    struct entry e;

    (void)number_at("main/file10", &e);
    lose(TABLE_IDS, e.id.b, ID_LEN);
    scrub_says("scrub: the index entry of object ");
}

Test(lost, a_row_of_the_page_counts)
{
    lose_first(TABLE_PAGE_COUNTS);
    fixture_teardown(&x); /* in memory the page has its count */
    up();
    down_clean(&x);
    cr_assert_eq(kv_open_mem(x.mem, store_tables, store_table_count, 0, &x.kv), 0);
    lose_first(TABLE_PAGE_COUNTS);
    kv_close(x.kv);
    fixture_open(&x);
    scrub_says("scrub: the count of page ");
}

Test(lost, a_row_of_the_packs)
{
    lose_first(TABLE_PACKS);
    scrub_says("scrub: the entry of pack ");
}

/* ---- rebuild ---- */

Test(lost, a_record_of_a_pack_is_found_again)
{
    struct entry e, now;
    uint64_t number = lose_object("main/file10", &e);

    cr_assert_eq(e.kind, ENTRY_PACK);
    agreed(&x, "rebuild wait", "ok changed=");
    cr_assert_eq(number_at("main/file10", &now), number);
    cr_assert_eq(now.count, e.count);
    cr_assert(entry_same_place(&now, &e));
    cr_assert_gt(try_read(&x, "main/file10"), 0);
    agreed(&x, "rebuild wait", "ok changed=0 ");
    finds_nothing();
}

Test(lost, a_compressed_record_is_found_again_and_counts_as_what_it_takes)
{
    char text[4000];
    struct packs_stats before, after;
    struct entry e, now;
    uint64_t number;

    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('a' + i * i % 7);
    text[sizeof text - 1] = 0;
    agreed(&x, "set compression write", "ok");
    put_file(&x, "main/text", text);
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    packs_get_stats(x.p->packs, &before);
    number = lose_object("main/text", &e);
    cr_assert(entry_is_compressed(&e));
    agreed(&x, "rebuild wait", "ok changed=");
    cr_assert_eq(number_at("main/text", &now), number);
    cr_assert(entry_same_place(&e, &now) && now.stored == e.stored);
    cr_assert_eq(try_read(&x, "main/text"), (ssize_t)strlen(text));
    packs_get_stats(x.p->packs, &after);
    cr_assert_eq(before.live_bytes, after.live_bytes);
    agreed(&x, "rebuild wait", "ok changed=0");
    finds_nothing();
}

Test(lost, an_object_file_is_found_again)
{
    struct entry e, now;
    uint64_t number = lose_object("main/big", &e);

    cr_assert_eq(e.kind, ENTRY_FILE);
    cr_assert_eq(try_read(&x, "main/big"), -EUCLEAN);
    agreed(&x, "rebuild wait", "ok changed=");
    cr_assert_eq(number_at("main/big", &now), number);
    cr_assert_eq(now.count, e.count);
    cr_assert_eq(try_read(&x, "main/big"), 300000);
    agreed(&x, "status", "ok state=ok ");
    finds_nothing();
}

static void put_much(const char *path, char with, size_t len)
{
    char *text = malloc(len + 1);

    memset(text, with, len);
    text[len] = 0;
    put_file(&x, path, text);
    free(text);
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
}

/* It was written, deleted, and written again: of the two records the first is about to go. */
Test(lost, a_record_that_is_dead_is_not_what_is_found)
{
    struct entry dead, e, now;

    put_much("main/first", 'a', 30000);
    put_much("main/beside", 'b', 50000);
    (void)number_at("main/first", &dead);
    remove_file(&x, "main/first");
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    put_much("main/again", 'a', 30000);
    lose_object("main/again", &e);
    cr_assert(e.kind == ENTRY_PACK && e.where == dead.where && e.offset > dead.offset);
    agreed(&x, "rebuild wait", "ok changed=");
    (void)number_at("main/again", &now);
    cr_assert(entry_same_place(&now, &e));
    remove_file(&x, "main/beside"); /* enough died by now for a hole */
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    cr_assert_eq(try_read(&x, "main/again"), 30000);
    finds_nothing();
}

/* Of what is forgotten nothing is kept. */
Test(lost, what_was_met_is_forgotten_after_a_rebuild)
{
    struct entry e;

    lose_object("main/file10", &e);
    cr_assert_eq(try_read(&x, "main/file10"), -EUCLEAN);
    cr_assert_eq(x.p->met.place.count, 1);
    agreed(&x, "rebuild wait", "ok changed=");
    cr_assert_eq(x.p->met.known.count, 0);
    cr_assert_eq(x.p->met.place.count, 0);
}

/* With the index gone, too: a file has the number in its name. */
Test(lost, an_object_file_is_found_without_the_index)
{
    struct entry e;

    lose_object("main/big", &e);
    lose(TABLE_IDS, e.id.b, ID_LEN);
    agreed(&x, "rebuild wait", "ok changed=");
    cr_assert_eq(try_read(&x, "main/big"), 300000);
    finds_nothing();
}

/* But for those of aliases, which nothing else knows. */
Test(lost, all_rows_at_once)
{
    char path[64];

    for (uint64_t n = 1; n < refs_next(x.p->refs); n++) {
        struct entry e;
        if (refs_entry(x.p->refs, n, false, NULL, &e) == 0 && entry_is_sealed(&e))
            lose_number(TABLE_OBJECTS, n);
    }
    agreed(&x, "rebuild wait", "ok changed=");
    for (int i = 0; i < 300; i++) {
        snprintf(path, sizeof path, "main/file%d", i);
        cr_assert_gt(try_read(&x, path), 0, "%s: %s", path, told);
    }
    cr_assert_eq(try_read(&x, "main/big"), 300000);
    finds_nothing();
}

/* Neither its record nor anything else says where: the file is named, and all else goes on. */
Test(lost, what_is_nowhere_to_be_found_is_named_and_goes_with_its_file)
{
    struct entry e;

    lose_object("main/file10", &e);
    lose(TABLE_IDS, e.id.b, ID_LEN);
    refused(&x, "rebuild wait", -EUCLEAN, "1 objects are nowhere to be found");
    cr_assert(strstr(told, " is used by main/file10\n"), "%s", told);
    cr_assert_eq(try_read(&x, "main/file10"), -EUCLEAN);
    agreed(&x, "status", "ok state=degraded ");
    put_file(&x, "other/new", "something new");
    refused(&x, "rebuild wait", -EUCLEAN, "1 objects are nowhere to be found");
    for (int i = 0; i < 3; i++) {
        static const char *const in[] = {"main", "same", "other"};
        char path[64];
        snprintf(path, sizeof path, "%s/file10", in[i]);
        remove_file(&x, path);
        snprintf(path, sizeof path, "%s/file11", in[i]);
        remove_file(&x, path);
    }
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    agreed(&x, "rebuild wait", "ok changed=");
    finds_nothing();
}

/* ---- how many bytes are stored ---- */

static int add_size(const struct refs_item *item, void *ctx)
{
    *(uint64_t *)ctx += item->size;
    return 0;
}

/* No commit says how many bytes are stored any more, and the next mount counts them. */
static void is_counted_anew(void)
{
    struct stored_record said;
    struct refs_stats s;
    uint64_t bytes = 0;

    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    cr_assert_eq(stored_record_load(x.kv, &said), -ENOENT);
    reopen();
    cr_assert_eq(refs_list(x.p->refs, -1, NULL, add_size, &bytes), 0);
    refs_get_stats(x.p->refs, &s);
    cr_assert_eq(s.stored, bytes);
    put_file(&x, "other/later", "a later one");
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    cr_assert_eq(stored_record_load(x.kv, &said), 0);
    cr_assert_eq(said.bytes, bytes + strlen("a later one"));
}

static uint64_t said(void)
{
    struct stored_record s;

    cr_assert_eq(stored_record_load(x.kv, &s), 0);
    return s.bytes;
}

Test(lost, what_is_stored_is_counted_anew_once_an_entry_was_put_back)
{
    struct entry e;
    uint64_t before = said();

    lose_object("main/file10", &e);
    agreed(&x, "rebuild wait", "ok changed=");
    is_counted_anew();
    cr_assert_eq(said(), before + strlen("a later one"));
    finds_nothing();
}

Test(lost, what_is_stored_is_counted_anew_once_a_number_without_an_entry_was_let_go)
{
    static const char *const in[] = {"main", "same", "other"};
    struct entry e;

    lose_object("main/file10", &e);
    for (int i = 0; i < 3; i++) {
        char path[64];
        snprintf(path, sizeof path, "%s/file10", in[i]);
        remove_file(&x, path);
    }
    is_counted_anew();
}

Test(lost, what_is_stored_is_not_known_while_any_row_may_be_lost_with_a_part_of_the_file)
{
    struct stored_record none;

    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    cr_assert_gt(said(), 0);
    cr_assert_eq(lost_rows_note(x.kv), 0);
    cr_assert_eq(stored_record_load(x.kv, &none), -ENOENT);
}

/* Who is short of descriptors does not know what there is. */
static void picky_up(void)
{
    cr_assert_eq(store_close(x.p), 0);
    kv_close(x.kv);
    cr_assert_eq(picky_open(&x), 0);
}

static void is_not_said_to_be_lost(const char *path)
{
    char name[DISK_NAME_MAX + 1];
    struct entry e;

    picky_up();
    (void)lose_object(path, &e);
    if (e.kind == ENTRY_FILE)
        blob_object_name(&e.id, e.where, name);
    else
        pack_name(e.where, name);
    picky_refuse(name, -EMFILE);
    refused(&x, "rebuild wait", -EMFILE, "");
    cr_assert_not(strstr(told, "nowhere"), "%s", told);
    picky_refuse("", 0);
    agreed(&x, "rebuild wait", "ok changed=");
    cr_assert_gt(try_read(&x, path), 0);
    finds_nothing();
}

Test(lost, a_shortage_while_a_pack_is_looked_through_is_no_loss)
{
    is_not_said_to_be_lost("main/file10");
}

Test(lost, a_shortage_while_object_files_are_looked_at_is_no_loss)
{
    is_not_said_to_be_lost("main/big");
}

/* Also where they are more than are remembered. */
Test(lost, all_that_is_nowhere_to_be_found_is_named)
{
    char path[64], line[128];
    struct entry e;

    for (unsigned i = 0; i < MET_MAX + 10; i++) {
        snprintf(path, sizeof path, "main/u%u", i);
        put_file(&x, path, path);
    }
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    for (unsigned i = 0; i < MET_MAX + 10; i++) {
        snprintf(path, sizeof path, "main/u%u", i);
        lose_object(path, &e);
        lose(TABLE_IDS, e.id.b, ID_LEN);
    }
    snprintf(line, sizeof line, "%u objects are nowhere to be found", MET_MAX + 10u);
    refused(&x, "rebuild wait", -EUCLEAN, line);
    for (unsigned i = 0; i < MET_MAX + 10; i++) {
        snprintf(line, sizeof line, " is used by main/u%u\n", i);
        cr_assert(strstr(told, line), "%s", line);
    }
}

/* ---- others go on ---- */

Test(lost, one_file_does_not_keep_others_from_being_changed)
{
    struct entry e;

    lose_object("same/file10", &e);
    put_file(&x, "same/another", "whatever"); /* copies the page that names it */
    put_file(&x, "same/file12", "changed");
    put_file(&x, "same/twin", "content 5"); /* what the lost one had */
    remove_file(&x, "same/file10");
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    cr_assert_eq(try_read(&x, "same/twin"), 9);
    agreed(&x, "rebuild wait", "ok changed=");
    cr_assert_eq(try_read(&x, "main/file10"), 9);
    cr_assert_eq(try_read(&x, "same/file11"), 9);
    finds_nothing();
}

/* Its items move to those of unlinked inodes. */
Test(lost, a_file_that_is_open_can_be_deleted)
{
    struct vfs_file *f;
    struct entry e;

    cr_assert_eq(vfs_open(x.p, node_of(&x, "same/file10"), 0, &f), 0);
    lose_object("same/file10", &e);
    remove_file(&x, "same/file10");
    vfs_release(f);
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    agreed(&x, "rebuild wait", "ok changed=");
    cr_assert_gt(try_read(&x, "main/file10"), 0);
    finds_nothing();
}

static int link_to(const char *from, const char *to)
{
    const char *name;
    struct vfs_attr a;
    uint64_t dir = parent_of(&x, to, &name);
    int err = vfs_link(x.p, node_of(&x, from), dir, name, &a);

    if (err == 0)
        vfs_forget(x.p, a.nodeid, 1);
    return err;
}

/* What the log says of it is no reason to refuse the rest of the log. */
Test(lost, the_log_is_replayed_all_the_same)
{
    struct entry e;

    cr_assert_eq(link_to("main/file10", "other/linked"), 0);
    put_file(&x, "main/after", "something");
    cr_assert_eq(flush_sync(x.p), 0);
    lose_object("main/file10", &e);
    store_abandon(x.p);
    kv_close(x.kv);
    fixture_open(&x);
    cr_assert_eq(try_read(&x, "main/after"), 9);
    cr_assert_eq(try_read(&x, "other/linked"), -EUCLEAN);
    cr_assert_eq(link_to("main/file10", "other/once_more"), -EUCLEAN);
    agreed(&x, "rebuild wait", "ok changed=");
    cr_assert_gt(try_read(&x, "main/file10"), 0);
    cr_assert_gt(try_read(&x, "other/linked"), 0);
    finds_nothing();
}

/* ---- the bytes stay ---- */

Test(lost, no_cycle_collects_while_a_row_is_lost)
{
    struct entry e;
    char name[DISK_NAME_MAX + 1];

    lose_object("main/big", &e);
    lose(TABLE_IDS, e.id.b, ID_LEN);
    blob_object_name(&e.id, e.where, name);
    refused(&x, "gc grace=0 wait", -EUCLEAN, "");
    refused(&x, "gc grace=0 wait", -EUCLEAN, "");
    cr_assert(has_file(name));
    agreed(&x, "rebuild wait", "ok changed=");
    agreed(&x, "gc grace=0 wait", "ok ");
    cr_assert_eq(try_read(&x, "main/big"), 300000);
}

Test(lost, no_start_deletes_the_bytes_of_a_lost_row)
{
    struct entry big, small;
    char name[DISK_NAME_MAX + 1];

    lose_object("main/big", &big);
    lose(TABLE_IDS, big.id.b, ID_LEN);
    lose_object("main/file10", &small);
    reopen();
    blob_object_name(&big.id, big.where, name);
    cr_assert(has_file(name));
    agreed(&x, "rebuild wait", "ok changed=");
    cr_assert_eq(try_read(&x, "main/big"), 300000);
    cr_assert_gt(try_read(&x, "main/file10"), 0);
    finds_nothing();
}

Test(lost, no_start_deletes_a_pack_whose_row_is_lost)
{
    uint8_t key[KV_KEY_MAX];
    char name[DISK_NAME_MAX + 1];

    first_row(TABLE_PACKS, key);
    pack_name(get_be64(key), name);
    lose_number(TABLE_PACKS, get_be64(key));
    store_abandon(x.p); /* else the row may be written again */
    kv_close(x.kv);
    fixture_open(&x);
    cr_assert(has_file(name), "%s", name);
    cr_assert(strstr(told, "is put back"), "%s", told);
    cr_assert_gt(try_read(&x, "main/file10"), 0);
    finds_nothing();
}

/* Nothing names it any more but the trees, through numbers without a row: it stays, without a row,
 * until a rebuild has looked into it. */
Test(lost, no_start_deletes_a_pack_of_which_no_row_is_left)
{
    char name[DISK_NAME_MAX + 1];
    struct entry e;

    (void)number_at("main/file10", &e);
    cr_assert_eq(e.kind, ENTRY_PACK);
    pack_name(e.where, name);
    for (uint64_t n = 1; n < refs_next(x.p->refs); n++)
        if (refs_entry(x.p->refs, n, false, NULL, &e) == 0 && e.kind == ENTRY_PACK)
            lose_number(TABLE_OBJECTS, n);
    lose_all(TABLE_PACKS);
    store_abandon(x.p); /* else the rows may be written again */
    kv_close(x.kv);
    fixture_open(&x);
    cr_assert(has_file(name), "%s", name);
    cr_assert_eq(try_read(&x, "main/file10"), -EUCLEAN);
    agreed(&x, "rebuild wait", "ok changed=");
    cr_assert_gt(try_read(&x, "main/file10"), 0);
    finds_nothing();
    cr_assert_gt(try_read(&x, "main/file10"), 0);
}

static struct vfs_file *make_slot(const char *path)
{
    static char buf[300000];
    const char *name;
    struct vfs_file *f;
    struct vfs_attr a;
    struct entry e;
    uint64_t dir = parent_of(&x, path, &name);

    memset(buf, 'x', sizeof buf);
    cr_assert_eq(vfs_create(x.p, dir, name, 0644, &fixture_cred, VFS_WRITE, &a, &f), 0);
    cr_assert_eq(vfs_write(f, buf, sizeof buf, 0), (ssize_t)sizeof buf);
    vfs_forget(x.p, a.nodeid, 1);
    cr_assert_eq(flush_now(x.p), 0);
    (void)number_at(path, &e);
    cr_assert_eq(e.kind, ENTRY_SLOT);
    return f;
}

Test(lost, a_slot_is_found_again)
{
    struct vfs_file *f = make_slot("main/slot");
    struct entry e;

    lose_object("main/slot", &e);
    vfs_release(f);
    (void)flush_drain(x.p, false, -1, NULL); /* where it cannot be sealed */
    agreed(&x, "rebuild wait", "ok changed=");
    cr_assert_eq(try_read(&x, "main/slot"), 300000);
    finds_nothing();
    cr_assert_eq(try_read(&x, "main/slot"), 300000);
}

Test(lost, no_start_deletes_a_slot_whose_row_is_lost)
{
    struct vfs_file *f = make_slot("main/slot");
    struct entry e;

    lose_object("main/slot", &e);
    vfs_release(f);
    store_abandon(x.p);
    kv_close(x.kv);
    fixture_open(&x);
    cr_assert_eq(try_read(&x, "main/slot"), -EUCLEAN);
    agreed(&x, "rebuild wait", "ok changed=");
    cr_assert_eq(try_read(&x, "main/slot"), 300000);
    finds_nothing();
}

/* The n-th file of a slot finds no descriptor. */
static const struct disk_ops *real_ops;
static unsigned slot_opens, open_fails;

static int open_short(struct disk *d, const char *name, unsigned flags, struct disk_file **ret)
{
    if (strncmp(name, "slots/", 6) == 0 && ++slot_opens == open_fails)
        return -EMFILE;
    return real_ops->open(d, name, flags, ret);
}

static int rebuild_short_at(unsigned n)
{
    struct disk_ops ops = *x.disk->ops;
    uint64_t changed;

    real_ops = x.disk->ops;
    ops.open = open_short;
    slot_opens = 0;
    open_fails = n;
    x.disk->ops = &ops;
    int err = rebuild_store(x.p, NULL, &changed);

    x.disk->ops = real_ops;
    return err;
}

Test(lost, a_slot_that_finds_no_descriptor_is_found_by_the_next_rebuild)
{
    unsigned n = 1;

    for (bool reached = true; reached; n++) {
        char path[32];
        struct entry e;

        snprintf(path, sizeof path, "main/slot%u", n);
        struct vfs_file *f = make_slot(path);

        lose_object(path, &e);
        vfs_release(f);
        store_abandon(x.p);
        kv_close(x.kv);
        fixture_open(&x);
        int err = rebuild_short_at(n);

        reached = slot_opens >= n;
        cr_assert_eq(err, reached ? -EMFILE : 0, "open %u: %d", n, err);
        if (reached)
            cr_assert_eq(try_read(&x, path), -EUCLEAN, "open %u", n);
        agreed(&x, "rebuild wait", "ok changed=");
        cr_assert_eq(try_read(&x, path), 300000, "open %u", n);
    }
    cr_assert_gt(n, 4);
    finds_nothing();
}

/* ---- the log speaks of it ---- */

Test(lost, a_pin_in_the_log_is_one_after_a_rebuild)
{
    struct entry e, now;
    uint64_t number;

    agreed(&x, "pin main/file10", "ok ");
    put_file(&x, "main/after", "something");
    cr_assert_eq(flush_sync(x.p), 0);
    number = lose_object("main/file10", &e);
    store_abandon(x.p);
    kv_close(x.kv);
    fixture_open(&x);
    cr_assert_eq(try_read(&x, "main/after"), 9);
    agreed(&x, "rebuild wait", "ok changed=");
    cr_assert_eq(number_at("main/file10", &now), number);
    cr_assert_eq(now.count, e.count);
    cr_assert(refs_is_pinned(x.p->refs, number));
    finds_nothing();
}

/* A damaged one refuses a mount, and a repair replays the log nevertheless. */
Test(lost, a_damaged_row_does_not_cost_a_repair_what_the_log_has)
{
    uint8_t key[8];
    struct entry e;
    struct said s;
    struct kv_txn *t;

    agreed(&x, "pin main/file10", "ok ");
    put_file(&x, "main/after", "something");
    cr_assert_eq(flush_sync(x.p), 0);
    put_be64(key, number_at("main/file10", &e));
    store_abandon(x.p);
    x.p = NULL;
    cr_assert_eq(kv_txn_begin(x.kv, &t), 0);
    cr_assert_eq(kv_put(t, TABLE_OBJECTS, key, sizeof key, "no entry", 8), 0);
    cr_assert_eq(kv_commit(t), 0);
    kv_close(x.kv);
    repair(&x, 0, &s);
    cr_assert(strstr(s.repaired, "are replayed"), "%s", s.repaired);
    fixture_open(&x);
    read_file(&x, "main/after", "something");
    cr_assert_eq(try_read(&x, "main/file10"), 9);
    cr_assert(refs_is_pinned(x.p->refs, get_be64(key)));
    finds_nothing();
}

/* What the log has of it is not lost with its row, nor with it all that others wrote. */
static void slot_in_the_log(uint64_t off, size_t len)
{
    static char buf[100000];
    struct vfs_file *f = make_slot("main/slot");
    struct entry e;

    memset(buf, 'y', sizeof buf);
    cr_assert_eq(vfs_write(f, buf, len, off), (ssize_t)len);
    put_file(&x, "main/after", "something");
    cr_assert_eq(flush_sync(x.p), 0);
    lose_object("main/slot", &e);
    vfs_release(f);
    store_abandon(x.p);
    kv_close(x.kv);
    fixture_open(&x);
    cr_assert_eq(try_read(&x, "main/after"), 9);
    cr_assert_eq(vfs_open(x.p, node_of(&x, "main/slot"), 0, &f), 0);
    cr_assert_eq(vfs_read(f, buf, len, off), (ssize_t)len);
    vfs_release(f);
    for (size_t i = 0; i < len; i++)
        cr_assert_eq(buf[i], 'y');
    agreed(&x, "rebuild wait", "ok changed=");
    cr_assert_eq(try_read(&x, "main/slot"), (ssize_t)(off + len > 300000 ? off + len : 300000));
    finds_nothing();
}

Test(lost, a_slot_that_the_log_speaks_of)
{
    slot_in_the_log(280000, 100000);
}

Test(lost, a_slot_whose_bytes_the_log_has)
{
    slot_in_the_log(1000, 100);
}

/* ---- offline ---- */

Test(lost, check_repairs_what_a_rebuild_would)
{
    static struct said s;
    struct findings f;
    struct entry e;
    uint64_t number = lose_object("main/big", &e);
    char where[64];

    down_clean(&x);
    examine(&x, &f);
    snprintf(where, sizeof where, "count|object number %llu|", (unsigned long long)number);
    cr_assert(strstr(f.text, where), "%s", f.text);
    cr_assert(strstr(f.text, "file|main/big|"), "%s", f.text);
    repair(&x, 0, &s);
    cr_assert_eq(s.r.left, 0, "%s", s.left);
    is_clean(&x, &f);
    fixture_open(&x);
    cr_assert_eq(try_read(&x, "main/big"), 300000);
}

/* ---- a repair of the closed store ---- */

static void put_row(unsigned table, const void *key, size_t klen, const void *val, size_t len)
{
    struct kv_txn *t;

    cr_assert_eq(kv_txn_begin(x.kv, &t), 0);
    cr_assert_eq(kv_put(t, table, key, klen, val, len), 0);
    cr_assert_eq(kv_commit(t), 0);
}

static void plant_entry(unsigned table, uint64_t number, const struct entry *e)
{
    uint8_t key[8], val[ENTRY_MAX];

    put_be64(key, number);
    put_row(table, key, sizeof key, val, entry_encode(e, val));
}

/* What the tables of the closed store say of the number. */
static int stored_entry(unsigned table, uint64_t number, struct entry *ret)
{
    struct kv_snap *s;
    int err;

    cr_assert_eq(kv_open_mem(x.mem, store_tables, store_table_count, KV_READONLY, &x.kv), 0);
    cr_assert_eq(kv_snap_begin(x.kv, &s), 0);
    err = refs_entry_in(s, table, number, ret);
    kv_snap_end(s);
    kv_close(x.kv);
    return err;
}

/* Lose an alias, and return the number of the object that it leads to: of two files with equal
 * bytes one names the object, and the other the alias. */
static uint64_t lose_an_alias(struct entry *ret_target)
{
    struct entry alias;
    uint64_t number = number_at("same/file10", &alias);

    if (alias.kind != ENTRY_ALIAS)
        number = number_at("same/file11", &alias);
    cr_assert_eq(alias.kind, ENTRY_ALIAS);
    cr_assert_eq(refs_entry(x.p->refs, alias.where, false, NULL, ret_target), 0);
    lose_number(TABLE_OBJECTS, number);
    return alias.where;
}

Test(lost, a_repair_lowers_no_count_that_a_lost_alias_may_be_part_of)
{
    struct entry e, now;
    struct said s;
    uint64_t target = lose_an_alias(&e);

    down_clean(&x);
    repair(&x, REPAIR_FREE_LEAKS, &s);
    cr_assert_eq(stored_entry(TABLE_OBJECTS, target, &now), 0);
    cr_assert_eq(now.count, e.count, "%u instead of %u\n%s", now.count, e.count, s.repaired);
}

/* An object that an earlier version took for unused, since all that named it is lost. */
static uint64_t leave_an_entry(void)
{
    struct entry e;
    uint64_t number;

    put_much("main/first", 'a', 300000);
    number = number_at("main/first", &e);
    remove_file(&x, "main/first");
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    e.count = 0;
    plant_entry(TABLE_OBJECTS, number, &e);
    return number;
}

Test(lost, a_repair_frees_no_object_that_a_lost_alias_may_lead_to)
{
    struct entry e;
    struct said s;
    uint64_t number = leave_an_entry();

    (void)lose_an_alias(&e);
    down_clean(&x);
    repair(&x, REPAIR_FREE_LEAKS, &s);
    cr_assert_eq(stored_entry(TABLE_DYING, number, &e), -ENOENT, "%s", s.repaired);
}

Test(lost, no_cycle_collects_an_object_that_a_lost_alias_may_lead_to)
{
    struct entry e;

    (void)leave_an_entry();
    (void)lose_an_alias(&e);
    reopen();
    refused(&x, "gc grace=0 wait", -EUCLEAN, "");
    refused(&x, "gc grace=0 wait", -EUCLEAN, "");
}

/* Of two records with its bytes one is of a number that is dying: the next mount releases it. */
Test(lost, a_repair_takes_no_place_that_is_about_to_be_deleted)
{
    struct entry dead, e, now;
    uint64_t was, number;
    struct said s;

    put_much("main/first", 'a', 30000);
    put_much("main/beside", 'b', 50000);
    was = number_at("main/first", &dead);
    remove_file(&x, "main/first");
    cr_assert_eq(flush_drain(x.p, true, -1, NULL), 0);
    put_much("main/again", 'a', 30000);
    number = lose_object("main/again", &e);
    cr_assert(number != was && e.kind == ENTRY_PACK && e.where == dead.where &&
              e.offset > dead.offset);
    dead.count = 0;
    plant_entry(TABLE_DYING, was, &dead); /* it was killed before it deleted that */
    down_clean(&x);
    repair(&x, 0, &s);
    cr_assert_eq(stored_entry(TABLE_OBJECTS, number, &now), 0, "%s", s.repaired);
    cr_assert(entry_same_place(&now, &e), "offset %u, not %u", now.offset, e.offset);
}

/* A place that a search looks at is no object that the store has. */
Test(lost, what_a_search_cannot_check_is_not_counted)
{
    struct entry e;
    struct said s;
    uint64_t number = lose_object("main/file10", &e);

    lose(TABLE_IDS, e.id.b, ID_LEN);
    plant_entry(TABLE_DYING, number, &e);
    const struct pack_place at = pack_place_of(&e);
    compress_record(x.disk, &at, &e.id, (uint32_t)e.size);
    down_clean(&x);
    repair(&x, 0, &s);
    cr_assert_eq(s.r.found.unasked, 0, "%s", s.found);
}

/* ---- a whole namespace ---- */

static uint8_t row_key[8], row[NS_RECORD_MAX];
static size_t row_len;

static void lose_namespace(void)
{
    put_be64(row_key, vfs_node_ns(node_of(&x, "other/file1")));
    down_clean(&x);
    cr_assert_eq(kv_open_mem(x.mem, store_tables, store_table_count, 0, &x.kv), 0);
    cr_assert_eq(kv_get(x.kv, TABLE_NAMESPACES, row_key, 8, row, sizeof row, &row_len), 0);
    lose(TABLE_NAMESPACES, row_key, 8);
    kv_close(x.kv);
}

static void give_back_namespace(void)
{
    cr_assert_eq(kv_open_mem(x.mem, store_tables, store_table_count, 0, &x.kv), 0);
    put_row(TABLE_NAMESPACES, row_key, 8, row, row_len);
    kv_close(x.kv);
    fixture_open(&x);
    cr_assert_eq(try_read(&x, "other/file1"), 15);
    cr_assert_gt(try_read(&x, "other/file299"), 0);
}

/* Which rows were in a part of the file that could not be read, nobody knows. */
Test(lost, a_repair_after_a_salvage_frees_nothing_of_a_namespace_whose_row_is_lost)
{
    struct findings f;
    struct said s;

    put_much("other/alone", 'o', 300000);
    lose_namespace();
    repair(&x, REPAIR_SALVAGED | REPAIR_ROWS_LOST | REPAIR_FREE_LEAKS, &s);
    cr_assert_not(strstr(s.repaired, "leak|"), "%s", s.repaired);
    repair(&x, 0, &s); /* nor does one later */
    cr_assert_str_empty(s.repaired);
    fixture_open(&x);
    down_clean(&x); /* nor does a mount */
    examine(&x, &f);
    cr_assert_eq(f.r.problems, 0, "%s", f.text);
    give_back_namespace();
    cr_assert_eq(try_read(&x, "other/alone"), 300000);
}

Test(lost, after_a_salvage_a_store_in_use_frees_nothing_either)
{
    struct said s;

    lose_namespace();
    repair(&x, REPAIR_SALVAGED | REPAIR_ROWS_LOST, &s);
    fixture_open(&x);
    refused(&x, "gc grace=0 wait", -EUCLEAN, "");
    refused(&x, "gc grace=0 wait", -EUCLEAN, "");
    refused(&x, "rebuild wait", -EUCLEAN, "");
    cr_assert(strstr(told, "`tally check --repair --free-leaks`"), "%s", told);
    agreed(&x, "scrub wait", " damaged=0 ");
    down_clean(&x);
    give_back_namespace();
}

Test(lost, what_a_salvage_lost_is_given_up_when_that_is_asked_for_later)
{
    struct findings f;
    struct said s;

    lose_namespace();
    repair(&x, REPAIR_SALVAGED | REPAIR_ROWS_LOST, &s);
    repair(&x, REPAIR_FREE_LEAKS | REPAIR_DRY_RUN, &s);
    examine(&x, &f);
    cr_assert(strstr(f.text, "note|the tables|"), "%s", f.text);
    repair(&x, REPAIR_FREE_LEAKS, &s);
    cr_assert(strstr(s.repaired, "note|the tables|"), "%s", s.repaired);
    cr_assert(strstr(s.repaired, "leak|page "), "%s", s.repaired);
    fixture_open(&x);
    agreed(&x, "rebuild wait", "ok ");
    agreed(&x, "gc grace=0 wait", "ok ");
    cr_assert_gt(try_read(&x, "main/file10"), 0);
    finds_nothing();
}
