// SPDX-License-Identifier: Apache-2.0
/* command_error: see the header. */
#include "command_error.h"

#include "command.h"
#include <errno.h>
#include <string.h>

const char *command_usual_sentence(int err)
{
    switch (err) {
    case -EINTR:
        return "interrupted; what was started goes on";
    case -EROFS:
        return "the store is read-only; `tally status` says why";
    case -ESHUTDOWN:
        return "the store is being unmounted";
    case -ENOSPC:
        return "no space left on the store's disk";
    case -EDQUOT:
        return "the owner of the store has no disk quota left";
    case -ENOMEM:
        return "out of memory";
    case -EUCLEAN:
        return "a damaged part of the store is in the way; `tally check` names it";
    case -ETIMEDOUT:
        return "not done in that time";
    case -ECANCELED:
        return "the job was cancelled";
    default:
        return strerrordesc_np(-err) ? strerrordesc_np(-err) : "failed";
    }
}

void command_add_error(struct strbuf *out, int err, const char *verb, const char *why)
{
    strbuf_addf(out, "error %s ", command_errno_name(-err));
    command_add_word(out, verb);
    strbuf_adds(out, ": ");
    for (const char *c = *why ? why : command_usual_sentence(err); *c; c++)
        strbuf_add(out, *c == '\n' ? "?" : c, 1);
    strbuf_adds(out, "\n");
}
