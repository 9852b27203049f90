#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Other filesystems and namespaces on top of a mount: overlayfs as containers use it, bind mounts,
# mount and user namespaces, loop devices.
# shellcheck disable=SC2016 # what shells inside expand
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
needs unshare mkfs.ext4 losetup getfattr
# Overlays are mounted in mount namespaces of their own, so that they end with the test's commands.
cd "$M/main"
mkdir -p lower1/etc lower2/etc lower2/bin "$W/upper" "$W/work" "$W/merged"
echo one >lower1/etc/one
echo both1 >lower1/etc/both
echo two >lower2/etc/two
echo both2 >lower2/etc/both
head -c 500000 /dev/urandom >lower2/bin/large
cp "$(type -P sleep)" lower2/bin/prog
ln lower2/etc/two lower2/etc/two-hard
ln -s two lower2/etc/two-link
in_overlay() { # OPTIONS COMMANDS, in the merged tree
    unshare -m sh -ec 'mount -t overlay overlay -o "$1" "$2"; cd "$2"; eval "$3"' sh "$1" "$W/merged" "$2"
}

claim "overlayfs: layers on the mount below, changes elsewhere above; the layers do not change"
before=$(tree_digest .) before2=$(tree_digest lower2)
in_overlay "lowerdir=lower1:lower2,upperdir=$W/upper,workdir=$W/work" '
    test "$(cat etc/one etc/two etc/both etc/two-link)" = "$(printf "one\ntwo\nboth1\ntwo")"
    echo changed >>etc/two
    rm etc/one
    mkdir etc/new
    mv etc/both etc/new/
    chmod 600 bin/large
    dd if=/dev/zero of=bin/large bs=1 seek=250000 count=10 conv=notrunc status=none
    ./bin/prog 0
    find . -type f | sort >/dev/null'
eq "$(tree_digest .)" "$before"
eq "$(cat "$W/upper/etc/two")" "$(printf 'two\nchanged')"
[[ -c $W/upper/etc/one ]]
cp lower2/bin/large "$W/want"
dd if=/dev/zero of="$W/want" bs=1 seek=250000 count=10 conv=notrunc status=none
cmp "$W/upper/bin/large" "$W/want"

claim "a read-only overlay of many layers, each in a namespace of its own"
layers=
for i in {1..12}; do
    "$TALLY" branch main "layer$i" >/dev/null
    echo "$i" >"$M/layer$i/top"
    echo "$i" >"$M/layer$i/l$i"
    layers="$M/layer$i${layers:+:$layers}"
done
eq "$(in_overlay "lowerdir=$layers" 'cat top l1 l7; ls | grep -c "^l[0-9]"')" "$(printf '12\n1\n7\n12')"
for i in {1..12}; do "$TALLY" drop "layer$i" >/dev/null; done

claim "the upper layer on the mount, too: whiteouts, opaque directories and copies are there"
mkdir upper work
in_overlay "lowerdir=lower1:lower2,upperdir=upper,workdir=work" '
    echo changed >>etc/two
    rm etc/one
    mkdir etc/new
    echo n >etc/new/n
    mv etc/both etc/new/both
    rm -r etc/new bin
    mkdir bin
    test ! -e etc/both
    test "$(cat etc/two)" = "$(printf "two\nchanged")"'
[[ -c upper/etc/one && -c upper/etc/both ]]
eq "$(cat upper/etc/two)" "$(printf 'two\nchanged')"
eq "$(getfattr --only-values -n trusted.overlay.opaque upper/bin)" y
in_overlay "lowerdir=lower1:lower2,upperdir=upper,workdir=work" 'test -z "$(ls bin)$(ls etc | grep one)"'
eq "$(tree_digest lower2)" "$before2"
rm -rf upper work

claim "a bind mount of a directory is that directory; read-only, nothing is changed through it"
mkdir "$W/bind"
unshare -m sh -ec '
    mount --bind lower2 "$1"
    cd "$1"
    test "$(stat -c "%d %i" etc/two)" = "$2"
    echo bound >etc/bound
    ln etc/bound etc/bound2
    ! ln etc/bound "$3/across" 2>/dev/null || exit 2
    ! mv etc/bound "$3/lower1/etc/nowhere/" 2>/dev/null || exit 3
    mount -o remount,bind,ro "$1"
    ! touch etc/never 2>/dev/null || exit 4
    cat etc/two' sh "$W/bind" "$(stat -c '%d %i' lower2/etc/two)" "$M/main" >"$W/said"
eq "$(cat "$W/said")" two
eq "$(cat lower2/etc/bound2) $(stat -c %h lower2/etc/bound)" "bound 2"
[[ ! -e lower2/etc/never && ! -e across ]]

claim "a whole root directory on the mount: chroot, pivot_root and unshare run programs there"
mkdir -p root/bin root/lib64 root/proc root/old root/dev
cp "$(type -P bash)" "$(type -P cat)" root/bin/
for lib in $(ldd "$(type -P bash)" "$(type -P cat)" | grep -o '/[^ ]*\.so[^ ]*' | sort -u); do
    mkdir -p "root${lib%/*}"
    cp -L "$lib" "root$lib"
done
echo inside >root/where
export LC_ALL=C
eq "$(chroot root /bin/bash -c 'cat /where; echo new >/made; cat /made')" "$(printf 'inside\nnew')"
eq "$(unshare -mpf sh -ec 'mount --bind root "$1"
    cd "$1"
    mount -t proc proc proc
    pivot_root . old
    cd /
    exec /bin/bash -c "cat /where; echo \$\$"' sh "$W/bind")" "$(printf 'inside\n1')"
eq "$(cat root/made)" new

claim "a filesystem in a file of the mount, through a loop device"
truncate -s 24M image
mkfs.ext4 -q -F image
unshare -m sh -ec 'mount -o loop image "$1" && cp -a lower2/. "$1/" && umount "$1"' sh "$W/bind"
"$TALLY" branch main copy >/dev/null
unshare -m sh -ec 'mount -o loop image "$1" && rm -r "$1/etc" && umount "$1"' sh "$W/bind"
unshare -m sh -ec 'mount -o loop,ro "$2" "$1" && cmp "$1/bin/large" lower2/bin/large' sh "$W/bind" "$M/copy/image"
e2fsck -fn image >/dev/null 2>&1

claim "overlayfs upon overlayfs, as containers in containers have it: with passthrough=off"
cd /
unmount_store
mount_with -o passthrough=off
cd "$M/main"
mkdir "$W/outer"
unshare -m sh -ec '
    mount -t overlay overlay -o lowerdir=lower1:lower2 "$1"
    mount -t tmpfs none "$3"
    mkdir "$3/upper" "$3/work"
    mount -t overlay overlay -o "lowerdir=$1,upperdir=$3/upper,workdir=$3/work" "$2"
    echo more >>"$2/etc/one"
    test "$(cat "$2/etc/one")" = "$(printf "one\nmore")"
    cmp "$2/bin/large" lower2/bin/large' sh "$W/merged" "$W/outer" "$W/bind"
eq "$(<lower1/etc/one)" one

claim "the same after a remount"
cd /
before=$(tree_digest "$M/main")
unmount_store
mount_store
eq "$(tree_digest "$M/main")" "$before"
finish
