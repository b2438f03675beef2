/** Fetches and open torrents of EngineProcess, each over all processes that it lives through. */
import type { Infohash } from '../../protocol/ids.ts'
import {
  type TorrentEngine,
  TorrentError,
  type TorrentPeer,
  type TorrentReader,
  type TorrentStats,
} from '../ports.ts'
import type { Fetched, Job } from './engine-calls.ts'
import { ChannelLost } from './engine-channel.ts'
import type { EngineChannel, EngineKeeper } from './engine-keeper.ts'
import { aborted } from './torrent-errors.ts'
import { orAbort } from './torrent-transfer.ts'

export type FetchOptions = Parameters<TorrentEngine['fetch']>[2]
export type OpenOptions = Parameters<TorrentEngine['open']>[1]

interface Work {
  readonly job: Job & { readonly peers: TorrentPeer[] }
  readonly options: Pick<FetchOptions, 'accept' | 'onProgress'>
  readonly removed: AbortController
  /** What the processes before took, and this one. */
  earlierBytes: number
  downloadedBytes: number
}

const PEERS_MAX = 1_000
/** Ends of the process during one transfer, without a byte between: it may be what ends them. */
const LOSSES_MAX = 3

export class EngineJobs {
  readonly #keeper: EngineKeeper
  readonly #work = new Map<number, Work>()
  #next = 0

  constructor(keeper: EngineKeeper) {
    this.#keeper = keeper
  }

  async fetch(
    infohash: Infohash,
    options: Pick<FetchOptions, 'peers' | 'accept' | 'onProgress' | 'signal'>,
    attempt: (channel: EngineChannel, job: Job) => Promise<Fetched>,
  ): Promise<Fetched> {
    const work = this.#begin(infohash, options)
    try {
      const { info, downloadedBytes } = await this.#again(work, options.signal, (channel) =>
        attempt(channel, work.job),
      )
      return { info, downloadedBytes: work.earlierBytes + downloadedBytes }
    } finally {
      this.#work.delete(work.job.job)
    }
  }

  async open(infohash: Infohash, options: OpenOptions): Promise<TorrentReader> {
    const work = this.#begin(infohash, options)
    const { job } = work.job
    let info = options.info ?? null
    let last: { channel: EngineChannel; opening: Promise<Uint8Array> } | null = null
    const openAt = (channel: EngineChannel, signal?: AbortSignal): Promise<Uint8Array> => {
      if (last?.channel === channel) return last.opening
      const { kind = 'shard', patienceMs = null } = options
      const request = { ...work.job, info, kind, patienceMs }
      const opening = channel.call('open', request, signal).then((opened) => opened.info)
      last = { channel, opening }
      return opening
    }
    const close = async () => {
      work.removed.abort()
      this.#work.delete(job)
      const channel = last?.channel
      if (channel !== undefined) await channel.call('close', { job }).catch(unlessLost)
    }
    try {
      const known = await this.#again(work, options.signal, (channel) => openAt(channel, options.signal))
      info = known
      options.signal?.addEventListener('abort', () => void close(), { once: true })
      return {
        info: known,
        get downloadedBytes() {
          return work.earlierBytes + work.downloadedBytes
        },
        read: (file, start, end, signal) =>
          this.#again(work, signal, async (channel) => {
            await openAt(channel)
            const got = await channel.call('read', { job, file, start, end }, signal)
            work.downloadedBytes = got.downloadedBytes
            return got.bytes
          }),
        close,
      }
    } catch (error) {
      this.#work.delete(job)
      throw error
    }
  }

  /** Also for the processes to come. */
  addPeers(infohash: Infohash, peers: readonly TorrentPeer[]): void {
    for (const { job } of this.#work.values()) {
      if (job.infohash === infohash) job.peers.push(...peers.slice(0, PEERS_MAX - job.peers.length))
    }
  }

  remove(infohash: Infohash): void {
    for (const { job, removed } of this.#work.values()) if (job.infohash === infohash) removed.abort()
  }

  accept(job: number, info: Uint8Array): boolean | Promise<boolean> {
    return this.#work.get(job)?.options.accept(info) ?? false
  }

  progress(job: number, stats: TorrentStats): void {
    const work = this.#work.get(job)
    if (work === undefined) return
    work.downloadedBytes = stats.downloadedBytes
    work.options.onProgress?.({ ...stats, downloadedBytes: work.earlierBytes + stats.downloadedBytes })
  }

  #begin(
    infohash: Infohash,
    options: Pick<FetchOptions, 'peers' | 'accept' | 'onProgress' | 'signal'>,
  ): Work {
    if (options.signal?.aborted) throw aborted()
    const work: Work = {
      job: { job: this.#next++, infohash, peers: options.peers.slice(0, PEERS_MAX) },
      options,
      removed: new AbortController(),
      earlierBytes: 0,
      downloadedBytes: 0,
    }
    this.#work.set(work.job.job, work)
    return work
  }

  /** Until a process lives long enough, unless there is reason to believe that this work is what ends them. */
  async #again<T>(
    work: Work,
    signal: AbortSignal | undefined,
    attempt: (channel: EngineChannel) => Promise<T>,
  ): Promise<T> {
    const ending = AbortSignal.any([work.removed.signal, ...(signal === undefined ? [] : [signal])])
    let losses = 0
    return untilAnswered(this.#keeper, attempt, ending, (error) => {
      losses = work.downloadedBytes > 0 ? 1 : losses + 1
      work.earlierBytes += work.downloadedBytes
      work.downloadedBytes = 0
      if (losses > LOSSES_MAX) throw new TorrentError('engine', `${error.message}, ${losses} times in a row`)
    })
  }
}

/** Asks the process that runs, and the next one when it ended before it answered. Rejects with TorrentError. */
export async function untilAnswered<T>(
  keeper: EngineKeeper,
  attempt: (channel: EngineChannel) => Promise<T>,
  ending: AbortSignal,
  onLost: (error: ChannelLost) => void,
): Promise<T> {
  for (;;) {
    if (ending.aborted) throw aborted()
    // At once where it can be: calls keep their order.
    const channel = keeper.current ?? (await orAbort(keeper.channel(), ending, aborted))
    try {
      return await attempt(channel)
    } catch (error) {
      if (!(error instanceof ChannelLost)) throw error
      onLost(error)
    }
  }
}

/** What a process had is gone with it. */
export function unlessLost(error: unknown): undefined {
  if (!(error instanceof ChannelLost)) throw error
}
