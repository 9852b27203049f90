// SPDX-License-Identifier: Apache-2.0
#include "form.h"

#include "say.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { OPTION_HUMAN = 0x1000, OPTION_PORCELAIN };

static struct {
    bool json, human, porcelain;
} given;

/* Notes one of the three. False: it is none of them. */
static bool note(int o)
{
    given.json |= o == 'j';
    given.human |= o == OPTION_HUMAN;
    given.porcelain |= o == OPTION_PORCELAIN;
    return o == 'j' || o == OPTION_HUMAN || o == OPTION_PORCELAIN;
}

int form_getopt(int argc, char **argv, const char *letters, const struct option *options)
{
    struct option all[FORM_OPTIONS_MAX + 2] = {
        {"human", no_argument, NULL, OPTION_HUMAN},
        {"porcelain", no_argument, NULL, OPTION_PORCELAIN},
    };
    int o;
    for (size_t i = 0; options[i].name && i + 1 < FORM_OPTIONS_MAX; i++) {
        all[i + 2] = options[i];
    }
    do {
        o = tally_getopt(argc, argv, letters, all);
        if (note(o) && given.json + given.human + given.porcelain > 1) {
            tally_warn("--human, --porcelain and --json exclude each other");
            return '?';
        }
    } while (o == OPTION_HUMAN || o == OPTION_PORCELAIN);
    return o;
}

bool form_is_human(void)
{
    return given.human || (!given.porcelain && !given.json && isatty(STDOUT_FILENO));
}

bool form_has_colours(void)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(STDOUT_FILENO) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

/* The width of the terminal; 0: it is none. */
static size_t width_of_terminal(void)
{
    struct winsize size;
    if (!isatty(STDOUT_FILENO)) {
        return 0;
    }
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

struct people_call form_call(const char *verb, char *const *args, int nargs)
{
    return (struct people_call){.verb = verb,
                                .args = args,
                                .nargs = nargs,
                                .width = width_of_terminal(),
                                .now = (int64_t)time(NULL)};
}
