/**
 * Receipts of failures over the network (PROTOCOL 7), both sides. Request protocol `receipt`: `{shard, node}` -> the receipt by which
 * the asked node proves that the replica failed, or no bytes when it has none. Who asks judges it by its own bytes.
 */
import {
  decodeReceipt,
  decodeReceiptRequest,
  encodeReceipt,
  encodeReceiptRequest,
  judgeReceipt,
  openReceipt,
  type Receipt,
} from '../../protocol/audit/receipt.ts'
import { ShapeError } from '../../protocol/codec/shape.ts'
import type { Effect } from '../../protocol/core/effect.ts'
import type { Event, ReceiptVerdict } from '../../protocol/core/event.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { verifyEd25519 } from '../net/signature.ts'
import type { Identity, Log, Network } from '../ports.ts'
import type { ReceiptStore } from '../store/receipts.ts'
import type { Auditor } from './auditor.ts'

type Wanted = Extract<Effect, { kind: 'ask-receipt' }>

const REQUEST_TIMEOUT_MS = 15_000

export interface ReceiptsParts {
  readonly identity: Identity
  readonly network: Network
  readonly receipts: ReceiptStore
  readonly auditor: Auditor
  /** The folder with verified shards. */
  readonly mirror: string
  /** Reads our own copy again; the damaged files. */
  readonly checkOwn: (shard: Shard) => Promise<readonly string[]>
  readonly dispatch: (event: Event) => void
  readonly log: Log
}

export class Receipts {
  readonly #parts: ReceiptsParts

  constructor(parts: ReceiptsParts) {
    this.#parts = parts
    const { receipts, identity } = parts
    parts.network.handle('receipt', async (request) => {
      const { shard, node } = decodeReceiptRequest(request)
      const receipt = await receipts.failure(shard, node, identity.nodeId)
      return receipt === null ? new Uint8Array() : encodeReceipt(receipt)
    })
  }

  /** Asks `auditor` to prove that `node` failed, about a shard that this node holds; the core hears of it. Never rejects. */
  async ask(wanted: Wanted): Promise<void> {
    const { node, auditor } = wanted
    const shard = wanted.shard.key
    const verdict = await this.#ask(wanted).catch((error: unknown): ReceiptVerdict => {
      this.#parts.log.info({ shard, node, auditor, error: String(error) }, 'no receipt')
      return error instanceof ShapeError ? 'invalid' : 'none'
    })
    this.#parts.dispatch({ kind: 'receipt', shard, node, auditor, verdict })
  }

  async #ask(wanted: Wanted): Promise<ReceiptVerdict> {
    const { shard, node, auditor } = wanted
    const { network, receipts, log } = this.#parts
    const request = encodeReceiptRequest({ shard: shard.key, node })
    const reply = await network.request(auditor, 'receipt', request, { timeoutMs: REQUEST_TIMEOUT_MS })
    if (reply.length === 0) return 'none'
    const receipt = decodeReceipt(reply)
    const { verdict, atMs } = await this.#judge(wanted, receipt)
    log.info({ shard: shard.key, node, auditor, verdict }, 'judged a receipt')
    if (verdict === 'fail') await receipts.keepFailure({ shard: shard.key, node, auditor, atMs }, receipt)
    return verdict
  }

  async #judge(
    { shard, node, auditor, notBeforeMs }: Wanted,
    receipt: Receipt,
  ): Promise<{ verdict: ReceiptVerdict; atMs: number }> {
    const opened = openReceipt(receipt, shard, verifyEd25519)
    if (!opened.ok) return { verdict: 'invalid', atMs: 0 }
    const { nonce, ranges, askedAtMs: atMs } = opened.value
    const isOfThis = opened.value.node === node && opened.value.auditor === auditor && atMs >= notBeforeMs
    if (!isOfThis) return { verdict: 'invalid', atMs }
    const proofs = await this.#parts.auditor.prove(shard, this.#parts.mirror, nonce, ranges).catch(() => null)
    const verdict = proofs === null ? 'unknown' : judgeReceipt(opened.value, proofs)
    // Only whose own bytes are right may say that another's are not, or that somebody accused him of it for nothing.
    const isWhole = (await this.#parts.checkOwn(shard)).length === 0
    return { verdict: isWhole ? verdict : 'unknown', atMs }
  }
}
