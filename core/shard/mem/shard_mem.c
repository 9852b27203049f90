// SPDX-License-Identifier: Apache-2.0
/*
 * shard_mem: places, the switches that make them fail, and the functions of the driver. What is in
 * a place is its medium (shard_mem_medium.c); what is drawn are its odds (shard_mem_odds.c).
 */
#include "shard_mem_impl.h"

#include "clock.h"
#include "lock.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME_MAX_ 63             /* bytes of the name of a place */
#define STALL_STEP NSEC_PER_MSEC /* how often a call that stalls looks whether it was left */
#define LATE (5 * NSEC_PER_MSEC) /* what is late comes so much later, if no other call comes */

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
    uint64_t arrivals; /* calls so far */
    uint64_t releases; /* calls of shard_mem_release */
    struct odds odds;
    _Atomic unsigned opened;
};

struct mem_shard {
    struct shard base;
    struct shard_mem *place;
    uint64_t medium; /* number of the medium that it was opened on */
    bool may_delete; /* also with SHARD_MEM_GUARDED */
};

static struct shard_mem *places; /* guarded by: places_lock */
static pthread_mutex_t places_lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- places ---- */

static struct shard_mem *find_place(const char *name)
{
    const size_t len = strcspn(name, "?");
    struct shard_mem *m;

    pthread_mutex_lock(&places_lock);
    for (m = places; m && (strlen(m->name) != len || strncmp(m->name, name, len) != 0); m = m->next)
        ;
    pthread_mutex_unlock(&places_lock);
    return m;
}

int shard_mem_create(const char *name, struct fault *f, struct shard_mem **ret_mem)
{
    if (find_place(name))
        return -EEXIST;
    struct shard_mem *m = mem_must(calloc(1, sizeof *m));

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

void shard_mem_set_clock(struct shard_mem *m, int64_t now_ns)
{
    MUTEX_GUARD(&m->lock);
    m->medium->now = now_ns;
}

void shard_mem_set_odds(struct shard_mem *m, const struct shard_mem_odds *odds)
{
    MUTEX_GUARD(&m->lock);
    odds_set(&m->odds, odds);
}

uint64_t shard_mem_hits(struct shard_mem *m, enum shard_mem_fault which)
{
    MUTEX_GUARD(&m->lock);
    return m->odds.hits[which];
}

static bool is_silent(const struct shard_mem *m)
{
    char url[sizeof m->name + sizeof "mem:"];

    snprintf(url, sizeof url, "mem:%s", m->name);
    return shard_is_silent(url, NULL);
}

void shard_mem_release(struct shard_mem *m)
{
    {
        MUTEX_GUARD(&m->lock);
        m->releases++;
        cond_broadcast(&m->unblocked);
    }
    while (is_silent(m))
        usleep(1000);
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
        for (size_t i = 0; i < MEDIUM_BUCKETS; i++)
            for (struct thing *t = from->medium->bucket[i]; t; t = t->next)
                if (!t->lost) {
                    copy->now = t->put;
                    medium_set(copy, t->name, medium_bytes(t->data, t->size), t->size);
                }
        copy->now = from->medium->now;
    }
    medium_destroy(change_medium(to, copy));
}

int shard_mem_lose(struct shard_mem *m, const char *name)
{
    MUTEX_GUARD(&m->lock);
    struct thing *t = medium_find(m->medium, name);

    if (!t)
        return -ENOENT;
    medium_lose(m->medium, t);
    return 0;
}

int shard_mem_flip(struct shard_mem *m, const char *name, uint64_t byte, unsigned bit)
{
    MUTEX_GUARD(&m->lock);
    struct thing *t = medium_find(m->medium, name);

    if (!t || byte >= t->size)
        return -ENOENT;
    t->data[byte] ^= (uint8_t)(1u << (bit & 7));
    t->flipped = true;
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
        m->arrivals++;
        cond_broadcast(&m->unblocked);
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

/* Keeps a call that stalls until its caller has left it, and then until it is released. */
static void stall(struct shard_mem *m)
{
    MUTEX_GUARD(&m->lock);
    uint64_t release = m->releases;
    int64_t patience = m->odds.set.patience; /* the odds may be set anew meanwhile */

    if (!odds_hit(&m->odds, SHARD_MEM_STALL))
        return;
    while (!is_silent(m)) {
        shard_set_patience(1);
        (void)cond_wait_for(&m->unblocked, &m->lock, STALL_STEP);
    }
    shard_set_patience(patience);
    while (m->releases == release)
        cond_wait(&m->unblocked, &m->lock);
}

/* Waits until another call comes, but not for long. Needs the lock, which is released meanwhile. */
static void be_late(struct shard_mem *m)
{
    uint64_t arrivals = m->arrivals;
    int waited = 0;

    while (waited == 0 && m->arrivals == arrivals)
        waited = cond_wait_for(&m->unblocked, &m->lock, LATE);
}

/* What the caller hears of a put or delete that was done. `again`: what a second one would say.
 * Needs the lock. */
static int reply(struct shard_mem *m, int again)
{
    if (odds_hit(&m->odds, SHARD_MEM_REPEATED))
        return again;
    return odds_hit(&m->odds, SHARD_MEM_LOST_REPLY) ? -EHOSTUNREACH : 0;
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
    if (!replace && !m->on[SHARD_MEM_CLOBBERS] && medium_find(m->medium, name)) {
        if (odds_hit(&m->odds, SHARD_MEM_LATE_EXISTS))
            be_late(m);
        return -EEXIST;
    }
    if (is_full(m, size))
        return -ENOSPC;
    err = ask_fault(m, ret_done);
    if (*ret_done)
        medium_set(m->medium, name, data, size);
    if (err == 0 && !replace && m->on[SHARD_MEM_REPEATS])
        return -EEXIST;
    return err < 0 ? err : reply(m, replace ? 0 : -EEXIST);
}

/* With SHARD_MEM_RACES, decides now, and not when the file is put, whether the name is free. */
static bool looked_before(struct mem_shard *s, const char *name)
{
    MUTEX_GUARD(&s->place->lock);
    return s->place->on[SHARD_MEM_RACES] && !medium_find(s->place->medium, name);
}

/* Reads the source before it takes the lock: the source runs in the thread of the caller. */
static int mem_put(struct shard *base, const char *name, const struct shard_source *source,
                   bool replace)
{
    struct mem_shard *s = shard_of(base);
    uint8_t *data = mem_must(malloc(source->size ? source->size : 1));
    bool done = false;

    bool replaces = replace || looked_before(s, name);

    arrive(s->place, SHARD_MEM_PUT);
    int err = source->size ? source->read(source->ctx, data, source->size, 0) : 0;

    stall(s->place);
    if (err == 0)
        err = put_file(s, name, data, source->size, replaces, &done);
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
    stall(m);
    MUTEX_GUARD(&m->lock);
    int err = check_shard(s);

    if (err < 0)
        return err;
    if (m->on[SHARD_MEM_READONLY])
        return -EROFS;
    if (m->on[SHARD_MEM_GUARDED] && !s->may_delete)
        return -EACCES;
    if (!medium_find(m->medium, name) || m->on[SHARD_MEM_DENIES])
        return -ENOENT;
    err = ask_fault(m, &done);
    if (done && !m->on[SHARD_MEM_KEEPS])
        medium_erase(m->medium, medium_link(m->medium, name));
    return err < 0 ? err : reply(m, -ENOENT);
}

/* Finds the file of that name, if calls may see it. 0 or -errno. Needs the lock. */
static int find_thing(struct mem_shard *s, const char *name, struct thing **ret_thing)
{
    int err = check_shard(s);

    if (err < 0)
        return err;
    *ret_thing = s->place->on[SHARD_MEM_DENIES] ? NULL : medium_find(s->place->medium, name);
    return *ret_thing ? 0 : -ENOENT;
}

static ssize_t mem_range(struct shard *base, const char *name, void *buf, size_t len, uint64_t off)
{
    struct mem_shard *s = shard_of(base);
    struct thing *t;

    arrive(s->place, SHARD_MEM_RANGE);
    stall(s->place);
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
    stall(s->place);
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
    stall(s->place);
    MUTEX_GUARD(&s->place->lock);
    int err = find_thing(s, name, &t);

    if (err == -ENOENT && s->place->on[SHARD_MEM_BOASTS]) {
        t = *medium_link(s->place->medium, name);
        err = t ? 0 : -ENOENT;
    }
    if (err == 0)
        *ret_size = t->size;
    return err;
}

static int mem_age(struct shard *base, const char *name, int64_t *ret_ns)
{
    struct mem_shard *s = shard_of(base);
    struct thing *t;

    arrive(s->place, SHARD_MEM_STAT);
    stall(s->place);
    MUTEX_GUARD(&s->place->lock);
    int err = find_thing(s, name, &t);

    if (err == 0)
        *ret_ns = s->place->medium->now - t->put;
    return err;
}

static int mem_verify(struct shard *base, const char *name)
{
    struct mem_shard *s = shard_of(base);
    struct thing *t;

    arrive(s->place, SHARD_MEM_VERIFY);
    stall(s->place);
    MUTEX_GUARD(&s->place->lock);
    int err = find_thing(s, name, &t);

    if (err == 0 && !s->place->on[SHARD_MEM_VERIFIES])
        return -EOPNOTSUPP;
    return err < 0 ? err : t->flipped || s->place->on[SHARD_MEM_FLIPS] ? -EUCLEAN : 0;
}

/* ---- lists: they are copied, so that `fn` may call the shard ---- */

struct name_list {
    size_t count;
    struct {
        char name[DISK_NAME_MAX + 1];
        uint64_t size;
    } * v;
};

/* Brings the names into any order. */
static void shuffle(struct name_list *l, struct odds *o)
{
    for (size_t i = l->count; i > 1; i--) {
        size_t other = (size_t)odds_pick(o, i);

        memcpy(&l->v[l->count], &l->v[i - 1], sizeof *l->v); /* there is room for one more */
        memcpy(&l->v[i - 1], &l->v[other], sizeof *l->v);
        memcpy(&l->v[other], &l->v[l->count], sizeof *l->v);
    }
}

/* Copies the names below `dir`. -EIO with SHARD_MEM_SHORT_LISTS or SHARD_MEM_CUT_LIST, after some
 * of them. */
static int gather_names(struct mem_shard *s, const char *dir, struct name_list *l)
{
    struct shard_mem *m = s->place;
    size_t len = strlen(dir);

    MUTEX_GUARD(&m->lock);
    int err = check_shard(s);

    if (err < 0 || m->on[SHARD_MEM_DENIES] || m->on[SHARD_MEM_FORGETS])
        return err;
    l->v = mem_must(calloc(m->medium->count + 1, sizeof *l->v));
    for (size_t i = 0; i < MEDIUM_BUCKETS; i++)
        for (struct thing *t = m->medium->bucket[i]; t; t = t->next)
            if (!t->lost &&
                (len == 0 || (strncmp(t->name, dir, len) == 0 && t->name[len] == '/'))) {
                memcpy(l->v[l->count].name, t->name, sizeof t->name);
                l->v[l->count++].size = t->size;
            }
    if (m->odds.random)
        shuffle(l, &m->odds);
    bool cut = odds_hit(&m->odds, SHARD_MEM_CUT_LIST);

    if (!cut && !m->on[SHARD_MEM_SHORT_LISTS])
        return 0;
    l->count = cut ? (size_t)odds_pick(&m->odds, l->count + 1) : l->count / 2;
    return -EIO;
}

static int mem_list(struct shard *base, const char *dir, shard_list_fn *fn, void *ctx)
{
    struct mem_shard *s = shard_of(base);
    struct name_list l = {0};
    int stopped = 0;

    arrive(s->place, SHARD_MEM_LIST);
    stall(s->place);
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
    struct mem_shard *s = mem_must(calloc(1, sizeof *s));

    s->place = m;
    s->medium = medium;
    s->may_delete = strchr(rest, '?') != NULL;
    atomic_fetch_add(&m->opened, 1);
    *ret_shard = &s->base;
    return 0;
}

static void mem_close(struct shard *s)
{
    atomic_fetch_sub(&shard_of(s)->place->opened, 1);
    free(s);
}

static struct shard_driver mem_driver = {
    .scheme = "mem",
    .form = "mem:NAME",
    .normal = mem_normal,
    .open = mem_open,
    .close = mem_close,
    .put = mem_put,
    .range = mem_range,
    .get = mem_get,
    .stat = mem_stat,
    .age = mem_age,
    .remove = mem_remove,
    .list = mem_list,
    .space = mem_space,
    .verify = mem_verify,
};

void shard_mem_register(void)
{
    (void)shard_register(&mem_driver);
}

void shard_mem_set_far(bool far)
{
    mem_driver.far = far;
}
