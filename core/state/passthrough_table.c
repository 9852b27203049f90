// SPDX-License-Identifier: Apache-2.0
/*
 * passthrough_table: see the header. Files that are removed from the table are closed with no lock
 * held: such a close may free a deleted file, which takes time.
 */
#include "state.h"
#include "nowait.h"
#include "report.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SWEEP_AT_ONCE 64 /* entries looked at under one hold of the lock */
#define SWEEP_BY_OPEN                                                                              \
    4 /* entries that an open looks at when the table is half full, so that it shrinks */
#define FILES_PART 4 /* at most a 4th of all files that may be open are kept open here */

int vfs_passthrough_probe(int fd)
{
    if (fcntl(fd, F_SETLEASE, F_WRLCK) < 0)
        return -errno;
    (void)fcntl(fd, F_SETLEASE, F_UNLCK);
    return 0;
}

void passthrough_table_init(struct state *p)
{
    struct rlimit limit;

    TAILQ_INIT(&p->passthroughs.idle);
    p->passthroughs.probe = vfs_passthrough_probe;
    p->passthroughs.max = PASSTHROUGH_MAX;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur / FILES_PART < PASSTHROUGH_MAX)
        p->passthroughs.max = (size_t)limit.rlim_cur / FILES_PART;
}

/* ---- below: under the lock ---- */

/* The pointer to the entry, or to the NULL where it would be. */
static struct passthrough_file **find_passthrough(struct state *p, uint64_t nodeid)
{
    uint64_t h = nodeid * UINT64_C(0x9E3779B97F4A7C15);
    struct passthrough_file **at = &p->passthroughs.bucket[(h >> 40) % PASSTHROUGH_BUCKETS];

    mutex_held(&p->vnodes.lock);
    while (*at && (*at)->nodeid != nodeid)
        at = &(*at)->next;
    return at;
}

/* Takes an entry out of the table and puts it into `gone`, for end_all. */
static void take_out(struct state *p, struct passthrough_file *n, struct passthrough_list *gone)
{
    *find_passthrough(p, n->nodeid) = n->next;
    TAILQ_REMOVE(&p->passthroughs.idle, n, idle);
    TAILQ_INSERT_TAIL(gone, n, idle);
    atomic_fetch_sub(&p->passthroughs.count, 1);
}

/* Is it proved that the file is neither open nor mapped? */
static bool is_free(struct state *p, const struct passthrough_file *n)
{
    return n->opens == 0 && p->passthroughs.probe(blob_fd(n->blob)) == 0;
}

/* Looks at the first `most` idle entries. Those that are mapped go to the end of the list. Returns
 * how many were free. */
static size_t sweep(struct state *p, size_t most, struct passthrough_list *gone)
{
    size_t freed = 0;

    for (struct passthrough_file *n, *first = NULL;
         most-- > 0 && (n = TAILQ_FIRST(&p->passthroughs.idle));) {
        if (n == first)
            break;
        if (is_free(p, n)) {
            take_out(p, n, gone);
            freed++;
            continue;
        }
        first = first ? first : n;
        TAILQ_REMOVE(&p->passthroughs.idle, n, idle);
        TAILQ_INSERT_TAIL(&p->passthroughs.idle, n, idle);
    }
    return freed;
}

/* May the file be read by passthrough, by what its inode says? */
static bool is_eligible(struct state *p, const struct vnode *v, const struct inode *in,
                        unsigned flags)
{
    bool closed = !(in->mode & 0222) || v->ns->frozen || flags & VFS_PASSTHROUGH_ALL;

    return flags & VFS_MAY_PASSTHROUGH && closed && in->object && !(in->flags & INODE_EXTENTS) &&
           in->valid == in->size && in->size > (uint64_t)settings_get(&p->settings, SET_PACK_LIMIT);
}

/* Is the candidate still the content of the inode? */
static bool is_same(struct state *p, const struct inode *in, const struct passthrough_candidate *c)
{
    return c->blob && refs_resolve(p->refs, in->object) == c->object &&
           blob_length(c->blob) == in->size;
}

static bool is_sealed_by_disk(int fd)
{
    struct statx st;

    return statx(fd, "", AT_EMPTY_PATH, 0, &st) == 0 && st.stx_attributes & STATX_ATTR_VERITY;
}

/* Makes an entry from the candidate, whose pin it takes over. NULL: there is no room. */
static struct passthrough_file *make(struct state *p, const struct vnode *v,
                                     struct passthrough_candidate *c, struct passthrough_list *gone)
{
    struct passthrough_file *n;

    if (atomic_load(&p->passthroughs.count) >= p->passthroughs.max / 2)
        (void)sweep(p, SWEEP_BY_OPEN, gone);
    if (atomic_load(&p->passthroughs.count) >= p->passthroughs.max || !(n = calloc(1, sizeof *n)))
        return NULL;
    *n = (struct passthrough_file){.nodeid = v->nodeid,
                                   .object = c->object,
                                   .where = c->where,
                                   .blob = c->blob,
                                   .sealed_by_disk = is_sealed_by_disk(blob_fd(c->blob))};
    c->blob = NULL;
    *find_passthrough(p, n->nodeid) = n;
    TAILQ_INSERT_TAIL(&p->passthroughs.idle, n, idle);
    atomic_fetch_add(&p->passthroughs.count, 1);
    return n;
}

/* The first open by passthrough of an inode that may have been read so before. The file that may
 * still be mapped is used again, unless the object has another file by now because the old one was
 * damaged. */
static struct passthrough_file *begin_passthrough(struct state *p, const struct vnode *v,
                                                  const struct inode *in,
                                                  struct passthrough_candidate *c,
                                                  struct passthrough_list *gone)
{
    struct passthrough_file *n = *find_passthrough(p, v->nodeid);

    if (!is_same(p, in, c))
        return NULL;
    if (n && n->where == c->where)
        return n;
    if (n && !is_free(p, n))
        return NULL;
    if (n)
        take_out(p, n, gone);
    return make(p, v, c, gone);
}

/* Decides how an open reads; see the drawing in the header. */
static int decide(struct state *p, struct vnode *v, const struct inode *in, unsigned flags,
                  struct passthrough_candidate *c, struct passthrough_file **ret,
                  struct passthrough_list *gone)
{
    struct passthrough_file *n =
        atomic_load(&p->passthroughs.count) ? *find_passthrough(p, v->nodeid) : NULL;

    *ret = NULL;
    if (flags & (VFS_WRITE | VFS_TRUNC)) {
        if (n && !is_free(p, n))
            return -ETXTBSY;
        if (n)
            take_out(p, n, gone);
        return 0;
    }
    if (n && n->opens) {
        *ret = n;
        return flags & VFS_MAY_PASSTHROUGH ? 0 : -ESTALE;
    }
    if (v->opens || v->cuts || !is_eligible(p, v, in, flags))
        return 0;
    if (!c->tried)
        return -EAGAIN;
    *ret = begin_passthrough(p, v, in, c, gone);
    return 0;
}

/* ---- above: under the lock ---- */

static void end_all(struct state *p, struct passthrough_list *gone)
{
    for (struct passthrough_file *n; (n = TAILQ_FIRST(gone)); free(n)) {
        TAILQ_REMOVE(gone, n, idle);
        objects_unpin(p->objects, n->where);
    }
}

/* Decides, and counts the open under the same lock, so that the decision stays true. */
static int count_open(struct state *p, struct vnode *v, const struct inode *in, unsigned flags,
                      struct passthrough_candidate *c, struct passthrough_file **ret,
                      struct passthrough_list *gone)
{
    MUTEX_GUARD(&p->vnodes.lock);
    int err = decide(p, v, in, flags, c, ret, gone);

    if (err < 0)
        return err;
    if (*ret && (*ret)->opens++ == 0)
        TAILQ_REMOVE(&p->passthroughs.idle, *ret, idle);
    vnode_count_open(p, v, flags & VFS_WRITE);
    return 0;
}

int passthrough_file_count_open(struct state *p, struct vnode *v, const struct inode *in,
                                unsigned flags, struct passthrough_candidate *c,
                                struct passthrough_file **ret)
{
    struct passthrough_list gone = TAILQ_HEAD_INITIALIZER(gone);
    int err = count_open(p, v, in, flags, c, ret, &gone);

    end_all(p, &gone);
    return err;
}

void passthrough_file_close(struct state *p, struct passthrough_file *n)
{
    MUTEX_GUARD(&p->vnodes.lock);

    if (--n->opens == 0)
        TAILQ_INSERT_TAIL(&p->passthroughs.idle, n, idle);
}

void passthrough_file_forget(struct state *p, uint64_t nodeid)
{
    struct passthrough_list gone = TAILQ_HEAD_INITIALIZER(gone);

    if (atomic_load(&p->passthroughs.count) == 0)
        return;
    {
        MUTEX_GUARD(&p->vnodes.lock);
        struct passthrough_file *n = *find_passthrough(p, nodeid);
        if (n && n->opens == 0)
            take_out(p, n, &gone);
    }
    end_all(p, &gone);
}

int passthrough_file_cut_begin(struct state *p, struct vnode *v)
{
    struct passthrough_list gone = TAILQ_HEAD_INITIALIZER(gone);
    bool busy;

    {
        MUTEX_GUARD(&p->vnodes.lock);
        struct passthrough_file *n = *find_passthrough(p, v->nodeid);
        busy = n && !is_free(p, n);
        if (n && !busy)
            take_out(p, n, &gone);
        v->cuts += !busy;
    }
    end_all(p, &gone);
    return busy ? -ETXTBSY : 0;
}

void passthrough_file_cut_end(struct state *p, struct vnode *v)
{
    MUTEX_GUARD(&p->vnodes.lock);
    v->cuts--;
}

int passthrough_pause(void)
{
    if (!thread_may_wait())
        return -EWOULDWAIT;
    (void)nanosleep(&(struct timespec){.tv_nsec = PASSTHROUGH_PAUSE_NS}, NULL);
    return 0;
}

void passthrough_table_sweep(struct state *p)
{
    size_t left = atomic_load(&p->passthroughs.count);

    while (left > 0) {
        struct passthrough_list gone = TAILQ_HEAD_INITIALIZER(gone);
        size_t n = left < SWEEP_AT_ONCE ? left : SWEEP_AT_ONCE;
        {
            MUTEX_GUARD(&p->vnodes.lock);
            (void)sweep(p, n, &gone);
        }
        end_all(p, &gone);
        left -= n;
    }
}

void passthrough_table_release(struct state *p)
{
    struct passthrough_list gone = TAILQ_HEAD_INITIALIZER(gone);

    {
        MUTEX_GUARD(&p->vnodes.lock);
        while (!TAILQ_EMPTY(&p->passthroughs.idle))
            take_out(p, TAILQ_FIRST(&p->passthroughs.idle), &gone);
    }
    end_all(p, &gone);
}

/* ---- candidates ---- */

/* Verifies all bytes of the object, and reports damage. */
static int verify_all(struct state *p, const struct entry *e)
{
    char hex[ID_HEX + 1];
    int err = objects_verify(p->objects, e);

    if (err == -EUCLEAN) {
        atomic_store(&p->passthroughs.damage, true);
        id_to_hex(&e->id, hex);
        report(REPORT_ALARM, "object %s is damaged", hex);
    }
    return err;
}

int passthrough_file_prepare(struct state *p, const struct inode *in,
                             struct passthrough_candidate *c)
{
    struct entry e;
    int err;

    c->tried = true;
    if (refs_entry(p->refs, in->object, true, &c->object, &e) < 0 || e.kind != ENTRY_FILE ||
        objects_is_remote(p->objects, &e) || e.size != in->size)
        return 0;
    if (c->verify && !thread_may_wait())
        return -EWOULDWAIT;
    if (atomic_load(&p->passthroughs.damage) || p->hooks->has_damage(p))
        c->verify = true; /* the damage may be in this object */
    if (c->verify && !thread_may_wait())
        return 0; /* it is read through the daemon then, which verifies what it reads */
    err = c->verify ? verify_all(p, &e) : 0;
    if (err < 0)
        return err == -EUCLEAN ? err : 0;
    if (objects_pin(p->objects, &e, &c->blob) < 0)
        return 0; /* the read will report the error */
    c->where = e.where;
    if (blob_fd(c->blob) < 0)
        passthrough_candidate_release(p, c);
    return 0;
}

void passthrough_candidate_release(struct state *p, struct passthrough_candidate *c)
{
    if (c->blob)
        objects_unpin(p->objects, c->where);
    c->blob = NULL;
}

/* ---- for status ---- */

void vfs_get_passthroughs(struct state *p, struct vfs_passthroughs *ret)
{
    *ret = (struct vfs_passthroughs){0};
    MUTEX_GUARD(&p->vnodes.lock);

    for (size_t i = 0; i < PASSTHROUGH_BUCKETS; i++)
        for (const struct passthrough_file *n = p->passthroughs.bucket[i]; n; n = n->next) {
            ret->open += n->opens > 0;
            ret->closed += n->opens == 0;
            ret->sealed_by_disk += n->opens > 0 && n->sealed_by_disk;
        }
}
