// SPDX-License-Identifier: Apache-2.0
/*
 * nodes: a chained hash table that doubles when there are more entries than chains.
 */
#include "nodes.h"

#include "lock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BITS 8

struct node {
    struct node *next;
    uint64_t key, nlookup;
    size_t len;
    char data[];
};

struct nodes {
    struct mutex lock; /* "nodes" */
    /* The rest is guarded by: lock */
    struct node **chains;
    unsigned bits; /* there are 2^bits chains */
    size_t count;
};

int nodes_create(struct nodes **ret_n)
{
    struct nodes *n = calloc(1, sizeof(*n));
    if (!n)
        return -ENOMEM;
    n->bits = FIRST_BITS;
    n->chains = calloc((size_t)1 << n->bits, sizeof(struct node *));
    if (!n->chains) {
        free(n);
        return -ENOMEM;
    }
    mutex_init(&n->lock, "nodes");
    *ret_n = n;
    return 0;
}

void nodes_destroy(struct nodes *n)
{
    if (!n)
        return;
    for (size_t i = 0; i < (size_t)1 << n->bits; i++) {
        while (n->chains[i]) {
            struct node *gone = n->chains[i];
            n->chains[i] = gone->next;
            free(gone);
        }
    }
    mutex_destroy(&n->lock);
    free(n->chains);
    free(n);
}

/* Multiplicative hashing: the constant is 2^64 divided by the golden ratio (Knuth). */
static size_t chain_of(uint64_t key, unsigned bits)
{
    return (size_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - bits));
}

/* Finds the link to the node of `key`. It points to NULL, at the end of the chain, if there is
 * none. */
static struct node **find_node(struct nodes *n, uint64_t key)
{
    mutex_held(&n->lock);
    struct node **at = &n->chains[chain_of(key, n->bits)];
    while (*at && (*at)->key != key)
        at = &(*at)->next;
    return at;
}

/* Doubles the number of chains. Without memory the chains only get longer. */
static void grow(struct nodes *n)
{
    mutex_held(&n->lock);
    const unsigned bits = n->bits + 1;
    struct node **chains = calloc((size_t)1 << bits, sizeof(struct node *));
    if (!chains)
        return;
    for (size_t i = 0; i < (size_t)1 << n->bits; i++) {
        while (n->chains[i]) {
            struct node *e = n->chains[i];
            n->chains[i] = e->next;
            e->next = chains[chain_of(e->key, bits)];
            chains[chain_of(e->key, bits)] = e;
        }
    }
    free(n->chains);
    n->chains = chains;
    n->bits = bits;
}

int nodes_take(struct nodes *n, uint64_t key, const void *data, size_t len)
{
    MUTEX_GUARD(&n->lock);
    struct node **at = find_node(n, key);
    struct node *e = *at;
    if (e) {
        if (e->len != len || memcmp(e->data, data, len) != 0)
            return -EEXIST;
        e->nlookup++;
        return 0;
    }
    e = malloc(sizeof(*e) + len);
    if (!e)
        return -ENOMEM;
    *e = (struct node){.key = key, .nlookup = 1, .len = len};
    memcpy(e->data, data, len);
    *at = e;
    if (++n->count > (size_t)1 << n->bits)
        grow(n);
    return 0;
}

void nodes_forget(struct nodes *n, uint64_t key, uint64_t count)
{
    MUTEX_GUARD(&n->lock);
    struct node **at = find_node(n, key);
    struct node *e = *at;
    if (!e)
        return;
    if (e->nlookup > count) {
        e->nlookup -= count;
        return;
    }
    *at = e->next;
    n->count--;
    free(e);
}

ssize_t nodes_get(struct nodes *n, uint64_t key, void *data, size_t cap)
{
    MUTEX_GUARD(&n->lock);
    const struct node *e = *find_node(n, key);
    if (!e)
        return -ESTALE;
    memcpy(data, e->data, e->len < cap ? e->len : cap);
    return (ssize_t)e->len;
}
