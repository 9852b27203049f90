// SPDX-License-Identifier: Apache-2.0
/* session: see the header. */
#include "session.h"
#include "io.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

int session_begin(const char *mnt, const char *name, const char *line, int *ret_fd)
{
    int fd = client_open_file(mnt, name, O_RDWR);
    *ret_fd = fd < 0 ? -1 : fd;
    return fd < 0 ? fd : io_write(fd, line, strlen(line));
}

int session_reply(int fd, int err, struct reply *ret)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    int err_read = io_read_rest(fd, SIZE_MAX, &text);
    size_t len = text.len && text.s[text.len - 1] == '\n' ? text.len - 1 : text.len;
    const char *before = len ? memrchr(text.s, '\n', len) : NULL;
    const char *last = before ? before + 1 : text.s;
    size_t last_len = (size_t)(text.s + len - last);
    bool ok = last_len >= 2 && memcmp(last, "ok", 2) == 0 && (last_len == 2 || last[2] == ' ');
    const char *colon = last_len ? memmem(last, last_len, ": ", 2) : NULL;
    const char *from = ok ? last + (last_len > 2 ? 3 : 2) : colon ? colon + 2 : last;
    strbuf_add(&ret->body, text.s, (size_t)(last - text.s));
    strbuf_add(&ret->head, from, (size_t)(text.s + len - from));
    if (ok) {
        return 0;
    }
    err = err < 0 ? err : err_read < 0 ? err_read : -EIO;
    if (!ret->head.len) {
        strbuf_adds(&ret->head, strerror(-err));
    }
    return err;
}
