#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What archives give and what they cost: how much is lost with the disk, what an idle store asks, how soon
# a clone can be read, and what shipping costs those who write.
#
#     TALLY=build-bench/tools/tally tests/bench/archive.sh [OPTION…] [ROW…]
#
# A row is one of these, none means all:
#
#     loss      fsynced records that are lost when the daemon is killed and the store deleted  (--tries 100)
#     idle      requests to the archive while nothing changes                                  (--idle 600, seconds)
#     restore   a store of many files, cloned at five numbers of changes     (--files 1000000, of --bytes 100)
#     recall    clone and recall of all bytes, beside cp, tar and rclone        (--linux TREE, --rounds 3)
#     follow    how far a follower is behind, and how long a take-over lasts                   (--tries 100)
#     writer    untar, a large file, and fsyncs, with and without an archive    (--linux TREE, --rounds 3, --syncs 2000,
#               --stream 1024, MiB of the large file)
#
# Further options: --dir DIR, for all that is made (/var/tmp); --other DIR, for an archive on another disk than the store
# (/dev/shm); --quick, small numbers: does it work? TREE is a directory or a tarball, as of the Debian package
# linux-source-6.1, which is the default. It needs root, /dev/fuse, and some 12 GiB in DIR. Judges nothing, but for
# what must be: that nothing is lost with archive=sync, and that what comes back is what went.
set -euo pipefail
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
here=$(dirname "$(realpath "$0")")
TALLY=$(realpath "${TALLY:?is the tally program}")
FILL=${FILL:-$(dirname "$TALLY")/../tests/bench/bench-fill}
LOAD=${LOAD:-$(dirname "$TALLY")/../tests/bench/bench-load}
rows=(loss idle restore recall follow writer)
tries=100 idle=600 files=1000000 bytes=100 rounds=3 syncs=2000 stream=1024
linux=/usr/src/linux-source-6.1.tar.xz dir=/var/tmp other=/dev/shm

usage() {
    sed -n '3,/^set/{s/^# \{0,1\}//p}' "$0" | grep -v '^set' >&2
    exit 2
}
asked=()
while [[ $# -gt 0 ]]; do
    case $1 in
        --tries | --idle | --files | --bytes | --rounds | --syncs | --stream | --linux | --dir | --other)
            [[ $# -gt 1 ]] || usage
            declare "${1#--}=$2"
            shift
            ;;
        --quick) tries=5 idle=2 files=2000 rounds=1 syncs=100 stream=16 ;;
        *) [[ " ${rows[*]} " == *" $1 "* ]] || usage
            asked+=("$1") ;;
    esac
    shift
done
W=$(mktemp -d "$dir/tally-archive-XXXXXX")
O=$(mktemp -d "$other/tally-archive-XXXXXX")
M=$W/mnt S=$W/store A=$W/archive
mkdir "$M"
daemon=
writer=

cleanup() {
    cd /
    [[ -z $writer ]] || kill "$writer" 2>/dev/null || true
    [[ -z ${F:-} ]] || "$TALLY" umount "$F" >/dev/null 2>&1 || true
    [[ -z $daemon ]] || "$TALLY" umount "$M" >/dev/null 2>&1 || { kill -KILL "$daemon" && umount -l "$M"; } || true
    rm -rf --one-file-system "$W" "$O"
}
trap cleanup EXIT

# ---- a store at $M ----

t() { "$TALLY" -C "$M" "$@"; }
mount_at() {
    "$TALLY" mount "$1" "$M"
    daemon=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["pid"])' "$M/.tally/stats.json")
}
unmount() {
    "$TALLY" umount "$M" >/dev/null
    daemon=
}
new_store() {
    "$TALLY" init "$S" >/dev/null
    mount_at "$S"
}
# add_archive [DIRECTORY] - and until it has what there is.
add_archive() {
    mkdir -p "${1:-$A}"
    t archive add "dir:${1:-$A}" >/dev/null
    t archive ship >/dev/null
}
# word NAME - of the last line that was said.
word() { grep -oE "(^| )$1=[^ ]*" "$W/said" | tail -n 1 | cut -d= -f2; }
requests() { t shard list | grep -oE '(puts|gets|stats|deletes|lists)=[0-9]+' | tr '\n' ' '; }
cold() {
    sync
    echo 3 >/proc/sys/vm/drop_caches
}

# ---- times ----

cpu_of_daemon() {
    [[ -z $daemon ]] && echo 0 && return
    awk -v hz="$(getconf CLK_TCK)" '{ print ($14 + $15) / hz }' "/proc/$daemon/stat"
}
# measure ROW SIDE COMMAND… - adds "ROW SIDE WALL CPU" to the results: CPU seconds of the command and of the daemon.
# That of a mount which is made meanwhile counts, too.
measure() {
    local before
    before=$(cpu_of_daemon)
    { TIMEFORMAT='%R %U %S'; time "${@:3}" >"$W/said" 2>&3; } 3>&2 2>"$W/times"
    awk -v name="$1 $2" -v times="$(<"$W/times") $before $(cpu_of_daemon)" \
        'BEGIN { split(times, x); print name, x[1], x[2] + x[3] + x[5] - x[4] }' >>"$W/results"
}
# result ROW SIDE - the last one: "WALL CPU".
result() { awk -v row="$1" -v side="$2" '$1 == row && $2 == side { r = $3 " " $4 } END { print r }' "$W/results"; }
table() {
    python3 "$here/archive.py" medians "$W/results"
    rm "$W/results"
}
title() { printf -- '-- %s (load %s)\n' "$1" "$(cut -d' ' -f1 /proc/loadavg)"; }

# ---- loss ----

# One store, which dies with all it has while records are written.
lose() {
    new_store
    add_archive
    t set ns:main.archive "$1" >/dev/null
    python3 "$here/archive.py" append "$M/main/log" "$W/acknowledged" &
    writer=$!
    sleep "$(awk -v seed="$RANDOM" 'BEGIN { srand(seed); print 1.5 + rand() }')"
    kill -KILL "$daemon"
    wait "$writer"
    writer=
    umount -l "$M"
    daemon=
    rm -rf "$S"
    "$TALLY" clone "dir:$A" "$S" >/dev/null
    mount_at "$S"
    python3 "$here/archive.py" lost "$M/main/log" "$W/acknowledged" >>"$W/lost.$1"
    unmount
    rm -rf "$S" "$A"
}
row_loss() {
    title "loss: the daemon is killed and the store deleted"
    local mode i
    for mode in async sync; do
        for ((i = 0; i < tries; i++)); do
            lose "$mode"
        done
        python3 "$here/archive.py" quantiles "$mode" "$W/lost.$mode"
    done
    ! grep -qv '^0.000000 0 ' "$W/lost.sync" || { echo "acknowledged records are lost with archive=sync" && exit 1; }
}

# ---- idle ----

row_idle() {
    title "idle: requests to the archive in $idle s in which nothing changes"
    new_store
    add_archive
    mkdir "$M/main/d"
    for i in {1..1000}; do echo "$i" >"$M/main/d/$i"; done
    t archive ship >/dev/null
    t drain >/dev/null
    t archive ship >/dev/null
    local before after calls=none
    before=$(requests)
    if command -v strace >/dev/null; then # what the driver asks of the directory, counted by another
        timeout "$idle" strace -f -qq -e trace=%file,getdents64 -o "$W/calls" -p "$daemon" || true
        calls=$(grep -cF "$A" "$W/calls" || true)
    else
        sleep "$idle"
    fi
    after=$(requests)
    printf 'before  %s\nafter   %s\ncalls that name a path in it: %s\n' "$before" "$after" "$calls"
    unmount
    rm -rf "$S" "$A"
}

# ---- restore ----

# first_byte STORE - mounted, and a byte of a file is read.
first_byte() {
    mount_at "$1"
    head -c 1 "$M/big/d$((RANDOM % dirs))/f0" >/dev/null
}
clone_and_read() {
    "$TALLY" clone --at "$1" "dir:$A" "$W/clone" big >"$W/cloned"
    first_byte "$W/clone"
}
restore_and_read() {
    t restore "big@$1" back --wait >"$W/cloned"
    head -c 1 "$M/back/d$((RANDOM % dirs))/f0" >/dev/null
}
# say_rate NAME SIDE ITEMS
say_rate() {
    awk -v name="$2" -v items="$3" -v times="$(result "$1" "$2")" 'BEGIN { split(times, x)
        printf "%-34s %9.2f s %8.2f s cpu %10.0f items  %8.0f a second, %8.0f a CPU second\n", name, x[1], x[2],
            items, items / x[1], items / (x[2] ? x[2] : 1) }'
}
# What is loaded in other ways: an import of a tenth of the files, and rows by LMDB alone.
beside_restore() {
    local tenth=$((files / 10))
    python3 "$here/archive.py" tar "$W/tar" "$tenth" "$bytes"
    measure restore import t import "$W/tar" imported
    say_rate restore import $((2 * tenth))
    mkdir "$W/rows"
    measure restore LMDB "$LOAD" "$W/rows" $((2 * files))
    say_rate restore LMDB $((2 * files))
    rm -r "$W/tar" "$W/rows"
}
# change_to COUNT - until so many files are changed since the begin, a thousandth of all in each segment.
change_to() {
    local step=$((files / 1000 > 0 ? files / 1000 : 1))
    while [[ $changed -lt $1 ]]; do
        python3 "$here/archive.py" change "$M/big" "$dirs" "$changed" "$step"
        changed=$((changed + step))
        t archive ship >"$W/said"
        segments=$((segments + 1))
    done
}
row_restore() {
    title "restore: $files files of $bytes bytes, until a byte is read"
    local at i changed=0 segments=1 seqs=() names=() items=()
    dirs=$((files < 1000 ? files : 1000))
    "$TALLY" init "$S" >/dev/null
    "$FILL" "$S" big "$dirs" "$files" "$bytes" 1
    mount_at "$S"
    t set archive_interval 1h >/dev/null # so that segments are as many as this says
    measure restore ship add_archive
    say_rate restore ship $((2 * files))
    for at in 0 $((files / 1000)) $((files / 100)) $((files / 20)) $((files / 10)); do
        change_to "$at"
        seqs+=("$(t archive ship | grep -oE 'seq=[0-9]+' | cut -d= -f2)")
        t restore --dry-run "big@${seqs[-1]}" >"$W/said"
        items+=("$(word entries)")
        names+=("$changed-changed,$segments-segments,$(word steps)-steps")
    done
    for i in 0 4; do
        measure restore "restore:${names[i]}" restore_and_read "${seqs[i]}"
        say_rate restore "restore:${names[i]}" "${items[i]}"
        t drop back --now >/dev/null
        t drain >/dev/null
    done
    beside_restore
    unmount
    rm -rf "$S"
    for i in "${!seqs[@]}"; do
        cold
        measure restore "clone:${names[i]}" clone_and_read "${seqs[i]}"
        say_rate restore "clone:${names[i]}" "${items[i]}"
        unmount
        rm -rf "$W/clone"
    done
    rm -rf "$A" "$W/results"
}

# ---- a tree ----

# $W/linux.tar: not compressed.
need_tree() {
    [[ -e $linux ]] || { echo "there is no $linux: skipped" && return 1; }
    [[ -e $W/linux.tar ]] && return
    if [[ -d $linux ]]; then tar -cf "$W/linux.tar" -C "$linux" .; else xz -dcf "$linux" >"$W/linux.tar"; fi
}
sums() { (cd "$1" && find . -type f -print0 | sort -z | xargs -0r sha256sum | sha256sum); }

# ---- recall ----

clone_all() {
    "$TALLY" clone "dir:$A" "$W/clone" tree >/dev/null
    mount_at "$W/clone"
    t recall tree/ --wait >/dev/null
    sync
}
copy_by() {
    mkdir -p "$W/copy"
    case $1 in
        cp) cp -r "$W/tree/." "$W/copy" ;;
        tar) tar -cf - -C "$W/tree" . | tar -xf - -C "$W/copy" ;;
        rclone) rclone --config "" copy --links --transfers 4 "$W/tree" "$W/copy" ;;
    esac
    sync
}
row_recall() {
    need_tree || return 0
    local i way
    mkdir "$W/tree"
    tar -xf "$W/linux.tar" -C "$W/tree"
    title "recall: $(find "$W/tree" -type f | wc -l) files, $(du -sm --apparent-size "$W/tree" | cut -f1) MiB, cold, until sync returns"
    new_store
    t import "$W/tree" tree >/dev/null
    add_archive
    unmount
    rm -rf "$S"
    for ((i = 0; i < rounds; i++)); do
        for way in cp tar rclone; do
            command -v $way >/dev/null || continue
            cold
            measure recall $way copy_by $way
            rm -rf "$W/copy"
        done
        cold
        measure recall clone+recall clone_all
        [[ $i -gt 0 ]] || [[ $(sums "$W/tree") == "$(sums "$M/tree")" ]] || { echo "the clone is not the tree" && exit 1; }
        unmount
        rm -rf "$W/clone"
    done
    rm -rf "$W/tree" "$A"
    table
}

# ---- follow ----

# take_over - the writer dies; the follower takes over, and something is written there.
take_over() {
    kill -KILL "$daemon"
    umount -l "$M"
    daemon=
    measure take-over promote take_over_and_write
}
take_over_and_write() {
    "$TALLY" -C "$F" promote
    echo written >"$F/main/after"
}
row_follow() {
    title "follow: a file is written here, until it is read there; archive_interval and follow_interval 1 s"
    local i
    F=$W/mnt2
    mkdir -p "$F"
    for ((i = 0; i < 5; i++)); do
        new_store
        add_archive
        "$TALLY" mount -o "follow=dir:$A" "$W/second" "$F"
        python3 "$here/archive.py" lag "$M/main/tick" "$F/main/tick" $((tries / 5)) >>"$W/lag"
        take_over
        "$TALLY" umount "$F" >/dev/null
        rm -rf "$S" "$W/second" "$A"
    done
    python3 "$here/archive.py" quantiles behind "$W/lag"
    table
}

# ---- writer ----

untar() { tar -xf "$W/linux.tar" -C "$M/main"; }
drain() { t drain >/dev/null; }
ship() { t archive ship >/dev/null; }
stream() { head -c "${stream}M" /dev/zero | openssl enc -aes-128-ctr -pass pass:x -nosalt 2>/dev/null >"$M/main/large"; }
sync_many() { python3 "$here/archive.py" syncs "$M/main/log" "$syncs"; }
write_tree() {
    local before
    before="$(date +%s.%N) $(cpu_of_daemon)"
    measure untar "$1" untar
    measure untar+drain "$1" drain
    [[ $1 == none ]] || ship
    echo "$before $(date +%s.%N) $(cpu_of_daemon)" |
        awk -v side="$1" '{ print "until-shipped", side, $3 - $1, $4 - $2 }' >>"$W/results"
}
write_large() {
    measure stream "$1" stream
    drain
    [[ $1 == none ]] || ship
}
write_syncs() {
    measure fsyncs "$1" sync_many
    awk -v side="$1" '{ print "fsync-median-ms", side, $1 / 1000, 0; print "fsync-p99-ms", side, $2 / 1000, 0 }' \
        "$W/said" >>"$W/results"
}
# write_with SIDE - a new store, and the archive of that side.
write_with() {
    local place=$A
    [[ $1 != other* ]] || place=$O/archive
    new_store
    [[ $1 == none ]] || add_archive "$place"
    [[ $1 != *sync ]] || t set ns:main.archive sync >/dev/null
    write_syncs "$1"
    if [[ $1 != *sync ]]; then
        write_large "$1"
        write_tree "$1"
    fi
    unmount
    rm -rf "$S" "$place"
}
row_writer() {
    need_tree || return 0
    title "writer: $(tar -tf "$W/linux.tar" | wc -l) entries are unpacked; $syncs fsyncs; archive on the same disk, or in $other"
    local i side sides=(none same other same-sync)
    for ((i = 0; i < rounds; i++)); do
        for side in "${sides[@]}"; do
            cold
            write_with "$side"
        done
    done
    table
}

for row in "${asked[@]:-${rows[@]}}"; do
    "row_$row"
done
