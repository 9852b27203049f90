// SPDX-License-Identifier: Apache-2.0
/*
 * hold: lists a directory into memory whose page faults nobody serves, so that the kernel holds the
 * page of its own listing locked. It says "held" then, and lets go at the end of its input.
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096

static int dir;
static char *trap;

static void *lister(void *arg)
{
    (void)arg;
    fprintf(stderr, "listed %ld\n", syscall(SYS_getdents64, dir, trap, PAGE));
    return NULL;
}

/* Until the kernel has a listing of it. */
static void list(const char *path)
{
    static char names[1 << 16];
    for (int i = 0; i < 3; i++) {
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        while (syscall(SYS_getdents64, fd, names, sizeof(names)) > 0) {
        }
        close(fd);
    }
}

/* The memory; 0 or 77: there can be none. */
static int set_trap(int *ret_faults)
{
    struct uffdio_api api = {.api = UFFD_API};
    int faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
    trap = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct uffdio_register range = {.range = {(uintptr_t)trap, PAGE},
                                    .mode = UFFDIO_REGISTER_MODE_MISSING};
    *ret_faults = faults;
    return trap == MAP_FAILED || faults < 0 || ioctl(faults, UFFDIO_API, &api) < 0 ||
                   ioctl(faults, UFFDIO_REGISTER, &range) < 0
               ? 77
               : 0;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    struct uffd_msg fault;
    char input;
    int faults;
    if (argc != 2 || set_trap(&faults) != 0)
        return 77;
    list(argv[1]);
    dir = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0 || pthread_create(&thread, NULL, lister, NULL) != 0 ||
        read(faults, &fault, sizeof(fault)) != sizeof(fault))
        return 1;
    puts("held");
    fflush(stdout);
    while (read(STDIN_FILENO, &input, 1) > 0) {
    }
    struct uffdio_zeropage zero = {.range = {(uintptr_t)trap, PAGE}};
    ioctl(faults, UFFDIO_ZEROPAGE, &zero);
    pthread_join(thread, NULL);
    return 0;
}
