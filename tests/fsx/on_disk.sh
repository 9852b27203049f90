#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# fsx itself: what it expects of a filesystem holds for the one of the temporary directory (ext4,
# say), and it sees bytes that are not as they should be.
set -euo pipefail
dir=$(mktemp -d "${TMPDIR:-/tmp}/fsx-XXXXXX")
trap 'rm -rf "$dir"' EXIT
case $(stat -f -c %T "$dir") in
ext2/ext3 | xfs | btrfs) ;;
*) # tmpfs has no O_DIRECT everywhere, overlayfs no stable inode numbers
    echo "skipped: $dir is on none of ext4, xfs, btrfs"
    exit 77
    ;;
esac
run() { "${FSX:?is the program}" "$@"; }

mkdir "$dir/tree"
run --seed "${SEED:-1}" --ops 10000 --procs 2 --no drop_caches --ext4 --manifest "$dir/manifest" "$dir/tree"
run --verify "$dir/manifest" "$dir/tree"

file=$(find "$dir/tree" -type f -size +1k | head -n 1)
printf changed | dd of="$file" bs=1 seek=500 conv=notrunc status=none
if run --verify "$dir/manifest" "$dir/tree"; then
    echo "a file was changed, and --verify does not see it"
    exit 1
fi
