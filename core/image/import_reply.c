// SPDX-License-Identifier: Apache-2.0
/* import_reply: see the header. */
#include "import_reply.h"
#include "command.h"
#include "receive.h"
#include <errno.h>
#include <string.h>

#define U(x) ((unsigned long long)(x))

/* The sentence for an error that has none of its own. */
static const char *usual_sentence(int err)
{
    switch (err) {
    case -EUCLEAN:
        return "the stream is damaged";
    case -EPROTO:
        return "the stream was written by a newer version";
    case -EROFS:
        return "the store is read-only; `tally status` says why";
    case -ESHUTDOWN:
        return "the store is being unmounted";
    case -ENOSPC:
        return "no space left on the store's disk";
    case -EDQUOT:
        return "the owner of the store has no disk quota left";
    case -ECANCELED:
        return "the job was cancelled";
    case -EBUSY:
        return "as many imports run as there can be";
    default:
        return strerrordesc_np(-err) ? strerrordesc_np(-err) : "failed";
    }
}

void import_reply_error(struct strbuf *out, const char *verb, int err, const struct strbuf *why)
{
    strbuf_addf(out, "error %s %s: ", command_errno_name(-err), verb);
    for (const char *c = why->len ? why->s : usual_sentence(err); *c; c++)
        strbuf_add(out, *c == '\n' ? "?" : c, 1);
    strbuf_adds(out, "\n");
}

void import_reply_done(struct strbuf *out, const char *ns, const struct load_result *r,
                       uint64_t seq, const uint8_t *digest)
{
    strbuf_adds(out, "ok ns=");
    command_add_word(out, ns);
    strbuf_addf(out, " inodes=%llu files=%llu bytes=%llu stored=%llu seq=%llu", U(r->inodes),
                U(r->files), U(r->bytes), U(r->stored), U(seq));
    if (digest) {
        strbuf_adds(out, " digest=");
        receive_add_digest(out, digest);
    }
    strbuf_adds(out, "\n");
}
