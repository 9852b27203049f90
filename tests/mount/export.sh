#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# export: namespaces and directories in them become archives and directories, whole or not at all.
set -euo pipefail
leaks=all
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
needs bsdtar setfattr setfacl setpriv
begin
cd "$W"
t() { "$TALLY" -C "$M" "$@"; }
describe() (
    cd "$1"
    find . -mindepth 1 -printf '%P %y %m %U %G %n %T@ %l ' \( -type f -printf '%s' -o -true \) -printf '\n' | sort
    getfattr -R -h -d -m '^(user|security)\.|^system' . 2>/dev/null | sort
    find . -mindepth 1 ! -type l -print0 | sort -z | xargs -0r getfacl -n -p
)
same_tree() {
    diff <(describe "$1") <(describe "$2") >"$W/differ" || fail "$1 and $2: $(head -5 "$W/differ")"
    eq "$(tree_digest "$1")" "$(tree_digest "$2")"
}

cd "$M/main"
mkdir -p dir/sub empty
echo some text >dir/file
head -c 300000 /dev/urandom >dir/large
head -c 3000000 /dev/urandom >larger
ln dir/file hard
ln dir/file dir/sub/harder
ln -s dir/file soft
ln -s /nowhere/at/all dangling
mkfifo pipe
mknod null c 1 3
truncate -s 9M sparse
printf 'in between' | dd of=sparse bs=1 seek=4000000 conv=notrunc status=none
truncate -s 1M hole
setfattr -n user.short -v value dir/file
setfattr -n user.long -v "$(head -c 3000 /dev/zero | tr '\0' x)" dir
setfacl -m u:5:r,g:6:rw dir/large
setfacl -d -m u:5:r dir
chmod 4751 larger
chmod 1777 empty
python3 - <<'END'
import os
for name in b"\xff\xfe\x80", b"n" * 255, b"a\nb", b"\xc3\xa4":
    open(b"dir/sub/" + name, "wb").write(name)
END
chown -R 12345:54321 dir
chown -h 7:8 soft
touch -d '1999-12-31 12:00:00.123456789 UTC' dir/file
touch -d '2020-02-02 02:02:02.020202020' dir .
chmod 555 dir/sub
cd "$W"
want=$(tree_digest "$M/main")

claim "a directory gets all that is in a namespace, and nothing is shared with the store"
said=$(t export main copy)
matches "$said" '^files=[0-9]+ bytes=[0-9]+$'
same_tree "$M/main" copy
eq "$(stat -c '%a %.Y' copy)" "$(stat -c '%a %.Y' "$M/main")"
[[ $(stat -c %b copy/sparse) -lt 64 ]]
eq "$(stat -c %b copy/hole)" 0
echo changed >copy/larger
eq "$(tree_digest "$M/main")" "$want"

claim "a directory in a namespace is exported alone"
t export main/dir/ sub >/dev/null
eq "$(tree_digest sub)" "$(tree_digest "$M/main/dir")"

claim "a snapshot is exported as it was, and so is a directory in it"
t snapshot main before >/dev/null
echo more >"$M/main/dir/sub/../file"
t export main@before then >/dev/null
eq "$(tree_digest then)" "$want"
t export main@before/dir then.tar >/dev/null
mkdir then.dir
tar -C then.dir -xpf then.tar
eq "$(cat then.dir/file)" "some text"
printf 'some text\n' >"$M/main/dir/file"
touch -d '1999-12-31 12:00:00.123456789 UTC' "$M/main/dir/file"
eq "$(tree_digest "$M/main")" "$want"

claim "who may not read all exports what may be read, file by file, and no more"
mkdir -p "$M/open/dir" theirs
cp "$M/main/larger" "$M/main/sparse" "$M/open/dir"
ln "$M/open/dir/larger" "$M/open/other"
chmod 755 "$M/open/dir/larger" "$W" "$M/open" "$M/open/dir"
chown 1000:1000 theirs
as() { setpriv --reuid 1000 --regid 1000 --clear-groups "$@"; }
as "$TALLY" -C "$M" export open theirs/one >/dev/null
eq "$(tree_digest theirs/one)" "$(tree_digest "$M/open")"
cmp theirs/one/other "$M/main/larger"
[[ $(stat -c %h theirs/one/other) -eq 2 ]]
as "$TALLY" -C "$M" export open theirs/one.tar >/dev/null
eq "$(tar -tf theirs/one.tar | wc -l)" 5
chmod 600 "$M/open/dir/sparse"
fails as "$TALLY" -C "$M" export open theirs/two
matches "$(cat said)" 'sparse: opening it: Permission denied'
as "$TALLY" -C "$M" export open - >cut.tar 2>said || true
fails tar -tf cut.tar # whoever reads it sees that it is not all
t drop open --now >/dev/null

claim "GNU tar, bsdtar and import read the archive as it was"
t export main one.tar >/dev/null
mkdir gnu bsd
tar --xattrs --xattrs-include='*' --acls --numeric-owner -C gnu -xpf one.tar
same_tree "$M/main" gnu
[[ $(stat -c %b gnu/sparse) -lt 64 ]]
bsdtar --numeric-owner -C bsd -xpf one.tar
same_tree "$M/main" bsd
t import one.tar back >/dev/null
same_tree "$M/main" "$M/back"
eq "$(stat -c '%a %.Y' "$M/back")" "$(stat -c '%a %.Y' "$M/main")"
[[ $(stat -c %s one.tar) -lt 4000000 ]] # without the holes

claim "a hole at the end takes no room, times are what they were, and other archives are refused"
mkdir "$M/ends"
printf hello >"$M/ends/tail"
truncate -s 2G "$M/ends/tail"
touch -d '1601-01-01 UTC' "$M/ends/old"
t export ends ends.tar >/dev/null
[[ $(stat -c %s ends.tar) -lt 100000 ]]
t export ends ends >/dev/null
[[ $(stat -c %Y ends/old) -lt 0 ]] # as far back as ext4 can say
eq "$(stat -c %b ends/tail)" 8
fails t export ends ends.zip
matches "$(cat said)" 'ends.zip: archives are .tar'
t export ends ends.zip/ >/dev/null
[[ -d ends.zip ]]
rm -r ends.zip
t drop ends --now >/dev/null

claim "the end of the name says how it is compressed; - is standard output"
for end in tar.gz tgz tar.bz2 tar.xz tar.zst; do
    t export main "two.$end" >/dev/null
    eq "$(bsdtar -tf "two.$end" | wc -l)" "$(bsdtar -tf one.tar | wc -l)"
done
matches "$(file -b two.tar.zst 2>/dev/null || echo Zstandard)" Zstandard
t export main - >three.tar
cmp one.tar three.tar

claim "the result is told as JSON, too"
eq "$(t export --json main json.tar | python3 -c 'import json, sys; print(json.load(sys.stdin)["ok"])')" True

claim "what is there is not replaced, and what is not there is told"
fails t export main copy
matches "$(cat said)" 'copy exists already'
fails t export main one.tar
fails t export missing x
matches "$(cat said)" 'there is no namespace missing'
fails t export main/missing x
matches "$(cat said)" 'there is no main/missing'
fails t export main/larger x
matches "$(cat said)" 'main/larger is not a directory'
fails t export main nowhere/x
eq "$(ls -d x ./*.partial-* 2>/dev/null || true)" ""

claim "an archive on a full disk leaves nothing; a directory says where its part is"
small_disk 3M
fails t export main "$D/full.tar"
matches "$(cat said)" 'No space left'
eq "$(names "$D")" "lost+found "
fails t export main "$D/full"
matches "$(cat said)" "what was copied so far is in $D/full.partial-"
[[ ! -e $D/full ]]

claim "random trees go in and come back as they were, as directories and as archives (SEED, SEEDS)"
make_tree() { # make_tree DIR SEED: files of all kinds, with names, lengths and holes drawn by the seed
    python3 - "$1" "$2" <<'END'
import os, random, sys
top, r = os.fsencode(sys.argv[1]), random.Random(int(sys.argv[2]))
os.mkdir(top)
dirs, files = [top], []
def name():
    n = bytes(r.choice(b"ab.-\xff\n \xc3\xa4") for _ in range(r.choice((1, 2, 8, 60))))
    return n if n not in (b".", b"..") else b"x"
def fill(f):
    for _ in range(r.randrange(4)):
        f.seek(r.choice((0, 1, 4096, 131072, 131073, 300000, 2000000, r.randrange(4000000))))
        f.write(r.randbytes(r.choice((1, 100, 4096, 131072, 200000))))
    f.truncate(r.choice((f.tell(), f.tell() + 1, 5000000, r.randrange(300000))))
for _ in range(120):
    path = os.path.join(r.choice(dirs), name())
    if os.path.lexists(path):
        continue
    kind = r.choice("dfffffhlps")
    if kind == "d":
        os.mkdir(path)
        dirs.append(path)
    elif kind == "h" and files:
        os.link(r.choice(files), path)
    elif kind == "l":
        os.symlink(name() * r.randrange(1, 40), path)
    elif kind == "p":
        os.mkfifo(path)
    else:
        with open(path, "wb") as f:
            fill(f)
        files.append(path)
        if r.random() < 0.3:
            os.setxattr(path, b"user." + bytes([r.randrange(97, 123)]) * r.randrange(1, 200), r.randbytes(r.choice((0, 5, 900))))
    if not os.path.islink(path):
        os.chmod(path, r.randrange(0o1000) | 0o400)
    os.chown(path, r.randrange(70000), r.randrange(70000), follow_symlinks=False)
for path in dirs + files:
    t = r.randrange(4 * 10**18)
    os.utime(path, ns=(t, t))
END
}
for seed in $(seq "${SEED:-50}" $((${SEED:-50} + ${SEEDS:-4} - 1))); do
    make_tree "tree$seed" "$seed"
    t import "tree$seed" "tree$seed" >/dev/null
    same_tree "tree$seed" "$M/tree$seed"
    t export "tree$seed" "out$seed" >/dev/null
    same_tree "tree$seed" "out$seed"
    t export "tree$seed" "out$seed.tar" >/dev/null
    t import "out$seed.tar" "again$seed" >/dev/null
    same_tree "tree$seed" "$M/again$seed"
done

claim "10,000 files come back as they were"
mkdir "$M/many"
python3 -c '
import sys
for i in range(10000):
    open(f"{sys.argv[1]}/f{i}", "w").write(str(i % 7) * (i % 40))' "$M/many"
t export many - | t import - again >/dev/null
eq "$(tree_digest "$M/again")" "$(tree_digest "$M/many")"
t export many many >/dev/null
eq "$(tree_digest many)" "$(tree_digest "$M/many")"
finish
