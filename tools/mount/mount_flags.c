// SPDX-License-Identifier: Apache-2.0
/*
 * mount_flags: a table of words.
 */
#include "mount_flags.h"

#include <errno.h>
#include <string.h>
#include <sys/mount.h>

/* MS_NOSYMFOLLOW and MOUNT_ATTR_NOSYMFOLLOW, which older C libraries lack. */
#define FLAG_NOSYMFOLLOW (1ul << 8)
#define ATTR_NOSYMFOLLOW UINT64_C(0x00200000)
/* For words that mount(8) passes on and that change nothing here. The kernel has given up mandatory
 * locks, no program reads our inode versions, libfuse prints little, and time stamps are lazy
 * anyway, since they are written to a log in memory. */
#define FLAG_NONE 0ul

static const struct {
    const char *word;
    unsigned long set, clear;
} words[] = {
    {"ro", MS_RDONLY, 0},
    {"rw", 0, MS_RDONLY},
    {"suid", 0, MS_NOSUID},
    {"nosuid", MS_NOSUID, 0},
    {"dev", 0, MS_NODEV},
    {"nodev", MS_NODEV, 0},
    {"exec", 0, MS_NOEXEC},
    {"noexec", MS_NOEXEC, 0},
    {"sync", MS_SYNCHRONOUS, 0},
    {"async", 0, MS_SYNCHRONOUS},
    {"dirsync", MS_DIRSYNC, 0},
    {"symfollow", 0, FLAG_NOSYMFOLLOW},
    {"nosymfollow", FLAG_NOSYMFOLLOW, 0},
    {"atime", 0, MS_NOATIME},
    {"noatime", MS_NOATIME, 0},
    {"diratime", 0, MS_NODIRATIME},
    {"nodiratime", MS_NODIRATIME, 0},
    {"relatime", MS_RELATIME, 0},
    {"norelatime", 0, MS_RELATIME},
    {"strictatime", MS_STRICTATIME, 0},
    {"nostrictatime", 0, MS_STRICTATIME},
    {"lazytime", FLAG_NONE, 0},
    {"nolazytime", FLAG_NONE, 0},
    {"iversion", FLAG_NONE, 0},
    {"noiversion", FLAG_NONE, 0},
    {"mand", FLAG_NONE, 0},
    {"nomand", FLAG_NONE, 0},
    {"silent", FLAG_NONE, 0},
    {"loud", FLAG_NONE, 0},
};

bool mount_flags_add(unsigned long *flags, const char *word)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(words[i].word, word) == 0) {
            *flags = (*flags & ~words[i].clear) | words[i].set;
            return true;
        }
    }
    return false;
}

int mount_flags_for_libfuse(unsigned long flags, struct strbuf *list)
{
    static const struct {
        unsigned long flag;
        const char *on, *off; /* NULL: no word is needed */
    } said[] = {
        {MS_NOSUID, "nosuid", "suid"},  {MS_NODEV, "nodev", "dev"},    {MS_NOEXEC, "noexec", NULL},
        {MS_SYNCHRONOUS, "sync", NULL}, {MS_DIRSYNC, "dirsync", NULL}, {MS_RDONLY, "ro", NULL},
    };
    for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
        const char *word = flags & said[i].flag ? said[i].on : said[i].off;
        if (word) {
            strbuf_addf(list, "%s%s", list->len ? "," : "", word);
        }
    }
    if ((flags & MS_NOATIME) && !(flags & MS_STRICTATIME)) {
        strbuf_addf(list, "%snoatime", list->len ? "," : "");
    }
    return strbuf_error(list);
}

bool mount_flags_beyond_libfuse(unsigned long flags)
{
    return (flags & (MS_NODIRATIME | MS_STRICTATIME | FLAG_NOSYMFOLLOW)) != 0;
}

uint64_t mount_flags_attr(unsigned long flags)
{
    static const struct {
        unsigned long flag;
        uint64_t attr;
    } map[] = {
        {MS_RDONLY, MOUNT_ATTR_RDONLY},         {MS_NOSUID, MOUNT_ATTR_NOSUID},
        {MS_NODEV, MOUNT_ATTR_NODEV},           {MS_NOEXEC, MOUNT_ATTR_NOEXEC},
        {MS_NODIRATIME, MOUNT_ATTR_NODIRATIME}, {FLAG_NOSYMFOLLOW, ATTR_NOSYMFOLLOW},
    };
    uint64_t attr = 0;
    for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++) {
        attr |= flags & map[i].flag ? map[i].attr : 0;
    }
    if (flags & MS_STRICTATIME) {
        return attr | MOUNT_ATTR_STRICTATIME;
    }
    return attr | (flags & MS_NOATIME ? MOUNT_ATTR_NOATIME : MOUNT_ATTR_RELATIME);
}
