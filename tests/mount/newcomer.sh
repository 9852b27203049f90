#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What people do who do not know the program: ways to a mount that are symlinks, directories that are
# no stores, arguments that are missing or turned round. Each gets what they meant, or a sentence
# that says what is there and which command helps.
set -euo pipefail
leaks=all
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
cd "$W"

# says REGEX WORD… - the call fails with that sentence.
says() {
    local words=$1
    shift
    fails "$TALLY" "$@"
    matches "$(<"$W/said")" "$words"
}
# says_not REGEX WORD… - the call fails without a word of that.
says_not() {
    local words=$1
    shift
    fails "$TALLY" "$@"
    [[ ! $(<"$W/said") =~ $words ]] || fail "said: $(<"$W/said")"
}

claim "-C takes a symlink that leads to a mount, by whatever way"
mkdir way
ln -s mnt plain
ln -s "$M" absolute
ln -s ../way/../plain way/chain
ln -s main/dir "$M/inner"
mkdir "$M/main/dir"
for link in plain absolute way/chain mnt/inner "$W/plain/inner"; do
    eq "$("$TALLY" -C "$link" get seal_delay | head -n 1)" "seal_delay=1s default=1s min=0s max=1h" "$link"
done
(cd "$M" && exec 7<. && "$TALLY" -C /proc/self/fd/7 get seal_delay && "$TALLY" -C /proc/self/cwd get seal_delay) >/dev/null

claim "one that leads nowhere, round in a circle, or out of the mount is an error"
ln -s nowhere dangling
ln -s one two
ln -s two one
ln -s "$W/way" "$M/main/out"
says 'dangling: No such file' -C dangling status
says 'one: Too many levels' -C one status
says 'is not in a tally mount' -C "$M/main/out" status

claim "what is no store is named, with what helps"
mkdir empty full
touch full/x
says 'full is not a store: there is something else in it; name the directory of a store, or make one in an empty' mount full way
says '^tally mount: /etc is not a store: there is something else in it' mount /etc way
says_not '`tally init` makes one' mount /etc way
says 'empty is not a store: it is an empty directory; `tally init empty` makes it one' mount empty way
says 'nothing is not a store: there is no such directory; `tally init nothing` makes one' mount nothing way
says 'cannot open the store nothing: No such file' check nothing
says 'cannot open the store nothing: No such file' log nothing
"$TALLY" init second
says 'empty is not a store, but second is: the store comes first' mount empty second
says 'cannot mount at nothing: No such file' mount second nothing
"$TALLY" init --pool "dir:$W/pool" member
says 'pool is not a store: it is a pool, which several stores share; name one of them' mount pool way
says 'pool is not a store: it is a pool' check pool
says "$S is a store, and not where it is mounted: .tally umount $M." umount "$S"
says 'second is a store, and it is not mounted' umount second
cp -r second torn
rm -r torn/kv
for verb in 'mount torn way' 'check torn' 'check --repair torn' 'log torn'; do
    # shellcheck disable=SC2086
    says 'torn is not a whole store: it has no metadata' $verb
done
cp -r second lost
rm lost/tally-store
says 'lost is not a store: it has objects and packs, as a shard does, or a store that has lost its file tally-store' mount lost way
eq "$(names empty)$(names full)" "x "

claim "without /proc a store is not called incomplete"
"$TALLY" init whole >/dev/null
fails unshare -m --propagation private sh -c 'umount -l /proc && exec "$0" check whole' "$TALLY"
matches "$(<"$W/said")" 'cannot be opened here: /proc is not mounted'

claim "a wrong call is answered with how the program is called, not with what the control file takes"
mkdir -m 700 shard
for words in 'shard' 'shard foo' 'shard add' 'shard add 1' 'shard list x' 'node foo' 'node retire' 'move 7' 'wait durable' \
    'wait ticket' 'wait 1 2s 3s' 'log list' 'drain 5s 5s' 'wait durable main 1s 3'; do
    # shellcheck disable=SC2086
    says "usage: tally ${words%% *} " -C "$M" $words
    [[ ! $(<said) =~ usage:\ [^t]|\[wait\]|idle= ]] || fail "$words: $(<said)"
    matches "$(head -n 1 said)" '^tally [a-z]+: [^ ]+ [^ ]+ '
done
for words in 'move main/x 1' 'shard drain 1' 'shard remove 0' 'wait ticket 9' 'node retire 5'; do
    # shellcheck disable=SC2086
    says_not '`(flush|recall|cancel|rebuild|shard|help|status|drop)' -C "$M" $words
done
says 'usage: tally gc .*\[--dry-run\] \[--grace DUR\]' -C "$M" gc x
matches "$("$TALLY" -C "$M" help gc | head -n 1)" '^usage: tally gc .*--dry-run'
matches "$("$TALLY" -C "$M" help)" '  gc \[--dry-run\] \[--grace DUR\] \[--wait\]'

claim "a store that is in no pool is alone, not silent"
matches "$("$TALLY" -C "$M" node list)" 'state=alone serial=0 '

claim "the status says how large the store's disk is and how much of it is free, as df does"
total=$(($(stat -f -c '%b * %S' "$S")))
matches "$("$TALLY" -C "$M" status)" "disk        bytes=$total free_bytes=[1-9][0-9]*"
json() { python3 -c "import json, sys; v = json.load(sys.stdin); assert $1, v"; }
json "v['disk_bytes'] == $total and 0 < v['disk_free_bytes'] < $total" <"$M/.tally/stats.json"
grep -q "^tallyfs_disk_free_bytes [1-9]" "$M/.tally/metrics"

claim "a job that failed says why in the list of jobs, and in its file"
mount -t tmpfs -o size=512k,mode=700 none shard
"$TALLY" -C "$M" shard add 1 "dir:$W/shard" >/dev/null
head -c 1000000 /dev/urandom >"$M/main/f"
"$TALLY" -C "$M" drain >/dev/null
fails "$TALLY" -C "$M" move main/f 1 --wait
"$TALLY" -C "$M" jobs >said
matches "$(<said)" 'failed +move .* ENOSPC: shard 1 is full'
job=$(sed -n 's/^\([0-9]*\) *failed .*/\1/p' said)
matches "$(grep -c '^why="[^"]* [^"]*"$' "$M/.tally/jobs/$job")" 1
"$TALLY" -C "$M" shard remove 1 >/dev/null
umount shard

claim "names are names, whatever they look like"
mkdir "$M/7" "$M/wait" "$M/a b" "$M/-x"
"$TALLY" -C "$M" flush 7 >said
"$TALLY" -C "$M" wait --json ticket "$(sed -n 's/ticket=\([0-9]*\) .*/\1/p' said)" | json "v['name'] == '7'"
"$TALLY" -C "$M" get --json ns:main.frozen | json "v['ns:main.frozen'] == 'no' and v['default'] == 'no'"
"$TALLY" -C "$M" get --json 'ns:a b.frozen' | json "v['ns:a b.frozen'] == 'no' and v['default'] == 'no'"
for name in 7/ wait 'a b/' main/; do # a shell's completion adds the slash
    "$TALLY" -C "$M" wait durable "$name" >/dev/null
    "$TALLY" -C "$M" du "$name" >/dev/null
done
"$TALLY" -C "$M" wait -- durable -x >/dev/null
rmdir "$M/7" "$M/wait" "$M/a b" "$M/-x"

claim "completion knows the mount of -CMNT, too, and keeps to names as they are"
# shellcheck disable=SC1091
offers() { # WORD… - what stands for the last one
    (
        trap - ERR
        set +eu
        . "${test_file%/*}/../../tools/completions/tally"
        PATH=$W/bin:$PATH
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
        _tally
        printf '%s,' "${COMPREPLY[@]}"
    ) 2>/dev/null
}
mkdir bin
ln -s "$TALLY" bin/tally
mkdir "$M/x\$(touch oh)"
eq "$(offers tally "-C$M" drop '')" "$(offers tally -C "$M" drop '')"
matches "$(offers tally "-C$M" drop ma)" '^main,$'
matches "$(offers tally "-C$M" wait durable 'x')" '^x.\(touch oh\),$'
[[ ! -e oh ]]
rmdir "$M/x\$(touch oh)"
matches "$(offers tally -C "$M" merge main int)" '^into,$'
matches "$(offers tally -C "$M" merge main into ma)" '^main,$'
"$TALLY" -C "$M" set trash_keep 1h >/dev/null
mkdir "$M/went"
touch "$M/went/file"
"$TALLY" -C "$M" drop went >/dev/null
matches "$(offers tally -C "$M" undrop w)" '^went,$'
"$TALLY" -C "$M" trash empty >/dev/null

claim "a mount that is ro: the advice is a command that works"
"$TALLY" mount -o ro second way
says 'mounted ro and takes no commands: .tally mount -o remount,rw' -C way branch main dev
advice=$(sed -n 's/.*`\(tally mount .*\)`.*/\1/p' said)
read -ra words <<<"$advice"
"$TALLY" "${words[@]:1}"
"$TALLY" -C way branch main dev >/dev/null
"$TALLY" umount way

claim "a daemon that is gone is named by every verb"
"$TALLY" mount second way
pid=$(daemon_of way)
pids+=("$pid")
kill -KILL "$pid"
wait_until ended "$pid"
for verb in status jobs 'jobs 1' 'branch main x' 'diff main' 'why main/out' 'refs main/out' 'move main/out 1' \
    'merge --with cat main into x' 'graph space' 'profile 1'; do
    # shellcheck disable=SC2086
    says 'the daemon of .*way is gone; `tally umount' -C way $verb
done
"$TALLY" umount way 2>said
rm "$M/inner" "$M/main/out"
finish
