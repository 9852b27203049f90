// SPDX-License-Identifier: Apache-2.0
#include "doctor_gather.h"

#include "client.h"
#include "io.h"
#include "jobs.h"
#include "mountinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define SWITCH "/sys/module/fuse/parameters/enable_uring"

/* A small file of the machine; the caller frees it. NULL: it cannot be read. */
static char *read_text(const char *path)
{
    char *text;
    size_t len;
    return io_read_file(AT_FDCWD, path, 1 << 20, &text, &len) == 0 ? text : NULL;
}

static char uring_switch(void)
{
    char c = '\0';
    CLEANUP_CLOSE int fd = open(SWITCH, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && read(fd, &c, 1) == 1 ? c : '\0';
}

static uint64_t files_limit(const json_t *stats)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%lld/limits",
             (long long)json_integer_value(json_object_get(stats, "pid")));
    CLEANUP_FREE char *text = read_text(path);
    const char *line = text ? strstr(text, "Max open files") : NULL;
    return line ? strtoull(line + strlen("Max open files"), NULL, 10) : 0;
}

/* Does a line of fstab name the store, or does a unit of systemd serve it? */
static bool is_mounted_at_boot(const char *store, const json_t *stats)
{
    char path[64];
    CLEANUP_FREE char *fstab = read_text("/etc/fstab");
    snprintf(path, sizeof(path), "/proc/%lld/cgroup",
             (long long)json_integer_value(json_object_get(stats, "pid")));
    CLEANUP_FREE char *group = read_text(path);
    for (const char *p = fstab; p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
        if (strncmp(p, store, strlen(store)) == 0 && strchr(" \t", p[strlen(store)])) {
            return true;
        }
    }
    return group && (strstr(group, ".service") && strstr(group, "tally@"));
}

/* Takes what follows the state in the status: ": sentence". */
static int read_why(const char *mnt, struct strbuf *why)
{
    CLEANUP_STRBUF struct strbuf status = STRBUF_INIT;
    int err = client_read_status(mnt, &status);
    const char *line = err == 0 && status.s ? strstr(status.s, "\nstate ") : NULL;
    const char *colon = line ? strchr(line + 1, ':') : NULL;
    if (colon && colon < line + 1 + strcspn(line + 1, "\n")) {
        strbuf_add(why, colon + 2, strcspn(colon + 2, "\n"));
    }
    return err;
}

/* A read-only mount takes no command, and its settings are not known. */
static void read_settings(const char *mnt, struct strbuf *out)
{
    struct reply reply = REPLY_INIT;
    CLEANUP_CLOSE int fd = client_open(mnt);
    if (fd >= 0 && client_run(fd, "get", &reply) == 0) {
        strbuf_add(out, reply.body.s, reply.body.len);
    }
    reply_release(&reply);
}

int doctor_gather(const char *mnt, const char *store, struct doctor_case *ret)
{
    struct utsname u;
    *ret = (struct doctor_case){.why = STRBUF_INIT, .settings = STRBUF_INIT};
    int err = read_why(mnt, &ret->why);
    if (err < 0) {
        return err;
    }
    ret->stats = client_load_stats(mnt);
    ret->jobs = jobs_read_all(mnt);
    if (!ret->stats) {
        return -EIO;
    }
    read_settings(mnt, &ret->settings);
    mountinfo_type_of(store, ret->store_fs);
    ret->facts = (struct doctor_facts){.stats = ret->stats,
                                       .why = ret->why.s ? ret->why.s : "",
                                       .store_fs = ret->store_fs,
                                       .uring = uring_switch(),
                                       .files_limit = files_limit(ret->stats),
                                       .in_tmp = strncmp(store, "/tmp/", 5) == 0 ||
                                                 strncmp(store, "/var/tmp/", 9) == 0,
                                       .boots = is_mounted_at_boot(store, ret->stats),
                                       .now = time(NULL)};
    if (uname(&u) == 0) {
        (void)sscanf(u.release, "%d.%d", &ret->facts.kernel_major, &ret->facts.kernel_minor);
    }
    return 0;
}

void doctor_case_release(struct doctor_case *c)
{
    json_decref(c->stats);
    json_decref(c->jobs);
    strbuf_release(&c->why);
    strbuf_release(&c->settings);
}
