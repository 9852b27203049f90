// SPDX-License-Identifier: Apache-2.0
/*
 * Whatever bytes an ACL has, it is refused, or it can be worked with: it stays sound, a mode put
 * into it is the mode it says, and what is inherited grants nothing that the list or the mode does
 * not. Input: 2 bytes of mode, the list.
 */
#include "acl.h"
#include "bytes.h"

#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

static bool sound(const uint8_t *v, size_t len)
{
    bool empty;
    return acl_check(v, len, &empty) == 0 && !empty;
}

static void check_list(uint8_t *v, size_t len, uint32_t mode)
{
    uint32_t said = 0170000, made = mode;
    bool more;

    acl_normalize(v, len);
    MUST(sound(v, len));
    more = !acl_to_mode(v, len, &said);
    MUST((said & ~0777u) == 0170000);
    MUST(acl_inherit(v, len, &made) == more);
    MUST(made == ((mode & ~0777u) | (mode & said & 0777)) && sound(v, len));
    acl_chmod(v, len, mode);
    MUST(sound(v, len) && acl_to_mode(v, len, &said) == !more);
    MUST(said == (0170000 | (mode & 0777)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t *copy;

    if (len < 2)
        return 0;
    copy = malloc(len - 2 ? len - 2 : 1); /* of just that length, so that reading beyond shows */
    if (!copy)
        return 0;
    memcpy(copy, data + 2, len - 2);
    if (sound(copy, len - 2))
        check_list(copy, len - 2, get_le16(data));
    free(copy);
    return 0;
}
