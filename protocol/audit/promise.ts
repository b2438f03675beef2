/** A promise to keep a shard (PROTOCOL 8): signed by the holder, for the node that wants to let its own copy go. */
import { decodeCbor, encodeCbor } from '../codec/cbor.ts'
import { integer, record } from '../codec/shape.ts'
import type { NodeId, ShardKey } from '../ids.ts'
import { readNodeId, readShardKey } from '../manifest/entry.ts'

export const PROMISE_DOMAIN = 'wikiseed/promise/1'
export const PROMISE_TYPE = 'application/vnd.wikiseed.promise+cbor'
export const PROMISE_BYTES_MAX = 4_096

export interface PromiseToKeep {
  /** Who keeps it. */
  readonly node: NodeId
  /** Who asked. */
  readonly to: NodeId
  readonly shard: ShardKey
  /** Unix ms. */
  readonly untilMs: number
}

export function encodePromise({ node, to, shard, untilMs }: PromiseToKeep): Uint8Array {
  return encodeCbor({ node, to, shard, until: untilMs })
}

/** Throws ShapeError. */
export function decodePromise(payload: Uint8Array): PromiseToKeep {
  const fields = record(decodeCbor(payload, 'promise', PROMISE_BYTES_MAX), 'promise', [
    'node',
    'to',
    'shard',
    'until',
  ])
  return {
    node: readNodeId(fields.node, 'promise.node'),
    to: readNodeId(fields.to, 'promise.to'),
    shard: readShardKey(fields.shard, 'promise.shard'),
    untilMs: integer(fields.until, 'promise.until', 1),
  }
}
