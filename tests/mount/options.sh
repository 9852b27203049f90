#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The options that mount(8) knows for every filesystem: each is taken, and what it means holds.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin

# What mountinfo shows of $M, with a comma at either end: the mount's own, then the superblock's.
flags() { awk -v m="$M" '$5 == m { at = "," $6 ",;," $NF "," } END { print at }' /proc/self/mountinfo; }
has_flag() { [[ $(flags) == *",$1,"* ]]; }
again() {
    unmount_store
    mount_with -o "$1"
}

claim "each word of mount(8) is taken, alone and with all others"
words='async atime noatime auto noauto defaults dev nodev diratime nodiratime dirsync exec noexec group
    iversion noiversion mand nomand _netdev nofail relatime norelatime strictatime nostrictatime lazytime
    nolazytime suid nosuid silent loud owner rw sync user users nouser nosymfollow comment=x x-a.b X-c
    context=a:b:c fscontext=a:b:c defcontext="a:b:c0,c1" rootcontext=a:b:c'
refused=
for word in $words; do
    # With a wrong mount point behind it nothing is mounted, but the options are looked at first.
    fails "$TALLY" mount -o "$word" "$S" "$W/nowhere"
    [[ $(<"$W/said") == *nowhere* ]] || refused+="$word: $(<"$W/said")
"
done
eq "$refused" ""
mapfile -t list < <(tr -s ' \n' '\n' <<<"${words%%context=*}")
again "$(IFS=,; echo "${list[*]}")"
has_flag nosymfollow
unmount_store

claim "what the kernel keeps of them can be seen"
mount_with -o nodev,nosuid,noexec,nodiratime,nosymfollow,dirsync,sync
for word in nodev nosuid noexec nodiratime relatime nosymfollow dirsync sync rw; do
    has_flag "$word" || fail "$word is not in $(flags)"
done
again noexec,noatime,nodiratime,exec,diratime,atime
for word in noexec noatime nodiratime; do
    ! has_flag "$word" || fail "$word is in $(flags), although the opposite came later"
done
has_flag relatime
again noatime
has_flag noatime

claim "nosymfollow: no symlink is followed"
again nosymfollow
echo text >"$M/main/file"
ln -s file "$M/main/link"
eq "$(errno_of 'open(argv[0])' "$M/main/link")" ELOOP
eq "$(readlink "$M/main/link")" file

# moves PATH COMMAND… - does it move the access time? The clock passes on before.
moves() {
    local path=$1 before
    shift
    before=$(stat -c %x "$path")
    "$@" >"$W/out"
    [[ $(stat -c %x "$path") != "$before" ]] && echo yes || echo no
}
# read_twice OPTIONS LINE… - for a file, a directory and a symlink: does a first reading move its
# access time, and a second? All are new since their last change.
read_twice() {
    again "$1"
    rm -rf "$M/main/t"
    mkdir "$M/main/t" "$M/main/t/d"
    echo text >"$M/main/t/f"
    touch "$M/main/t/d/e"
    ln -s nowhere "$M/main/t/l"
    for _ in 1 2; do
        echo "f=$(moves "$M/main/t/f" cat "$M/main/t/f")" \
            "d=$(moves "$M/main/t/d" ls -f "$M/main/t/d")" \
            "l=$(moves "$M/main/t/l" readlink "$M/main/t/l")"
    done >"$W/moved"
    eq "$(<"$W/moved")" "$2
$3" "$1"
}
claim "strictatime: each reading moves the access time; the last word counts"
first='f=yes d=yes l=yes'
read_twice strictatime "$first" "$first"
has_flag strictatime || ! has_flag relatime || fail "not strict: $(flags)"
read_twice strictatime,nostrictatime "$first" 'f=no d=no l=no'

claim "relatime and norelatime: the first one; nodiratime: none of a directory; noatime, ro: none"
for options in relatime norelatime noatime,atime lazytime; do
    read_twice "$options" "$first" 'f=no d=no l=no'
done
read_twice nodiratime 'f=yes d=no l=yes' 'f=no d=no l=no'
read_twice strictatime,nodiratime 'f=yes d=no l=yes' 'f=yes d=no l=yes'
read_twice noatime,relatime 'f=no d=no l=no' 'f=no d=no l=no'
finish
