// SPDX-License-Identifier: Apache-2.0
/*
 * ns_settings: settings of single namespaces, as names and bytes. Whoever brings a setting gives
 * its bytes a meaning (schedule/ladder_run.h, ttl.h). They belong to the number of a namespace:
 * they stay when it is renamed, go when it is dropped, and a branch begins without any.
 *
 * The two limits of a namespace are the exception. Their bytes are a number, 8 bytes, which is kept
 * in struct ns as well (limit_bytes, limit_inodes), and a branch begins with those of its origin.
 *
 * All of them are in memory, sorted by number and name. The lock "names" guards them.
 */
#pragma once

#include "ns_setting.h"

#define NS_SETTINGS_MAX 32 /* settings that ns_setting_set gives a namespace */

#define NS_LIMIT_BYTES "quota"
#define NS_LIMIT_INODES "quota_files"

struct ns;
struct ns_records;
struct state;
struct txn;

/* One row, also of a setting that was removed, until a commit has that. */
struct ns_setting_row {
    uint32_t ns;
    bool dirty; /* no freeze has it */
    char name[NS_SETTING_NAME_MAX + 1];
    uint8_t *value; /* NULL: it was removed */
    size_t len;
};
struct ns_settings {
    struct ns_setting_row *v;
    size_t count, room;
};

/* Changes a setting of a live namespace, or removes it if `s->value` is NULL; one change of its
 * own. -EINVAL: no setting has such a name or value, or one that is removed a length; -ENOSPC: it
 * would have more than NS_SETTINGS_MAX; -ESTALE, -ENOMEM, and what txn_begin returns. */
int ns_setting_set(struct state *p, struct ns *ns, const struct ns_setting *s);
/* Copies a value. -ENOENT: the namespace does not have that setting. *ret_len is the length, also
 * with -ERANGE. */
int ns_setting_get(struct state *p, const struct ns *ns, const char *name, void *buf, size_t cap,
                   size_t *ret_len);
/* The next namespace by number, above `after`, that has the setting. -ENOENT */
int ns_setting_next(struct state *p, const char *name, uint32_t after, uint32_t *ret_ns);
/* Makes a change again that a frame has, however many there are. -ENOMEM */
int ns_setting_restore(struct state *p, struct ns *ns, const struct ns_setting *s);
/* Gives a new branch, whose frame `t` is about to write, the limits of `from`; one that is kept of
 * a namespace, and has none of its own, has those that this has now. The change is alone, and the
 * caller holds "names" for writing. -ENOMEM */
int ns_settings_inherit(struct txn *t, struct ns *ns, const struct ns *from);
/* The number has no settings any more: its namespace was dropped, or a new one gets it. The caller
 * holds "names" for writing. */
void ns_settings_drop(struct ns_settings *l, uint32_t ns);
/* Reads the table, after that of the namespaces. A row that is damaged, or of no namespace, is as
 * if it were not, and so are those behind a place where the table cannot be read; of no namespace
 * it is also removed by the next commit. -ENOMEM, -EIO */
int ns_settings_load(struct state *p);
void ns_settings_release(struct state *p);
/* As ns_table_freeze and ns_table_frozen, which call them under "names". */
int ns_settings_freeze(struct state *p, struct ns_records *ret);
void ns_settings_frozen(struct state *p);
