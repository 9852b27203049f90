// SPDX-License-Identifier: Apache-2.0
/*
 * kept: what is kept for a while and nobody sees in the root: the trash, the bases of branches,
 * snapshots, drafts and points. It goes when
 *
 *     NS_ORIGIN    no branch has that base any more, or `origin_keep` has passed since the last
 *                  branch was made there
 *     NS_SNAPSHOT  its namespace is gone, also from the trash; or it is passing, and `trash_keep`
 *                  has passed since it was made
 *     NS_TRASH     `trash_keep` has passed since the drop
 *     NS_DRAFT     nobody makes or reads it any more
 *     NS_POINT     on a full disk only; else the room that ships removes it (ns_point.h)
 *
 * Nothing goes in which a file is open, and no snapshot that is held.
 *
 * Threads: any. Errors of what goes by itself are reported, and it is tried again.
 */
#pragma once

#include "state.h"

/* Lets go what is due. The caller holds no lock. */
void kept_expire(struct state *p);
/* The same without a look at the time: what nothing needs since something was dropped. */
void kept_release(struct state *p);
/* Drops these snapshots, also if a file is open in one, and then what nothing needs since. One that
 * is held stays. The caller holds no lock, and references. */
void kept_forget(struct state *p, struct ns *const snapshots[], size_t count);
/* Is there anything that kept_expire would let go? */
bool kept_is_due(struct state *p);
size_t kept_count_due(struct state *p); /* how many are due now; 0 also for -ENOMEM */
/* Drops what gives way first on a full disk: the oldest of the trash and of what merges have left,
 * or else of the snapshots that were made by themselves, or else of the bases, or else of the
 * points. Of each kind those that give no bytes back, since others share all that they hold, come
 * last. False: nothing can be dropped. The caller holds no lock. */
bool kept_give_back(struct state *p);

/* What the trash alone holds, and what merges have left: bytes that the disk has again as soon as
 * somebody needs them. A pass finds it out (weigh.h): it reads WEIGH_ITEMS at most, and begins with
 * what was never weighed, or longest ago. A figure is made anew after KEPT_WEIGH_AGAIN at the
 * earliest, and if nothing in the store has changed not at all; after KEPT_WEIGHED_FOR without that
 * it does not count. So the sum is never too high for the moments at which its parts were made, and
 * the oldest of these is known. */
#define KEPT_WEIGH_AGAIN (60 * NSEC_PER_SEC)
#define KEPT_WEIGHED_FOR (600 * NSEC_PER_SEC)
struct kept_alone {
    uint64_t bytes;
    int64_t since; /* when the oldest part of it was found out, ns since the epoch; INT64_MAX: there
                    * is none */
};
struct kept_alone kept_alone(struct state *p);
bool kept_weigh_is_due(struct state *p);
void kept_weigh(struct state *p); /* a pass. The caller holds no lock */
/* Has the namespace snapshots, or (`held`) any that is held? The answer stays true as long as the
 * caller holds the freeze lock. */
bool kept_has_snapshots(struct state *p, const struct ns *ns, bool held);
/* When it will go by itself, ns since the epoch; INT64_MAX: it will not. */
int64_t kept_until(struct state *p, const struct ns_hidden *hidden);
/* Changes what is noted of a namespace that is hidden, becomes hidden, or is shown again. The
 * change is alone. */
int kept_note(struct txn *t, struct ns *ns, const struct ns_hidden *hidden);
/* It is kept from now on. The change is alone. */
int kept_renew(struct txn *t, struct ns *ns);
