// SPDX-License-Identifier: Apache-2.0
/* Claims about segments that a repair keeps. */
#include "disk_mem.h"
#include "log.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static void segment_of(struct disk *d, char byte)
{
    struct disk_file *f;

    cr_assert_eq(disk_open(d, "log/0000000000000007", DISK_WRITE | DISK_CREATE, &f), 0);
    cr_assert_eq(disk_pwrite(f, &byte, 1, 3 * 4096), 0);
    disk_file_close(f);
}

/* The files that are kept, and the sum of a byte of each. */
struct kept {
    struct disk *d;
    int files, sum;
};

static int add_kept(const char *name, void *ctx)
{
    char path[DISK_NAME_MAX + 1], byte = 0;
    struct kept *k = ctx;
    struct disk_file *f;

    if (strncmp(name, "damaged.", 8) != 0)
        return 0;
    snprintf(path, sizeof path, "log/%s", name);
    cr_assert_eq(disk_open(k->d, path, DISK_READ, &f), 0);
    cr_assert_eq(disk_pread(f, &byte, 1, 3 * 4096), 1);
    disk_file_close(f);
    k->files++;
    k->sum += byte;
    return 0;
}

Test(log_keep, a_segment_is_kept_beside_one_of_the_same_number_that_was_kept_before)
{
    struct fault fault = {0};
    struct kept k = {0};

    cr_assert_eq(disk_mem_create(&fault, 0, &k.d), 0);
    cr_assert_eq(disk_mkdir(k.d, "log"), 0);
    for (char byte = 1; byte <= 2; byte++) {
        segment_of(k.d, byte);
        cr_assert_eq(log_keep(k.d), 0);
        cr_assert_eq(log_keep(k.d), 0, "by the next one, after a repair that was cut off");
        cr_assert_eq(log_remove(k.d), 0);
    }
    cr_assert_eq(disk_list(k.d, "log", add_kept, &k), 0);
    cr_assert_eq(k.files, 2);
    cr_assert_eq(k.sum, 3);
    disk_close(k.d);
}
