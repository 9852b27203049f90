# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the tests on a real Ceph and a real radosgw share. To be sourced first, by a test that has set
# `set -euo pipefail`; it needs TALLY. engines_begin starts the servers (ceph.sh).
# shellcheck source=tests/mount/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../mount/lib.sh"
# shellcheck source=tests/engine/ceph.sh
. "$(dirname "${BASH_SOURCE[0]}")/ceph.sh"
[[ $(id -u) -eq 0 ]] || skip "not root"
(exec 3<>/dev/fuse) 2>/dev/null || skip "/dev/fuse does not open"

# The libraries of the engines have threads that end when they like, in the midst of which the search
# for leaks at the end of a daemon crashes. Drivers without these libraries are searched elsewhere.
export ASAN_OPTIONS=detect_leaks=0:handle_sigill=1 DAEMON_ASAN=detect_leaks=0:handle_sigill=1

t() { "$TALLY" -C "$M" "$@"; }
# small_files DIRECTORY - a new one with 300 of them.
small_files() {
    local files=(/usr/include/linux/*.h)
    mkdir "$1"
    cp "${files[@]:0:300}" "$1"
}

engines_begin() {
    claim "a Ceph and a radosgw start"
    ceph_begin
    rgw_begin
    # shellcheck disable=SC2034  # for the tests
    s3_at="endpoint=http://127.0.0.1:$rgw_port"
}
