"""The v1 torrent of a shard, computed from PROTOCOL section 2 alone. Shares no code with the product.

Python's standard library only. Nothing here reads more than READ_BYTES of a file at a time.
"""

import hashlib
from collections.abc import Callable, Iterable
from typing import BinaryIO

READ_BYTES = 1024 * 1024
PIECE_BYTES_MIN = 16 * 1024
PIECE_BYTES_MAX = 16 * 1024 * 1024
PIECES_WANTED_MAX = 2048

# The three metadata files, in the order in which they end a torrent.
METADATA_NAMES = ("HASH.json", "STATUS.json", "README.txt")

# A file of a torrent: path relative to the torrent's name, size in bytes, how to open it.
TorrentFile = tuple[str, int, Callable[[], BinaryIO]]


def bencode(value: int | bytes | str | list | dict) -> bytes:
    """BEP 3. Text is UTF-8; keys of a dictionary are sorted as raw bytes."""
    if isinstance(value, bool):
        raise TypeError("bencode has no booleans")
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, list):
        return b"l" + b"".join(bencode(item) for item in value) + b"e"
    if isinstance(value, dict):
        pairs = sorted((key.encode(), item) for key, item in value.items())
        return b"d" + b"".join(bencode(key) + bencode(item) for key, item in pairs) + b"e"
    raise TypeError(f"bencode has no {type(value).__name__}")


def piece_length(total_bytes: int) -> int:
    """The smallest power of two >= 16 KiB that gives <= 2,048 pieces, at most 16 MiB."""
    length = PIECE_BYTES_MIN
    while length < PIECE_BYTES_MAX and -(-total_bytes // length) > PIECES_WANTED_MAX:
        length *= 2
    return length


def torrent_order(dump_paths: Iterable[str], metadata_folder: str) -> list[str]:
    """Dump files in raw-byte order of path; then the three metadata files."""
    dumps = sorted(dump_paths, key=lambda path: path.encode())
    return dumps + [f"{metadata_folder}/{name}" for name in METADATA_NAMES]


def piece_hashes(files: list[TorrentFile], length: int) -> bytes:
    """The SHA-1 of every piece of the files' bytes laid end to end, without padding."""
    hashes = b""
    piece, filled = hashlib.sha1(), 0
    for path, size, opened in files:
        read = 0
        with opened() as stream:
            while block := stream.read(min(READ_BYTES, length - filled)):
                piece.update(block)
                read += len(block)
                filled += len(block)
                if filled == length:
                    hashes += piece.digest()
                    piece, filled = hashlib.sha1(), 0
        if read != size:
            raise ValueError(f"{path}: {read} bytes read, {size} expected")
    return hashes + piece.digest() if filled else hashes


def info_dictionary(name: str, files: list[TorrentFile]) -> dict:
    """`files` in torrent order -> the info dictionary, with exactly its four keys."""
    length = piece_length(sum(size for _, size, _ in files))
    return {
        "files": [{"length": size, "path": path.split("/")} for path, size, _ in files],
        "name": name,
        "piece length": length,
        "pieces": piece_hashes(files, length),
    }


def infohash(info: dict) -> str:
    return hashlib.sha1(bencode(info)).hexdigest()


def value_end(data: bytes, start: int, depth: int = 0) -> int:
    """Where the bencoded value that begins at `start` ends. ValueError when there is none."""
    if depth > 16:
        raise ValueError("bencode nested too deep")
    kind = data[start : start + 1]
    if kind == b"i":
        return data.index(b"e", start) + 1
    if kind in (b"l", b"d"):
        at = start + 1
        while data[at : at + 1] != b"e":
            at = value_end(data, at, depth + 1)
        return at + 1
    colon = data.index(b":", start, start + 12)
    end = colon + 1 + int(data[start:colon])
    if end > len(data):
        raise ValueError("bencode cut short")
    return end


def infohash_of_torrent(data: bytes) -> str:
    """The infohash of a .torrent file, from the exact bytes of its info value."""
    if data[:1] != b"d":
        raise ValueError("not a bencoded dictionary")
    at = 1
    while data[at : at + 1] != b"e":
        key_end = value_end(data, at)
        end = value_end(data, key_end)
        if data[at:key_end] == b"4:info":
            return hashlib.sha1(data[key_end:end]).hexdigest()
        at = end
    raise ValueError("no info dictionary")
