#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Who may use .tally: the owner of the mount, unless ctl_mode and ctl_group open it to others.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
needs setpriv getfattr
as() { setpriv --reuid "$1" --regid "$1" --groups "${2:-$1}" "${@:3}"; }
echo secret >"$M/main/secret"
chmod 600 "$M/main/secret"
drain
id=$(getfattr --absolute-names --only-values -n user.tally.object "$M/main/secret")
object=.tally/objects/${id:0:2}/$id

# may UID GROUPS - what that user can: enter, list, status, stats, command, refcounts, object, steal
may() {
    local out=
    try() {
        if as "$1" "$2" sh -c "cd $M && $3" >/dev/null 2>&1; then out="$out $4"; fi
    }
    try "$1" "$2" 'test -x .tally && ls .tally/control' enter
    try "$1" "$2" 'ls .tally' list
    try "$1" "$2" 'cat .tally/status' status
    try "$1" "$2" 'cat .tally/stats.json' stats
    try "$1" "$2" "exec 3<>.tally/control && echo 'refs $id' >&3 && read -r r <&3" command
    try "$1" "$2" 'cat .tally/refcounts' refcounts
    try "$1" "$2" 'ls .tally/objects/*' objects
    try "$1" "$2" "cat $object" object
    try "$1" "$2" "ln $object main/stolen-$1" steal
    echo "${out# }"
}
remount() {
    cd /
    unmount_store
    mount_with -o "rw,$1"
    chmod 1777 "$M/main"
}
all="enter list status stats command refcounts objects object steal"

claim "by default nobody but root does anything there"
chmod 1777 "$M/main"
eq "$(may 65534 65534)" ""
eq "$(may 1000 1000,2000)" ""
eq "$(may 0 0)" "$all"

# table OPTIONS STRANGER MEMBER - what each may then do.
table() {
    claim "$1: a stranger may \"$2\", a member of the group \"$3\""
    remount "$1"
    eq "$(may 65534 65534)" "$2" "a stranger"
    eq "$(may 1000 1000,2000)" "$3" "a supplementary member"
    eq "$(may 2000 2000)" "$3" "a member"
    eq "$(may 1000 1000)" "$2" "the same user without the group"
    eq "$(may 0 0)" "$all" "root"
    rm -f "$M/main/stolen-0"
}
rm -f "$M/main/stolen-0"
table ctl_mode=0660,ctl_group=2000 "" "enter command"
table ctl_mode=0640,ctl_group=2000 "" "enter"
table ctl_mode=0620,ctl_group=2000 "" "enter"
table ctl_mode=0600,ctl_group=2000 "" ""
table ctl_mode=0666 "enter command" "enter command"
table ctl_mode=0644 "enter" "enter"
table ctl_mode=0606,ctl_group=2000 "enter command" ""
table ctl_mode=0660 "" ""

claim "what is in files stays closed, whoever may command: a branch has its source's owners and modes"
remount ctl_mode=0666
as 65534 65534 "$TALLY" -C "$M" branch main dev >/dev/null
eq "$(stat -c '%u %a' "$M/dev/secret")" "0 600"
fails as 65534 65534 cat "$M/dev/secret"

claim "wrong values are refused with a sentence"
for option in ctl_mode=888 ctl_mode=1777 ctl_mode= ctl_group=nobody-has-this ctl_group= ctl_group=-1 ctl_group=99999999999; do
    mkdir -p "$W/other"
    fails "$TALLY" mount -o "$option" "$S" "$W/other"
    matches "$(cat "$W/said")" 'ctl_(mode|group)'
done
finish
