// SPDX-License-Identifier: Apache-2.0
#include "names.h"

#include "id.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS_FIRST 1024 /* a power of two, as all later numbers are */

struct node {
    struct node *next;
    uint64_t directory, hash;
    struct named is;
    size_t len;
    char name[];
};

struct names {
    struct node **bucket;
    size_t buckets, count;
};

static uint64_t hash_of(uint64_t directory, const char *name, size_t len)
{
    return id_checksum(name, len, directory);
}

int names_open(struct names **ret_n)
{
    struct names *n = calloc(1, sizeof(*n));
    if (n) {
        n->buckets = BUCKETS_FIRST;
        n->bucket = calloc(n->buckets, sizeof(*n->bucket));
    }
    if (!n || !n->bucket) {
        free(n);
        return -ENOMEM;
    }
    *ret_n = n;
    return 0;
}

void names_close(struct names *n)
{
    if (!n) {
        return;
    }
    for (size_t i = 0; i < n->buckets; i++) {
        while (n->bucket[i]) {
            struct node *node = n->bucket[i];
            n->bucket[i] = node->next;
            free(node);
        }
    }
    free(n->bucket);
    free(n);
}

/* The pointer that leads to the name, or to the end of its bucket. */
static struct node **place_of(const struct names *n, uint64_t directory, const char *name,
                              size_t len)
{
    uint64_t hash = hash_of(directory, name, len);
    struct node **at = &n->bucket[hash & (n->buckets - 1)];
    while (*at && ((*at)->hash != hash || (*at)->directory != directory || (*at)->len != len ||
                   memcmp((*at)->name, name, len) != 0)) {
        at = &(*at)->next;
    }
    return at;
}

struct named *names_find(const struct names *n, uint64_t directory, const char *name, size_t len)
{
    struct node *node = *place_of(n, directory, name, len);
    return node ? &node->is : NULL;
}

/* Doubles the table. Without memory it stays as it is. */
static void grow(struct names *n)
{
    struct node **more = calloc(2 * n->buckets, sizeof(*more));
    if (!more) {
        return;
    }
    for (size_t i = 0; i < n->buckets; i++) {
        while (n->bucket[i]) {
            struct node *node = n->bucket[i];
            struct node **to = &more[node->hash & (2 * n->buckets - 1)];
            n->bucket[i] = node->next;
            node->next = *to;
            *to = node;
        }
    }
    free(n->bucket);
    n->bucket = more;
    n->buckets *= 2;
}

int names_put(struct names *n, uint64_t directory, const char *name, size_t len,
              const struct named *is)
{
    struct node **at = place_of(n, directory, name, len);
    if (!*at) {
        struct node *node = malloc(sizeof(*node) + len);
        if (!node) {
            return -ENOMEM;
        }
        *node = (struct node){.directory = directory, .len = len};
        node->hash = hash_of(directory, name, len);
        memcpy(node->name, name, len);
        *at = node;
        n->count++;
    }
    (*at)->is = *is;
    if (n->count > n->buckets) {
        grow(n);
    }
    return 0;
}

void names_remove(struct names *n, uint64_t directory, const char *name, size_t len)
{
    struct node **at = place_of(n, directory, name, len), *node = *at;
    if (node) {
        *at = node->next;
        free(node);
        n->count--;
    }
}
