// SPDX-License-Identifier: Apache-2.0
/* nodes: see the header. The map has the address of each node. */
#include "nodes.h"

#include "lock.h"
#include "map64.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct node {
    uint64_t nlookup;
    size_t len;
    char data[];
};

struct nodes {
    struct mutex lock; /* "nodes" */
    struct map64 map;  /* guarded by: lock */
};

int nodes_create(struct nodes **ret_n)
{
    struct nodes *n = calloc(1, sizeof(*n));
    if (!n)
        return -ENOMEM;
    mutex_init(&n->lock, "nodes");
    *ret_n = n;
    return 0;
}

void nodes_destroy(struct nodes *n)
{
    uint64_t key, address;
    size_t at = 0;
    if (!n)
        return;
    while (map64_next(&n->map, &at, &key, &address))
        free((struct node *)(uintptr_t)address);
    map64_release(&n->map);
    mutex_destroy(&n->lock);
    free(n);
}

static struct node *find_node(struct nodes *n, uint64_t key)
{
    uint64_t address = 0;
    mutex_held(&n->lock);
    (void)map64_get(&n->map, key, &address);
    return (struct node *)(uintptr_t)address;
}

int nodes_take(struct nodes *n, uint64_t key, const void *data, size_t len)
{
    MUTEX_GUARD(&n->lock);
    struct node *e = find_node(n, key);
    if (e) {
        if (e->len != len || memcmp(e->data, data, len) != 0)
            return -EEXIST;
        e->nlookup++;
        return 0;
    }
    e = malloc(sizeof(*e) + len);
    if (!e)
        return -ENOMEM;
    *e = (struct node){.nlookup = 1, .len = len};
    memcpy(e->data, data, len);
    int err = map64_put(&n->map, key, (uintptr_t)e);
    if (err < 0)
        free(e);
    return err;
}

void nodes_forget(struct nodes *n, uint64_t key, uint64_t count)
{
    MUTEX_GUARD(&n->lock);
    struct node *e = find_node(n, key);
    if (!e)
        return;
    if (e->nlookup > count) {
        e->nlookup -= count;
        return;
    }
    (void)map64_del(&n->map, key);
    free(e);
}

ssize_t nodes_get(struct nodes *n, uint64_t key, void *data, size_t cap)
{
    MUTEX_GUARD(&n->lock);
    const struct node *e = find_node(n, key);
    if (!e)
        return -ESTALE;
    memcpy(data, e->data, e->len < cap ? e->len : cap);
    return (ssize_t)e->len;
}
