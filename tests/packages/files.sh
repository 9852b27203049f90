#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The packages have what `meson install` puts, and are built from what tools/lib.sh says.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/../mount/lib.sh"
# shellcheck source=tests/packages/install_lib.sh
. "$(dirname "$0")/install_lib.sh"
needs meson python3
debian=$top/tools/debian
install_into "$W/dest"
# As with the prefix /usr, which the packages have.
prefix=$(prefix)
(cd "$W/dest" && find . ! -type d -printf '%P\n') | sed "s|^${prefix#/}/|usr/|; s|^sbin/|usr/sbin/|; \
    s|zsh/site-functions/|zsh/vendor-completions/|" | sort >"$W/files"

claim "each file that is installed is in the package, and each line of the package's list has a file"
[[ $(wc -l <"$W/files") -ge 80 ]] || fail "only $(wc -l <"$W/files") files are installed"
mapfile -t patterns <"$debian/tallyfs.install"
used=()
while read -r file; do
    found=
    for i in "${!patterns[@]}"; do
        # shellcheck disable=SC2053  # it is a pattern
        [[ $file == ${patterns[i]} ]] || continue
        found=yes used[i]=yes
    done
    [[ -n $found ]] || fail "$file is installed, and not in tallyfs.install"
done <"$W/files"
for i in "${!patterns[@]}"; do
    [[ -n ${used[i]-} ]] || fail "${patterns[i]} is in tallyfs.install, and nothing like that is installed"
done

claim "each unit, completion and man page of the tree is installed"
for file in "$top"/tools/{units,completions,man,modprobe}/*; do
    grep -q "/${file##*/}\$" "$W/files" || fail "${file#"$top"/} is not installed"
done

claim "the helpers of mount(8) and umount(8) lead to the program"
helpers=$(cd "$W/dest" && find . -name '*mount.fuse.tally' -type l)
eq "$(wc -l <<<"$helpers")" 2
for helper in $helpers; do
    eq "$(readlink "$W/dest/$helper")" "$prefix/bin/tally"
done

claim "what the build needs is in Build-Depends"
# shellcheck source=tools/lib.sh
. "$top/tools/lib.sh"
depends=$(sed -n '/^Build-Depends:/,/^[A-Z].*:/p' "$debian/control")
for name in "${build_packages[@]}" "${engine_packages[@]}"; do
    [[ $name == build-essential || $name == fuse3 ]] || grep -qE "(^| )$name( |,|\$)" <<<"$depends" ||
        fail "$name is in tools/lib.sh, and not in Build-Depends of tools/debian/control"
done

claim "the changelog is of the version of meson.build"
eq "$(sed -n '1s/^tallyfs (\(.*\)) .*/\1/p' "$debian/changelog")" \
    "$(sed -n "s/^  version: '\([^']*\)'.*/\1/p" "$top/meson.build")"

claim "tools/package refuses what it does not know, and says how it is called"
matches "$("$top/tools/package" --help)" '^usage: package \[OUTDIR\]'
fails "$top/tools/package" --fast
fails "$top/tools/package" one two
