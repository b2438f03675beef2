/**
 * Who knows the newer word of whom (PROTOCOL 4, anti-entropy). A head names a node's newest update. Heads fall into 58 groups by
 * the last character of the node id, which is as good as random; a summary has 16 bytes for each group, so two nodes that
 * know almost the same exchange 928 bytes and the heads of one or two groups.
 */
import { sha256 } from '@noble/hashes/sha2.js'
import { BASE58_ALPHABET } from '../codec/base58.ts'
import { concatBytes, utf8ToBytes } from '../codec/bytes.ts'
import type { NodeId } from '../ids.ts'
import type { NodeRecord } from './node-record.ts'

export interface Head {
  readonly node: NodeId
  readonly sequence: number
  /** State digest, 32 bytes. */
  readonly digest: Uint8Array
}

const GROUPS = BASE58_ALPHABET.length
/** 32-bit words of a group's part of a summary. */
const WORDS = 4
export const SUMMARY_BYTES = GROUPS * WORDS * 4

const marks = new WeakMap<Head, Uint32Array>()

/**
 * For each group the sum, word by word modulo 2^32, of the first 16 bytes of sha256("node sequence " || digest) of its heads. A
 * sum does not depend on order and needs no sorting; who forges one hides a difference from one pair of nodes for one exchange.
 */
export function summaryOf(heads: Iterable<Head>): Uint8Array {
  const sums = new Uint32Array(GROUPS * WORDS)
  for (const head of heads) {
    const at = groupOf(head.node) * WORDS
    const mark = markOf(head)
    for (let i = 0; i < WORDS; i++) sums[at + i] = (sums[at + i] ?? 0) + (mark[i] ?? 0)
  }
  const summary = new Uint8Array(SUMMARY_BYTES)
  const view = new DataView(summary.buffer)
  for (const [i, sum] of sums.entries()) view.setUint32(i * 4, sum)
  return summary
}

/** Heads in the groups where the summaries differ, `theirs` null: all, sorted by node, from the first one behind `after`. */
export function headsBehind(
  records: Iterable<NodeRecord>,
  theirs: Uint8Array | null,
  after: string,
): NodeRecord[] {
  const all = [...records]
  const differs = theirs === null ? null : differingGroups(summaryOf(all), theirs)
  return all
    .filter(({ node }) => node > after && (differs === null || differs[groupOf(node)] === true))
    .sort((a, b) => (a.node < b.node ? -1 : 1))
}

function differingGroups(ours: Uint8Array, theirs: Uint8Array): boolean[] {
  const step = WORDS * 4
  return Array.from({ length: GROUPS }, (_, group) => {
    for (let i = group * step; i < (group + 1) * step; i++) if (ours[i] !== theirs[i]) return true
    return false
  })
}

function groupOf(node: NodeId): number {
  return BASE58_ALPHABET.indexOf(node.charAt(node.length - 1))
}

function markOf(head: Head): Uint32Array {
  let mark = marks.get(head)
  if (mark === undefined) {
    const hash = sha256(concatBytes(utf8ToBytes(`${head.node} ${head.sequence} `), head.digest))
    const view = new DataView(hash.buffer, hash.byteOffset)
    mark = Uint32Array.from({ length: WORDS }, (_, i) => view.getUint32(i * 4))
    marks.set(head, mark)
  }
  return mark
}
