// SPDX-License-Identifier: Apache-2.0
/* ns_setting: see the header. */
#include "ns_setting.h"

#include "bytes.h"
#include "node.h"
#include <errno.h>
#include <string.h>

bool ns_setting_is_name(const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!(name[i] >= 'a' && name[i] <= 'z') && !(name[i] >= '0' && name[i] <= '9') &&
            name[i] != '_')
            return false;
    return len > 0 && len <= NS_SETTING_NAME_MAX;
}

/* Sets the fields, if they are in their range. */
static int make(const char *name, size_t name_len, const void *value, size_t len,
                struct ns_setting *ret)
{
    if (!ns_setting_is_name(name, name_len) || len > NS_SETTING_VALUE_MAX)
        return -EUCLEAN;
    *ret = (struct ns_setting){.value = value, .len = len};
    memcpy(ret->name, name, name_len);
    return 0;
}

size_t ns_setting_encode(const struct ns_setting *s, uint8_t out[NS_SETTING_OP_MAX])
{
    size_t n = strlen(s->name);

    memcpy(out, s->name, n);
    if (!s->value)
        return n;
    out[n++] = '\0';
    memcpy(out + n, s->value, s->len);
    return n + s->len;
}

int ns_setting_decode(const void *data, size_t len, struct ns_setting *ret)
{
    const char *name = data, *nul = len ? memchr(name, 0, len) : NULL;
    size_t n = nul ? (size_t)(nul - name) : len;

    return make(name, n, nul ? nul + 1 : NULL, nul ? len - n - 1 : 0, ret);
}

size_t ns_setting_key(uint32_t ns, const char *name, uint8_t out[NS_SETTING_KEY_MAX])
{
    size_t n = strlen(name);

    put_be64(out, ns);
    memcpy(out + 8, name, n);
    return 8 + n;
}

int ns_setting_row(const void *key, size_t klen, const void *val, size_t len, uint32_t *ret_ns,
                   struct ns_setting *ret)
{
    uint64_t ns = klen > 8 ? get_be64(key) : 0;
    int err =
        ns && ns <= VFS_NS_MAX ? make((const char *)key + 8, klen - 8, val, len, ret) : -EUCLEAN;

    if (err == 0)
        *ret_ns = (uint32_t)ns;
    return err;
}
