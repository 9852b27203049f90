// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_log: lists the log of a store that is not mounted, frame by frame. `log list` and `log find`
 * are commands to a mount. Exit code 0; 1: the log is damaged, or could not be read.
 */
#include "command.h"
#include "ctl.h"
#include "form.h"
#include "json_text.h"
#include "log_archive.h"
#include "log_list.h"
#include "mountinfo.h"
#include "owner_wait.h"
#include "say.h"
#include "store_dir.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#define WORDS_MAX 8 /* how many operations of a frame a line names */

struct showing {
    bool json;
    struct kv *kv;
    uint64_t committed; /* sequence number of the last commit; 0 if it is unknown */
    uint32_t ns;        /* the namespace that `name` is the name of */
    char name[VFS_NAME_MAX + 1];
};

/* ---- parts ---- */

/* The name of a namespace in the last commit; "" if it had none. The last name is kept in *s. */
static const char *namespace_name(struct showing *s, uint32_t number)
{
    if (number != s->ns) {
        s->ns = number;
        if (log_namespace_name(s->kv, number, s->name) < 0) {
            *s->name = '\0';
        }
    }
    return s->name;
}

static const char *state_of(const struct showing *s, const struct log_frame *f)
{
    return f->tail ? "torn" : f->seq <= s->committed ? "committed" : "pending";
}

static void print_line(json_t *line)
{
    tally_print_json(line, JSON_COMPACT);
    json_decref(line);
}

/* ---- segments ---- */

static const char *segment_state(const struct log_file *f)
{
    return f->error == -ENOENT           ? "not used yet"
           : f->error == -EPROTO         ? "written by a newer version of tally"
           : f->error                    ? "damaged"
           : f->head.serial != f->serial ? "on its way to be used again"
                                         : "";
}

/* Prints one segment of the log. */
static void on_segment(const struct log_file *f, void *ctx)
{
    const struct showing *s = ctx;
    const char *state = segment_state(f);
    bool sound = *state == '\0';
    if (s->json) {
        json_t *line =
            json_pack("{s:s, s:I, s:I, s:s}", "type", "segment", "segment", (json_int_t)f->serial,
                      "bytes", (json_int_t)f->bytes, "state", sound ? "sound" : state);
        if (sound) {
            json_object_set_new(line, "epoch", json_integer((json_int_t)f->head.epoch));
        }
        print_line(line);
    } else if (sound) {
        printf("segment %llu: epoch %llu, %llu bytes\n", (unsigned long long)f->serial,
               (unsigned long long)f->head.epoch, (unsigned long long)f->bytes);
    } else {
        printf("segment %llu: %s, %llu bytes\n", (unsigned long long)f->serial, state,
               (unsigned long long)f->bytes);
    }
}

/* ---- frames ---- */

/* The operations of a frame as an array. It ends at bytes that are no operation. */
static json_t *operations(const struct log_frame *f)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    json_t *list = json_array();
    struct op op;
    size_t at = 0;
    while (op_next(f->payload, f->len, &at, &op) == 0) {
        strbuf_clear(&text);
        log_describe_op(&op, f->ns, &text);
        json_array_append_new(list, json_pack("{s:s, s:o}", "kind", op_kind_name(op.kind), "text",
                                              json_text_of(text.s, text.len)));
    }
    return list;
}

/* Prints one object for a frame. A sync frame has no namespace and no operations. */
static void print_frame_json(struct showing *s, const struct log_frame *f)
{
    char time[LOG_TIME];
    json_t *line =
        json_pack("{s:s, s:I, s:I, s:I, s:s, s:s}", "type", f->sync ? "sync" : "frame", "segment",
                  (json_int_t)f->pos.segment, "offset", (json_int_t)f->pos.offset, "seq",
                  (json_int_t)f->seq, "time", log_time(f->time, time), "state", state_of(s, f));
    if (!f->sync) {
        const char *name = namespace_name(s, f->ns);
        json_object_set_new(line, "namespace", json_integer(f->ns));
        json_object_set_new(line, "ns", *name ? json_text(name) : json_null());
        json_object_set_new(line, "bytes", json_integer((json_int_t)f->len));
        json_object_set_new(line, "request", json_integer((json_int_t)log_frame_request(f)));
        json_object_set_new(line, "operations", operations(f));
    }
    print_line(line);
}

/* Prints one line for a frame, with its first operations in words. */
static void print_frame(struct showing *s, const struct log_frame *f)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    const char *name = namespace_name(s, f->ns);
    char time[LOG_TIME];
    if (f->sync) {
        strbuf_adds(&text, "sync");
    } else if (*name) {
        command_add_word(&text, name);
    } else {
        strbuf_addf(&text, f->ns ? "#%u" : "root", f->ns);
    }
    strbuf_adds(&text, ": ");
    if (f->sync) {
        strbuf_addf(&text, "durable up to %llu", (unsigned long long)f->seq);
    } else if (log_describe(f, WORDS_MAX, &text) < 0) {
        strbuf_adds(&text, " and what is no operation");
    }
    printf("%8llu  %llu  %s  %-9s  %s\n", (unsigned long long)f->pos.offset,
           (unsigned long long)f->seq, log_time(f->time, time), state_of(s, f), text.s);
}

static int on_frame(const struct log_frame *f, void *ctx)
{
    struct showing *s = ctx;
    if (s->json) {
        print_frame_json(s, f);
    } else {
        print_frame(s, f);
    }
    return ferror(stdout) ? -EIO : 0;
}

/* ---- the end ---- */

/* Prints where the log ends, and why there. */
static void print_end(const struct showing *s, const struct log_report *r, int err)
{
    const char *word = err ? "damaged" : r->torn ? "torn" : "whole";
    if (s->json) {
        print_line(json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:b}", "type", "end", "state", word,
                             "segment", (json_int_t)r->end.segment, "offset",
                             (json_int_t)r->end.offset, "seq", (json_int_t)r->last_seq, "committed",
                             (json_int_t)s->committed, "same_boot", r->same_boot));
    } else if (err == 0 && r->segments == 0) {
        puts("the log is empty");
    } else if (err == 0) {
        printf("%s at segment %llu, offset %llu: %s\n", r->torn ? "cut off" : "ends",
               (unsigned long long)r->end.segment, (unsigned long long)r->end.offset,
               r->same_boot ? "every whole frame counts, its filesystem has been mounted since"
                            : "up to the last sync, since the machine was restarted, or its "
                              "filesystem mounted anew");
    }
}

/* Lists the log. Returns the exit code. */
static int show(const char *path, const struct store_dir *store, struct showing *s)
{
    const struct log_list_options o = {.segment = on_segment, .frame = on_frame, .ctx = s};
    struct log_report report;
    s->kv = store->kv;
    int err = log_committed(store->kv, &s->committed);
    if (err < 0) {
        tally_warn("%s: its state cannot be read, so what is committed is not known", path);
    }
    err = log_list(store->disk, &o, &report);
    if (err < 0 && err != -EUCLEAN) {
        return tally_fail("%s: the log cannot be read: %s", path, strerror(-err));
    }
    print_end(s, &report, err);
    if (err == 0) {
        return 0;
    }
    CLEANUP_STRBUF struct strbuf loss = STRBUF_INIT;
    log_describe_loss(&report, &loss);
    return tally_fail("%s: the log is damaged at segment %llu, offset %llu: a mount would give up "
                      "%s",
                      path, (unsigned long long)report.end.segment,
                      (unsigned long long)report.end.offset, loss.s);
}

/* Is it a command to a mount? The first word that is no option is then `list` or `find`; a store
 * with such a name is written ./list. */
static bool is_for_mount(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-C") == 0) {
            i++;
        } else if (argv[i][0] != '-') {
            return strcmp(argv[i], "list") == 0 || strcmp(argv[i], "find") == 0;
        }
    }
    return false;
}

int cmd_log_run(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"foreign-store", no_argument, NULL, 'F'},
                                            {NULL, 0, NULL, 0}};
    unsigned flags = STORE_READONLY;
    struct showing s = {.ns = UINT32_MAX};
    char why[STORE_WHY] = "";
    struct tally_mountinfo at;
    struct store_dir store;
    int o;
    if (log_archive_is_asked(argc, argv)) {
        return log_archive_run(argc, argv);
    }
    if (is_for_mount(argc, argv)) {
        return cmd_control_run(argc, argv);
    }
    while ((o = form_getopt(argc, argv, "", options)) >= 0) {
        if (o != 'j' && o != 'F') {
            return verbs_misuse();
        }
        s.json |= o == 'j';
        flags |= o == 'F' ? STORE_FOREIGN : 0;
    }
    if (argc - optind != 1) {
        return verbs_misuse();
    }
    if (mountinfo_at(argv[optind], &at) == 0) {
        return tally_fail("%s is a mount, of the store %s; this reads the log of a store that is "
                          "not mounted",
                          argv[optind], at.source);
    }
    if (owner_open(argv[optind], flags, "log", argv[optind], &store, why) < 0) {
        return tally_fail("%s", why);
    }
    int rc = show(argv[optind], &store, &s);
    store_dir_close(&store);
    return rc;
}
