// SPDX-License-Identifier: Apache-2.0
#include "say.h"

#include "io.h"
#include "strbuf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define PROGRESS_FIRST_NS 1000000000 /* before the first line of a progress */
#define PROGRESS_NS 200000000        /* between two */
#define PROGRESS_LINE 256

const char *tally_verb;

/* Replaces control characters, which could be commands for the terminal: parts of a text may come
 * from other users, such as names and the contents of a lock file. */
static void make_plain(char *text, size_t len)
{
    for (size_t at = 0; at < len;) {
        const size_t n =
            text[at] == '\n' || text[at] == '\t' ? 0 : text_control_length(text + at, len - at);
        memset(text + at, '?', n);
        at += n ? n : 1;
    }
}

/* Prints a sentence. */
__attribute__((format(printf, 1, 0))) static void say(const char *fmt, va_list ap)
{
    int err = errno; /* for %m: isatty() and writing may set another */
    tally_progress("%s", "");
    fprintf(stderr, tally_verb ? "tally %s: " : "tally: ", tally_verb);
    errno = err;
    CLEANUP_FREE char *text = NULL;
    if (vasprintf(&text, fmt, ap) < 0) {
        text = NULL;
        return;
    }
    make_plain(text, strlen(text));
    fprintf(stderr, "%s\n", text);
}

int tally_fail(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say(fmt, ap);
    va_end(ap);
    return 1;
}

void tally_warn(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say(fmt, ap);
    va_end(ap);
}

static int64_t ticks(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

bool tally_progress_is_due(void)
{
    static int64_t first, last;
    const int64_t now = ticks();
    first = first ? first : now;
    if (now - first < PROGRESS_FIRST_NS || now - last < PROGRESS_NS) {
        return false;
    }
    last = now;
    return true;
}

size_t tally_progress_width(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1u : 79;
}

void tally_progress(const char *fmt, ...)
{
    static char shown[PROGRESS_LINE];
    static const char *shown_fmt;
    static int64_t last;
    char line[PROGRESS_LINE];
    va_list ap;
    if (!isatty(STDERR_FILENO)) {
        return;
    }
    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    make_plain(line, strlen(line));
    const int64_t now = ticks();
    if (strcmp(line, shown) == 0 || (*line && fmt == shown_fmt && now - last < PROGRESS_NS)) {
        return;
    }
    fprintf(stderr, "\r%.*s\033[K", (int)tally_progress_width(), line);
    fflush(stderr);
    memcpy(shown, line, sizeof(shown));
    if (*line) {
        shown_fmt = fmt;
        last = now;
    }
}

void tally_print(char *text, size_t len)
{
    if (isatty(STDOUT_FILENO)) {
        make_plain(text, len);
    }
    fwrite(text, 1, len, stdout);
}

void tally_print_json(const json_t *value, size_t flags)
{
    /* to a terminal without control characters, as above */
    const size_t ascii = isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0;
    json_dumpf(value, stdout, flags | ascii | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(10));
    putchar('\n');
}

int tally_getopt(int argc, char **argv, const char *letters, const struct option *options)
{
    char name[40], *word = argv[0];
    snprintf(name, sizeof(name), "tally %s", tally_verb);
    argv[0] = name;
    int o = getopt_long(argc, argv, letters, options, NULL);
    argv[0] = word;
    return o;
}
