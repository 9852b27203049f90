#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Holes: fallocate, lseek, st_blocks and the tools that look for them, as on ext4.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
needs rsync getfattr
begin_compare

cat >"$W/space.py" <<'END'
KEEP, PUNCH, COLLAPSE, ZERO, INSERT, UNSHARE = 1, 2, 8, 16, 32, 64
M = 1 << 20
def falloc(fd, mode, off, n): c.fallocate(fd, mode, off, n)
def holes(fd, blocks=True):
    """The file's map, as lseek has it: what is data; and its size and blocks."""
    size, pos, at = os.fstat(fd).st_size, 0, []
    while pos < size:
        data, how = outcome(os.lseek, fd, pos, os.SEEK_DATA)
        if how != "OK":
            print(how, end=" ")
            break
        pos = os.lseek(fd, data, os.SEEK_HOLE)
        at.append((data, pos))
    print(at, size, os.fstat(fd).st_blocks if blocks else "")
def digest(fd): print(hashlib.md5(os.pread(fd, os.fstat(fd).st_size, 0)).hexdigest())
def filled(name="f", size=8 * M, sync=False):
    make(name, bytes(range(256)) * (size // 256)); fd = os.open(name, O_RDWR)
    if sync: os.fsync(fd)
    return fd
END
with_space() { cat "$W/space.py" -; }

same "what fallocate says to wrong calls" < <(with_space <<'END'
fd = filled(size=1 * M); r = os.open("f", O_RDONLY); top = (1 << 63) - 1
for mode in 0, KEEP, PUNCH | KEEP, ZERO, ZERO | KEEP:
    for args in (0, 0), (-1, 5), (0, -1), (5, -5), (top, 1), (1, top):
        print(mode, args, outcome(falloc, fd, mode, *args)[1])
    print(mode, outcome(falloc, r, mode, 0, 5)[1], outcome(falloc, 99, mode, 0, 5)[1])
for mode in PUNCH, PUNCH | ZERO, PUNCH | ZERO | KEEP, COLLAPSE | KEEP, INSERT | KEEP, COLLAPSE | INSERT, 128, 4096, UNSHARE | PUNCH:
    print(mode, outcome(falloc, fd, mode, 0, 4096)[1])
os.mkdir("d"); d = os.open("d", O_RDONLY); os.mkfifo("p"); p = os.open("p", O_RDWR); a, b = os.pipe(); s = os.open("/dev/null", O_RDWR)
for x in d, p, b, s, os.open("f", O_PATH): print([outcome(falloc, x, m, 0, 4096)[1] for m in (0, PUNCH | KEEP)])
holes(fd); digest(fd)
END
)

differs "modes that move bytes" "FUSE passes on none of them" "OK OK" "ENOTSUP ENOTSUP" < <(with_space <<'END'
fd = filled(); print(*[outcome(falloc, fd, mode, M, M)[1] for mode in (COLLAPSE, INSERT)])
END
)

same "size and bytes after every mode, at and around every border" < <(with_space <<'END'
for size in 0, 100, 4096, 131072, 300000, 2 * M:
    for mode in 0, KEEP, PUNCH | KEEP, ZERO, ZERO | KEEP:
        for off, n in (0, 1), (0, 4096), (50, 100), (0, 10 * M), (4095, 4098), (131072, 131072), (131000, 200000), (299999, 5), (size, 5000), (size + 5000, 1):
            make("f", bytes(range(1, 251)) * (size // 250 + 1)); os.truncate("f", size); fd = os.open("f", O_RDWR)
            print(size, mode, off, n, outcome(falloc, fd, mode, off, n)[1], os.fstat(fd).st_size, end=" "); digest(fd); os.close(fd)
END
)

same "holes of whole MiB are the same holes, sealed or not, and cost as little" < <(with_space <<'END'
for sync in False, True:
    fd = filled(sync=sync); falloc(fd, PUNCH | KEEP, 2 * M, 3 * M); holes(fd); digest(fd)
    falloc(fd, PUNCH | KEEP, 6 * M, 1 << 40); holes(fd); os.fsync(fd); holes(fd); digest(fd)
    os.pwrite(fd, b"x" * 131072, 3 * M); holes(fd); os.ftruncate(fd, 9 * M); holes(fd); os.ftruncate(fd, 1 * M); os.ftruncate(fd, 4 * M); holes(fd)
    falloc(fd, PUNCH | KEEP, 0, 99 * M); holes(fd); digest(fd)
fd = os.open("g", O_RDWR | O_CREAT); holes(fd); os.ftruncate(fd, 5 * M); holes(fd)
for at in 4, 1, 3: os.pwrite(fd, b"x" * 131072, at * M)
holes(fd); os.fsync(fd); holes(fd); digest(fd); os.ftruncate(fd, 3 * M); holes(fd)
END
)

same "what lseek says" < <(with_space <<'END'
fd = os.open("f", O_RDWR | O_CREAT); D, H = os.SEEK_DATA, os.SEEK_HOLE
print([outcome(os.lseek, fd, x, w) for x in (0, 1) for w in (D, H)]); os.ftruncate(fd, 3 * M); os.pwrite(fd, b"x" * M, M)
for x in -1, 0, 5, M - 1, M, M + 7, 2 * M - 1, 2 * M, 2 * M + 1, 3 * M - 1, 3 * M, 3 * M + 1, (1 << 63) - 1:
    print(x, [outcome(os.lseek, fd, x, w) for w in (D, H)], os.lseek(fd, 0, os.SEEK_CUR))
do(os.lseek, fd, 0, 5); do(os.lseek, fd, 0, 99)
END
)

same "holes are of 4 KiB, made by writes and by punching, sealed or not" < <(with_space <<'END'
P = 4096
fd = os.open("f", O_RDWR | O_CREAT); os.pwrite(fd, b"x" * 8192, 0); os.pwrite(fd, b"x" * 16384, M - 16384); holes(fd)
os.pwrite(fd, b"y" * P, 5 * P); holes(fd); os.pwrite(fd, b"z" * 3 * P, 3 * P); holes(fd); digest(fd)
for sync in False, True:
    for size in 16 * P, 2 * M:
        fd = filled(size=size, sync=sync)
        falloc(fd, PUNCH | KEEP, P, P); holes(fd)
        # With five pieces and more ext4 counts a block for its own use, too.
        for off, n in (5 * P, 2 * P), (8 * P - 5, P + 10), (9 * P, P), (3 * P, 100):
            falloc(fd, PUNCH | KEEP, off, n); holes(fd, False)
        os.pwrite(fd, b"z" * P, 5 * P); holes(fd, False); falloc(fd, ZERO, 12 * P, P); print(os.lseek(fd, 11 * P, os.SEEK_HOLE))
        os.ftruncate(fd, 6 * P); os.ftruncate(fd, size); holes(fd, False); digest(fd)
END
)

same "times move, set-id bits go, as another user too" < <(with_space <<'END'
for mode in 0, KEEP, PUNCH | KEEP, ZERO, ZERO | KEEP:
    make("f", b"x" * 9999); fd = os.open("f", O_RDWR)
    moved(lambda: falloc(fd, mode, 5, 10), "f"); mode & PUNCH or moved(lambda: falloc(fd, mode, 20000, 10), "f")
    os.fchmod(fd, 0o6777)
    as_user(NOBODY, lambda: falloc(os.open("f", O_RDWR), mode, 5, 10)); show("f"); os.fchmod(fd, 0o6777); falloc(fd, mode, 5, 10); show("f"); os.close(fd)
END
)

same "what is mapped sees the hole, and writing through it fills it again" < <(with_space <<'END'
fd = filled(); m = mmap.mmap(fd, 8 * M); print(m[M:M + 5]); falloc(fd, PUNCH | KEEP, M - 7, 2 * M); print(m[M - 10:M + 5], m[3 * M - 10:3 * M], sum(m[M:2 * M]))
m[2 * M:2 * M + 4] = b"back"; m.flush(); print(os.pread(fd, 6, 2 * M)); falloc(fd, ZERO, 4 * M, 8 * M); print(sum(m[4 * M:]), os.fstat(fd).st_size); digest(fd)
os.ftruncate(fd, 1); os.ftruncate(fd, 8 * M); print(sum(m[:])); m[7 * M] = 5; m.flush(); digest(fd)
g = os.open("g", O_RDWR | O_CREAT); os.ftruncate(g, 64 * M); n = mmap.mmap(g, 64 * M); n[33 * M] = 1; n[:3] = b"abc"; n.flush(); digest(g); print(os.fstat(g).st_blocks < 2000)
END
)

same "direct writes around holes" < <(with_space <<'END'
fd = os.open("f", O_RDWR | O_CREAT | os.O_DIRECT); b = mmap.mmap(-1, 65536); b[:] = b"d" * 65536
os.ftruncate(fd, 4 * M); os.pwrite(fd, b, M); os.pwrite(fd, b, 3 * M); falloc(fd, PUNCH | KEEP, M, 4096); x = os.open("f", O_RDONLY); digest(x)
END
)

same "copies of ranges" < <(with_space <<'END'
fd = filled(); falloc(fd, PUNCH | KEEP, 2 * M, 3 * M); os.pwrite(fd, b"new", 7 * M); g = os.open("g", O_RDWR | O_CREAT)
for off, n in (0, 2 * M), (5 * M, 3 * M), (M, 3 * M), (7 * M - 5, 100), (9 * M, 5):
    print(os.copy_file_range(fd, g, n, off, off)); digest(g)
h = os.open("h", O_RDWR | O_CREAT); print(os.copy_file_range(fd, h, 99 * M, 0, 0)); digest(h); digest(fd)
END
)
compared

cd "$M/main"
# Random pieces of data in a large file that is otherwise a hole; FILE SIZE SEED.
scatter() {
    python3 - "$@" <<'END'
import os, random, sys
rng = random.Random(int(sys.argv[3]))
size = int(sys.argv[2])
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
os.ftruncate(fd, size)
for i in range(150):
    at = rng.randrange(size)
    os.pwrite(fd, rng.randbytes(min(size - at, rng.choice((1, 512, 4096, 65536, 200000)))), at)
    if i % 50 == 49:
        at = rng.randrange(size)
        os.posix_fallocate(fd, at, 1)
os.close(fd)
END
}
stored() { stat -c %b "$1"; }
less() { [[ $1 -lt $2 ]] || fail "$1 is not less than $2"; }

claim "a disk image written at random places is mostly hole, and reads as it should"
drain # of what the comparisons left
before=$(store_kib)
scatter disk 200000000 1
scatter "$W/disk" 200000000 1
cmp disk "$W/disk"
less "$(stored disk)" $((($(stored "$W/disk") + 150 * 256) * 2))
less $(($(store_kib) - before)) 60000

claim "sealing, mounting again and branching change no block count"
blocks=$(stored disk)
drain
eq "$(stored disk)" "$blocks"
"$TALLY" branch main twin >/dev/null
eq "$(stored "$M/twin/disk")" "$blocks"
cd /
unmount_store
mount_store
cd "$M/main"
eq "$(stored disk)" "$blocks"
cmp disk "$W/disk"

claim "cp, tar and rsync keep the holes"
cp disk auto
cp --sparse=always disk always
mkdir t r
tar -cSf t.tar disk
tar -xSf t.tar -C t
rsync -S disk r/
cp disk "$W/out"
for f in auto always t/disk r/disk "$W/out"; do
    cmp "$f" "$W/disk"
    less "$(stored "$f")" $((blocks * 3 / 2))
done
less "$(stat -c %s t.tar)" $((blocks * 512 * 2))
rm -r auto always t r t.tar "$W/out"

claim "what is punched is given back"
before=$(stored disk)
fallocate -p -o 0 -l 100000000 disk
fallocate -p -o 0 -l 100000000 "$W/disk"
less "$(stored disk)" $((before * 2 / 3))
cmp disk "$W/disk"
fallocate -d disk
cmp disk "$W/disk"
fallocate -p -o 0 -l 9000000000000000000 disk
eq "$(stored disk) $(stat -c %s disk)" "0 200000000"
cmp "$M/twin/disk" <(scatter "$W/again" 200000000 1 && cat "$W/again")

claim "du, ls and df tell what is stored"
eq "$(du -k disk | cut -f1)" 0
eq "$(du -k --apparent-size disk | cut -f1)" 195313
head -c 1000000 /dev/urandom >part
truncate -s 1G part
eq "$(du -k part | cut -f1)" 977

claim "the largest file there can be is a file like any other"
top=9223372036854775807
truncate -s 8E-1 huge 2>/dev/null || truncate -s $top huge
eq "$(stat -c '%s %b' huge)" "$top 0"
python3 - <<'END'
import os
fd = os.open("huge", os.O_RDWR)
top = (1 << 63) - 1
os.pwrite(fd, b"end", top - 3)
os.pwrite(fd, b"half", 1 << 62)
assert os.pread(fd, 5, top - 5) == b"\0\0end"
assert os.lseek(fd, 0, os.SEEK_DATA) == 1 << 62
assert os.lseek(fd, 1 << 62, os.SEEK_HOLE) == (1 << 62) + 4
assert os.lseek(fd, (1 << 62) + 4, os.SEEK_DATA) == top // 4096 * 4096
assert os.lseek(fd, top - 1, os.SEEK_HOLE) == top
END
eq "$(errno_of 'os.pwrite(os.open("huge", os.O_RDWR), b"x", (1 << 63) - 1)')" EINVAL
eq "$(errno_of 'os.posix_fallocate(os.open("huge", os.O_RDWR), 0, (1 << 63) - 1)')" ENOSPC
cp huge huge2
eq "$(stat -c '%s %b' huge2)" "$(stat -c '%s %b' huge)"
drain
eq "$(tail -c 3 huge2)" end
truncate -s 5 huge
truncate -s $top huge
eq "$(stat -c '%s %b' huge)" "$top 0"
eq "$(tail -c 5 huge | tr -d '\0')" ""
rm huge huge2

claim "fallocate asks the disk, and reserves nothing"
free=$(df --output=avail -B1 . | tail -1)
eq "$(errno_of 'os.posix_fallocate(os.open("big", os.O_RDWR | os.O_CREAT), 0, int(argv[0]) + (1 << 36))' "$free")" ENOSPC
fallocate -l 1M big
eq "$(stat -c '%s %b' big)" "1048576 0"
rm big

claim "objects and .tally have no holes"
head -c 200000 /dev/urandom >o
drain
id=$(getfattr --only-values -n user.tally.object o)
object=$M/.tally/objects/${id:0:2}/$id
eq "$(errno_of 'fd = os.open(argv[0], os.O_RDONLY); assert os.lseek(fd, 5, os.SEEK_DATA) == 5; assert os.lseek(fd, 5, os.SEEK_HOLE) == 200000' "$object")" OK
fails fallocate -n -l 5 "$M/.tally/control"
matches "$(<"$W/said")" unsupported
eq "$(errno_of 'os.lseek(os.open(argv[0], os.O_RDONLY), 0, os.SEEK_DATA)' "$M/.tally/status")" ENXIO
finish
