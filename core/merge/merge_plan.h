// SPDX-License-Identifier: Apache-2.0
/*
 * merge_plan: what is to be done to a tree so that it has what another one has changed, and what
 * stands against it. Making a plan changes nothing.
 *
 *     struct merge_plan m = {.rule = MERGE_FAIL};
 *     err = merge_plan_make(p, &sides, &m);
 *     if (err == 0 && m.conflict_count == 0)
 *         merge_apply(…, &m);                     merge_apply.h
 *     merge_plan_release(&m);
 *
 * Three trees take part: the *base*, and two that were changed since: *theirs*, of which the
 * changes are wanted, and *ours*, which gets them. The rules, which the model in the tests has as
 * well:
 *
 * - A file is its inode number. A name is (inode of its directory, name), and leads to an inode.
 * - What theirs has as the base has it stays as it is in ours. What ours has as the base has it
 *   becomes what it is in theirs. What both have changed to the same stays. All else is a conflict.
 * - Each of these is looked at alone: each name; of an inode its permissions with the access ACL,
 *   owner, group, each extended attribute, and content. security.capability is that of the side
 *   whose content is taken, if one has changed it, and a file has no set-id bits that this side
 *   does not have. A rule decides only what is a conflict. The time of modification follows the
 *   content that is taken; else it is that of the side which alone has changed it, or the later
 *   one. It is never a conflict.
 * - Contents of both sides are the same for certain if they are one object: equal bytes are, once
 *   they are sealed, unless a file has extents or holes.
 * - Two new directories of one name are one, and so are two new files of one name that are equal
 *   for certain, with all attributes: that of ours stays, and stands for both also in later merges
 *   (merge_twins.h).
 * - A file that theirs removed and ours changed, or ours removed and theirs changed or gave a name:
 *   a conflict. MERGE_OURS decides both; MERGE_THEIRS and MERGE_BOTH the former, of which
 *   MERGE_BOTH keeps the file. If it was only renamed by ours, it stays.
 * - A file that both sides have goes with no name, since each side removed one that the other kept,
 *   or a rule left out its new one: a conflict (MERGE_REMOVED) that no rule decides.
 * - A directory with two parents, one that would be below itself, one that theirs removed and ours
 *   filled, and names in a directory that ours removed: conflicts that no rule decides.
 * - A file that is open for writing in ours and whose content would change is a conflict, too. If
 *   it is open for reading only, who has it open goes on with what it was, as with a file that was
 *   replaced (inode_renew in vnodes.h): the inode keeps its number and gets another node. So it is
 *   with one that comes back although it is still open without a name.
 * - MERGE_BOTH: what theirs has is called NAME.variant-INODE, with eight hexadecimal digits at
 *   least. If ours or theirs has another file of that name, the conflict stays one. So does one
 *   about a content, of which a file has one only.
 *
 * Memory: that of two deltas (delta.h), and 100 bytes for each inode and name that changes. Errors:
 * those of delta_gather.
 */
#pragma once

#include "delta.h"
#include "map64.h"
#include "merge_sides.h"

enum merge_rule {
    MERGE_FAIL,   /* what is a conflict is reported */
    MERGE_OURS,   /* it stays as ours has it */
    MERGE_THEIRS, /* it becomes as theirs has it */
    MERGE_BOTH,   /* ours stays, and what theirs has gets a name beside it */
};

enum merge_why {
    MERGE_NAME,      /* a name leads to different files */
    MERGE_CONTENT,   /* both changed the content */
    MERGE_ATTRS,     /* both changed mode, owner, group or extended attributes */
    MERGE_REMOVED,   /* one side removed what the other changed */
    MERGE_PARENTS,   /* a directory would have two parents */
    MERGE_CYCLE,     /* a directory would be below itself */
    MERGE_FILLED,    /* theirs removed a directory in which ours has files that stay */
    MERGE_NO_PARENT, /* theirs put something into a directory that ours removed */
    MERGE_OPEN,      /* the file is open for writing in ours */
    MERGE_WHYS,
};

struct merge_conflict {
    enum merge_why why;
    uint64_t ino;    /* the inode; 0: it is about a name */
    uint64_t parent; /* of a name: the inode of its directory */
    char *name;      /* owned; of a name; else NULL */
};

/* What becomes of a name in ours. */
struct merge_name {
    uint64_t parent, was, becomes; /* inodes; 0: there is none */
    char *name;                    /* owned */
};
/* What becomes of an inode in ours. */
struct merge_inode {
    uint64_t ino;
    bool is_new;          /* it comes from theirs with all that it has */
    bool content, xattrs; /* these become as theirs has them */
    size_t first_xattr, xattr_count; /* and these attributes of plan.xattrs */
    bool mode, uid, gid;  /* likewise */
    bool own;             /* the content stays that ours has made */
    bool mtime;           /* likewise, also if the content does not */
    uint64_t left;        /* the node that it leaves to those who have it open; 0: it keeps it */
};
/* An attribute of an inode that becomes as theirs has it. */
struct merge_xattr {
    char *name;   /* owned */
    size_t bytes; /* of the item of theirs, at most; 0: it has none */
};
/* How the names of an inode change. */
struct merge_links {
    uint64_t ino,
        parent; /* `parent`: of a directory that got a name, the inode of the new parent */
    unsigned plus, minus;
    bool dir;
};
/* How a directory changes by the names in it. */
struct merge_dir {
    uint64_t ino;
    int entries, subdirs;
};

struct merge_rules; /* merge_rules.h */

/* Numbers of twins (merge_twins.h). */
struct merge_twins {
    struct map64 ours_of;            /* in theirs -> in ours */
    struct map64 theirs_of, base_of; /* in ours -> in that tree */
};

struct merge_plan {
    enum merge_rule rule;            /* of the caller */
    const struct merge_rules *rules; /* likewise; NULL: `rule` is that of all conflicts */
    const _Atomic bool *interrupted; /* of the caller; NULL: none */
    size_t memory; /* of the caller: bytes that both deltas may take; 0: 256 MiB */
    /* of the caller: `ours` is filled already, and stays so when the plan is released; then there
     * are no twins, so each file that theirs made keeps its number */
    bool knows_ours;
    struct diff_room room;
    struct delta theirs, ours; /* what each changed since the base */
    struct merge_twins twins;
    bool unsealed; /* contents of equal size were taken for different because they are not sealed */
    struct merge_name *names;
    size_t name_count, names_room;
    struct merge_inode *inodes;
    size_t inode_count, inodes_room;
    struct merge_xattr *xattrs;
    size_t xattr_count, xattrs_room;
    struct merge_links *links;
    size_t link_count, links_room;
    struct map64 link_of; /* inode -> index + 1 in `links` */
    struct merge_dir *dirs;
    size_t dir_count, dirs_room;
    struct map64 dir_of;              /* likewise in `dirs` */
    struct merge_conflict *conflicts; /* that the rule did not decide */
    size_t conflict_count, conflicts_room;
    uint64_t decided; /* conflicts that the rule decided */
};

int merge_plan_make(struct state *p, const struct merge_sides *s, struct merge_plan *ret);
void merge_plan_release(struct merge_plan *m);
/* Does the plan change ours? */
static inline bool merge_plan_changes(const struct merge_plan *m)
{
    return m->name_count || m->inode_count;
}
/* What becomes of an inode of ours or of theirs; NULL: it gets nothing. */
struct merge_inode *merge_plan_inode(const struct merge_plan *m, uint64_t ino);
/* Bytes of operations that the plan makes in the log, at most. */
size_t merge_plan_bytes(const struct merge_plan *m);
/* One word for a reason. */
const char *merge_why_name(enum merge_why why);
