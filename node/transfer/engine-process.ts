/**
 * The BitTorrent engine in a process of its own: the port TorrentEngine, answered by engine-host.ts. Hashing and wires hold up
 * nothing else of the node, and when that process ends, seeds are told to the next one and transfers go on there: what they have on
 * disk is checked and kept.
 */
import type { Infohash } from '../../protocol/ids.ts'
import {
  type Discovery,
  type Log,
  type SeedSource,
  type TorrentEngine,
  TorrentError,
  type TorrentPeer,
  type TorrentReader,
  type TorrentStats,
} from '../ports.ts'
import { NO_DISCOVERY } from './discovery-stats.ts'
import type { EngineProcessOptions, Fetched, SeedRequest } from './engine-calls.ts'
import { fromPlain } from './engine-channel.ts'
import { EngineJobs, type FetchOptions, type OpenOptions, unlessLost, untilAnswered } from './engine-jobs.ts'
import { type EngineChannel, EngineKeeper } from './engine-keeper.ts'
import { sourceOf } from './seed-source.ts'
import { asTorrentError } from './torrent-errors.ts'

/** Told to the process in one message. */
const SEEDS_PER_CALL = 1_000
const NEVER = new AbortController().signal

interface Seeded {
  readonly source: SeedSource
  readonly root: string
}

export class EngineProcess implements TorrentEngine {
  readonly #keeper: EngineKeeper
  readonly #seeds = new Map<Infohash, Seeded>()
  readonly #jobs: EngineJobs
  /** Seeds that are told with the next message, and who waits for each. */
  #telling: { request: SeedRequest; done: PromiseWithResolvers<void> }[] = []
  #seedFailed: (infohash: Infohash, error: TorrentError) => void = () => {}
  #stats: readonly TorrentStats[] = []
  /** Of the processes before: counters never fall. */
  readonly #uploadedBefore = new Map<Infohash, number>()
  #port = 0
  #outside: TorrentPeer | null = null

  constructor({
    log,
    pingMs,
    silentMs,
    ...options
  }: EngineProcessOptions & { readonly log: Log; readonly pingMs?: number; readonly silentMs?: number }) {
    this.#keeper = new EngineKeeper({
      options,
      log,
      pingMs,
      silentMs,
      onStarted: (channel) => this.#replay(channel),
      answers: {
        torrent: ({ infohash }) => this.#source(infohash).torrent(),
        changed: ({ infohash }) => this.#source(infohash).changed?.() ?? [],
        accept: ({ job, info }) => this.#jobs.accept(job, info),
        progress: ({ job, stats }) => this.#jobs.progress(job, stats),
        seedFailed: ({ infohash, error }) => this.#seedFailed(infohash, asTorrentError(fromPlain(error))),
        log: ({ level, fields, message }) => log[level](fields, message),
      },
    })
    this.#jobs = new EngineJobs(this.#keeper)
  }

  get port(): number {
    return this.#port
  }

  /** Of the process that runs now; null while none does. */
  get processId(): number | null {
    return this.#keeper.processId
  }

  /** Why no process runs now, in a sentence; null: one does. */
  get problem(): string | null {
    return this.#keeper.problem
  }

  /** Rejects with an Error of one plain sentence when the port is in use or forbidden. */
  async start(): Promise<void> {
    this.#port = await this.#keeper.start()
  }

  async seed(torrent: Uint8Array | SeedSource, root: string): Promise<void> {
    const source = torrent instanceof Uint8Array ? await sourceOf(torrent, root) : torrent
    const { infohash, sizeBytes } = source
    const before = this.#seeds.get(infohash)
    this.#seeds.set(infohash, { source, root })
    const done = Promise.withResolvers<void>()
    this.#telling.push({ request: { infohash, sizeBytes, root }, done })
    if (this.#telling.length === 1) queueMicrotask(() => void this.#tell())
    try {
      await done.promise
    } catch (error) {
      if (before !== undefined) this.#seeds.set(infohash, before)
      else this.#seeds.delete(infohash)
      throw error
    }
  }

  onSeedFailed(handler: (infohash: Infohash, error: TorrentError) => void): void {
    this.#seedFailed = handler
  }

  async fetch(infohash: Infohash, root: string, options: FetchOptions): Promise<Fetched> {
    return this.#jobs.fetch(infohash, options, (channel, job) =>
      channel.call('fetch', { ...job, root }, options.signal),
    )
  }

  async fetchFile(
    infohash: Infohash,
    file: number,
    path: string,
    options: Parameters<TorrentEngine['fetchFile']>[3],
  ): Promise<Fetched> {
    return this.#jobs.fetch(infohash, options, (channel, job) =>
      channel.call('fetchFile', { ...job, file, path }, options.signal),
    )
  }

  open(infohash: Infohash, options: OpenOptions): Promise<TorrentReader> {
    return this.#jobs.open(infohash, options)
  }

  addPeers(infohash: Infohash, peers: readonly TorrentPeer[]): void {
    this.#jobs.addPeers(infohash, peers)
    this.#keeper.current?.tell('addPeers', { infohash, peers })
  }

  setOutside(endpoint: TorrentPeer | null): void {
    this.#outside = endpoint
    this.#keeper.current?.tell('setOutside', { endpoint })
  }

  async remove(infohash: Infohash): Promise<void> {
    this.#seeds.delete(infohash)
    this.#uploadedBefore.delete(infohash)
    this.#jobs.remove(infohash)
    await this.#keeper.current?.call('remove', { infohash }).catch(unlessLost)
  }

  async stats(): Promise<TorrentStats[]> {
    const now = await this.#keeper.current?.call('stats', null).catch(unlessLost)
    if (now === undefined) return this.#stats.map((one) => ({ ...one, peers: 0 }))
    const all = now.map((one) => {
      const uploadedBytes = one.uploadedBytes + (this.#uploadedBefore.get(one.infohash) ?? 0)
      return { ...one, uploadedBytes }
    })
    this.#stats = all
    return all
  }

  async discovery(): Promise<Discovery> {
    return (await this.#keeper.current?.call('discovery', null).catch(unlessLost)) ?? NO_DISCOVERY
  }

  async stop(): Promise<void> {
    await this.#keeper.stop()
  }

  /** All seeds that wait, some a message. */
  async #tell(): Promise<void> {
    const some = this.#telling.splice(0, SEEDS_PER_CALL)
    if (this.#telling.length > 0) queueMicrotask(() => void this.#tell())
    const requests = some.map(({ request }) => request)
    try {
      const answers = await untilAnswered(
        this.#keeper,
        (channel) => channel.call('seed', requests),
        NEVER,
        () => {}, // the next one is told of all seeds anyway
      )
      for (const [i, { done }] of some.entries()) {
        const error = answers[i] ?? null
        if (error === null) done.resolve()
        else done.reject(fromPlain(error))
      }
    } catch (error) {
      for (const { done } of some) done.reject(error)
    }
  }

  /** To a new process: where others get in, and everything that is seeded. */
  async #replay(channel: EngineChannel): Promise<void> {
    channel.tell('setOutside', { endpoint: this.#outside })
    for (const { infohash, uploadedBytes } of this.#stats) {
      if (this.#seeds.has(infohash)) this.#uploadedBefore.set(infohash, uploadedBytes)
    }
    const seeds = [...this.#seeds].map(
      ([infohash, { source, root }]): SeedRequest => ({ infohash, sizeBytes: source.sizeBytes, root }),
    )
    for (let at = 0; at < seeds.length; at += SEEDS_PER_CALL) {
      const some = seeds.slice(at, at + SEEDS_PER_CALL)
      const answers = await channel.call('seed', some)
      for (const [i, { infohash }] of some.entries()) {
        const error = answers[i] ?? null
        if (error !== null) this.#seedFailed(infohash, asTorrentError(fromPlain(error)))
      }
    }
  }

  #source(infohash: Infohash): SeedSource {
    const seeded = this.#seeds.get(infohash)
    if (seeded === undefined) throw new TorrentError('engine', `${infohash} is not seeded`)
    return seeded.source
  }
}
