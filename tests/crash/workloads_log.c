// SPDX-License-Identifier: Apache-2.0
/*
 * workloads_log: more of workloads.c: what the log has, packs that fill up, flushes that fail, and
 * what the seed decides.
 */
#include "crash.h"
#include <string.h>

#define KIB ((size_t)1024)

/* What fsync acknowledged, and names that change beside it. */
void workload_synced(void)
{
    op_write(0, "f0", 0, 900, 1);
    op_write(0, "f1", 0, 5000, 2);
    op_sync();
    op_write(0, "tmp", 0, 3000, 3);
    op_sync();
    op_rename(0, "tmp", "f1");
    op_xattr(0, "f1", 3000, 4);
    op_sync();
    op_unlink(0, "f0");
    op_truncate(0, "f1", 700);
    op_sync();
    op_flush();
    op_write(0, "f1", 600, 500, 5); /* sealed: a new content with the old bytes */
    op_write(0, "tmp", 0, 4000, 6); /* not synced before it replaces */
    op_rename(0, "tmp", "f1");
    op_sync();
    op_write(0, "f1", 4000, 100, 7);
    op_drain(false);
    op_write(0, "f1", 4100, 100, 8);
    op_sync();
    op_unlink(0, "f1");
    op_sync();
}

/* A segment each for most of the frames; the commit comes late. */
void workload_rolled(void)
{
    for (unsigned i = 0; i < 6; i++) {
        char name[8];
        snprintf(name, sizeof name, "f%u", i % 4);
        op_write(0, name, 0, (90 + i) * KIB, i);
        if (i % 2)
            op_sync();
    }
    op_flush();
    for (unsigned i = 0; i < 3; i++) {
        op_write(0, "f0", 0, 100 * KIB, 10 + i);
        op_sync();
    }
    op_truncate(0, "f1", 10);
    op_sync();
}

/* From the log to a slot, and what fsync said of a slot. */
void workload_spilled(void)
{
    w.loose = true;
    op_write(0, "s", 0, 100 * KIB, 1);
    op_sync();
    op_write(0, "s", 100 * KIB, 60 * KIB, 2);
    op_sync();
    op_write(0, "s", 160 * KIB, 50 * KIB, 3);
    op_write(0, "s", 10 * KIB, 10 * KIB, 4);
    op_sync();
    op_truncate(0, "s", 140 * KIB);
    op_sync();
    op_write(0, "s", 140 * KIB, 5 * KIB, 5);
    op_write(0, "t", 0, 150 * KIB, 6);
    op_unlink(0, "s");
    op_sync();
    op_advance(60000);
    op_flush();
    op_write(0, "t", 20 * KIB, 100, 7);
    op_sync();
    op_unlink(0, "t");
    op_sync();
    op_drain(false);
}

/* A dying object is found again by its bytes, and frames name it by its own number. */
void workload_revived(void)
{
    op_write(0, "a", 0, 4000, 1);
    op_write(0, "big", 0, 150 * KIB, 2);
    op_drain(false);
    op_unlink(0, "a");
    op_unlink(0, "big");
    op_sync();
    op_write(0, "b", 0, 4000, 1);
    op_write(0, "big2", 0, 150 * KIB, 2);
    op_short_of_memory(); /* seals: aliases of the dying */
    op_write(0, "x", 0, 30 * KIB, 3);
    op_write(0, "y", 0, 30 * KIB, 4);
    op_rename(0, "b", "c");
    op_sync();
    op_link(0, "c", 0, "d");
    op_truncate(0, "big2", 149 * KIB);
    op_sync();
    op_unlink(0, "c");
    op_sync();
    op_drain(false);
}

/* Namespaces and files without a name, with nothing but the log. */
void workload_logged(void)
{
    op_write(0, "f", 0, 3000, 1);
    op_branch(0, 1);
    op_sync();
    op_write(1, "f", 1000, 3000, 2);
    op_write(0, "g", 0, 100, 3);
    op_rename_space(1, 2, false);
    op_create_space(1);
    op_sync();
    op_link(2, "f", 1, "l");
    op_share(2, "f", 1, "s");
    op_rename_space(1, 2, true);
    op_sync();
    op_open(0, 0, "f");
    op_unlink(0, "f");
    op_sync();
    op_write_open(0, 0, 5000, 4);
    op_sync();
    op_close(0);
    op_drop(2);
    op_sync();
    op_branch(1, 2);
    op_drop(1);
    op_drop(0);
    op_create_space(0);
    op_write(0, "f", 0, 10, 5);
    op_sync();
}

/* Whatever comes: the seed decides. */
void workload_chance(void)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    static const size_t sizes[] = {10, 3000, 60 * KIB, 140 * KIB, 300 * KIB};

    for (unsigned i = 0; i < 70; i++) {
        const char *name = names[fault_random(&w.rng) % 4];
        bool there = false;
        size_t size = sizes[fault_random(&w.rng) % 5];
        uint64_t what = fault_random(&w.rng) % 12;
        unsigned value = (unsigned)(fault_random(&w.rng) % 3);
        for (size_t f = 0; f < w.live.files; f++)
            there |= w.live.file[f].space == 0 && !strcmp(w.live.file[f].name, name);
        if (!there || what < 3) {
            op_write(0, "tmp", 0, size, value);
            op_rename(0, "tmp", name);
        } else if (what < 5) {
            op_unlink(0, name);
        } else if (what < 7) {
            op_drain(false);
            op_write(0, name, size, 100 + size / 4, value);
        } else if (what == 7) {
            op_truncate(0, name, size);
            op_drain(false);
            op_punch(0, name, size / 3, size / 2);
        } else if (what == 8) {
            w.live.space[1] ? op_drop(1) : op_branch(0, 1);
        } else if (what == 9) {
            op_drain(what & 1);
        } else if (what == 10) {
            op_flush();
        } else {
            op_sync();
        }
    }
    op_drain(true);
}

/* Packs of 200 KiB fill up, lose records, and go. */
void workload_packed(void)
{
    for (unsigned i = 0; i < 7; i++) {
        char name[8];
        snprintf(name, sizeof name, "p%u", i);
        op_write(0, name, 0, 70 * KIB, i);
        if (i == 2)
            op_begin_flush(); /* the pack goes on in the next flush */
        else if (i % 2)
            op_flush();
    }
    op_drain(false);
    op_unlink(0, "p0"); /* holes in one pack, another one empty */
    op_unlink(0, "p3");
    op_unlink(0, "p4");
    op_flush();
    op_write(0, "p5", 0, 100, 10);
    op_sync();
    op_unlink(0, "p1");
    op_unlink(0, "p2");
    op_write(0, "q", 0, 100 * KIB, 11);
    op_drain(false);
    op_unlink(0, "p6");
    op_drain(true);
}

/* A flush that fails is given up, and what it has is committed with the next one's. */
void workload_merged(void)
{
    op_flush_retry(0);
    op_write(0, "a", 0, 3000, 1);
    op_write(0, "big", 0, 200 * KIB, 2);
    op_begin_flush();
    op_write(0, "a", 1000, 100, 3);
    op_sync();
    op_begin_flush();
    op_unlink(0, "big");
    op_write(0, "b", 0, 3000, 1);
    op_commit_full(); /* the first one's */
    op_flush();
    op_rename(0, "b", "a");
    op_given_up(1);
    op_flush(); /* of the first two, and of one more */
    op_write(0, "c", 0, 5000, 4);
    op_branch(0, 1);
    op_begin_flush();
    op_write(1, "c", 0, 150 * KIB, 5);
    op_begin_flush();
    op_drop(1);
    op_commit_full();
    op_flush();
    op_given_up(2);
    op_commit_full(); /* of two: given up again */
    op_flush();
    op_given_up(3);
    op_flush_retry(1);
    op_commit_full(); /* tried again */
    op_flush();
    op_write(0, "c", 10, 10, 6);
    op_sync();
    op_flush();
    op_drain(true);
}

/* Small appends to a slot, each with fsync; and what else may come between. */
void workload_appends(void)
{
    size_t at = 130 * KIB;

    w.loose = true;
    op_write(0, "a", 0, 127 * KIB, 1);
    for (unsigned i = 0; i < 4; i++) { /* beyond what the log carries */
        op_write(0, "a", 127 * KIB + i * KIB, KIB, 2 + i);
        op_sync();
    }
    at = 131 * KIB;
    for (unsigned i = 0; i < 6; i++, at += 700) {
        op_write(0, "a", at, 700, 10 + i);
        if (i % 3)
            op_sync();
    }
    op_flush();
    op_write(0, "a", at, 5000, 20);
    op_write(0, "a", 130 * KIB, 2000, 21); /* over what was appended */
    op_sync();
    op_write(0, "a", 100, 10, 22);
    op_write(0, "a", at + 5000, 100, 23);
    op_sync();
    op_truncate(0, "a", at + 50);
    op_write(0, "a", at + 50, 60, 24);
    op_sync();
    op_branch(0, 1);
    op_write(0, "a", at + 110, 300, 25);
    op_write(1, "a", at + 110, 500, 26);
    op_sync();
    op_truncate(1, "a", 129 * KIB);
    op_write(1, "a", 129 * KIB, 40, 27);
    op_sync();
    op_flush();
    op_write(0, "a", at + 410, 20, 28);
    op_sync();
    op_advance(60000);
    op_flush(); /* sealed */
    op_write(0, "a", at + 430, 4000, 29);
    op_sync();
    op_write(0, "a", at + 4430, 100, 30);
    op_drop(1);
    op_sync();
    op_drain(true);
}

static bool has(size_t space, const char *name)
{
    for (size_t f = 0; f < w.live.files; f++)
        if (w.live.file[f].space == space && !strcmp(w.live.file[f].name, name))
            return true;
    return false;
}

static size_t size_of(size_t space, const char *name)
{
    for (size_t f = 0; f < w.live.files; f++)
        if (w.live.file[f].space == space && !strcmp(w.live.file[f].name, name))
            return w.live.file[f].bytes->len;
    return 0;
}

/* Slots that grow, change and shrink, between syncs and flushes: the seed decides. */
void workload_slots(void)
{
    static const char *const names[] = {"a", "b", "c"};
    static const size_t sizes[] = {1, 700, 5000, 40 * KIB, 140 * KIB};

    w.loose = true;
    for (unsigned i = 0; i < 60; i++) {
        size_t s = w.live.space[1] ? fault_random(&w.rng) % 2 : 0;
        const char *name = names[fault_random(&w.rng) % 3];
        uint64_t what = fault_random(&w.rng) % 20;
        size_t size = sizes[fault_random(&w.rng) % 5], len = size_of(s, name);
        size_t at = len ? fault_random(&w.rng) % len : 0;
        unsigned value = (unsigned)(fault_random(&w.rng) % 1000);

        if (!has(s, name))
            op_write(s, name, 0, 120 * KIB + size, value);
        else if (what < 6)
            op_write(s, name, len, what < 4 ? size % (6 * KIB) + 1 : size, value);
        else if (what < 8)
            op_write(s, name, at, size, value);
        else if (what == 8)
            op_truncate(s, name, at + 1);
        else if (what == 9)
            op_truncate(s, name, len + size);
        else if (what == 10)
            op_punch(s, name, at, size);
        else if (what == 11)
            op_rename(s, name, names[value % 3] == name ? "d" : names[value % 3]);
        else if (what == 12 && value % 2)
            op_unlink(s, name);
        else if (what == 12)
            w.live.space[1] ? op_drop(1) : op_branch(0, 1);
        else if (what == 13)
            op_advance(60000);
        else if (what == 14)
            op_begin_flush();
        else if (what == 15)
            op_flush();
        else if (what == 16 && value % 4 == 0)
            op_drain(value % 8 == 0);
        else
            op_sync();
    }
    op_drain(true);
}
