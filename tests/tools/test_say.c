// SPDX-License-Identifier: Apache-2.0
/* Claims of say.h: what others wrote gives no command to a terminal. */
#include "say.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char shown[1024];

/* Puts what `fn` writes to `stream`, which is a terminal meanwhile, into `shown`. */
static void on_terminal(FILE *stream, void (*fn)(void))
{
    int ours, theirs, before = dup(fileno(stream));
    ssize_t n;
    cr_assert_eq(openpty(&ours, &theirs, NULL, NULL, NULL), 0);
    fflush(stream);
    cr_assert_geq(dup2(theirs, fileno(stream)), 0);
    fn();
    fflush(stream);
    cr_assert_geq(dup2(before, fileno(stream)), 0);
    n = read(ours, shown, sizeof(shown) - 1);
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
