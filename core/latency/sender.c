// SPDX-License-Identifier: Apache-2.0
/* sender: see the header. */
#include "sender.h"

#include "io.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Reads a small file of /proc/TID. False: it cannot be read, since the thread has ended, for
 * example. */
static bool read_proc(int32_t tid, const char *name, char *buf, size_t room)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", tid, name);
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd < 0 ? -1 : read(fd, buf, room - 1);

    if (n <= 0)
        return false;
    buf[n] = '\0';
    return true;
}

struct sender sender_ask(int32_t tid, int64_t now)
{
    struct sender s = {.tid = tid, .pid = tid, .since = now, .program = "(kernel)"};
    char status[512];
    const char *at = NULL;

    if (tid == 0)
        return s;
    if (read_proc(tid, "status", status, sizeof status))
        at = strstr(status, "\nTgid:");
    if (at)
        s.pid = (int32_t)strtol(at + strlen("\nTgid:"), NULL, 10);
    if (!read_proc(s.pid, "comm", s.program, sizeof s.program))
        snprintf(s.program, sizeof s.program, "%d", s.pid);
    s.program[strcspn(s.program, "\n")] = '\0';
    return s;
}
