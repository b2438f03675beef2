/**
 * Promises over the network (PROTOCOL 8), both sides. Request protocol `promise`: `{shard}` -> a sealed promise, or no bytes
 * for "no". The asker has the holder prove its copy first; the asked stores its promise before the answer leaves.
 */

import {
  encodePromise,
  PROMISE_BYTES_MAX,
  PROMISE_DOMAIN,
  PROMISE_TYPE,
} from '../../protocol/audit/promise.ts'
import { decodeCbor, encodeCbor } from '../../protocol/codec/cbor.ts'
import { record } from '../../protocol/codec/shape.ts'
import type { Event } from '../../protocol/core/event.ts'
import type { NodeId, ShardKey } from '../../protocol/ids.ts'
import { readShardKey } from '../../protocol/manifest/entry.ts'
import { openPromise } from '../../protocol/manifest/trust.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { verifyEd25519 } from '../net/signature.ts'
import type { Identity, Log, Network } from '../ports.ts'
import type { Auditor } from './auditor.ts'

const REQUEST_TIMEOUT_MS = 15_000
/** Askers that wait for our core at once. */
const WAITING_MAX = 256

export class Promises {
  readonly #parts: {
    identity: Identity
    network: Network
    auditor: Auditor
    log: Log
    dispatch: (event: Event) => void
  }
  readonly #waiting = new Map<string, (untilMs: number | null) => void>()

  constructor(parts: {
    identity: Identity
    network: Network
    auditor: Auditor
    log: Log
    dispatch: (event: Event) => void
  }) {
    this.#parts = parts
    parts.network.handle('promise', (request, from) => this.#onAsked(request, from.nodeId))
  }

  /** Asks a holder for a proof and a promise; the core hears of it. Never rejects. */
  async ask(shard: Shard, node: NodeId): Promise<void> {
    const granted = await this.#ask(shard, node).catch((error: unknown) => {
      this.#parts.log.info({ shard: shard.key, node, error: String(error) }, 'no promise from a holder')
      return false
    })
    this.#parts.dispatch({ kind: 'promised', shard: shard.key, node, granted })
  }

  /** The core's answer to somebody who asked. */
  answer(shard: ShardKey, to: NodeId, untilMs: number | null): void {
    const key = `${shard} ${to}`
    this.#waiting.get(key)?.(untilMs)
    this.#waiting.delete(key)
  }

  async #ask(shard: Shard, node: NodeId): Promise<boolean> {
    const { auditor, network, identity, dispatch } = this.#parts
    const outcome = await auditor.audit(shard, node)
    // An audit like any other: a holder that fails must hear of it.
    dispatch({ kind: 'audited', shard: shard.key, node, outcome })
    if (outcome !== 'pass') return false
    const request = encodeCbor({ shard: shard.key })
    const reply = await network.request(node, 'promise', request, { timeoutMs: REQUEST_TIMEOUT_MS })
    if (reply.length === 0) return false
    const opened = openPromise(reply, verifyEd25519)
    return (
      opened.ok &&
      opened.signer === node &&
      opened.value.to === identity.nodeId &&
      opened.value.shard === shard.key
    )
  }

  async #onAsked(request: Uint8Array, from: NodeId): Promise<Uint8Array> {
    const { identity, dispatch } = this.#parts
    const fields = record(decodeCbor(request, 'request', PROMISE_BYTES_MAX), 'request', ['shard'])
    const shard = readShardKey(fields.shard, 'request.shard')
    const key = `${shard} ${from}`
    if (this.#waiting.has(key) || this.#waiting.size >= WAITING_MAX) throw new Error('asked again too soon')
    const untilMs = await new Promise<number | null>((resolve) => {
      this.#waiting.set(key, resolve)
      dispatch({ kind: 'promise-asked', shard, from })
    })
    if (untilMs === null) return new Uint8Array()
    const promise = { node: identity.nodeId, to: from, shard, untilMs }
    return identity.seal(PROMISE_DOMAIN, PROMISE_TYPE, encodePromise(promise))
  }
}
