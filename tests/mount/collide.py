#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Files that all have one id, made with the store's own secret.

    collide.py make STORE DIR FIRST COUNT   write files FIRST … in DIR, 512 bytes each
    collide.py same STORE DIR FIRST COUNT   has each the bytes that it was written with?

XXH3 of more than 240 bytes multiplies the low half of each word, keyed, with its high half: where
the low half is the key's, the product is 0 whatever the high half is, and two high halves that cancel
each other in the sum leave no trace.
"""
import os
import struct
import sys

LABEL = b"test/collide\0"
SECRET, LABEL_AT = 24, 216  # in the record `identity`: FORMAT.md, section 3


def secret_words(store):
    data = open(os.path.join(store, "kv", "data.mdb"), "rb").read()
    at = data.find(b"identity")
    while at >= 0:
        value = at + len(b"identity")
        if data[value + LABEL_AT : value + LABEL_AT + len(LABEL)] == LABEL:
            return struct.unpack_from("<2Q", data, value + SECRET)
        at = data.find(b"identity", at + 1)
    sys.exit("the store's secret is not found")


def content(words, i):
    up, down = i + 1 << 32, (-(i + 1) & 0xFFFFFFFF) << 32
    b = bytearray(512)
    struct.pack_into("<Q", b, 0, up | words[0] & 0xFFFFFFFF)
    struct.pack_into("<Q", b, 64, down | words[1] & 0xFFFFFFFF)
    return bytes(b)


def main():
    what, store, where, first, count = sys.argv[1:]
    words = secret_words(store)
    for i in range(int(first), int(first) + int(count)):
        path = os.path.join(where, f"c{i:06}")
        if what == "make":
            with open(path, "wb") as f:
                f.write(content(words, i))
        elif open(path, "rb").read() != content(words, i):
            sys.exit(f"{path} has other bytes")


main()
