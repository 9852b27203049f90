#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Programs with set-id bits: whoever changes their bytes does not get the rights of their owner or
# group, in whatever way the bytes were changed, and however requests come. They are executed, since
# looking at the mode first would have the kernel ask for it.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
needs setfacl setfattr setpriv
find_transports

as_user() { setpriv --reuid 1000 --regid 1000 --clear-groups "$@"; }
for by in "${transports[@]}"; do
    claim "by $by: who changes a program with set-id bits does not run with them"
    unmount_store
    mount_with -o "transport=$by"
    mkdir "$M/main/$by"
    "${test_file%/*}/setid.py" "$M/main/$by"

    claim "by $by: what an ACL, mode or owner no longer grants is refused at once, by whatever name it was changed"
    cd "$M/main/$by"
    echo text >f
    ln f name
    chmod 600 f
    for change in "setfacl -b name" "setfacl -x u:1000 name" "setfacl -m m::- name" "chmod 600 name" \
        "setfattr -x system.posix_acl_access name"; do
        setfacl -m u:1000:r f
        eq "$(as_user cat f)" text
        $change
        fails as_user cat f
        setfacl -b f
    done
    chmod 640 f
    for change in "chown 0:0 name" "chmod 600 name"; do
        chmod 640 f
        chgrp 1000 f
        eq "$(as_user cat f)" text
        $change
        fails as_user cat f
    done
    cd /

    claim "by $by: however many do that at once, the mount goes on answering"
    mkdir -m 777 "$M/main/$by/many"
    "${test_file%/*}/setid_many.py" "$M/main/$by/many" >"$W/made" 2>&1 &
    many=$!
    pids+=("$many")
    wait_until ended "$many"
    wait "$many"
    [[ $(<"$W/made") -gt 0 ]] || fail "said: $(<"$W/made")"
done
finish
