// SPDX-License-Identifier: Apache-2.0
/*
 * top: a thread records costs, an interval each, and publishes them. The main
 * thread draws, and answers keys at once.
 */
#include "top.h"

#include "client.h"
#include "io.h"
#include "jobs.h"
#include "lock.h"
#include "costs.h"
#include "thread.h"
#include "top_screen.h"

#include <errno.h>
#include <locale.h>
#include <ncurses.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define KEY_WAIT_MS 100 /* how long the main thread waits for a key before it looks for facts */
#define ROWS_MAX 500
#define END_LOOKS 40 /* how often it is looked, and ns in between, whether the thread has ended */
#define END_LOOK_NS 50000000
#define SLICE_MS 1000u /* a longer interval is several recordings, so that the end need not wait */

struct gathered {
    json_t *stats, *jobs;
    struct costs costs;
};

struct top {
    const char *mnt;
    unsigned seconds;
    pthread_t thread;
    struct mutex lock;        /* "top" */
    struct gathered got;      /* guarded by: lock; the newest one */
    unsigned number;          /* guarded by: lock; how many there were */
    _Atomic bool ends, ended; /* the thread is to end; it has ended */
};

static void release(struct gathered *g)
{
    json_decref(g->stats);
    json_decref(g->jobs);
    costs_release(&g->costs);
}

/* ---- gathering ---- */

/* Records for the interval. A mount that does not answer is asked again. */
static void take(struct top *t, struct gathered *g)
{
    for (unsigned ms = 0; ms < t->seconds * 1000 && !atomic_load(&t->ends); ms += SLICE_MS) {
        CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
        if (costs_take(t->mnt, SLICE_MS, &g->costs, &why) < 0) {
            (void)nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
            return;
        }
    }
}

static void *gather(void *arg)
{
    struct top *t = arg;
    while (!atomic_load(&t->ends)) {
        struct gathered g = {.costs = COSTS_INIT}, before;
        take(t, &g);
        g.stats = client_load_stats(t->mnt);
        g.jobs = jobs_read_all(t->mnt);
        MUTEX_GUARD(&t->lock);
        before = t->got;
        t->got = g;
        t->number++;
        release(&before);
    }
    atomic_store(&t->ended, true);
    return NULL;
}

/* ---- drawing ---- */

static void draw_lines(const struct top_line *lines, size_t count)
{
    static const attr_t styles[] = {
        [TOP_PLAIN] = A_NORMAL, [TOP_HEAD] = A_BOLD, [TOP_BAD] = A_REVERSE};
    erase();
    for (size_t i = 0; i < count; i++) {
        attrset((int)styles[lines[i].style]);
        mvaddstr((int)i, 0, lines[i].text ? lines[i].text : "");
    }
    attrset(A_DIM);
    mvaddstr(LINES - 1, 0, "q: quit");
    attrset(A_NORMAL);
    refresh();
}

/* Draws the newest facts. Needs the lock. */
static void draw(struct top *t)
{
    struct top_line lines[ROWS_MAX];
    const struct top_facts f = {.mnt = t->mnt,
                                .stats = t->got.stats,
                                .jobs = t->got.jobs,
                                .costs = &t->got.costs,
                                .now = time(NULL)};
    const size_t rows = LINES > 2 ? (size_t)LINES - 1 : 1;
    mutex_held(&t->lock);
    const size_t count = top_screen(&f, rows < ROWS_MAX ? rows : ROWS_MAX, (size_t)COLS, lines);
    draw_lines(lines, count);
    for (size_t i = 0; i < count; i++) {
        free(lines[i].text);
    }
}

/* Draws whenever there is something new, or the window has another size, until the user quits. */
static void show(struct top *t)
{
    unsigned drawn = 0;
    for (int key = 0; key != 'q' && key != 'Q'; key = getch()) {
        MUTEX_GUARD(&t->lock);
        if (t->number != drawn || key == KEY_RESIZE) {
            drawn = t->number;
            draw(t);
        }
    }
}

/* Prepares the terminal. False: it cannot be drawn on. */
static bool begin_screen(SCREEN **ret)
{
    (void)setlocale(LC_CTYPE, "");
    *ret = newterm(NULL, stdout, stdin);
    if (!*ret) {
        return false;
    }
    cbreak();
    noecho();
    (void)curs_set(0);
    keypad(stdscr, TRUE);
    timeout(KEY_WAIT_MS);
    mvaddstr(0, 0, "looking …");
    refresh();
    return true;
}

/* A first short recording, before the screen is touched: its failure is a sentence for the user. */
static int begin_facts(struct top *t, struct strbuf *why)
{
    int err = costs_take(t->mnt, 1, &t->got.costs, why);
    if (err == 0) {
        t->got.stats = client_load_stats(t->mnt);
        t->number = 1;
    }
    return err;
}

/* Ends the thread. If it waits for a mount that does not answer the process ends with it. */
static void end_thread(struct top *t)
{
    for (int i = 0; i < END_LOOKS && !atomic_load(&t->ended); i++) {
        (void)nanosleep(&(struct timespec){.tv_nsec = END_LOOK_NS}, NULL);
    }
    if (!atomic_load(&t->ended)) {
        _exit(0);
    }
    pthread_join(t->thread, NULL);
}

static int run(struct top *t, struct strbuf *why)
{
    SCREEN *screen;
    int err = begin_facts(t, why);
    if (err < 0) {
        return err;
    }
    if (!begin_screen(&screen)) {
        strbuf_adds(why, "this terminal cannot be drawn on (TERM)");
        return -ENOTTY;
    }
    err = thread_start(&t->thread, gather, t);
    if (err == 0) {
        show(t);
        atomic_store(&t->ends, true);
    }
    endwin();
    delscreen(screen);
    if (err == 0) {
        end_thread(t);
    } else {
        strbuf_addf(why, "no thread: %s", strerror(-err));
    }
    return err;
}

int top_run(const char *mnt, unsigned seconds, struct strbuf *why)
{
    struct top t = {.mnt = mnt, .seconds = seconds};
    mutex_init(&t.lock, "top");
    const int err = run(&t, why);
    release(&t.got);
    mutex_destroy(&t.lock);
    return err;
}
