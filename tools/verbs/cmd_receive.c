// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_receive: a stream that another store sent becomes a new namespace. The bytes go to the mount
 * as they are.
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
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE (1u << 20)

struct receiving {
    const char *name, *from, *base;
    bool json, have;
    int in, session;
    uint64_t bytes;
};

static void tick(struct receiving *r)
{
    if (tally_progress_is_due()) {
        tally_progress("receive, %" PRIu64 " MiB", r->bytes >> 20);
    }
}

/* ---- the stream ---- */

/* Reads up to `len` bytes, fewer only at the end. -errno after a sentence. */
static ssize_t read_some(struct receiving *r, uint8_t *buf, size_t len)
{
    size_t done = 0;
    ssize_t n = 1;
    while (done < len && n > 0) {
        n = read(r->in, buf + done, len - done);
        done += n > 0 ? (size_t)n : 0;
    }
    if (n < 0) {
        int err = -errno;
        (void)tally_fail("%s: %s", r->from ? r->from : "standard input", strerror(-err));
        return err;
    }
    r->bytes += done;
    return (ssize_t)done;
}

/* Makes the line that the stream asks for: it may be the rest of one that was interrupted. */
static int begin(struct receiving *r, const char *mnt, const uint8_t *head, size_t len,
                 bool *ret_rest)
{
    CLEANUP_STRBUF struct strbuf line = STRBUF_INIT;
    uint64_t bytes, sum;
    *ret_rest = len == IMAGE_REST_HEAD && image_get_rest(head, &bytes, &sum);
    strbuf_adds(&line, "receive ");
    command_add_word(&line, r->name);
    if (*ret_rest) {
        strbuf_addf(&line, " resume=%" PRIu64 ":%016" PRIx64, bytes, sum);
    } else if (r->base) {
        strbuf_adds(&line, " base=");
        command_add_word(&line, r->base);
    }
    strbuf_adds(&line, "\n");
    return strbuf_error(&line) ? -ENOMEM : session_begin(mnt, ".tally/import", line.s, &r->session);
}

/* Gives the stream to the mount. 0, -errno of the mount, or 1 after a sentence. */
static int give_all(struct receiving *r, const char *mnt, uint8_t *buf)
{
    ssize_t n = read_some(r, buf, IMAGE_HEAD);
    bool rest = false;
    int err = n < 0 ? 1 : begin(r, mnt, buf, (size_t)n, &rest);
    if (err == 0 && !rest && n > 0) {
        err = io_write(r->session, buf, (size_t)n);
    }
    while (err == 0 && n > 0) {
        n = read_some(r, buf, PIECE);
        err = n < 0 ? 1 : n > 0 ? io_write(r->session, buf, (size_t)n) : 0;
        tick(r);
    }
    return err;
}

/* ---- the result ---- */

/* After the end of the stream the mount has a reply; without one it waits for more. */
static int read_reply(const struct receiving *r, int err, struct reply *reply)
{
    err = session_reply(r->session, err, reply);
    if (err == -EIO && strcmp(reply->head.s, strerror(EIO)) == 0) {
        strbuf_clear(&reply->head);
        strbuf_adds(&reply->head, "the stream ended too early; what arrived is kept for an hour: "
                                  "tally receive --have tells the sender of it");
    }
    return err;
}

static int run(struct receiving *r, const char *mnt)
{
    struct reply reply = REPLY_INIT;
    uint8_t *buf = malloc(PIECE);
    if (!buf) {
        return tally_fail("out of memory");
    }
    int err = give_all(r, mnt, buf);
    free(buf);
    tally_progress("%s", "");
    if (err == 1) {
        return 1;
    }
    if (r->session < 0) {
        return tally_fail("%s/.tally/import: %s", mnt, strerror(-err));
    }
    err = read_reply(r, err, &reply);
    if (err == 0) {
        strbuf_addf(&reply.head, " arrived=%" PRIu64, r->bytes);
    }
    if (r->json) {
        ctl_print_json("receive", err, &reply);
    } else if (err == 0) {
        const struct people_call call = form_call("receive", NULL, 0);
        ctl_show(&call, &reply);
    }
    int rc = err < 0 ? tally_fail("%s", reply.head.s) : 0;
    reply_release(&reply);
    return rc;
}

/* Prints what a sender need not send. */
static int print_have(struct receiving *r, const char *mnt)
{
    struct reply reply = REPLY_INIT;
    int err = session_begin(mnt, ".tally/import", "have\n", &r->session);
    if (r->session < 0) {
        return tally_fail("%s/.tally/import: %s", mnt, strerror(-err));
    }
    err = session_reply(r->session, err, &reply);
    if (r->json) {
        ctl_print_json("receive", err, &reply);
    } else if (err == 0) {
        tally_print(reply.body.s, reply.body.len);
    }
    int rc = err < 0 ? tally_fail("%s", reply.head.s) : 0;
    reply_release(&reply);
    return rc;
}

static int open_source(struct receiving *r)
{
    bool is_stdin = !r->from || strcmp(r->from, "-") == 0;
    r->in =
        is_stdin ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(r->from, O_RDONLY | O_CLOEXEC);
    if (r->in < 0) {
        return tally_fail("%s: %m", is_stdin ? "standard input" : r->from);
    }
    return is_stdin && isatty(r->in) ? tally_fail("standard input is a terminal, and no stream")
                                     : 0;
}

static int run_found(struct receiving *r)
{
    struct tally_mountinfo m;
    int err = which_mount(&m);
    if (err < 0) {
        return which_mount_fail(err, &m);
    }
    if (r->name && strchr(r->name, '/')) {
        return tally_fail("%s is no name of a new namespace", r->name);
    }
    int rc = r->have ? print_have(r, m.point) : open_source(r) ? 1 : run(r, m.point);
    io_cleanup_close(&r->session);
    io_cleanup_close(&r->in);
    return rc;
}

int cmd_receive_run(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"have", no_argument, NULL, 'h'},
                                            {"from", required_argument, NULL, 'f'},
                                            {"base", required_argument, NULL, 'b'},
                                            {NULL, 0, NULL, 0}};
    static struct receiving r;
    int o;
    r.session = r.in = -1;
    while ((o = form_getopt(argc, argv, "C:", options)) >= 0) {
        if (o == '?') {
            return verbs_misuse();
        }
        if (o == 'C') {
            tally_mount = optarg;
        } else if (o == 'f') {
            r.from = optarg;
        } else if (o == 'b') {
            r.base = optarg;
        }
        r.json |= o == 'j';
        r.have |= o == 'h';
    }
    if (argc - optind != !r.have || (r.have && (r.from || r.base))) {
        return verbs_misuse();
    }
    r.name = r.have ? NULL : argv[optind];
    return run_found(&r);
}
