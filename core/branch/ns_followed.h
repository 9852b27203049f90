// SPDX-License-Identifier: Apache-2.0
/*
 * ns_followed: a namespace of a follower: it is as an archive has it at one instant, which its
 * record says (FORMAT.md, "Namespaces").
 *
 * What happens to the namespaces of a follower from one instant of the archive to the next is one
 * change: some take other trees (ns_draft_take) and names, some are shown, some go. The functions
 * here are parts of such a change, which is alone. They note operations and make no frame: the
 * caller makes one of all of them (state_changed). So a death leaves the one instant or the other.
 *
 * Threads: any; of the functions without a txn the caller holds neither "namespace" nor "names".
 * Errors: 0 or -errno: -ENOMEM; -ENOENT: it is not there any more.
 */
#pragma once

#include "ns_point.h"

struct ns_followed {
    uint16_t archive; /* its number among the shards */
    /* the namespace in the store that ships there, and the instant (segment.h) */
    uint32_t ns, generation;
    uint64_t seq;
    int64_t since;
    uint64_t epoch, serial;         /* the segment that has the instant */
    uint8_t state[POINT_STATE_LEN]; /* sum over the items at that instant (segment.h) */
};

/* Notes the instant, and whether it is frozen. The caller holds ns->lock for writing. */
int ns_followed_note(struct txn *t, struct ns *ns, const struct ns_followed *f, bool frozen);
/* Gives the draft the name `*name`, and shows it; puts its old name there, for the caller to
 * free. */
int ns_followed_show(struct txn *t, struct ns *draft, const struct ns_followed *f, bool frozen,
                     char **name);
/* Gives it another name, likewise. It is not looked whether the name is free. */
void ns_followed_rename(struct txn *t, struct ns *ns, char **name);
/* Moves it into the trash. What is open in it stays open. */
int ns_followed_hide(struct txn *t, struct ns *ns);

/* Is it one in the root with such a record? One with a damaged note is none. */
bool ns_followed_get(struct state *p, struct ns *ns, struct ns_followed *ret);
/* The next one with a higher number than `after`, with a reference. -ENOENT */
int ns_followed_next(struct state *p, uint32_t after, struct ns **ret, struct ns_followed *ret_f);
