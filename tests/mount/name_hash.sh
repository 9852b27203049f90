#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A user who would learn the key of the hash of names, and who floods one hash of a store where he
# knows it: a name that he does not want can be made all the same.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
age=$(realpath "${AGE:?is the program of tests/mount/age.c}")
as_user() { python3 "${test_file%/*}/name_hash.py" "$@"; }

claim "who lists a directory of his own learns nothing of the key of names"
mkdir -m 1777 "$M/main/tmp"
eq "$(as_user learn "$M/main/tmp")" nothing
unmount_store

claim "a store of version 3 tells nothing of its key either, once it was mounted"
rm -r "$S"
"$TALLY" init "$S" >/dev/null
seed=$("$age" "$S")
mount_store
mkdir -m 1777 "$M/main/tmp"
eq "$(as_user learn "$M/main/tmp")" nothing

claim "400 names of one hash can be made there by who knows the key, and the one that was meant as well"
victim=a-victims-name.x
eq "$(as_user flood "$M/main/tmp" "$seed" $victim 400)" 400
echo mine >"$M/main/tmp/$victim"
eq "$(cat "$M/main/tmp/$victim")" mine
eq "$(errno_of 'os.mkdir(argv[0])' "$M/main/tmp/$victim")" EEXIST

claim "all are listed once, and a listing goes on behind each of them, when that one is gone"
cd "$M/main/tmp"
cat >"$W/resume.py" <<'END'
import ctypes, os, struct
libc = ctypes.CDLL(None, use_errno=True)
def entries(fd, room):
    buf = ctypes.create_string_buffer(room)
    while (n := libc.syscall(217, fd, buf, room)) > 0:
        at = 0
        while at < n:
            _, cookie, length, _ = struct.unpack_from("<QqHB", buf.raw, at)
            yield buf.raw[at + 19:at + length].split(b"\0")[0], cookie
            at += length
def listed(cookie, room=4096):
    fd = os.open(b".", os.O_RDONLY | os.O_DIRECTORY)
    os.lseek(fd, cookie, os.SEEK_SET)
    found = list(entries(fd, room))
    os.close(fd)
    return found
every = listed(0)
assert len(every) == len({n for n, _ in every}) == 403, len(every)
assert len({c for _, c in every}) == 403 and all(0 < c < 1 << 63 for _, c in every)
for i in range(2, 402, 9):
    name, cookie = every[i]
    rest = [n for n, _ in every[i + 1:]]
    assert [n for n, _ in listed(cookie)] == rest, name
    if name != b"a-victims-name.x":
        os.unlink(name)
        assert [n for n, _ in listed(cookie)] == rest, name
END
python3 "$W/resume.py"

claim "they are renamed over each other, exchanged and linked as any others"
python3 - "$victim" <<'END'
import ctypes, os, sys
libc = ctypes.CDLL(None)
victim = os.fsencode(sys.argv[1])
names = [n for n in os.listdir(b".") if n != victim]
n = len(names) + 1
os.rename(names[0], names[1])
os.rename(names[2], victim)
assert libc.renameat2(-100, victim, -100, names[3], 2) == 0
os.link(names[4], b"elsewhere")
os.rename(b"elsewhere", names[0])
left = set(os.listdir(b"."))
assert names[2] not in left and {victim, names[0], names[1], names[3]} <= left
assert len(left) == n - 1, (len(left), n)
END
left=$(find . -type f | wc -l)

claim "they stay in a branch and through a mount, and check finds nothing"
cd /
"$TALLY" -C "$M" branch main twin >/dev/null
rm "$M/main/tmp/$victim"
unmount_store
check_clean
mount_store
eq "$(find "$M/twin/tmp" -type f | wc -l)" "$left"
eq "$(find "$M/main/tmp" -type f | wc -l)" $((left - 1))

claim "all of it can be removed"
rm -r "$M/main/tmp" "$M/twin/tmp"
eq "$(names "$M/twin")" ""
finish
