#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# 30,000 names in one directory, listed while it changes, by who remembers a cookie and nothing
# else, as an NFS server does. By hand, more of them:  COUNT=1000000 TALLY=… bash readdir_large.sh
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
mkdir "$M/main/d"
cd "$M/main/d"
cat >"$W/list.py" <<'END'
import ctypes, os, random, struct, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
COUNT = int(os.environ.get("COUNT", 30000))

def some(cookie, room):
    """A few entries behind that cookie, through a descriptor of their own."""
    buf, found, at = ctypes.create_string_buffer(room), [], 0
    fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    os.lseek(fd, cookie, os.SEEK_SET)
    n = libc.syscall(217, fd, buf, room)
    os.close(fd)
    assert n >= 0, ctypes.get_errno()
    while at < n:
        _, cookie, length, _ = struct.unpack_from("<QqHB", buf.raw, at)
        found.append((buf.raw[at + 19:at + length].split(b"\0")[0].decode(), cookie))
        at += length
    return found

def whole(room, between=lambda found: None):
    """All names, in pieces; `between` is told each piece before the next one is read."""
    seen, cookie = [], 0
    while found := some(cookie, room):
        seen += [name for name, _ in found if name[0] != "."]
        cookie = found[-1][1]
        between(found)
    return seen

def name(i):
    return f"name-{i:06d}"
END
run() { cat "$W/list.py" - >"$W/run.py" && python3 "$W/run.py"; }

claim "all of them are listed once, in pieces of any size"
run <<'END'
for i in range(COUNT):
    os.close(os.open(name(i), os.O_CREAT | os.O_WRONLY))
want = {name(i) for i in range(COUNT)}
for room in 1000, 32768, 1 << 20:
    seen = whole(room)
    assert len(seen) == COUNT and set(seen) == want, (room, len(seen))
END

claim "where the last entry of each piece is removed before the next is read, all that stay are listed once"
run <<'END'
gone = set()
def remove(found):
    last = found[-1][0]
    if last[0] != ".":
        os.unlink(last)
        gone.add(last)
seen = whole(4096, remove)
assert len(seen) == len(set(seen)) == COUNT, len(seen)
assert len(gone) > COUNT // 200 # the last of pieces of 128 entries at most, whatever the kernel asks for
assert set(os.listdir(".")) == set(seen) - gone
for n in gone:
    os.close(os.open(n, os.O_CREAT | os.O_WRONLY))
END

claim "while others make, rename and remove names, those that nobody touches are listed exactly once"
run <<'END'
stay = {name(i) for i in range(0, COUNT, 2)}
ended = threading.Event()
def change(seed):
    chance = random.Random(seed)
    while not ended.is_set():
        old, new = f"{seed}-{chance.randrange(5000)}", f"{seed}-{chance.randrange(5000)}"
        mine = name(2 * chance.randrange(COUNT // 8) + COUNT // 4 * seed + 1)
        try:
            os.close(os.open(old, os.O_CREAT | os.O_WRONLY))
            os.rename(old, new)
            os.unlink(mine)
        except FileNotFoundError:
            pass
threads = [threading.Thread(target=change, args=(i,)) for i in range(4)]
for t in threads:
    t.start()
for turn in range(3):
    seen = whole(8192)
    untouched = [n for n in seen if n in stay]
    assert len(untouched) == len(set(untouched)), "listed twice"
    assert set(untouched) == stay, sorted(stay - set(untouched))[:5]
ended.set()
for t in threads:
    t.join()
END

claim "cookies hold through a mount"
run <<'END' >"$W/cookies"
found = some(0, 1 << 16)
print(found[10][1], found[11][0])
END
cd /
unmount_store
check_clean
mount_store
cd "$M/main/d"
read -r cookie next <"$W/cookies"
run <<END
assert some($cookie, 4096)[0][0] == "$next"
END
cd /
finish
