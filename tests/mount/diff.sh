#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# diff: what changed from one namespace to another, as a user sees it.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
needs setfattr diff
keeps=yes # a branch is compared with what it was made of
begin
cd "$M"
t() { "$TALLY" -C "$M" "$@"; }
fresh() { # a new branch of main, called dev
    [[ ! -e dev ]] || t drop dev >/dev/null
    t branch main dev >/dev/null
}
mkdir -p main/d/e main/dir
for i in {1..50}; do echo "$i" >"main/d/$i"; done
head -c 3000000 /dev/urandom >main/large
truncate -s 3M main/holes
echo hard >main/hard
ln main/hard main/d/hard
ln -s d/2 main/soft
fresh

claim "a new branch differs in nothing, and that is no error"
eq "$(t diff main dev)" ""
eq "$(t diff main dev --stat)" "from=main to=dev deleted=0 added=0 modified=0 type=0 renamed=0 attrs=0"
eq "$(t diff dev)" ""

claim "deleted, new and modified files, and other attributes; each with a letter, in that order"
rm dev/d/1
echo new >dev/b
echo more >>dev/d/2
chmod 600 dev/d/3
setfattr -n user.x -v y dev/d/4
touch -d 2001-01-01 dev/d/5
eq "$(t diff main dev)" "$(printf '%s\n' $'D\td/1' $'A\tb' $'M\td/2' $'a\td/3\t(mode)' $'a\td/4\t(xattr)' $'a\td/5\t(times)')"
eq "$(t diff dev)" "$(t diff main dev)"
eq "$(t diff dev main | tr '\n' ' ')" $'D\tb A\td/1 M\td/2 a\td/3\t(mode) a\td/4\t(xattr) a\td/5\t(times) '
eq "$(t diff main dev --name-only | tr '\n' ' ')" "d/1 b d/2 d/3 d/4 d/5 "
eq "$(t diff main dev --path d/2)" $'M\td/2'
eq "$(t diff main dev --stat)" "from=main to=dev deleted=1 added=1 modified=1 type=0 renamed=0 attrs=3"

claim "a renamed directory is one line, and what changed below it has its own"
fresh
mv dev/d dev/moved
echo more >>dev/moved/7
eq "$(t diff main dev)" "$(printf '%s\n' $'R\td\tmoved' $'M\tmoved/7')"
echo more >>dev/hard
eq "$(t diff main dev | tr '\n' ' ')" $'M\thard R\td\tmoved M\tmoved/7 M\tmoved/hard '
eq "$(t diff main dev --path moved/hard)" $'M\tmoved/hard'

claim "a file becomes a directory, a directory a file, a file a symlink"
fresh
rm dev/d/1 dev/d/2
mkdir dev/d/1
touch dev/d/1/x
ln -s x dev/d/2
rmdir dev/dir
echo file >dev/dir
eq "$(t diff main dev | tr '\n' ' ')" $'T\td/1 A\td/1/x T\td/2 T\tdir '

claim "equal bytes written anew are no other content; one changed byte is; a hole is zeros"
fresh
cp main/large dev/copy
cat dev/copy >dev/large
rm dev/copy
head -c 3M /dev/zero >dev/holes
eq "$(t diff main dev | tr '\n' ' ')" $'a\tholes\t(times) a\tlarge\t(times) '
printf x | dd of=dev/large bs=1 seek=2000000 conv=notrunc status=none
printf x | dd of=dev/holes bs=1 seek=2000000 conv=notrunc status=none
eq "$(t diff main dev | tr '\n' ' ')" $'M\tholes M\tlarge '

claim "editors that write beside and rename over, and tools that copy and delete"
fresh
echo changed >dev/d/.9.swp
mv dev/d/.9.swp dev/d/9
cp -p main/d/10 dev/ten
rm dev/d/10
t drain >/dev/null
eq "$(t diff main dev | tr '\n' ' ')" $'M\td/9 R\td/10\tten '

claim "names of any bytes come back as they are"
fresh
python3 - <<'END'
import os
for name in (b"new\nline", b"a b", b'q"\\', b"\xff\xfe", b"tab\t", b"-x", b"\xc2\x9b1m", b"path=x", b"d"):
    os.makedirs(b"dev/odd", exist_ok=True)
    open(b"dev/odd/" + name, "wb").close()
END
t diff main dev -z >"$W/got"
python3 - "$W/got" <<'END'
import sys
got = open(sys.argv[1], "rb").read().split(b"\0")
assert got[-1] == b"" and all(s == b"A" for s in got[:-1:2]), got
want = [b"odd"] + [b"odd/" + n for n in sorted((b"new\nline", b"a b", b'q"\\', b"\xff\xfe", b"tab\t", b"-x", b"\xc2\x9b1m", b"path=x", b"d"))]
assert got[1::2] == want, (got, want)
END
eq "$(t diff main dev --path 'odd/a b')" $'A\t"odd/a b"'
eq "$(t diff main dev --path $'odd/new\nline')" $'A\t"odd/new\\nline"'
eq "$(t diff main dev | wc -l)" 10

claim "--json is one object"
t diff main dev --json | python3 -c '
import json, sys
r = json.load(sys.stdin)
assert r["ok"] and r["verb"] == "diff" and r["added"] == 10 and r["from"] == "main", r
assert r["changes"][0] == {"status": "A", "path": "odd", "type": "dir", "modified": False, "attrs": [], "unread": False}, r
assert len(r["changes"]) == 10'
fails t diff none --json
matches "$(<"$W/said")" '"error": "ENOENT"'

claim "--patch has the lines of what changed, also of what is new or gone"
fresh
sed -i s/8/eight/ dev/d/8
rm dev/d/3
echo new >dev/n
head -c 100 /dev/zero >dev/d/4
mv dev/d/5 dev/five
eq "$(t diff main dev --path d/8 --patch | grep -v '^@@')" "$(printf '%s\n' $'M\td/8' '--- main/d/8' '+++ dev/d/8' -8 +eight)"
eq "$(t diff main dev --path n --patch | tail -n 1)" +new
eq "$(t diff main dev --path d/3 --patch | tail -n 1)" -3
matches "$(t diff main dev --path d/4 --patch)" 'Binary files .* differ'
eq "$(t diff main dev --path five --patch)" $'R\td/5\tfive'
eq "$(TALLY_DIFF='cat' t diff main dev --path d/8 --patch)" "$(printf '%s\n' $'M\td/8' 8 eight)"
export TALLY_DIFF='exit 3;'
fails t diff main dev --path d/8 --patch
unset TALLY_DIFF
matches "$(<"$W/said")" 'the program that compares files failed'

claim "two namespaces that are no branches of each other are compared by path"
mkdir other
cp -rp main/d other/
rm other/d/1
eq "$(t diff main other --path d/ | tr '\n' ' ')" $'D\td/1 '

claim "what is wrong has a sentence"
fails t diff
fails t diff a b c
fails t diff --stat --patch main
fails t diff main dev --path /d
matches "$(<"$W/said")" '/d is not a path within'
fails t diff none main
matches "$(<"$W/said")" 'there is no namespace none'
fails t diff main
matches "$(<"$W/said")" 'main has no base'
mkdir odd
fails t diff odd stat
matches "$(<"$W/said")" 'there is no namespace stat'

claim "a namespace called stat is one"
mkdir stat
touch stat/x
eq "$(t diff odd stat | tr '\n' ' ')" $'A\tx '

claim "writers go on while two namespaces are compared, and each answer is of one instant"
fresh
python3 - "$TALLY" "$M" <<'END'
import os, subprocess, sys, threading
tally, mnt = sys.argv[1:]
stop = threading.Event()
moves = 0
def writer():
    """Always exactly one of the names exists."""
    global moves
    open(mnt + "/dev/d/x0", "w").close()
    while not stop.is_set():
        os.rename(f"{mnt}/dev/d/x{moves % 2}", f"{mnt}/dev/d/x{(moves + 1) % 2}")
        moves += 1
thread = threading.Thread(target=writer)
thread.start()
while moves == 0:
    pass
seen = set()
for _ in range(30):
    said = subprocess.run([tally, "-C", mnt, "diff", "main", "dev"], capture_output=True, text=True, check=True).stdout
    assert said in ("A\td/x0\n", "A\td/x1\n"), said
    seen.add(said)
before = moves
stop.set()
thread.join()
assert before > 30, before
END
cd /
finish
