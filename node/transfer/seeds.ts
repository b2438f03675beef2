/**
 * The torrents that this node holds. Nearly all of them are asked for by nobody most of the time: such a one is dormant, an
 * entry of a few hundred bytes here and its .torrent file on disk. It wakes when somebody's handshake names it or peers for it
 * are found, and goes to sleep when the last peer left. Only so many are awake at once; who asks for more waits a while.
 */
import type { Infohash } from '../../protocol/ids.ts'
import type { Info } from '../../protocol/torrent/info.ts'
import type { FileTime } from '../files/file-time.ts'
import { type Log, type SeedSource, TorrentError, type TorrentStats } from '../ports.ts'
import { checkSizes } from './chunk-store.ts'
import { Dialler } from './dialler.ts'
import { readTorrent } from './seed-source.ts'
import { aborted, asTorrentError, isShortage } from './torrent-errors.ts'
import { Transfer } from './torrent-transfer.ts'
import { WakeQueue } from './wake-queue.ts'

export interface SeedsOptions {
  /** Gives the torrent to the engine's package; resolves when peers may connect. */
  readonly run: (
    transfer: Transfer,
    root: string,
    metadata: { raw: Uint8Array; info: Info },
    times: readonly FileTime[],
  ) => Promise<void>
  readonly onFailed: (infohash: Infohash, error: TorrentError) => void
  readonly awakeMax?: number | undefined
  readonly sleepAfterMs?: number | undefined
  readonly log?: Log | undefined
}

/** Dials of a seed to a peer that wants from it: that one dials too. */
const DIALS_MAX = 6
const AWAKE_MAX = 128
const SLEEP_AFTER_MS = 60_000
/** Above the bound, a seed whose peers were silent for so long makes room for another. */
const SILENT_AFTER_MS = 30_000
const SEEDS_MAX = 100_000

interface Seed {
  readonly infohash: Infohash
  readonly root: string
  readonly source: SeedSource
  readonly sizeBytes: number
  /** Of the times that it was awake before. */
  uploadedBytes: number
  /** Connections that came in for it and are open. */
  callers: number
  lastUsedMs: number
  isRemoved: boolean
  failure: TorrentError | null
  /** Set from the moment it is woken until it sleeps. */
  transfer: Transfer | null
  /** The waking or the going to sleep under way. */
  turning: Promise<void> | null
}

export class Seeds {
  readonly #options: SeedsOptions
  readonly #awakeMax: number
  readonly #sleepAfterMs: number
  readonly #seeds = new Map<Infohash, Seed>()
  readonly #awake = new Set<Seed>()
  readonly #queue: WakeQueue<Seed>
  #sweeper: NodeJS.Timeout | null = null

  constructor(options: SeedsOptions) {
    this.#options = options
    this.#awakeMax = options.awakeMax ?? AWAKE_MAX
    this.#sleepAfterMs = options.sleepAfterMs ?? SLEEP_AFTER_MS
    this.#queue = new WakeQueue({
      enter: (seed) => this.#enter(seed),
      crowded: () => new TorrentError('engine', 'too many torrents are being asked for'),
    })
  }

  start(): void {
    const everyMs = Math.min(Math.max(this.#sleepAfterMs / 4, 20), 10_000)
    this.#sweeper = setInterval(() => this.#sweep(), everyMs)
    this.#sweeper.unref()
  }

  has(infohash: Infohash): boolean {
    return this.#seeds.has(infohash)
  }

  /** What a tracker is told of it; null when it is not here or failed. */
  counts(infohash: Infohash): { uploadedBytes: number } | null {
    const seed = this.#seeds.get(infohash)
    if (seed === undefined || seed.failure !== null) return null
    return { uploadedBytes: seed.uploadedBytes + (seed.transfer?.uploadedBytes ?? 0) }
  }

  /** Knows it from now on; nothing is read. A failed one begins anew. */
  async add(source: SeedSource, root: string): Promise<void> {
    const { infohash } = source
    const known = this.#seeds.get(infohash)
    if (known?.failure != null) await this.remove(infohash)
    else if (known !== undefined) return
    if (this.#seeds.size >= SEEDS_MAX) throw new TorrentError('engine', 'too many torrents')
    this.#seeds.set(infohash, {
      infohash,
      root,
      source,
      sizeBytes: source.sizeBytes,
      uploadedBytes: 0,
      callers: 0,
      lastUsedMs: 0,
      isRemoved: false,
      failure: null,
      transfer: null,
      turning: null,
    })
  }

  /** The running torrent. Rejects with TorrentError; its code is `disk` when the files are not what was verified. */
  async wake(infohash: Infohash): Promise<Transfer> {
    const seed = this.#seeds.get(infohash)
    if (seed === undefined) throw new TorrentError('engine', `${infohash} is not seeded`)
    seed.lastUsedMs = performance.now()
    while (seed.turning !== null) await seed.turning
    if (seed.isRemoved) throw aborted()
    if (seed.failure !== null) throw seed.failure
    if (seed.transfer !== null) return seed.transfer
    const waking = this.#queue.wait(seed).then(() => this.#run(seed))
    await this.#turn(seed, waking.then(noop, noop))
    return waking
  }

  /** A connection for it came in: it stays awake at least until that ends. */
  enter(infohash: Infohash): void {
    const seed = this.#seeds.get(infohash)
    if (seed !== undefined) seed.callers++
  }

  leave(infohash: Infohash): void {
    const seed = this.#seeds.get(infohash)
    if (seed === undefined) return
    seed.callers--
    seed.lastUsedMs = performance.now()
    // In a turn of its own: the package still counts the connection that closes.
    if (seed.callers === 0) setImmediate(() => this.#queue.left(seed))
  }

  /** Stops and forgets it, also while it wakes. */
  async remove(infohash: Infohash): Promise<void> {
    const seed = this.#seeds.get(infohash)
    if (seed === undefined) return
    seed.isRemoved = true
    this.#queue.cancel(seed, aborted())
    seed.transfer?.fail(aborted())
    while (seed.turning !== null) await seed.turning
    await this.#sleep(seed)
    if (this.#seeds.get(infohash) === seed) this.#seeds.delete(infohash)
  }

  stats(): TorrentStats[] {
    return [...this.#seeds.values()].map((seed) => {
      const { infohash, sizeBytes, transfer } = seed
      return {
        infohash,
        state: seed.failure === null ? 'seeding' : 'failed',
        dormant: transfer === null,
        sizeBytes,
        doneBytes: seed.failure === null ? sizeBytes : 0,
        downloadedBytes: 0,
        uploadedBytes: seed.uploadedBytes + (transfer?.uploadedBytes ?? 0),
        peers: transfer?.torrent?.numPeers ?? 0,
      }
    })
  }

  /** The engine itself failed: nobody is served any more. */
  failAll(error: TorrentError): void {
    for (const seed of this.#awake) seed.transfer?.fail(error)
  }

  async stop(): Promise<void> {
    if (this.#sweeper !== null) clearInterval(this.#sweeper)
    await Promise.all([...this.#seeds.keys()].map((infohash) => this.remove(infohash)))
  }

  /** It wakes, if there is room. */
  #enter(seed: Seed): boolean {
    if (!this.#makeRoom()) return false
    seed.transfer = new Transfer(seed.infohash, 'seeding', new Dialler({ attemptsMax: DIALS_MAX }))
    this.#awake.add(seed)
    return true
  }

  async #run(seed: Seed): Promise<Transfer> {
    const { source, root, infohash, transfer } = seed
    if (transfer === null) throw aborted()
    try {
      const metadata = readTorrent(await source.torrent(), infohash)
      transfer.signal.throwIfAborted()
      // Times first: what changes in between is seen by `changed`, what changes later by whoever reads.
      const times = await checkSizes(root, metadata.info)
      const changed = (await source.changed?.()) ?? []
      if (changed.length > 0) throw new TorrentError('disk', changed.join('; '))
      transfer.signal.throwIfAborted()
      await this.#options.run(transfer, root, metadata, times)
      transfer.signal.throwIfAborted()
    } catch (error) {
      const failure = asTorrentError(error)
      await this.#rest(seed, transfer)
      this.#failed(seed, failure)
      throw failure
    }
    transfer.signal.addEventListener('abort', () => {
      // Removed: whoever removes it puts it to rest.
      if (seed.isRemoved || seed.transfer !== transfer) return
      this.#failed(seed, asTorrentError(transfer.signal.reason))
      void this.#sleep(seed)
    })
    return transfer
  }

  /** Too few descriptors or too little memory is no damage: it wakes again the next time. */
  #failed(seed: Seed, failure: TorrentError): void {
    if (seed.isRemoved) return
    const { infohash } = seed
    this.#options.log?.warn({ infohash, code: failure.code, error: failure.message }, 'a seed failed')
    if (isShortage(failure)) return
    seed.failure = failure
    this.#options.onFailed(infohash, failure)
  }

  #sleep(seed: Seed): Promise<void> {
    const { transfer } = seed
    if (transfer === null) return seed.turning ?? Promise.resolve()
    return this.#turn(seed, this.#rest(seed, transfer))
  }

  /** Lets go of everything that a running torrent has. */
  async #rest(seed: Seed, transfer: Transfer): Promise<void> {
    if (seed.transfer !== transfer) return
    // Not dormant before its files are closed: waking waits for that.
    await transfer.halt().catch((error: unknown) => {
      this.#options.log?.error({ infohash: seed.infohash, error: String(error) }, 'a seed did not stop well')
    })
    transfer.end()
    seed.uploadedBytes += transfer.uploadedBytes
    seed.transfer = null
    this.#awake.delete(seed)
    this.#queue.left(seed)
  }

  #turn(seed: Seed, work: Promise<void>): Promise<void> {
    const turning = work.finally(() => {
      if (seed.turning === turning) seed.turning = null
    })
    seed.turning = turning
    return turning
  }

  #sweep(): void {
    const now = performance.now()
    for (const seed of this.#awake) {
      const { transfer } = seed
      if (transfer === null || seed.turning !== null) continue
      transfer.dropIdlers(now)
      if (isBusy(seed)) continue
      if (now - Math.max(seed.lastUsedMs, transfer.lastUsedMs) >= this.#sleepAfterMs) void this.#sleep(seed)
    }
    this.#queue.look()
  }

  /** True when one more may wake, for which the one that was unused longest sleeps; false when all are busy. */
  #makeRoom(): boolean {
    if (this.#awake.size < this.#awakeMax) return true
    const now = performance.now()
    let unused: { seed: Seed; atMs: number } | null = null
    for (const seed of this.#awake) {
      const atMs = Math.max(seed.lastUsedMs, seed.transfer?.lastUsedMs ?? 0)
      if (seed.turning !== null || (isBusy(seed) && now - atMs < SILENT_AFTER_MS)) continue
      if (unused === null || atMs < unused.atMs) unused = { seed, atMs }
    }
    if (unused === null) return false
    void this.#sleep(unused.seed)
    return true
  }
}

const noop = (): void => {}

const isBusy = (seed: Seed): boolean => seed.callers > 0 || (seed.transfer?.torrent?.numPeers ?? 0) > 0
