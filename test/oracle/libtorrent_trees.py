"""Infohashes that libtorrent computes for many trees: `libtorrent_trees.py < [{parent, name, pieceLengthBytes, files}]`, one a line.

An oracle: shares no code with the product. `files` are paths below `<parent>/<name>`, in the order of the torrent. libtorrent reads
and hashes the files itself.
"""

import hashlib
import json
import os
import sys

import libtorrent


def infohash(tree: dict) -> str:
    storage = libtorrent.file_storage()
    for path in tree["files"]:
        relative = f"{tree['name']}/{path}"
        storage.add_file(relative, os.path.getsize(os.path.join(tree["parent"], relative)))
    torrent = libtorrent.create_torrent(storage, tree["pieceLengthBytes"], flags=libtorrent.create_torrent.v1_only)
    libtorrent.set_piece_hashes(torrent, tree["parent"])
    return hashlib.sha1(libtorrent.bencode(torrent.generate()[b"info"])).hexdigest()


def main() -> None:
    for tree in json.load(sys.stdin):
        print(infohash(tree))


main()
