"""BLAKE3 of up to 1024 bytes (one chunk), which is all that a fingerprint needs.

https://github.com/BLAKE3-team/BLAKE3-specs, section 2.2; Python's standard library has no BLAKE3.
"""

import struct

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
CHUNK_START, CHUNK_END, ROOT = 1, 2, 8
MASK = 0xFFFFFFFF


def blake3(data):
    """The 32-byte hash of `data`."""
    assert len(data) <= 1024, "one chunk only"
    blocks = [data[i : i + 64] for i in range(0, len(data), 64)] or [b""]
    chaining = IV
    for number, block in enumerate(blocks):
        flags = (CHUNK_START if number == 0 else 0) | (CHUNK_END | ROOT if number == len(blocks) - 1 else 0)
        chaining = _compress(chaining, block, flags)
    return struct.pack("<8I", *chaining)


def _compress(chaining, block, flags):
    words = list(struct.unpack("<16I", block.ljust(64, b"\0")))
    v = list(chaining) + list(IV[:4]) + [0, 0, len(block), flags]
    for number in range(7):
        for a, b, c, d, x in (
            (0, 4, 8, 12, 0), (1, 5, 9, 13, 2), (2, 6, 10, 14, 4), (3, 7, 11, 15, 6),
            (0, 5, 10, 15, 8), (1, 6, 11, 12, 10), (2, 7, 8, 13, 12), (3, 4, 9, 14, 14),
        ):
            _mix(v, a, b, c, d, words[x], words[x + 1])
        words = [words[i] for i in PERMUTATION]
    return [v[i] ^ v[i + 8] for i in range(8)]


def _mix(v, a, b, c, d, x, y):
    for word, first, second in ((x, 16, 12), (y, 8, 7)):
        v[a] = (v[a] + v[b] + word) & MASK
        v[d] = _rotate(v[d] ^ v[a], first)
        v[c] = (v[c] + v[d]) & MASK
        v[b] = _rotate(v[b] ^ v[c], second)


def _rotate(word, bits):
    return (word >> bits | word << (32 - bits)) & MASK
