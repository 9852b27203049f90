// SPDX-License-Identifier: Apache-2.0
/* merge_xattrs: which extended attributes of an inode both sides have changed, and what becomes of
 * them. Each is looked at alone, by its name. */
#pragma once

#include "merge_plan_impl.h"

/* What is known of the content when the attributes are merged. */
struct merge_content {
    bool taken; /* it becomes that of theirs */
    bool stays; /* ours has changed it, and it stays so */
};

struct xattr_change {
    char name[XATTR_NAME_MAX + 1];
    enum changed who; /* not 0 */
    size_t bytes;     /* of the item that theirs has; 0: it has none */
};
struct xattr_changes {
    struct xattr_change *v;
    size_t count, room;
    enum changed acl; /* of the access ACL, which is not in `v`: it goes with the mode */
    size_t acl_bytes;
};

/* Compares the attributes of an inode that both sides have and one has changed. security.capability
 * says something about the content, and goes with it where one side has changed that. The caller
 * releases *ret also after an error. */
int merge_xattrs_compare(const struct making *k, const struct delta_inode *t,
                         const struct delta_inode *o, const struct merge_content *content,
                         struct xattr_changes *ret);
/* Adds those to the plan that become as theirs has them: of those that both changed only if `take`
 * is set. `acl`: so does the access ACL. */
int merge_xattrs_add(struct making *k, const struct xattr_changes *c, bool take, bool acl,
                     struct merge_inode *i);
/* Have two files the same attributes for certain? 1, 0, -errno. */
int merge_xattrs_are_same(const struct making *k, const struct merge_file *a,
                          const struct merge_file *b);
void merge_xattrs_release(struct xattr_changes *c);
