// SPDX-License-Identifier: Apache-2.0
#include "floor_mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define ROOT_ID 1
#define SIZE_MAX_FILE ((uint64_t)1 << 40)

static struct node *root;

struct timespec mem_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME_COARSE, &t);
    return t;
}

struct node *mem_node(uint64_t nodeid)
{
    return nodeid == ROOT_ID ? root : (struct node *)(uintptr_t)nodeid;
}

uint64_t mem_id(const struct node *n)
{
    return n == root ? ROOT_ID : (uintptr_t)n;
}

int mem_start(void)
{
    root = mem_new(S_IFDIR | 0755, 0, 0);
    if (root == NULL)
        return -ENOMEM;
    root->parent = root;
    root->st.st_ino = ROOT_ID;
    return 0;
}

/* ---- nodes ---- */

struct node *mem_new(mode_t mode, uid_t uid, gid_t gid)
{
    struct node *n = calloc(1, sizeof(*n));
    if (n == NULL)
        return NULL;
    pthread_rwlock_init(&n->lock, NULL);
    n->st = (struct stat){
        .st_ino = (uintptr_t)n,
        .st_mode = mode,
        .st_nlink = S_ISDIR(mode) ? 2 : 1,
        .st_uid = uid,
        .st_gid = gid,
        .st_blksize = 4096,
        .st_mtim = mem_now(),
    };
    n->st.st_atim = n->st.st_ctim = n->st.st_mtim;
    return n;
}

static void free_names(struct node *n)
{
    for (uint32_t i = 0; i < n->slot_count; i++)
        free(n->slots[i]);
    free(n->slots);
    free(n->buckets);
}

static void node_free(struct node *n)
{
    if (S_ISREG(n->st.st_mode))
        mem_cut(n, 0);
    else if (S_ISDIR(n->st.st_mode))
        free_names(n);
    else
        free(n->target);
    pthread_rwlock_destroy(&n->lock);
    free(n);
}

void mem_drop(struct node *n, uint64_t lookups, bool unnamed)
{
    if (n == root)
        return;
    pthread_rwlock_wrlock(&n->lock);
    n->lookups -= lookups < n->lookups ? lookups : n->lookups;
    if (unnamed) {
        n->st.st_nlink -= S_ISDIR(n->st.st_mode) ? n->st.st_nlink : 1;
        n->st.st_ctim = mem_now();
    }
    const bool gone = n->lookups == 0 && n->st.st_nlink == 0;
    pthread_rwlock_unlock(&n->lock);
    if (gone)
        node_free(n);
}

void mem_take(struct node *n, struct stat *ret)
{
    pthread_rwlock_wrlock(&n->lock);
    n->lookups++;
    *ret = n->st;
    pthread_rwlock_unlock(&n->lock);
}

/* ---- names ---- */

static uint32_t hash_of(const char *text, size_t len)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)text[i]) * 16777619u;
    return h;
}

static struct name **bucket_of(const struct node *dir, uint32_t hash)
{
    return &dir->buckets[hash & (dir->bucket_count - 1)];
}

struct name *mem_find(struct node *dir, const char *text)
{
    const size_t len = strlen(text);
    const uint32_t hash = hash_of(text, len);
    if (dir->names == 0)
        return NULL;
    struct name *e = *bucket_of(dir, hash);
    while (e != NULL && (e->hash != hash || e->len != len || memcmp(e->text, text, len) != 0))
        e = e->next;
    return e;
}

/* Room for one more, with no more names than buckets. */
static int grow(struct node *dir)
{
    if (dir->slot_count == dir->slot_room) {
        const uint32_t room = dir->slot_room == 0 ? 8 : 2 * dir->slot_room;
        struct name **v = realloc(dir->slots, room * sizeof(struct name *));
        if (v == NULL)
            return -ENOMEM;
        dir->slots = v;
        dir->slot_room = room;
    }
    if (dir->names < dir->bucket_count)
        return 0;
    const uint32_t count = dir->bucket_count == 0 ? 8 : 2 * dir->bucket_count;
    struct name **v = calloc(count, sizeof(struct name *));
    if (v == NULL)
        return -ENOMEM;
    free(dir->buckets);
    dir->buckets = v;
    dir->bucket_count = count;
    for (uint32_t i = 0; i < dir->slot_count; i++) {
        struct name *e = dir->slots[i];
        if (e == NULL)
            continue;
        e->next = *bucket_of(dir, e->hash);
        *bucket_of(dir, e->hash) = e;
    }
    return 0;
}

int mem_add(struct node *dir, const char *text, struct node *n)
{
    const size_t len = strlen(text);
    struct name *e = grow(dir) == 0 ? malloc(sizeof(*e) + len + 1) : NULL;
    if (e == NULL)
        return -ENOMEM;
    e->hash = hash_of(text, len);
    e->node = n;
    e->len = len;
    memcpy(e->text, text, len + 1);
    e->slot = dir->slot_count;
    dir->slots[dir->slot_count++] = e;
    e->next = *bucket_of(dir, e->hash);
    *bucket_of(dir, e->hash) = e;
    dir->names++;
    dir->st.st_nlink += S_ISDIR(n->st.st_mode);
    dir->st.st_mtim = dir->st.st_ctim = mem_now();
    return 0;
}

void mem_remove(struct node *dir, struct name *name)
{
    struct name **at = bucket_of(dir, name->hash);
    while (*at != name)
        at = &(*at)->next;
    *at = name->next;
    dir->slots[name->slot] = NULL;
    while (dir->slot_count > 0 && dir->slots[dir->slot_count - 1] == NULL)
        dir->slot_count--;
    dir->names--;
    dir->st.st_nlink -= S_ISDIR(name->node->st.st_mode);
    dir->st.st_mtim = dir->st.st_ctim = mem_now();
    free(name);
}

/* ---- bytes ---- */

static const struct piece *piece_at(const struct node *n, size_t i)
{
    static const struct piece none;
    if (i == 0)
        return &n->first;
    return i <= n->more_count ? &n->more[i - 1] : &none;
}

/* The first piece, as long as it is short, is of the heap; later ones are not copied when they
 * grow. */
static int first_grow(struct piece *p, size_t start, size_t end)
{
    size_t room = end > 2 * p->room ? end : 2 * p->room;
    if (room > PIECE / 8)
        room = PIECE;
    char *v = room < PIECE ? malloc(room)
                           : mmap(NULL, PIECE, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (v == NULL || v == MAP_FAILED)
        return -ENOMEM;
    if (room == PIECE)
        (void)madvise(v, PIECE, MADV_HUGEPAGE);
    if (p->room > 0)
        memcpy(v, p->bytes, p->room);
    free(p->bytes);
    if (start > p->room && room < PIECE)
        memset(v + p->room, 0, start - p->room);
    if (room < PIECE)
        memset(v + end, 0, room - end);
    *p = (struct piece){.bytes = v, .room = room};
    return 0;
}

/* The piece `i` with room for [start, end). */
static int piece_for(struct node *n, size_t i, size_t start, size_t end, struct piece **ret)
{
    if (i > n->more_count) {
        const size_t count = i > 2 * n->more_count ? i : 2 * n->more_count;
        struct piece *v = realloc(n->more, count * sizeof(*v));
        if (v == NULL)
            return -ENOMEM;
        memset(v + n->more_count, 0, (count - n->more_count) * sizeof(*v));
        n->more = v;
        n->more_count = count;
    }
    struct piece *p = i == 0 ? &n->first : &n->more[i - 1];
    *ret = p;
    if (end <= p->room)
        return 0;
    return first_grow(p, start, i == 0 ? end : PIECE);
}

int mem_write(struct node *n, const char *buf, size_t len, uint64_t off)
{
    struct piece *p;
    if (off + len > SIZE_MAX_FILE)
        return -EFBIG;
    for (size_t done = 0, part; done < len; done += part) {
        const size_t start = (off + done) % PIECE;
        part = len - done < PIECE - start ? len - done : PIECE - start;
        int r = piece_for(n, (off + done) / PIECE, start, start + part, &p);
        if (r < 0)
            return r;
        memcpy(p->bytes + start, buf + done, part);
    }
    if (off + len > (uint64_t)n->st.st_size)
        n->st.st_size = (off_t)(off + len);
    n->st.st_blocks = (n->st.st_size + 511) / 512;
    n->st.st_mtim = n->st.st_ctim = mem_now();
    return 0;
}

const char *mem_bytes(const struct node *n, size_t len, uint64_t off)
{
    const struct piece *p = piece_at(n, off / PIECE);
    return off % PIECE + len <= p->room ? p->bytes + off % PIECE : NULL;
}

void mem_read(const struct node *n, char *buf, size_t len, uint64_t off)
{
    for (size_t done = 0, part; done < len; done += part) {
        const size_t start = (off + done) % PIECE;
        const struct piece *p = piece_at(n, (off + done) / PIECE);
        part = len - done < PIECE - start ? len - done : PIECE - start;
        const size_t there = start >= p->room ? 0 : p->room - start;
        const size_t copied = part < there ? part : there;
        if (copied > 0)
            memcpy(buf + done, p->bytes + start, copied);
        memset(buf + done + copied, 0, part - copied);
    }
}

static void piece_cut(struct piece *p, size_t from)
{
    if (from > 0) {
        if (from < p->room)
            memset(p->bytes + from, 0, p->room - from);
        return;
    }
    if (p->room == PIECE)
        munmap(p->bytes, PIECE);
    else
        free(p->bytes);
    *p = (struct piece){0};
}

void mem_cut(struct node *n, uint64_t size)
{
    const size_t last = size / PIECE; /* is cut at size % PIECE, all behind it go */
    for (size_t i = last; i <= n->more_count && size < (uint64_t)n->st.st_size; i++)
        piece_cut(i == 0 ? &n->first : &n->more[i - 1], i == last ? size % PIECE : 0);
    if (size == 0) {
        free(n->more);
        n->more = NULL;
        n->more_count = 0;
    }
    n->st.st_size = (off_t)size;
    n->st.st_blocks = (n->st.st_size + 511) / 512;
    n->st.st_mtim = n->st.st_ctim = mem_now();
}
