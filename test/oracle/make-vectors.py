#!/usr/bin/env python3
"""Makes test/vectors/torrents.json, the golden vectors of PROTOCOL section 2.

    python3 test/oracle/make-vectors.py            write the file; needs mktorrent 1.1
    python3 test/oracle/make-vectors.py --check    compute again; exit 1 when the file says otherwise

The infohash is computed by torrent.py beside this script, and `create-torrent` computes it too in
test/unit/vectors.test.ts. What mktorrent 1.1 can say is less: it sorts whole paths by itself, so README.txt comes before
STATUS.json and wikis after "wikiseed-" in the alphabet come after their metadata, and it knows no piece length below 32 KiB.
So `mktorrent` of a vector is
- `infohash`: it gave this infohash from the folder as it is;
- `pieces`: it gave the same pieces from the same bytes under names that sort in torrent order;
- `none`: it has no such piece length.
"""

import hashlib
import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
import torrent  # noqa: E402

HERE = Path(__file__).resolve().parent
VECTORS = HERE.parent / "vectors" / "torrents.json"
FIXTURES = HERE.parent / "fixtures"
REPEAT = 512
MIB = 1024 * 1024

ABOUT = [
    "Golden vectors of deterministic torrents (PROTOCOL section 2). Made by test/oracle/make-vectors.py.",
    "Each vector: `name` of the torrent, `files` in torrent order with `path` relative to that name, `sizeBytes`,",
    "and `content`: {fixture: path under test/fixtures} | {text: UTF-8} | {counter: seed}.",
    "counter: block i = sha256 of the ASCII text `<seed>:<i>` (i = 0, 1, 2, ... in decimal), its 32 bytes repeated 512",
    "times (16,384 bytes); the blocks laid end to end and cut at sizeBytes.",
    "Expected: pieceLengthBytes, pieceCount, piecesSha1 (sha1 of the `pieces` value), infoBytes (length of the bencoded",
    "info dictionary), infohash. mktorrent: what mktorrent 1.1 confirmed (infohash, pieces or none).",
]


def counter_bytes(seed: str, size: int) -> bytes:
    blocks = -(-size // (32 * REPEAT))
    return b"".join(hashlib.sha256(f"{seed}:{i}".encode()).digest() * REPEAT for i in range(blocks))[:size]


def content_bytes(file: dict) -> bytes:
    content = file["content"]
    if "fixture" in content:
        return (FIXTURES / content["fixture"]).read_bytes()
    if "text" in content:
        return content["text"].encode()
    return counter_bytes(content["counter"], file["sizeBytes"])


def metadata(date: str, digest: str, title: str) -> list[dict]:
    """Three given texts: what a torrent does with their bytes is tested here, not what they say."""
    texts = {
        "HASH.json": '{"vector":"%s"}\n' % title,
        "STATUS.json": '{"jobs":{}}\n',
        "README.txt": f"A test vector: {title}. Nothing to import.\n",
    }
    return [
        {"path": f"{date}/wikiseed-{digest}/{name}", "sizeBytes": len(texts[name].encode()), "content": {"text": texts[name]}}
        for name in torrent.METADATA_NAMES
    ]


def fixture_vector(wiki: str, date: str, digest: str) -> dict:
    folder = FIXTURES / "dumps" / wiki / date
    title = f"{wiki} {date}"
    paths = torrent.torrent_order([f"{date}/{file.name}" for file in folder.iterdir()], f"{date}/wikiseed-{digest}")[:-3]
    files = [
        {
            "path": path,
            "sizeBytes": (FIXTURES / "dumps" / wiki / path).stat().st_size,
            "content": {"fixture": f"dumps/{wiki}/{path}"},
        }
        for path in paths
    ]
    return {"title": title, "name": wiki, "files": files + metadata(date, digest, title)}


def synthetic_vector(title: str, wiki: str, date: str, digest: str | None, names: list[str], total_bytes: int) -> dict:
    """Files of 1, 2, ... shares of the total, the last one filling up to exactly total_bytes, metadata included."""
    ending = metadata(date, digest, title) if digest else []
    room = total_bytes - sum(file["sizeBytes"] for file in ending)
    share = room // sum(range(1, len(names) + 1))
    sizes = [share * (i + 1) for i in range(len(names) - 1)]
    sizes.append(room - sum(sizes))
    ordered = sorted(names, key=lambda name: name.encode())
    files = [
        {"path": f"{date}/{name}", "sizeBytes": size, "content": {"counter": f"{title}/{name}"}}
        for name, size in zip(ordered, sizes, strict=True)
    ]
    return {"title": title, "name": wiki, "files": files + ending}


def bundle_vector(cycle: str, runs: list[dict], second: bool = False) -> dict:
    """A cycle bundle: every run whole, the torrent's name before each path, in raw-byte order of the first of them."""
    trees = [[file | {"path": f"{run['name']}/{file['path']}"} for file in run["files"]] for run in runs]
    trees.sort(key=lambda files: files[0]["path"].encode())
    name = f"wikiseed-{cycle}" + ("~2" if second else "")
    return {"title": f"cycle bundle {name}", "name": name, "files": [file for files in trees for file in files]}


def vectors() -> list[dict]:
    """Three fixture runs, synthetic trees on both sides of the first step of the piece length, and cycle bundles."""
    ranges = [
        "zuwiki-20240229-pages-articles1.xml-p1p9.bz2",
        "zuwiki-20240229-pages-articles1.xml-p10p99.bz2",
        "zuwiki-20240229-pages-articles10.xml-p100p999.bz2",
        "zuwiki-20240229-pages-articles-multistream.xml.bz2",
        "zuwiki-20240229-pages-articles.xml.bz2",
        "zuwiki-20240229-Upper.sql.gz",
        "zuwiki-20240229-under_score.sql.gz",
    ]
    plain = [f"abwiki-20240229-{table}.sql.gz" for table in ("page", "pagelinks", "page_props", "category")]
    return [
        fixture_vector("htwiki", "20260101", "0a1b2c3d"),
        fixture_vector("aawiki", "20260101", "00000000"),
        fixture_vector("fatwiki", "20240920", "ffffffff"),
        synthetic_vector("exactly 2,048 pieces of 16 KiB", "zuwiki", "20240229", "12345678", ranges, 32 * MIB),
        synthetic_vector("one byte more: pieces of 32 KiB", "zuwiki", "20240229", "12345678", ranges, 32 * MIB + 1),
        synthetic_vector("no metadata, pieces of 32 KiB", "abwiki", "20240229", None, plain, 33 * MIB + 12345),
        bundle_vector("2026-01", [fixture_vector("htwiki", "20260101", "0a1b2c3d"), fixture_vector("aawiki", "20260101", "00000000")]),
        bundle_vector(
            "2024-02",
            [
                synthetic_vector("zuwiki in a bundle", "zuwiki", "20240229", "12345678", ranges, 40 * MIB),
                synthetic_vector("abwiki in a bundle", "abwiki", "20240229", "87654321", plain, 9 * MIB + 1),
            ],
            second=True,
        ),
    ]


def expect(vector: dict) -> tuple[dict, bytes]:
    data = [(file, content_bytes(file)) for file in vector["files"]]
    files = [(file["path"], len(body), lambda body=body: io.BytesIO(body)) for file, body in data]
    info = torrent.info_dictionary(vector["name"], files)
    expected = {
        "pieceLengthBytes": info["piece length"],
        "pieceCount": len(info["pieces"]) // 20,
        "piecesSha1": hashlib.sha1(info["pieces"]).hexdigest(),
        "infoBytes": len(torrent.bencode(info)),
        "infohash": torrent.infohash(info),
    }
    return expected, info["pieces"]


def run_mktorrent(root: Path, length: int, out: Path) -> bytes:
    command = ["mktorrent", "-d", "-t", "1", "-l", str(length.bit_length() - 1), "-a", "http://localhost/", "-o", out, root]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=120)
    return out.read_bytes()


def ask_mktorrent(vector: dict, expected: dict, pieces: bytes) -> str:
    if expected["pieceLengthBytes"] < 32 * 1024:
        return "none"
    with tempfile.TemporaryDirectory() as folder:
        as_is, in_order = Path(folder) / vector["name"], Path(folder) / "in-order"
        in_order.mkdir()
        for number, file in enumerate(vector["files"]):
            target = as_is / file["path"]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content_bytes(file))
            (in_order / f"{number:04}").hardlink_to(target)
        made = run_mktorrent(as_is, expected["pieceLengthBytes"], Path(folder) / "as-is.torrent")
        if torrent.infohash_of_torrent(made) == expected["infohash"]:
            return "infohash"
        made = run_mktorrent(in_order, expected["pieceLengthBytes"], Path(folder) / "in-order.torrent")
        if torrent.bencode("pieces") + torrent.bencode(pieces) in made:
            return "pieces"
    raise SystemExit(f"{vector['title']}: mktorrent computed other pieces")


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--check"]):
        print(__doc__)
        return 1
    if arguments:
        wrong = 0
        for vector in json.loads(VECTORS.read_text())["vectors"]:
            expected, _ = expect(vector)
            for key, value in expected.items():
                if vector["expected"][key] != value:
                    print(f"{vector['title']}: {key} is {vector['expected'][key]}, computed {value}")
                    wrong = 1
        return wrong
    made = []
    for vector in vectors():
        expected, pieces = expect(vector)
        made.append(vector | {"expected": expected, "mktorrent": ask_mktorrent(vector, expected, pieces)})
    VECTORS.write_text(json.dumps({"about": ABOUT, "vectors": made}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
