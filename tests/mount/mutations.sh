#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Stores that were spoiled at random: nothing ends by a signal, nothing hangs, no wrong bytes.
#
#     SEED=7 COUNT=2000 MUTATE=… TALLY=… tests/mount/mutations.sh [MODE…]      modes: mutate.c
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
needs python3
[[ $EUID -eq 0 ]] || skip "only root can do this"
(exec 3<>/dev/fuse) 2>/dev/null || skip "/dev/fuse cannot be opened"
MUTATE=$(realpath "${MUTATE:?is the program that spoils a store}")

claim "whatever is damaged is an error, a finding, or as it was"
"$(dirname "$0")/mutations.py" "$TALLY" "$MUTATE" "$W" "${COUNT:-14}" "${SEED:-1}" "$@"
