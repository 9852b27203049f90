// SPDX-License-Identifier: Apache-2.0
/* What ns_record.h promises: a record says the same when it is read, and what this version does not
 * know is refused. */
#include "ns_record.h"

#include "bytes.h"
#include "id.h"
#include "key.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER 5

static uint8_t record[NS_RECORD_MAX];
static size_t len;

static struct ns_tail *tail_of(const void *bytes, size_t n)
{
    struct ns_tail *t = malloc(sizeof *t + n);

    cr_assert(t);
    t->len = n;
    memcpy(t->bytes, bytes, n);
    return t;
}

/* A branch with every field. */
static const struct ns_fields branch = {.name = "dev",
                                        .generation = 3,
                                        .root = 9,
                                        .next_ino = 2000,
                                        .ino_end = 3000,
                                        .seq = 77,
                                        .origin = {1, 2, 70},
                                        .base = {1, 2, 75},
                                        .own_ino = 1500,
                                        .time = -5,
                                        .flushed = 6,
                                        .flushes = 7,
                                        .usage = {3, 4},
                                        .frozen = true,
                                        .verify = true,
                                        .branched = true,
                                        .counted = true};

static void write_record(const struct ns_fields *f)
{
    len = ns_record_encode(NUMBER, f, record);
    cr_assert_leq(len, NS_RECORD_MAX);
}

/* Reads what was written, with bytes changed and the checksum made right. */
static int read_record(struct ns_fields *ret)
{
    put_le64(record, id_checksum(record + 8, len - 8, NUMBER));
    return ns_read(NUMBER, record, len, ret);
}

static void is_refused(const char *what)
{
    struct ns_fields f;

    cr_assert_eq(read_record(&f), -EUCLEAN, "%s", what);
    cr_assert(!f.target && !f.tail, "%s", what);
}

/* Sets a byte of the branch's record. */
static void with_byte(size_t at, uint8_t value, const char *what)
{
    write_record(&branch);
    record[at] = value;
    is_refused(what);
}

static void with_number(size_t at, uint64_t value, const char *what)
{
    write_record(&branch);
    put_le64(record + at, value);
    is_refused(what);
}

Test(ns_record, a_record_says_the_same_when_it_is_read)
{
    static const uint8_t kept[] = {1, 0, 0, 0x7f, 2, 0, 'a', 'b'};
    struct ns_fields made[] = {
        branch, {.name = "link", .target = (char *)"to/there", .uid = 8}, {.name = "longest"}};
    uint8_t again[NS_RECORD_MAX];
    struct ns_fields f;

    memset(made[2].name, 'n', VFS_NAME_MAX);
    made[2].target = calloc(1, 4096);
    memset(made[2].target, 't', 4095);
    for (int i = 0; i < 3; i++)
        for (int with_tail = 0; with_tail < 2; with_tail++) {
            if (with_tail)
                made[i].tail = tail_of(kept, sizeof kept);
            write_record(&made[i]);
            cr_assert_eq(ns_read(NUMBER, record, len, &f), 0);
            cr_assert_eq(ns_record_encode(NUMBER, &f, again), len);
            cr_assert_eq(memcmp(again, record, len), 0);
            cr_assert_str_eq(f.name, made[i].name);
            cr_assert_eq(f.base.seq, made[i].base.seq);
            cr_assert_eq(f.tail != NULL, with_tail);
            ns_fields_release(&f);
            cr_assert(!f.target && !f.tail);
        }
    free(made[2].target);
    for (int i = 0; i < 3; i++)
        free(made[i].tail);
}

Test(ns_record, what_this_version_does_not_know_is_refused)
{
    for (unsigned flag = 0x20; flag <= 0x80; flag <<= 1)
        with_byte(9, (uint8_t)flag, "a flag");
    with_byte(8, 4, "a version");
    with_number(24, 3001, "a next number behind the end of the run");
    with_number(88, KEY_INO_MAX + 2, "an end of the run");
    with_number(112, KEY_INO_MAX + 2, "a first own number");
    with_number(96, VFS_NS_MAX + 1, "an origin");
    with_number(120, VFS_NS_MAX + 1, "a base");
    with_number(96, 0, "no origin, at an instant");
    write_record(&branch);
    record[len++] = 'x';
    is_refused("a byte behind the name");
    write_record(&branch);
    record[140] = '/';
    is_refused("a name");
}

Test(ns_record, a_symlink_has_a_target_and_nothing_else_has_one)
{
    const struct ns_fields link = {.name = "link", .target = (char *)"there"};

    write_record(&link);
    record[9] = 0;
    is_refused("a namespace with a target");
    write_record(&(struct ns_fields){.name = "link", .target = (char *)""});
    is_refused("an empty target");
    write_record(&link);
    record[len - 2] = '\0';
    is_refused("a NUL");
    write_record(&link);
    put_le16(record + 136, 4);
    is_refused("a target that is longer than it is said to be");
    for (size_t n = 8; n < len; n++) {
        struct ns_fields f;

        write_record(&link);
        put_le64(record, id_checksum(record + 8, n - 8, NUMBER));
        cr_assert_eq(ns_read(NUMBER, record, n, &f), -EUCLEAN, "%zu", n);
    }
}

static int read_tail(const void *bytes, size_t n)
{
    struct ns_fields f = branch;
    int err;

    f.tail = tail_of(bytes, n);
    write_record(&f);
    free(f.tail);
    err = read_record(&f);
    if (err == 0) {
        cr_assert_eq(f.tail->len, n);
        cr_assert_eq(memcmp(f.tail->bytes, bytes, n), 0);
        ns_fields_release(&f);
    }
    return err;
}

Test(ns_record, a_field_that_need_not_be_known_is_kept_and_another_one_refused)
{
    static uint8_t longest[NS_TAIL_MAX + 1] = {1, 0xfd, 0x0f};

    cr_assert_eq(read_tail("\x01\x00\x00", 3), 0);
    cr_assert_eq(read_tail("\x01\x01\x00x\x7f\x00\x00", 7), 0);
    cr_assert_eq(read_tail("\x80\x00\x00", 3), -EUCLEAN, "it must be known");
    cr_assert_eq(read_tail("\xff\x00\x00", 3), -EUCLEAN);
    cr_assert_eq(read_tail("\x00\x00\x00", 3), -EUCLEAN, "tags begin with 1");
    cr_assert_eq(read_tail("\x02\x00\x00\x01\x00\x00", 6), -EUCLEAN, "they rise");
    cr_assert_eq(read_tail("\x02\x00\x00\x02\x00\x00", 6), -EUCLEAN);
    cr_assert_eq(read_tail("\x01\x02\x00x", 4), -EUCLEAN, "it is cut");
    cr_assert_eq(read_tail("\x01\x00", 2), -EUCLEAN);
    cr_assert_eq(read_tail(longest, NS_TAIL_MAX), 0);
}

/* As version 2 has it: without all that is between, and the target to the end. */
static void age(size_t head, uint8_t version)
{
    memmove(record + head, record + 140, len - 140);
    len -= 140 - head;
    record[8] = version;
}

Test(ns_record, older_records_are_read_and_as_strictly)
{
    struct ns_fields link = {.name = "link", .target = (char *)"there", .flushes = 7}, f;

    for (uint8_t version = 1; version <= 2; version++) {
        write_record(&link);
        age(version == 1 ? 56 : 72, version);
        cr_assert_eq(read_record(&f), 0);
        cr_assert_str_eq(f.target, "there");
        cr_assert_str_eq(f.name, "link");
        cr_assert_eq(f.flushes, version == 1 ? 0 : 7);
        cr_assert_eq(f.ino_end, f.next_ino);
        ns_fields_release(&f);
        record[9] |= 16;
        is_refused("a flag of version 3");
        record[9] = 0;
        is_refused("bytes behind the name of a namespace");
    }
}
