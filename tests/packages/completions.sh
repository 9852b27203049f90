#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Completion in real shells, zsh and fish: what the program says of itself, and names of a mount as they are.
# tests/mount/newcomer.sh and tests/tools/usage.py have bash.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/../mount/lib.sh"
needs zsh fish
begin
completions=$(realpath "${test_file%/*}/../../tools/completions")
mkdir "$W/bin" "$W/rc" "$W/home"
ln -s "$TALLY" "$W/bin/tally"
export PATH=$W/bin:$PATH HOME=$W/home
unset XDG_CONFIG_HOME XDG_DATA_HOME
mkdir "$M/dev" "$M/x\$(touch oh)" "$M/it's"
"$TALLY" -C "$M" set trash_keep 1h >/dev/null
mkdir "$M/went"
touch "$M/went/file"
"$TALLY" -C "$M" drop went >/dev/null
ln -s "$M" "$W/way"
cd "$W"

# What stands after each line: the offers, sorted, each with a comma behind it. Names that the shell quotes
# are written with its quotes by zsh.
lines=() wanted=()
offers() {
    lines+=("$1")
    wanted+=("$2")
}
offers 'tally sta' 'status,'
offers 'tally gc --' '--dry-run,--grace,--help,--json,--wait,'
offers 'tally help scr' 'scrub,'
offers 'tally archive sh' 'ship,'
offers 'tally -C mnt drop ma' 'main,'
offers 'tally -Cmnt drop ma' 'main,'
offers "tally -C $W/mnt diff d" 'dev,'
offers 'tally -C way diff d' 'dev,'
offers 'tally -C mnt set scrub' 'scrub_rate,'
offers 'tally -C mnt merge main int' 'into,'
offers 'tally -C mnt merge main into ma' 'main,'
offers 'tally -C mnt wait durable de' 'dev,'
offers 'tally -C mnt undrop w' 'went,'
offers 'tally mount -o passthrough=a' 'passthrough=all,passthrough=auto,'
offers 'tally mount -o ro,transp' 'ro,transport=auto,ro,transport=threads,ro,transport=uring,'
offers 'tally mount -o nos' 'nosuid,'
sorted() { LC_ALL=C sort -u | tr '\n' ','; }

claim "zsh offers what is so"
mapfile -t got < <(timeout 200 zsh "${test_file%/*}/offers.zsh" "$completions" "$W/rc" "${lines[@]}")
eq "${#got[@]}" "${#lines[@]}" "answers of zsh"
for i in "${!lines[@]}"; do
    eq "${got[i]}" "${wanted[i]}" "${lines[i]}"
done

fish_offers() { # LINE
    # shellcheck disable=SC2016  # fish expands it
    fish --no-config -c 'source $argv[1]; complete -C $argv[2]' -- "$completions/tally.fish" "$1" | cut -f1 | sorted
}
claim "fish offers what is so"
for i in "${!lines[@]}"; do
    eq "$(fish_offers "${lines[i]}")" "${wanted[i]}" "${lines[i]}"
done

claim "both know each verb, with its summary"
verbs=$("$TALLY" --help | sed -n 's/^  \([a-z]\{1,\}\) .*/\1/p' | sorted)
eq "$(fish_offers 'tally ')" "$(printf '%s\n' "${verbs//,/$'\n'}" -C --help --version | grep . | sorted)"
eq "$(timeout 200 zsh "${test_file%/*}/offers.zsh" "$completions" "$W/rc" 'tally ' | tr ',' '\n' | grep . | sorted)" \
    "$(fish_offers 'tally ')"
# shellcheck disable=SC2016  # fish expands it
said=$(fish --no-config -c 'source $argv[1]; complete -C "tally "' -- "$completions/tally.fish")
matches "$said" $'(^|\n)scrub\tread everything again'
matches "$said" $'(^|\n)umount\tmake everything durable, then unmount'
[[ ! $said =~ $'\t'[^$'\n']*\[ ]] || fail "a usage stands for a summary: $said"

claim "files and directories, where a path may stand"
mkdir stand
matches "$(fish_offers 'tally check sta')" '^stand/,$'
matches "$(fish_offers 'tally shard add 1 dir:sta')" '^dir:stand/,$'
matches "$(fish_offers 'tally -C sta')" '^stand/,$'
eq "$(timeout 200 zsh "${test_file%/*}/offers.zsh" "$completions" "$W/rc" 'tally check sta' 'tally shard add 1 dir:sta' \
    'tally -C sta' | tr '\n' ' ')" 'stand, dir:stand, stand, '

claim "a name is a name: nothing in it is run"
matches "$(fish_offers 'tally -C mnt drop x')" '^x.*touch.* oh.*,$'
matches "$(fish_offers 'tally -C mnt drop it')" "^it.*s,\$"
zsh "${test_file%/*}/offers.zsh" "$completions" "$W/rc" 'tally -C mnt drop x' 'tally -C mnt drop it' >"$W/said"
matches "$(<"$W/said")" '^x.*touch.* oh.*,'
[[ ! -e oh && ! -e $M/oh ]] || fail "a name was run"
rmdir "$M/x\$(touch oh)" "$M/it's" "$M/dev"
finish
