// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_send: a namespace, or the difference of two moments of one, as a stream for another store.
 * The mount makes the stream. What the other side has already is left out: the mount chooses a base
 * that it has, and this process drops the beginning of a stream that arrived before.
 */
#include "client.h"
#include "command.h"
#include "ctl.h"
#include "form.h"
#include "image.h"
#include "io.h"
#include "say.h"
#include "session.h"
#include "verbs.h"
#include "which_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE (1u << 20)
#define HAVE_MAX (64u << 20) /* bytes of what another side says that it has */
#define DIGESTS_MAX 1000
#define TAIL 88 /* the last bytes of a stream: its digest, and the end */
#define TAIL_DIGEST 16

struct sending {
    const char *spec, *to, *have;
    bool json;
    struct command_list had; /* what the other side has */
    const char *mnt;
    int session, out;
    uint8_t *buf; /* what was read and not written: from `at` to `len` */
    size_t at, len, room;
    bool ended;
    uint64_t bytes, skipped;
    uint8_t tail[TAIL];
};

/* ---- progress ---- */

static void tick(struct sending *s)
{
    if (tally_progress_is_due()) {
        tally_progress("send, %" PRIu64 " MiB", (s->bytes + s->skipped) >> 20);
    }
}

/* ---- the stream ---- */

/* Reads more, so that at least `need` bytes are there, unless the stream ends. */
static int fill(struct sending *s, size_t need)
{
    memmove(s->buf, s->buf + s->at, s->len - s->at);
    s->len -= s->at;
    s->at = 0;
    while (s->len < need && !s->ended) {
        size_t want = s->room - s->len < PIECE ? s->room - s->len : PIECE;
        ssize_t n = read(s->session, s->buf + s->len, want);
        if (n < 0) {
            return -errno;
        }
        s->ended = n == 0;
        s->len += (size_t)n;
        tick(s);
    }
    return 0;
}

static void note_tail(struct sending *s, const uint8_t *bytes, size_t len)
{
    size_t n = len < TAIL ? len : TAIL;
    memmove(s->tail, s->tail + n, TAIL - n);
    memcpy(s->tail + TAIL - n, bytes + len - n, n);
}

/* Takes the next record off the buffer. -ENOENT: there are no more. */
static int take_record(struct sending *s, struct image_stream *stream, struct image_record *r)
{
    size_t used = 0;
    int err = fill(s, IMAGE_RECORD_MAX);
    if (err == 0) {
        err = image_next(stream, s->buf + s->at, s->len - s->at, &used, r);
    }
    if (used) {
        note_tail(s, s->buf + s->at, used);
    }
    s->at += used;
    s->skipped += used;
    return err == -EAGAIN ? -EUCLEAN : err;
}

/* The line of the other side about a stream that the sender calls so; NULL: it has none of that. */
static const struct command *find_partial(const struct sending *s, const char *label, size_t len)
{
    for (size_t i = 0; i < s->had.count; i++) {
        const struct command *c = &s->had.items[i];
        if (strcmp(c->verb, "partial") == 0 && c->nargs == 4 && c->args[3].len == len &&
            memcmp(c->args[3].text, label, len) == 0) {
            return c;
        }
    }
    return NULL;
}

static bool has_partial(const struct sending *s)
{
    bool has = false;
    for (size_t i = 0; i < s->had.count; i++) {
        has |= strcmp(s->had.items[i].verb, "partial") == 0;
    }
    return has;
}

/* Reads the beginning of the stream up to where the other side has it. 1: that is so; 0: it has
 * something else, and the stream has to be begun anew. */
static int skip(struct sending *s, uint64_t bytes, uint64_t sum, struct image_stream *stream)
{
    struct image_record r;
    int err = 0;
    while (err == 0 && s->skipped < bytes) {
        err = take_record(s, stream, &r);
    }
    if (err < 0 && err != -ENOENT) {
        return err;
    }
    return s->skipped == bytes && stream->sum == sum;
}

static int write_out(struct sending *s, const uint8_t *bytes, size_t len)
{
    int err = io_write(s->out, bytes, len);
    s->bytes += err < 0 ? 0 : len;
    return err;
}

/* Leaves out what arrived before. 1: the stream has to be begun anew. */
static int leave_out(struct sending *s)
{
    struct image_stream stream;
    struct image_record r;
    uint8_t head[IMAGE_REST_HEAD];
    uint64_t bytes, sum;
    int err = fill(s, IMAGE_HEAD);
    if (err == 0) {
        err = image_open(&stream, s->buf, s->len);
    }
    if (err < 0) {
        return err == -EAGAIN ? -EUCLEAN : err;
    }
    s->at = IMAGE_HEAD;
    s->skipped = IMAGE_HEAD;
    err = take_record(s, &stream, &r);
    if (err < 0) {
        return err;
    }
    const struct command *c = find_partial(s, r.len ? r.data : "", r.len);
    if (!c || command_number(c->args[1].text, &bytes) < 0) {
        return 1;
    }
    sum = strtoull(c->args[2].text, NULL, 16);
    err = skip(s, bytes, sum, &stream);
    if (err <= 0) {
        return err < 0 ? err : 1;
    }
    image_put_rest(bytes, sum, head);
    return write_out(s, head, sizeof(head));
}

static int copy(struct sending *s)
{
    int err = 0;
    do {
        err = fill(s, 1);
        if (err == 0 && s->len > s->at) {
            note_tail(s, s->buf + s->at, s->len - s->at);
            err = write_out(s, s->buf + s->at, s->len - s->at);
            s->at = s->len;
            if (err < 0) {
                tally_progress("%s", "");
                return tally_fail("%s: %s", s->to ? s->to : "standard output", strerror(-err));
            }
        }
    } while (err == 0 && !s->ended);
    return err;
}

/* ---- the session ---- */

static void make_line(const struct sending *s, struct strbuf *line)
{
    size_t digests = 0;
    strbuf_adds(line, "send ");
    command_add_word(line, s->spec);
    for (size_t i = s->had.count; i > 0 && digests < DIGESTS_MAX; i--) {
        const struct command *c = &s->had.items[i - 1];
        if (strcmp(c->verb, "digest") == 0 && c->nargs >= 1) {
            strbuf_addf(line, " %s", c->args[0].text);
            digests++;
        }
    }
    strbuf_adds(line, "\n");
}

static int begin(struct sending *s)
{
    CLEANUP_STRBUF struct strbuf line = STRBUF_INIT;
    make_line(s, &line);
    s->at = s->len = 0;
    s->ended = false;
    s->skipped = 0;
    io_cleanup_close(&s->session);
    return strbuf_error(&line) ? -ENOMEM
                               : session_begin(s->mnt, ".tally/export", line.s, &s->session);
}

/* Sends all. Returns the exit code. */
static int run(struct sending *s)
{
    int err = begin(s);
    if (err < 0 && s->session < 0) {
        return tally_fail("%s/.tally/export: %s", s->mnt, strerror(-err));
    }
    if (err == 0 && has_partial(s)) {
        err = leave_out(s);
    }
    if (err == 1) { /* what arrived before was of something else */
        err = begin(s);
    }
    if (err == 0) {
        err = copy(s);
    }
    tally_progress("%s", "");
    if (err < 0) {
        struct reply reply = REPLY_INIT;
        (void)session_reply(s->session, err, &reply);
        (void)tally_fail("%s", reply.head.s);
        reply_release(&reply);
    }
    return err == 0 ? 0 : 1;
}

/* ---- files ---- */

/* Reads what the other side has. */
static int read_have(struct sending *s)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT, why = STRBUF_INIT;
    int fd = open(s->have, O_RDONLY | O_CLOEXEC);
    int err = fd < 0 ? -errno : io_read_rest(fd, HAVE_MAX, &text);
    io_cleanup_close(&fd);
    if (err < 0) {
        return tally_fail("%s: %s", s->have, strerror(-err));
    }
    if (command_parse(text.s, text.len, &s->had, &why) < 0) {
        return tally_fail("%s is not what tally receive --have prints: %s", s->have, why.s);
    }
    return 0;
}

static void print_result(const struct sending *s)
{
    struct reply reply = REPLY_INIT;
    strbuf_addf(&reply.head, "bytes=%" PRIu64 " skipped=%" PRIu64 " digest=", s->bytes, s->skipped);
    for (size_t i = 0; i < SHA256_LEN; i++) {
        strbuf_addf(&reply.head, "%02x", s->tail[TAIL_DIGEST + i]);
    }
    if (s->json) {
        ctl_print_json("send", 0, &reply);
    } else {
        const struct people_call call = form_call("send", NULL, 0);
        ctl_show(&call, &reply);
    }
    reply_release(&reply);
}

/* Writes the file under another name, and gives it its own at the end. */
static int to_file(struct sending *s)
{
    CLEANUP_FREE char *partial = NULL;
    if (asprintf(&partial, "%s.partial-%d", s->to, (int)getpid()) < 0) {
        partial = NULL;
        return tally_fail("out of memory");
    }
    s->out = open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (s->out < 0) {
        return tally_fail("%s: %m", partial);
    }
    int rc = run(s);
    if (rc == 0 && fsync(s->out) < 0 && errno != EINVAL) {
        rc = tally_fail("%s: %m", partial);
    }
    if (close(s->out) < 0 && rc == 0) {
        rc = tally_fail("%s: %m", partial);
    }
    if (rc == 0 && rename(partial, s->to) < 0) {
        rc = tally_fail("%s: %m", s->to);
    }
    if (rc) {
        (void)unlink(partial);
    } else {
        print_result(s);
    }
    return rc;
}

static int to_stdout(struct sending *s)
{
    if (isatty(STDOUT_FILENO)) {
        return tally_fail("standard output is a terminal, and takes no stream");
    }
    s->out = STDOUT_FILENO;
    return run(s);
}

static int run_found(struct sending *s)
{
    struct tally_mountinfo m;
    int err = which_mount(&m);
    if (err < 0) {
        return which_mount_fail(err, &m);
    }
    if (s->have && read_have(s)) {
        return 1;
    }
    s->mnt = m.point;
    s->room = (size_t)2 * IMAGE_RECORD_MAX;
    s->buf = malloc(s->room);
    if (!s->buf) {
        return tally_fail("out of memory");
    }
    int rc = !s->to || strcmp(s->to, "-") == 0 ? to_stdout(s) : to_file(s);
    io_cleanup_close(&s->session);
    command_list_release(&s->had);
    free(s->buf);
    return rc;
}

int cmd_send_run(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"to", required_argument, NULL, 't'},
                                            {"have", required_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    static struct sending s;
    int o;
    s.session = s.out = -1;
    while ((o = form_getopt(argc, argv, "C:", options)) >= 0) {
        if (o == '?') {
            return verbs_misuse();
        }
        if (o == 'C') {
            tally_mount = optarg;
        } else if (o == 't') {
            s.to = optarg;
        } else if (o == 'h') {
            s.have = optarg;
        }
        s.json |= o == 'j';
    }
    if (argc - optind != 1) {
        return verbs_misuse();
    }
    s.spec = argv[optind];
    return run_found(&s);
}
