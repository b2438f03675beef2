/** A data folder that holds many small shards, as a node leaves it that fetched and verified them. */
import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { layoutOf } from '../../node/files/layout.ts'
import { HeldFiles } from '../../node/store/held-files.ts'
import { KeptStore } from '../../node/store/kept.ts'
import { openLevelStore } from '../../node/store/level-store.ts'
import { dumpPath } from '../../node/transfer/build-shard.ts'
import { timesOf } from '../../node/transfer/held-torrent.ts'
import type { Kept } from '../../protocol/core/kept.ts'
import { makeShard } from '../../protocol/shard/make-shard.ts'
import { metadataFiles } from '../../protocol/shard/metadata-files.ts'
import type { FullDigests, Shard } from '../../protocol/shard/shard.ts'
import { infohashOf, shardInfo, shardPieceLength } from '../../protocol/torrent/info.ts'
import { encodeMetainfo } from '../../protocol/torrent/metainfo.ts'
import { silentLog } from '../conformance/silent-log.ts'
import { digestsOf, seededBytes } from './shards.ts'

type Row = Kept['own'][number]

export interface MadeShards {
  readonly shards: readonly Shard[]
  /** The info dictionary of each. */
  readonly infos: readonly Uint8Array[]
}

/** `files` are dump files; three metadata files come with them. */
export async function makeShards(
  dataDir: string,
  { shards, files, sizeBytes }: { shards: number; files: number; sizeBytes: number },
): Promise<MadeShards> {
  const layout = layoutOf(dataDir)
  for (const folder of [layout.mirror, layout.staging, layout.torrents])
    mkdirSync(folder, { recursive: true })
  const store = await openLevelStore(layout.store, layout.root)
  const held = await HeldFiles.open(store, silentLog)
  const own: Row[] = []
  const infos: Uint8Array[] = []
  for (let number = 0; number < shards; number++) {
    const wiki = `w${number}wiki`
    const dumps = Array.from({ length: files }, (_, i) => ({
      path: `20260101/${wiki}-20260101-part-${i}.sql.gz`,
      bytes: seededBytes(`${wiki}/${i}`, sizeBytes + i),
    }))
    const digests = new Map<string, FullDigests>(dumps.map(({ path, bytes }) => [path, digestsOf(bytes)]))
    const names = dumps.map(({ path }) => path.slice(path.indexOf('/') + 1))
    const shard = makeShard({
      dataset: 'dumps',
      wiki,
      date: '20260101',
      part: 0,
      files: dumps.map(({ path, bytes }) => ({
        path,
        sizeBytes: bytes.length,
        digests: { sha1: digests.get(path)?.sha1 ?? '' },
      })),
      statusJson: `{"job":{"files":${JSON.stringify(names)},"status":"done"}}\n`,
      bundleVersion: 1,
    })
    const all = [...dumps, ...metadataFiles(shard, digests)]
    for (const folder of new Set(all.map(({ path }) => dirname(dumpPath(shard, layout.mirror, path))))) {
      mkdirSync(folder, { recursive: true })
    }
    for (const { path, bytes } of all) writeFileSync(dumpPath(shard, layout.mirror, path), bytes)
    const whole = Buffer.concat(all.map((file) => file.bytes))
    const length = shardPieceLength(shard)
    const pieces = Array.from({ length: Math.ceil(whole.length / length) }, (_, piece) =>
      createHash('sha1')
        .update(whole.subarray(piece * length, (piece + 1) * length))
        .digest(),
    )
    const info = shardInfo(shard, Buffer.concat(pieces))
    const infohash = infohashOf(info)
    writeFileSync(join(layout.torrents, `${infohash}.torrent`), encodeMetainfo({ info }))
    infos.push(info)
    own.push({
      shard,
      infohash,
      state: 'held',
      sinceMs: 0,
      doneBytes: shard.sizeBytes,
      promisedUntilMs: 0,
      repairing: false,
      led: false,
      fromOriginBytes: shard.sizeBytes,
      fromSwarmBytes: 0,
    })
  }
  for (let at = 0; at < own.length; at += 200) {
    await Promise.all(
      own.slice(at, at + 200).map(async ({ shard, infohash }) => {
        const times = await timesOf(shard, layout.mirror)
        if (times === null || infohash === null) throw new Error('a file is gone')
        await held.put(infohash, { verifiedAtMs: Date.now(), files: times, rereadPieces: 0 })
      }),
    )
  }
  await new KeptStore(store).save({
    sequence: 1,
    own,
    refuted: [],
    audits: [],
    damages: [],
    observations: { observedAtMs: 0, counted: [] },
  })
  await store.close()
  return { shards: own.map(({ shard }) => shard), infos }
}
