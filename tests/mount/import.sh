#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# import: directories and archives become namespaces, whole or not at all.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
needs bsdtar cpio zip setfattr setfacl
begin
cd "$W"
t() { "$TALLY" -C "$M" "$@"; }
# What stat and the attributes say of each file of a tree, without the top; times with ns.
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
no_namespace() {
    [[ ! -e $M/$1 ]] || fail "there is a namespace $1"
    eq "$(names "$M")" "$2"
}

mkdir -p src/dir/sub src/empty
echo some text >src/dir/file
head -c 300000 /dev/urandom >src/dir/large
head -c 3000000 /dev/urandom >src/larger
cp src/dir/large src/copy
ln src/dir/file src/hard
ln src/dir/file src/dir/sub/harder
ln -s dir/file src/soft
ln -s /nowhere/at/all src/dangling
mkfifo src/pipe
mknod src/null c 1 3
mknod src/disk b 259 70000
touch -d '1999-12-31 12:00:00.123456789 UTC' src/dir/file
touch -d '1901-12-31 12:00:00 UTC' src/null
touch -d '2101-01-01' src/larger
chmod 4751 src/larger
chmod 1777 src/empty
chown 12345:54321 src/dir/file src/empty
chown -h 7:8 src/soft
truncate -s 9M src/sparse
printf 'in between' | dd of=src/sparse bs=1 seek=4000000 conv=notrunc status=none
truncate -s 1M src/hole
setfattr -n user.short -v value src/dir/file
setfattr -n user.long -v "$(head -c 3000 /dev/zero | tr '\0' x)" src/dir
setfacl -m u:5:r,g:6:rw src/dir/large
setfacl -d -m u:5:r src/dir
touch -d '2020-02-02 02:02:02.020202020' src/dir src

claim "a directory comes as it is: types, modes, owners, times, links, holes, attributes, ACLs"
said=$(t import src fromdir)
matches "$said" '^ns=fromdir inodes=14 files=[0-9]+ bytes=[0-9]+ stored=[0-9]+ seq=[0-9]+'
same_tree src "$M/fromdir"
eq "$(stat -c '%U %a %.Y' "$M/fromdir")" "$(stat -c '%U %a %.Y' src)"
[[ $(stat -c %b "$M/fromdir/sparse") -lt 64 ]]
eq "$(stat -c %b "$M/fromdir/hole")" 0

claim "a second import stores nothing again"
said=$(t import src again)
matches "$said" ' stored=0 '
same_tree src "$M/again"

claim "an archive of GNU tar comes as it is"
tar --xattrs --acls --numeric-owner --format=posix -S -C src -cf gnu.tar .
t import gnu.tar gnu >/dev/null
same_tree src "$M/gnu"
[[ $(stat -c %b "$M/gnu/sparse") -lt 64 ]]

claim "an archive of bsdtar comes as it is, from standard input, and compressed"
bsdtar --xattrs --acls --numeric-owner --format pax -C src -cf - . >bsd.tar
t import - bsd <bsd.tar >/dev/null
same_tree src "$M/bsd"
for with in gzip bzip2 xz zstd; do
    command -v "$with" >/dev/null || continue
    "$with" -q <gnu.tar >"packed.$with"
    t import "packed.$with" "by-$with" >/dev/null
    same_tree src "$M/by-$with"
done

claim "archives in the formats of python's tarfile, cpio and zip come with what these can say"
python3 - <<'END'
import tarfile
for name, form in ("ustar", tarfile.USTAR_FORMAT), ("gnu", tarfile.GNU_FORMAT), ("pax", tarfile.PAX_FORMAT):
    with tarfile.open(f"python-{name}.tar", "w", format=form) as t:
        for part in "dir", "empty", "copy", "hard", "soft", "dangling":
            t.add("src/" + part, arcname=part)
END
for name in ustar gnu pax; do
    t import "python-$name.tar" "python-$name" >/dev/null
    eq "$(cat "$M/python-$name/hard")" "some text"
    eq "$(stat -c %h "$M/python-$name/hard")" 3
    eq "$(readlink "$M/python-$name/soft")" dir/file
    cmp "$M/python-$name/dir/large" src/dir/large
done
(cd src && find . -print0 | cpio -0 -o -H newc --quiet) >src.cpio
t import src.cpio cpio >/dev/null
eq "$(tree_digest "$M/cpio")" "$(tree_digest src)"
eq "$(stat -c %h "$M/cpio/hard")" 3
(cd src && zip -q -y -r ../src.zip dir copy soft larger)
t import src.zip zip >/dev/null
cmp "$M/zip/larger" src/larger
eq "$(readlink "$M/zip/soft")" dir/file
(cd src && zip -q -r - dir copy larger) | t import - streamed >/dev/null
cmp "$M/streamed/larger" src/larger

claim "names are bytes: not UTF-8, 255 bytes long, with newlines"
mkdir odd
python3 - <<'END'
import os
for name in b"\xff\xfe\x80", b"n" * 255, b"a\nb", b" ", b"...", b"\xc3\xa4", b"-rf", b"*":
    open(b"odd/" + name, "wb").write(name)
END
t import odd odd >/dev/null
eq "$(tree_digest "$M/odd")" "$(tree_digest odd)"
tar -C odd --format=gnu -cf odd.tar .
t import odd.tar odd-gnu >/dev/null
eq "$(tree_digest "$M/odd-gnu")" "$(tree_digest odd)"
bsdtar -C odd --format pax -cf odd-pax.tar . 2>/dev/null
t import odd-pax.tar odd-pax >/dev/null
eq "$(tree_digest "$M/odd-pax")" "$(tree_digest odd)"

make_tar() { # make_tar FILE PYTHON: add(name, type=…, linkname=…, data=…)
    python3 -c '
import io, sys, tarfile
with tarfile.open(sys.argv[1], "w", format=tarfile.PAX_FORMAT) as t:
    def add(name, data=b"", **more):
        i = tarfile.TarInfo(name)
        i.size = len(data)
        for k, v in more.items():
            setattr(i, k, v)
        t.addfile(i, io.BytesIO(data))
    DIR, SYM, LNK, CHR = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE
    exec(sys.argv[2])' "$1" "$2"
}
before=$(names "$M")
refused() { # refused TAR REGEX: the import fails with that sentence, and nothing is there
    fails t import "$1" refused
    matches "$(cat said)" "$2"
    no_namespace refused "$before"
}

claim "absolute names lose their '/', and are counted"
make_tar a.tar 'add("/abs/f", b"x"); add("//two", b"y"); add("./dot//./g", b"z")'
said=$(t import --json a.tar absolute)
eq "$(python3 -c 'import json, sys; print(json.loads(sys.argv[1])["absolute"])' "$said")" 2
eq "$(cd "$M/absolute" && find . -type f | sort | tr '\n' ' ')" "./abs/f ./dot/g ./two "
before=$(names "$M")

claim "names with '..', or that lead through a file or a symlink, are refused, and named"
make_tar a.tar 'add("ok", b"x"); add("a/../../b", b"y")'
refused a.tar "a/\.\./\.\./b: a name with '\.\.'"
make_tar a.tar 'add("..", type=DIR)'
refused a.tar "\.\./: a name with '\.\.'"
make_tar a.tar 'add("l", type=SYM, linkname="/etc"); add("l/passwd", b"y")'
refused a.tar "l/passwd: 'l' is no directory"

claim "a hard link to what is not there is refused, and named"
make_tar a.tar 'add("ok", b"x"); add("h", type=LNK, linkname="missing/file")'
refused a.tar 'h is a hard link to missing/file, which is not there'
make_tar a.tar 'add("d", type=DIR); add("h", type=LNK, linkname="d")'
refused a.tar 'h is a hard link to d, which is a directory'

claim "of several entries with one name the last one counts, whatever they are"
make_tar a.tar '
add("f", b"first"); add("other", type=LNK, linkname="f"); add("f", b"second")
add("d", type=DIR, mode=0o700); add("d/x", b"x"); add("d", type=DIR, mode=0o755)
add("turns", type=DIR); add("turns/below", b"x"); add("turns", b"a file")
add("back", b"a file"); add("back", type=DIR); add("back/below", b"y")'
t import a.tar last >/dev/null
eq "$(cat "$M/last/f") $(cat "$M/last/other") $(cat "$M/last/turns") $(cat "$M/last/back/below")" \
    "second first a file y"
eq "$(stat -c %a "$M/last/d") $(cat "$M/last/d/x")" "755 x"
before=$(names "$M")

claim "an archive that is cut, damaged or none at all is refused, and nothing of it is there"
head -c 200000 gnu.tar >cut.tar
refused cut.tar 'the archive cannot be read'
head -c 100000 packed.xz >cut.xz
refused cut.xz 'the archive cannot be read'
head -c 100000 /dev/urandom >noise
refused noise 'the archive cannot be read'
: >nothing
refused nothing 'the archive cannot be read'
refused missing.tar 'No such file'

claim "a name that none can have is refused, and a path in a namespace that is not there"
for name in . .. .tally "" "$(printf 'n%.0s' {1..256})" a/b; do
    fails t import gnu.tar "$name"
done
no_namespace refused "$before"

claim "whiteouts of a layer hide what they name, and are no files"
make_tar a.tar '
add("d", type=DIR); add("d/.wh.gone", b""); add("d/kept", b"k"); add("e/.wh..wh..opq", b"")
add("e/f", b"f"); add("x", b"x"); add(".wh.x", b"")'
t import --oci a.tar layer >/dev/null
eq "$(cd "$M/layer" && find . -type f | sort | tr '\n' ' ')" "./d/kept ./e/f ./x "
t import a.tar plain >/dev/null
[[ -e $M/plain/d/.wh.gone ]]

claim "100,000 entries in one directory are all there"
python3 - <<'END'
import io, tarfile
with tarfile.open("flat.tar", "w") as t:
    for i in range(100000):
        f = tarfile.TarInfo(f"flat/f{i}")
        f.size = i % 3
        t.addfile(f, io.BytesIO(b"x" * f.size))
END
matches "$(t import flat.tar flat)" ' inodes=100001 files=100000 bytes=99999 '
eq "$(find "$M/flat/flat" -type f | wc -l)" 100000
t drop flat --now >/dev/null

claim "20,000 files in one directory are all there"
mkdir many
python3 -c '
for i in range(20000):
    open(f"many/f{i}", "w").write(str(i % 7) * (i % 40))'
t import many many >/dev/null
eq "$(tree_digest "$M/many")" "$(tree_digest many)"

before=$(names "$M")

claim "only who may use the control file may import"
fails setpriv --reuid 65534 --regid 65534 --clear-groups "$TALLY" -C "$M" import gnu.tar other
no_namespace other "$before"

claim "others whom ctl_mode lets command own what they import, and import nothing that only root could make"
unmount_store
mount_with -o ctl_mode=0666
as_user() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
mkdir user
cp src/dir/large user/f
chmod 4755 user/f
chmod 755 user
as_user "$TALLY" -C "$M" import user user >/dev/null
eq "$(stat -c '%u %g %a' "$M/user/f")" "65534 65534 755"
fails as_user "$TALLY" -C "$M" import gnu.tar devices
matches "$(cat said)" 'is a device: only root may import that'
unmount_store
mount_store
before=$(names "$M")

claim "what is imported is as any namespace: it changes, is branched and dropped"
t branch gnu gnu2 >/dev/null
echo more >>"$M/gnu/dir/file"
eq "$(cat "$M/gnu2/dir/file")" "some text"
eq "$(cat "$M/gnu/dir/file")" "some text
more"
rm -r "$M/gnu2/dir"
mv "$M/gnu2/larger" "$M/gnu2/moved"
t drop gnu >/dev/null
drain

claim "it survives the death of the daemon, and the store is sound"
kill_daemon
mount_store
same_tree src "$M/fromdir"
same_tree src "$M/bsd"
eq "$(tree_digest "$M/many")" "$(tree_digest many)"
unmount_store
check_clean
mount_store

claim "an import whose tool is killed in the middle leaves nothing"
before=$(names "$M")
mkfifo slow
"$TALLY" -C "$M" import - killed <slow &
tool=$!
pids+=("$tool")
exec 4>slow
head -c 150000 gnu.tar >&4
running() { grep -l '^state.*running' "$M"/.tally/jobs/* 2>/dev/null || true; }
is_running() { [[ -n $(running) ]]; }
is_idle() { [[ -z $(running) ]]; }
wait_until is_running
kill -KILL "$tool"
wait "$tool" || true
exec 4>&-
wait_until is_idle
no_namespace killed "$before"
drain

claim "a cancelled import leaves nothing"
"$TALLY" -C "$M" import - cancelled <slow >said 2>&1 &
tool=$!
pids+=("$tool")
exec 4>slow
head -c 150000 bsd.tar >&4
wait_until is_running
job=$(basename "$(running)")
t cancel "$job" >/dev/null
tail -c +150001 bsd.tar >&4 || true
exec 4>&-
rc=0
wait "$tool" || rc=$?
[[ $rc -ne 0 ]]
matches "$(cat said)" 'cancelled'
no_namespace cancelled "$before"

claim "an import whose daemon is killed in the middle leaves nothing, and the store is sound"
drain
kib=$(store_kib)
head -c 40000000 /dev/urandom >random
tar -cf random.tar random
"$TALLY" -C "$M" import - dead <slow >said 2>&1 &
tool=$!
pids+=("$tool")
exec 4>slow
head -c 30000000 random.tar >&4
t flush >/dev/null
drain
kill_daemon
exec 4>&-
rc=0
wait "$tool" || rc=$?
[[ $rc -ne 0 ]]
check_clean
mount_store
no_namespace dead "$before"
is_small() { t flush >/dev/null && drain && [[ $(store_kib) -lt $((kib + 4096)) ]]; }
wait_until is_small

claim "an import that does not fit on the disk leaves nothing, and the store goes on"
unmount_store
small_disk 30M
S=$D/store
"$TALLY" init "$S"
mount_store
fails t import random.tar full
matches "$(cat said)" '[Nn]o space left'
no_namespace full "main "
head -c 100000 random >"$M/main/f"
t import gnu.tar fits >/dev/null
eq "$(tree_digest "$M/fits")" "$(tree_digest src)"
finish
