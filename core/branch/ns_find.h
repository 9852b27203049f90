// SPDX-License-Identifier: Apache-2.0
/*
 * ns_find: what people call a namespace, and a moment of one that is kept.
 *
 *     NAME              the namespace NAME in the root
 *     NAME@SNAPSHOT     its snapshot of that name
 *     NAME@SEQ          what it was at that change, if it is the base of a branch
 *     NAME@dropped-SEQ  a namespace that was called NAME and is in the trash
 *
 * A namespace in the root whose name has an `@` is found by its whole name, before anything else.
 * Threads: any; the caller holds no lock.
 */
#pragma once

#include "ns_label.h"
#include "state.h"

/* Finds it, with a reference. Only one in the root can be a symlink. -ENOENT */
int ns_find(struct state *p, const char *spec, struct ns **ret_ns);
/* Finds what was dropped last under that name, or what is called NAME@dropped-SEQ. -ENOENT;
 * -EINVAL: it is something else. */
int ns_find_dropped(struct state *p, const char *name, struct ns **ret_ns);
/* May a snapshot of that name be made of `from`? -EEXIST: it has one, or a namespace in the root
 * has the name by which that one would be found. */
int find_snapshot_is_free(struct state *p, const struct ns *from, const char *name);
