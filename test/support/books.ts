/** Books of records that talk to each other in memory, for tests of catching up. */
import { verifyEd25519 } from '../../node/net/signature.ts'
import type { NodeId, ShardKey } from '../../protocol/ids.ts'
import { answerCatchUp } from '../../protocol/manifest/catch-up-answer.ts'
import { type Asking, type Conversation, compareWith } from '../../protocol/manifest/catch-up-ask.ts'
import type { Entry } from '../../protocol/manifest/entry.ts'
import { type Heard, RecordBook } from '../../protocol/manifest/record-book.ts'
import { openNodeUpdate } from '../../protocol/manifest/trust.ts'
import { NOW, testEntry, testIdentity } from './records.ts'

const SELF = testIdentity(99).nodeId
export const HOUR = 3_600_000

export function newBook(self: NodeId = SELF): RecordBook {
  return new RecordBook({
    self,
    open: (sealed) => openNodeUpdate(sealed, verifyEd25519),
    parameters: () => ({ clockSkewMs: 300_000, goneMs: 14 * 24 * HOUR }),
  })
}

/** What a book knows, to compare two of them. */
export function known(book: RecordBook) {
  return [...book.records()]
    .map(({ node, sequence, digest, entries }) => ({
      node,
      sequence,
      digest,
      entries: new Map([...entries].sort()),
    }))
    .sort((a, b) => (a.node < b.node ? -1 : 1))
}

export interface Talk {
  requests: number
  askedBytes: number
  answeredBytes: number
  largestBytes: number
  heard: Heard[]
}

/** Runs a conversation between two books; `tamper` may change an answer. */
export function talk(
  book: RecordBook,
  peer: RecordBook,
  start: (asking: Asking) => Conversation<void>,
  tamper: (answer: Uint8Array, request: number) => Uint8Array = (answer) => answer,
): Talk {
  const out: Talk = { requests: 0, askedBytes: 0, answeredBytes: 0, largestBytes: 0, heard: [] }
  const conversation = start({ book, nowMs: () => NOW, heard: (heard) => out.heard.push(heard) })
  let step = conversation.next()
  while (step.done !== true) {
    const answer = tamper(answerCatchUp(step.value, peer), out.requests)
    out.requests++
    out.askedBytes += step.value.length
    out.answeredBytes += answer.length
    out.largestBytes = Math.max(out.largestBytes, answer.length)
    step = conversation.next(answer)
  }
  return out
}

export const compare = (asking: Asking) => compareWith(asking, false)
export const compareAll = (asking: Asking) => compareWith(asking, true)

export const entries = (count: number, from = 0): Entry[] =>
  Array.from({ length: count }, (_, i) => testEntry(from + i))

/** Their shard keys, sorted. */
export const shardsOf = (count: number, from = 0): ShardKey[] =>
  entries(count, from)
    .map((entry) => entry.shard)
    .sort()
