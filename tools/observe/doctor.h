// SPDX-License-Identifier: Apache-2.0
/*
 * doctor: what looks wrong with a mount, and what to do about it. The checks are pure functions of
 * the facts, in a table in doctor.c; doctor_gather.h gathers these.
 */
#pragma once

#include "strbuf.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct doctor_facts {
    const json_t *stats;  /* .tally/stats.json */
    const char *why;      /* of the state, from the status; "": it is ok */
    const char *store_fs; /* the type of the filesystem that the store is on; "": not known */
    int kernel_major, kernel_minor;
    char uring;           /* the kernel's switch for io_uring: 'Y', 'N', or 0: it has none */
    uint64_t files_limit; /* descriptors that the daemon may have; 0: not known */
    bool in_tmp;          /* the store is below /tmp or /var/tmp */
    bool boots;           /* a line of fstab or a unit mounts it when the machine starts */
    int64_t now;          /* seconds since the epoch */
};

enum doctor_level { DOCTOR_GOOD, DOCTOR_HINT, DOCTOR_BAD };

struct doctor_finding {
    const char *subject; /* static text */
    enum doctor_level level;
    struct strbuf text;   /* a sentence */
    struct strbuf advice; /* what to do; empty: nothing */
};

#define DOCTOR_CHECKS_MAX 32

/* Makes the findings, one for each check that applies. Returns how many. */
size_t doctor_check(const struct doctor_facts *f, struct doctor_finding ret[DOCTOR_CHECKS_MAX]);
void doctor_release(struct doctor_finding *findings, size_t count);
extern const char *const doctor_levels[]; /* the words for them */
