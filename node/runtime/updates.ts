/**
 * Node updates on the wire (PROTOCOL 4): gossip in and out, and catching up with what a peer knows and we do not. What an update
 * means is in `protocol/manifest/record-book.ts`; here are sockets, disk and patience.
 */
import type { NodeId } from '../../protocol/ids.ts'
import { answerCatchUp } from '../../protocol/manifest/catch-up-answer.ts'
import { type Conversation, compareWith, takeFrom } from '../../protocol/manifest/catch-up-ask.ts'
import type { Statement } from '../../protocol/manifest/next-update.ts'
import type { NodeRecord, RecordChange } from '../../protocol/manifest/node-record.ts'
import { NODE_UPDATE_DOMAIN, NODE_UPDATE_TYPE } from '../../protocol/manifest/node-update.ts'
import { type Heard, RecordBook } from '../../protocol/manifest/record-book.ts'
import { openNodeUpdate } from '../../protocol/manifest/trust.ts'
import type { Parameters } from '../../protocol/parameters.ts'
import { verifyEd25519 } from '../net/signature.ts'
import type { Clock, Identity, Log, Network, Store, Verdict } from '../ports.ts'
import { RecordStore } from '../store/records.ts'
import { Gaps } from './gaps.ts'
import { UpdatePace } from './update-pace.ts'

const REQUEST_TIMEOUT_MS = 15_000
/** Of one conversation: 20,000 nodes with small states take fewer. */
const REQUESTS_MAX = 1_000
/** Before each try to fill a gap. */
const GAP_PAUSES_MS = [0, 2_000, 10_000]

export interface UpdateExchangeOptions {
  readonly identity: Identity
  readonly network: Network
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
  /** Those that hold now. */
  readonly parameters: () => Pick<Parameters, 'clockSkewMs' | 'goneMs' | 'publishMinMs'>
  /** A record that is new here, own ones too, and what is different in it. */
  readonly heard: (record: NodeRecord, change: RecordChange) => void
  /** A node said two things under one sequence; two sealed updates prove it (openContradiction). Once for each node. */
  readonly contradicted: (node: NodeId, proof: readonly [Uint8Array, Uint8Array]) => void
  /** Others know an update of ours that we do not: go on above its sequence. */
  readonly ahead: (sequence: number) => void
  readonly gapPausesMs?: readonly number[]
}

const open = (sealed: Uint8Array) => openNodeUpdate(sealed, verifyEd25519)

export class UpdateExchange {
  /** Read only: what is known of everybody. */
  readonly book: RecordBook
  readonly #options: UpdateExchangeOptions
  readonly #kept: RecordStore
  readonly #gaps: Gaps
  readonly #pace: UpdatePace

  constructor(options: UpdateExchangeOptions) {
    const { identity, network, store, clock, log, parameters } = options
    this.#options = options
    this.book = new RecordBook({ self: identity.nodeId, open, parameters })
    this.#kept = new RecordStore(store, (error) =>
      log.warn({ error: String(error) }, 'could not store what other nodes said'),
    )
    this.#pace = new UpdatePace(() => parameters().publishMinMs)
    this.#gaps = new Gaps({
      clock,
      peers: () => network.peers().map((peer) => peer.nodeId),
      isOpen: (node) => this.book.isWaiting(node),
      ask: (peer, nodes) => this.#fill(peer, nodes),
      pausesMs: options.gapPausesMs ?? GAP_PAUSES_MS,
    })
    network.onGossip('manifests', (data, from) => this.#onGossip(data, from))
    network.handle('manifest', async (request) => answerCatchUp(request, this.book))
  }

  /** Reads what was stored before. What is damaged or too old is removed. */
  async restore(): Promise<void> {
    const { log, clock, heard } = this.#options
    const wrong = (key: string, why: string) => log.warn({ key, why }, 'a stored record is not right')
    for await (const record of this.#kept.load(open, wrong)) {
      const change = this.book.restore(record, clock.wallMs())
      if (change === null) this.#kept.remove(record.node)
      else heard(record, change)
    }
  }

  /** Seals, keeps and gossips what this node says now. */
  async publish(statement: Omit<Statement, 'node'>): Promise<void> {
    const { identity, network, log, heard } = this.#options
    const seal = (payload: Uint8Array) => identity.seal(NODE_UPDATE_DOMAIN, NODE_UPDATE_TYPE, payload)
    const { record, change } = this.book.say(statement, seal)
    this.#kept.save(record)
    heard(record, change)
    const peers = await network.publish('manifests', record.sealed)
    log.debug({ peers, sizeBytes: record.sealed.length }, 'published own update')
  }

  /**
   * Takes from a peer what is newer there. `everything`: compares head by head, for a peer that just came; otherwise group by
   * group. Rejects when the peer does not answer well.
   */
  pull(peer: NodeId, everything: boolean): Promise<void> {
    return this.#converse(peer, compareWith(this.#asking(peer), everything))
  }

  forget(node: NodeId): void {
    this.book.forget(node)
    this.#pace.forget(node)
    this.#kept.remove(node)
  }

  /** Asks nobody any more, and waits until everything that was heard is stored. */
  async stop(): Promise<void> {
    this.#gaps.stop()
    await this.#kept.flushed()
  }

  #onGossip(data: Uint8Array, from: NodeId): Verdict {
    const { log, clock } = this.#options
    const heard = this.book.hear(data, clock.wallMs())
    this.#note(heard, from)
    switch (heard.kind) {
      case 'refused':
        log.warn({ from, code: heard.code, detail: heard.detail }, 'rejected an update')
        return 'reject'
      case 'applied':
        return this.#pace.mayPass(heard.record.node, clock.monotonicMs()) ? 'accept' : 'ignore'
      case 'gap':
        if (!this.#pace.mayPass(heard.update.node, clock.monotonicMs())) return 'ignore'
        this.#gaps.open(heard.update.node, from)
        // Others may know what we lack.
        return 'accept'
      case 'contradiction':
        // Others can only find out when both updates reach them.
        return 'accept'
      case 'ahead':
        return 'accept'
      default:
        return 'ignore'
    }
  }

  #note(heard: Heard, from: NodeId): void {
    const { log } = this.#options
    if (heard.kind === 'applied') {
      this.#kept.save(heard.record)
      this.#options.heard(heard.record, heard.change)
    } else if (heard.kind === 'contradiction') {
      log.warn({ node: heard.node, from }, 'a node said two things under one sequence')
      this.#options.contradicted(heard.node, heard.proof)
    } else if (heard.kind === 'ahead') {
      log.warn({ sequence: heard.sequence, from }, 'others know an update of ours that we do not')
      this.#options.ahead(heard.sequence)
    }
  }

  #asking(peer: NodeId) {
    const { clock } = this.#options
    return {
      book: this.book,
      nowMs: () => clock.wallMs(),
      heard: (heard: Heard) => this.#note(heard, peer),
    }
  }

  async #fill(peer: NodeId, nodes: NodeId[]): Promise<void> {
    try {
      await this.#converse(peer, takeFrom(this.#asking(peer), nodes))
    } catch (error) {
      this.#options.log.info({ peer, error: String(error) }, 'this peer could not give what was missing')
    }
  }

  async #converse(peer: NodeId, conversation: Conversation<void>): Promise<void> {
    const { network } = this.#options
    try {
      let step = conversation.next()
      for (let count = 0; step.done !== true; count++) {
        if (count === REQUESTS_MAX) throw new Error('this peer gives too little at a time')
        const answer = await network.request(peer, 'manifest', step.value, { timeoutMs: REQUEST_TIMEOUT_MS })
        step = conversation.next(answer)
      }
    } finally {
      conversation.return()
    }
  }
}
