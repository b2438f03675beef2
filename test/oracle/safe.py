#!/usr/bin/env python3
"""Recomputes `safe` from the disks and the world's Internet Archive, and compares it with what the product claims.

    python3 test/oracle/safe.py --demo DIR [--json] [--offline]

DIR holds `demo.json`, written by the demo:
    {"world": {"url", "wikimedia", "archive", "stateDir", "logFile", "dumps"},
     "coordinator": {"dataDir", "httpUrl"},
     "nodes": [{"name", "operator", "peerId", "dataDir", "httpUrl"}],
     "published": {"localDir"}}
Relative paths in it are relative to DIR. `operator` may be missing: then the node is its own operator.

What it does, for every run in the world's dumps folder, with Python's standard library and no code of the product:
- hashes upstream's files and each node's copy of them (`<dataDir>/mirror/<wiki>/<date>/<file>`), all three hashes;
- holds HASH.json to the bytes on that disk, computes the shard digest that names the metadata folder (PROTOCOL 1; from
  md5 and sha1, which is what upstream publishes), and the torrent's infohash (PROTOCOL 2);
- asks the Internet Archive's metadata API for the items under `<stateDir>/archive/` (not with --offline);
- safe: full copies at 3 operators or more, with one infohash; or a verified archive copy and one such copy.
Then it adds up what Wikimedia sent by the world's log, and asks `<coordinator>/api/v1/shards` (not with --offline). The
product disagrees when a shard is missing or unknown, when infohash, size, safe or archived differ, when it claims more
replicas than there are operators with full copies, or claims published and no .torrent under localDir has the infohash.

What it cannot see: audits, and whether a node is reachable. So it takes a copy on disk for a replica.

Exit code: 0 all safe and the product agrees; 1 something is not safe; 2 the product disagrees; 3 it could not look.
"""

import argparse
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

sys.dont_write_bytecode = True
import disks  # noqa: E402
import outside  # noqa: E402

OPERATORS_WANTED = 3
DEMO_BYTES_MAX = 1024 * 1024


@dataclass
class Shard:
    run: disks.Run
    copies: list[disks.Copy]
    archive_item: str | None = None
    problems: list[str] = field(default_factory=list)

    @property
    def full(self) -> list[disks.Copy]:
        return [copy for copy in self.copies if copy.full]

    @property
    def operators(self) -> int:
        return len({copy.operator for copy in self.full})

    @property
    def infohash(self) -> str | None:
        """The one infohash of all full copies; None when they differ or there are none."""
        found = {copy.infohash for copy in self.full}
        return found.pop() if len(found) == 1 else None

    @property
    def safe(self) -> bool:
        if self.infohash is None:
            return False
        return self.operators >= OPERATORS_WANTED or self.archive_item is not None


def read_demo(folder: Path) -> dict:
    path = folder / "demo.json"
    try:
        if path.stat().st_size > DEMO_BYTES_MAX:
            raise ValueError("too long")
        demo = json.loads(path.read_bytes())
        for key in ("stateDir", "logFile", "dumps"):
            demo["world"][key] = folder / demo["world"][key]
        demo["published"]["localDir"] = folder / demo["published"]["localDir"]
        for node in demo["nodes"]:
            node["mirror"] = (folder / node["dataDir"] / "mirror").resolve()
            node["operator"] = node.get("operator") or node["peerId"]
        if len({node["mirror"] for node in demo["nodes"]}) != len(demo["nodes"]):
            raise ValueError("two nodes with one data folder")
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise disks.CannotJudge(f"{path}: {problem!r}") from None
    return demo


def judge_disks(demo: dict) -> list[Shard]:
    shards = []
    for run in disks.upstream_runs(demo["world"]["dumps"]):
        copies = [disks.node_copy(node["name"], node["operator"], node["mirror"], run) for node in demo["nodes"]]
        shard = Shard(run, copies)
        for copy in copies:
            # A node that never took the run has nothing to answer for.
            if copy.started:
                shard.problems += [f"{copy.node}: {problem}" for problem in copy.problems]
        if len({copy.infohash for copy in shard.full}) > 1:
            shard.problems.append("infohashes differ: " + ", ".join(f"{copy.node} {copy.infohash}" for copy in shard.full))
        shards.append(shard)
    return shards


def judge_archive(demo: dict, shards: list[Shard]) -> None:
    items = outside.archive_items(demo["world"]["archive"], demo["world"]["stateDir"])
    for shard in shards:
        # The three metadata files are held to those of a full copy, so an archive copy without any replica is not judged.
        if shard.infohash is None:
            continue
        wanted = shard.run.files | shard.full[0].metadata
        shard.archive_item, problems = outside.archived_in(items, wanted)
        shard.problems += problems


def compare(shards: list[Shard], claims: dict[str, dict], published: set[str]) -> list[str]:
    """Where the product says something else than was found here."""
    found = {shard.run.id: shard for shard in shards}
    wrong = [f"{shard_id}: the product does not know it" for shard_id in sorted(found.keys() - claims.keys())]
    wrong += [f"{shard_id}: claimed, but not upstream" for shard_id in sorted(claims.keys() - found.keys())]
    for shard_id in sorted(found.keys() & claims.keys()):
        shard, claim = found[shard_id], claims[shard_id]
        sizes = {shard.run.size} | {copy.torrent_size for copy in shard.full}
        if claim.get("infohash") != shard.infohash:
            wrong.append(f"{shard_id}: infohash {claim.get('infohash')} claimed, {shard.infohash} computed")
        if claim.get("bytes") not in sizes:
            wrong.append(f"{shard_id}: {claim.get('bytes')} bytes claimed, {' or '.join(map(str, sorted(sizes)))} found")
        if not isinstance(claim.get("replicas"), int) or claim["replicas"] > shard.operators:
            wrong.append(f"{shard_id}: {claim.get('replicas')} replicas claimed, {shard.operators} found")
        for name, value in (("safe", shard.safe), ("archived", shard.archive_item is not None)):
            if bool(claim.get(name)) != value:
                wrong.append(f"{shard_id}: {name} {bool(claim.get(name))} claimed, {value} found")
        if claim.get("published") and shard.infohash not in published:
            wrong.append(f"{shard_id}: claimed as published, but no .torrent has its infohash")
    return wrong


def summarise(shards: list[Shard], origin: outside.Origin, disagreements: list[str] | None) -> dict:
    unique = sum(shard.run.size for shard in shards)
    return {
        "safe": all(shard.safe for shard in shards),
        "agrees": None if disagreements is None else not disagreements,
        "disagreements": disagreements or [],
        "shards": [
            {
                "id": shard.run.id,
                "infohash": shard.infohash,
                "bytes": shard.run.size,
                "replicas": shard.operators,
                "holders": [copy.node for copy in shard.full],
                "archived": shard.archive_item is not None,
                "archiveItem": shard.archive_item,
                "safe": shard.safe,
                "problems": shard.problems,
            }
            for shard in shards
        ],
        "uniqueBytes": unique,
        "originBytes": origin.bytes,
        "originRequests": origin.requests,
        "originRatio": round(origin.bytes / unique, 4) if unique else None,
        "userAgents": [
            {"userAgent": agent, "bytes": sent, "share": round(sent / origin.bytes, 4) if origin.bytes else 0}
            for agent, sent in sorted(origin.by_user_agent.items(), key=lambda pair: (-pair[1], pair[0]))
        ],
    }


def print_readable(summary: dict, node_count: int) -> None:
    for shard in summary["shards"]:
        word = "safe  " if shard["safe"] else "UNSAFE"
        archive = f"archived in {shard['archiveItem']}" if shard["archived"] else "no archive copy"
        held = f"held by {len(shard['holders'])} of {node_count} nodes, {shard['replicas']} operators"
        print(f"{word}  {shard['id']}  {held}; {archive}; {shard['infohash'] or 'no one infohash'}")
        for problem in shard["problems"]:
            print(f"        {problem}")
    print(
        f"Wikimedia sent {summary['originBytes']:,} bytes in {summary['originRequests']} requests "
        f"for {summary['uniqueBytes']:,} unique bytes: {summary['originRatio']} x"
    )
    for agent in summary["userAgents"]:
        print(f"  {agent['share']:7.1%}  {agent['bytes']:>12,}  {agent['userAgent']}")
    for disagreement in summary["disagreements"]:
        print(f"DISAGREES  {disagreement}")
    unsafe = sum(not shard["safe"] for shard in summary["shards"])
    agrees = {None: "was not asked", True: "agrees", False: "disagrees"}[summary["agrees"]]
    print(f"{len(summary['shards'])} shards, {unsafe} not safe; the product {agrees}")


def look(folder: Path, offline: bool) -> tuple[dict, int]:
    demo = read_demo(folder)
    shards = judge_disks(demo)
    disagreements = None
    if not offline:
        judge_archive(demo, shards)
        claims = outside.claims(demo["coordinator"]["httpUrl"])
        disagreements = compare(shards, claims, outside.published_infohashes(demo["published"]["localDir"]))
    origin = outside.origin(demo["world"]["logFile"], [shard.run for shard in shards])
    return summarise(shards, origin, disagreements), len(demo["nodes"])


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", required=True, type=Path, metavar="DIR", help="the demo's folder, with demo.json")
    parser.add_argument("--json", action="store_true", help="print one summary object instead of text")
    parser.add_argument("--offline", action="store_true", help="only the disks and the log: no archive, no coordinator")
    try:
        options = parser.parse_args(arguments)
    except SystemExit as stop:
        return 3 if stop.code else 0
    try:
        summary, node_count = look(options.demo, options.offline)
    except (disks.CannotJudge, OSError) as problem:
        print(f"could not look: {problem}", file=sys.stderr)
        return 3
    if options.json:
        print(json.dumps(summary))
    else:
        print_readable(summary, node_count)
    if summary["agrees"] is False:
        return 2
    return 0 if summary["safe"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
