#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Killed at random moments under load, the daemon loses nothing that a call had returned for:
# kill.py says how. By hand, longer:  TALLY=… bash kill.sh 1000 SEED [gentle] [threads|uring|both]
set -euo pipefail
leaks=all
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
[[ $(id -u) -eq 0 ]] || skip "not root"
(exec 3<>/dev/fuse) 2>/dev/null || skip "/dev/fuse does not open"
needs python3 mountpoint
kills=${1:-6}
seed=${2:-1}

claim "${kills} kills, seed $seed: all that had returned is there, nothing is half made"
"$TALLY" init --label test/kill "$S"
mkdir "$M" "$W/histories"
rc=0
"${test_file%/*}/kill.py" "$TALLY" "$S" "$M" "$W/histories" "$kills" "$seed" "${@:3}" || rc=$?
may_log '^tally: note: '
if [[ $rc -ne 0 ]]; then
    cp "$W/histories/log" "$W/log"
    [[ -z ${KEEP:-} ]] || cp -r "$W/histories" "$KEEP"
    printf '    again: bash %q %s\n' "$test_file" "$kills $seed ${*:3}"
    fail "see above"
fi
cp "$W/histories/log" "$W/log"
quiet_log
claim "all of ${test_file##*/}"
