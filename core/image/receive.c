// SPDX-License-Identifier: Apache-2.0
/* receive: see the header. */
#include "receive.h"
#include "command.h"
#include "noted.h"
#include "ns_branch.h"
#include "ns_draft.h"
#include "ns_find.h"
#include <errno.h>
#include <string.h>

void receive_add_digest(struct strbuf *b, const uint8_t digest[SHA256_LEN])
{
    for (size_t i = 0; i < SHA256_LEN; i++)
        strbuf_addf(b, "%02x", digest[i]);
}

/* Is the stream a whole tree? */
static bool is_whole(const struct image_record *base)
{
    static const uint8_t zero[SHA256_LEN];

    return memcmp(base->digest, zero, SHA256_LEN) == 0;
}

/* Finds the base by its digest alone. */
static int find_noted(struct state *p, const struct image_record *base, struct ns **ret,
                      struct strbuf *why)
{
    int err = digest_find_noted(p, base->digest, ret);

    if (err == -ENOENT) {
        strbuf_adds(why, "the stream is a difference, and nothing that was received or sent here "
                         "has the digest of its base, ");
        receive_add_digest(why, base->digest);
        strbuf_adds(why, "; --base NS@NAME says which namespace is the base");
    }
    return err;
}

/* Finds the base that somebody named. */
static int find_named(struct state *p, const struct image_record *base, const char *spec,
                      digest_progress_fn *progress, void *ctx, struct ns **ret, struct strbuf *why)
{
    uint8_t digest[SHA256_LEN];
    int err = ns_find(p, spec, ret);

    if (err < 0) {
        strbuf_adds(why, "there is no ");
        command_add_word(why, spec);
        return err;
    }
    err = (*ret)->target ? -EINVAL : digest_known(p, *ret, *ret, progress, ctx, digest);
    if (err == 0 && memcmp(digest, base->digest, SHA256_LEN) != 0) {
        err = -EBADMSG;
        command_add_word(why, spec);
        strbuf_adds(why, " has the digest ");
        receive_add_digest(why, digest);
        strbuf_adds(why, ", and the base of the stream ");
        receive_add_digest(why, base->digest);
    }
    if (err < 0)
        ns_put(p, *ret);
    return err;
}

/* Makes a draft that begins with the tree of the base, and has nothing else of it. */
static int make_draft(struct state *p, struct ns *from, struct ns **ret_draft)
{
    struct ns *draft;
    int err = ns_count_drafts(p) < NS_DRAFTS_MAX ? ns_draft_from(p, from, &draft) : -EBUSY;

    if (err < 0)
        return err;
    err = ns_draft_detach(p, draft);
    if (err < 0)
        ns_draft_drop(p, draft);
    else
        *ret_draft = draft;
    return err;
}

int receive_begin(struct state *p, const struct image_record *base, const char *spec,
                  const char *name, digest_progress_fn *progress, void *ctx, struct ns **ret_draft,
                  struct strbuf *why)
{
    struct ns *from;
    int err;

    if (is_whole(base))
        return ns_draft(p, name, ret_draft);
    err = spec ? find_named(p, base, spec, progress, ctx, &from, why)
               : find_noted(p, base, &from, why);
    if (err < 0)
        return err;
    err = make_draft(p, from, ret_draft);
    ns_put(p, from);
    return err;
}

int receive_check(struct state *p, struct ns *draft, const uint8_t digest[SHA256_LEN],
                  digest_progress_fn *progress, void *ctx, struct strbuf *why)
{
    struct digest d;
    int err = digest_tree(p, draft, "", progress, ctx, &d);

    if (err < 0 || memcmp(d.sum, digest, SHA256_LEN) == 0)
        return err;
    strbuf_adds(why, "what was received has the digest ");
    receive_add_digest(why, d.sum);
    strbuf_adds(why, ", and what was sent ");
    receive_add_digest(why, digest);
    return -EBADMSG;
}

int receive_keep(struct state *p, struct ns *ns, uint64_t changed, const uint8_t digest[SHA256_LEN])
{
    const struct ns_instant of = {ns->number, ns->generation, 0};
    struct ns *snapshot;
    uint64_t seq;
    int err = ns_snapshot(p, ns, RECEIVE_SNAPSHOT, &seq);

    if (err == 0)
        err = ns_get_hidden(p, NS_SNAPSHOT, &of, RECEIVE_SNAPSHOT, &snapshot);
    if (err < 0)
        return err;
    err = snapshot->hidden.of.seq == changed ? digest_note(p, snapshot, digest) : 0;
    ns_put(p, snapshot);
    return err;
}
