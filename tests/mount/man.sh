#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every verb has a man page that renders without a warning; --help says the same synopsis.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
needs man col
man_dir=${MAN_DIR:-$(dirname "$0")/../../tools/man}
mapfile -t verbs < <("$TALLY" --help | awk '/^  [a-z]/ { print $1 }')

claim "there are all the verbs"
[[ ${#verbs[@]} -ge 19 ]]

claim "each has its page, and no page is of nothing"
for verb in "${verbs[@]}"; do
    [[ -s $man_dir/tally-$verb.1 ]] || fail "no page for $verb"
done
for page in "$man_dir"/tally-*.1; do
    verb=${page##*/tally-}
    [[ " ${verbs[*]} " == *" ${verb%.1} "* ]] || fail "$page is of no verb"
done

claim "what is installed beside the program is in a page: units, completions, the option of the module"
for file in "$man_dir"/../{units/*@*,completions/*,modprobe/*}; do
    grep -qE "(^|[/ ])${file##*/}( |$)" <(grep -hE '^\.(Pa|It Pa)' "$man_dir"/tally.1 "$man_dir"/tally-mount.1 "$man_dir"/tallyfs-timers.7) ||
        fail "no page says what ${file##*/} is for"
done

claim "they render without warnings"
for page in "$man_dir"/*.[17]; do
    said=$(LC_ALL=C.UTF-8 MANWIDTH=80 man --warnings -l "$page" 2>&1 >/dev/null)
    eq "$said" "" "$page"
done

claim "each has the options that --help has"
options=0
for verb in "${verbs[@]}"; do
    text=$(LC_ALL=C.UTF-8 MANWIDTH=120 man -l "$man_dir/tally-$verb.1" 2>/dev/null | col -b)
    help=$("$TALLY" "$verb" --help)
    [[ $help == "usage: tally $verb"* ]] || fail "the help of $verb is \"$help\""
    for option in $({ grep -oE -- '--[a-z]+' <<<"$help" || true; } | sort -u); do
        options=$((options + 1))
        grep -q -- "$option" <<<"$text" || fail "tally-$verb(1) does not have $option"
    done
done
[[ $options -ge 50 ]] || fail "only $options options were looked at"
