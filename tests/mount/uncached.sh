#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Files that are written past the kernel's cache: how many requests that saves, and that nobody who
# reads or maps such a file meanwhile is left with old bytes.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
cd "$M"
[[ $(printf '%s\n6.6\n' "$(uname -r)" | sort -V | head -1) == 6.6 ]] || skip "the kernel is older than 6.6"

requests() { # KIND
    python3 -c '
import json, sys
print(json.load(open(".tally/stats.json"))["requests"].get(sys.argv[1], 0))' "$1"
}

claim "a new file: one request for each write(2), wherever it begins; no question for capabilities"
writes=$(requests WRITE) asks=$(requests GETXATTR)
head -c 105000 /dev/urandom >"$W/bytes"
dd if="$W/bytes" of=main/new bs=10500 2>/dev/null
eq "$(($(requests WRITE) - writes))" 10
eq "$(($(requests GETXATTR) - asks))" 0
cmp "$W/bytes" main/new
dd if="$W/bytes" of=main/new bs=10500 2>/dev/null
cmp "$W/bytes" main/new

claim "who reads and maps a file while it is written has all of it in the end"
python3 - <<'END'
import mmap, os, threading
def one(n):
    path, size, step = f"main/r{n}", 60000, 700 + 37 * n
    want = bytes((i * 7 + n) & 255 for i in range(size))
    out = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.pwrite(out, bytes(size), 0)
    fd = os.open(path, os.O_RDONLY)
    view = mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ)
    end = threading.Event()
    def look():
        while not end.is_set():
            os.pread(fd, size, 0)
            sum(view[i] for i in range(0, size, 4096))
    lookers = [threading.Thread(target=look) for _ in range(2)]
    for t in lookers:
        t.start()
    for at in range(0, size, step):
        os.pwrite(out, want[at:at + step], at)
        assert os.pread(fd, step, at) == want[at:at + step], (n, at)
    end.set()
    for t in lookers:
        t.join()
    assert os.pread(fd, size, 0) == want and view[:] == want, n
    os.close(out)
    assert open(path, "rb").read() == want
for n in range(12):
    one(n)
END

claim "what is dirty in a mapping of it is neither lost nor wins over what is written later"
python3 - <<'END'
import mmap, os
fd = os.open("main/m", os.O_CREAT | os.O_RDWR)
os.ftruncate(fd, 8192)
view = mmap.mmap(fd, 8192, mmap.MAP_SHARED)
out = os.open("main/m", os.O_WRONLY | os.O_TRUNC)
os.ftruncate(out, 8192)
for i in range(50):
    view[0:4] = b"mine"
    view[4000:4004] = bytes([65 + i % 26]) * 4
    os.pwrite(out, b"that", 0)
    assert view[0:4] == b"that" and view[4000:4004] == bytes([65 + i % 26]) * 4, i
    assert os.pread(fd, 4, 0) == b"that" and os.pread(fd, 4, 4000) == view[4000:4004], i
END

claim "a page that is changed in a mapping all the while takes nothing back of what is written"
python3 - <<'END'
import mmap, os, signal
out = os.open("main/page", os.O_CREAT | os.O_WRONLY)
os.pwrite(out, bytes(8192), 0)
fd = os.open("main/page", os.O_RDWR)
view = mmap.mmap(fd, 8192, mmap.MAP_SHARED)
changer = os.fork()
if changer == 0:
    n = 0
    while True:
        n += 1
        view[3000] = n & 255
try:
    for n in range(3000):
        now = n.to_bytes(8, "little")
        os.pwrite(out, now, 0)
        assert os.pread(fd, 8, 0) == now and view[0:8] == now, n
finally:
    os.kill(changer, signal.SIGKILL)
    os.waitpid(changer, 0)
END

claim "a write of its own mapping, and one of memory that is not there"
eq "$(errno_of 'fd = os.open("main/self", os.O_CREAT | os.O_RDWR); os.write(fd, b"x" * 9000)
m = mmap.mmap(fd, 9000); out = os.open("main/self", os.O_WRONLY | os.O_TRUNC)
os.write(out, b"y" * 9000); os.pwrite(out, memoryview(m)[100:5000], 0)
assert os.pread(fd, 9000, 0) == b"y" * 9000')" OK
eq "$(errno_of 'out = os.open("main/efault", os.O_CREAT | os.O_WRONLY)
libc = ctypes.CDLL(None, use_errno=True)
libc.write.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
if libc.write(out, 4096, 10) < 0: raise OSError(ctypes.get_errno(), "")')" EFAULT

claim "a capability goes with the next write, as on any filesystem"
python3 - <<'END'
import os
cap = bytes.fromhex("0100000200200000000000000000000000000000")
fd = os.open("main/cap", os.O_CREAT | os.O_WRONLY, 0o755)
os.write(fd, b"one")
os.setxattr("main/cap", "security.capability", cap)
assert os.getxattr("main/cap", "security.capability")
os.write(fd, b"two")
assert "security.capability" not in os.listxattr("main/cap")
END

claim "a write that is to be durable (RWF_DSYNC) is synced before it is answered"
"$TALLY" set flush_interval 60s >/dev/null
drain
python3 - <<'END'
import json, os
def left():
    stats = json.load(open(".tally/stats.json"))
    return stats["seq"] - stats["durable_seq"]
fd = os.open("main/dsync", os.O_CREAT | os.O_WRONLY)
os.pwritev(fd, [b"a" * 5000], 0)
assert left() > 0
os.pwritev(fd, [b"b" * 5000], 5000, os.RWF_DSYNC)
assert left() == 0
END
cd /
finish
