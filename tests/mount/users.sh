#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Another user on a mount of root's (allow_other): the kernel's permission checks, and no more.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
needs setpriv getfattr
as() { setpriv --reuid "$1" --regid "$1" --clear-groups "${@:2}"; }
denied() {
    fails as 65534 sh -c "$1"
    matches "$(cat "$W/said")" '[Pp]ermission denied|[Nn]ot permitted'
}
cd "$M"
echo secret >main/secret
chmod 600 main/secret
echo public >main/public
chmod 644 main/public
mkdir -m 700 main/closed
echo in >main/closed/f
mkdir -m 1777 main/tmp
echo group >main/group
chown 0:1000 main/group
chmod 640 main/group

claim "reads what may be read, and nothing else"
eq "$(as 65534 cat main/public)" public
denied 'cat main/secret'
denied 'ls main/closed'
denied 'cat main/closed/f'
denied 'cat main/group'
eq "$(as 1000 cat main/group)" group

claim "writes nothing where it may not, and changes nobody's modes, owners or times"
for command in 'echo x >main/public' 'echo x >main/new' 'rm -f main/public' 'mkdir main/d' \
    'mv main/public main/p' 'ln main/public main/l' 'chmod 777 main/public' 'chown 65534 main/public' \
    'touch -d 2001-01-01 main/public' 'truncate -s 0 main/public' 'rm -f main/tmp/../public'; do
    denied "$command"
done
eq "$(cat main/public)" public

claim "the root: no namespace is made, removed or renamed by another user"
for command in 'mkdir dev' 'rmdir main' 'mv main other' 'ln -s main link'; do
    denied "$command"
done
eq "$(ls -A)" main

claim "its own files are its own; in a sticky directory others' are safe"
as 65534 sh -c 'echo mine >main/tmp/mine && chmod 600 main/tmp/mine'
eq "$(stat -c '%u %g %a' main/tmp/mine)" "65534 65534 600"
fails as 1000 cat main/tmp/mine
fails as 1000 rm -f main/tmp/mine
eq "$(as 65534 cat main/tmp/mine)" mine
fails as 65534 chown 1000 main/tmp/mine
as 65534 rm main/tmp/mine

claim "objects, control and views are the owner's: nobody enters .tally"
for command in 'ls .tally' 'cat .tally/control' 'cat .tally/status' 'ls .tally/objects' \
    'cat .tally/refcounts' 'echo status >.tally/control'; do
    denied "$command"
done
id=$(getfattr --only-values -n user.tally.object main/secret)
denied "cat .tally/objects/${id:0:2}/$id"
denied "ln .tally/objects/${id:0:2}/$id main/tmp/stolen"
fails as 65534 "$TALLY" -C "$M" drop main
eq "$(cat main/secret)" secret

claim "a link across namespaces does not make readable what was not"
mkdir -m 1777 dev
fails as 65534 ln main/secret dev/stolen
eq "$(ls -A dev)" ""

claim "the store on disk is the owner's alone"
denied "ls $S/packs"
denied "cat $S/kv/data.mdb"
claim "nobody else learns who has the same bytes: not by an attribute of a file of their own"
# answers FILE - what user 65534 is told of it.
answers() {
    local name
    for name in refs object other; do
        fails as 65534 getfattr --only-values -n "user.tally.$name" "$1"
        sed "s/.*: //" "$W/said"
    done | sort -u
    as 65534 stat -c %h "$1"
}
as 65534 cp main/public main/tmp/mine
echo 'PIN 4711' >main/pin
chmod 600 main/pin
for pin in 4711 4712; do
    as 65534 sh -c "echo 'PIN $pin' >main/tmp/guess$pin"
done
drain
for file in main/tmp/guess4711 main/tmp/guess4712 main/tmp/mine main/public; do
    eq "$(answers "$file")" $'No such attribute\n1' "$file"
done
eq "$(getfattr --only-values -n user.tally.refs main/tmp/guess4711)" 2
cd /
unmount_store
mount_with -o nlink=refs
cd "$M"
eq "$(answers main/tmp/guess4711)" $'No such attribute\n1'
eq "$(stat -c %h main/tmp/guess4711)" 2
eq "$(answers main/tmp/guess4711)" $'No such attribute\n1'
finish
