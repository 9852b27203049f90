// SPDX-License-Identifier: Apache-2.0
/*
 * ns_label: what people call a namespace that is not in the root.
 *
 *     NAME@SNAPSHOT     a snapshot of the namespace NAME
 *     NAME@SEQ          what NAME was at that change: the base of a branch
 *     NAME@dropped-SEQ  what was called NAME and is in the trash
 *     NAME@draft        one that is being made, or is read; ns_find does not find it
 *     NAME@archived     what an archive has of NAME (branch/ns_point.h); likewise
 *
 * ns_find of the room branch finds it by that. Threads: any; the caller holds no lock.
 */
#pragma once

#include "ns_record.h"

struct ns;
struct state;

#define NS_LABEL_DROPPED "dropped-"          /* no name of a snapshot begins so */
#define NS_LABEL_MAX (2 * VFS_NAME_MAX + 40) /* bytes, with the NUL */

/* Writes what people call it; of one in the root its name. What is kept of a namespace that is not
 * there any more has the name that it had, or `?`. */
void ns_label(struct state *p, const struct ns *ns, char out[NS_LABEL_MAX]);
