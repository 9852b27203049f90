// SPDX-License-Identifier: Apache-2.0
/* A disk that cannot be read under LMDB's mapping. A file that is cut short is one: the kernel
 * sends the same SIGBUS for a page beyond its end. */
#include "both.h"
#include "layer.h"
#include "mapped.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define KEYS 40
#define FATAL 7

static int fatal(const char *file, uint64_t offset)
{
    return strcmp(file, "kv/data.mdb") == 0 && offset > 0 ? FATAL : 0;
}

static uint8_t value[8000];

static void plant(struct fixture *x)
{
    struct kv_txn *t;

    both_setup(x, true);
    cr_assert_eq(mapped_catch_faults(fatal), 0);
    cr_assert_eq(kv_txn_begin(x->kv, &t), 0);
    for (uint8_t i = 0; i < KEYS; i++)
        cr_assert_eq(kv_put(t, 0, &i, 1, value, sizeof value), 0);
    cr_assert_eq(kv_commit(t), 0);
}

/* All but the first two pages cannot be read from now on. What was there, for `mend`. */
static char *damage(struct fixture *x, size_t *ret_len)
{
    int fd = openat(x->dir, "kv/data.mdb", O_RDWR | O_CLOEXEC);
    struct stat st;
    cr_assert_eq(fstat(fd, &st), 0);
    char *all = malloc((size_t)st.st_size);
    cr_assert_not_null(all);
    cr_assert_eq(pread(fd, all, (size_t)st.st_size, 0), st.st_size);
    cr_assert_eq(ftruncate(fd, 8192), 0);
    close(fd);
    *ret_len = (size_t)st.st_size;
    return all;
}

static void mend(struct fixture *x, char *all, size_t len)
{
    int fd = openat(x->dir, "kv/data.mdb", O_WRONLY | O_CLOEXEC);
    cr_assert_eq(pwrite(fd, all, len, 0), (ssize_t)len);
    close(fd);
    free(all);
}

static int get(struct fixture *x, uint8_t key)
{
    static uint8_t buf[sizeof value];
    size_t len;
    return kv_get(x->kv, 0, &key, 1, buf, sizeof buf, &len);
}

static int walk(struct kv_snap *s)
{
    const void *key = NULL, *val;
    size_t klen = 0, len;
    int n = 0, r;
    while ((r = kv_snap_seek(s, 0, key, klen, klen > 0, &key, &klen, &val, &len)) == 0)
        n++;
    return r == -ENOENT ? n : r;
}

Test(kv_fault, what_cannot_be_read_is_an_error_of_that_look_up_and_no_more)
{
    struct fixture x;
    size_t len;
    plant(&x);
    char *all = damage(&x, &len);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(get(&x, 3), -EIO);
    mend(&x, all, len);
    cr_assert_eq(get(&x, 3), 0);
    both_teardown(&x);
}

Test(kv_fault, a_snapshot_says_so_too_and_goes_on_when_the_disk_does)
{
    struct fixture x;
    size_t len, vlen;
    const void *val;
    uint8_t key = 3;
    struct kv_snap *s;
    plant(&x);
    cr_assert_eq(kv_snap_begin(x.kv, &s), 0);
    char *all = damage(&x, &len);
    cr_assert_eq(kv_snap_get(s, 0, &key, 1, &val, &vlen), -EIO);
    cr_assert_eq(walk(s), -EIO);
    mend(&x, all, len);
    cr_assert_eq(kv_snap_get(s, 0, &key, 1, &val, &vlen), 0);
    cr_assert_eq(walk(s), KEYS);
    kv_snap_end(s);
    both_teardown(&x);
}

/* The disk had the value when it was looked up, and has it no more when it is copied. */
static bool gone_behind;
static char *gone;
static size_t gone_len;
static struct fixture *gone_of;

static void go(int r)
{
    if (r == 0 && gone_behind && gone == NULL)
        gone = damage(gone_of, &gone_len);
}

int __real_kv_snap_get(struct kv_snap *s, unsigned table, const void *key, size_t klen,
                       const void **ret_val, size_t *ret_len);
int __wrap_kv_snap_get(struct kv_snap *s, unsigned table, const void *key, size_t klen,
                       const void **ret_val, size_t *ret_len);
int __wrap_kv_snap_get(struct kv_snap *s, unsigned table, const void *key, size_t klen,
                       const void **ret_val, size_t *ret_len)
{
    int r = __real_kv_snap_get(s, table, key, klen, ret_val, ret_len);
    go(r);
    return r;
}

int __real_kv_snap_seek(struct kv_snap *s, unsigned table, const void *key, size_t klen, bool after,
                        const void **ret_key, size_t *ret_klen, const void **ret_val,
                        size_t *ret_len);
int __wrap_kv_snap_seek(struct kv_snap *s, unsigned table, const void *key, size_t klen, bool after,
                        const void **ret_key, size_t *ret_klen, const void **ret_val,
                        size_t *ret_len);
int __wrap_kv_snap_seek(struct kv_snap *s, unsigned table, const void *key, size_t klen, bool after,
                        const void **ret_key, size_t *ret_klen, const void **ret_val,
                        size_t *ret_len)
{
    int r = __real_kv_snap_seek(s, table, key, klen, after, ret_key, ret_klen, ret_val, ret_len);
    go(r);
    return r;
}

Test(kv_fault, a_layer_that_copies_a_value_meets_an_error_not_its_end)
{
    struct fixture x;
    struct layer *l;
    struct kv_txn *t;
    uint8_t key[8] = {3}, next[8], buf[64];
    size_t len;
    plant(&x);
    cr_assert_eq(kv_txn_begin(x.kv, &t), 0);
    for (uint8_t i = 0; i < KEYS; i++) {
        key[0] = i;
        cr_assert_eq(kv_put(t, 1, key, sizeof key, value, 20), 0);
    }
    cr_assert_eq(kv_commit(t), 0);
    cr_assert_eq(layer_create(x.kv, 1, sizeof key, &l), 0);
    gone_of = &x;
    for (int i = 0; i < 2; i++) {
        gone_behind = true;
        key[0] = 3;
        layer_gets_begin(l);
        cr_assert_eq(i == 0 ? layer_get(l, key, buf, sizeof buf, &len)
                            : layer_keys(l, key, next, 1, &len),
                     -EIO);
        layer_gets_end(l);
        gone_behind = false;
        mend(&x, gone, gone_len);
        gone = NULL;
        cr_assert_eq(layer_get(l, key, buf, sizeof buf, &len), 0);
    }
    layer_destroy(l);
    both_teardown(&x);
}

/* In a child that makes its own store, where the parent knows to find and remove it. */
Test(kv_fault, within_a_write_the_process_ends_with_the_code_it_was_told)
{
    struct fixture x;
    int status, told[2];
    cr_assert_eq(pipe(told), 0);
    pid_t child = fork();
    if (child == 0) {
        struct kv_txn *t;
        size_t len;
        uint8_t key = 3;
        plant(&x);
        free(damage(&x, &len));
        (void)!write(told[1], x.path, sizeof x.path);
        if (kv_txn_begin(x.kv, &t) == 0)
            (void)kv_put(t, 0, &key, 1, &key, 1);
        _exit(0);
    }
    x = (struct fixture){0};
    cr_assert_eq(read(told[0], x.path, sizeof x.path), (ssize_t)sizeof x.path);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == FATAL);
    cr_assert_eq(kv_mem_create(&x.fault, &x.mem), 0);
    x.dir = open(x.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    both_teardown(&x);
}

/* One of a file that is mapped here. */
Test(kv_fault, a_fault_elsewhere_ends_the_process_as_ever)
{
    struct fixture x;
    int status;
    plant(&x);
    pid_t child = fork();
    if (child == 0) {
        (void)close(STDERR_FILENO); /* what a sanitizer would say */
        int fd = openat(x.dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        const volatile char *at = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
        (void)*at;
        _exit(0);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(!WIFEXITED(status) || (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != FATAL));
    both_teardown(&x);
}
