// SPDX-License-Identifier: Apache-2.0
/*
 * mount_options: each option is looked up in a few tables.
 */
#include "mount_options.h"

#include "mount_flags.h"
#include "namespaces.h"

#include <errno.h>
#include <grp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#define THREADS_MAX 64

/* Words for mount(8) and fstab, which are ignored. mount(8) itself adds the options that follow
 * from `user` and the like. */
static const char *const ignored[] = {"defaults", "auto",  "noauto", "nofail", "_netdev", "user",
                                      "nouser",   "users", "owner",  "group",  "fuse",    NULL};
static const char *const ignored_starts[] = {
    "x-", "X-", "comment=", "user=", "uhelper=", "helper=", NULL};
/* Options that the kernel shows for any FUSE mount. For a remount mount(8) passes them on, and they
 * are ignored. */
static const char *const shown[] = {"user_id=",  "group_id=", "default_permissions",
                                    "max_read=", "blksize=",  NULL};
/* Options for SELinux in the kernel. A kernel without SELinux refuses them; mount(8) leaves them
 * out there. */
static const char *const contexts[] = {
    "context=", "fscontext=", "defcontext=", "rootcontext=", NULL};

static bool listed(const char *const *list, const char *word)
{
    for (; *list; list++) {
        if (strcmp(*list, word) == 0) {
            return true;
        }
    }
    return false;
}

static bool listed_start(const char *const *list, const char *word)
{
    for (; *list; list++) {
        if (strncmp(*list, word, strlen(*list)) == 0) {
            return true;
        }
    }
    return false;
}

static int add_ctl_mode(struct mount_options *m, const char *value, struct strbuf *why)
{
    char *end;
    unsigned long mode = strtoul(value, &end, 8);
    if (!*value || *end || strspn(value, "01234567") != strlen(value) || mode > 0777) {
        strbuf_addf(why, "ctl_mode is an octal mode up to 0777, not '%s'", value);
        return -EINVAL;
    }
    m->fs.ctl_mode = (unsigned)mode;
    return 0;
}

/* Sets the group: a name, or a number as in mount(8), since a container may have groups without a
 * name. */
static int add_ctl_group(struct mount_options *m, const char *value, struct strbuf *why)
{
    const struct group *g = getgrnam(value);
    unsigned long number = strtoul(value, NULL, 10);
    bool is_number = *value && strspn(value, "0123456789") == strlen(value) && number < UINT32_MAX;
    if (!g && !is_number) {
        strbuf_addf(why, "ctl_group: there is no group '%s'", value);
        return -EINVAL;
    }
    m->fs.ctl_gid = g ? g->gr_gid : (gid_t)number;
    m->fs.has_ctl_gid = true;
    return 0;
}

/* Sets *ret to the index of `value` in `names`, which ends with NULL. -EINVAL with a sentence that
 * lists them. */
static int choose(const char *option, const char *const *names, const char *value, unsigned *ret,
                  struct strbuf *why)
{
    for (unsigned i = 0; names[i]; i++) {
        if (strcmp(value, names[i]) == 0) {
            *ret = i;
            return 0;
        }
    }
    strbuf_addf(why, "%s: ", option);
    for (unsigned i = 0; names[i]; i++) {
        strbuf_addf(why, "%s%s", i == 0 ? "" : names[i + 1] ? ", " : " or ", names[i]);
    }
    strbuf_addf(why, ", not '%s'", value);
    return -EINVAL;
}

static int add_passthrough(struct mount_options *m, const char *value, struct strbuf *why)
{
    static const char *const names[] = {[FS_PASSTHROUGH_AUTO] = "auto",
                                        [FS_PASSTHROUGH_ALL] = "all",
                                        [FS_PASSTHROUGH_OFF] = "off",
                                        NULL};
    unsigned i = 0;
    int err = choose("passthrough", names, value, &i, why);
    m->fs.passthrough = (enum fs_passthrough)i;
    return err;
}

static int add_transport(struct mount_options *m, const char *value, struct strbuf *why)
{
    static const char *const names[] = {[FS_TRANSPORT_AUTO] = "auto",
                                        [FS_TRANSPORT_URING] = "uring",
                                        [FS_TRANSPORT_THREADS] = "threads",
                                        NULL};
    unsigned i = 0;
    int err = choose("transport", names, value, &i, why);
    m->fs.transport = (enum fs_transport)i;
    return err;
}

static int add_nlink(struct mount_options *m, const char *value, struct strbuf *why)
{
    static const char *const names[] = {"names", "refs", NULL};
    unsigned i = 0;
    int err = choose("nlink", names, value, &i, why);
    m->fs.nlink_refs = i != 0;
    return err;
}

static int add_threads(struct mount_options *m, const char *value, struct strbuf *why)
{
    unsigned long n = strtoul(value, NULL, 10);
    if (!*value || strspn(value, "0123456789") != strlen(value) || n == 0 || n > THREADS_MAX) {
        strbuf_addf(why, "threads is a number from 1 to %d, not '%s'", THREADS_MAX, value);
        return -EINVAL;
    }
    m->fs.threads = (unsigned)n;
    return 0;
}

static int add_cache_dir(struct mount_options *m, const char *value, struct strbuf *why)
{
    char *path;

    if (value[0] != '/') {
        strbuf_addf(why, "shard_cache_dir is an absolute path, not '%s'", value);
        return -EINVAL;
    }
    path = strdup(value);
    if (!path) {
        return -ENOMEM;
    }
    free(m->cache_dir);
    m->cache_dir = path;
    return 0;
}

/* The name may stand between quotes, because of a comma in it. */
static int add_ns(struct mount_options *m, const char *value, struct strbuf *why)
{
    size_t len = strlen(value);
    if (len >= 2 && value[0] == '"' && value[len - 1] == '"') {
        value++;
        len -= 2;
    }
    char *name = strndup(value, len);
    if (!name) {
        return -ENOMEM;
    }
    free(m->ns);
    m->ns = name;
    if (ns_check_name(name) < 0) {
        strbuf_addf(why, "ns is the name of a namespace, not '%s'", name);
        return -EINVAL;
    }
    return 0;
}

/* The URL may stand between quotes, because of a comma in it. */
static int add_follow(struct mount_options *m, const char *value, struct strbuf *why)
{
    size_t len = strlen(value);
    m->follow = true;
    if (len == 0) { /* the store knows what it follows */
        return 0;
    }
    if (len >= 2 && value[0] == '"' && value[len - 1] == '"') {
        value++;
        len -= 2;
    }
    (void)why;
    free(m->follow_url);
    m->follow_url = strndup(value, len);
    return m->follow_url ? 0 : -ENOMEM;
}

static int add_follow_lineage(struct mount_options *m, const char *value, struct strbuf *why)
{
    unsigned long n = strtoul(value, NULL, 10);
    if (!*value || strspn(value, "0123456789") != strlen(value) || n == 0 || n > UINT32_MAX) {
        strbuf_addf(why, "follow_lineage is the number of a history of an archive, not '%s'",
                    value);
        return -EINVAL;
    }
    m->follow_lineage = (uint32_t)n;
    return 0;
}

/* The options that need a value, or may have one. */
static const struct {
    const char *name;
    int (*add)(struct mount_options *, const char *value, struct strbuf *why);
} valued[] = {
    {"ctl_mode", add_ctl_mode},
    {"ctl_group", add_ctl_group},
    {"transport", add_transport},
    {"threads", add_threads},
    {"passthrough", add_passthrough},
    {"nlink", add_nlink},
    {"shard_cache_dir", add_cache_dir},
    {"ns", add_ns},
    {"follow", add_follow},
    {"follow_lineage", add_follow_lineage},
};

/* Applies an option that needs a value. -ENOENT: it is none of these. */
static int add_valued(struct mount_options *m, const char *word, struct strbuf *why)
{
    size_t len = strcspn(word, "=");
    for (size_t i = 0; i < sizeof(valued) / sizeof(valued[0]); i++) {
        if (strlen(valued[i].name) == len && strncmp(valued[i].name, word, len) == 0) {
            return valued[i].add(m, word + len + (word[len] == '='), why);
        }
    }
    return -ENOENT;
}

/* Passes a context to libfuse, if the kernel has SELinux. libfuse splits its options at commas,
 * which a context may have, so these are escaped. */
static int add_context(struct mount_options *m, const char *word)
{
    if (access("/sys/fs/selinux/enforce", F_OK) < 0) {
        return 0;
    }
    strbuf_adds(&m->extra, m->extra.len ? "," : "");
    for (; *word; word++) {
        strbuf_addf(&m->extra, "%s%c", *word == ',' || *word == '\\' ? "\\" : "", *word);
    }
    return strbuf_error(&m->extra);
}

/* Applies an option of the kernel or of mount(8). -EINVAL: there is no such option. */
static int add_common(struct mount_options *m, const char *word, bool sloppy, struct strbuf *why)
{
    if (mount_flags_add(&m->flags, word)) {
        return 0;
    }
    if (listed_start(contexts, word)) {
        return add_context(m, word);
    }
    if (strcmp(word, "remount") == 0) {
        m->remount = true;
    } else if (!sloppy && !listed(ignored, word) && !listed_start(ignored_starts, word) &&
               !listed_start(shown, word)) {
        strbuf_addf(why, "there is no mount option '%s'", word);
        return -EINVAL;
    }
    return 0;
}

/* Applies an option of tally without a value. False: it is none of these. */
static bool add_plain(struct mount_options *m, const char *word)
{
    if (strcmp(word, "showctl") == 0) {
        m->fs.showctl = true;
    } else if (strcmp(word, "nocontrol") == 0) {
        m->fs.nocontrol = true;
    } else if (strcmp(word, "noxattr") == 0) {
        m->fs.noxattr = true;
    } else if (strcmp(word, "foreign_store") == 0) {
        m->foreign_store = true;
    } else {
        return false;
    }
    return true;
}

/* Applies one word. Options of tally are also noted in `fixed`, for a remount. */
static int add_one(struct mount_options *m, const char *word, bool sloppy, struct strbuf *why)
{
    int err = add_valued(m, word, why);
    if (err != -ENOENT && err < 0) {
        return err;
    }
    if (err == 0 && strncmp(word, "ns=", 3) == 0) {
        return 0; /* it is about one mount of several, and not about the daemon */
    }
    if (err == 0 || add_plain(m, word)) {
        strbuf_add(&m->fixed, word, strlen(word) + 1);
        return strbuf_error(&m->fixed);
    }
    if (strcmp(word, "allow_other") == 0) {
        m->fs.allow_other = true;
        return 0;
    }
    return add_common(m, word, sloppy, why);
}

/* Cuts the first word off *list. A comma between quotes does not end a word. */
static char *next_word(char **list)
{
    char *word = *list, *end = word;
    for (bool quoted = false; *end && (quoted || *end != ','); end++) {
        quoted ^= *end == '"';
    }
    *list = *end ? end + 1 : end;
    *end = '\0';
    return word;
}

int mount_options_add(struct mount_options *m, const char *list, bool sloppy, struct strbuf *why)
{
    char *copy = strdup(list), *rest = copy;
    int err = copy ? 0 : -ENOMEM;
    while (err == 0 && *rest) {
        const char *word = next_word(&rest);
        err = *word ? add_one(m, word, sloppy, why) : 0;
    }
    free(copy);
    return err;
}

int mount_options_end(struct mount_options *m)
{
    return mount_flags_for_libfuse(m->ns ? m->flags & ~(unsigned long)MS_RDONLY : m->flags,
                                   &m->extra);
}

void mount_options_release(struct mount_options *m)
{
    strbuf_release(&m->extra);
    strbuf_release(&m->fixed);
    free(m->cache_dir);
    free(m->ns);
    free(m->follow_url);
    m->cache_dir = m->ns = m->follow_url = NULL;
}
