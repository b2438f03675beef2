/**
 * A TorrentEngine whose seeds another program gives (docs/decisions/0024). The node's own engine goes on with everything that needs
 * more than seeding: fetching with a say before the payload, one file as it is sent, reading ranges. The other program gets a torrent
 * when its files are verified and in place; it reads them and never writes.
 *
 * What is asked of it is kept here as a list of wishes; a look at it every few seconds starts what stopped, repeats what did not
 * get through, and turns what it lost into a failed seed, which somebody above repairs (SeedWatch).
 */
import { setTimeout } from 'node:timers/promises'
import type { Infohash } from '../../protocol/ids.ts'
import { decodeInfo, type Info, totalBytes } from '../../protocol/torrent/info.ts'
import { decodeMetainfo } from '../../protocol/torrent/metainfo.ts'
import {
  type Discovery,
  type EngineAbout,
  type Log,
  type SeedSource,
  type TorrentEngine,
  TorrentError,
  type TorrentPeer,
  type TorrentReader,
  type TorrentStats,
} from '../ports.ts'
import { checkSizes } from '../transfer/chunk-store.ts'
import { offStats } from '../transfer/discovery-stats.ts'
import { asTorrentError } from '../transfer/torrent-errors.ts'
import { type FolderMap, isBelow, mapFolder, sameFolder } from './folders.ts'
import { type ClientTorrent, MARK, type SeedClient } from './seed-client.ts'

export interface OutsideEngineOptions {
  /** Not started yet. */
  readonly own: TorrentEngine
  readonly client: SeedClient
  readonly folders: FolderMap
  readonly log: Log
  /** Between two looks at the program. @default 15 s */
  readonly pollMs?: number
}

interface Seed {
  stats: TorrentStats
  readonly folder: string
  /** The program said yes; before that it need not have it. */
  given: boolean
  /** Looks in a row that did not find it. */
  absences: number
}

const POLL_MS = 15_000
/** A program may need a moment between its yes and its list. */
const ABSENCES_MAX = 2

export class OutsideEngine implements TorrentEngine {
  readonly #options: OutsideEngineOptions
  readonly #seeds = new Map<Infohash, Seed>()
  /** To be removed from the program as soon as it answers. */
  readonly #leaving = new Set<Infohash>()
  readonly #stopping = new AbortController()
  #looking: Promise<void> = Promise.resolve()
  #seedFailed: (infohash: Infohash, error: TorrentError) => void = () => {}
  #port = 0
  #version = ''
  /** Why the last look failed; null: it answers. */
  #problem: string | null = null

  constructor(options: OutsideEngineOptions) {
    this.#options = options
  }

  /** The program's: there the seeds are. */
  get port(): number {
    return this.#port
  }

  get about(): EngineAbout {
    return { name: this.#options.client.name, version: this.#version, problem: this.#problem }
  }

  async start(): Promise<void> {
    const { own, client, log } = this.#options
    const { version, port } = await client.connect()
    await own.start()
    this.#version = version
    this.#port = port
    log.info({ program: client.name, version, port }, 'another program seeds')
    this.#looking = this.#lookAgainAndAgain()
  }

  onSeedFailed(handler: (infohash: Infohash, error: TorrentError) => void): void {
    this.#seedFailed = handler
  }

  async seed(source: Uint8Array | SeedSource, root: string): Promise<void> {
    const { own, folders } = this.#options
    const torrent = source instanceof Uint8Array ? source : await torrentOf(source)
    const metainfo = decodeMetainfo(torrent)
    const info = metainfo === null ? null : decodeInfo(metainfo.info)
    if (metainfo === null || info === null) {
      throw new TorrentError('metadata-mismatch', 'not a .torrent file of a shard')
    }
    const { infohash } = metainfo
    if (this.#version === '' || this.#stopping.signal.aborted)
      throw new TorrentError('engine', 'the BitTorrent engine is not running')
    if (this.#seeds.get(infohash)?.stats.state === 'seeding') return
    if ((await own.stats()).some((one) => one.infohash === infohash))
      throw new TorrentError('engine', `${infohash} is active already`)
    await checkSizes(root, info).catch((error: unknown) => {
      throw asTorrentError(error)
    })
    const seed = newSeed(infohash, info, mapFolder(folders, root))
    this.#seeds.set(infohash, seed)
    this.#leaving.delete(infohash)
    try {
      await this.#give(torrent, infohash, seed.folder)
      seed.given = true
    } catch (error) {
      // It stays as a failed one, to be tried again.
      if (this.#seeds.get(infohash) === seed) this.#fail(seed, asTorrentError(error))
      throw error
    }
  }

  fetch(...parameters: Parameters<TorrentEngine['fetch']>): ReturnType<TorrentEngine['fetch']> {
    return this.#ownDoes(parameters[0], (own) => own.fetch(...parameters))
  }

  fetchFile(...parameters: Parameters<TorrentEngine['fetchFile']>): ReturnType<TorrentEngine['fetchFile']> {
    return this.#ownDoes(parameters[0], (own) => own.fetchFile(...parameters))
  }

  open(...parameters: Parameters<TorrentEngine['open']>): Promise<TorrentReader> {
    return this.#ownDoes(parameters[0], (own) => own.open(...parameters))
  }

  addPeers(infohash: Infohash, peers: readonly TorrentPeer[]): void {
    const { own, client, log } = this.#options
    own.addPeers(infohash, peers)
    if (!this.#seeds.has(infohash)) return
    client
      .addPeers(infohash, peers)
      .catch((error: unknown) => log.debug({ infohash, error: String(error) }, 'could not name peers'))
  }

  /** The program announces what it seeds, and asks the router by itself. */
  setOutside(): void {}

  async remove(infohash: Infohash): Promise<void> {
    const { own, log } = this.#options
    this.#seeds.delete(infohash)
    this.#leaving.add(infohash)
    await own.remove(infohash)
    await this.#takeBack(infohash).catch((error: unknown) =>
      log.warn({ infohash, error: String(error) }, 'a torrent is removed later: the program does not answer'),
    )
  }

  async discovery(): Promise<Discovery> {
    const off = offStats(`${this.#options.client.name} announces what it seeds`)
    return { dht: off, dht6: off, lsd: off }
  }

  async stats(): Promise<TorrentStats[]> {
    return [...(await this.#options.own.stats()), ...[...this.#seeds.values()].map((seed) => seed.stats)]
  }

  /** The program goes on seeding: it is there for that. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#looking
    await this.#options.own.stop()
    this.#seeds.clear()
  }

  async #ownDoes<T>(infohash: Infohash, does: (own: TorrentEngine) => Promise<T>): Promise<T> {
    if (this.#seeds.has(infohash)) throw new TorrentError('engine', `${infohash} is active already`)
    return does(this.#options.own)
  }

  /** Whatever the program has of it: nothing, an older attempt of ours, or somebody else's torrent. */
  async #give(torrent: Uint8Array, infohash: Infohash, folder: string): Promise<void> {
    const { client } = this.#options
    const found = await client.find(infohash)
    if (found === null) return client.add(torrent, infohash, folder)
    if (!found.isOurs)
      throw new TorrentError('engine', `${client.name} has ${infohash} of somebody else, not marked ${MARK}`)
    if (found.state === 'missing' || found.state === 'damaged') {
      await client.remove([infohash])
      return client.add(torrent, infohash, folder)
    }
    if (!sameFolder(found.folder, folder))
      throw new TorrentError('engine', `${client.name} seeds ${infohash} from another folder already`)
    if (found.state === 'stopped') await client.start([infohash])
  }

  /** Removes what is ours, marked and from our folder; nothing else. */
  async #takeBack(infohash: Infohash): Promise<void> {
    const { client, folders } = this.#options
    const found = await client.find(infohash)
    const isOurs = found?.isOurs === true && isBelow(found.folder, folders.to)
    if (isOurs && this.#leaving.has(infohash)) await client.remove([infohash])
    this.#leaving.delete(infohash)
  }

  #fail(seed: Seed, error: TorrentError): void {
    const { code, message } = error
    const failure = { code: code === 'disk' ? code : 'engine', detail: message } as const
    seed.stats = { ...seed.stats, state: 'failed', peers: 0, failure }
    this.#options.log.warn({ infohash: seed.stats.infohash, ...failure }, 'a seed failed')
    if (code === 'disk') this.#seedFailed(seed.stats.infohash, error)
  }

  async #lookAgainAndAgain(): Promise<void> {
    const { client, log, pollMs = POLL_MS } = this.#options
    const { signal } = this.#stopping
    while (!signal.aborted) {
      try {
        await this.#look()
        if (this.#problem !== null) log.info({ program: client.name }, 'the program answers again')
        this.#problem = null
      } catch (error) {
        const { message } = asTorrentError(error)
        if (this.#problem === null) log.warn({ program: client.name, detail: message }, 'no answer')
        this.#problem = message
      }
      await setTimeout(pollMs, undefined, { signal }).catch(() => {})
    }
  }

  async #look(): Promise<void> {
    const { client, folders } = this.#options
    for (const infohash of this.#leaving) await this.#takeBack(infohash)
    // What is given while the list is on its way need not be on it.
    const expected = [...this.#seeds].filter(([, { given, stats }]) => given && stats.state === 'seeding')
    const listed = new Map((await client.list()).map((one) => [one.infohash, one]))
    const stopped: Infohash[] = []
    for (const [infohash, seed] of expected) {
      if (this.#seeds.get(infohash) !== seed) continue
      const found = listed.get(infohash)
      if (found === undefined) {
        seed.absences++
        if (seed.absences < ABSENCES_MAX) continue
        this.#fail(seed, new TorrentError('engine', `${client.name} does not have it any more`))
        continue
      }
      seed.absences = 0
      if (found.state === 'missing' || found.state === 'damaged') await this.#lose(seed, found)
      else seed.stats = { ...seed.stats, ...counted(found) }
      if (found.state === 'stopped') stopped.push(infohash)
    }
    await client.start(stopped)
    // What was dropped while the program, or this node, was away.
    for (const { infohash, state, folder } of listed.values()) {
      if (state === 'missing' && !this.#seeds.has(infohash) && isBelow(folder, folders.to))
        this.#leaving.add(infohash)
    }
  }

  /** It is taken out at once: a program that misses bytes would fetch them, into files that the node repairs. */
  async #lose(seed: Seed, found: ClientTorrent): Promise<void> {
    const detail = `${this.#options.client.name} says ${found.detail} of ${seed.folder}`
    this.#fail(seed, new TorrentError(found.state === 'damaged' ? 'disk' : 'engine', detail))
    this.#leaving.add(found.infohash)
    await this.#takeBack(found.infohash)
  }
}

/** Rejects with TorrentError `disk` when its files, or the .torrent itself, are not what was verified. */
async function torrentOf(source: SeedSource): Promise<Uint8Array> {
  const changed = (await source.changed?.()) ?? []
  if (changed.length > 0) throw new TorrentError('disk', changed.join('; '))
  return source.torrent().catch((error: unknown) => {
    throw asTorrentError(error)
  })
}

function newSeed(infohash: Infohash, info: Info, folder: string): Seed {
  const sizeBytes = totalBytes(info.files)
  const zero = { downloadedBytes: 0, uploadedBytes: 0, peers: 0 }
  const stats = { infohash, state: 'seeding', sizeBytes, doneBytes: sizeBytes, ...zero } as const
  return { stats, folder, given: false, absences: 0 }
}

function counted({ doneBytes, uploadedBytes, peers }: ClientTorrent): Partial<TorrentStats> {
  return { doneBytes, uploadedBytes, peers }
}
