/** Does the core's effects with the node's adapters. Long work runs beside and comes back as an event. */
import type { Effect } from '../../protocol/core/effect.ts'
import type { Event } from '../../protocol/core/event.ts'
import type { Infohash, ShardKey } from '../../protocol/ids.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import type { Auditor } from '../audit/auditor.ts'
import type { FileAuditor } from '../audit/file-auditor.ts'
import type { Promises } from '../audit/promises.ts'
import type { Receipts } from '../audit/receipts.ts'
import type { Log, Network, TorrentEngine } from '../ports.ts'
import type { KeptStore } from '../store/kept.ts'
import { FetchError } from '../transfer/fetch-error.ts'
import type { ShardFetcher } from '../transfer/fetch-shard.ts'
import type { ShardFiles } from '../transfer/shard-files.ts'
import type { Observer } from '../upstream/observer.ts'
import type { ObservationExchange } from './observations.ts'
import type { UpdateExchange } from './updates.ts'

export interface PerformParts {
  readonly network: Network
  readonly kept: Pick<KeptStore, 'save'>
  readonly engine: TorrentEngine
  readonly files: ShardFiles
  readonly fetcher: ShardFetcher
  readonly auditor: Auditor
  readonly fileAuditor: FileAuditor
  readonly receipts: Receipts
  readonly promises: Promises
  readonly updates: UpdateExchange
  readonly observations: ObservationExchange
  readonly observer: Observer
  readonly log: Log
  readonly dispatch: (event: Event) => void
  readonly checkOwn: (shard: Shard) => Promise<readonly string[]>
  /** What is remembered of the files of a replica that goes. */
  readonly forgetHeld: (infohash: Infohash) => Promise<void>
}

interface Work {
  readonly abort: AbortController
  readonly ended: Promise<void>
}

export class Performer {
  readonly #parts: PerformParts
  readonly #fetches = new Map<ShardKey, Work>()

  constructor(parts: PerformParts) {
    this.#parts = parts
  }

  async perform(effect: Effect): Promise<void> {
    const { kept, log, updates, promises } = this.#parts
    switch (effect.kind) {
      case 'persist':
        return kept.save(effect.kept)
      case 'publish':
        this.#publish(effect)
        return
      case 'forget':
        updates.forget(effect.node)
        return
      case 'ask-promise':
        void promises.ask(effect.shard, effect.node)
        return
      case 'answer-promise':
        promises.answer(effect.shard, effect.to, effect.untilMs)
        return
      case 'drop':
        return this.#drop(effect)
      case 'connect':
        this.#connect(effect.multiaddrs)
        return
      case 'fetch':
        this.#fetch(effect)
        return
      case 'stop-fetch':
        this.#stopFetch(effect.shard)
        return
      case 'add-peers':
        this.#parts.engine.addPeers(effect.infohash, effect.peers)
        return
      case 'release':
        this.#release(effect.shard)
        return
      case 'audit':
        this.#audit(effect)
        return
      case 'audit-file':
        this.#auditFile(effect)
        return
      case 'ask-receipt':
        void this.#parts.receipts.ask(effect)
        return
      case 'check':
        void this.#parts.checkOwn(effect.shard)
        return
      case 'observe':
        this.#parts.observer.observe(effect)
        return
      case 'pull-runs':
        this.#parts.observations.want(effect.missing, effect.kept)
        return
      case 'forget-observation':
        this.#parts.observations.forget(effect.observation)
        return
      case 'notice':
        log.info({ code: effect.code, shard: effect.shard, detail: effect.detail }, effect.code)
        return
    }
  }

  /** Stops all fetches and what is being read, and waits for them. */
  async stop(): Promise<void> {
    await this.#parts.fileAuditor.stop()
    const works = [...this.#fetches.values()]
    for (const work of works) work.abort.abort()
    await Promise.all([this.#parts.observer.stop(), ...works.map((work) => work.ended)])
  }

  /** Not awaited: a slow network must not hold up the next event. */
  #publish({ statement }: Extract<Effect, { kind: 'publish' }>): void {
    const { updates, log } = this.#parts
    updates
      .publish(statement)
      .catch((error: unknown) => log.warn({ error: String(error) }, 'could not publish what changed'))
  }

  async #drop({ shard, infohash }: Extract<Effect, { kind: 'drop' }>): Promise<void> {
    const { engine, files } = this.#parts
    if (infohash !== null) {
      await engine.remove(infohash)
      await this.#parts.forgetHeld(infohash)
    }
    await files.remove(shard, infohash)
  }

  #connect(multiaddrs: readonly string[]): void {
    const { network, log } = this.#parts
    network
      .connect([...multiaddrs])
      .then((connected) => log.debug({ multiaddrs, connected }, 'dialled a node that was heard of'))
      .catch((error: unknown) =>
        log.debug({ multiaddrs, error: String(error) }, 'could not dial a node that was heard of'),
      )
  }

  #fetch(effect: Extract<Effect, { kind: 'fetch' }>): void {
    const { shard, from } = effect
    const before = this.#fetches.get(shard.key)
    before?.abort.abort()
    const abort = new AbortController()
    const ended = this.#runFetch(shard, from, abort, before?.ended ?? Promise.resolve())
    this.#fetches.set(shard.key, { abort, ended })
  }

  async #runFetch(
    shard: Shard,
    from: Extract<Effect, { kind: 'fetch' }>['from'],
    abort: AbortController,
    before: Promise<void>,
  ): Promise<void> {
    const { fetcher, dispatch, log } = this.#parts
    const { signal } = abort
    // One writer a staging folder: the fetch that this one replaces ends first.
    await before
    await this.#parts.fileAuditor.giveWay(shard.key)
    try {
      signal.throwIfAborted()
      const onProgress = (doneBytes: number) => {
        if (!signal.aborted) dispatch({ kind: 'progress', shard: shard.key, doneBytes })
      }
      const fetched = await fetcher.fetch(shard, from, { onProgress, signal })
      dispatch({ kind: 'fetched', shard: shard.key, ...fetched })
    } catch (error) {
      if (signal.aborted) return
      if (!(error instanceof FetchError)) throw error
      log.warn(
        { shard: shard.key, from: from.kind, code: error.code, detail: error.message },
        'a fetch failed',
      )
      if (error.code === 'aborted') return
      const infohash = error.infohash ?? (from.kind === 'swarm' ? from.infohash : null)
      dispatch({ kind: 'fetch-failed', shard: shard.key, code: error.code, detail: error.message, infohash })
    } finally {
      if (this.#fetches.get(shard.key)?.abort === abort) this.#fetches.delete(shard.key)
    }
  }

  #stopFetch(shard: ShardKey): void {
    this.#fetches.get(shard)?.abort.abort()
  }

  #release(shard: Shard): void {
    const { files, log } = this.#parts
    const before = this.#fetches.get(shard.key)
    before?.abort.abort()
    const ended = (before?.ended ?? Promise.resolve())
      .then(() => files.discard(shard))
      .catch((error: unknown) =>
        log.warn({ shard: shard.key, error: String(error) }, 'could not remove partial files'),
      )
    // A new claim of the same shard waits for this before it writes.
    this.#fetches.set(shard.key, { abort: new AbortController(), ended })
  }

  #audit(effect: Extract<Effect, { kind: 'audit' }>): void {
    const { auditor, dispatch } = this.#parts
    const { shard, node } = effect
    void auditor
      .audit(shard, node)
      .then((outcome) => dispatch({ kind: 'audited', shard: shard.key, node, outcome }))
  }

  #auditFile(effect: Extract<Effect, { kind: 'audit-file' }>): void {
    const { fileAuditor, dispatch } = this.#parts
    const { shard, node } = effect
    void fileAuditor
      .audit(effect)
      .then((outcome) => dispatch({ kind: 'audited', shard: shard.key, node, outcome }))
  }
}
