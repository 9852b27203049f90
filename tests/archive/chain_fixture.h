// SPDX-License-Identifier: Apache-2.0
/* chain_fixture.h: an archive in memory, and what claims of chain.h do with it. */
#pragma once

#include "chain.h"
#include "shard_mem.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINEAGE 7

static struct fault fault;
static struct shard_mem *place;
static struct shard *shard;
static char why[SHARD_WHY];

static inline void setup(void)
{
    shard_mem_register();
    cr_assert_eq(shard_mem_create("archive", &fault, &place), 0);
    cr_assert_eq(shard_open("mem:archive", 0, &shard, why), 0);
}

static inline void teardown(void)
{
    shard_close(shard);
    shard_mem_destroy(place);
}

static inline uint64_t asked(void)
{
    uint64_t n = 0;

    for (int call = 0; call < SHARD_MEM_CALLS; call++)
        n += shard_mem_calls(place, (enum shard_mem_call)call);
    return n;
}

static inline struct chain made(uint8_t token, uint64_t hint)
{
    struct archive_claim who = {.host = "host", .boot = "boot", .time = 1000};
    struct chain c;

    who.token[0] = token;
    chain_init(&c, shard, LINEAGE, &who, hint);
    return c;
}

#define EXPECT_POS(pos, e, s)                                                                      \
    cr_assert((pos).epoch == (e) && (pos).serial == (s), "it is %llu-%llu",                        \
              (unsigned long long)(pos).epoch, (unsigned long long)(pos).serial)

/* A chain that has claimed that epoch, and found that end. */
static inline struct chain claimed(uint64_t epoch, uint64_t end_epoch, uint64_t end_serial)
{
    struct chain c = made((uint8_t)epoch, 0);
    struct segment_pos end;

    cr_assert_eq(chain_claim(&c, &end, why), 0, "%s", why);
    cr_assert_eq(c.epoch, epoch);
    EXPECT_POS(end, end_epoch, end_serial);
    return c;
}

static inline int put(struct chain *c, const char *text)
{
    return chain_put(c, text, strlen(text));
}

static inline void put_many(struct chain *c, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        cr_assert_eq(put(c, "segment"), 0);
}

/* Replaces what stands at a place, as damage does. */
static inline void spoil(uint64_t epoch, uint64_t serial, const void *bytes, size_t len)
{
    char name[ARCHIVE_NAME_MAX + 1];

    archive_segment_name(LINEAGE, (struct segment_pos){epoch, serial}, name);
    cr_assert_eq(shard_put(shard, name, bytes, len), 0);
}

static inline ssize_t next(struct segment_pos *pos)
{
    void *bytes = NULL;
    ssize_t n = chain_next(shard, LINEAGE, pos, &bytes);

    free(bytes);
    return n;
}

static inline void expect_next(struct segment_pos *pos, uint64_t epoch, uint64_t serial,
                               const char *text)
{
    void *bytes = NULL;
    ssize_t n = chain_next(shard, LINEAGE, pos, &bytes);

    cr_assert_eq(n, (ssize_t)strlen(text));
    cr_assert_eq(memcmp(bytes, text, strlen(text)), 0);
    EXPECT_POS(*pos, epoch, serial);
    free(bytes);
}

static inline void expect_last(struct segment_pos hint, uint64_t epoch, uint64_t serial)
{
    struct segment_pos pos = {99, 99};

    cr_assert_eq(chain_last(shard, LINEAGE, hint, &pos), 0);
    EXPECT_POS(pos, epoch, serial);
}
