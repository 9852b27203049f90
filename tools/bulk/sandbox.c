// SPDX-License-Identifier: Apache-2.0
#include "sandbox.h"

#include <errno.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* What is left. A call that is not among these fails with EPERM. */
static const int calls[] = {
    SCMP_SYS(read),          SCMP_SYS(pread64),        SCMP_SYS(readv),
    SCMP_SYS(write),         SCMP_SYS(pwrite64),       SCMP_SYS(writev),
    SCMP_SYS(lseek),         SCMP_SYS(fstat),          SCMP_SYS(ftruncate),
    SCMP_SYS(close),         SCMP_SYS(poll),           SCMP_SYS(brk),
    SCMP_SYS(munmap),        SCMP_SYS(mremap),         SCMP_SYS(madvise),
    SCMP_SYS(futex),         SCMP_SYS(sched_yield),    SCMP_SYS(clock_gettime),
    SCMP_SYS(gettimeofday),  SCMP_SYS(time),           SCMP_SYS(getrandom),
    SCMP_SYS(rt_sigaction),  SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),   SCMP_SYS(getpid),         SCMP_SYS(gettid),
    SCMP_SYS(geteuid),       SCMP_SYS(getegid),        SCMP_SYS(restart_syscall),
    SCMP_SYS(exit),          SCMP_SYS(exit_group),     SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),          SCMP_SYS(clock_nanosleep),
};

/* Memory that can be run is not among what is left. */
static int allow_memory(scmp_filter_ctx filter)
{
    const struct scmp_arg_cmp no_exec = SCMP_A2(SCMP_CMP_MASKED_EQ, 4, 0);
    int err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, no_exec);
    return err < 0 ? err : seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, no_exec);
}

static int allow(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (!filter) {
        return -ENOMEM;
    }
    int err = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1); /* for all threads */
    for (size_t i = 0; err == 0 && i < sizeof(calls) / sizeof(*calls); i++) {
        err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
    }
    if (err == 0) {
        err = allow_memory(filter);
    }
    if (err == 0) {
        err = seccomp_load(filter);
    }
    seccomp_release(filter);
    return err;
}

static int compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* Closes all but `keep`, of which `count` are in order. */
static int close_others(const int *keep, size_t count)
{
    unsigned from = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned fd = (unsigned)keep[i];
        if (fd > from && close_range(from, fd - 1, 0) < 0) {
            return -errno;
        }
        from = fd + 1;
    }
    return close_range(from, ~0u, 0) < 0 ? -errno : 0;
}

int sandbox_enter(const int *keep, size_t count)
{
    const struct rlimit none = {0, 0};
    int sorted[16];
    if (count > sizeof(sorted) / sizeof(*sorted)) {
        return -EINVAL;
    }
    for (size_t i = 0; i < count; i++) {
        sorted[i] = keep[i];
    }
    qsort(sorted, count, sizeof(*sorted), compare);
    int err = close_others(sorted, count);
    if (err == 0 && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
                     prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)) {
        err = -errno;
    }
    return err < 0 ? err : allow();
}
