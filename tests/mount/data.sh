#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Bytes of files: written, appended, truncated, sparse, mapped, and of files without a name.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
cd "$M/main"

claim "write, append, overwrite, truncate down and up"
printf hello >f
printf ' world' >>f
eq "$(cat f)" "hello world"
printf HE | dd of=f conv=notrunc status=none
eq "$(cat f)" "HEllo world"
truncate -s 5 f
eq "$(cat f)" HEllo
truncate -s 8 f
eq "$(od -An -tx1 f | tr -d ' ')" 48456c6c6f000000
eq "$(stat -c %s f)" 8
: >f
eq "$(stat -c %s f)" 0

claim "O_APPEND: each of two writers' writes lands whole at the end"
python3 - <<'END'
import os
a = os.open("log", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
b = os.open("log", os.O_APPEND | os.O_WRONLY)
for i in range(500):
    os.write(a, b"a" * 7 + b"\n")
    os.write(b, b"b" * 7 + b"\n")
os.lseek(a, 0, 0)
os.write(a, b"endend.\n")
END
eq "$(sort log | uniq -c | tr -s ' ' | tr '\n' ,)" " 500 aaaaaaa, 500 bbbbbbb, 1 endend.,"
eq "$(tail -n 1 log)" endend.

claim "a hole reads as zeros and is not stored"
before=$(store_kib)
truncate -s 1G sparse
printf end | dd of=sparse bs=1 seek=1073741824 conv=notrunc status=none
eq "$(stat -c %s sparse)" 1073741827
eq "$(tail -c 3 sparse)" end
eq "$(dd if=sparse bs=1M skip=500 count=1 status=none | tr -d '\0' | wc -c)" 0
[[ $(($(store_kib) - before)) -lt 10240 ]]
rm sparse

claim "a file without a name keeps its bytes as long as it is open, also through a drain"
for size in 5 5000000; do
    head -c "$size" /dev/urandom >gone
    want=$(digest gone)
    exec 4<>gone
    rm gone
    drain
    eq "$(digest /proc/self/fd/4)" "$want" "$size bytes"
    printf more >&4
    eq "$(stat -Lc '%s %h' /proc/self/fd/4)" "$((size + 0 > 4 ? size : 4)) 0"
    exec 4>&-
done
eq "$(ls -A)" "$(printf 'f\nlog')"

claim "mmap: what is mapped is what is read, and what is stored through it is written"
python3 - <<'END'
import mmap, os
data = os.urandom(1 << 20)
open("m", "wb").write(data)
with open("m", "r+b") as f, mmap.mmap(f.fileno(), 0) as m:
    assert m[:] == data
    m[4090:4110] = b"x" * 20
    m[-1:] = b"!"
    m.flush()
got = open("m", "rb").read()
assert got == data[:4090] + b"x" * 20 + data[4110:-1] + b"!"
END
cp m "$W/copy"

claim "lseek, reading over the end, writing far beyond it; the largest sizes cost nothing"
python3 - <<'END'
import os
fd = os.open("s", os.O_CREAT | os.O_RDWR)
os.pwrite(fd, b"abc", 10)
assert os.lseek(fd, 0, os.SEEK_END) == 13
assert os.pread(fd, 100, 8) == b"\0\0abc"
assert os.pread(fd, 100, 13) == b""
fd = os.open("far", os.O_CREAT | os.O_RDWR)
os.ftruncate(fd, 1 << 61)
os.pwrite(fd, b"abc", 1 << 60)
os.pwrite(fd, b"abc", 1 << 62)
assert os.fstat(fd).st_size == (1 << 62) + 3
assert os.pread(fd, 6, (1 << 60) - 1) == b"\0abc\0\0"
END
drain
eq "$(errno_of 'fd = os.open("far", os.O_RDWR); assert os.pread(fd, 9, 1 << 62) == b"abc"')" OK
[[ $(store_kib) -lt 32768 ]]
rm far

claim "everything is the same after drain and remount"
drain
before=$(tree_digest .)
cd /
unmount_store
mount_store
eq "$(tree_digest "$M/main")" "$before"
cmp "$M/main/m" "$W/copy"
finish
