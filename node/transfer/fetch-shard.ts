/**
 * One fetch of one shard, from origin or from the swarm, to a verified replica (HOUSE: a dump file's trip). Both write into the
 * same files of one staging folder: what peers gave is gone on with over HTTP piece by piece (`fill-shard`), and the other way round
 * the engine keeps every piece that it finds right.
 */
import { rm } from 'node:fs/promises'
import type { FetchSource } from '../../protocol/core/effect.ts'
import type { Infohash, ShardKey } from '../../protocol/ids.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { infoMatchesShard, torrentFiles, totalBytes } from '../../protocol/torrent/info.ts'
import { roomOf } from '../files/disk.ts'
import type { OnStep } from '../files/steps.ts'
import type { FetchGate, Pass } from '../pace/gate.ts'
import { type Clock, type Hasher, type Origin, OriginError, type TorrentEngine } from '../ports.ts'
import type { WebFiles, WebOptions } from '../sources/web-files.ts'
import type { Finding } from '../structure/finding.ts'
import type { SizesBySha256 } from '../upstream/read-export.ts'
import { readUpstreamShard } from '../upstream/read-run.ts'
import { type BuiltShard, buildShard, dumpPath } from './build-shard.ts'
import { asFetchError, FetchError, type Fetched, isDiskFull } from './fetch-error.ts'
import { type Filled, fillShard } from './fill-shard.ts'
import type { ShardFiles } from './shard-files.ts'

export interface FetchParts {
  readonly files: ShardFiles
  readonly origin: Origin
  readonly web: WebFiles
  readonly gate: FetchGate
  readonly engine: TorrentEngine
  readonly hasher: Hasher
  readonly clock: Clock
  /** As it holds now. */
  readonly settledAfterMs: () => number
  /** PROTOCOL 1: upstream's status is read before anything is fetched, from whomever. */
  readonly mustReadFirst: (shard: ShardKey) => boolean
  /** A coordinator verified the Internet Archive's copy. */
  readonly isArchived: (shard: ShardKey) => boolean
  /** Seeds what was verified just now and stands in the mirror, and remembers how its files look. */
  readonly hold: (shard: Shard, infohash: Infohash) => Promise<void>
  readonly onStep?: OnStep
  /** Also look at the form of what comes from the swarm; what comes from origin is always looked at, for all the others. */
  readonly structureAlways: boolean
  readonly found: (shard: Shard, findings: ReadonlyMap<string, Finding>) => void
}

interface FetchOptions {
  readonly onProgress: (doneBytes: number) => void
  readonly signal: AbortSignal
}

/** Over pauses too. */
interface Tally {
  readonly tally: { originBytes: number }
}

const SIZES_MAX = 100_000

export class ShardFetcher {
  readonly #parts: FetchParts
  /** Shards that upstream was read for and gave the same. */
  readonly #confirmed = new Set<ShardKey>()
  /** Of files of exports, as upstream told them: parts of one run are confirmed one by one. */
  readonly #sizes: SizesBySha256 = new Map()

  constructor(parts: FetchParts) {
    this.#parts = parts
  }

  /**
   * Fetches, verifies, installs and seeds. Rejects with FetchError only. `onProgress` gets bytes of dump files that are there. Waits,
   * with what came, through quiet hours, a month's end or a full disk, and goes on by itself.
   */
  async fetch(shard: Shard, source: FetchSource, { onProgress, signal }: FetchOptions): Promise<Fetched> {
    const { gate } = this.#parts
    let wasFull = false
    const tally = { originBytes: 0 }
    for (;;) {
      let pass: Pass | null = null
      try {
        const there = await this.#bytesThere(shard)
        pass = await gate.enter(shard.sizeBytes - there, { hasBegun: there > 0, wasFull }, signal)
        const { closing, shrink } = pass
        return await this.#once(shard, source, {
          tally,
          signal: AbortSignal.any([signal, closing]),
          onProgress: (doneBytes) => {
            shrink(shard.sizeBytes - doneBytes)
            onProgress(doneBytes)
          },
        })
      } catch (error) {
        if (signal.aborted) throw asFetchError(error, signal)
        wasFull = isDiskFull(error)
        // Without a pass nothing ran: the gate stays closed for what has not begun.
        if (pass === null || !(pass.closing.aborted || wasFull)) throw asFetchError(error, signal)
      } finally {
        pass?.end()
      }
    }
  }

  async #once(shard: Shard, source: FetchSource, options: FetchOptions & Tally): Promise<Fetched> {
    const mustRead = this.#parts.mustReadFirst(shard.key)
    if (source.kind === 'origin' || (mustRead && !this.#confirmed.has(shard.key)))
      await this.#confirm(shard, mustRead, options.signal)
    await this.#parts.files.adopt(shard)
    return source.kind === 'origin' ? this.#fromWeb(shard, options) : this.#fromSwarm(shard, source, options)
  }

  /** PROTOCOL 1: the node that will fetch from origin makes its own reading of the run's status. */
  async #confirm(shard: Shard, mustRead: boolean, signal: AbortSignal): Promise<void> {
    const { origin, clock, settledAfterMs, isArchived } = this.#parts
    if (this.#sizes.size > SIZES_MAX) this.#sizes.clear()
    const sizes = this.#sizes
    const options = { nowMs: clock.wallMs(), settledAfterMs: settledAfterMs(), signal, sizes }
    const mine = await readUpstreamShard(origin, shard, options).catch((error: unknown) => {
      const isGone = error instanceof OriginError && error.code === 'not-found'
      // What upstream does not have is no reason to wait when only strangers say that it was there.
      if (mustRead && isGone) return null
      // Upstream deleted it; the Archive's copy was verified against the same digests.
      if (isGone && isArchived(shard.key)) return shard
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

  /**
   * The Internet Archive, mirrors, origin: what the swarm left missing, else whole files. A file whose bytes are wrong is asked for
   * elsewhere as long as there is somebody.
   */
  async #fromWeb(shard: Shard, { onProgress, signal, tally }: FetchOptions & Tally): Promise<Fetched> {
    const { web, files, gate } = this.#parts
    const staging = files.staging(shard)
    const pathOf = (path: string) => dumpPath(shard, staging, path)
    for (;;) {
      let done = 0
      const advance = (count: number) => {
        done += count
        // A piece that was wrong comes twice.
        onProgress(Math.min(done, shard.sizeBytes))
      }
      const options: WebOptions = {
        signal,
        onFound: advance,
        onBytes: (count, isFromOrigin) => {
          if (isFromOrigin) tally.originBytes += count
          gate.spend(count)
          advance(count)
        },
      }
      const filled = await fillShard(shard, this.#parts, options)
      if (filled === null) done = 0
      const rest = filled === null ? {} : { anew: filled.anew, onFound: () => {} }
      const givers = await web.fetch(shard, pathOf, { ...options, ...rest })
      const result = await this.#verify(shard, signal, { structure: true })
      if (result.ok) {
        const infohash = await this.#install(shard, result.built, signal)
        return { infohash, fromOriginBytes: tally.originBytes, fromSwarmBytes: 0 }
      }
      const others: boolean[] = []
      for (const { path } of result.wrong)
        others.push(await this.#elsewhere(shard, path, filled, givers.get(path) ?? []))
      if (others.includes(false)) throw new FetchError('digest-mismatch', wrongText(result.wrong))
    }
  }

  /** A wrong file, or what of it no piece proves, is to come from others. False: there is nobody. */
  async #elsewhere(
    shard: Shard,
    path: string,
    filled: Filled | null,
    givers: readonly string[],
  ): Promise<boolean> {
    const { web, files, origin } = this.#parts
    const unproven = filled?.anew.has(path) === false ? (filled.unproven.get(path) ?? []) : []
    // Asked for once more without who gave it: the pieces stay.
    if (unproven.some((label) => label !== origin.label)) return web.blame(shard, path, unproven)
    // Every piece is right, and the file is not: the info dictionary is a lie.
    if (filled !== null && givers.length === 0) await files.forgetInfo(shard)
    await dropFile(dumpPath(shard, files.staging(shard), path))
    return web.blame(shard, path, givers)
  }

  async #fromSwarm(
    shard: Shard,
    source: Extract<FetchSource, { kind: 'swarm' }>,
    { onProgress, signal }: FetchOptions,
  ): Promise<Fetched> {
    const { engine, files, gate, structureAlways } = this.#parts
    const all = totalBytes(torrentFiles(shard))
    let spentBytes = 0
    let keeping = Promise.resolve()
    const fetching = engine.fetch(source.infohash, files.staging(shard), {
      peers: source.peers,
      accept: async (info) => {
        if (!infoMatchesShard(info, shard)) return false
        keeping = files.keepInfo(shard, info)
        await keeping
        return true
      },
      onProgress: (stats) => {
        gate.spend(Math.max(0, stats.downloadedBytes - spentBytes))
        spentBytes = Math.max(spentBytes, stats.downloadedBytes)
        onProgress(Math.floor((stats.doneBytes / all) * shard.sizeBytes))
      },
      signal,
    })
    // Nobody may write here any more when this ends, also when it is stopped.
    const { downloadedBytes } = await fetching.finally(() => keeping)
    const result = await this.#verify(shard, signal, { structure: structureAlways })
    if (!result.ok || result.built.infohash !== source.infohash) await files.forgetInfo(shard)
    if (!result.ok) {
      for (const { path } of result.wrong) await dropFile(dumpPath(shard, files.staging(shard), path))
      throw new FetchError('bad-infohash', wrongText(result.wrong), source.infohash)
    }
    if (result.built.infohash !== source.infohash) {
      const detail = `the bytes are right, but their torrent is ${result.built.infohash}, not ${source.infohash}`
      throw new FetchError('bad-infohash', detail, source.infohash)
    }
    const infohash = await this.#install(shard, result.built, signal)
    return { infohash, fromOriginBytes: 0, fromSwarmBytes: downloadedBytes }
  }

  /** PROTOCOL 6: held = size and every upstream digest match and the piece hashes are taken, in one read of the bytes. */
  async #verify(
    shard: Shard,
    signal: AbortSignal,
    { structure }: { structure: boolean },
  ): ReturnType<typeof buildShard> {
    const { files, hasher, onStep } = this.#parts
    const staging = files.staging(shard)
    const result = await buildShard(shard, staging, hasher, { signal, structure })
    if (result.ok) onStep?.('verified')
    return result
  }

  async #install(shard: Shard, built: BuiltShard, signal: AbortSignal): Promise<Fetched['infohash']> {
    const { files, engine, found, hold } = this.#parts
    // From here to the replica there is no way back: a stop in between would only make the same work twice.
    signal.throwIfAborted()
    await engine.remove(built.infohash)
    await files.install(shard, built)
    await hold(shard, built.infohash)
    if (built.findings.size > 0) found(shard, built.findings)
    return built.infohash
  }

  /** Bytes of the dump files that need no room any more. */
  async #bytesThere(shard: Shard): Promise<number> {
    const { files } = this.#parts
    let sum = 0
    for (const { path, sizeBytes } of shard.files) {
      const sizes = await Promise.all(
        [files.staging(shard), files.mirror].map((root) => roomOf(dumpPath(shard, root, path))),
      )
      sum += Math.min(sizeBytes, Math.max(...sizes))
    }
    return sum
  }
}

const wrongText = (wrong: readonly { readonly path: string; readonly reason: string }[]): string =>
  wrong.map(({ path, reason }) => `${path}: ${reason}`).join('; ')

/** A file with wrong bytes must not be continued: it goes, with what the origin client remembers of it. */
async function dropFile(path: string): Promise<void> {
  await rm(path, { force: true })
  await rm(`${path}.meta.json`, { force: true })
}
