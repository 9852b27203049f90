// SPDX-License-Identifier: Apache-2.0
/*
 * control_diff: the verb diff, which lists what one namespace has that another one has not.
 *
 *     diff NS [NS2] [path=PATH] [stat]
 *
 * A line for each change: its letter, "path=", and as needed "from=", "type=", "modified=1",
 * "attrs=", "unread=1". The line has the grammar of a command, so that no name is misread.
 */
#include "control_impl.h"
#include "diff.h"
#include "ns_label.h"
#include <errno.h>
#include <sys/stat.h>

#define U(x) ((unsigned long long)(x))

/* ---- the two sides ---- */

/* Finds the base of a branch, which a hidden namespace holds. */
static int find_base(struct call *call, const struct ns *ns, const char *name, struct ns **ret)
{
    struct ns_instant base;
    int err;
    {
        READ_GUARD(&call->p->names.lock);
        base = ns->base;
    }
    err = base.ns ? ns_get_hidden(call->p, NS_ORIGIN, &base, NULL, ret) : -ENODATA;
    if (err == -ENODATA)
        return control_fail_word(call, err, "%s has no base; name two namespaces", name);
    return err == -ENOENT
               ? control_fail_word(call, -ENODATA,
                                   "what %s was made of is not held any more (origin_keep); name "
                                   "two namespaces",
                                   name)
               : err;
}

/* Finds both sides of the command, of which `names` are the first arguments. The caller gives both
 * references back. */
static int find_sides(struct call *call, size_t names, struct ns *ret[DELTA_SIDES])
{
    struct ns *first, *second;
    int err = control_find_ns(call, control_arg(call, 0), &first);

    if (err < 0)
        return err;
    if (names == 1)
        err = find_base(call, first, control_arg(call, 0), &second);
    else
        err = control_find_ns(call, control_arg(call, 1), &second);
    if (err < 0) {
        ns_put(call->p, first);
        return err;
    }
    ret[names == 1 ? DELTA_B : DELTA_A] = first;
    ret[names == 1 ? DELTA_A : DELTA_B] = second;
    return 0;
}

/* ---- the reply ---- */

/* What is asked for, and what was counted. */
struct listing {
    struct call *call;
    const char *under; /* a path below which changes are listed; NULL: all */
    size_t under_len;
    bool stat; /* only the counts */
    uint64_t deleted, added, modified, type, renamed, attrs, unread;
};

static bool is_under(const struct listing *l, const char *path)
{
    return path && strncmp(path, l->under, l->under_len) == 0 &&
           (path[l->under_len] == '/' || path[l->under_len] == 0);
}

static void count(struct listing *l, const struct change *x)
{
    uint64_t *by[] = {&l->deleted, &l->added, &l->modified, &l->type, &l->renamed, &l->attrs};
    const char *at = strchr("DAMTRa", x->status);

    ++*by[at - "DAMTRa"];
    l->unread += x->unread;
}

static const char *type_name(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return "file";
    case S_IFDIR:
        return "dir";
    case S_IFLNK:
        return "symlink";
    case S_IFIFO:
        return "fifo";
    case S_IFSOCK:
        return "socket";
    case S_IFCHR:
        return "char";
    default:
        return "block";
    }
}

static void add_attrs(struct strbuf *out, unsigned attrs)
{
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {{DIFF_MODE, "mode"},
                 {DIFF_OWNER, "owner"},
                 {DIFF_TIMES, "times"},
                 {DIFF_XATTR, "xattr"},
                 {DIFF_ACL, "acl"}};
    const char *before = " attrs=";

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!(attrs & names[i].bit))
            continue;
        strbuf_addf(out, "%s%s", before, names[i].name);
        before = ",";
    }
}

static void add_line(struct strbuf *out, const struct change *x)
{
    strbuf_addf(out, "| %c path=", x->status);
    command_add_word(out, x->path);
    if (x->from) {
        strbuf_adds(out, " from=");
        command_add_word(out, x->from);
    }
    strbuf_addf(out, " type=%s", type_name(x->mode));
    if (x->status == 'R' && x->modified)
        strbuf_adds(out, " modified=1");
    add_attrs(out, x->attrs);
    strbuf_adds(out, x->unread ? " unread=1\n" : "\n");
}

static int say_changes(struct listing *l, const struct changes *c)
{
    struct strbuf *head = &l->call->head;

    for (size_t i = 0; i < c->count; i++) {
        const struct change *x = &c->v[i];
        if (l->under && !is_under(l, x->path) && !is_under(l, x->from))
            continue;
        count(l, x);
        if (!l->stat)
            add_line(&l->call->lines, x);
    }
    strbuf_addf(head, " deleted=%llu added=%llu modified=%llu type=%llu renamed=%llu attrs=%llu",
                U(l->deleted), U(l->added), U(l->modified), U(l->type), U(l->renamed), U(l->attrs));
    if (l->unread)
        strbuf_addf(head, " unread=%llu", U(l->unread));
    return strbuf_error(&l->call->lines);
}

/* Adds the names of the sides to the head. */
static void say_sides(struct call *call, struct ns *sides[DELTA_SIDES])
{
    char label[NS_LABEL_MAX];

    ns_label(call->p, sides[DELTA_A], label);
    strbuf_adds(&call->head, " from=");
    command_add_word(&call->head, label);
    ns_label(call->p, sides[DELTA_B], label);
    strbuf_adds(&call->head, " to=");
    command_add_word(&call->head, label);
}

static int compare(struct listing *l, struct ns *sides[DELTA_SIDES])
{
    struct call *call = l->call;
    struct diff d = DIFF_INIT;
    int err;

    (void)seal_settle(call->p);
    err = diff_namespaces(call->p, sides[DELTA_A], sides[DELTA_B], call->interrupted, &d);
    if (err == 0) {
        say_sides(call, sides);
        err = say_changes(l, &d.changes);
    }
    diff_end(&d);
    if (err == -E2BIG && !call->lines.full)
        return control_fail(call, err, "the two differ in more than memory is allowed for");
    if (err == -ESTALE)
        return control_fail(call, -ENOENT, "one of them was dropped meanwhile");
    return err == -E2BIG ? 0 : err; /* of a reply that is too long the session says so */
}

/* Reads path=. -EINVAL: it has no form of a path in a namespace. */
static int read_path(struct call *call, struct listing *l)
{
    const char *path = command_option(call->c, "path");
    size_t len = path ? strlen(path) : 0;

    while (len && path[len - 1] == '/')
        len--;
    if (path && *path == '/')
        return control_fail_word(call, -EINVAL, "%s is not a path within the namespaces", path);
    l->under = len && strcmp(path, ".") != 0 ? path : NULL;
    l->under_len = len;
    return 0;
}

int control_diff(struct call *call)
{
    struct listing l = {.call = call};
    struct ns *sides[DELTA_SIDES];
    size_t names = call->c->nargs;
    int err = read_path(call, &l);

    if (err == 0 && control_is_keyword(call, names - 1, "stat")) {
        l.stat = true;
        names--;
    }
    if (err < 0)
        return err;
    if (names < 1 || names > 2)
        return control_misuse(call, call->verb->usage);
    err = find_sides(call, names, sides);
    if (err < 0)
        return err;
    err = compare(&l, sides);
    ns_put(call->p, sides[DELTA_A]);
    ns_put(call->p, sides[DELTA_B]);
    return err;
}
