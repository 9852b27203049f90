// SPDX-License-Identifier: Apache-2.0
/*
 * mounts: the lines of /proc/PID/mountinfo (proc_pid_mountinfo(5)):
 *
 *     36 35 0:42 / /mnt/tally rw,nosuid shared:1 - fuse.tally /srv/store rw,user_id=0
 *     id parent dev root point options tags…     - type       source     of the superblock
 *
 * Blanks, tabs, newlines and backslashes in names are written as three octal digits.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define MOUNTS_SELF "/proc/self/mountinfo"

struct mounts_line {
    uint64_t id;
    char *dev, *root, *point, *options, *type, *source;
    char *of_superblock; /* options; "" if there are none */
};

/* Splits a line in place, and unescapes its names. False: it has another form. */
bool mounts_parse(char *line, struct mounts_line *ret);
/* Undoes in place the three octal digits by which the kernel and mount(8) write some bytes of names
 * in their lists. */
void mounts_unescape(char *s);
