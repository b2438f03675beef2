/** What every implementation of the Network port does alike: bounds, verdicts, message ids, scores. Names no library. */
import { createHash } from 'node:crypto'
import type { NodeId } from '../../protocol/ids.ts'
import { GOSSIP_BYTES_MAX, STREAM_MESSAGE_BYTES_MAX } from '../../protocol/limits.ts'
import type { Log, Verdict } from '../ports.ts'

/** Below these a peer gets no gossip about messages, none of our own messages, and is not heard at all. */
export const SCORE_THRESHOLDS = {
  gossipThreshold: -10,
  publishThreshold: -50,
  graylistThreshold: -80,
  acceptPXThreshold: 1_000,
  opportunisticGraftThreshold: 3,
} as const
/** Times the squared count: one rejected message costs 20 (out of the mesh), two 80, three 180 (not heard). */
export const REJECTED_MESSAGE_WEIGHT = -20

export type GossipHandler = (data: Uint8Array, from: NodeId) => Verdict

/** One topic handler's verdict: data above the bound is rejected unseen, and a handler that throws judges nothing. */
export function judge(handler: GossipHandler, data: Uint8Array, from: NodeId, log: Log): Verdict {
  if (data.length > GOSSIP_BYTES_MAX) return 'reject'
  try {
    // A copy: the data may be a view into something larger, which a kept message would hold in memory.
    return handler(new Uint8Array(data), from)
  } catch (error) {
    log.error({ error, from }, 'a gossip handler threw')
    return 'ignore'
  }
}

/**
 * The topic belongs to the id: with the data alone, anybody could publish a manifest under the other topic first, and
 * all who saw that would take the real one for a repetition.
 */
export function messageId(topic: string, data: Uint8Array): Uint8Array {
  return createHash('sha256').update(topic).update('\0').update(data).digest()
}

/** Throws RangeError above the bound that receivers have. */
export function checkGossipSize(data: Uint8Array): void {
  if (data.length > GOSSIP_BYTES_MAX) {
    throw new RangeError(`a gossip message has at most ${GOSSIP_BYTES_MAX} bytes, this one ${data.length}`)
  }
}

/** Throws RangeError above the bound that receivers have. */
export function checkMessageSize(message: Uint8Array): void {
  if (message.length > STREAM_MESSAGE_BYTES_MAX) {
    throw new RangeError(
      `a message has at most ${STREAM_MESSAGE_BYTES_MAX} bytes, this one ${message.length}`,
    )
  }
}
