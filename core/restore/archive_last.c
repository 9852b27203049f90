// SPDX-License-Identifier: Apache-2.0
/* archive_last: see the header. */
#include "archive_last.h"

#include "chain.h"
#include "ns_restore.h"
#include "shards.h"
#include "state.h"
#include <errno.h>

static int last_of_store(struct shard *s, uint32_t lineage, struct archive_last *ret,
                         struct strbuf *why)
{
    struct archive_segment g;
    struct segment_pos at = {0};
    int err = chain_last(s, lineage, at, &at);

    if (err == 0 && at.epoch == 0)
        strbuf_adds(why, "nothing was ever shipped there");
    if (err == 0)
        err = at.epoch ? archive_read(s, lineage, at, &g) : -ENOENT;
    if (err < 0)
        return err;
    *ret = (struct archive_last){at, g.front.head.seq, g.front.head.time};
    archive_segment_release(&g);
    return 0;
}

static int last_of_ns(struct shard *s, uint32_t lineage, const struct restore_ask *ask,
                      struct archive_last *ret, struct strbuf *why)
{
    struct restore_plan plan;
    int err = restore_find(s, lineage, ask, &plan, why);

    if (err == 0)
        *ret = (struct archive_last){plan.at, plan.seq, plan.time};
    restore_plan_release(&plan);
    return err;
}

int archive_last(struct state *p, uint16_t archive, const char *name,
                 const _Atomic bool *interrupted, struct archive_last *ret, struct strbuf *why)
{
    const struct restore_ask ask = {.name = name, .when = RESTORE_LAST, .interrupted = interrupted};
    struct shards_info info;
    struct shard *s;
    int err = shards_info_get(p->shards, archive, &info);

    if (err == 0)
        err = shards_get(p->shards, archive, SHARDS_READ, &s, NULL);
    if (err < 0)
        return err;
    err = name ? last_of_ns(s, info.lineage, &ask, ret, why)
               : last_of_store(s, info.lineage, ret, why);
    err = shards_said(p->shards, archive, err);
    shards_put_back(p->shards, archive);
    return err;
}

int archive_last_names(struct state *p, uint16_t archive, struct archive_names *ret,
                       uint64_t *ret_seq)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    struct archive_last last;
    struct shards_info info;
    struct shard *s;
    int err = shards_info_get(p->shards, archive, &info);

    *ret = (struct archive_names)ARCHIVE_NAMES_INIT;
    *ret_seq = 0;
    if (err == 0)
        err = shards_get(p->shards, archive, SHARDS_READ, &s, NULL);
    if (err < 0)
        return err;
    err = last_of_store(s, info.lineage, &last, &why);
    if (err == 0) {
        *ret_seq = last.seq;
        err = archive_names(s, info.lineage, last.at, ret);
    }
    err = shards_said(p->shards, archive, err);
    shards_put_back(p->shards, archive);
    return err;
}
