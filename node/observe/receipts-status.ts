/** Receipts of failures for the API (PROTOCOL 7): what a third party with the bytes needs to judge them. */
import type { NodeId, ShardKey } from '../../protocol/ids.ts'
import type { ReceiptStore } from '../store/receipts.ts'

/** Each has about 8 KiB as text. */
const SHOWN_MAX = 200

export interface ReceiptsStatus {
  readonly total: number
  /** The newest first. Both messages are sealed, in base64. */
  readonly receipts: readonly {
    readonly shard: ShardKey
    readonly node: NodeId
    readonly auditor: NodeId
    readonly atMs: number
    readonly challenge: string
    readonly answer: string
  }[]
}

export async function receiptsStatus(store: ReceiptStore): Promise<ReceiptsStatus> {
  const all = store.failures()
  const receipts: ReceiptsStatus['receipts'][number][] = []
  for (const failure of all.slice(0, SHOWN_MAX)) {
    const receipt = await store.failure(failure.shard, failure.node, failure.auditor)
    if (receipt === null) continue
    receipts.push({ ...failure, challenge: base64(receipt.challenge), answer: base64(receipt.answer) })
  }
  return { total: all.length, receipts }
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
