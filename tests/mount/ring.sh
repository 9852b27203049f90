#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# How requests come: -o transport=. What io_uring does is the same as what threads do: where the
# kernel's switch is on all other tests use it; here is how one gets it, and does without.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
switch=/sys/module/fuse/parameters/enable_uring
if [[ -e $switch ]]; then # kill.sh moves it
    exec 7<"$switch"
    flock -s 7
fi
by() { sed -n 's/^requests *by //p' "$M/.tally/status"; }

claim "status and stats.json say how requests come"
matches "$(by)" '^(io_uring|threads)$'
eq "$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["transport"])' "$M/.tally/stats.json")" "$(by)"

claim "transport=threads: by threads, whatever the kernel can"
unmount_store
mount_with -o transport=threads
eq "$(by)" threads
echo hello >"$M/main/a"
unmount_store

if [[ $(cat "$switch" 2>/dev/null) == Y ]]; then
    claim "transport=uring: what other threads answer comes back, too, and requests side by side"
    mount_with -o transport=uring
    eq "$(by)" io_uring
    eq "$(cat "$M/main/a")" hello
    for i in {1..80}; do
        (head -c "$((i * 1000))" /dev/zero | dd of="$M/main/$i" conv=fsync status=none) &
        writers[i]=$!
    done
    wait_all "${writers[@]}"
    eq "$(cat "$M"/main/{1..80} | wc -c)" 3240000
    "$TALLY" -C "$M" branch main dev >/dev/null
    "$TALLY" -C "$M" drop dev >/dev/null

    claim "a daemon that is killed ends, and whoever waits for it hears so"
    (while cat "$M"/main/*; do :; done) >/dev/null 2>&1 &
    reader=$!
    kill_daemon
    wait "$reader" || true
    mount_with -o transport=uring
else
    claim "transport=uring with the switch off: refused, and told where the switch is"
    fails "$TALLY" mount -o transport=uring "$S" "$M"
    matches "$(<"$W/said")" enable_uring
    mount_with -o transport=auto
    eq "$(by)" threads
fi
eq "$(cat "$M/main/a")" hello

# The classes of all threads of a process, each once.
classes() { ps -L -o cls= -p "$1" | sort -u | tr -d ' '; }

claim "in a session with others all threads are of the usual class"
eq "$(classes "$daemon")" TS
unmount_store

two_are_not() { [[ $(ps -L -o cls= -p "$daemon" | grep -vc IDL) == 2 ]]; } # one of them waits for archives, too

claim "as a group of its own for the scheduler the daemon is of the idle class, but for those that sync"
setsid "$TALLY" mount -f "$S" "$M" </dev/null >>"$W/log" 2>&1 &
daemon=$!
pids+=("$daemon")
wait_until mounted_or_ended
echo more >"$M/main/b"
drain
group=TS
if [[ $(cat /proc/sys/kernel/sched_autogroup_enabled 2>/dev/null) == 1 &&
    $(readlink /proc/self/ns/cgroup) == 'cgroup:[4026531835]' ]] &&
    ! grep -E '^[0-9]+:([^:]*,)?(cpu(,[^:]*)?)?:' /proc/self/cgroup | grep -qv ':/$'; then
    group=IDL
    wait_until two_are_not
elif [[ $(cat /proc/sys/kernel/sched_autogroup_enabled 2>/dev/null) == 1 ]]; then
    group=$(classes "$daemon") # groups of version 2: it depends on what they divide
fi
if [[ $group != IDL ]]; then
    eq "$(classes "$daemon")" "$group"
else
    matches "$(ionice -p "$daemon")" '^best-effort'
fi
finish
