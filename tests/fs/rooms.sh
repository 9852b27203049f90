#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The rooms of fs/: each header compiles alone with the include directories of its room and those
# below, none of a higher room is found from there, and each README names each file of its room, and
# says the rooms below that meson.build has.
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/../.."

rooms=(base transport cache tally ops .) # from the bottom; each stands on all before it; .: fs/ itself
bad=0
wrong() {
    printf '%s\n' "$*" >&2
    bad=1
}

# What can be seen from a room: itself, the rooms below, core.
flags=(-std=c17 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -fsyntax-only -x c)
for dir in $(find core -name '*.h' -printf '%h\n' | sort -u); do
    flags+=("-I$dir")
done
read -ra fuse <<<"$(pkg-config --cflags fuse3)"
flags+=("${fuse[@]}")

below=() dep='fs_below'
for room in "${rooms[@]}"; do
    flags+=("-Ifs/$room")
    for header in fs/"$room"/*.h; do
        "${CC:-cc}" "${flags[@]}" -include stddef.h /dev/null -include "$header" ||
            wrong "$header does not compile alone, with only the rooms below it"
    done

    readme=fs/$room/README.md
    stands=${below[*]:-core}
    grep -qxF "Stands on: ${stands// /, }." "$readme" || wrong "$readme: 'Stands on: ${stands// /, }.' is missing"
    links=$(sed -n 's/.*dependencies: \[*\([a-z_]*\)]*)$/\1/p' "fs/$room/meson.build" | sort -u)
    [[ $links == "$dep" ]] || wrong "fs/$room/meson.build stands on" $links", not $dep"
    for file in fs/"$room"/*.[ch]; do
        name=$(basename "${file%.*}")
        grep -qE "\`$name(\.h)?\`" "$readme" || [[ $name == *_impl ]] || wrong "$readme does not name $name"
    done
    dep=fs_${room}_dep
    below+=("$room")
done

# Nothing of a higher room is found.
seen=("${flags[@]}")
for ((i = ${#rooms[@]} - 1; i > 0; i--)); do
    for ((j = 0; j < ${#seen[@]}; j++)); do
        [[ ${seen[j]} != -Ifs/${rooms[i]} ]] || unset 'seen[j]'
    done
    seen=("${seen[@]}")
    for header in fs/"${rooms[i]}"/*.h; do
        if echo "#include \"$(basename "$header")\"" | "${CC:-cc}" "${seen[@]}" - 2>/dev/null; then
            wrong "$header is found from fs/${rooms[i - 1]}"
        fi
    done
done
exit "$bad"
