// SPDX-License-Identifier: Apache-2.0
/* Claims about a daemon that is killed while it writes: the kernel leaves a write between two pages
 * then, and what is in the page cache stays. */
#include "disk_impl.h"
#include "log_fixture.h"

#define PAGE 4096u
#define FRAMES 400

static const struct disk_ops *real;
static struct disk_ops mortal;
static unsigned writes, dies_at; /* of the last write there is the first page, if it has two */
static bool dead;

static int open_mortal(struct disk *d, const char *name, unsigned flags, struct disk_file **ret)
{
    int err = dead ? -EIO : real->open(d, name, flags, ret);

    if (err == 0)
        (*ret)->ops = &mortal;
    return err;
}

static int pwritev_mortal(struct disk_file *f, const struct iovec *iov, int count, uint64_t off)
{
    struct iovec part = iov[0];
    size_t page = PAGE - off % PAGE;

    if (dead)
        return -EIO;
    if (++writes != dies_at)
        return real->pwritev(f, iov, count, off);
    dead = true;
    part.iov_len = part.iov_len > page ? page : 0;
    if (part.iov_len)
        (void)real->pwritev(f, &part, 1, off);
    return -EIO;
}

static int unlink_mortal(struct disk *d, const char *name)
{
    return dead ? -EIO : real->unlink(d, name);
}

static struct disk *make_mortal(unsigned at)
{
    struct disk *d = make_disk(0);

    real = d->ops;
    mortal = *real;
    mortal.open = open_mortal;
    mortal.pwritev = pwritev_mortal;
    mortal.unlink = unlink_mortal;
    d->ops = &mortal;
    writes = 0;
    dies_at = at;
    dead = false;
    return d;
}

/* With commits now and then, so that segments are used again. *ret_pos, *ret_seq: of the last. */
static uint64_t write_until_dead(struct log *l, struct log_pos *ret_pos, uint64_t *ret_seq)
{
    static char text[1200];
    struct iovec iov = {text, sizeof text};
    uint64_t seq, last = 0;

    memset(text, 'x', sizeof text);
    for (int i = 1; i <= FRAMES && log_room(l, sizeof text) == 0; i++) {
        cr_assert_eq(log_append(l, 1, &iov, 1, &seq), 0);
        log_room_done(l, sizeof text);
        last = seq;
        if (i % 90 == 0) {
            *ret_pos = here(l);
            *ret_seq = seq;
            log_trim(l, ret_pos);
        }
    }
    return last;
}

Test(log_killed, a_segment_that_was_being_made_is_no_damage)
{
    unsigned at = 0;

    do {
        struct log_pos pos = {1, SEGMENT_HEAD};
        struct disk *d = make_mortal(++at);
        struct log *l = open_log(d);
        uint64_t committed = 0, last = write_until_dead(l, &pos, &committed);

        log_close(l);
        d->ops = real;
        fault.loss = FAULT_KEEP_ALL;
        disk_mem_power_cycle(d);
        fault_reset(&fault);
        cr_assert_eq(read_from(d, committed, pos), 0, "killed in write %u", at);
        cr_assert_eq(report_of.last_seq, last, "killed in write %u", at);
        disk_close(d);
    } while (dead);
}
