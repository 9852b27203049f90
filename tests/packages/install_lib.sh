# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For tests of what is installed: after tests/mount/lib.sh.
# shellcheck disable=SC2034,SC2154  # top is for the tests, and test_file from there
top=$(realpath "${test_file%/*}/../..")
: "${BUILD:?is the build directory}"

# install_into DIRECTORY - what `meson install` puts, below that directory.
install_into() {
    meson install -C "$BUILD" --no-rebuild --quiet --destdir "$1" >"$W/installed" 2>&1 || fail "$(<"$W/installed")"
}
# The prefix of the build, in which `meson install` puts most of it.
prefix() {
    meson introspect --buildoptions "$BUILD" | python3 -IS -c '
import json, sys
print(next(o["value"] for o in json.load(sys.stdin) if o["name"] == "prefix"))'
}
