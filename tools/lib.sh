# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What quickstart and check share.

# What every build needs. libarchive and libseccomp are for tools/bulk, which reads and writes
# archives, ncurses and libmicrohttpd for tools/observe.
# shellcheck disable=SC2034  # used by those who source this
build_packages=(build-essential meson ninja-build pkg-config libfuse3-dev fuse3 liblmdb-dev
    libxxhash-dev libzstd-dev libjansson-dev libssl-dev libarchive-dev libseccomp-dev libncurses-dev libmicrohttpd-dev)
# What the drivers of storage engines need beside that: S3, and Ceph's RADOS.
# shellcheck disable=SC2034  # used by those who source this
engine_packages=(libcurl4-openssl-dev libexpat1-dev librados-dev)
# What tools/package needs beside both.
# shellcheck disable=SC2034  # used by those who source this
package_packages=(debhelper dpkg-dev fakeroot lintian)

say() {
    printf '%s\n' "$*"
}

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

as_root() {
    if [[ $(id -u) -eq 0 ]]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "needs root, or sudo, for: $*"
    fi
}

# install_packages NAME… - those that are missing; asks the network only if some are.
install_packages() {
    local name missing=()
    command -v dpkg-query >/dev/null ||
        die "this is made for Debian 12; elsewhere install by hand: $*"
    for name in "$@"; do
        dpkg-query -W -f='${db:Status-Status}\n' "$name" 2>/dev/null | grep -qx installed ||
            missing+=("$name")
    done
    [[ ${#missing[@]} -eq 0 ]] && return
    say "installing ${missing[*]}"
    as_root apt-get update -q </dev/null
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends \
        "${missing[@]}" </dev/null
}

# setup_build DIRECTORY MESON_OPTION… - once; later calls leave it as it is.
setup_build() {
    local dir=$1
    shift
    [[ -f $dir/build.ninja ]] || meson setup "$dir" "$@"
}
