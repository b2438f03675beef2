"""What lies on the disks: upstream's files in the world's dumps folder, and each node's copy of them.

Everything is hashed here, from the bytes; nothing is believed. Shares no code with the product.
"""

import hashlib
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import torrent

METADATA_BYTES_MAX = 16 * 1024 * 1024
# Above these a run is cut into parts (PROTOCOL 1), which this script does not judge.
RUN_BYTES_MAX = 20 * 1024**3
RUN_FILES_MAX = 2000
BUNDLE_VERSION = 1

WIKI = re.compile(r"[a-z0-9_]+")
DATE = re.compile(r"\d{8}")
METADATA_FOLDER = re.compile(r"wikiseed-[0-9a-f]{8}")
NOT_DUMPS = re.compile(r"(?:.*(?:\.inprog|\.truncated|\.empty|-tmp)|(?:md5|sha1)sums\.(?:txt|json))")


class CannotJudge(Exception):
    """Something that this script needs is missing or not understood."""


@dataclass(frozen=True)
class Digests:
    """One file's bytes: their number and hashes, lower-case hex."""

    size: int
    md5: str
    sha1: str
    sha256: str


@dataclass
class Run:
    """One run upstream. `files`: path relative to the torrent's name (`<date>/<file>`) -> its bytes."""

    wiki: str
    date: str
    files: dict[str, Digests] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return f"dumps/{self.wiki}/{self.date}"

    @property
    def size(self) -> int:
        return sum(digests.size for digests in self.files.values())


@dataclass
class Copy:
    """One node's copy of one run. It is full when there are no problems; then the torrent's facts are set."""

    node: str
    operator: str
    problems: list[str] = field(default_factory=list)
    started: bool = False
    infohash: str | None = None
    torrent_size: int = 0
    metadata: dict[str, Digests] = field(default_factory=dict)

    @property
    def full(self) -> bool:
        return self.infohash is not None and not self.problems


def digest(path: Path) -> Digests:
    md5, sha1, sha256 = hashlib.md5(), hashlib.sha1(), hashlib.sha256()
    size = 0
    with open(path, "rb") as stream:
        while block := stream.read(torrent.READ_BYTES):
            size += len(block)
            for algorithm in (md5, sha1, sha256):
                algorithm.update(block)
    return Digests(size, md5.hexdigest(), sha1.hexdigest(), sha256.hexdigest())


def names_in(folder: Path) -> list[str]:
    return sorted(os.listdir(folder)) if folder.is_dir() else []


def upstream_runs(dumps: Path) -> list[Run]:
    """Every run in the world's dumps folder, `<wiki>/<date>/<wiki>-<date>-...`, without checksum and working files."""
    if not dumps.is_dir():
        raise CannotJudge(f"no dumps folder at {dumps}")
    runs = []
    for wiki in filter(WIKI.fullmatch, names_in(dumps)):
        for date in filter(DATE.fullmatch, names_in(dumps / wiki)):
            run, start = Run(wiki, date), f"{wiki}-{date}-"
            for name in names_in(dumps / wiki / date):
                rest = name.removeprefix(start)
                path = dumps / wiki / date / name
                if rest != name and not NOT_DUMPS.fullmatch(rest) and path.is_file():
                    run.files[f"{date}/{name}"] = digest(path)
            if run.size > RUN_BYTES_MAX or len(run.files) > RUN_FILES_MAX:
                raise CannotJudge(f"{run.id} is cut into parts; this script judges whole runs only")
            if run.files:
                runs.append(run)
    if not runs:
        raise CannotJudge(f"no runs in {dumps}")
    return runs


def difference(wanted: Digests, found: Digests) -> str | None:
    """What differs, in words; None when the bytes are the same."""
    if wanted.size != found.size:
        return f"{found.size} bytes, wanted {wanted.size}"
    wrong = [name for name in ("md5", "sha1", "sha256") if getattr(wanted, name) != getattr(found, name)]
    return f"{', '.join(wrong)} differ" if wrong else None


def listed_in_hash_json(path: Path, run_id: str) -> dict[str, Digests]:
    """`{"files": {path: {md5, sha1, sha256, size}}, "shard": id, "version": 1}`, canonical -> path -> what it says.

    Paths are relative to the torrent's name. ValueError when it is anything else.
    """
    if path.stat().st_size > METADATA_BYTES_MAX:
        raise ValueError("too long")
    text = path.read_bytes()
    data = json.loads(text)
    # RFC 8785 of what is in it (ASCII names, integers) plus a line feed.
    if text != json.dumps(data, sort_keys=True, separators=(",", ":")).encode() + b"\n":
        raise ValueError("not canonical")
    try:
        if (data["shard"], data["version"]) != (run_id, BUNDLE_VERSION):
            raise ValueError(f"of {data['shard']}, version {data['version']}")
        return {name: Digests(**row) for name, row in data["files"].items()}
    except (AttributeError, KeyError, TypeError) as problem:
        raise ValueError(f"shape not understood ({problem!r})") from None


def hash_json_problems(path: Path, run_id: str, disk: dict[str, Digests]) -> list[str]:
    """Where HASH.json and the disk disagree."""
    try:
        listed = listed_in_hash_json(path, run_id)
    except (OSError, ValueError) as problem:
        return [f"HASH.json: {problem}"]
    problems = [f"HASH.json lacks {name}" for name in sorted(disk.keys() - listed.keys())]
    problems += [f"HASH.json names {name}, which is not upstream's" for name in sorted(listed.keys() - disk.keys())]
    for name in sorted(disk.keys() & listed.keys()):
        differs = difference(disk[name], listed[name])
        if differs:
            problems.append(f"HASH.json on {name}: {differs}")
    return problems


def shard_digest(run: Run, status_json: bytes) -> str:
    """PROTOCOL 1: rows of path, size and upstream's md5 and sha1; STATUS.json; the bundle version."""
    rows = "".join(
        f"{path}\t{digests.size}\tmd5:{digests.md5},sha1:{digests.sha1}\n"
        for path, digests in sorted(run.files.items(), key=lambda pair: pair[0].encode())
    )
    ending = f"bundle-version\t{BUNDLE_VERSION}\n"
    return hashlib.sha256(rows.encode() + status_json + ending.encode()).hexdigest()


def node_copy(node: str, operator: str, mirror: Path, run: Run) -> Copy:
    """Reads one node's copy of a run whole: the bytes against upstream's, HASH.json against the bytes, the torrent."""
    copy = Copy(node, operator)
    base = mirror / run.wiki
    disk = {}
    for name, wanted in run.files.items():
        path = base / name
        if path.is_symlink() or not path.is_file():
            copy.problems.append(f"{name}: a link, not a file" if path.is_symlink() else f"{name}: missing")
            continue
        copy.started = True
        disk[name] = digest(path)
        differs = difference(wanted, disk[name])
        if differs:
            copy.problems.append(f"{name}: {differs}")
    if len(disk) < len(run.files):
        return copy

    folders = [name for name in names_in(base / run.date) if METADATA_FOLDER.fullmatch(name)]
    if len(folders) != 1:
        copy.problems.append(f"{len(folders)} metadata folders, wanted 1" if folders else "no metadata folder")
        return copy
    metadata = f"{run.date}/{folders[0]}"
    for name in torrent.METADATA_NAMES:
        path = base / metadata / name
        if path.is_symlink() or not path.is_file():
            copy.problems.append(f"{metadata}/{name}: missing")
            return copy
        copy.metadata[f"{metadata}/{name}"] = digest(path)
    status = base / metadata / "STATUS.json"
    if status.stat().st_size > METADATA_BYTES_MAX:
        copy.problems.append("STATUS.json: too long")
        return copy
    shard = shard_digest(run, status.read_bytes())
    if folders[0] != f"wikiseed-{shard[:8]}":
        copy.problems.append(f"{metadata}: the shard digest is {shard}")
    copy.problems += hash_json_problems(base / metadata / "HASH.json", run.id, disk)

    sizes = {name: digests.size for name, digests in (disk | copy.metadata).items()}
    ordered = torrent.torrent_order(run.files, metadata)
    files = [(name, sizes[name], lambda name=name: open(base / name, "rb")) for name in ordered]
    copy.infohash = torrent.infohash(torrent.info_dictionary(run.wiki, files))
    copy.torrent_size = sum(sizes.values())
    return copy
