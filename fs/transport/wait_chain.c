// SPDX-License-Identifier: Apache-2.0
/* wait_chain: see the header. */
#include "wait_chain.h"

#include "io.h"
#include "strbuf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEPTH 6 /* threads of one chain; what is longer is a circle, or as good as one */

#define PATH_ROOM 72 /* bytes of a path that are told, with the NUL */

struct seat {
    struct waits_seen t;
    bool known;   /* this picture has it */
    bool covered; /* a late request says what it does */
    int64_t waits_since, serves_since;
};

struct wait_chain_picture {
    int64_t now;
    struct seat seat[WAITS_THREADS];
};

int wait_chain_new(struct wait_chain_picture **ret_p)
{
    struct wait_chain_picture *p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    *ret_p = p;
    return 0;
}

void wait_chain_free(struct wait_chain_picture *p)
{
    free(p);
}

/* ---- pictures ---- */

static void look_at(struct seat *s, unsigned slot, int64_t now)
{
    const struct waits_seen before = s->t;
    const bool was = s->known;

    s->covered = false;
    s->known = waits_look(slot, &s->t);
    const bool same = s->known && was && before.tid == s->t.tid;
    if (!same || before.serial != s->t.serial)
        s->waits_since = now;
    if (!same || before.turn != s->t.turn)
        s->serves_since = now;
}

void wait_chain_take_picture(struct wait_chain_picture *p, int64_t now)
{
    p->now = now;
    for (unsigned i = 0; i < WAITS_THREADS; i++)
        look_at(&p->seat[i], i, now);
}

static struct seat *find_thread(struct wait_chain_picture *p, int tid)
{
    for (unsigned i = 0; tid != 0 && i < WAITS_THREADS; i++)
        if (p->seat[i].known && p->seat[i].t.tid == tid)
            return &p->seat[i];
    return NULL;
}

static struct seat *find_server(struct wait_chain_picture *p, uint64_t unique)
{
    for (unsigned i = 0; i < WAITS_THREADS; i++)
        if (p->seat[i].known && p->seat[i].t.request == unique)
            return &p->seat[i];
    return NULL;
}

/* ---- texts ---- */

/* The path of a descriptor: a look at names in memory, which waits for no disk. The end of a long
 * path says more than its beginning. */
static void path_of(int fd, char ret[PATH_ROOM])
{
    char link[32], path[4096];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t n = readlink(link, path, sizeof path - 1);

    if (n <= 0) {
        (void)snprintf(ret, PATH_ROOM, "a file");
        return;
    }
    path[n] = '\0';
    const size_t len = (size_t)n, room = PATH_ROOM - 1;
    const char *from = path + (len > room ? len - room : 0);
    const char *slash = strchr(from, '/');
    (void)snprintf(ret, PATH_ROOM, "%.*s", (int)room, slash ? slash : from);
}

/* The state of a thread as in proc(5): R, S, D, …; '?': it is not known. */
static char state_of(int tid)
{
    CLEANUP_FREE char *text = NULL;
    char name[48];
    size_t len;
    (void)snprintf(name, sizeof name, "/proc/self/task/%d/stat", tid);
    if (io_read_file(AT_FDCWD, name, 4096, &text, &len) < 0)
        return '?';
    const char *end = strrchr(text, ')');
    return end && end[1] == ' ' ? end[2] : '?';
}

/* What that thread waits for, in words. One that notes no wait may read a mapped file, which the
 * kernel then reads from its disk: state D. */
static enum wait_chain_end describe(const struct waits_seen *t, char ret[WAIT_CHAIN_CAUSE])
{
    char path[PATH_ROOM];
    switch (t->kind) {
    case WAITS_FILE:
        path_of(t->number, path);
        (void)snprintf(ret, WAIT_CHAIN_CAUSE, "%.50s %s", t->what, path);
        return WAIT_CHAIN_DISK;
    case WAITS_LOCK:
        (void)snprintf(ret, WAIT_CHAIN_CAUSE, "the lock \"%.50s\"", t->what);
        return WAIT_CHAIN_OWN;
    case WAITS_SHARD:
        (void)snprintf(ret, WAIT_CHAIN_CAUSE, "the shard %s", t->what);
        return WAIT_CHAIN_PATIENT;
    case WAITS_NOT:
        (void)snprintf(ret, WAIT_CHAIN_CAUSE, "thread %d, which notes no wait", t->tid);
        return state_of(t->tid) == 'D' ? WAIT_CHAIN_DISK : WAIT_CHAIN_OWN;
    default:
        (void)snprintf(ret, WAIT_CHAIN_CAUSE, "%s", t->what);
        return t->kind == WAITS_ROOM     ? WAIT_CHAIN_PATIENT
               : t->kind == WAITS_KERNEL ? WAIT_CHAIN_KERNEL
                                         : WAIT_CHAIN_OWN;
    }
}

/* ---- chains ---- */

/* Whom that thread waits for; NULL: no thread that is known. */
static const struct seat *next_of(struct wait_chain_picture *p, const struct seat *s)
{
    const bool held = s->t.kind == WAITS_LOCK || s->t.kind == WAITS_THREAD;
    return held ? find_thread(p, s->t.holder) : NULL;
}

/* Follows the chain from that thread to its end. *ret_last: the last thread. True: it is a
 * circle. */
static bool follow(struct wait_chain_picture *p, const struct seat *s, struct wait_chain *ret,
                   const struct seat **ret_last)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    const struct seat *next;

    strbuf_adds(&text, "waits for ");
    for (unsigned depth = 1;; depth++) {
        ret->end = describe(&s->t, ret->cause);
        strbuf_adds(&text, ret->cause);
        *ret_last = s;
        next = next_of(p, s);
        if (!next || depth == DEPTH)
            break;
        s = next;
        if (s->t.kind == WAITS_NOT)
            strbuf_adds(&text, " of "); /* describe names the thread */
        else
            strbuf_addf(&text, " of thread %d, which waits for ", s->t.tid);
    }
    if (s->t.kind == WAITS_NOT)
        strbuf_addf(&text, " (state %c)", state_of(s->t.tid));
    if (next) {
        (void)snprintf(ret->cause, sizeof ret->cause, "threads that wait for one another");
        ret->end = WAIT_CHAIN_OWN;
    }
    (void)snprintf(ret->text, sizeof ret->text, "%s",
                   strbuf_error(&text) == 0 ? text.s : ret->cause);
    return next != NULL;
}

void wait_chain_of_request(struct wait_chain_picture *p, uint64_t unique, int worker, int64_t least,
                           struct wait_chain *ret)
{
    const struct seat *last;
    struct seat *s = find_server(p, unique);
    if (!s)
        s = find_thread(p, worker);
    if (!s) {
        (void)snprintf(ret->cause, sizeof ret->cause, "a thread that serves it");
        (void)snprintf(ret->text, sizeof ret->text, "waits for %s", ret->cause);
        ret->end = WAIT_CHAIN_OWN;
        return;
    }
    s->covered = true;
    const bool circle = follow(p, s, ret, &last);
    if (circle || p->now - last->waits_since >= least / 2)
        return;
    /* What does one thing after the other has another last cause in each picture. It does not hang,
     * however slow the disk may be. */
    (void)snprintf(ret->cause, sizeof ret->cause, "work that goes on");
    if (ret->end == WAIT_CHAIN_OWN)
        ret->end = WAIT_CHAIN_PATIENT;
}

bool wait_chain_of_taker(struct wait_chain_picture *p, unsigned slot, int64_t least,
                         int64_t *ret_age, struct wait_chain *ret)
{
    const struct seat *last;
    struct seat *s = &p->seat[slot];
    if (!s->known || s->covered || !s->t.takes || s->t.request == 0 ||
        p->now - s->serves_since < least)
        return false;
    *ret_age = p->now - s->serves_since;
    (void)follow(p, s, ret, &last);
    return true;
}

bool wait_chain_of_thread(struct wait_chain_picture *p, unsigned slot, int64_t least,
                          int64_t *ret_age, struct wait_chain *ret)
{
    const struct seat *last, *s = &p->seat[slot];
    if (!s->known || s->covered || p->now - s->waits_since < least)
        return false;
    if (s->t.kind != WAITS_FILE && s->t.kind != WAITS_KERNEL && s->t.kind != WAITS_LOCK)
        return false;
    *ret_age = p->now - s->waits_since;
    /* A lock may be held for long by a thread that works. One that is held by a thread that calls a
     * disk is another matter if that is one call. */
    if (follow(p, s, ret, &last))
        return true;
    return (ret->end == WAIT_CHAIN_DISK || ret->end == WAIT_CHAIN_KERNEL) &&
           p->now - last->waits_since >= least;
}
