// SPDX-License-Identifier: Apache-2.0
/*
 * baddisk: a directory seen through FUSE as a disk that goes bad on command.
 *
 *     baddisk DIR FAULTS MNT [threads]      in the foreground; with one thread, or with several
 *
 * FAULTS is a file, read again whenever it changes, with lines
 *
 *     OP ERRNO [NAME [FROM LENGTH]]     OP: read, write, sync, name (create, link, rename, mkdir,
 *                                       unlink); files whose path has NAME in it; bytes of the file.
 *                                       ERRNO STALL: it waits until FAULTS says otherwise (a sync of
 *                                       a directory does not)
 *     quota                             what DIR's disk calls ENOSPC is EDQUOT, and statfs tells of
 *                                       a disk that is nearly empty: a user's quota
 *
 * A read that fails under a mapping is a SIGBUS for whoever looks there, as with a real disk.
 * Whatever the kernel has cached it does not ask for again: bring the fault before the mount.
 */
#define FUSE_USE_VERSION 31
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define FAULTS_MAX 32
#define NAME_ROOM 256
#define STALL -1 /* as an error */

struct fault {
    char op[16], name[NAME_ROOM];
    int error;
    uint64_t from, len;
};

/* An open file. */
struct file {
    int fd;
    char name[NAME_ROOM];
};

static const char *faults_path;
static int root;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* the rest: */
static struct timespec faults_time;
static struct fault faults[FAULTS_MAX];
static unsigned fault_count;
static bool quota;

static int error_number(const char *name)
{
    static const struct {
        const char *name;
        int error;
    } known[] = {
        {"EIO", EIO}, {"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT}, {"EROFS", EROFS}, {"STALL", STALL}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].name, name) == 0)
            return known[i].error;
    fprintf(stderr, "baddisk: what is %s?\n", name);
    return EIO;
}

static void read_faults(void)
{
    struct stat st;
    char line[512], error[16];
    FILE *f;

    if (stat(faults_path, &st) < 0 ||
        (st.st_mtim.tv_sec == faults_time.tv_sec && st.st_mtim.tv_nsec == faults_time.tv_nsec))
        return;
    faults_time = st.st_mtim;
    fault_count = 0;
    quota = false;
    f = fopen(faults_path, "re");
    while (f && fgets(line, sizeof line, f) && fault_count < FAULTS_MAX) {
        struct fault *one = &faults[fault_count];
        *one = (struct fault){.len = UINT64_MAX};
        int n = sscanf(line, "%15s %15s %255s %lu %lu", one->op, error, one->name, &one->from,
                       &one->len);
        quota |= strcmp(one->op, "quota") == 0;
        if (n < 2)
            continue;
        one->error = error_number(error);
        fault_count++;
    }
    if (f)
        fclose(f);
}

/* 0, or the -errno that is due; -STALL. Needs the lock. */
static int due_now(const char *op, const char *name, uint64_t from, uint64_t len)
{
    int err = 0;

    read_faults();
    for (unsigned i = 0; i < fault_count && err == 0; i++) {
        const struct fault *f = &faults[i];
        if (strcmp(f->op, op) == 0 && strstr(name, f->name) &&
            (len == 0 || (f->from < from + len && (from < f->from || from - f->from < f->len))))
            err = -f->error;
    }
    return err;
}

/* 0, or the -errno that is due. */
static int due(const char *op, const char *name, uint64_t from, uint64_t len)
{
    for (;;) {
        pthread_mutex_lock(&lock);
        int err = due_now(op, name, from, len);
        pthread_mutex_unlock(&lock);
        if (err != -STALL)
            return err;
        usleep(10000);
    }
}

static int result(int64_t r)
{
    int error = errno;

    if (r >= 0)
        return (int)r;
    if (quota && error == ENOSPC)
        error = EDQUOT;
    return -error;
}

static const char *below(const char *path)
{
    return path[1] ? path + 1 : ".";
}

static struct file *file_of(const struct fuse_file_info *fi)
{
    return (struct file *)(uintptr_t)fi->fh;
}

static void *bad_init(struct fuse_conn_info *conn, struct fuse_config *cfg)
{
    (void)conn;
    cfg->use_ino = 1;
    cfg->nullpath_ok = 1;
    cfg->hard_remove = 1;
    return NULL;
}

static int bad_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
    return result(fi ? fstat(file_of(fi)->fd, st)
                     : fstatat(root, below(path), st, AT_SYMLINK_NOFOLLOW));
}

static int bad_readdir(const char *path, void *buf, fuse_fill_dir_t fill, off_t off,
                       struct fuse_file_info *fi, enum fuse_readdir_flags flags)
{
    int fd = openat(file_of(fi)->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *e;

    (void)path;
    (void)off;
    (void)flags;
    if (!dir)
        return -errno;
    while ((e = readdir(dir)))
        fill(buf, e->d_name, NULL, 0, 0);
    closedir(dir);
    return 0;
}

static int bad_mkdir(const char *path, mode_t mode)
{
    int err = due("name", path, 0, 0);
    return err ? err : result(mkdirat(root, below(path), mode));
}

static int bad_unlink(const char *path)
{
    int err = due("name", path, 0, 0);
    return err ? err : result(unlinkat(root, below(path), 0));
}

static int bad_rmdir(const char *path)
{
    return result(unlinkat(root, below(path), AT_REMOVEDIR));
}

static int bad_link(const char *from, const char *to)
{
    int err = due("name", to, 0, 0);
    return err ? err : result(linkat(root, below(from), root, below(to), 0));
}

static int bad_rename(const char *from, const char *to, unsigned flags)
{
    int err = due("name", to, 0, 0);
    return err ? err : result(renameat2(root, below(from), root, below(to), flags));
}

static int bad_chmod(const char *path, mode_t mode, struct fuse_file_info *fi)
{
    (void)fi;
    return result(fchmodat(root, below(path), mode, 0));
}

static int bad_chown(const char *path, uid_t uid, gid_t gid, struct fuse_file_info *fi)
{
    (void)fi;
    return result(fchownat(root, below(path), uid, gid, AT_SYMLINK_NOFOLLOW));
}

static int bad_utimens(const char *path, const struct timespec tv[2], struct fuse_file_info *fi)
{
    (void)fi;
    return result(utimensat(root, below(path), tv, AT_SYMLINK_NOFOLLOW));
}

static int bad_truncate(const char *path, off_t size, struct fuse_file_info *fi)
{
    int fd = fi ? file_of(fi)->fd : openat(root, below(path), O_WRONLY | O_CLOEXEC);
    int err = fd < 0 ? -errno : result(ftruncate(fd, size));

    if (!fi && fd >= 0)
        close(fd);
    return err;
}

static int open_file(const char *path, struct fuse_file_info *fi, int flags, mode_t mode)
{
    struct file *f = calloc(1, sizeof *f);

    if (!f)
        return -ENOMEM;
    f->fd = openat(root, below(path), flags | O_CLOEXEC, mode);
    if (f->fd < 0) {
        int err = result(-1);
        free(f);
        return err;
    }
    snprintf(f->name, sizeof f->name, "%s", path);
    fi->fh = (uintptr_t)f;
    return 0;
}

static int bad_create(const char *path, mode_t mode, struct fuse_file_info *fi)
{
    int err = due("name", path, 0, 0);
    return err ? err : open_file(path, fi, O_RDWR | O_CREAT | (fi->flags & O_EXCL), mode);
}

static int bad_open(const char *path, struct fuse_file_info *fi)
{
    int err = open_file(path, fi, O_RDWR | (fi->flags & O_TRUNC), 0);
    return err != -EACCES && err != -EROFS ? err : open_file(path, fi, O_RDONLY, 0);
}

static int bad_opendir(const char *path, struct fuse_file_info *fi)
{
    return open_file(path, fi, O_RDONLY | O_DIRECTORY, 0);
}

static int bad_release(const char *path, struct fuse_file_info *fi)
{
    (void)path;
    close(file_of(fi)->fd);
    free(file_of(fi));
    return 0;
}

static int bad_read(const char *path, char *buf, size_t len, off_t off, struct fuse_file_info *fi)
{
    const struct file *f = file_of(fi);
    int err = due("read", f->name, (uint64_t)off, len);

    (void)path;
    return err ? err : result(pread(f->fd, buf, len, off));
}

static int bad_write(const char *path, const char *buf, size_t len, off_t off,
                     struct fuse_file_info *fi)
{
    const struct file *f = file_of(fi);
    int err = due("write", f->name, (uint64_t)off, len);

    (void)path;
    return err ? err : result(pwrite(f->fd, buf, len, off));
}

static int bad_fallocate(const char *path, int mode, off_t off, off_t len,
                         struct fuse_file_info *fi)
{
    (void)path;
    return result(fallocate(file_of(fi)->fd, mode, off, len));
}

static int bad_fsync(const char *path, int datasync, struct fuse_file_info *fi)
{
    const struct file *f = file_of(fi);
    int err = due("sync", f->name, 0, 0);

    (void)path;
    return err ? err : result(datasync ? fdatasync(f->fd) : fsync(f->fd));
}

/* While it waited the kernel would keep the directory locked, against looking up, too, which a
 * disk's own sync does not do: it fails, but never stalls. */
static int bad_fsyncdir(const char *path, int datasync, struct fuse_file_info *fi)
{
    const struct file *f = file_of(fi);

    (void)path;
    pthread_mutex_lock(&lock);
    int err = due_now("sync", f->name, 0, 0);
    pthread_mutex_unlock(&lock);
    if (err && err != -STALL)
        return err;
    return result(datasync ? fdatasync(f->fd) : fsync(f->fd));
}

static int bad_statfs(const char *path, struct statvfs *st)
{
    int err = result(fstatvfs(root, st));

    (void)path;
    pthread_mutex_lock(&lock);
    read_faults();
    pthread_mutex_unlock(&lock);
    if (quota && err == 0) {
        st->f_blocks *= 100;
        st->f_bfree = st->f_bavail = st->f_blocks - st->f_blocks / 100;
    }
    return err;
}

static const struct fuse_operations operations = {
    .init = bad_init,
    .getattr = bad_getattr,
    .readdir = bad_readdir,
    .mkdir = bad_mkdir,
    .unlink = bad_unlink,
    .rmdir = bad_rmdir,
    .link = bad_link,
    .rename = bad_rename,
    .chmod = bad_chmod,
    .chown = bad_chown,
    .utimens = bad_utimens,
    .truncate = bad_truncate,
    .create = bad_create,
    .open = bad_open,
    .release = bad_release,
    .opendir = bad_opendir,
    .releasedir = bad_release,
    .read = bad_read,
    .write = bad_write,
    .fallocate = bad_fallocate,
    .fsync = bad_fsync,
    .fsyncdir = bad_fsyncdir,
    .statfs = bad_statfs,
};

int main(int argc, char **argv)
{
    const bool threads = argc == 5 && strcmp(argv[4], "threads") == 0;
    if (argc != 4 && !threads) {
        fprintf(stderr, "usage: baddisk DIR FAULTS MNT [threads]\n");
        return 2;
    }
    faults_path = argv[2];
    root = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) {
        perror(argv[1]);
        return 1;
    }
    char *args[] = {argv[0], "-f", "-o", "allow_other,default_permissions,fsname=baddisk",
                    argv[3], "-s", NULL};
    return fuse_main(threads ? 5 : 6, args, &operations, NULL);
}
