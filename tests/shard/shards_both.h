// SPDX-License-Identifier: Apache-2.0
/* shards_both: a shard of each driver, for claims that hold of both. */
#pragma once

#include "shard.h"
#include "shard_mem.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct place {
    char url[64], path[40]; /* path "": in memory */
    struct shard_mem *mem;
};

static inline void place_make(struct place *p, bool dir)
{
    *p = (struct place){0};
    if (!dir) {
        shard_mem_register();
        cr_assert_eq(shard_mem_create("place", NULL, &p->mem), 0);
        strcpy(p->url, "mem:place");
        return;
    }
    strcpy(p->path, "/tmp/tally-shard-XXXXXX");
    cr_assert_not_null(mkdtemp(p->path));
    snprintf(p->url, sizeof p->url, "dir:%s", p->path);
}

static inline void place_unmake(struct place *p)
{
    char command[64];

    shard_mem_destroy(p->mem);
    snprintf(command, sizeof command, "rm -r %s", p->path);
    if (*p->path)
        cr_assert_eq(system(command), 0);
}

static struct shard *opened(const char *url, unsigned flags)
{
    struct shard *s = NULL;
    char why[SHARD_WHY] = "";
    int err = shard_open(url, flags, &s, why);

    cr_assert_eq(err, 0, "%s: %s", url, why);
    return s;
}

/* A claim runs once per driver, each time on an empty place. */
#define BOTH(claim)                                                                                \
    static void claim(struct place *p __attribute__((unused)),                                     \
                      struct shard *s __attribute__((unused)));                                    \
    Test(shard, claim)                                                                             \
    {                                                                                              \
        for (int dir = 0; dir < 2; dir++) {                                                        \
            struct place p;                                                                        \
            place_make(&p, dir);                                                                   \
            struct shard *s = opened(p.url, 0);                                                    \
            claim(&p, s);                                                                          \
            shard_close(s);                                                                        \
            place_unmake(&p);                                                                      \
        }                                                                                          \
    }                                                                                              \
    static void claim(struct place *p __attribute__((unused)),                                     \
                      struct shard *s __attribute__((unused)))

#define PUT_TEXT(s, name, text) shard_put(s, name, text, strlen(text))

static void expect(struct shard *s, const char *name, const char *text)
{
    char buf[4096];
    ssize_t n = shard_get(s, name, buf, sizeof buf);

    cr_assert_eq(n, (ssize_t)strlen(text), "%s: %zd", name, n);
    cr_assert_eq(memcmp(buf, text, strlen(text)), 0);
}
