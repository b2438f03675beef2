"""Infohash that libtorrent computes for files in a given order: `libtorrent_infohash.py NAME < [{relative, absolute}]`.

An oracle: shares no code with the product. The piece length follows PROTOCOL 2: the smallest power of two from 16 KiB up
that gives at most 2,048 pieces, at most 16 MiB.
"""
import hashlib
import json
import os
import sys

import libtorrent


def main() -> None:
    name = sys.argv[1]
    files = json.load(sys.stdin)
    total = sum(os.path.getsize(one["absolute"]) for one in files)
    piece_length = 16 * 1024
    while piece_length < 16 * 1024 * 1024 and -(-total // piece_length) > 2048:
        piece_length *= 2
    storage = libtorrent.file_storage()
    for one in files:
        storage.add_file(name + "/" + one["relative"], os.path.getsize(one["absolute"]))
    torrent = libtorrent.create_torrent(storage, piece_length, flags=libtorrent.create_torrent.v1_only)
    content = b"".join(open(one["absolute"], "rb").read() for one in files)
    for index in range(torrent.num_pieces()):
        piece = content[index * piece_length : (index + 1) * piece_length]
        torrent.set_hash(index, hashlib.sha1(piece).digest())
    info = libtorrent.bencode(torrent.generate()[b"info"])
    print(hashlib.sha1(info).hexdigest())


main()
