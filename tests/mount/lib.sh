# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the mount tests share. A test is
#
#     . "$(dirname "$0")/lib.sh"       # $W: a directory of its own, $S: the store, $M: the mount point
#     begin                            # skip unless it can run; a new store, mounted
#     claim "a removed file is gone"   # what the commands up to the next claim prove
#     rm "$M/main/a"
#     eq "$(errno_of 'os.stat(argv[0])' "$M/main/a")" ENOENT
#     finish                           # unmounts; the daemon must have ended well and said nothing
#
# Any command that fails, fails the claim. The daemon runs in the foreground with its messages in
# $W/log: what is in there (a sanitizer's words, too) fails the test unless `may_log` allows it.
# Whatever happens, nothing is left: only processes that were started here are ended, by number.
set -euo pipefail
export LC_ALL=C.UTF-8
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH # tools/check says why

test_file=$(realpath "$0")
TALLY=$(realpath "${TALLY:?is the tally program to be tested}")
# The search for leaks takes half of the time that a verb takes. The daemons of mount_with and mount8 are
# searched in each test. Verbs, and daemons that are started otherwise, are searched in the tests that set
# leaks=all before they read this; together these use all verbs.
export DAEMON_ASAN=${DAEMON_ASAN-${ASAN_OPTIONS-}}
[[ ${leaks:-} == all ]] || export ASAN_OPTIONS=$DAEMON_ASAN:detect_leaks=0
W=$(mktemp -d "${TMPDIR:-/tmp}/tally-test-XXXXXX")
chmod 755 "$W" # for the tests that look in as another user
# shellcheck disable=SC2034  # S and M are for the tests
S=$W/store M=$W/mnt
daemon=
pids=()
current="the set-up"
# What cycles and sweeps deleted; how much is left when a mount takes long to end; what a start took
# from the log; that the kernel may not read files by itself (an ordinary user's mount).
allowed='^$|^tally: note: ending; remaining: [0-9]|^tally: note: gc: cycle [0-9]+ deleted [0-9]|^tally: note: sweep: [0-9]+ of [0-9]+ ghosts|^tally: note: recovered [0-9]+ changes from the log|^tally: note: large files are not read by the kernel itself'

claim() {
    current=$1
    printf 'claim: %s\n' "$current"
}

# The line of the test, also when it failed in a function from here.
test_line() {
    local i
    for i in "${!BASH_SOURCE[@]}"; do
        if [[ ${BASH_SOURCE[i]} == "$0" ]]; then
            echo "${BASH_LINENO[i - 1]}"
            return
        fi
    done
}

on_error() {
    printf '%s:%s: FAILED: %s\n    %s\n' "${test_file##*/}" "$(test_line)" "$current" "$1"
    [[ ! -s $W/log ]] || { echo '    the daemon said:' && tail -n 60 "$W/log"; }
    printf '    again: TALLY=%q bash %q\n' "$TALLY" "$test_file"
}
set -E
trap 'on_error "$BASH_COMMAND"' ERR

cleanup() {
    local mnt pid
    trap - ERR
    set +e
    cd /
    while read -r mnt; do
        umount -il "$(printf %b "$mnt")"
    done < <(awk -v w="$W/" 'index($2, w) == 1 { print $2 }' /proc/self/mounts | tac)
    for pid in "${pids[@]}"; do
        kill -KILL "$pid" 2>/dev/null
    done
    rm -rf --one-file-system "$W"
}
trap cleanup EXIT

skip() {
    echo "skipped: $*"
    exit 77
}

# needs PROGRAM… - or skip; tools/check installs them all.
needs() {
    local p
    for p in "$@"; do
        command -v "$p" >/dev/null || skip "there is no $p"
    done
}

fail() {
    on_error "$1"
    trap - ERR
    exit 1
}

eq() {
    [[ $1 == "$2" ]] || fail "got \"$1\", not \"$2\"${3:+ ($3)}"
}

# matches TEXT REGEX
matches() {
    [[ $1 =~ $2 ]] || fail "got \"$1\", which is not like /$2/"
}

# fails COMMAND… - it must exit with 1…127, and by itself, not by timeout(1), which exits with 124;
# what it says goes to $W/said.
fails() {
    local rc=0
    "$@" >"$W/said" 2>&1 || rc=$?
    [[ $rc -ge 1 && $rc -le 127 && $rc -ne 124 ]] || fail "exit code $rc of: $*"
}

# The errno that Python statements get ("OK": none); further arguments are argv[0], argv[1], …
# Without packages of the site, and without ctypes where it is not used, Python starts in half the time.
errno_of() {
    python3 -IS -c '
import errno, fcntl, mmap, os, stat, sys
if "ctypes" in sys.argv[1]:
    import ctypes
argv = sys.argv[2:]
try:
    exec(sys.argv[1])
    print("OK")
except OSError as e:
    print(errno.errorcode[e.errno])' "$@"
}

# One write to the control file, as bytes with printf escapes: a first line OK, SHORT n or the
# errno, then what is to be read.
ctl() {
    printf '%b' "$*" | python3 -IS -c '
import errno, os, sys
text = sys.stdin.buffer.read()
fd = os.open(sys.argv[1], os.O_RDWR)
try:
    n = os.write(fd, text)
    print("OK" if n == len(text) else f"SHORT {n}", flush=True)
except OSError as e:
    print(errno.errorcode[e.errno], flush=True)
while data := os.read(fd, 65536):
    os.write(1, data)' "$M/.tally/control"
}
first_line() {
    local line
    read -r line <<<"$1"
    printf '%s\n' "$line"
}

# What is in a directory, sorted, each name with a blank behind it.
names() { find "${1:-.}" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | tr '\n' ' '; }

digest() {
    sha256sum <"$1" | cut -d' ' -f1
}
# One digest of a tree: names, types, modes, link targets and contents.
tree_digest() (
    cd "$1"
    {
        find . -printf '%P %y %m %l\n' | sort
        find . -type f -print0 | sort -z | xargs -0r sha256sum
    } | sha256sum | cut -d' ' -f1
)

# wait_until COMMAND… - until it says yes. The limit ends what hangs, and is the same for all: how
# long something takes on a busy machine is no claim.
limit=200 # seconds
wait_until() {
    local end=$((SECONDS + limit))
    until "$@"; do
        [[ $SECONDS -lt $end ]] || return 1
        sleep 0.1
    done
}
# wait_all PID… - each of these children must have ended well; `wait PID…` looks only at the last.
wait_all() {
    local pid
    for pid in "$@"; do
        wait "$pid"
    done
}
# All of its threads: the first one can be a zombie while another still has the store open.
is_zombie() {
    awk '/^State:/ { dead = $2 == "Z" } /^Threads:/ { n = $2 } END { exit !(dead && n <= 1) }' \
        "/proc/$1/status" 2>/dev/null
}
ended() { ! kill -0 "$1" 2>/dev/null || is_zombie "$1" || [[ ! -e /proc/$1 ]]; }
# Is it mounted, or is there nobody left to mount it?
mounted_or_ended() { mountpoint -q "$M" || ended "$daemon"; }

# may_log REGEX - a line that the daemon may say here.
may_log() { allowed="$allowed|$1"; }

# mount_with OPTION… - $S at $M; $daemon is its process. MOUNT_OPTIONS, a list with commas, is for
# tests/matrix: the same suite, mounted otherwise; what the test itself asks for goes before.
mount_with() {
    mkdir -p "$M"
    ASAN_OPTIONS=$DAEMON_ASAN "$TALLY" mount -f ${MOUNT_OPTIONS:+-o "$MOUNT_OPTIONS"} "$@" "$S" "$M" </dev/null >>"$W/log" 2>&1 &
    daemon=$!
    pids+=("$daemon")
    wait_until mounted_or_ended
    mountpoint -q "$M"
}

mount_store() { mount_with -o rw; }

quiet_log() {
    ! grep -qvE "$allowed" "$W/log" || fail "the daemon said something"
}

# unmount_store - and the daemon must end well.
unmount_store() {
    "$TALLY" umount "$M"
    wait "$daemon"
    quiet_log
}

# kill_daemon - as a crash would; the dead mount is taken away, so that $M can be mounted again.
kill_daemon() {
    kill -KILL "$daemon"
    wait "$daemon" 2>/dev/null || true
    umount -l "$M"
    quiet_log
}

# with_helpers - the rest of the test runs in a mount namespace of its own, where mount(8) and
# umount(8) find our helpers, and whose /run/mount is $W/run. Before `begin`.
with_helpers() {
    [[ $(id -u) -eq 0 ]] || skip "not root"
    needs unshare mount umount
    if [[ -z ${IN_NAMESPACE:-} ]]; then
        rmdir "$W"
        if ! mountpoint -q /; then # in a chroot there is no root mount to make private
            echo "not here: / is not a mount point"
            exit 0
        fi
        IN_NAMESPACE=1 exec unshare -m --propagation private bash "$test_file"
    fi
    local mnt # those of other tests were copied, and their daemons would live as long as we do
    while read -r mnt; do
        umount -il "$(printf %b "$mnt")"
    done < <(awk '$3 == "fuse.tally" { print $2 }' /proc/self/mounts | tac)
    mkdir -p "$W/sbin" "$W/run" /run/mount
    ln -s "$TALLY" "$W/sbin/mount.fuse.tally"
    ln -s "$TALLY" "$W/sbin/umount.fuse.tally"
    mount --bind "$W/run" /run/mount
    mount --bind "$W/sbin" "$(realpath /sbin)"
}
# mount8 OPTION… - as mount_with, but by mount(8) and in the background; $daemon is its process.
mount8() {
    mkdir -p "$M"
    ASAN_OPTIONS=$DAEMON_ASAN mount -t fuse.tally "$@" "$S" "$M" 2>>"$W/log"
    daemon=$(daemon_of "$M")
    pids+=("$daemon")
}
daemon_of() {
    python3 -IS -c 'import json, sys; print(json.load(open(sys.argv[1] + "/.tally/stats.json"))["pid"])' "$1"
}

# The array `transports` gets those that the kernel offers now. It goes on to do so until the script
# ends: kill.sh and tests/matrix, which move the switch, ask for this lock.
find_transports() {
    local switch=/sys/module/fuse/parameters/enable_uring
    transports=(threads)
    [[ -e $switch ]] || return 0
    exec 7<"$switch"
    flock -s 7
    [[ $(<"$switch") != Y ]] || transports+=(uring)
}

drain() { "$TALLY" -C "$M" drain >/dev/null; }

# What the store takes of its disk, without its log, which takes its room beforehand.
store_kib() { du -sk --exclude=log "$S" | cut -f1; }

check_clean() {
    "$TALLY" check "$S" >"$W/check" 2>&1 || {
        cat "$W/check"
        fail "tally check says no"
    }
}

# ---- the same on ext4 ----
#
# begin_compare, then any number of
#
#     same "claim" <<'END'            # Python, with all of calls.py: what it prints must be equal
#     do(os.mkdir, "d")
#     END
#     differs "claim" "why" "what ext4 prints" "what tallyfs prints" <<'END'
#
# and `compared` runs what has gathered, on both sides in new directories, and shows what differs.
# grep -h -A1 '^differs' tests/mount/*.sh lists every known difference.

# $E: an ext4 of its own, as mke2fs makes it, with the mount options that $M has.
begin_compare() {
    needs mkfs.ext4 losetup
    E=$W/ext4
    mkdir "$E"
    truncate -s 300M "$W/ext4.img"
    mkfs.ext4 -q -F -b 4096 -I 256 -O ea_inode "$W/ext4.img"
    mount -o loop "$W/ext4.img" "$E" 2>"$W/said" || skip "no loop device: $(<"$W/said")"
    queue=$W/queue
    : >"$queue"
}

# queue_snippet LINE CLAIM REASON EXT4 TALLY - the code from standard input.
queue_snippet() {
    printf '%s\0' "$@" "$(cat)" >>"$queue"
}
same() { queue_snippet "$(test_line)" "$1" "" "" ""; }
differs() { queue_snippet "$(test_line)" "$1" "$2" "$3" "$4"; }

compared() {
    claim "the comparison with ext4"
    mkdir -p "$E/w" "$M/main/w"
    "${test_file%/*}/compare.py" "$queue" "${test_file##*/}" "$E/w" "$M/main/w" ||
        fail "tallyfs is not as ext4"
    : >"$queue"
}

# small_disk SIZE - $D: an ext4 of its own, for a store on a disk that is soon full.
small_disk() {
    [[ $(id -u) -eq 0 ]] || skip "not root"
    needs mkfs.ext4 losetup
    D=$W/disk
    mkdir -p "$D"
    truncate -s "$1" "$W/disk.img"
    mkfs.ext4 -q -F -m 0 "$W/disk.img"
    mount -o loop "$W/disk.img" "$D" 2>"$W/said" || skip "no loop device: $(<"$W/said")"
}

# bad_disk DIRECTORY [threads] - $D: that directory, seen through baddisk, which fails as `fault
# LINE…` says.
bad_disk() {
    [[ $(id -u) -eq 0 ]] || skip "not root"
    (exec 3<>/dev/fuse) 2>/dev/null || skip "/dev/fuse does not open"
    : "${BADDISK:?is the program baddisk, of the same build}"
    D=$W/baddisk
    under=$1 disk_threads=${2:-}
    mkdir -p "$D" "$under"
    fault ""
    start_disk
}
start_disk() {
    "$BADDISK" "$under" "$W/faults" "$D" ${disk_threads:+threads} &
    disk=$!
    pids+=("$disk")
    wait_until mountpoint -q "$D"
}
# The same disk, with nothing of it in the kernel's memory.
replace_disk() {
    umount "$D"
    wait "$disk"
    start_disk
}
fault() {
    printf '%s\n' "$@" >"$W/faults.new"
    mv "$W/faults.new" "$W/faults"
}

# keep_nothing - a drop deletes, and a branch holds nothing of its origin: counts are those of what
# the root shows. A test of what is kept sets keeps=yes before `begin`.
keep_nothing() {
    "$TALLY" -C "$M" set trash_keep 0 >/dev/null
    "$TALLY" -C "$M" set origin_keep 0 >/dev/null
}

# begin [OPTION…] - the options are those of `tally init`.
begin() {
    [[ $(id -u) -eq 0 ]] || skip "not root"
    (exec 3<>/dev/fuse) 2>/dev/null || skip "/dev/fuse does not open"
    needs python3 mountpoint
    "$TALLY" init --label test/"$(basename "$test_file" .sh)" "$@" "$S"
    mount_store
    [[ -n ${keeps:-} ]] || keep_nothing
}

finish() {
    claim "the daemon ends well and leaves a sound store"
    cd /
    unmount_store
    check_clean
    claim "all of ${test_file##*/}"
}
