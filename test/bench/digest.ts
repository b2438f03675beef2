/** State digests, updates and the comparing of records, at 1,000,000 entries of 100 nodes (PROTOCOL 4). */

import { applyUpdate } from '../../protocol/manifest/apply-update.ts'
import { answerCatchUp } from '../../protocol/manifest/catch-up-answer.ts'
import { compareWith } from '../../protocol/manifest/catch-up-ask.ts'
import { summaryOf } from '../../protocol/manifest/heads.ts'
import { diffRecords, type NodeRecord } from '../../protocol/manifest/node-record.ts'
import { RecordBook } from '../../protocol/manifest/record-book.ts'
import { openNodeUpdate } from '../../protocol/manifest/trust.ts'
import { NOW, opened, saying, testEntry, testIdentity, Writer } from '../support/records.ts'
import { type Bench, heapBytes, type Measure, medianUs, timeMs } from './bench.ts'

const NODES = 100
const ENTRIES = 10_000
const CHANGED_NODES = 10

/** Signatures are not what is measured. */
const trusting = () => true

function newBook(): RecordBook {
  return new RecordBook({
    self: testIdentity(9_999).nodeId,
    open: (sealed) => openNodeUpdate(sealed, trusting),
    parameters: () => ({ clockSkewMs: 300_000, goneMs: 86_400_000 }),
  })
}

function run(): Measure[] {
  const out: Measure[] = []
  const add = (what: string, value: number, unit: string) => out.push({ what, value, unit })
  const before = heapBytes()
  // Each node holds other shards than the next one; they overlap, as replicas do.
  const sayings = Array.from({ length: NODES }, (_, node) =>
    Array.from({ length: ENTRIES }, (_, i) => testEntry(node * 3_000 + i)),
  )
  const writers = sayings.map((_, node) => new Writer(node))
  const buildMs = timeMs(() => {
    for (const [i, writer] of writers.entries()) writer.say(saying({ entries: sayings[i] ?? [] }))
  })
  add(`digests of ${NODES * ENTRIES} entries from nothing`, buildMs, 'ms')
  add('memory of an entry in a record, with its texts', (heapBytes() - before) / (NODES * ENTRIES), 'bytes')

  add(
    `one changed entry of ${ENTRIES}, from update to record`,
    changeUs(writers[0] as Writer, sayings[0] ?? []),
    'us',
  )
  add(
    `heartbeat of ${ENTRIES} entries, from update to record`,
    beatUs(writers[1] as Writer, sayings[1] ?? []),
    'us',
  )

  const [ours, theirs] = [newBook(), newBook()]
  for (const writer of writers)
    for (const book of [ours, theirs]) book.restore(writer.last as NodeRecord, NOW)
  for (let i = 0; i < CHANGED_NODES; i++) {
    const writer = writers[i * 7 + 3] as Writer
    const entries = [...(writer.last as NodeRecord).entries.values()].slice(1)
    theirs.restore(writer.say(saying({ entries })).record, NOW)
  }
  let answeredBytes = 0
  const compareMs = timeMs(() => {
    const conversation = compareWith({ book: ours, nowMs: () => NOW, heard: () => {} }, false)
    for (let step = conversation.next(); step.done !== true; ) {
      const answer = answerCatchUp(step.value, theirs)
      answeredBytes += answer.length
      step = conversation.next(answer)
    }
  })
  add(
    `two nodes that know ${NODES * ENTRIES} entries and differ in ${CHANGED_NODES}: compared and equal`,
    compareMs,
    'ms',
  )
  add('... and what was sent for it', answeredBytes, 'bytes')

  const [one, other] = [new Writer(500), new Writer(500)]
  const a = one.say(saying({ entries: sayings[2] ?? [] })).record
  const b = other.say(saying({ entries: (sayings[2] ?? []).slice(1) })).record
  add(
    `difference of two states of ${ENTRIES} entries that share nothing`,
    medianUs(200, () => diffRecords(a, b)),
    'us',
  )
  const thousand = Array.from({ length: 1_000 }, (_, i) => new Writer(1_000 + i).say(saying()).record)
  summaryOf(thousand)
  add(
    'summary of the heads of 1,000 nodes',
    medianUs(200, () => summaryOf(thousand)),
    'us',
  )
  return out
}

function changeUs(writer: Writer, entries: ReturnType<typeof testEntry>[]): number {
  const steps = Array.from({ length: 60 }, (_, i) => {
    const previous = writer.last
    const changed = entries.with(i, testEntry(i, { promisedUntilMs: NOW }))
    const { sealed } = writer.say(saying({ entries: changed }))
    return { previous, sealed, update: opened(sealed) }
  })
  return medianUs(steps.length, (run) => {
    const step = steps[run]
    if (step !== undefined) applyUpdate(step.previous, step.update, step.sealed)
  })
}

function beatUs(writer: Writer, entries: ReturnType<typeof testEntry>[]): number {
  const steps = Array.from({ length: 60 }, () => {
    const previous = writer.last
    const { sealed } = writer.say(saying({ entries }))
    return { previous, sealed, update: opened(sealed) }
  })
  return medianUs(steps.length, (run) => {
    const step = steps[run]
    if (step !== undefined) applyUpdate(step.previous, step.update, step.sealed)
  })
}

export const bench: Bench = { group: 'core', run }
