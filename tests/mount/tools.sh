#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tally called wrongly: an exit code, a sentence on standard error, and nothing changed.
set -euo pipefail
leaks=all
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
mkdir "$W/empty" "$W/full"
touch "$W/full/x" "$W/file"
cd "$W"
n=0

# wrong WORDS… - fails with a sentence or the usage: no numbers of errors, nothing on stdout.
wrong() {
    local rc=0
    n=$((n + 1))
    "$TALLY" "$@" >"$W/out" 2>"$W/said" </dev/null || rc=$?
    [[ $rc -ge 1 && $rc -le 2 ]] || fail "exit code $rc of: tally $*"
    [[ -s $W/said ]] || fail "not a word about: tally $*"
    [[ ! -s $W/out ]] || fail "standard output has something of: tally $*"
    ! grep -qiE 'errno|error -?[0-9]|\(null\)|assert|0x' "$W/said" || fail "that is no sentence: $(cat "$W/said")"
}
wrong_says() {
    local words=$1
    shift
    wrong "$@"
    matches "$(cat "$W/said")" "$words"
}

claim "every verb: unknown options, missing and surplus arguments"
mapfile -t verbs < <("$TALLY" --help | awk '/^  [a-z]/ { print $1 }')
for verb in "${verbs[@]}"; do
    wrong "$verb" --colour
    wrong "$verb" -Z
    wrong "$verb" a b c d e
    case $verb in help | status | get | drain | rebuild | metrics) ;; *) wrong "$verb" ;; esac
    "$TALLY" "$verb" --help >"$W/out"
    matches "$(head -n 1 "$W/out")" "^usage: tally $verb"
done

claim "tally itself"
wrong
wrong_says "no verb 'frobnicate'" frobnicate
wrong_says 'no option' --colour
wrong_says 'needs a directory' -C
wrong_says 'not in a tally mount' -C "$W/empty" status
wrong_says 'No such file' -C "$W/nothing" status
wrong_says 'not in a tally mount' status
matches "$("$TALLY" --version)" '^tally [0-9]'
matches "$("$TALLY" --version)" 'drivers:.* dir'
"$TALLY" help >/dev/null
"$TALLY" help branch >/dev/null
matches "$("$TALLY" help mount | head -n 1)" '^usage: tally mount'
wrong_says "no verb 'frobnicate'" help frobnicate

claim "init: a full directory, a file, a bad label, no such parent, a store"
wrong_says 'empty' init "$W/full"
wrong init "$W/file"
wrong init "$W/nothing/store"
wrong_says 'ORG/PROJECT' init --label nothing "$W/empty"
wrong_says 'ORG/PROJECT' init --label a/b/c "$W/empty"
wrong init --label
wrong init "$S"
eq "$(ls -A "$W/empty")$(ls -A "$W/full")" x

claim "mount: no store, no directory, wrong options"
wrong_says 'is not a store' mount "$W/full" "$W/empty"
wrong_says 'Not a directory' mount "$W/file" "$W/empty"
wrong_says 'is not a store' mount "$W/nothing" "$W/empty"
wrong mount --create "$W/full" "$W/empty"
"$TALLY" init "$W/store2"
wrong_says 'No such file' mount "$W/store2" "$W/nothing"
wrong_says 'not a directory' mount "$W/store2" "$W/file"
for options in colour threads=0 threads=65 ctl_mode=9 ctl_mode=7777 ctl_mode= ctl_group=nobody-has-this nlink=all remount; do
    wrong mount -o "$options" "$W/store2" "$W/empty"
done
wrong_says 'absolute path' mount -o shard_cache_dir=empty "$W/store2" "$W/empty"
wrong_says 'No such file' mount -o "shard_cache_dir=$W/nothing" "$W/store2" "$W/empty"
mkdir "$W/open"
chmod 777 "$W/open"
wrong_says 'may be written by everybody' mount -o "shard_cache_dir=$W/open" "$W/store2" "$W/empty"
wrong mount -o
eq "$(ls -A "$W/empty")$(ls -A "$W/full")" x
"$TALLY" check "$W/store2" >/dev/null

claim "a store that is damaged or not ours to know: mount and check say so"
cp -r "$W/store2" "$W/bad"
head -c 4096 /dev/urandom | dd of="$W/bad/kv/data.mdb" conv=notrunc status=none
wrong mount "$W/bad" "$W/empty"
"$TALLY" check "$W/bad" >"$W/out" 2>&1 && fail "check found nothing"
cp -r "$W/store2" "$W/newer"
echo "tallyfs store 999" >"$W/newer/tally-store"
wrong mount "$W/newer" "$W/empty"
wrong check "$W/newer"

claim "umount: what is not a mount, or not one of ours"
wrong_says 'is not a tally mount' umount "$W/empty"
wrong_says 'is not a tally mount' umount /proc
wrong_says 'No such file|not a tally mount' umount "$W/nothing"
mountpoint -q "$M"

claim "a mount that is ro: verbs say so, what can be read is read, umount waits for the daemon"
"$TALLY" mount -o ro "$W/store2" "$W/empty"
pid=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["pid"])' "$W/empty/.tally/stats.json")
pids+=("$pid")
wrong_says 'mounted ro' -C "$W/empty" branch main x
fails touch "$W/empty/main/f"
matches "$(cat "$W/empty/.tally/status")" 'state +ok'
"$TALLY" umount "$W/empty"
ended "$pid" || fail "the daemon is still there"
"$TALLY" check "$W/store2" >/dev/null

claim "of ro and rw the last one counts, and an option that needs a value says which it takes"
"$TALLY" mount -o ro,rw "$W/store2" "$W/empty"
touch "$W/empty/main/f"
"$TALLY" umount "$W/empty"
"$TALLY" mount -o rw,ro "$W/store2" "$W/empty"
fails touch "$W/empty/main/g"
"$TALLY" umount "$W/empty"
wrong_says "passthrough: auto, all or off, not ''" mount -o passthrough "$W/store2" "$W/empty"
wrong_says "nlink: names or refs, not 'foo'" mount -o nlink=foo "$W/store2" "$W/empty"

claim "check: exit code 2 for what cannot be checked"
mkdir "$W/others"
touch "$W/others/thing"
wrong_says 'others is not a store: there is something else in it' check "$W/others"
wrong_says "is a mount, of the store $S" check "$M"
for what in "$W/nothing" "$W/full" "$W/file" "$S" "$M"; do
    wrong check "$what"
    rc=0
    "$TALLY" check "$what" 2>/dev/null || rc=$?
    eq "$rc" 2 "$what"
done

claim "verbs in a mount: bad values are sentences"
cd "$M"
wrong_says 'no namespace nothing' branch nothing x
wrong_says 'main exists' branch main main
wrong_says 'cannot be the name' branch main a/b
wrong_says 'no namespace' drop nothing
wrong_says 'no setting' set nothing 5
wrong set page_cache lots
wrong set page_cache -- -5
wrong_says 'no setting' get nothing
wrong_says 'duration' drain soon
wrong refs nothing
wrong object zz
wrong pin "$(printf '0%.0s' {1..32})"
wrong_says 'no job' wait 12345
wrong cancel 12345
wrong why main
wrong status --force
wrong branch --wait main x
eq "$(ls -A)" main
eq "$("$TALLY" get page_cache | head -n 1)" "page_cache=64M default=64M min=$("$TALLY" get page_cache | grep -o 'min=.*' | cut -d= -f2-)"

claim "with -C a relative path is one below that directory, else one as seen from here"
mkdir "$M/main/deep"
echo deep >"$M/main/deep/one"
eq "$("$TALLY" -C "$M/main/deep" refs one)" "$("$TALLY" -C "$M" refs "$M/main/deep/one")"
eq "$("$TALLY" -C "$M" refs main/deep/one)" "$("$TALLY" -C "$M" refs "$M/main/deep/one")"
eq "$(cd "$M/main" && "$TALLY" -C "$M" refs deep/one)" "$("$TALLY" -C "$M" refs "$M/main/deep/one")"
wrong_says 'No such file' -C "$M/main/deep" refs two
rm -r "$M/main/deep"

claim "each command of the mount is a verb, and each verb that is no more than that is a command"
eq "$(ctl help | sed -n 's/^| \([a-z]*\).*/\1/p' | sort | grep . | tr '\n' ' ')" \
    "$(printf '%s\n' "${verbs[@]}" | grep -vxE 'init|mount|umount|check|clone|jobs|exec|import|export|send|receive|graph|top|metrics|doctor' | sort | tr '\n' ' ')"

claim "--json is JSON, for what works and what does not; the sentence is on standard error"
echo x >main/a
json() { python3 -c "import json, sys; v = json.load(sys.stdin); assert $1, v"; }
for words in status get 'get page_cache' help 'refs main/a' 'object main/a' 'why main/a' 'pin main/a' \
    'unpin main/a' 'branch main b' 'drop b' drain 'rebuild --wait'; do
    # shellcheck disable=SC2086  # several words
    "$TALLY" $words --json | json "v['ok'] is True and v['verb'] == '${words%% *}'"
done
rc=0
"$TALLY" drop --json nothing >"$W/out" 2>"$W/said" || rc=$?
eq "$rc" 1
json "v['ok'] is False and v['error'] == 'ENOENT' and 'nothing' in v['sentence']" <"$W/out"
matches "$(cat "$W/said")" 'no namespace nothing'
"$TALLY" check --json "$W/store2" | json "v['clean'] is True and v['problems'] == 0 and v['found'] == []"

claim "full standard output is an error, not silence"
fails sh -c "'$TALLY' status >/dev/full"

claim "another user: permission denied, in words"
cd "$W"
chmod 700 "$W/store2"
fails setpriv --reuid 65534 --regid 65534 --clear-groups "$TALLY" check "$W/store2"
matches "$(cat "$W/said")" '[Pp]ermission denied'
fails setpriv --reuid 65534 --regid 65534 --clear-groups "$TALLY" mount "$W/store2" "$W/empty"
matches "$(cat "$W/said")" '[Pp]ermission denied'
fails setpriv --reuid 65534 --regid 65534 --clear-groups "$TALLY" -C "$M" status
matches "$(cat "$W/said")" '[Pp]ermission denied'
echo "$n wrong calls"
finish
