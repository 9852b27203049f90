#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Files, directories and symlinks by name: what works, and the errno of what does not.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
cd "$M/main"

claim "mkdir, create, rename, remove"
mkdir -p d/e/f
echo one >d/a
mv d/a d/e/b
eq "$(cat d/e/b)" one
eq "$(ls d)" e
rm d/e/b
eq "$(ls -A d/e)" f

claim "rename over a file replaces it, over an empty directory too"
echo old >x
echo new >y
mv y x
eq "$(cat x)" new
mkdir full empty
touch full/in
mv -T full empty
eq "$(ls empty)" in
eq "$(errno_of 'os.stat("full")')" ENOENT

claim "what rename refuses"
mkdir full
touch full/in
eq "$(errno_of 'os.rename("empty", "full")')" ENOTEMPTY
eq "$(errno_of 'os.rename("x", "full")')" EISDIR
eq "$(errno_of 'os.rename("full", "x")')" ENOTDIR
eq "$(errno_of 'os.rename("full", "full/in2")')" EINVAL
eq "$(errno_of 'os.rename("nothing", "x2")')" ENOENT
eq "$(cat x)" new

claim "removing"
eq "$(errno_of 'os.rmdir("full")')" ENOTEMPTY
eq "$(errno_of 'os.rmdir("x")')" ENOTDIR
eq "$(errno_of 'os.unlink("full")')" EISDIR
eq "$(errno_of 'os.unlink("nothing")')" ENOENT
eq "$(errno_of 'os.mkdir("x")')" EEXIST
eq "$(errno_of 'os.open("x/y", os.O_RDONLY)')" ENOTDIR
eq "$(errno_of 'os.open("full", os.O_WRONLY)')" EISDIR
eq "$(errno_of 'os.open("x", os.O_WRONLY | os.O_CREAT | os.O_EXCL)')" EEXIST
rm -r full empty d
eq "$(ls -A)" x

claim "a name of 255 bytes works, one of 256 is ENAMETOOLONG"
long=$(printf 'n%.0s' {1..255})
echo long >"$long"
mv "$long" "${long/n/m}"
eq "$(cat "${long/n/m}")" long
rm "${long/n/m}"
for call in 'os.mkdir(n)' 'os.stat(n)' 'os.rename("x", n)' 'os.symlink("t", n)' \
    'os.link("x", n)' 'os.open(n, os.O_CREAT | os.O_WRONLY)'; do
    eq "$(errno_of "n = 'n' * 256; $call")" ENAMETOOLONG "$call"
done

claim "names are bytes: blanks, newlines, no UTF-8"
for name in ' ' $'a\nb' $'\xff\xfe' '-rf' '"'; do
    echo "$name" >"./$name"
    eq "$(cat "./$name")" "$name"
    rm "./$name"
done

claim "symlinks: followed, read, dangling, 4095 bytes long, in circles"
ln -s x link
eq "$(readlink link)" x
eq "$(cat link)" new
eq "$(stat -c %F link)" "symbolic link"
ln -s nowhere dangling
eq "$(errno_of 'os.open("dangling", os.O_RDONLY)')" ENOENT
eq "$(errno_of 'os.symlink("t" * 4095, "longlink"); assert os.readlink("longlink") == "t" * 4095')" OK
ln -s c2 c1
ln -s c1 c2
eq "$(errno_of 'os.open("c1", os.O_RDONLY)')" ELOOP

claim "between namespaces rename is EXDEV and mv copies"
mkdir "$M/dev"
eq "$(errno_of 'os.rename("x", "../dev/x")')" EXDEV
mv x ../dev/
eq "$(cat "$M/dev/x")" new
eq "$(errno_of 'os.stat("x")')" ENOENT

claim "renameat2: NOREPLACE is EEXIST, EXCHANGE swaps"
cat >"$W/rename2.py" <<'END'
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def rename2(a, b, flags):
    if libc.renameat2(-100, a.encode(), -100, b.encode(), flags) != 0:
        raise OSError(ctypes.get_errno(), "renameat2")
END
echo 1 >one
mkdir two
rename2="exec(open('$W/rename2.py').read());"
eq "$(errno_of "$rename2 rename2('one', 'two', 1)")" EEXIST
eq "$(errno_of "$rename2 rename2('one', 'two', 2)")" OK
eq "$(cat two)" 1
eq "$(stat -c %F one)" directory

claim "all of it is there after a remount"
before=$(tree_digest "$M")
cd /
unmount_store
mount_store
eq "$(tree_digest "$M")" "$before"
finish
