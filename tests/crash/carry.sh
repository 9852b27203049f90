#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# carry.sh CARRY ARCHIVE EVERY - carry.c with the store of an archive of tests/stores.
set -euo pipefail
W=$(mktemp -d "${TMPDIR:-/tmp}/tally-carry-XXXXXX")
trap 'rm -rf "$W"' EXIT
for program in tar xz; do
    command -v "$program" >/dev/null || {
        echo "skipped: there is no $program"
        exit 77
    }
done
tar -C "$W" -xJf "$2"
mkdir "$W/cut"
"$1" "$W/store" "$W/cut" "$3"
