// SPDX-License-Identifier: Apache-2.0
/*
 * ns_note: notes for the history what this room does to namespaces (capture_history). Each is
 * called right before the frame of the change, with the locks of the change and without "names".
 * What people do not see (bases, drafts, what merges keep, symlinks) is not noted.
 *
 * Errors: 0, or -ENOMEM.
 */
#pragma once

#include "state.h"

/* It goes into the trash; it comes back from there under that name; it was a draft, and is shown
 * under that name; its base is given up. */
int note_trash(struct txn *t, const struct ns *ns);
int note_undrop(struct txn *t, const struct ns *ns, const char *as);
int note_import(struct txn *t, const struct ns *ns, const char *name);
int note_detach(struct txn *t, const struct ns *ns);
/* It is deleted, of whatever kind it is. */
int note_remove(struct txn *t, const struct ns *ns);
/* `ns` gets a new name; `other` is what has that name, or NULL. It is dropped, or with `exchange`
 * gets the old name. */
int note_rename(struct txn *t, const struct ns *ns, const char *newname, const struct ns *other,
                bool exchange);
