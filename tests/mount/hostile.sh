#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What root does to a mount that only looks like one of ours, of somebody who means ill, leads
# nowhere out of it.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
: "${HOSTILE:?is the program hostile, of the same build}"
begin
mkdir "$W/hostile"
echo "root:precious" >"$W/precious"
"$HOSTILE" "$W/hostile" "$W/precious" &
server=$!
pids+=("$server")
wait_until 10 mountpoint -q "$W/hostile"

claim "nothing is written through a symlink in the place of the control file"
for verb in "umount $W/hostile" "-C $W/hostile drain" "mount -o remount,ro /nowhere $W/hostile" \
    "mount $S $W/hostile"; do
    # shellcheck disable=SC2086
    fails timeout 20 "$TALLY" $verb
    eq "$(<"$W/precious")" root:precious "after $verb"
done
mountpoint -q "$W/hostile"

claim "--force unmounts it all the same"
timeout 20 "$TALLY" umount --force "$W/hostile"
eq "$(<"$W/precious")" root:precious
wait_until 10 ended "$server"

claim "root unmounts what a user mounted without asking who answers there"
install -d -o 1000 -g 1000 "$W/users"
mknod -m 666 "$W/fuse" c 10 229
echo user_allow_other >"$W/fuse.conf"
cat >"$W/as-user" <<'EOF'
mount --bind "$1/fuse" /dev/fuse && mount --bind "$1/fuse.conf" /etc/fuse.conf || exit 1
setpriv --reuid 1000 --regid 1000 --clear-groups "$HOSTILE" "$1/users" &
until mountpoint -q "$1/users"; do sleep 0.1; done
timeout 20 "$TALLY" umount "$1/users" && wait
EOF
[[ -e /etc/fuse.conf ]] || skip "there is no /etc/fuse.conf"
TALLY=$TALLY HOSTILE=$(realpath "$HOSTILE") timeout 40 unshare -m bash "$W/as-user" "$W"

claim "a name says nothing to the terminal"
fails "$TALLY" check "$W/"$'a\e]0;b'
! grep -q $'\e' "$W/said" || fail "said: $(cat -v "$W/said")"
finish
