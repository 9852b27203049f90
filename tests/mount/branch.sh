#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Branches: a point in time, apart from then on; and how they are dropped.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
cd "$M"
t() { "$TALLY" -C "$M" "$@"; }
mkdir -p main/d/e
for i in {1..300}; do echo "$i" >"main/d/$i"; done
head -c 2000000 /dev/urandom >main/large
ln main/d/1 main/hard
ln -s d/2 main/soft

claim "a branch has all of its source, whether sealed or not, and shares the bytes"
want=$(tree_digest main)
matches "$(t branch main early)" '^ns=[a-z0-9]+ seq=[0-9]+$'
eq "$(tree_digest early)" "$want"
drain
before=$(store_kib)
t branch main late >/dev/null
eq "$(tree_digest late)" "$want"
drain
[[ $(($(store_kib) - before)) -lt 256 ]]

claim "inode numbers within the namespace (the low 42 bits) are the source's; hard links stay"
inodes() { python3 -c '
import os, sys
for d, _, files in sorted(os.walk(sys.argv[1])):
    for f in sorted(files):
        st = os.lstat(os.path.join(d, f))
        print(f, st.st_ino & (1 << 42) - 1, st.st_nlink)' "$1"; }
eq "$(inodes early)" "$(inodes main)"
[[ $(stat -c %i early/large) != $(stat -c %i main/large) ]]
eq "$(stat -c %h early/hard)" 2

claim "no edit shows on the other side, either way"
echo changed >main/d/1
rm main/d/2
mv main/d/3 main/d/renamed
printf changed | dd of=main/large bs=1 seek=1000000 conv=notrunc status=none
chmod 600 main/d/4
mkdir main/new
eq "$(tree_digest early)" "$want"
main=$(tree_digest main)
rm -r late/d
echo other >late/large
touch late/added
eq "$(tree_digest main)" "$main"
eq "$(tree_digest early)" "$want"
drain
eq "$(tree_digest main)" "$main"
eq "$(tree_digest early)" "$want"

claim "a file that is open for writing: the branch has what was written so far"
exec 4>main/log
echo before >&4
t branch main snap >/dev/null
echo after >&4
eq "$(cat snap/log)" before
eq "$(cat main/log)" "$(printf 'before\nafter')"
exec 4>&-

claim "while a writer goes on, a branch is one instant of it: a prefix of what it wrote"
python3 - "$M/main" "$W/stop" <<'END' &
import itertools, os, sys
os.chdir(sys.argv[1])
for i in itertools.count():
    open(f"seq-{i:06d}", "w").write(str(i))
    if os.path.exists(sys.argv[2]):
        break
END
writer=$!
pids+=("$writer")
written() { find "$1" -name 'seq-*' | wc -l; }
has_more() { [[ $(written main) -gt $1 ]]; } # THAN
seen=0
for i in 1 2 3 4 5; do
    wait_until has_more "$seen"
    t branch main "run$i" >/dev/null
    [[ $(written "run$i") -gt $seen ]] || fail "run$i has no more than $seen"
    seen=$(written "run$i")
done
wait_until has_more "$seen" || fail "the writer does not go on"
touch "$W/stop"
wait "$writer"
for i in 1 2 3 4 5; do
    (cd "run$i" && find . -name 'seq-*' | sort) | awk -F- '$2 + 0 != NR - 1 { exit 1 }'
done

claim "branch of what is not there, or onto what is, fails and makes nothing"
fails t branch nothing x
matches "$(cat "$W/said")" 'no namespace nothing'
fails t branch main early
matches "$(cat "$W/said")" 'early exists'
eq "$(errno_of 'os.stat("x")')" ENOENT

claim "drop takes the namespace with everything in it, and nothing of the others"
t drop run1 >/dev/null
eq "$(errno_of 'os.stat("run1")')" ENOENT
for i in 2 3 4 5; do t drop "run$i" >/dev/null; done
t drop late >/dev/null
drain
eq "$(tree_digest early)" "$want"
fails t drop late

claim "drop of a namespace with open files: EBUSY and how many"
exec 4<early/large
fails t drop early
matches "$(cat "$W/said")" '1 file is open'
eq "$(first_line "$(ctl 'drop early\n')")" EBUSY
exec 5<early/d/7
matches "$(ctl 'drop early\n')" 'EBUSY drop: 2 files are open'
exec 5<&-
eq "$(tree_digest early)" "$want"

claim "with force the handle reads on, and the paths are gone, from within as well"
bytes=$(digest early/large)
export TALLY
got=$(python3 - <<'END'
import errno, os, subprocess
os.listdir("early/d")
os.stat("early/d/7")
d = os.open("early/d", os.O_RDONLY)
subprocess.run([os.environ["TALLY"], "drop", "--force", "early"], check=True, stdout=2)
for call in (lambda: os.open("7", os.O_RDONLY, dir_fd=d), lambda: os.stat("7", dir_fd=d),
             lambda: os.listdir(d), lambda: os.unlink("7", dir_fd=d),
             lambda: os.open("new", os.O_CREAT | os.O_WRONLY, dir_fd=d)):
    try:
        print("it worked:", call())
    except OSError as e:
        print({"ESTALE": "gone", "ENOENT": "gone"}.get(errno.errorcode[e.errno], str(e)))
END
)
eq "$(uniq <<<"$got")" gone
eq "$(errno_of 'os.stat("early/large")')" ENOENT
t drain "${limit}s" >/dev/null
eq "$(digest /proc/self/fd/4)" "$bytes"
exec 4<&-

claim "when all are dropped, nothing is left"
t drop snap >/dev/null
t drop main >/dev/null
drain
eq "$(find .tally/objects -type f | wc -l)" 0
eq "$(ls -A)" ""
eq "$(find "$S/slots" "$S/objects" -type f | wc -l)" 0
claim "what was written through a shared mapping is in the branch, and later changes are not"
mkdir -p "$M/live"
python3 - "$M" <<'END'
import mmap, os, sys
mnt = sys.argv[1]
fd = os.open(mnt + "/live/mapped", os.O_RDWR | os.O_CREAT)
os.write(fd, bytes(100000))
m = mmap.mmap(fd, 100000)
os.close(fd) # the mapping alone keeps it open
for i in range(20):
    m[i * 4096] = i + 1
    with open(mnt + "/.tally/control", "r+b", buffering=0) as c:
        c.write(b"branch live mapped%d\n" % i)
    m[i * 4096 + 1] = 77
for i in range(20):
    got = open(f"{mnt}/mapped{i}/mapped", "rb").read()
    assert got[i * 4096] == i + 1, i
    assert got[i * 4096 + 1] == 0, i
END

finish
