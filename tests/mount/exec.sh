#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tally exec: a branch at its parent's path for one command, as people use git worktrees: builds with
# absolute paths, attempts that are thrown away, exit codes, signals, and ordinary users.
# shellcheck disable=SC2016 # what shells inside expand
set -euo pipefail
leaks=all
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
needs setpriv unshare mkfifo
begin
unmount_store
mount_with -o ctl_mode=0666,showctl
P=$M/main/project
t() { "$TALLY" -C "$M" exec "$@"; }
branches() { names "$M"; }
only_main() { eq "$(branches)" '.tally main ' "$1"; }

# A build that knows where it is: it says no if its cache is of another place.
mkdir "$P"
cat >"$P/build" <<'END'
set -eu
cd "$(dirname "$0")"
[ ! -e cache ] || [ "$(cat cache)" = "$PWD" ] || { echo "the cache is of $(cat cache)"; exit 9; }
echo "$PWD" >cache
cat "$PWD/source" >"$PWD/result"
if grep -q wrong source; then exit 2; fi
END
echo good >"$P/source"
sh "$P/build"
before=$(tree_digest "$M/main")

claim "a build in a branch finds its absolute paths and its cache, and what it makes is discarded"
t main --discard -- sh -c 'echo better >"$0/source"; sh "$0/build"; cat "$0/result"' "$P" >"$W/out"
eq "$(<"$W/out")" better
eq "$(tree_digest "$M/main")" "$before"
only_main "the branch is left"

claim "a failed build is discarded, with its exit code"
rc=0
t main --discard -- sh -c 'echo wrong >"$0/source"; sh "$0/build"' "$P" || rc=$?
eq "$rc" 2
eq "$(tree_digest "$M/main")" "$before"
only_main "the branch is left"

claim "meanwhile everybody else sees the parent, and the branch by its name"
mount --make-shared "$M"
mkfifo "$W/ready"
# A command that waits ends with this script, too: then $W is gone.
until_go='while [ -e "$1/ready" ] && [ ! -e "$1/go" ]; do sleep 0.1; done'
t main --branch=attempt -- sh -c 'echo new >"$0/source"; echo >"$1/ready"; '"$until_go"'; cat "$0/source"' \
    "$P" "$W" >"$W/out" 2>"$W/err" &
pid=$!
pids+=("$pid")
read -r _ <"$W/ready"
eq "$(cat "$P/source")" good
eq "$(cat "$M/attempt/project/source")" new
echo changed >"$P/other"
! grep -q attempt /proc/self/mountinfo || fail "the mount of the command is seen outside"
echo >"$W/go"
wait "$pid"
eq "$(<"$W/out")" new
[[ ! -e $M/attempt/project/other ]] || fail "the branch changed with its parent"
rm "$P/other" "$W/go"

claim "a branch that is kept is named, and says how to go on"
matches "$(<"$W/err")" "the branch 'attempt' is kept: .tally diff attempt. .*tally commit attempt.*tally drop attempt"
fails t main --branch=attempt -- true
matches "$(<"$W/said")" 'attempt exists already'
"$TALLY" -C "$M" drop attempt >/dev/null
for n in 1 2; do
    t main --branch -- touch "$P/made" 2>"$W/err"
    matches "$(<"$W/err")" "the branch 'main-exec-$n' is kept"
    [[ -e $M/main-exec-$n/project/made ]]
done
"$TALLY" -C "$M" drop main-exec-1 >/dev/null
t main --branch -- true 2>"$W/err"
matches "$(<"$W/err")" "the branch 'main-exec-1' is kept"
for n in 1 2; do "$TALLY" -C "$M" drop "main-exec-$n" >/dev/null; done
eq "$(tree_digest "$M/main")" "$before"

claim "the exit codes are those of a shell, and --json tells the rest"
for case in '0 true' '7 exit 7' '143 kill -TERM $$' '137 kill -KILL $$'; do
    rc=0
    t main --discard --json -- sh -c "${case#* }" 2>"$W/err" || rc=$?
    eq "$rc" "${case%% *}" "$case"
    eq "$(tail -n 1 "$W/err")" '{"verb":"exec","ok":true,"ns":"main","branch":"main-exec-1","kept":false,"committed":false,"code":'"$rc}"
done
rc=0
t main --discard nothing-of-that-name 2>"$W/err" || rc=$?
eq "$rc" 127
rc=0
t main --discard -- "$P/source" 2>"$W/err" || rc=$?
eq "$rc" 126
fails t none --discard -- true
matches "$(<"$W/said")" "no namespace 'none'"
for name in .. . main/project ''; do
    fails t "$name" -- true
    matches "$(<"$W/said")" 'is not the name of a namespace'
done
fails t main --discard --branch -- true
matches "$(<"$W/said")" 'exclude each other'
fails t
only_main "a branch is left"

claim "the current directory is the same one in the branch; one outside stays"
mkdir -p "$P/deep/er"
cd "$P/deep/er"
eq "$("$TALLY" exec main --discard -- sh -c 'pwd; echo x >made; ls "$0"' "$P/deep/er")" "$P/deep/er
made"
eq "$(names .)" ''
cd "$W"
eq "$(t main/ --discard -- pwd)" "$W"
eq "$(t main --discard -- sh -c 'echo x >"$1/here"; ls "$0/deep"' "$P" "$W")" er
[[ -e $W/here ]]
rm -r "$P/deep"

claim "options behind the first word of the command are its own"
eq "$("$TALLY" -C "$M" exec main --discard sh -c 'echo "$0 $1"' a -C)" "a -C"
eq "$("$TALLY" exec -C "$M" --discard -- main echo --json)" "--json"
only_main "a branch is left"

claim "without a command it is the shell of the user; without an option it is the namespace itself"
printf '#!/bin/sh\ncat "%s/source"\necho mine >"%s/own"\n' "$P" "$P" >"$W/shell"
chmod +x "$W/shell"
eq "$(SHELL=$W/shell t --discard main)" good
[[ ! -e $P/own ]]
eq "$(SHELL=$W/shell t main)" good
eq "$(cat "$P/own")" mine
rm "$P/own"

claim "two attempts at the same time, each at the same path"
for n in 1 2; do
    t main --branch="try $n" -- sh -c 'echo "$1" >"$0/source"; sh "$0/build"' "$P" "$n" 2>"$W/err$n" &
    pids+=("$!")
done
wait_all "${pids[@]: -2}"
for n in 1 2; do
    eq "$(cat "$M/try $n/project/result")" "$n"
    "$TALLY" -C "$M" drop "try $n" >/dev/null
done
eq "$(tree_digest "$M/main")" "$before"

claim "a signal goes to the command, and the branch is dropped all the same"
for signal in TERM HUP USR1; do
    "$TALLY" -C "$M" exec main --discard -- sh -c 'trap "echo got >$1/got; exit 5" '$signal'; echo >"$1/ready"; '"$until_go" \
        sh "$W" &
    pid=$!
    pids+=("$pid")
    read -r _ <"$W/ready"
    kill "-$signal" "$pid"
    rc=0
    wait "$pid" || rc=$?
    eq "$rc" 5 "$signal"
    eq "$(<"$W/got")" got
    rm "$W/got"
    only_main "$signal"
done

claim "a branch with files open in it is dropped, too"
t main --discard -- sh -c 'exec 7>"$0/open"; (trap "" HUP; echo >"$1/ready"; '"$until_go"'; echo late >&7) \
    2>"$1/late" >&2 & read -r _ <"$1/ready"' "$P" "$W"
only_main "a branch is left"
echo >"$W/go"

claim "--commit-on-success commits what succeeded, and keeps what did not"
"$TALLY" -C "$M" set origin_keep 1d >/dev/null
"$TALLY" -C "$M" set trash_keep 1d >/dev/null # or what was before a commit goes with the next pass
t main --commit-on-success -- sh -c 'echo committed >"$0/source"' "$P" 2>"$W/committed"
eq "$(cat "$P/source")" committed
only_main "the branch is left"
rc=0
t main --commit-on-success -- sh -c 'echo wrong >"$0/source"; exit 4' "$P" 2>"$W/err" || rc=$?
eq "$rc" 4
matches "$(<"$W/err")" "exit code 4: 'main' is not changed"
eq "$(cat "$P/source")" committed
eq "$(cat "$M/main-exec-1/project/source")" wrong
"$TALLY" -C "$M" drop main-exec-1 >/dev/null

claim "a commit of --commit-on-success is undone as a sentence says"
[[ $(<"$W/committed") =~ \`tally\ undo\ ([0-9]+)\`\ takes\ it\ back ]] || fail "it said: $(<"$W/committed")"
"$TALLY" -C "$M" undo "${BASH_REMATCH[1]}" >/dev/null
eq "$(cat "$P/source")" good

claim "what is discarded is not in the trash"
trash=$("$TALLY" -C "$M" trash list | wc -l)
t main --discard -- sh -c 'echo x >"$0/source"' "$P"
eq "$("$TALLY" -C "$M" trash list | wc -l)" "$trash"
"$TALLY" -C "$M" set trash_keep 0 >/dev/null

claim "verbs without a namespace are about the branch, and a name means what it means in the store"
cat >"$W/inside" <<'END'
echo x >new
echo "$TALLY_NS"
"$TALLY" diff --name-only
"$TALLY" diff --name-only mine
"$TALLY" commit >/dev/null
cat new
"$TALLY" diff
TALLY_NS_STORE=/another "$TALLY" digest && echo "of another store"
TALLY_NS_STORE=/another "$TALLY" diff && echo "of another store"
"$TALLY" undo && echo "undone"
TALLY_NS=1 "$TALLY" undo && echo "change 1 was undone"
"$TALLY" detach
END
(cd "$P" && rc=0 && "$TALLY" exec main --branch=mine -- sh "$W/inside" >"$W/out" 2>"$W/err" || rc=$?; eq "$rc" 1)
eq "$(<"$W/out")" "mine
project/new
project/new
x"
eq "$(cat "$P/new")" x
matches "$(<"$W/err")" "nothing was merged into mine"
matches "$(<"$W/err")" "there is no namespace 1"
matches "$(<"$W/err")" "an argument is missing"
fails "$TALLY" -C "$M" diff
rm "$P/new"
eq "$(t main -- sh -c 'echo "$TALLY_NS"')" main
"$TALLY" -C "$M" drop --force mine >/dev/null
"$TALLY" -C "$M" set origin_keep 0 >/dev/null
only_main "a branch is left"

claim "where the namespace is a mount of its own, the branch stands there"
A="$W/home of a"
mkdir "$A"
"$TALLY" mount "$S" "$A" -o ns=main,ctl_mode=0666,showctl
cd "$A/project"
eq "$("$TALLY" exec main --discard -- sh -c 'pwd; echo mine >source; cat "$0/source"' "$P")" "$A/project
good"
umount -i "$M"
eq "$("$TALLY" exec main --discard -- sh -c 'pwd; echo mine >source; cat "$0"' "$A/project/source")" "$A/project
mine"
eq "$(cat "$A/project/source")" good
fails setpriv --reuid 1000 --regid 1000 --clear-groups "$TALLY" exec main --discard -- true
matches "$(<"$W/said")" 'only root can put a branch at .*: the whole of .* is not mounted'
cd "$W"
"$TALLY" mount "$S" "$M"
"$TALLY" umount "$A"
only_main "a branch is left"

claim "an ordinary user has a user namespace, in which only his ids exist"
as() { setpriv --reuid 1000 --regid 1000 --clear-groups "$@"; }
chown -R 1000:1000 "$P"
chmod 755 "$M/main"
if as unshare -U true 2>"$W/err"; then
    eq "$(as "$TALLY" -C "$M" exec main --discard -- sh -c 'id -u; id -g; echo his >"$0/source"; cat "$0/source"
        stat -c %u "$0/source"; chown 0 "$0/source" 2>/dev/null || echo refused' "$P" | tr '\n' ' ')" \
        '1000 1000 his 1000 refused '
    eq "$(cat "$P/source")" good
    only_main "a branch is left"

    claim "where the machine allows him none, a sentence says so, and nothing is run"
    rc=0
    as unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_user_namespaces
        exec setpriv --bounding-set -all --inh-caps -all "$@"' sh \
        "$TALLY" -C "$M" exec main --branch -- touch "$P/was-run" >"$W/said" 2>&1 || rc=$?
    eq "$rc" 1
    matches "$(<"$W/said")" 'only root can put a branch at .*user namespaces'
    [[ ! -e $P/was-run ]] || fail "the command was run"
    only_main "a branch is left"
fi

claim "a mount that takes no commands: nothing is run"
mount -o remount,bind,ro "$M"
fails t main --discard -- touch "$W/was-run"
matches "$(<"$W/said")" 'mounted ro and takes no commands'
[[ ! -e $W/was-run ]] || fail "the command was run"
mount -o remount,bind,rw "$M"
finish
