// SPDX-License-Identifier: Apache-2.0
/* dot: see the header. */
#include "dot.h"

#include "text_fit.h"

void dot_inner(struct strbuf *out, const char *text)
{
    CLEANUP_STRBUF struct strbuf clean = STRBUF_INIT;
    text_clean(&clean, text);
    for (const char *p = clean.s; *p; p++) {
        if (*p == '"' || *p == '\\') {
            strbuf_adds(out, "\\");
        }
        strbuf_add(out, p, 1);
    }
    out->failed |= clean.failed;
}

void dot_string(struct strbuf *out, const char *text)
{
    strbuf_adds(out, "\"");
    dot_inner(out, text);
    strbuf_adds(out, "\"");
}
