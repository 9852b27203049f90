// SPDX-License-Identifier: Apache-2.0
/* systemd: see the header. */
#include "systemd.h"

#include "clock.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SHARE 4 /* so many messages are sent in the time after which systemd acts */

struct systemd {
    int fd; /* -1: nothing is asked for */
    struct sockaddr_un to;
    socklen_t to_len;
    int64_t interval; /* ns */
    int64_t last;     /* when a message was sent; -1: none was */
};

/* A positive number of an environment variable; 0: there is none. */
static int64_t number_of(const char *name)
{
    const char *text = getenv(name);
    char *end;
    if (!text)
        return 0;
    errno = 0;
    const long long n = strtoll(text, &end, 10);
    return errno != 0 || end == text || *end || n < 0 ? 0 : n;
}

/* Finds the address of NOTIFY_SOCKET. A name that begins with '@' is abstract. */
static bool find_address(struct systemd *s)
{
    const char *name = getenv("NOTIFY_SOCKET");
    const size_t len = name ? strlen(name) : 0;
    if (len < 2 || len >= sizeof s->to.sun_path || (*name != '/' && *name != '@'))
        return false;
    s->to.sun_family = AF_UNIX;
    memcpy(s->to.sun_path, name, len);
    if (*name == '@')
        s->to.sun_path[0] = '\0';
    s->to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    return true;
}

int systemd_open(struct systemd **ret_s)
{
    struct systemd *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    const int64_t usec = number_of("WATCHDOG_USEC"), pid = number_of("WATCHDOG_PID");
    s->fd = -1;
    s->last = -1;
    if (usec > 0 && (pid == 0 || pid == getpid()) && find_address(s)) {
        s->interval = usec * NSEC_PER_USEC / SHARE;
        s->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    }
    *ret_s = s;
    return 0;
}

void systemd_close(struct systemd *s)
{
    if (s && s->fd >= 0)
        close(s->fd);
    free(s);
}

int64_t systemd_interval(const struct systemd *s)
{
    return s->fd < 0 ? 0 : s->interval;
}

bool systemd_tell(struct systemd *s, int64_t now)
{
    static const char alive[] = "WATCHDOG=1";
    if (s->fd < 0 || (s->last >= 0 && now - s->last < s->interval))
        return false;
    if (sendto(s->fd, alive, sizeof alive - 1, MSG_NOSIGNAL, (const struct sockaddr *)&s->to,
               s->to_len) < 0)
        return false;
    s->last = now;
    return true;
}
