// SPDX-License-Identifier: Apache-2.0
/* both: a disk of each implementation, for claims that hold of both. */
#pragma once

#include "disk.h"
#include "../fixture/dir_disk.h"
#include "disk_mem.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct made {
    struct disk *disk;
    char path[32]; /* "": in memory */
};

static void make(struct made *m, bool dir)
{
    *m = (struct made){0};
    if (!dir) {
        cr_assert_eq(disk_mem_create(NULL, 0, &m->disk), 0);
        return;
    }
    strcpy(m->path, "/tmp/tally-disk-XXXXXX");
    cr_assert_not_null(mkdtemp(m->path));
    cr_assert_eq(dir_disk_open(m->path, 0, &m->disk), 0);
}

static void unmake(struct made *m)
{
    char command[64];

    disk_close(m->disk);
    snprintf(command, sizeof command, "rm -r %s", m->path);
    if (*m->path)
        cr_assert_eq(system(command), 0);
}

/* A claim runs once per implementation, each time on an empty disk. */
#define BOTH(claim)                                                                                \
    static void claim(struct disk *d);                                                             \
    Test(disk, claim)                                                                              \
    {                                                                                              \
        for (int dir = 0; dir < 2; dir++) {                                                        \
            struct made m;                                                                         \
            make(&m, dir);                                                                         \
            claim(m.disk);                                                                         \
            unmake(&m);                                                                            \
        }                                                                                          \
    }                                                                                              \
    static void claim(struct disk *d)

static struct disk_file *create(struct disk *d, const char *name, const char *text)
{
    struct disk_file *f;

    cr_assert_eq(disk_open(d, name, DISK_WRITE | DISK_CREATE, &f), 0);
    cr_assert_eq(disk_pwrite(f, text, strlen(text), 0), 0);
    return f;
}
