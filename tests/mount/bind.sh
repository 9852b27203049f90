#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Bind mounts of a mount, of a namespace and of a directory, as containers have them: unmounted like
# any, without a drain, and the verbs find their store from inside.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
with_helpers
"$TALLY" init "$S"
mount8
B="$W/part of it"
mkdir -p "$B" "$M/main/dir"
echo text >"$M/main/dir/file"
is_there() { mountpoint -q "$B"; }
still_served() { eq "$(cat "$M/main/dir/file")" text && ! ended "$daemon"; }

durable() { "$TALLY" -C "$M" status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["durable"])'; }
"$TALLY" -C "$M" set flush_interval 1h >/dev/null
"$TALLY" umount "$M"
mount8 # so that nothing is on its way by the old setting

cd "$W"
for part in main main/dir .; do
    for way in 'umount "$B"' 'umount "part of it"' 'umount -l "$B"' 'umount -l "part of it"' 'umount -f "$B"' \
        'umount -i "$B"' '"$TALLY" umount "$B"' '"$TALLY" umount "part of it"' '"$TALLY" umount -l "$B"' \
        '"$TALLY" umount -f "$B"' 'umount.fuse.tally "$B"'; do
        claim "a bind mount of $part: $way"
        mount --bind "$M/$part" "$B"
        is_there
        echo "$way" >"$M/main/new"
        before=$(durable)
        eval "$way"
        eq "$(durable)" "$before" "it was drained"
        ! is_there || fail "it is still mounted"
        still_served
    done
done

claim "one that is in use is busy, and can be taken away lazily"
mount --bind "$M/main" "$B"
exec 8<"$B/dir/file"
fails "$TALLY" umount "$B"
matches "$(<"$W/said")" 'is busy'
is_there
"$TALLY" umount --lazy "$B"
eq "$(cat <&8)" text
exec 8<&-
still_served

claim "inside one the verbs find their store, and what its files are called"
mount --bind "$M/main/dir" "$B"
cd "$B"
matches "$("$TALLY" status)" 'state=ok'
"$TALLY" drain >/dev/null
eq "$("$TALLY" refs file)" "$("$TALLY" -C "$M" refs main/dir/file)"
eq "$("$TALLY" refs "$B/file")" "$("$TALLY" -C "$M" refs main/dir/file)"
eq "$("$TALLY" object "$B/file")" "$("$TALLY" -C "$M" object main/dir/file)"
eq "$("$TALLY" -C "$M" refs "$B/file")" "$("$TALLY" -C "$M" refs main/dir/file)"
"$TALLY" -C . jobs >"$W/jobs"
eq "$(<"$W/jobs")" "$("$TALLY" -C "$M" jobs)"
cd "$W"
mkdir "$W/whole"
mount --bind "$M" "$W/whole"
eq "$(cd "$W/whole/main" && "$TALLY" refs dir/file)" "$("$TALLY" -C "$M" refs main/dir/file)"
umount "$W/whole"

claim "where only a part can be seen, they find it by its daemon, or say what is missing"
cat >"$W/inner" <<'END'
umount -il "$2" # in this mount namespace only
cd "$3"
"$1" status && "$1" refs file
END
unshare -m --propagation private bash "$W/inner" "$TALLY" "$M" "$B" >"$W/said" 2>&1 || fail "$(<"$W/said")"
matches "$(<"$W/said")" 'state=ok.*refs=1'
cat >"$W/inner" <<'END'
umount -il "$2"
mount -t tmpfs none "${4%/*}/hide" && mount --bind "${4%/*}/hide" "$4" # the store cannot be seen, either
cd "$3"
"$1" status
END
mkdir "$W/hide"
fails unshare -m --propagation private bash "$W/inner" "$TALLY" "$M" "$B" "$S"
matches "$(<"$W/said")" 'only main/dir of the mount of .*/store can be seen here'

claim "the last one to go ends the daemon, and is waited for"
umount -i "$M"
head -c 20000000 /dev/urandom >"$B/large"
"$TALLY" umount "$B"
ended "$daemon" || fail "the daemon is still there"
check_clean
mount8
mount --bind "$M/main" "$B"
umount -i "$M"
umount "part of it"
wait_until ended "$daemon"
check_clean

claim "a bind mount of which the daemon is dead"
mount8
mount --bind "$M/main" "$B"
kill -KILL "$daemon"
wait_until ended "$daemon"
umount "part of it"
! is_there || fail "it is still mounted"
"$TALLY" umount "$M" 2>"$W/said"

claim "a directory inside is no mount point: the sentence says what is"
mount8
for at in . "$M/main" dir/..; do
    (cd "$M/main" && fails "$TALLY" umount "$at")
    matches "$(<"$W/said")" "lies in the tally mount $M.*tally umount $M"
done
(cd "$M" && fails umount .)
matches "$(<"$W/said")" 'busy'
umount "$M"
check_clean
claim "all of ${test_file##*/}"
