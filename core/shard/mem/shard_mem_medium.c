// SPDX-License-Identifier: Apache-2.0
/* shard_mem_medium: files in a hash table by name. */
#include "shard_mem_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Atomic uint64_t media;

void *mem_must(void *p)
{
    if (!p)
        abort();
    return p;
}

struct medium *medium_create(void)
{
    struct medium *m = mem_must(calloc(1, sizeof *m));

    m->number = ++media;
    return m;
}

void medium_destroy(struct medium *m)
{
    for (size_t i = 0; i < MEDIUM_BUCKETS; i++)
        for (struct thing *t = m->bucket[i], *next; t; t = next) {
            next = t->next;
            free(t->data);
            free(t);
        }
    free(m);
}

struct thing **medium_link(struct medium *m, const char *name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

    for (const char *c = name; *c; c++)
        hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
    struct thing **at = &m->bucket[(hash ^ hash >> 32) % MEDIUM_BUCKETS];

    while (*at && strcmp((*at)->name, name) != 0)
        at = &(*at)->next;
    return at;
}

struct thing *medium_find(struct medium *m, const char *name)
{
    struct thing *t = *medium_link(m, name);

    return t && !t->lost ? t : NULL;
}

void medium_lose(struct medium *m, struct thing *t)
{
    m->count--;
    m->used -= t->size;
    t->lost = true;
}

void medium_erase(struct medium *m, struct thing **at)
{
    struct thing *t = *at;

    if (!t->lost)
        medium_lose(m, t);
    *at = t->next;
    free(t->data);
    free(t);
}

void medium_set(struct medium *m, const char *name, uint8_t *data, uint64_t size)
{
    struct thing **at = medium_link(m, name);

    if (*at)
        medium_erase(m, at);
    struct thing *t = mem_must(calloc(1, sizeof *t));

    at = medium_link(m, name);
    t->next = *at;
    snprintf(t->name, sizeof t->name, "%s", name);
    t->data = data;
    t->size = size;
    t->put = m->now;
    *at = t;
    m->count++;
    m->used += size;
}

uint8_t *medium_bytes(const void *data, uint64_t size)
{
    uint8_t *copy = mem_must(malloc(size ? size : 1));

    if (size)
        memcpy(copy, data, size);
    return copy;
}
