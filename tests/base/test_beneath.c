// SPDX-License-Identifier: Apache-2.0
/* test_beneath: names in a directory that somebody else filled, by both ways of resolving them. */
#include "beneath.h"
#include "io.h"
#include "own.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static int dir, outside;
static char path[64], other[64];

static void setup(void)
{
    strcpy(path, "/tmp/tally-beneath-XXXXXX");
    strcpy(other, "/tmp/tally-beneath-XXXXXX");
    cr_assert_not_null(mkdtemp(path));
    cr_assert_not_null(mkdtemp(other));
    dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    outside = open(other, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cr_assert_geq(dir, 0);
    cr_assert_eq(mkdirat(dir, "sub", 0700), 0);
    cr_assert_eq(io_write_file(dir, "sub/f", "bytes", 5, 0600), 0);
    cr_assert_eq(io_write_file(outside, "f", "theirs", 6, 0600), 0);
    cr_assert_eq(symlinkat(other, dir, "away"), 0);
    cr_assert_eq(symlinkat("sub", dir, "near"), 0);
    cr_assert_eq(symlinkat("sub/f", dir, "link"), 0);
    cr_assert_eq(mkfifoat(dir, "fifo", 0600), 0);
}

static void teardown(void)
{
    char command[160];

    snprintf(command, sizeof command, "rm -rf '%s' '%s'", path, other);
    cr_assert_eq(system(command), 0);
    close(dir);
    close(outside);
}

static int opened(const char *name, int flags)
{
    int fd = beneath_open(dir, name, flags, 0600);

    if (fd >= 0)
        close(fd);
    return fd < 0 ? fd : 0;
}

static int listed(const char *name)
{
    int fd = beneath_open_dir(dir, name);

    if (fd >= 0)
        close(fd);
    return fd < 0 ? fd : 0;
}

/* CLAIM(name) { … }: once as the kernel does it, once part by part. */
#define CLAIM(name)                                                                                \
    static void name(void);                                                                        \
    Test(beneath, name, .init = setup, .fini = teardown)                                           \
    {                                                                                              \
        name();                                                                                    \
    }                                                                                              \
    Test(beneath_slowly, name, .init = setup, .fini = teardown)                                    \
    {                                                                                              \
        beneath_go_slowly(1);                                                                      \
        name();                                                                                    \
    }                                                                                              \
    static void name(void)

CLAIM(what_is_there_opens)
{
    cr_assert_eq(opened("sub/f", O_RDWR), 0);
    cr_assert_eq(opened("sub//f", O_PATH), 0);
    cr_assert_eq(opened("sub/new", O_RDWR | O_CREAT | O_EXCL), 0);
    cr_assert_eq(opened("sub/new", O_RDWR | O_CREAT | O_EXCL), -EEXIST);
    cr_assert_eq(opened("none", O_RDONLY), -ENOENT);
    cr_assert_eq(opened("sub/none", O_RDONLY), -ENOENT);
    cr_assert_eq(listed(""), 0);
    cr_assert_eq(listed("."), 0);
    cr_assert_eq(listed("sub"), 0);
    cr_assert_eq(listed("sub/"), 0);
}

CLAIM(no_symlink_is_followed_not_even_on_the_way)
{
    cr_assert_eq(opened("link", O_RDONLY), -EUCLEAN);
    cr_assert_eq(opened("near/f", O_RDONLY), -EUCLEAN);
    cr_assert_eq(opened("away/f", O_RDWR), -EUCLEAN);
    cr_assert_eq(opened("away/new", O_RDWR | O_CREAT), -EUCLEAN);
    cr_assert_eq(listed("away"), -EUCLEAN);
    cr_assert_eq(listed("near"), -EUCLEAN);
    cr_assert_lt(faccessat(outside, "new", F_OK, 0), 0);
}

CLAIM(nothing_leads_up_or_to_the_root)
{
    cr_assert_eq(opened("../f", O_RDONLY), -EUCLEAN);
    cr_assert_eq(opened("sub/../../f", O_RDONLY), -EUCLEAN);
    cr_assert_eq(opened("/etc/passwd", O_RDONLY), -EUCLEAN);
    cr_assert_eq(listed(".."), -EUCLEAN);
    cr_assert_eq(listed("/"), -EUCLEAN);
}

CLAIM(what_is_no_regular_file_is_told_and_not_waited_for)
{
    cr_assert_eq(opened("fifo", O_RDONLY), -EUCLEAN);
    cr_assert_eq(opened("fifo", O_WRONLY), -EUCLEAN);
    cr_assert_eq(opened("fifo", O_RDWR), -EUCLEAN);
    cr_assert_eq(opened("sub", O_RDONLY), -EUCLEAN);
    cr_assert_eq(opened("sub", O_RDWR), -EUCLEAN);
    cr_assert_eq(opened("sub/f/deeper", O_RDONLY), -EUCLEAN);
    cr_assert_eq(listed("sub/f"), -EUCLEAN);
}

CLAIM(names_are_changed_below_only)
{
    cr_assert_eq(beneath_mkdir(dir, "away/made", 0700), -EUCLEAN);
    cr_assert_eq(beneath_unlink(dir, "away/f"), -EUCLEAN);
    cr_assert_eq(beneath_link(dir, "sub/f", "away/g"), -EUCLEAN);
    cr_assert_eq(beneath_link(dir, "away/f", "sub/g"), -EUCLEAN);
    cr_assert_eq(beneath_rename(dir, "sub/f", "away/g"), -EUCLEAN);
    cr_assert_eq(beneath_rename(dir, "away/f", "g"), -EUCLEAN);
    cr_assert_eq(faccessat(outside, "f", F_OK, 0), 0);
    cr_assert_eq(beneath_mkdir(dir, "sub/made", 0700), 0);
    cr_assert_eq(beneath_mkdir(dir, "sub/made", 0700), -EEXIST);
    cr_assert_eq(beneath_link(dir, "sub/f", "g"), 0);
    cr_assert_eq(beneath_rename(dir, "g", "sub/made/h"), 0);
    cr_assert_eq(beneath_unlink(dir, "sub/made/h"), 0);
    cr_assert_eq(beneath_unlink(dir, "away"), 0); /* the link itself */
    cr_assert_eq(faccessat(outside, "f", F_OK, 0), 0);
}

CLAIM(whole_files_are_read_and_replaced_below_only)
{
    char *text;
    size_t len;

    cr_assert_eq(io_read_file(dir, "link", 100, &text, &len), -EUCLEAN);
    cr_assert_eq(io_read_file(dir, "away/f", 100, &text, &len), -EUCLEAN);
    cr_assert_eq(io_read_file(dir, "fifo", 100, &text, &len), -EUCLEAN);
    cr_assert_eq(io_write_file(dir, "away/f", "ours", 4, 0600), -EUCLEAN);
    cr_assert_eq(io_sync_dir(dir, "away"), -EUCLEAN);
    cr_assert_eq(io_write_file(dir, "link", "ours", 4, 0600), 0); /* takes its place */
    cr_assert_eq(io_read_file(dir, "sub/f", 100, &text, &len), 0);
    cr_assert_str_eq(text, "bytes");
    free(text);
}

/* ---- whose it is ---- */

/* Makes the directory "both" if it is not there, and a file in it. */
static void *make_both(void *name)
{
    int err = beneath_mkdir(dir, "both", 0700);

    cr_assert(err == 0 || err == -EEXIST);
    cr_assert_eq(opened(name, O_WRONLY | O_CREAT), 0);
    return NULL;
}

CLAIM(what_threads_of_root_make_at_once_is_the_owners)
{
    static char a[] = "both/a", b[] = "both/b";
    const char *const made[] = {"both", a, b};
    char command[160];
    pthread_t thread;
    struct stat st;

    if (geteuid() != 0)
        cr_skip("not root");
    cr_assert_eq(fchown(dir, 1000, 1000), 0);
    for (int i = 0; i < 300; i++) {
        cr_assert_eq(pthread_create(&thread, NULL, make_both, a), 0);
        make_both(b);
        cr_assert_eq(pthread_join(thread, NULL), 0);
        for (size_t k = 0; k < 3; k++) {
            cr_assert_eq(fstatat(dir, made[k], &st, 0), 0);
            cr_assert_eq(st.st_uid, 1000, "number %zu of round %d", k, i);
        }
        snprintf(command, sizeof command, "rm -r '%s/both'", path);
        cr_assert_eq(system(command), 0);
    }
}

static int own(mode_t mode, uid_t uid, gid_t gid, char why[OWN_WHY])
{
    *why = '\0';
    cr_assert_eq(fchown(dir, uid, gid), 0);
    cr_assert_eq(fchmod(dir, mode), 0);
    return own_check(dir, why);
}

Test(own, what_is_ours_alone_is_ours, .init = setup, .fini = teardown)
{
    char why[OWN_WHY];

    if (geteuid() != 0)
        cr_skip_test("not root");
    cr_assert_eq(own(0755, 0, 0, why), 0);
    cr_assert_eq(own(0755, 0, 1000, why), 0);
    cr_assert_eq(own(0700, 1000, 1000, why), -EPERM);
    cr_assert_str_eq(why, "belongs to user 1000");
    cr_assert_eq(own(0757, 0, 0, why), -EPERM);
    cr_assert_str_eq(why, "may be written by everybody");
    cr_assert_eq(own(01777, 0, 0, why), -EPERM);
    cr_assert_eq(own(0770, 0, 12345, why), -EPERM);
    cr_assert_str_eq(why, "may be written by group 12345");
    cr_assert_eq(seteuid(1000), 0);
    cr_assert_eq(own_check(dir, why), -EPERM);
    cr_assert_eq(seteuid(0), 0);
    cr_assert_eq(own(0700, 1000, 1000, why), -EPERM);
    cr_assert_eq(seteuid(1000), 0);
    cr_assert_eq(own_check(dir, why), 0);
    cr_assert_eq(seteuid(0), 0);
    cr_assert_eq(own(0755, 0, 0, why), 0);
    cr_assert_eq(seteuid(1000), 0);
    cr_assert_eq(own_check(dir, why), 0); /* root can do everything anyway */
    cr_assert_eq(seteuid(0), 0);
}

/* Has this process see that text as /etc/passwd or /etc/group. */
static void instead_of(const char *file, const char *text)
{
    char from[128];

    cr_assert_eq(io_write_file(dir, "list", text, strlen(text), 0644), 0);
    snprintf(from, sizeof from, "%s/list", path);
    cr_assert_eq(mount(from, file, NULL, MS_BIND, NULL), 0);
    cr_assert_eq(unlinkat(dir, "list", 0), 0);
}

/* What own_check says to ann, whose own group may write the directory, with these users. */
static int told_to_ann(const char *users)
{
    char why[OWN_WHY];

    instead_of("/etc/passwd", users);
    cr_assert_eq(fchown(dir, 1234, 1234), 0);
    cr_assert_eq(fchmod(dir, 0770), 0);
    cr_assert_eq(seteuid(1234), 0);
    int err = own_check(dir, why);

    cr_assert_eq(seteuid(0), 0);
    cr_assert_eq(umount2("/etc/passwd", MNT_DETACH), 0);
    if (err)
        cr_assert_str_eq(why, "may be written by group 1234");
    return err;
}

int __real_getpwent_r(struct passwd *buf, char *text, size_t len, struct passwd **ret);
int __wrap_getpwent_r(struct passwd *buf, char *text, size_t len, struct passwd **ret);

static int broken; /* the errno that a source of users leaves which ends too early; 0: none */

/* The C library answers ENOENT at the end, and also where a source could not be asked. */
int __wrap_getpwent_r(struct passwd *buf, char *text, size_t len, struct passwd **ret)
{
    int err = __real_getpwent_r(buf, text, len, ret);

    if (err == ENOENT && broken)
        errno = broken;
    return err;
}

#define ROOT "root:x:0:0::/:/bin/sh\n"
#define ANN "ann:x:1234:1234::/:/bin/sh\n"

Test(own, a_group_is_its_users_own_unless_another_user_has_it, .init = setup, .fini = teardown)
{
    if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        cr_skip_test("not root, or without mounts of its own");
    instead_of("/etc/group", "root:x:0:\nann:x:1234:ann\n");
    cr_assert_eq(told_to_ann(ROOT ANN), 0);
    cr_assert_eq(told_to_ann(ROOT ANN "bob:x:1235:1235::/:/bin/sh\n"), 0);
    cr_assert_eq(told_to_ann(ROOT ANN "ann2:x:1234:1234::/:/bin/sh\n"), 0, "the same user");
    cr_assert_eq(told_to_ann(ROOT ANN "bob:x:1235:1234::/:/bin/sh\n"), -EPERM);
    cr_assert_eq(told_to_ann("bob:x:1235:1234::/:/bin/sh\n" ANN ROOT), -EPERM);
    broken = ECONNREFUSED;
    cr_assert_eq(told_to_ann(ROOT ANN), -EPERM, "some users are not listed");
    broken = 0;
    cr_assert_eq(told_to_ann(ROOT ANN), 0);
    cr_assert_eq(umount2("/etc/group", MNT_DETACH), 0);
    instead_of("/etc/group", "root:x:0:\nann:x:1234:ann,bob\n");
    cr_assert_eq(told_to_ann(ROOT ANN), -EPERM);
}

Test(own, a_name_is_a_file_or_directory_of_ours, .init = setup, .fini = teardown)
{
    char why[OWN_WHY];

    cr_assert_eq(own_check_at(dir, "sub", 0, why), 0);
    cr_assert_eq(own_check_at(dir, "sub/f", 0, why), 0);
    cr_assert_eq(own_check_at(dir, "none", 0, why), -ENOENT);
    cr_assert_eq(own_check_at(dir, "away", 1, why), -EUCLEAN);
    cr_assert_str_eq(why, "is a symlink");
    cr_assert_eq(own_check_at(dir, "fifo", 1, why), -EUCLEAN);
    cr_assert_str_eq(why, "is a FIFO");
    cr_assert_eq(fchmodat(dir, "sub", 0777, 0), 0);
    cr_assert_eq(own_check_at(dir, "sub", 0, why), -EPERM);
    cr_assert_eq(own_check_at(dir, "sub", 1, why), 0);
}

static uid_t owner_of(const char *name)
{
    struct stat st;

    cr_assert_eq(fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW), 0);
    return st.st_uid == st.st_gid ? st.st_uid : 77777;
}

CLAIM(what_root_makes_for_another_user_belongs_to_that_user)
{
    if (geteuid() != 0)
        cr_skip_test("not root");
    cr_assert_eq(fchownat(dir, "sub", 1234, 1234, 0), 0);
    cr_assert_eq(opened("sub/new", O_RDWR | O_CREAT | O_EXCL), 0);
    cr_assert_eq(opened("sub/lock", O_RDWR | O_CREAT), 0);
    cr_assert_eq(beneath_mkdir(dir, "sub/deep", 0700), 0);
    cr_assert_eq(opened("sub/deep/new", O_RDWR | O_CREAT | O_EXCL), 0);
    cr_assert_eq(io_write_file(dir, "sub/written", "bytes", 5, 0600), 0);
    cr_assert_eq(owner_of("sub/new"), 1234);
    cr_assert_eq(owner_of("sub/lock"), 1234);
    cr_assert_eq(owner_of("sub/deep"), 1234);
    cr_assert_eq(owner_of("sub/deep/new"), 1234);
    cr_assert_eq(owner_of("sub/written"), 1234);
}

CLAIM(what_root_finds_there_or_makes_for_itself_stays_as_it_is)
{
    if (geteuid() != 0)
        cr_skip_test("not root");
    cr_assert_eq(mkdirat(dir, "sub/old", 0700), 0);
    cr_assert_eq(fchownat(dir, "sub", 1234, 1234, 0), 0);
    cr_assert_eq(opened("sub/f", O_RDWR | O_CREAT), 0);
    cr_assert_eq(opened("sub/f", O_RDWR | O_CREAT | O_EXCL), -EEXIST);
    cr_assert_eq(beneath_mkdir(dir, "sub/old", 0700), -EEXIST);
    cr_assert_eq(opened("mine", O_RDWR | O_CREAT), 0);
    cr_assert_eq(beneath_mkdir(dir, "own", 0700), 0);
    cr_assert_eq(owner_of("sub/f"), 0);
    cr_assert_eq(owner_of("sub/old"), 0);
    cr_assert_eq(owner_of("mine"), 0);
    cr_assert_eq(owner_of("own"), 0);
    cr_assert_eq(opened("none/new", O_RDWR | O_CREAT), -ENOENT);
    cr_assert_eq(opened("link", O_RDWR | O_CREAT), -EUCLEAN);
    cr_assert_eq(opened("fifo", O_RDWR | O_CREAT), -EUCLEAN);
}
