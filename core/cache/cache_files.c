// SPDX-License-Identifier: Apache-2.0
/*
 * cache_files: which files are open, or have blocks that are kept. The size of such a file is
 * known, so that it can be opened again without a request.
 */
#include "cache_impl.h"

#include "id.h"

#include <stdlib.h>
#include <string.h>

static uint64_t hash_of(uint32_t tag, const char *name)
{
    uint64_t hash = id_checksum(name, strlen(name), tag);

    return hash ? hash : 1; /* a map64 has no key 0 */
}

static struct cache_file *first_of(struct cache *c, uint64_t hash)
{
    uint64_t value = 0;

    mutex_held(&c->lock);
    return map64_get(&c->files, hash, &value) ? (struct cache_file *)(uintptr_t)value : NULL;
}

struct cache_file *file_find(struct cache *c, uint32_t tag, const char *name)
{
    struct cache_file *f = first_of(c, hash_of(tag, name));

    while (f && (f->tag != tag || strcmp(f->name, name) != 0))
        f = f->next;
    return f;
}

struct cache_file *file_add(struct cache *c, uint32_t tag, const char *name, uint64_t size)
{
    size_t len = strlen(name) + 1;
    struct cache_file *f = calloc(1, sizeof *f + len);

    if (!f)
        return NULL;
    memcpy(f->name, name, len);
    f->hash = hash_of(tag, name);
    f->next = first_of(c, f->hash);
    f->tag = tag;
    f->size = size;
    f->serial = ++c->serials;
    f->opens = 1;
    if (map64_put(&c->files, f->hash, (uintptr_t)f) < 0) {
        free(f);
        return NULL;
    }
    return f;
}

void file_release(struct cache *c, struct cache_file *f)
{
    struct cache_file *first = first_of(c, f->hash), **at = &first;

    if (f->opens || f->blocks)
        return;
    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    if (first)
        (void)map64_put(&c->files, f->hash, (uintptr_t)first); /* the key is there: no memory */
    else
        (void)map64_del(&c->files, f->hash);
    free(f);
}
