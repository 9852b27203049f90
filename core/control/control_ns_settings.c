// SPDX-License-Identifier: Apache-2.0
/*
 * control_ns_settings: the verbs get and set for a setting of a namespace, ns:NAME.KEY. A new one
 * is a line in `settings`.
 */
#include "compression.h"
#include "control_impl.h"
#include "ladder_run.h"
#include "quota.h"
#include "ship.h"
#include "ttl.h"
#include "vfs.h"
#include <errno.h>
#include <stdlib.h>

#define U(x) ((unsigned long long)(x))

struct setting_of_ns {
    const char *key, *standard, *what;
    /* Appends the value. Errors are those of no memory, which the text keeps. */
    void (*get)(struct state *p, struct ns *ns, struct strbuf *out);
    /* Changes it. -EINVAL with a sentence: it has no such value. */
    int (*set)(struct call *call, struct ns *ns, const char *value);
};

/* ---- the settings with two values ---- */

static int set_switch(struct call *call, struct ns *ns, enum ns_switch which, const char *key,
                      const char *off, const char *on, const char *value)
{
    CLEANUP_STRBUF struct strbuf name = STRBUF_INIT;
    bool is_on = !strcmp(value, on);
    int err;

    if (!is_on && strcmp(value, off) != 0) {
        strbuf_addf(&call->why, "%s is %s or %s, not ", key, on, off);
        command_add_word(&call->why, value);
        return -EINVAL;
    }
    {
        READ_GUARD(&call->p->names.lock); /* a rename changes the name */
        strbuf_adds(&name, ns->name);
    }
    err = strbuf_error(&name);
    return err < 0 ? err : ns_set_switch(call->p, name.s, which, is_on);
}

static void get_frozen(struct state *p, struct ns *ns, struct strbuf *out)
{
    READ_GUARD(&ns->lock);

    (void)p;
    strbuf_adds(out, ns->frozen ? "yes" : "no");
}

static int set_frozen(struct call *call, struct ns *ns, const char *value)
{
    return set_switch(call, ns, NS_FROZEN, "frozen", "no", "yes", value);
}

static void get_verify(struct state *p, struct ns *ns, struct strbuf *out)
{
    READ_GUARD(&ns->lock);

    (void)p;
    strbuf_adds(out, ns->verify ? "open" : "never");
}

static int set_verify(struct call *call, struct ns *ns, const char *value)
{
    return set_switch(call, ns, NS_VERIFY, "verify", "never", "open", value);
}

/* ---- the others ---- */

static bool is_off(const char *value)
{
    return strcmp(value, "off") == 0;
}

static void get_snapshots(struct state *p, struct ns *ns, struct strbuf *out)
{
    char text[LADDER_TEXT_MAX + 1];

    strbuf_adds(out, ladder_get(p, ns, text) == 0 ? text : "off");
}

static int set_snapshots(struct call *call, struct ns *ns, const char *value)
{
    struct ladder l;

    if (!is_off(value) && ladder_parse(value, &l) < 0)
        return control_fail_word(call, -EINVAL,
                                 "snapshots is off, or as \"15m*8 1h*24 1d*14\", with at most 8 "
                                 "intervals of a minute at least, and 1 to 1000 of each; not %s",
                                 value);
    return ladder_set(call->p, ns, is_off(value) ? NULL : value);
}

static void get_ttl(struct state *p, struct ns *ns, struct strbuf *out)
{
    int64_t until = ttl_get(p, ns);

    if (until > 0)
        strbuf_add_time(out, until);
    else
        strbuf_adds(out, "off");
}

static int set_ttl(struct call *call, struct ns *ns, const char *value)
{
    int64_t ttl = 0;
    int err = is_off(value) ? 0 : control_duration(call, value, &ttl);

    return err < 0 ? err : ttl_set(call->p, ns, is_off(value) ? 0 : now(call->p) + ttl);
}

static void get_snapdir(struct state *p, struct ns *ns, struct strbuf *out)
{
    strbuf_adds(out, vfs_snapdir(p, ns) ? "on" : "off");
}

static int set_snapdir(struct call *call, struct ns *ns, const char *value)
{
    if (!is_off(value) && strcmp(value, "on") != 0)
        return control_fail_word(call, -EINVAL, "snapdir is on or off, not %s", value);
    return vfs_set_snapdir(call->p, ns, !is_off(value));
}

/* ---- limits ---- */

static void add_limit(uint64_t limit, bool size, struct strbuf *out)
{
    char text[32];

    if (!limit) {
        strbuf_adds(out, "off");
    } else if (size) {
        command_format_size(limit, text);
        strbuf_adds(out, text);
    } else {
        strbuf_addf(out, "%llu", U(limit));
    }
}

static void get_quota(struct state *p, struct ns *ns, struct strbuf *out)
{
    (void)p;
    add_limit(quota_limits(ns).bytes, true, out);
}

static void get_quota_files(struct state *p, struct ns *ns, struct strbuf *out)
{
    (void)p;
    add_limit(quota_limits(ns).inodes, false, out);
}

static int set_limit(struct call *call, struct ns *ns, const char *which, uint64_t limit)
{
    int err = quota_set(call->p, ns, which, limit);

    if (err == -EOPNOTSUPP)
        return control_fail(call, err,
                            "what it takes was never counted, as an older version wrote it: "
                            "`tally rebuild` counts it, and then it can have a limit");
    return err;
}

static int set_quota(struct call *call, struct ns *ns, const char *value)
{
    uint64_t limit = 0;

    if (!is_off(value) && (command_size(value, &limit) < 0 || !limit))
        return control_fail_word(call, -EINVAL,
                                 "quota is off, for no limit, or a size above 0, a decimal number "
                                 "and perhaps K, M, G or T, not %s",
                                 value);
    return set_limit(call, ns, NS_LIMIT_BYTES, limit);
}

static int set_quota_files(struct call *call, struct ns *ns, const char *value)
{
    uint64_t limit = 0;

    if (!is_off(value) && (command_number(value, &limit) < 0 || !limit))
        return control_fail_word(call, -EINVAL,
                                 "quota_files is off, for no limit, or how many files and "
                                 "directories there may be, not %s",
                                 value);
    return set_limit(call, ns, NS_LIMIT_INODES, limit);
}

static const char *const archive_modes[] = {
    [SHIP_MODE_ASYNC] = "async", [SHIP_MODE_SYNC] = SHIP_SYNC, [SHIP_MODE_OFF] = SHIP_OFF};

static void get_archive(struct state *p, struct ns *ns, struct strbuf *out)
{
    char only[SHARD_URL_MAX + 1];
    const enum ship_mode mode = ship_mode_of(p, ns, only);

    if (*only)
        command_add_word(out, only);
    else
        strbuf_adds(out, archive_modes[mode]);
}

static int set_archive(struct call *call, struct ns *ns, const char *value)
{
    uint16_t number = 0;
    int err;

    for (unsigned i = 0; i < sizeof archive_modes / sizeof *archive_modes; i++)
        if (strcmp(value, archive_modes[i]) == 0)
            return ship_set_mode(call->p, ns, (enum ship_mode)i);
    if (!strchr(value, ':'))
        return control_fail_word(
            call, -EINVAL, "archive is async, sync, off, or the URL of an archive, not %s", value);
    err = control_find_archive(call, value, true, &number);
    return err < 0 ? err : ship_set_only(call->p, ns, number);
}

static const char *const compressions[] = {
    [COMPRESSION_OFF] = "off", [COMPRESSION_REST] = "rest", [COMPRESSION_WRITE] = "write"};
#define AS_THE_STORE "store"

static void get_compression(struct state *p, struct ns *ns, struct strbuf *out)
{
    int how = compression_of(p, ns);

    strbuf_adds(out, how < 0 ? AS_THE_STORE : compressions[how]);
}

int control_allow_compression(struct call *call)
{
    int err = compression_allow(call->p);

    if (err == -EOPNOTSUPP)
        return control_fail(call, err,
                            "a store in a pool does not compress: other members read its records");
    return err;
}

static int set_compression(struct call *call, struct ns *ns, const char *value)
{
    int err;

    for (int i = COMPRESSION_OFF; i <= COMPRESSION_WRITE; i++)
        if (strcmp(value, compressions[i]) == 0) {
            err = i == COMPRESSION_OFF ? 0 : control_allow_compression(call);
            return err < 0 ? err : compression_set(call->p, ns, i);
        }
    if (strcmp(value, AS_THE_STORE) == 0)
        return compression_set(call->p, ns, -1);
    return control_fail_word(call, -EINVAL,
                             "compression is off, rest, write, or " AS_THE_STORE ", not %s", value);
}

static const struct setting_of_ns settings[] = {
    {"frozen", "no", "frozen yes: nothing in the namespace can be changed", get_frozen, set_frozen},
    {"verify", "never",
     "verify open: what the kernel will read by itself is verified when it is opened", get_verify,
     set_verify},
    {"snapshots", "off",
     "snapshots \"15m*8 1h*24\": it makes snapshots of itself, and keeps those of the last 8 "
     "quarters of an hour and of the last 24 hours in which it changed",
     get_snapshots, set_snapshots},
    {"ttl", "off", "ttl DUR: it is dropped when that time is over, and no file is open in it",
     get_ttl, set_ttl},
    {"snapdir", "off",
     "snapdir on: all who can enter it find its snapshots in its .tally-snap, which is not listed",
     get_snapdir, set_snapdir},
    {SHIP_SETTING, "async",
     "archive sync: an fsync in it waits until the archives of the store have what was changed; "
     "off: it is shipped to none; a URL: to that one alone",
     get_archive, set_archive},
    {NS_LIMIT_BYTES, "off",
     "quota SIZE: its files, also those that are deleted and still open, take no more than that; a "
     "branch begins with the same",
     get_quota, set_quota},
    {NS_LIMIT_INODES, "off",
     "quota_files N: so many files, directories and other things there may be in it, with its top "
     "directory",
     get_quota_files, set_quota_files},
    {COMPRESSION_SETTING, AS_THE_STORE,
     "compression off, rest or write: how small files are stored that are written in it from now "
     "on; store: as the setting of the store says",
     get_compression, set_compression},
};
#define SETTINGS (sizeof settings / sizeof *settings)

/* ---- the verbs ---- */

static const struct setting_of_ns *find_setting(const char *key)
{
    for (size_t i = 0; i < SETTINGS; i++)
        if (!strcmp(key, settings[i].key))
            return &settings[i];
    return NULL;
}

/* Splits "ns:NAME.KEY", and finds the namespace, whose reference the caller gives back. Errors of
 * control_ns_get. */
static int read_key(struct call *call, const char *key, struct ns **ret_ns,
                    const struct setting_of_ns **ret_setting)
{
    const char *dot;
    char *name;
    int err;

    if (strncmp(key, "ns:", 3) != 0)
        return -ENODATA;
    dot = strrchr(key, '.');
    if (!dot || dot == key + 3)
        return control_fail_word(call, -EINVAL, "%s is not of the form ns:NAME.KEY", key);
    *ret_setting = find_setting(dot + 1);
    if (!*ret_setting)
        return control_fail_word(
            call, -EINVAL,
            "a namespace has no setting %s; there are: frozen, verify, snapshots, ttl, snapdir, "
            "archive, quota, quota_files, compression",
            dot + 1);
    name = strndup(key + 3, (size_t)(dot - key - 3));
    if (!name)
        return -ENOMEM;
    err = control_find_ns(call, name, ret_ns);
    free(name);
    return err;
}

int control_ns_get(struct call *call, const char *key)
{
    CLEANUP_STRBUF struct strbuf value = STRBUF_INIT;
    const struct setting_of_ns *s;
    struct ns *ns;
    int err = read_key(call, key, &ns, &s);

    if (err < 0)
        return err;
    s->get(call->p, ns, &value);
    ns_put(call->p, ns);
    err = strbuf_error(&value);
    if (err < 0)
        return err;
    strbuf_adds(&call->head, " ");
    command_add_word(&call->head, key);
    strbuf_adds(&call->head, "=");
    command_add_word(&call->head, value.s);
    strbuf_addf(&call->head, " default=%s", s->standard);
    control_line(call, "%s", s->what);
    return 0;
}

int control_ns_set(struct call *call, const char *key, const char *value)
{
    const struct setting_of_ns *s;
    struct ns *ns;
    int err = read_key(call, key, &ns, &s);

    if (err < 0)
        return err;
    if (ns_is_hidden(call->p, ns))
        err = control_fail_word(call, -EINVAL, "%s is of what is only kept, which nothing changes",
                                key);
    else
        err = s->set(call, ns, value);
    ns_put(call->p, ns);
    if (err == 0)
        strbuf_addf(&call->head, " seq=%llu", U(state_seq(call->p)));
    return err;
}
