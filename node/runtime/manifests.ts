/**
 * Node manifests on the wire: gossip in and out, and anti-entropy by pulling what a peer has and we lack (PROTOCOL 4).
 *
 * Request `{heads: true}` -> `[[node, sequence], ...]`; request `{get: [node, ...]}` -> the sealed manifests, as many as fit.
 */
import { decodeCbor, encodeCbor } from '../../protocol/codec/cbor.ts'
import { bytes, integer, list, record, ShapeError } from '../../protocol/codec/shape.ts'
import type { NodeId } from '../../protocol/ids.ts'
import { LEDGER_NODES_MAX, NODE_MANIFEST_BYTES_MAX, STREAM_MESSAGE_BYTES_MAX } from '../../protocol/limits.ts'
import { type NodeManifest, readNodeId } from '../../protocol/manifest/node-manifest.ts'
import { openNodeManifest, type Verified } from '../../protocol/manifest/trust.ts'
import { verifyEd25519 } from '../net/signature.ts'
import type { Clock, Log, Network, Verdict } from '../ports.ts'

const REQUEST_TIMEOUT_MS = 15_000
/** Manifests asked for in one request. */
const GET_MAX = 256
/** Envelopes and list heads leave this much of a message for the sealed manifests. */
const ANSWER_BYTES_MAX = STREAM_MESSAGE_BYTES_MAX - 8_192

export class ManifestExchange {
  readonly #network: Network
  readonly #log: Log
  readonly #heard: (manifest: Verified<NodeManifest>, raw: Uint8Array) => void
  readonly #clock: Clock
  readonly #clockSkewMs: number
  /** The newest sealed manifest of every known node, as received, to hand on unchanged (PROTOCOL 3). */
  readonly #sealed = new Map<NodeId, { sequence: number; raw: Uint8Array }>()

  constructor(options: {
    network: Network
    log: Log
    clock: Clock
    clockSkewMs: number
    heard: (manifest: Verified<NodeManifest>, raw: Uint8Array) => void
  }) {
    this.#network = options.network
    this.#log = options.log
    this.#heard = options.heard
    this.#clock = options.clock
    this.#clockSkewMs = options.clockSkewMs
    this.#network.onGossip('manifests', (data, from) => this.#onGossip(data, from))
    this.#network.handle('manifest', async (request) => this.#answer(request))
  }

  /** Takes a stored manifest at start, or one's own; false when it does not verify. */
  restore(raw: Uint8Array): boolean {
    const opened = openNodeManifest(raw, verifyEd25519)
    if (!opened.ok) return false
    this.#take(opened.value, raw)
    return true
  }

  async publish(sealed: Uint8Array): Promise<void> {
    this.restore(sealed)
    const peers = await this.#network.publish('manifests', sealed)
    this.#log.debug({ peers, sizeBytes: sealed.length }, 'published own manifest')
  }

  forget(node: NodeId): void {
    this.#sealed.delete(node)
  }

  /** Asks a peer for its heads and pulls every manifest that is newer there. Throws when the peer does not answer well. */
  async pull(peer: NodeId): Promise<number> {
    const heads = await this.#ask(peer, { heads: true })
    const wanted = list(heads, 'heads', LEDGER_NODES_MAX, readHead).filter(
      ([node, sequence]) => sequence > (this.#sealed.get(node)?.sequence ?? 0),
    )
    let pulled = 0
    for (let start = 0; start < wanted.length; ) {
      const nodes = wanted.slice(start, start + GET_MAX).map(([node]) => node)
      const answer = list(await this.#ask(peer, { get: nodes }), 'manifests', GET_MAX, (value, path) =>
        bytes(value, path, 1, NODE_MANIFEST_BYTES_MAX),
      )
      if (answer.length === 0) break
      for (const raw of answer) if (this.#receive(raw) === 'accept') pulled++
      start += answer.length
    }
    return pulled
  }

  async #ask(peer: NodeId, request: object): Promise<unknown> {
    const answer = await this.#network.request(peer, 'manifest', encodeCbor(request), {
      timeoutMs: REQUEST_TIMEOUT_MS,
    })
    return decodeCbor(answer, 'answer', STREAM_MESSAGE_BYTES_MAX)
  }

  #onGossip(data: Uint8Array, from: NodeId): Verdict {
    const verdict = this.#receive(data)
    if (verdict === 'reject') this.#log.warn({ from }, 'rejected a manifest that no honest node would send')
    return verdict
  }

  #receive(raw: Uint8Array): Verdict {
    const opened = openNodeManifest(raw, verifyEd25519)
    // PROTOCOL 4: reject only what every honest node rejects from the bytes alone; old or repeated is ignored.
    if (!opened.ok) return 'reject'
    const manifest = opened.value
    // From the future: not wrong for everybody, so it costs nothing, but it is neither kept nor handed on.
    if (manifest.issuedAtMs > this.#clock.wallMs() + this.#clockSkewMs) return 'ignore'
    if (manifest.sequence <= (this.#sealed.get(manifest.node)?.sequence ?? 0)) return 'ignore'
    this.#take(manifest, raw)
    return 'accept'
  }

  #take(manifest: Verified<NodeManifest>, raw: Uint8Array): void {
    if (this.#sealed.size >= LEDGER_NODES_MAX && !this.#sealed.has(manifest.node)) return
    this.#sealed.set(manifest.node, { sequence: manifest.sequence, raw })
    this.#heard(manifest, raw)
  }

  #answer(request: Uint8Array): Uint8Array {
    const fields = record(decodeCbor(request, 'request', STREAM_MESSAGE_BYTES_MAX), 'request', [
      'heads',
      'get',
    ])
    if (fields.get === undefined) {
      return encodeCbor([...this.#sealed].map(([node, { sequence }]) => [node, sequence]).slice(0, HEADS_MAX))
    }
    const nodes = list(fields.get, 'request.get', GET_MAX, readNodeId)
    const answer: Uint8Array[] = []
    let size = 0
    for (const node of nodes) {
      const raw = this.#sealed.get(node)?.raw
      if (raw === undefined) continue
      if (size + raw.length > ANSWER_BYTES_MAX && answer.length > 0) break
      size += raw.length + 8
      answer.push(raw)
    }
    return encodeCbor(answer)
  }
}

/** A head takes about 65 bytes. */
const HEADS_MAX = Math.floor(ANSWER_BYTES_MAX / 72)

function readHead(value: unknown, path: string): [NodeId, number] {
  if (!Array.isArray(value) || value.length !== 2) throw new ShapeError(path, 'a list of 2')
  return [readNodeId(value[0], `${path}.node`), integer(value[1], `${path}.sequence`)]
}
