#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Nobody reads or changes what owner and mode forbid, and everybody may what they allow: as on ext4,
# for files and directories of many modes. Many users at once in one set-gid directory.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
begin_compare
mkdir "$E/modes" "$M/main/modes"
chmod 755 "$E" "$E/modes" "$M/main/modes"

claim "every operation by owner, group, supplementary group and others says and leaves what ext4 does"
# One seed, so that a red test is red again; SEED=… draws others. Known to differ, and not drawn
# in 30,000 operations: when another user has set the times of a file with set-id bits, the kernel
# allows a link(2) of it by who may read and write it, until it asks for the mode again
# (mode_unchanged).
"${test_file%/*}/users_modes.py" "${SEED:-1}" "$E/modes" "$M/main/modes"

claim "many users at once in a set-gid directory: each file is its maker's and the group's, none is lost"
mkdir -m 2775 "$M/main/shared"
chgrp 2000 "$M/main/shared"
python3 - "$M/main/shared" <<'END'
import os, sys
os.chdir(sys.argv[1])
children = []
for uid in range(1000, 1012):
    pid = os.fork()
    if pid == 0:
        os.setgroups([2000])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        os.umask(0o002)
        os.mkdir(f"d{uid}")
        for i in range(60):
            with open(f"f{uid}-{i}", "w") as f:
                f.write(f"{uid} {i}\n")
            with open("log", "a") as f: # whoever is first makes it, for the group
                f.write(f"{uid} {i}\n")
            os.rename(f"f{uid}-{i}", f"d{uid}/g{i}")
        os._exit(0)
    children.append(pid)
assert all(os.waitpid(pid, 0)[1] == 0 for pid in children)
for uid in range(1000, 1012):
    st = os.stat(f"d{uid}")
    assert (st.st_uid, st.st_gid, st.st_mode & 0o7777) == (uid, 2000, 0o2775), st
    for i in range(60):
        st = os.stat(f"d{uid}/g{i}")
        assert (st.st_uid, st.st_gid, st.st_mode & 0o7777) == (uid, 2000, 0o664), st
        assert open(f"d{uid}/g{i}").read() == f"{uid} {i}\n"
assert len(open("log").readlines()) == 12 * 60
END

claim "modes, owners and groups are the same after a remount"
cd /
before=$(find "$M/main/shared" -printf '%P %u %g %m %s\n' | sort | sha256sum)
unmount_store
mount_store
eq "$(find "$M/main/shared" -printf '%P %u %g %m %s\n' | sort | sha256sum)" "$before"
finish
