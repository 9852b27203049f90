#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Random operations on files and names, with branches in between, against a model (tests/fsx). With
# settings so small that flushing, sealing and spilling go on all the time. By hand, longer:
#
#     SEEDS="7 8 9" OPS=1000000 PROCS=4 FSX=… TALLY=… tests/mount/fsx.sh [FSX-OPTION…]
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
# The model knows nothing of files that are busy (ETXTBSY) because the kernel reads them by itself:
# those without write permission, which root changes all the same.
MOUNT_OPTIONS=${MOUNT_OPTIONS:+$MOUNT_OPTIONS,}passthrough=off
begin
FSX=$(realpath "${FSX:?is the program of tests/fsx}")
drain

t() { "$TALLY" -C "$M" "$@"; }
small_settings() {
    t set buffers 1M >/dev/null
    t set page_cache 4M >/dev/null
    t set flush_interval 100ms >/dev/null
    t set seal_delay 0s >/dev/null
    t set pack_size 1M >/dev/null
}
left() { find "$S/slots" "$S/objects" "$S/packs" -type f | wc -l; }

# run_seed SEED OPTION… - operations, everything again after a remount, and nothing is left.
run_seed() {
    local seed=$1 ns
    shift
    claim "seed $seed: $* - as the model, also after a remount"
    rm -f "$W/manifest"
    "$FSX" --seed "$seed" "$@" --manifest "$W/manifest" "$M/main"
    unmount_store
    check_clean
    mount_store
    "$FSX" --verify "$W/manifest" "$M/main"
    claim "seed $seed: when all is dropped, nothing is left"
    for ns in "$M"/*/; do
        t drop "$(basename "$ns")" >/dev/null
    done
    drain
    eq "$(find "$M/.tally/objects" -type f | wc -l)" 0
    eq "$(left)" 0
    mkdir "$M/main"
}

small_settings
if [[ -n ${SEEDS:-} ]]; then
    for seed in $SEEDS; do
        run_seed "$seed" --ops "${OPS:-200000}" --procs "${PROCS:-4}" "$@"
    done
else
    run_seed 1 --ops 10000 --procs 4
    run_seed 2 --ops 4000 --procs 2 --size 4000000 --files 10
fi
finish
