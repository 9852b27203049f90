#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""File handles by hand: handles.py take PATH | open MOUNT HANDLE | ino MOUNT HANDLE | where MOUNT HANDLE
take prints a handle; open prints what is in the file, or the names in the directory; ino its number; where
the path that the kernel knows; or the errno."""
import ctypes, errno, os, stat, struct, sys

libc = ctypes.CDLL(None, use_errno=True)
ROOM = 128


def check(r):
    if r < 0:
        print(errno.errorcode[ctypes.get_errno()])
        sys.exit(0)
    return r


def take(path):
    h = ctypes.create_string_buffer(struct.pack("=Ii", ROOM, 0), 8 + ROOM)
    check(libc.name_to_handle_at(-100, os.fsencode(path), h, ctypes.byref(ctypes.c_int()), 0))
    size, kind = struct.unpack_from("=Ii", h)
    print(f"{kind:x}:{h.raw[8:8 + size].hex()}")


def opened(mount, text, flags):
    kind, data = text.split(":")
    data = bytes.fromhex(data)
    raw = struct.pack("=Ii", len(data), int(kind, 16)) + data
    at = os.open(mount, os.O_RDONLY | os.O_DIRECTORY)
    return check(libc.open_by_handle_at(at, ctypes.create_string_buffer(raw, len(raw)), flags))


verb, args = sys.argv[1], sys.argv[2:]
if verb == "take":
    take(*args)
elif verb == "open":
    fd = opened(*args, os.O_RDONLY | os.O_NONBLOCK)
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        print(*sorted(os.listdir(fd)))
    else:
        print(os.read(fd, 100).decode(), end="")
else:
    fd = opened(*args, os.O_PATH | os.O_NOFOLLOW)
    print(os.fstat(fd).st_ino if verb == "ino" else os.readlink(f"/proc/self/fd/{fd}"))
