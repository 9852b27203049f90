// SPDX-License-Identifier: Apache-2.0
/* noted: see the header. The field is FORMAT.md, "Namespaces": the number of the change that the
 * tree is of, and the digest. */
#include "noted.h"
#include "bytes.h"
#include "command.h"
#include "ns_branch.h"
#include "ns_label.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIELD_LEN (8 + SHA256_LEN)

/* Is it one that nothing changes? *ret_seq: the change that its tree is of. */
static bool is_fixed(struct state *p, struct ns *ns, uint64_t *ret_seq)
{
    READ_GUARD(&p->names.lock);

    *ret_seq = ns->hidden.of.seq;
    return ns->live && (ns->hidden.kind == NS_SNAPSHOT || ns->hidden.kind == NS_ORIGIN);
}

static bool get_noted(struct state *p, struct ns *ns, uint8_t ret[SHA256_LEN])
{
    const uint8_t *field;
    uint64_t seq;
    size_t len;

    if (!is_fixed(p, ns, &seq))
        return false;
    READ_GUARD(&ns->lock);
    field = ns_tail_find(ns->tail, NS_TAG_DIGEST, &len);
    if (!field || len != FIELD_LEN || get_le64(field) != seq)
        return false;
    memcpy(ret, field + 8, SHA256_LEN);
    return true;
}

int digest_note(struct state *p, struct ns *ns, const uint8_t sum[SHA256_LEN])
{
    uint8_t field[FIELD_LEN];
    struct ns_tail *tail;
    uint64_t seq;
    TXN(t);
    int err = txn_begin_alone(p, 0, &t);

    if (err < 0)
        return err;
    if (!is_fixed(p, ns, &seq))
        return -EINVAL;
    put_le64(field, seq);
    memcpy(field + 8, sum, SHA256_LEN);
    NS_GUARD(&t, ns);
    err = ns_tail_put(ns->tail, NS_TAG_DIGEST, field, sizeof field, &tail);
    if (err < 0)
        return err;
    free(ns->tail);
    ns->tail = tail;
    ns->dirty = true;
    capture_ns_put(&t, ns);
    return state_changed(&t, NULL);
}

int digest_known(struct state *p, struct ns *ns, struct ns *tree, digest_progress_fn *progress,
                 void *ctx, uint8_t ret[SHA256_LEN])
{
    struct digest d;
    int err;

    if (get_noted(p, ns, ret))
        return 0;
    err = digest_tree(p, tree, "", progress, ctx, &d);
    if (err < 0)
        return err;
    memcpy(ret, d.sum, SHA256_LEN);
    (void)digest_note(p, ns, d.sum); /* if it fails, the digest is made again the next time */
    return 0;
}

void digest_list_noted(struct state *p, struct strbuf *out)
{
    char label[NS_LABEL_MAX];
    uint8_t sum[SHA256_LEN];
    struct ns *ns;
    uint32_t at = 0;

    while (ns_next_number(p, at, &ns) == 0) {
        at = ns->number;
        if (get_noted(p, ns, sum)) {
            strbuf_adds(out, "digest ");
            for (size_t i = 0; i < SHA256_LEN; i++)
                strbuf_addf(out, "%02x", sum[i]);
            ns_label(p, ns, label);
            strbuf_adds(out, " ");
            command_add_word(out, label);
            strbuf_adds(out, "\n");
        }
        ns_put(p, ns);
    }
}

static bool is_among(const uint8_t sum[SHA256_LEN], const uint8_t (*sums)[SHA256_LEN], size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (memcmp(sum, sums[i], SHA256_LEN) == 0)
            return true;
    return false;
}

/* Is it kept of that namespace, or of that of which `of` itself is kept? */
static bool is_kept_of(struct state *p, struct ns *ns, struct ns *of)
{
    READ_GUARD(&p->names.lock);
    const struct ns_instant at = ns_now(of);

    return ns->hidden.of.ns == at.ns && ns->hidden.of.generation == at.generation;
}

int digest_find_among(struct state *p, struct ns *of, const uint8_t (*sums)[SHA256_LEN],
                      size_t count, struct ns **ret_ns)
{
    uint8_t sum[SHA256_LEN];
    struct ns *best = NULL, *ns;
    uint32_t at = 0;

    while (ns_next_number(p, at, &ns) == 0) {
        at = ns->number;
        if (is_kept_of(p, ns, of) && get_noted(p, ns, sum) && is_among(sum, sums, count) &&
            (!best || ns->hidden.of.seq > best->hidden.of.seq)) {
            ns_put(p, best);
            best = ns;
        } else {
            ns_put(p, ns);
        }
    }
    *ret_ns = best;
    return best ? 0 : -ENOENT;
}

int digest_find_noted(struct state *p, const uint8_t sum[SHA256_LEN], struct ns **ret_ns)
{
    uint8_t noted[SHA256_LEN];
    uint32_t at = 0;

    while (ns_next_number(p, at, ret_ns) == 0) {
        at = (*ret_ns)->number;
        if (get_noted(p, *ret_ns, noted) && memcmp(noted, sum, SHA256_LEN) == 0)
            return 0;
        ns_put(p, *ret_ns);
    }
    return -ENOENT;
}
