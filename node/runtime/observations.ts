/**
 * Observations on the wire (PROTOCOL 1): what a node read of upstream while no coordinator was heard of is gossiped, sealed; what
 * others said before is pulled from any peer, and so are the runs' documents once the core wants them.
 *
 * Request `{observations: digest of what the asker knows}` -> sha256 of each that the asked one knows, in a row; none when it
 * knows the same. They themselves are asked for as documents are.
 */

import {
  describeRun,
  encodeObservation,
  OBSERVATION_DOMAIN,
  OBSERVATION_TYPE,
  type Observation,
  openRun,
  type RunReference,
} from '../../protocol/catalog/observation.ts'
import { ObservationBook } from '../../protocol/catalog/observation-book.ts'
import { bytesToHex, concatBytes, hexToBytes } from '../../protocol/codec/bytes.ts'
import { decodeCbor, encodeCbor } from '../../protocol/codec/cbor.ts'
import { bytes, ShapeError, text } from '../../protocol/codec/shape.ts'
import type { NodeId } from '../../protocol/ids.ts'
import { OBSERVATIONS_MAX, STREAM_MESSAGE_BYTES_MAX } from '../../protocol/limits.ts'
import { openObservation } from '../../protocol/manifest/trust.ts'
import type { Parameters } from '../../protocol/parameters.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { verifyEd25519 } from '../net/signature.ts'
import type { Clock, Identity, Log, Network, Store, Verdict } from '../ports.ts'
import { keyOf, prefixOf } from '../store/keyspace.ts'
import type { Documents } from './documents.ts'
import { OneAtATime } from './one-at-a-time.ts'

const SHA256_BYTES = 32
/** Asked for in one visit. */
const PULLED_AT_ONCE_MAX = 256

export interface ObservationExchangeOptions {
  readonly identity: Identity
  readonly operator: string
  readonly network: Network
  readonly store: Store
  readonly documents: Documents
  readonly clock: Clock
  readonly log: Log
  /** As it holds now. */
  readonly parameters: () => Pick<Parameters, 'clockSkewMs' | 'goneMs' | 'observeEveryMs'>
  readonly classOf: (node: NodeId) => number
  readonly heard: (observation: Observation, replaces: Observation | null) => void
  readonly gotRun: (sha256: string, shards: readonly Shard[]) => void
}

export class ObservationExchange {
  readonly #options: ObservationExchangeOptions
  readonly #book: ObservationBook
  #missing: readonly RunReference[] = []
  #kept: readonly string[] = []
  /** Documents of what this node read last: nobody else may have them yet. */
  #own: readonly string[] = []
  readonly #pulls = new OneAtATime()

  constructor(options: ObservationExchangeOptions) {
    const { network, documents, parameters, classOf } = options
    this.#options = options
    const open = (sealed: Uint8Array) => openObservation(sealed, verifyEd25519)
    this.#book = new ObservationBook({ open, parameters, classOf })
    network.onGossip('observations', (data, from) => this.#onGossip(data, from))
    documents.register('observations', {
      answer: (digest) => this.#answer(text(digest, 'request.observations', 2 * SHA256_BYTES)),
      kept: () => [...this.#kept, ...this.#own],
      find: (sha256) => this.#book.get(sha256),
    })
  }

  /** Reads what was stored before. */
  async restore(): Promise<void> {
    const { store, log } = this.#options
    for await (const { key, value } of store.list(prefixOf('observations')))
      if (this.#take(value, true) !== 'accept')
        log.warn({ key }, 'a stored observation is not wanted any more')
  }

  /** Says what this node read: the shards of each run. */
  async publish(runs: readonly (readonly Shard[])[]): Promise<void> {
    const { identity, operator, network, documents, clock, log } = this.#options
    const described = runs.map(describeRun).filter((one) => one !== null)
    described.sort((a, b) => (a.reference.run < b.reference.run ? -1 : 1))
    this.#own = described.map(({ reference }) => reference.sha256)
    for (const { reference, bytes: raw } of described) await documents.keep(reference.sha256, raw)
    const observation: Observation = {
      node: identity.nodeId,
      operator,
      atMs: clock.wallMs(),
      runs: described.map(({ reference }) => reference),
    }
    const sealed = identity.seal(OBSERVATION_DOMAIN, OBSERVATION_TYPE, encodeObservation(observation))
    this.#take(sealed, true)
    const peers = await network.publish('observations', sealed)
    log.info({ runs: described.length, peers }, 'told the others what upstream has')
  }

  /** What the core needs of runs' documents from now on. */
  want(missing: readonly RunReference[], kept: readonly string[]): void {
    this.#missing = missing
    this.#kept = kept
    this.#completeSoon(null)
  }

  forget(observation: Observation): void {
    const { store, log } = this.#options
    const kept = this.#book.forget(observation)
    if (kept === null) return
    store
      .batch([{ type: 'del', key: keyOf('observations', kept.sha256) }])
      .catch((error: unknown) => log.warn({ error: String(error) }, 'could not remove an observation'))
  }

  /** Takes from a peer what is not known here. Rejects when the peer does not answer well. */
  async pull(peer: NodeId): Promise<void> {
    const { documents } = this.#options
    const answer = await documents.ask(peer, { observations: this.#book.digest })
    const rows = bytes(
      decodeCbor(answer, 'observations', STREAM_MESSAGE_BYTES_MAX),
      'observations',
      0,
      OBSERVATIONS_MAX * SHA256_BYTES,
    )
    if (rows.length % SHA256_BYTES !== 0) throw new ShapeError('observations', 'whole rows')
    const names: string[] = []
    for (let at = 0; at < rows.length; at += SHA256_BYTES)
      names.push(bytesToHex(rows.subarray(at, at + SHA256_BYTES)))
    for (const sha256 of this.#book.missing(names).slice(0, PULLED_AT_ONCE_MAX)) {
      const sealed = await documents.ask(peer, { sha256, offset: 0 })
      if (sealed.length > 0 && this.#take(sealed, true) === 'reject')
        throw new ShapeError(`observations.${sha256}`, 'what a node signed')
    }
    await this.#complete(peer)
  }

  #onGossip(data: Uint8Array, from: NodeId): Verdict {
    const verdict = this.#take(data, false)
    if (verdict === 'reject') this.#options.log.warn({ from }, 'rejected an observation')
    return verdict
  }

  #take(sealed: Uint8Array, late: boolean): Verdict {
    const { clock, store, log, heard } = this.#options
    const found = this.#book.hear(sealed, clock.wallMs(), late)
    if (found.kind === 'refused') return 'reject'
    if (found.kind !== 'new') return 'ignore'
    const { kept, replaced } = found
    heard(kept.observation, replaced?.observation ?? null)
    const key = (sha256: string) => keyOf('observations', sha256)
    store
      .batch([
        { type: 'put', key: key(kept.sha256), value: sealed },
        ...(replaced === null ? [] : [{ type: 'del', key: key(replaced.sha256) } as const]),
      ])
      .catch((error: unknown) => log.warn({ error: String(error) }, 'could not store an observation'))
    return 'accept'
  }

  #answer(digest: string): Uint8Array {
    if (digest === this.#book.digest) return encodeCbor(new Uint8Array())
    return encodeCbor(concatBytes(...[...this.#book.all()].map(({ sha256 }) => hexToBytes(sha256))))
  }

  #completeSoon(teller: NodeId | null): void {
    this.#complete(teller).catch((error: unknown) =>
      this.#options.log.warn({ error: String(error) }, 'could not get what observers named'),
    )
  }

  /** Gets missing documents, one round at a time: from disk, else from any peer. */
  #complete(teller: NodeId | null): Promise<void> {
    return this.#pulls.run(() => this.#getMissing(teller))
  }

  async #getMissing(teller: NodeId | null): Promise<void> {
    const { documents, gotRun } = this.#options
    for (const reference of this.#missing) {
      const open = (raw: Uint8Array) => openRun(raw, reference)
      const known = await documents.get(reference.sha256)
      const shards = known === null ? await documents.pull(reference, teller, open) : open(known)
      if (shards === null) continue
      this.#missing = this.#missing.filter((one) => one !== reference)
      gotRun(reference.sha256, shards)
    }
    await documents.prune()
  }
}
