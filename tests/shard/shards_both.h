// SPDX-License-Identifier: Apache-2.0
/*
 * shards_both: a shard of each driver, for claims that hold of all: of a directory and one in
 * memory; or, where the environment has TALLY_ENGINES, of each URL in it. These URLs are separated by
 * spaces. Each claim gets a place of its own in them: a new prefix, or a new namespace.
 */
#pragma once

#include "engines.h"
#include "shard.h"
#include "shard_mem.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct place {
    char url[SHARD_URL_MAX + 1], path[40]; /* path "": it is no directory */
    struct shard_mem *mem;
};

/* The nth URL of TALLY_ENGINES, with a new part behind its place. False: there are not as many. */
static inline bool place_engine(unsigned nth, char url[SHARD_URL_MAX + 1])
{
    const char *at = getenv("TALLY_ENGINES");
    size_t len, place;

    for (at = at ? at : ""; *(at += strspn(at, " ")); at += len, nth--) {
        len = strcspn(at, " ");
        place = strcspn(at, "? ");
        if (nth == 0)
            return snprintf(url, SHARD_URL_MAX + 1, "%.*s/claim-%d-%u%.*s", (int)place, at, getpid(),
                            (unsigned)random(), (int)(len - place), at + place) > 0;
    }
    return false;
}

enum { PLACE_MEM, PLACE_DIR, PLACE_ENGINES };

/* Which is the kind of place after `kind`? -1: there is none. */
static inline int place_next(int kind)
{
    char url[SHARD_URL_MAX + 1];

    if (kind < 0)
        return getenv("TALLY_ENGINES") ? PLACE_ENGINES : PLACE_MEM;
    if (kind < PLACE_ENGINES)
        return kind == PLACE_MEM ? PLACE_DIR : -1;
    return place_engine((unsigned)(kind + 1 - PLACE_ENGINES), url) ? kind + 1 : -1;
}

static inline void place_make(struct place *p, int kind)
{
    *p = (struct place){0};
    if (kind >= PLACE_ENGINES) {
        engines_register();
        cr_assert(place_engine((unsigned)(kind - PLACE_ENGINES), p->url));
        return;
    }
    if (kind == PLACE_MEM) {
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
    if (*p->path) /* what claims leave on an engine goes with the engine */
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
        for (int kind = place_next(-1); kind >= 0; kind = place_next(kind)) {                      \
            struct place p;                                                                        \
            place_make(&p, kind);                                                                  \
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
