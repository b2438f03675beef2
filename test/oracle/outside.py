"""What is seen over HTTP and in the world's log: the Internet Archive's metadata, the access log, the coordinator's claims.

Shares no code with the product. Every answer and every line read has a bound.
"""

import json
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import torrent
from disks import CannotJudge, Digests, Run, names_in

ANSWER_BYTES_MAX = 64 * 1024 * 1024
LINE_BYTES_MAX = 1024 * 1024
TORRENT_BYTES_MAX = 16 * 1024 * 1024
TIMEOUT_SECONDS = 15

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get_json(url: str) -> object:
    request = urllib.request.Request(url, headers={"User-Agent": "wikiseed-oracle/1"})
    try:
        with OPENER.open(request, timeout=TIMEOUT_SECONDS) as answer:
            data = answer.read(ANSWER_BYTES_MAX + 1)
        if len(data) > ANSWER_BYTES_MAX:
            raise CannotJudge(f"{url}: more than {ANSWER_BYTES_MAX} bytes")
        return json.loads(data)
    except (OSError, ValueError) as problem:
        raise CannotJudge(f"{url}: {problem}") from None


def archive_items(archive_url: str, state_dir: Path) -> dict[str, dict[str, dict]]:
    """Item name -> file name -> row, as the metadata API gives them. A withdrawn or missing item has no rows."""
    items = {}
    for item in names_in(state_dir / "archive"):
        if item.startswith(".") or not (state_dir / "archive" / item).is_dir():
            continue
        metadata = get_json(f"{archive_url.rstrip('/')}/metadata/{quote(item)}")
        rows = metadata.get("files", []) if isinstance(metadata, dict) and not metadata.get("is_dark") else []
        items[item] = {row["name"]: row for row in rows if isinstance(row, dict) and isinstance(row.get("name"), str)}
    return items


def row_agrees(row: dict, wanted: Digests) -> bool:
    """Sizes are strings there (the API's own habit), hashes lower-case hex."""
    return (str(row.get("size")), row.get("md5"), row.get("sha1")) == (str(wanted.size), wanted.md5, wanted.sha1)


def archived_in(items: dict[str, dict[str, dict]], wanted: dict[str, Digests]) -> tuple[str | None, list[str]]:
    """The item that holds every file under a name that ends with its path, with right size, md5 and sha1.

    Also the problems of items that hold some of the files, when none holds all.
    """
    problems = []
    for item, rows in sorted(items.items()):
        matches = {
            path: [row for name, row in rows.items() if name == path or name.endswith(f"/{path}")] for path in wanted
        }
        if not any(matches.values()):
            continue
        bad = [
            f"archive item {item}: {path} {'differs' if found else 'is missing'}"
            for path, found in sorted(matches.items())
            if not any(row_agrees(row, wanted[path]) for row in found)
        ]
        if not bad:
            return item, []
        problems += bad
    return None, problems


@dataclass
class Origin:
    """What the world's Wikimedia sent of the dump files, by its own log."""

    bytes: int = 0
    requests: int = 0
    by_user_agent: dict[str, int] = field(default_factory=dict)


def origin(log_file: Path, runs: list[Run]) -> Origin:
    """Sums the answers 200 and 206 for dump files. A last line without its line feed is still being written."""
    dump_paths = {f"/{run.wiki}/{path}" for run in runs for path in run.files}
    found = Origin()
    try:
        stream = open(log_file, "rb")
    except OSError as problem:
        raise CannotJudge(f"the world's log: {problem}") from None
    with stream:
        number = 0
        while line := stream.readline(LINE_BYTES_MAX):
            number += 1
            if not line.endswith(b"\n"):
                if len(line) == LINE_BYTES_MAX:
                    raise CannotJudge(f"the world's log, line {number}: too long")
                break
            try:
                row = json.loads(line)
                path = unquote(urlsplit(row["path"]).path)
                if row["service"] != "wikimedia" or path not in dump_paths or row["status"] not in (200, 206):
                    continue
                found.requests += row["method"] == "GET"
                found.bytes += row["bytes"]
                agent = row.get("userAgent") or "(none)"
                found.by_user_agent[agent] = found.by_user_agent.get(agent, 0) + row["bytes"]
            except (KeyError, TypeError, ValueError) as problem:
                raise CannotJudge(f"the world's log, line {number}: {problem!r}") from None
    return found


def published_infohashes(folder: Path) -> set[str]:
    """The infohashes of all .torrent files under the folder; files that are no torrents give none."""
    found = set()
    for path in sorted(folder.rglob("*.torrent")):
        if path.is_file() and path.stat().st_size <= TORRENT_BYTES_MAX:
            try:
                found.add(torrent.infohash_of_torrent(path.read_bytes()))
            except ValueError:
                continue
    return found


def claims(coordinator_url: str) -> dict[str, dict]:
    """Shard id -> what the coordinator says of it."""
    answer = get_json(f"{coordinator_url.rstrip('/')}/api/v1/shards")
    try:
        return {row["id"].partition("@")[0]: row for row in answer["shards"]}
    except (AttributeError, KeyError, TypeError) as problem:
        raise CannotJudge(f"the coordinator's answer: {problem!r}") from None
