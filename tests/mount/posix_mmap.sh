#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# mmap as on ext4: shared and private, beyond the end, after close and unlink.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
begin_compare

same "a shared mapping and read() and write() see each other at once" <<'END'
make("f", b"." * 10000)
fd = os.open("f", O_RDWR)
m = mmap.mmap(fd, 10000)
k = mmap.mmap(os.open("f", O_RDONLY), 10000, prot=mmap.PROT_READ)
m[0:5] = b"first"
print(os.pread(fd, 6, 0), content("f")[:6], k[:6]); os.pwrite(fd, b"second", 4094)
print(m[4090:4104], k[4090:4104])
m[9998:] = b"!!"
print(content("f")[-4:])
m.flush()
print(os.pread(fd, 4, 9996)); show(fd)
m.close()
print(content("f")[:6], k[:6])
END

same "a private mapping never changes the file, and keeps what it changed" <<'END'
make("f", b"0123456789")
fd = os.open("f", O_RDWR)
m = mmap.mmap(fd, 10, flags=mmap.MAP_PRIVATE)
r = mmap.mmap(os.open("f", O_RDONLY), 10, flags=mmap.MAP_PRIVATE)
m[2:4] = b"XX"
r[0:1] = b"R"
os.pwrite(fd, b"ab", 2); os.pwrite(fd, b"z", 9); print(m[:], r[:], content("f"))
m.flush()
print(content("f"))
END

same "beyond the end: zeros in the last page, not written; SIGBUS behind it" <<'END'
def touch(m, at):
    pid = os.fork()
    if pid == 0:
        m[at]
        os._exit(0)
    print("at", at, os.waitpid(pid, 0)[1])
make("f", b"x" * 5000)
fd = os.open("f", O_RDWR)
os.ftruncate(fd, 40000)
m = mmap.mmap(fd, 40000)
os.ftruncate(fd, 5000)
for at in 0, 4999, 5000, 8191, 8192, 39999: touch(m, at)
print(m[5000:5004]); show(fd); os.ftruncate(fd, 5010); print(content("f")[4998:])
os.ftruncate(fd, 12000)
touch(m, 8192)
touch(m, 12288)
print(content("f")[4998:5012]); os.ftruncate(fd, 0)
touch(m, 0)
os.pwrite(fd, b"back", 0)
touch(m, 0)
print(m[:6])
END

differs "a byte that a mapping wrote behind the end, once the file has grown over it" \
    "the kernel's FUSE does not clear the rest of a mapped page when a file grows" \
    "b'xx\\x00\\x00'" "b'xxa\\x00'" <<'END'
make("f", b"xx")
fd = os.open("f", O_RDWR)
os.ftruncate(fd, 10)
m = mmap.mmap(fd, 10)
os.ftruncate(fd, 2)
m[2] = 97
os.ftruncate(fd, 4); print(content("f"))
END

same "a mapping outlives close, unlink and replacement" <<'END'
make("f", b"0123456789")
fd = os.open("f", O_RDWR)
m = mmap.mmap(fd, 10)
os.close(fd)
m[0] = 65
print(content("f")); os.rename("f", "g")
m[1] = 66
print(content("g")); make("h", b"other"); os.rename("h", "g")
m[2] = 67
print(m[:], content("g")); os.unlink("g")
m[3] = 68
print(m[:])
m.flush()
m.close()
print(ls())
END

same "what a mapping wrote is there after everything is closed, and after another process" <<'END'
for size in 10, 4096, 100000, 300000:
    make("f", b"." * size)
    fd = os.open("f", O_RDWR)
    m = mmap.mmap(fd, size)
    os.close(fd)
    for at in range(0, size, 1000): m[at] = 65 + at % 26
    del m
    print(size, hashlib.md5(content("f")).hexdigest()); show("f")
def f():
    m = mmap.mmap(os.open("f", O_RDWR), 300000)
    m[299999] = 90
ended(child(f)); print(content("f")[-3:])
END

same "two processes through one mapping" <<'END'
make("f", b"\0" * 4096)
m = mmap.mmap(os.open("f", O_RDWR), 4096)
def f():
    k = mmap.mmap(os.open("f", O_RDWR), 4096)
    k[1] = 1
    while not m[2]: pass
    k[3] = k[2] + 1
pid = child(f)
while not m[1]: pass
m[2] = 7
ended(pid); print(m[:5], content("f")[:5])
END

same "protections and lengths that mmap refuses, mprotect, msync, mremap, mlock" <<'END'
make("f", b"x" * 100)
R, W, X = 1, 2, 4
libc = c.lib
libc.mmap.restype = ctypes.c_void_p
def mm(fd, prot, flags, length=4096, off=0):
    p = libc.mmap(None, ctypes.c_size_t(length), prot, flags, fd, ctypes.c_long(off))
    return (None, errno.errorcode[ctypes.get_errno()]) if p == ctypes.c_void_p(-1).value else (
            p, "OK")
fds = {"RD": os.open("f", O_RDONLY), "WR": os.open("f", O_WRONLY), "RW": os.open("f", O_RDWR),
       "AP": os.open("f", O_RDWR | O_APPEND), "DIRECT": os.open("f", O_RDWR | O_DIRECT),
       "PATH": os.open("f", O_PATH), "DIR": os.open(".", O_RDONLY)}
for name, fd in fds.items():
    for prot in 0, R, W, R | W, X:
        for flags in 1, 2, 3, 0:
            p, how = mm(fd, prot, flags)
            print(name, prot, flags, how, end=" ")
            if p:
                for q in R, R | W, R | X:
                    print(q, outcome(c.mprotect, ctypes.c_void_p(p), 4096, q)[1], end=" ")
                print(outcome(c.msync, ctypes.c_void_p(p), 4096, 4)[1],
                      outcome(c.mlock, ctypes.c_void_p(p), 4096)[1], end="; ")
                libc.munmap(ctypes.c_void_p(p), 4096)
    print()
for length, off in (0, 0), (4096, 1), (4096, 4096), (1 << 62, 0), (4096, 1 << 40):
    print(length, off, mm(fds["RW"], R | W, 1, length, off)[1])
print(mm(fds["RW"], R | W, 3 | 0x80000)[1])  # MAP_SHARED_VALIDATE | MAP_SYNC
END

same "which times a mapping moves" <<'END'
make("f", b"x" * 5000)
m = mmap.mmap(os.open("f", O_RDWR), 5000)
def w():
    m[0] = 65
    m.flush()
moved(w, "f"); moved(w, "f"); moved(lambda: m[:], "f")
p = mmap.mmap(os.open("f", O_RDWR), 5000, flags=mmap.MAP_PRIVATE)
moved(lambda: p.__setitem__(0, 66), "f")
END

same "truncate and write under a mapping, and mapping what is written at the end" <<'END'
make("f", b"a" * 200000)
fd = os.open("f", O_RDWR)
m = mmap.mmap(fd, 200000)
os.ftruncate(fd, 100); os.ftruncate(fd, 200000)
print(hashlib.md5(m[:]).hexdigest(), m[:101][-2:]); os.pwrite(fd, b"Z" * 5000, 150000)
print(hashlib.md5(m[:]).hexdigest())
m[199999] = 81
os.ftruncate(fd, 199999); print(content("f")[-2:]); os.ftruncate(fd, 200000)
print(content("f")[-2:])
END

compared
finish
