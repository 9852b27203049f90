// SPDX-License-Identifier: Apache-2.0
/* archive_work: see the header. */
#include "archive_work.h"

#include "control.h"
#include "durability.h"
#include "ns_drop.h"
#include "random_tree.h"
#include "ship.h"
#include "state.h"
#include <errno.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define LARGE 260000u /* bytes of a file that has a slot */

const char *const work_names[WORK_NAMES] = {"main", "a", "b", "c", "d", "e"};
struct archive_work work;

static const struct vfs_cred root = {0};
static const _Atomic bool never = false;
static uint8_t bytes[600000];

void work_begin(void)
{
    uint64_t random = 7;

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)fault_random(&random) & random_tree_bits;
    random_tree_begin();
}

uint64_t work_pick(uint64_t n)
{
    return (fault_random(&work.rng) >> 8) % n;
}

void work_pass(int64_t ns)
{
    clock_manual_advance(&work.clock, ns);
}

/* ---- the control file ---- */

/* What a command may be refused with, since it does not fit what there is. */
static bool is_refusal(ssize_t r)
{
    static const int fine[] = {ENOENT,    EEXIST, EBUSY, EROFS,    ENODATA,    EINVAL,
                               ENOTEMPTY, EPERM,  E2BIG, EALREADY, EOPNOTSUPP, EMFILE};

    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
        if (r == -fine[i])
            return true;
    return false;
}

/* Gives a command; false: it was refused. `reply` has 4096 bytes. */
bool work_say(const char *line, char *reply)
{
    struct control_session *s;
    ssize_t r, n;

    CHECK(control_open(work.p, &s) == 0);
    r = control_write_at(s, line, strlen(line), -1, &never);
    n = control_read_at(s, reply, 4095, -1);
    CHECK(n >= 0);
    reply[n] = '\0';
    control_close(s);
    if (r < 0 && !is_refusal(r))
        fprintf(stderr, "'%s' gave %zd: %s\n", line, r, reply);
    CHECK(r > 0 || is_refusal(r));
    return r > 0;
}

bool work_order(const char *fmt, ...)
{
    char line[600], reply[4096];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    return work_say(line, reply);
}

/* ---- files that stay open ---- */

static void let_go(size_t i)
{
    if (work.open[i])
        vfs_release(work.open[i]);
    work.open[i] = NULL;
}

void work_let_all_go(void)
{
    for (size_t i = 0; i < WORK_OPEN; i++)
        let_go(i);
}

/* A file that is open for writing would keep a drain waiting for what is in it. */
void work_drain(void)
{
    bool idle = true;

    for (size_t i = 0; i < WORK_OPEN; i++)
        idle = idle && !work.open[i];
    CHECK(flush_drain(work.p, idle, -1, NULL) == 0);
}

/* ---- namespaces ---- */

/* With a reference; NULL: there is none. */
struct ns *work_get(const char *name)
{
    struct ns *ns;

    return ns_get_by_name(work.p, name, &ns) == 0 ? ns : NULL;
}

const char *work_some_name(void)
{
    return work_names[work_pick(WORK_NAMES)];
}

/* One that is there; with `writable` one that is not frozen. NULL: none was found. */
static struct ns *some_space(bool writable)
{
    for (int tries = 0; tries < 20; tries++) {
        struct ns *ns = work_get(work_some_name());

        if (ns && !(writable && ns->frozen))
            return ns;
        ns_put(work.p, ns);
    }
    return NULL;
}

static size_t count_spaces(void)
{
    size_t n = 0;

    for (size_t i = 0; i < WORK_NAMES; i++) {
        struct ns *ns = work_get(work_names[i]);
        n += ns != NULL;
        ns_put(work.p, ns);
    }
    return n;
}

/* ---- work ---- */

void work_steps(void)
{
    struct ns *ns = some_space(true);
    struct random_tree t = {.p = work.p, .clock = &work.clock, .rng = &work.rng};

    if (!ns)
        return;
    t.top = vfs_node(ns->number, NS_ROOT_INO);
    for (uint64_t left = work_pick(work_pick(4) ? 6 : 30); left > 0; left--)
        random_tree_step(&t);
    ns_put(work.p, ns);
}

/* The node of some file in the namespace; 0: none was found. */
static uint64_t some_file(const struct ns *ns)
{
    uint64_t dir = vfs_node(ns->number, NS_ROOT_INO);
    struct vfs_attr a;
    char name[16];

    for (int tries = 0; tries < 20; tries++) {
        snprintf(name, sizeof name, "n%llu", (unsigned long long)work_pick(9));
        if (vfs_lookup(work.p, dir, name, &a) < 0)
            continue;
        vfs_forget(work.p, a.nodeid, 1);
        if (S_ISREG(a.mode))
            return a.nodeid;
        if (S_ISDIR(a.mode))
            dir = a.nodeid;
    }
    return 0;
}

static void op_open(void)
{
    struct ns *ns = some_space(true);
    size_t i = work_pick(WORK_OPEN);
    uint64_t node = ns ? some_file(ns) : 0;

    let_go(i);
    if (node)
        CHECK(vfs_open(work.p, node, VFS_WRITE, &work.open[i]) == 0);
    ns_put(work.p, ns);
}

/* A file that stays open is written: whole anew, or a little in the middle. */
static void op_write(void)
{
    struct vfs_file *f = work.open[work_pick(WORK_OPEN)];
    uint64_t off = work_pick(3) ? work_pick(LARGE) : 0;
    size_t len = off ? 1 + work_pick(work_pick(3) ? 300 : 9000) : LARGE + work_pick(150000);
    ssize_t n;

    if (!f)
        return;
    n = vfs_write(f, bytes + work_pick(1000), len, off);
    CHECK(n == (ssize_t)len || n == -EROFS || n == -ESTALE);
}

static void op_make(void)
{
    struct vfs_attr a;
    int err = vfs_mknod(work.p, VFS_ROOT, work_some_name(), S_IFDIR | 0755, 0, &root, &a);

    CHECK(err == 0 || err == -EEXIST);
    if (err == 0)
        vfs_forget(work.p, a.nodeid, 1);
}

static void op_drop(void)
{
    if (count_spaces() > 2 || work_pick(10) == 0)
        (void)work_order("drop %s%s", work_some_name(), work_pick(3) ? "" : " now");
}

static void op_rename(void)
{
    int err =
        ns_rename(work.p, work_some_name(), work_some_name(), work_pick(2) ? 0 : RENAME_EXCHANGE);

    CHECK(err == 0 || is_refusal(err));
}

static void op_snapshot(void)
{
    if (work_pick(3))
        (void)work_order("snapshot %s s%u", work_some_name(), work.snapshots++);
    else
        (void)work_order("drop %s@s%llu", work_some_name(),
                         (unsigned long long)work_pick(work.snapshots + 1));
}

static void op_merge(void)
{
    static const char *const rules[] = {"ours", "theirs", "both", "fail"};

    if (work_pick(2))
        (void)work_order("merge %s into %s conflicts=%s", work_some_name(), work_some_name(),
                         rules[work_pick(4)]);
    else
        (void)work_order("commit %s conflicts=%s", work_some_name(), rules[work_pick(4)]);
}

/* Keeps a namespace out of the archive, or lets it in again. */
static void op_off(void)
{
    struct ns *ns = some_space(false);

    if (ns)
        CHECK(ship_set_mode(work.p, ns, work_pick(3) == 0 ? SHIP_MODE_OFF : SHIP_MODE_ASYNC) == 0);
    ns_put(work.p, ns);
}

static void op_space(void)
{
    switch (work_pick(14)) {
    case 0:
    case 1:
    case 12:
    case 13:
        (void)work_order("branch %s %s", work_some_name(), work_some_name());
        break;
    case 2:
        op_make();
        break;
    case 3:
        op_drop();
        break;
    case 4:
        (void)work_order("undrop %s", work_some_name());
        break;
    case 5:
    case 6:
        op_rename();
        break;
    case 7:
        op_snapshot();
        break;
    case 8:
        op_merge();
        break;
    case 9:
        (void)work_order("set ns:%s.frozen %s", work_some_name(), work_pick(3) ? "no" : "yes");
        break;
    case 10:
        op_off();
        break;
    default:
        (void)work_order("undo");
    }
}

/* Objects go to another shard, and come back. */
static void op_move(void)
{
    if (work_pick(2))
        (void)work_order("move %s/n%llu 1 wait", work_some_name(),
                         (unsigned long long)work_pick(9));
    else if (work_pick(2))
        (void)work_order("move %s/ 1 wait", work_some_name());
    else
        (void)work_order("recall %s/ wait", work_some_name());
}

static void op_upkeep(void)
{
    switch (work_pick(6)) {
    case 0:
        work_drain();
        break;
    case 1:
        CHECK(flush_now(work.p) == 0);
        break;
    case 2:
        CHECK(work_order("gc grace=0 wait"));
        break;
    case 3:
        CHECK(work_order("compact wait"));
        break;
    case 4:
        CHECK(work_order("sweep wait"));
        break;
    default:
        CHECK(work_order("trash empty"));
    }
}

void work_one(void)
{
    work_pass((int64_t)work_pick(2000) * NSEC_PER_MSEC);
    switch (work_pick(20)) {
    case 0:
    case 1:
        op_open();
        break;
    case 2:
    case 3:
    case 4:
        op_write();
        break;
    case 5:
    case 6:
    case 7:
    case 8:
        op_space();
        break;
    case 9:
        op_move();
        break;
    case 10:
    case 11:
        op_upkeep();
        break;
    default:
        work_steps();
    }
}
