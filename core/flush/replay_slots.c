// SPDX-License-Identifier: Apache-2.0
#include "replay_slots.h"
#include "io.h"
#include "state.h"
#include "report.h"
#include <errno.h>
#include <string.h>

int replay_slots_write(struct replay_slots *s, struct state *p, const struct op *op)
{
    const uint64_t end = op->a + op->len;
    struct entry e;
    int err = refs_entry(p->refs, op->number, false, NULL, &e);

    if (err < 0)
        return err;
    if (e.kind != ENTRY_SLOT || op->a > e.size || end < op->a || end > INT64_MAX)
        return -EUCLEAN;
    if (end > e.size)
        err = refs_set_slot(p->refs, op->number, end);
    return err < 0 ? err : map64_put(&s->written, op->number, s->op);
}

int replay_slots_synced(struct replay_slots *s, uint64_t number)
{
    return map64_put(&s->synced, number, s->op);
}

void replay_slots_release(struct replay_slots *s)
{
    map64_release(&s->synced);
    map64_release(&s->written);
}

/* ---- at the end ---- */

/* The number of the operation that said last that the slot was synced; 0: none did. */
static uint64_t synced_at(const struct replay_slots *s, uint64_t number)
{
    uint64_t at = 0;

    (void)map64_get(&s->synced, number, &at);
    return at;
}

/* Does the log have bytes that the slot lacks, and is the content still a slot? */
static bool is_wanted(const struct replay_slots *s, struct state *p, uint64_t number)
{
    uint64_t last;
    struct entry e;

    return map64_get(&s->written, number, &last) && last > synced_at(s, number) &&
           refs_entry(p->refs, number, false, NULL, &e) == 0 && e.kind == ENTRY_SLOT;
}

/* Delete the checksums of the slots before a byte of them changes: a flush that was never
 * committed may have made them. */
static int drop_sums(struct replay_slots *s, struct state *p, size_t *ret_wanted)
{
    uint64_t number, last;
    size_t at = 0;
    int err = 0;

    *ret_wanted = 0;
    while (err == 0 && map64_next(&s->written, &at, &number, &last)) {
        if (!is_wanted(s, p, number))
            continue;
        ++*ret_wanted;
        err = blob_unlink_slot_sums(p->config.disk, number);
    }
    return err == 0 && *ret_wanted ? disk_sync_dir(p->config.disk, "slots") : err;
}

/* The second reading of the log, which writes bytes to slots. */
struct writer {
    struct replay_slots *slots;
    struct state *p;
    uint64_t op;            /* number of the present operation */
    uint64_t number;        /* number of the slot that `file` is, or that was found missing */
    struct disk_file *file; /* NULL: it is missing */
};

/* Open a slot, if it is not the one that is open. A missing slot is reported and gives 0. */
static int open_slot(struct writer *w, uint64_t number)
{
    char name[DISK_NAME_MAX + 1];
    int err;

    if (w->number == number)
        return 0;
    disk_file_close(w->file);
    w->file = NULL;
    w->number = number;
    blob_slot_name(number, name);
    err = disk_open(w->p->config.disk, name, DISK_WRITE, &w->file);
    if (err == -ENOENT)
        report(REPORT_ALARM, "%s is missing, which the log writes to", name);
    return err == -ENOENT ? 0 : err;
}

/* Write the bytes of an operation, if the slot lacks them. */
static int write_op(struct writer *w, const struct op *op)
{
    int err;

    w->op++;
    if (op->kind != OP_CONTENT_WRITE || w->op <= synced_at(w->slots, op->number) ||
        !is_wanted(w->slots, w->p, op->number))
        return 0;
    err = open_slot(w, op->number);
    if (err == 0 && w->file)
        err = disk_pwrite(w->file, op->data, op->len, op->a);
    if (err < 0 && !io_is_short(err))
        report(REPORT_ALARM, "what the log has of slot %llu cannot be written to it: %s",
               (unsigned long long)op->number, strerror(-err));
    return err;
}

/* Called for each frame that counts. */
static int visit_frame(const struct log_frame *f, void *ctx)
{
    struct op op;
    size_t at = 0;
    int err;

    while ((err = op_next(f->payload, f->len, &at, &op)) == 0) {
        err = write_op(ctx, &op);
        if (err < 0)
            return err;
    }
    return err == -ENOENT ? 0 : err;
}

/* Write all bytes that slots lack. */
static int apply(struct replay_slots *s, struct state *p, const struct log_scan *scan)
{
    struct writer w = {.slots = s, .p = p};
    struct log_report again;
    size_t wanted;
    int err = drop_sums(s, p, &wanted);

    if (err < 0 || wanted == 0)
        return err;
    err = log_read(p->config.disk, scan, visit_frame, &w, &again);
    disk_file_close(w.file);
    return err;
}

/* Some slots could not be written. Their old bytes must not be read, and no commit may delete the
 * log: these slots are marked, and the store becomes read-only. */
static int leave_unwritten(struct replay_slots *s, struct state *p, int why)
{
    uint64_t number, last;
    size_t at = 0;
    int err = 0;

    while (err == 0 && map64_next(&s->written, &at, &number, &last))
        if (is_wanted(s, p, number))
            err = map64_put(&p->contents.unwritten, number, 1);
    if (err == 0)
        state_turn_readonly(p, "writing to slots what the log has for them", why);
    return err;
}

int replay_slots_apply(struct replay_slots *s, struct state *p, const struct log_scan *scan)
{
    int err = apply(s, p, scan);

    return err < 0 && !io_is_short(err) ? leave_unwritten(s, p, err) : err;
}
