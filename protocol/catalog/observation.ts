/**
 * An observation (PROTOCOL 1): the runs that one node read from upstream on one day, while no coordinator was heard of. It names
 * each run's shards by sha256, in the form that a catalog of nothing but this run has, so that two who read the same status
 * name the same bytes.
 */
import { decodeCbor, encodeCbor } from '../codec/cbor.ts'
import { branded, integer, list, type Reader, record, ShapeError, text } from '../codec/shape.ts'
import { isRunDate } from '../dump/dates.ts'
import { cycleOf, isFederationId, isRunId, type NodeId, parseRunId, type RunId, runIdOf } from '../ids.ts'
import {
  OBSERVATION_BYTES_MAX,
  OBSERVATION_RUNS_MAX,
  OBSERVED_RUN_BYTES_MAX,
  TEXT_BYTES_MAX,
} from '../limits.ts'
import { readNodeId } from '../manifest/entry.ts'
import type { Shard } from '../shard/shard.ts'
import { encodeCatalog, openCatalog, referenceOf } from './catalog.ts'

export const OBSERVATION_DOMAIN = 'wikiseed/observation/1'
export const OBSERVATION_TYPE = 'application/vnd.wikiseed.observation+cbor'

export interface RunReference {
  readonly run: RunId
  /** sha256 of the catalog of nothing but this run, hex. */
  readonly sha256: string
  readonly sizeBytes: number
}

export interface Observation {
  /** Who read it. */
  readonly node: NodeId
  /** Who says that it runs the node; empty: the node stands for itself. In it, for who hears of it when the node is long gone. */
  readonly operator: string
  /** Unix ms when it had read all of it. */
  readonly atMs: number
  /** In growing order of run, each once. */
  readonly runs: readonly RunReference[]
}

/** Observations are counted by days of `observeEveryMs`. */
export function dayOf(atMs: number, observeEveryMs: number): number {
  return Math.floor(atMs / observeEveryMs)
}

export function encodeObservation({ node, operator, atMs, runs }: Observation): Uint8Array {
  return encodeCbor({
    node,
    operator,
    at: atMs,
    runs: runs.map(({ run, sha256, sizeBytes }) => [run, sha256, sizeBytes]),
  })
}

/** Throws ShapeError. */
export function decodeObservation(payload: Uint8Array): Observation {
  const value = decodeCbor(payload, 'observation', OBSERVATION_BYTES_MAX)
  const fields = record(value, 'observation', ['node', 'operator', 'at', 'runs'])
  const runs = list(fields.runs, 'observation.runs', OBSERVATION_RUNS_MAX, readRunReference)
  for (const [at, { run }] of runs.entries()) {
    if (at > 0 && run <= (runs[at - 1] as RunReference).run)
      throw new ShapeError('observation.runs', 'growing runs')
  }
  return {
    node: readNodeId(fields.node, 'observation.node'),
    operator: text(fields.operator, 'observation.operator', TEXT_BYTES_MAX),
    atMs: integer(fields.at, 'observation.at'),
    runs,
  }
}

export const readRunReference: Reader<RunReference> = (value, path) => {
  if (!Array.isArray(value) || value.length !== 3) throw new ShapeError(path, 'a list of 3')
  const run = branded(isRunId, 'a run')(value[0], `${path}.run`)
  if (!isRunDate(parseRunId(run).date)) throw new ShapeError(`${path}.run`, 'a date')
  return {
    run,
    sha256: branded(isFederationId, 'a sha256')(value[1], `${path}.sha256`),
    sizeBytes: integer(value[2], `${path}.size`, 1, OBSERVED_RUN_BYTES_MAX),
  }
}

/** The shards of one run as the document that an observation names, or null when it is longer than one may be. */
export function describeRun(
  shards: readonly Shard[],
): { readonly reference: RunReference; readonly bytes: Uint8Array } | null {
  const [first] = shards
  if (first === undefined) return null
  const cycle = cycleOf(first.date)
  const bytes = encodeCatalog({ cycle, shards: [...shards].sort((a, b) => (a.key < b.key ? -1 : 1)) })
  if (bytes.length > OBSERVED_RUN_BYTES_MAX) return null
  const { sha256, sizeBytes } = referenceOf(cycle, bytes)
  return { reference: { run: runIdOf(first), sha256, sizeBytes }, bytes }
}

/** Checks the bytes against the reference, then decodes: shards of this run and no other. Throws ShapeError. */
export function openRun(bytes: Uint8Array, { run, sha256, sizeBytes }: RunReference): readonly Shard[] {
  const { shards } = openCatalog(bytes, { cycle: cycleOf(parseRunId(run).date), sha256, sizeBytes })
  if (shards.length === 0) throw new ShapeError('run', 'at least one shard')
  for (const [at, shard] of shards.entries()) {
    if (runIdOf(shard) !== run) throw new ShapeError(`run.${shard.id}`, run)
    const before = shards[at - 1]
    if (before !== undefined && (shard.key <= before.key || shard.id === before.id))
      throw new ShapeError('run', 'growing keys, each part once')
  }
  return shards
}
