// SPDX-License-Identifier: Apache-2.0
/*
 * metrics_read: a child process reads, and writes what it has read to a pipe. It is no thread: the
 * kernel lets no process end while one of its threads waits for a daemon that has taken its
 * request.
 *
 * A child also inherits the pipes of children that were made before it, so a pipe may stay open
 * when its child has ended. Therefore a NUL behind the text says that it is whole.
 */
#include "metrics_read.h"

#include "array.h"
#include "client.h"
#include "clock.h"
#include "io.h"
#include "lock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* A child that nobody waits for any more. */
struct late {
    pid_t pid;
    char *mnt;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct mutex lock; /* "metrics" */
static struct {
    struct late *v; /* guarded by: lock */
    size_t count, room;
} late;

static void init(void)
{
    mutex_init(&lock, "metrics");
}

/* ---- children that are late ---- */

/* Forgets those that have ended. Does one still wait for that mount? */
static bool is_late(const char *mnt)
{
    bool found = false;
    MUTEX_GUARD(&lock);
    for (size_t i = 0; i < late.count;) {
        if (waitpid(late.v[i].pid, NULL, WNOHANG) == 0) {
            found |= strcmp(late.v[i].mnt, mnt) == 0;
            i++;
        } else {
            free(late.v[i].mnt);
            late.v[i] = late.v[--late.count];
        }
    }
    return found;
}

/* Remembers a child. Without memory it is forgotten, and the next call makes another one. */
static void remember(pid_t pid, const char *mnt)
{
    char *copy = strdup(mnt);
    MUTEX_GUARD(&lock);
    if (copy && ARRAY_RESERVE(late.v, late.room, late.count + 1) == 0) {
        late.v[late.count++] = (struct late){pid, copy};
    } else {
        free(copy);
    }
}

/* ---- one child ---- */

/* What the child does. It ends without what a normal end does, which is the parent's. */
__attribute__((noreturn)) static void run_child(const char *mnt, int to)
{
    struct strbuf text = STRBUF_INIT;
    const int fd = client_open_file(mnt, ".tally/metrics", O_RDONLY);
    int err = fd < 0 ? fd : io_read_rest(fd, METRICS_MOST, &text);
    if (err == 0) {
        err = io_write(to, text.s ? text.s : "", text.len);
    }
    if (err == 0) {
        err = io_write(to, "", 1);
    }
    _exit(err < 0);
}

/* Reads what is there now. 1: the text is whole, 0: not yet; -EIO: the child has failed. */
static int take(int from, struct strbuf *text)
{
    char buf[65536];
    const ssize_t n = read(from, buf, sizeof(buf));
    if (n <= 0) {
        return -EIO;
    }
    const bool whole = buf[n - 1] == '\0';
    strbuf_add(text, buf, (size_t)n - whole);
    return text->failed ? -ENOMEM : whole;
}

/* Reads the text until it is whole, or the time is over. */
static int read_text(int from, struct strbuf *text)
{
    const int64_t end = clock_ticks(clock_real()) + METRICS_PATIENCE_MS * NSEC_PER_MSEC;
    for (int err = 0; err <= 0;) {
        const int64_t left = end - clock_ticks(clock_real());
        struct pollfd p = {.fd = from, .events = POLLIN};
        const int ready = left <= 0 ? 0 : poll(&p, 1, (int)(left / NSEC_PER_MSEC) + 1);
        if (ready < 0 && errno != EINTR) {
            return -errno;
        }
        if (ready == 0) {
            return -ETIMEDOUT;
        }
        err = ready > 0 ? take(from, text) : 0;
        if (err < 0) {
            return err;
        }
    }
    return 0;
}

int metrics_read(const char *mnt, struct strbuf *out)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    int fd[2];
    pthread_once(&once, init);
    if (is_late(mnt)) {
        return -ETIMEDOUT;
    }
    if (pipe2(fd, O_CLOEXEC) < 0) {
        return -errno;
    }
    const pid_t pid = fork();
    if (pid == 0) {
        close(fd[0]);
        run_child(mnt, fd[1]);
    }
    const int failed = -errno;
    close(fd[1]);
    int err = pid < 0 ? failed : read_text(fd[0], &text);
    close(fd[0]);
    if (err == -ETIMEDOUT) {
        remember(pid, mnt);
    } else if (pid > 0) {
        (void)waitpid(pid, NULL, 0);
    }
    if (err == 0) {
        strbuf_add(out, text.s, text.len);
    }
    return err;
}
