/**
 * One fetch of one shard, from origin or from the swarm, to a verified replica (HOUSE: a dump file's trip). Both write into the
 * same staging folder, so what one source brought the other keeps.
 */
import { rm, stat } from 'node:fs/promises'
import type { FetchSource } from '../../protocol/core/effect.ts'
import type { FetchFailure } from '../../protocol/core/event.ts'
import type { Infohash, ShardKey } from '../../protocol/ids.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { infoMatchesShard, torrentFiles, totalBytes } from '../../protocol/torrent/info.ts'
import {
  type Clock,
  type Hasher,
  type Origin,
  OriginError,
  type TorrentEngine,
  TorrentError,
} from '../ports.ts'
import type { Finding } from '../structure/finding.ts'
import { readUpstreamShard } from '../upstream/read-run.ts'
import { buildShard, dumpPath } from './build-shard.ts'
import type { ShardFiles } from './shard-files.ts'

export interface Fetched {
  readonly infohash: Infohash
  readonly fromOriginBytes: number
  readonly fromSwarmBytes: number
}

/** A fetch that did not end in a replica; `message` is one sentence for people. */
export class FetchError extends Error {
  readonly code: FetchFailure | 'aborted'
  readonly infohash: Infohash | null
  constructor(
    code: FetchFailure | 'aborted',
    detail: string,
    infohash: Infohash | null = null,
    options?: ErrorOptions,
  ) {
    super(detail, options)
    this.name = 'FetchError'
    this.code = code
    this.infohash = infohash
  }
}

export interface FetchParts {
  readonly files: ShardFiles
  readonly origin: Origin
  readonly engine: TorrentEngine
  readonly hasher: Hasher
  readonly clock: Clock
  /** As it holds now. */
  readonly settledAfterMs: () => number
  /** PROTOCOL 1: upstream's status is read before anything is fetched, from whomever. */
  readonly mustReadFirst: (shard: ShardKey) => boolean
  /** Also look at the form of what comes from the swarm; what comes from origin is always looked at, for all the others. */
  readonly structureAlways: boolean
  readonly found: (shard: Shard, findings: ReadonlyMap<string, Finding>) => void
}

/** Dump files of one shard under download at once; the host limiter bounds the node as a whole. */
const FILES_AT_ONCE = 2

export class ShardFetcher {
  readonly #parts: FetchParts
  /** Shards that upstream was read for and gave the same. */
  readonly #confirmed = new Set<ShardKey>()

  constructor(parts: FetchParts) {
    this.#parts = parts
  }

  /** Fetches, verifies, installs and seeds. Rejects with FetchError only. `onProgress` gets bytes of dump files that are there. */
  async fetch(
    shard: Shard,
    source: FetchSource,
    options: { onProgress: (doneBytes: number) => void; signal: AbortSignal },
  ): Promise<Fetched> {
    try {
      const mustRead = this.#parts.mustReadFirst(shard.key)
      if (source.kind === 'origin' || (mustRead && !this.#confirmed.has(shard.key)))
        await this.#confirm(shard, mustRead, options.signal)
      await this.#parts.files.adopt(shard)
      return source.kind === 'origin'
        ? await this.#fromOrigin(shard, options)
        : await this.#fromSwarm(shard, source, options)
    } catch (error) {
      throw asFetchError(error, options.signal)
    }
  }

  /** PROTOCOL 1: the node that will fetch from origin makes its own reading of the run's status. */
  async #confirm(shard: Shard, mustRead: boolean, signal: AbortSignal): Promise<void> {
    const { origin, clock, settledAfterMs } = this.#parts
    const options = { nowMs: clock.wallMs(), settledAfterMs: settledAfterMs(), signal }
    const mine = await readUpstreamShard(origin, shard, options).catch((error: unknown) => {
      // What upstream does not have is no reason to wait when only strangers say that it was there.
      if (mustRead && error instanceof OriginError && error.code === 'not-found') return null
      throw error
    })
    if (mine === null) {
      throw new FetchError(
        'catalog-disagrees',
        `upstream's status of ${shard.id} gives another shard than the catalog`,
      )
    }
    this.#confirmed.add(shard.key)
  }

  async #fromOrigin(
    shard: Shard,
    { onProgress, signal }: { onProgress: (doneBytes: number) => void; signal: AbortSignal },
  ): Promise<Fetched> {
    const { origin, files } = this.#parts
    const staging = files.staging(shard)
    let received = 0
    let done = 0
    const waiting = [...shard.files]
    const work = async () => {
      for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
        const path = dumpPath(shard, staging, file.path)
        const before = await sizeOf(path)
        done += Math.min(before, file.sizeBytes)
        onProgress(done)
        if (before === file.sizeBytes) continue
        const place = { path: `${shard.name}/${file.path}`, sizeBytes: file.sizeBytes }
        const onBytes = (count: number) => {
          received += count
          done += count
          onProgress(done)
        }
        await origin.download(place, path, { onBytes, signal })
      }
    }
    const workers = Array.from({ length: FILES_AT_ONCE }, work)
    const ended = await Promise.allSettled(workers)
    const failed = ended.find((one) => one.status === 'rejected')
    if (failed !== undefined) throw failed.reason
    const infohash = await this.#verifyAndInstall(shard, null, signal)
    return { infohash, fromOriginBytes: received, fromSwarmBytes: 0 }
  }

  async #fromSwarm(
    shard: Shard,
    source: Extract<FetchSource, { kind: 'swarm' }>,
    { onProgress, signal }: { onProgress: (doneBytes: number) => void; signal: AbortSignal },
  ): Promise<Fetched> {
    const { engine, files } = this.#parts
    const all = totalBytes(torrentFiles(shard))
    const { downloadedBytes } = await engine.fetch(source.infohash, files.staging(shard), {
      peers: source.peers,
      accept: (info) => infoMatchesShard(info, shard),
      onProgress: (stats) => onProgress(Math.floor((stats.doneBytes / all) * shard.sizeBytes)),
      signal,
    })
    const infohash = await this.#verifyAndInstall(shard, source.infohash, signal)
    return { infohash, fromOriginBytes: 0, fromSwarmBytes: downloadedBytes }
  }

  /** PROTOCOL 6: held = size and every upstream digest match and the piece hashes are taken, in one read of the bytes. */
  async #verifyAndInstall(shard: Shard, expected: Infohash | null, signal: AbortSignal): Promise<Infohash> {
    const { files, hasher, engine, structureAlways, found } = this.#parts
    const staging = files.staging(shard)
    const structure = expected === null || structureAlways
    const result = await buildShard(shard, staging, hasher, { signal, structure })
    if (!result.ok) {
      for (const { path } of result.wrong) await dropFile(dumpPath(shard, staging, path))
      const detail = result.wrong.map(({ path, reason }) => `${path}: ${reason}`).join('; ')
      throw new FetchError(expected === null ? 'digest-mismatch' : 'bad-infohash', detail, expected)
    }
    const { built } = result
    if (expected !== null && built.infohash !== expected) {
      const detail = `the bytes are right, but their torrent is ${built.infohash}, not ${expected}`
      throw new FetchError('bad-infohash', detail, expected)
    }
    // From here to the replica there is no way back: a stop in between would only make the same work twice.
    signal.throwIfAborted()
    await engine.remove(built.infohash)
    const torrent = await files.install(shard, built)
    await engine.seed(torrent, files.mirror)
    if (structure) found(shard, built.findings)
    return built.infohash
  }
}

async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    (stats) => stats.size,
    () => 0,
  )
}

/** A file with wrong bytes must not be continued: it goes, with what the origin client remembers of it. */
async function dropFile(path: string): Promise<void> {
  await rm(path, { force: true })
  await rm(`${path}.meta.json`, { force: true })
}

function asFetchError(error: unknown, signal: AbortSignal): FetchError {
  if (error instanceof FetchError) return error
  const options = { cause: error }
  const detail = error instanceof Error ? error.message : String(error)
  if (signal.aborted) return new FetchError('aborted', 'stopped', null, options)
  if (error instanceof OriginError)
    return new FetchError('origin-unavailable', `${error.code}: ${detail}`, null, options)
  if (error instanceof TorrentError && error.code !== 'disk') {
    const code = error.code === 'metadata-mismatch' ? 'bad-infohash' : 'swarm-failed'
    return new FetchError(code, detail, null, options)
  }
  const full =
    (error as NodeJS.ErrnoException).code === 'ENOSPC' || (error as NodeJS.ErrnoException).code === 'EDQUOT'
  return new FetchError(full ? 'disk-full' : 'disk-error', detail, null, options)
}
