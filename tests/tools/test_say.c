// SPDX-License-Identifier: Apache-2.0
/* Claims of say.h: what others wrote gives no command to a terminal. */
#include "say.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static char shown[1024];

/* Puts what `fn` writes to `stream`, which is a terminal meanwhile, into `shown`. */
static void on_terminal(FILE *stream, void (*fn)(void))
{
    int ours, theirs, before = dup(fileno(stream));
    size_t n = 0;
    cr_assert_eq(openpty(&ours, &theirs, NULL, NULL, NULL), 0);
    fflush(stream);
    cr_assert_geq(dup2(theirs, fileno(stream)), 0);
    fn();
    fflush(stream);
    cr_assert_geq(dup2(before, fileno(stream)), 0);
    struct pollfd p = {.fd = ours, .events = POLLIN};
    while (n < sizeof(shown) - 1 && poll(&p, 1, 200) > 0) { /* it may come in parts */
        const ssize_t part = read(ours, shown + n, sizeof(shown) - 1 - n);
        cr_assert_gt(part, 0);
        n += (size_t)part;
    }
    cr_assert_gt(n, 0);
    shown[n] = '\0';
    close(ours);
    close(theirs);
    close(before);
}

static void progress(void)
{
    tally_progress("draining: %s", "a\033]0;title\007b");
}

Test(say, a_line_of_progress_has_no_control_characters)
{
    on_terminal(stderr, progress);
    cr_assert_str_eq(shown, "\rdraining: a?]0;title?b\033[K");
}

/* As often as something is drawn. */
static size_t drawn(void)
{
    size_t n = 0;
    for (const char *p = shown; (p = strchr(p, '\r')); p++) {
        n++;
    }
    return n;
}

static void progress_of_much(void)
{
    for (int i = 0; i < 100; i++) {
        tally_progress("checking: %d %%", i);
    }
}

Test(say, a_line_of_progress_is_drawn_five_times_a_second_at_most)
{
    on_terminal(stderr, progress_of_much);
    cr_assert_leq(drawn(), 3, "drawn %zu times: %s", drawn(), shown);
}

static void progress_of_nothing(void)
{
    for (int i = 0; i < 3; i++) {
        tally_progress("checking: %d %%", 7);
        usleep(210000);
    }
}

Test(say, a_line_of_progress_that_is_the_same_is_not_drawn_again)
{
    on_terminal(stderr, progress_of_nothing);
    cr_assert_eq(drawn(), 1, "drawn %zu times: %s", drawn(), shown);
}

static void progress_of_another(void)
{
    tally_progress("%d of 100 items", 99);
    tally_progress("%s", "bringing all bytes home");
}

Test(say, a_line_of_another_kind_is_shown_at_once)
{
    on_terminal(stderr, progress_of_another);
    cr_assert(strstr(shown, "bringing"), "%s", shown);
}

static void progress_that_is_wide(void)
{
    const struct winsize size = {.ws_row = 24, .ws_col = 80};
    char wide[200];
    memset(wide, 'x', sizeof(wide));
    cr_assert_eq(ioctl(STDERR_FILENO, TIOCSWINSZ, &size), 0);
    tally_progress("%.*s", (int)sizeof(wide), wide);
}

Test(say, a_line_of_progress_has_all_columns_but_the_last)
{
    on_terminal(stderr, progress_that_is_wide);
    cr_assert_eq(strspn(shown + 1, "x"), 79, "%s", shown);
}

static void print(void)
{
    char text[] = "a\033[2J\tb\xc2\x9b" "2J\xc3\xa9\n";
    tally_print(text, strlen(text));
}

Test(say, a_result_on_a_terminal_has_none_either)
{
    on_terminal(stdout, print);
    cr_assert(strstr(shown, "a?[2J\tb??2J\xc3\xa9"), "%s", shown);
    cr_assert(!strchr(shown, 033));
}

Test(say, a_pipe_gets_the_bytes_of_a_result)
{
    int fds[2], before = dup(STDOUT_FILENO);
    cr_assert_eq(pipe(fds), 0);
    fflush(stdout);
    cr_assert_geq(dup2(fds[1], STDOUT_FILENO), 0);
    print();
    fflush(stdout);
    cr_assert_geq(dup2(before, STDOUT_FILENO), 0);
    cr_assert_eq(read(fds[0], shown, sizeof(shown)), 14);
    cr_assert_arr_eq(shown, "a\033[2J\tb\xc2\x9b" "2J\xc3\xa9\n", 14);
    close(fds[0]);
    close(fds[1]);
    close(before);
}
