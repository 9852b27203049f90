// SPDX-License-Identifier: Apache-2.0
/*
 * shard_mem: a place has a medium, and the medium has files in a hash table by name. A lost file
 * stays in it, for SHARD_MEM_BOASTS. A test that runs out of memory is aborted.
 */
#include "shard_mem.h"

#include "lock.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 4096
#define NAME_MAX_ 63 /* bytes of the name of a place */

struct thing {
    struct thing *next;
    char name[DISK_NAME_MAX + 1];
    uint8_t *data;
    uint64_t size;
    bool lost;
};

struct medium {
    uint64_t number; /* never used again */
    uint64_t count, used;
    struct thing *bucket[BUCKETS];
};

struct shard_mem {
    struct shard_mem *next;
    char name[NAME_MAX_ + 1];
    struct fault *fault;
    struct mutex lock; /* "shard mem": guards all fields below but `opened`; a leaf */
    struct cond unblocked;
    struct medium *medium;
    bool on[SHARD_MEM_SWITCHES];
    int64_t latency;
    void (*wait)(void *ctx, int64_t duration_ns);
    void *wait_ctx;
    uint64_t capacity;
    uint64_t calls[SHARD_MEM_CALLS];
    unsigned waiting;
    _Atomic unsigned opened;
};

struct mem_shard {
    struct shard base;
    struct shard_mem *place;
    uint64_t medium; /* number of the medium that it was opened on */
};

static struct shard_mem *places; /* guarded by: places_lock */
static pthread_mutex_t places_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic uint64_t media;

static void *must(void *p)
{
    if (!p)
        abort();
    return p;
}

/* ---- things ---- */

static struct medium *medium_create(void)
{
    struct medium *m = must(calloc(1, sizeof *m));

    m->number = ++media;
    return m;
}

static void medium_destroy(struct medium *m)
{
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct thing *t = m->bucket[i], *next; t; t = next) {
            next = t->next;
            free(t->data);
            free(t);
        }
    free(m);
}

/* The link to the file of that name, lost or not. It points to NULL if there is none, and a new one
 * goes there. */
static struct thing **find_link(struct medium *m, const char *name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

    for (const char *c = name; *c; c++)
        hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
    struct thing **at = &m->bucket[(hash ^ hash >> 32) % BUCKETS];

    while (*at && strcmp((*at)->name, name) != 0)
        at = &(*at)->next;
    return at;
}

/* The file of that name, if it is not lost. */
static struct thing *find_there(struct medium *m, const char *name)
{
    struct thing *t = *find_link(m, name);

    return t && !t->lost ? t : NULL;
}

static void lose(struct medium *m, struct thing *t)
{
    m->count--;
    m->used -= t->size;
    t->lost = true;
}

static void erase(struct medium *m, struct thing **at)
{
    struct thing *t = *at;

    if (!t->lost)
        lose(m, t);
    *at = t->next;
    free(t->data);
    free(t);
}

/* Puts a file on the medium, which owns `data` from then on. */
static void set(struct medium *m, const char *name, uint8_t *data, uint64_t size)
{
    struct thing **at = find_link(m, name);

    if (*at)
        erase(m, at);
    struct thing *t = must(calloc(1, sizeof *t));

    at = find_link(m, name);
    t->next = *at;
    snprintf(t->name, sizeof t->name, "%s", name);
    t->data = data;
    t->size = size;
    *at = t;
    m->count++;
    m->used += size;
}

static uint8_t *copy_of(const void *data, uint64_t size)
{
    uint8_t *copy = must(malloc(size ? size : 1));

    if (size)
        memcpy(copy, data, size);
    return copy;
}

/* ---- places ---- */

static struct shard_mem *find_place(const char *name)
{
    struct shard_mem *m;

    pthread_mutex_lock(&places_lock);
    for (m = places; m && strcmp(m->name, name) != 0; m = m->next)
        ;
    pthread_mutex_unlock(&places_lock);
    return m;
}

int shard_mem_create(const char *name, struct fault *f, struct shard_mem **ret_mem)
{
    if (find_place(name))
        return -EEXIST;
    struct shard_mem *m = must(calloc(1, sizeof *m));

    snprintf(m->name, sizeof m->name, "%s", name);
    m->fault = f;
    m->medium = medium_create();
    mutex_init(&m->lock, "shard mem");
    cond_init(&m->unblocked);
    pthread_mutex_lock(&places_lock);
    m->next = places;
    places = m;
    pthread_mutex_unlock(&places_lock);
    *ret_mem = m;
    return 0;
}

void shard_mem_destroy(struct shard_mem *m)
{
    if (!m)
        return;
    pthread_mutex_lock(&places_lock);
    for (struct shard_mem **at = &places; *at; at = &(*at)->next)
        if (*at == m) {
            *at = m->next;
            break;
        }
    pthread_mutex_unlock(&places_lock);
    medium_destroy(m->medium);
    mutex_destroy(&m->lock);
    cond_destroy(&m->unblocked);
    free(m);
}

void shard_mem_set(struct shard_mem *m, enum shard_mem_switch which, bool on)
{
    MUTEX_GUARD(&m->lock);
    m->on[which] = on;
    cond_broadcast(&m->unblocked);
}

void shard_mem_set_latency(struct shard_mem *m, int64_t duration_ns,
                           void (*wait)(void *ctx, int64_t duration_ns), void *ctx)
{
    MUTEX_GUARD(&m->lock);
    m->latency = duration_ns;
    m->wait = wait;
    m->wait_ctx = ctx;
}

void shard_mem_set_capacity(struct shard_mem *m, uint64_t bytes)
{
    MUTEX_GUARD(&m->lock);
    m->capacity = bytes;
}

/* Puts another medium into the place, and returns the old one. */
static struct medium *change_medium(struct shard_mem *m, struct medium *medium)
{
    MUTEX_GUARD(&m->lock);
    struct medium *old = m->medium;

    m->medium = medium;
    return old;
}

void shard_mem_swap(struct shard_mem *a, struct shard_mem *b)
{
    struct medium *none = medium_create(); /* so that no thread takes one lock within the other */
    struct medium *of_a = change_medium(a, none);

    change_medium(a, change_medium(b, of_a));
    medium_destroy(none);
}

void shard_mem_copy(struct shard_mem *to, struct shard_mem *from)
{
    struct medium *copy = medium_create();

    {
        MUTEX_GUARD(&from->lock);
        for (size_t i = 0; i < BUCKETS; i++)
            for (struct thing *t = from->medium->bucket[i]; t; t = t->next)
                if (!t->lost)
                    set(copy, t->name, copy_of(t->data, t->size), t->size);
    }
    medium_destroy(change_medium(to, copy));
}

int shard_mem_lose(struct shard_mem *m, const char *name)
{
    MUTEX_GUARD(&m->lock);
    struct thing *t = find_there(m->medium, name);

    if (!t)
        return -ENOENT;
    lose(m->medium, t);
    return 0;
}

int shard_mem_flip(struct shard_mem *m, const char *name, uint64_t byte, unsigned bit)
{
    MUTEX_GUARD(&m->lock);
    struct thing *t = find_there(m->medium, name);

    if (!t || byte >= t->size)
        return -ENOENT;
    t->data[byte] ^= (uint8_t)(1u << (bit & 7));
    return 0;
}

uint64_t shard_mem_calls(struct shard_mem *m, enum shard_mem_call what)
{
    MUTEX_GUARD(&m->lock);
    return m->calls[what];
}

unsigned shard_mem_opened(struct shard_mem *m)
{
    return atomic_load(&m->opened);
}

unsigned shard_mem_waiting(struct shard_mem *m)
{
    MUTEX_GUARD(&m->lock);
    return m->waiting;
}

uint64_t shard_mem_count(struct shard_mem *m)
{
    MUTEX_GUARD(&m->lock);
    return m->medium->count;
}

uint64_t shard_mem_used(struct shard_mem *m)
{
    MUTEX_GUARD(&m->lock);
    return m->medium->used;
}

/* ---- calls ---- */

static struct mem_shard *shard_of(struct shard *s)
{
    return (struct mem_shard *)s;
}

/* Counts a call, and waits as SHARD_MEM_BLOCKED and the latency demand. */
static void arrive(struct shard_mem *m, enum shard_mem_call what)
{
    void (*wait)(void *ctx, int64_t duration_ns);
    int64_t duration_ns;
    void *ctx;

    {
        MUTEX_GUARD(&m->lock);
        m->calls[what]++;
        m->waiting++;
        while (m->on[SHARD_MEM_BLOCKED])
            cond_wait(&m->unblocked, &m->lock);
        m->waiting--;
        wait = m->wait;
        ctx = m->wait_ctx;
        duration_ns = m->latency;
    }
    if (wait)
        wait(ctx, duration_ns);
}

/* Can this medium be asked? 0 or -errno. Needs the lock. */
static int check(const struct shard_mem *m, uint64_t medium)
{
    mutex_held(&m->lock);
    if (fault_is_cut(m->fault))
        return -EIO;
    return m->on[SHARD_MEM_UNREACHABLE] || m->medium->number != medium ? -EHOSTUNREACH : 0;
}

static int check_shard(const struct mem_shard *s)
{
    return check(s->place, s->medium);
}

/* May a put or delete go on? 0 or -errno; *ret_done: it is done, even if it fails. */
static int ask_fault(struct shard_mem *m, bool *ret_done)
{
    int err = fault_write(m->fault);

    *ret_done = true;
    if (err == 0)
        return 0;
    if (m->fault->loss == FAULT_KEEP_ALL)
        return err;
    uint64_t seed = (m->fault->seed ^ (atomic_load(&m->fault->writes) << 20)) | 1;

    *ret_done = m->fault->loss != FAULT_LOSE_ALL && fault_random(&seed) >> 63;
    return err;
}

static bool is_full(const struct shard_mem *m, uint64_t size)
{
    return m->on[SHARD_MEM_FULL] ||
           (m->capacity && (size > m->capacity || m->medium->used > m->capacity - size));
}

/* Puts a file. If *ret_done is true the medium owns `data`, whatever this returns. */
static int put_file(struct mem_shard *s, const char *name, uint8_t *data, uint64_t size,
                    bool replace, bool *ret_done)
{
    struct shard_mem *m = s->place;

    *ret_done = false;
    MUTEX_GUARD(&m->lock);
    int err = check_shard(s);

    if (err < 0)
        return err;
    if (m->on[SHARD_MEM_READONLY])
        return -EROFS;
    if (!replace && !m->on[SHARD_MEM_CLOBBERS] && find_there(m->medium, name))
        return -EEXIST;
    if (is_full(m, size))
        return -ENOSPC;
    err = ask_fault(m, ret_done);
    if (*ret_done)
        set(m->medium, name, data, size);
    return err;
}

/* With SHARD_MEM_RACES, decides now, and not when the file is put, whether the name is free. */
static bool looked_before(struct mem_shard *s, const char *name)
{
    MUTEX_GUARD(&s->place->lock);
    return s->place->on[SHARD_MEM_RACES] && !find_there(s->place->medium, name);
}

/* Reads the source before it takes the lock: the source runs in the thread of the caller. */
static int mem_put(struct shard *base, const char *name, const struct shard_source *source,
                   bool replace)
{
    struct mem_shard *s = shard_of(base);
    uint8_t *data = must(malloc(source->size ? source->size : 1));
    bool done = false;

    if (!replace)
        replace = looked_before(s, name);
    arrive(s->place, SHARD_MEM_PUT);
    int err = source->size ? source->read(source->ctx, data, source->size, 0) : 0;

    if (err == 0)
        err = put_file(s, name, data, source->size, replace, &done);
    if (!done)
        free(data);
    return err;
}

static int mem_remove(struct shard *base, const char *name)
{
    struct mem_shard *s = shard_of(base);
    struct shard_mem *m = s->place;
    bool done;

    arrive(m, SHARD_MEM_DELETE);
    MUTEX_GUARD(&m->lock);
    int err = check_shard(s);

    if (err < 0)
        return err;
    if (m->on[SHARD_MEM_READONLY])
        return -EROFS;
    if (!find_there(m->medium, name) || m->on[SHARD_MEM_DENIES])
        return -ENOENT;
    err = ask_fault(m, &done);
    if (done && !m->on[SHARD_MEM_KEEPS])
        erase(m->medium, find_link(m->medium, name));
    return err;
}

/* Finds the file of that name, if calls may see it. 0 or -errno. Needs the lock. */
static int find_thing(struct mem_shard *s, const char *name, struct thing **ret_thing)
{
    int err = check_shard(s);

    if (err < 0)
        return err;
    *ret_thing = s->place->on[SHARD_MEM_DENIES] ? NULL : find_there(s->place->medium, name);
    return *ret_thing ? 0 : -ENOENT;
}

static ssize_t mem_range(struct shard *base, const char *name, void *buf, size_t len, uint64_t off)
{
    struct mem_shard *s = shard_of(base);
    struct thing *t;

    arrive(s->place, SHARD_MEM_RANGE);
    MUTEX_GUARD(&s->place->lock);
    int err = find_thing(s, name, &t);

    if (err < 0)
        return err;
    uint64_t n = off < t->size ? t->size - off : 0;

    if (n > len)
        n = len;
    if (n)
        memcpy(buf, t->data + off, n);
    if (n && s->place->on[SHARD_MEM_FLIPS])
        ((uint8_t *)buf)[n / 2] ^= 1;
    return (ssize_t)n;
}

static ssize_t mem_get(struct shard *base, const char *name, void *buf, size_t cap)
{
    struct mem_shard *s = shard_of(base);
    struct thing *t;

    arrive(s->place, SHARD_MEM_GET);
    MUTEX_GUARD(&s->place->lock);
    int err = find_thing(s, name, &t);

    if (err < 0)
        return err;
    if (t->size > cap)
        return -EFBIG;
    if (t->size)
        memcpy(buf, t->data, t->size);
    return (ssize_t)t->size;
}

/* With SHARD_MEM_BOASTS a lost file is found, too. */
static int mem_stat(struct shard *base, const char *name, uint64_t *ret_size)
{
    struct mem_shard *s = shard_of(base);
    struct thing *t;

    arrive(s->place, SHARD_MEM_STAT);
    MUTEX_GUARD(&s->place->lock);
    int err = find_thing(s, name, &t);

    if (err == -ENOENT && s->place->on[SHARD_MEM_BOASTS]) {
        t = *find_link(s->place->medium, name);
        err = t ? 0 : -ENOENT;
    }
    if (err == 0)
        *ret_size = t->size;
    return err;
}

/* ---- lists: they are copied, so that `fn` may call the shard ---- */

struct name_list {
    size_t count;
    struct {
        char name[DISK_NAME_MAX + 1];
        uint64_t size;
    } *v;
};

/* Copies the names below `dir`. -EIO with SHARD_MEM_SHORT_LISTS, after half of them. */
static int gather_names(struct mem_shard *s, const char *dir, struct name_list *l)
{
    struct shard_mem *m = s->place;
    size_t len = strlen(dir);

    MUTEX_GUARD(&m->lock);
    int err = check_shard(s);

    if (err < 0 || m->on[SHARD_MEM_DENIES] || m->on[SHARD_MEM_FORGETS])
        return err;
    l->v = must(calloc(m->medium->count + 1, sizeof *l->v));
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct thing *t = m->medium->bucket[i]; t; t = t->next)
            if (!t->lost &&
                (len == 0 || (strncmp(t->name, dir, len) == 0 && t->name[len] == '/'))) {
                memcpy(l->v[l->count].name, t->name, sizeof t->name);
                l->v[l->count++].size = t->size;
            }
    if (!m->on[SHARD_MEM_SHORT_LISTS])
        return 0;
    l->count /= 2;
    return -EIO;
}

static int mem_list(struct shard *base, const char *dir, shard_list_fn *fn, void *ctx)
{
    struct mem_shard *s = shard_of(base);
    struct name_list l = {0};
    int stopped = 0;

    arrive(s->place, SHARD_MEM_LIST);
    int err = gather_names(s, dir, &l);

    for (size_t i = 0; stopped == 0 && i < l.count; i++)
        stopped = fn(l.v[i].name, l.v[i].size, ctx);
    free(l.v);
    return stopped ? stopped : err;
}

static int mem_space(struct shard *base, struct shard_space *ret)
{
    struct mem_shard *s = shard_of(base);
    struct shard_mem *m = s->place;

    arrive(m, SHARD_MEM_SPACE);
    MUTEX_GUARD(&m->lock);
    int err = check_shard(s);

    if (err < 0)
        return err;
    uint64_t size = m->capacity ? m->capacity : UINT64_C(1) << 40;
    uint64_t avail = m->medium->used < size ? size - m->medium->used : 0;

    *ret = (struct shard_space){size, m->on[SHARD_MEM_FULL] ? 0 : avail};
    return 0;
}

/* ---- opening ---- */

static int mem_normal(const char *rest, char *out, size_t cap, char why[SHARD_WHY])
{
    if (*rest == '\0' || strlen(rest) > NAME_MAX_ || strlen(rest) >= cap) {
        snprintf(why, SHARD_WHY, "mem: needs a name of at most %d bytes", NAME_MAX_);
        return -EINVAL;
    }
    memcpy(out, rest, strlen(rest) + 1);
    return 0;
}

/* Opens the place of that name with the medium that it has now. */
static int mem_open(const char *rest, unsigned flags, struct shard **ret_shard, char why[SHARD_WHY])
{
    struct shard_mem *m = find_place(rest);
    int err = -EHOSTUNREACH;
    uint64_t medium = 0;

    (void)flags;
    if (m) {
        MUTEX_GUARD(&m->lock);
        medium = m->medium->number;
        err = check(m, medium);
    }
    if (err < 0) {
        snprintf(why, SHARD_WHY, "mem:%.60s is not there", rest);
        return err;
    }
    struct mem_shard *s = must(calloc(1, sizeof *s));

    s->place = m;
    s->medium = medium;
    atomic_fetch_add(&m->opened, 1);
    *ret_shard = &s->base;
    return 0;
}

static void mem_close(struct shard *s)
{
    atomic_fetch_sub(&shard_of(s)->place->opened, 1);
    free(s);
}

static const struct shard_driver mem_driver = {
    .scheme = "mem",
    .form = "mem:NAME",
    .normal = mem_normal,
    .open = mem_open,
    .close = mem_close,
    .put = mem_put,
    .range = mem_range,
    .get = mem_get,
    .stat = mem_stat,
    .remove = mem_remove,
    .list = mem_list,
    .space = mem_space,
};

void shard_mem_register(void)
{
    (void)shard_register(&mem_driver);
}
