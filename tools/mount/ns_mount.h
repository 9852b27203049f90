// SPDX-License-Identifier: Apache-2.0
/*
 * ns_mount: one namespace, or the whole of a store, as a mount of its own: a bind of the one FUSE
 * mount that the daemon serves. So there is one superblock, with one page cache and one set of
 * locks, and the daemon ends with the last of its mounts, whichever that is.
 *
 *     root = ns_open_root(&m);  dir = ns_open(root, "home", false);
 *     mount = ns_clone(dir);  ns_set_flags(mount, flags);  ns_attach(mount, "/home");
 *
 * A mount of a part leads to the whole, too: the kernel opens the root of the superblock by its
 * file handle, and a path goes down from there. That needs CAP_DAC_READ_SEARCH of the machine
 * itself and not of a user namespace.
 *
 * Errors: -errno. Descriptors are O_PATH, close on exec, and the caller closes them.
 */
#pragma once

#include "mountinfo.h"

/* Opens the directory of all namespaces of the store that is mounted at `m`. -ESTALE: another mount
 * covers that place, or it is gone. -EPERM: `m` is of a part, and this process may not use
 * handles. */
int ns_open_root(const struct tally_mountinfo *m);
/* Opens the top directory of a namespace. With `create` it is made if it is missing. -ENOENT;
 * -ENOTDIR: the name is a symlink. */
int ns_open(int root, const char *ns, bool create);
/* Makes a mount of that directory, with the flags of the mount that it was opened in. It is not
 * attached anywhere, and lasts as long as the descriptor if it never is. -ESTALE: the mount that
 * the directory was opened in is gone. */
int ns_clone(int dir);
/* Gives the mount the flags of mount(2) that belong to a mount alone (mount_flags_attr), and none
 * besides. -EPERM: those of the original protect, and this process may not take them away. */
int ns_set_flags(int mount, unsigned long flags);
/* Attaches the mount at the path. */
int ns_attach(int mount, const char *at);
