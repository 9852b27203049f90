// SPDX-License-Identifier: Apache-2.0
/* gc_text: what a GC cycle found, as lines for people. */
#include "gc_text.h"
#include "id.h"

#define U(x) ((unsigned long long)(x))
/* eligible objects that are listed */
#define SHOWN_IDS 20

void gc_describe_key(const struct id *key, const struct id *whole, struct strbuf *out)
{
    char hex[ID_HEX + 1], id[ID_HEX + 1];

    id_to_hex(key, hex);
    strbuf_addf(out, "key %s of ", hex);
    if (!whole || id_is_zero(whole)) {
        strbuf_adds(out, "an object whose id is not known");
        return;
    }
    id_to_hex(whole, id);
    strbuf_addf(out, "object %s", id);
}

void gc_add_eligible(const struct gc_result *r, gc_describe *describe, struct strbuf *out)
{
    for (size_t i = 0; i < r->eligible_count && i < SHOWN_IDS; i++) {
        describe(&r->eligible[i], r->whole ? &r->whole[i] : NULL, out);
        strbuf_adds(out, "\n");
    }
    if (r->eligible_count > SHOWN_IDS)
        strbuf_addf(out, "and %llu more\n", U(r->eligible_count - SHOWN_IDS));
}
