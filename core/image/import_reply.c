// SPDX-License-Identifier: Apache-2.0
/* import_reply: see the header. */
#include "import_reply.h"
#include "command.h"
#include "command_error.h"
#include "receive.h"
#include <errno.h>
#include <string.h>

#define U(x) ((unsigned long long)(x))

/* What an error means for a stream; "": what it means for any command. */
static const char *sentence_of_stream(int err)
{
    switch (err) {
    case -EUCLEAN:
        return "the stream is damaged";
    case -EPROTO:
        return "the stream was written by a newer version";
    case -EBUSY:
        return "as many imports run as there can be";
    case -EINTR:
        return "interrupted; nothing is there";
    default:
        return "";
    }
}

void import_reply_error(struct strbuf *out, const char *verb, int err, const struct strbuf *why)
{
    command_add_error(out, err, verb, why->len ? why->s : sentence_of_stream(err));
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
