/** Cores whose coordinator falls silent: upstream is a list of shards, and what one reads the others hear at once. */
import {
  dayOf,
  describeRun,
  type Observation,
  type RunReference,
} from '../../protocol/catalog/observation.ts'
import { isStale } from '../../protocol/core/observing.ts'
import type { NodeId } from '../../protocol/ids.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { Cores, type Machine, TEST_PARAMETERS, testShard } from './cores.ts'

export const SILENCE_PARAMETERS = { ...TEST_PARAMETERS, observeAfterMs: 30_000, observeEveryMs: 48_000 }
export const OLD = testShard('tenwiki')
/** What upstream has besides it, and what it never had. */
export const NEW = testShard('tenwiki', 1_100_000, '20261101')
export const BENT = testShard('tenwiki', 1_200_000, '20261101')

const referenceOf = (shards: readonly Shard[]): RunReference => {
  const described = describeRun(shards)
  if (described === null) throw new Error('too long')
  return described.reference
}

interface Reading {
  readonly machine: Machine
  readonly atMs: number
  readonly day: number
}

/** A federation in which a coordinator read upstream at the start, and never again. */
export class Silence {
  readonly cores: Cores
  readonly readings: Reading[] = []
  /** What whoever reads upstream finds there. */
  upstream: readonly Shard[] = []
  /** Does what it read reach the others? */
  speaks = true

  constructor(count: number) {
    this.cores = new Cores(count, [OLD], SILENCE_PARAMETERS)
    this.cores.onOther = (machine, effect) => {
      if (effect.kind === 'observe') {
        const atMs = this.cores.now.wallMs
        this.readings.push({ machine, atMs, day: dayOf(atMs, SILENCE_PARAMETERS.observeEveryMs) })
        const found = this.upstream.filter((one) => !effect.known.some((known) => known.key === one.key))
        if (this.speaks) this.say(machine, found)
      }
      if (effect.kind === 'pull-runs') {
        for (const { sha256 } of effect.missing) {
          const shards = this.documents.get(sha256)
          if (shards !== undefined) this.cores.send(machine, { kind: 'run', sha256, shards })
        }
      }
    }
  }

  readonly documents = new Map<string, readonly Shard[]>()

  /** A node tells everybody that it read these runs, of one shard each. */
  say(machine: { id: NodeId; state: { settings: { operator: string } } }, runs: readonly Shard[]): void {
    const references = runs.map((shard) => {
      const reference = referenceOf([shard])
      this.documents.set(reference.sha256, [shard])
      return reference
    })
    const observation: Observation = {
      node: machine.id,
      operator: machine.state.settings.operator,
      atMs: this.cores.now.wallMs,
      runs: references,
    }
    for (const other of this.cores.machines)
      this.cores.send(other, { kind: 'observation', observation, replaces: null })
  }

  /** The first two tell everybody that they read this run. */
  bothSay(run: Shard): void {
    const [one, two] = this.machines
    this.say(one, [run])
    this.say(two, [run])
  }

  /** A coordinator speaks. */
  coordinate(shards: readonly Shard[], listed: ReadonlyMap<NodeId, string> | null = null): void {
    for (const machine of this.cores.machines)
      this.cores.send(machine, {
        kind: 'catalogs',
        shards,
        listed: listed ?? machine.state.listed,
        archived: new Map(),
        readAtMs: this.cores.now.wallMs,
      })
  }

  /** A list of operators comes, of a coordinator that did not read upstream again. */
  list(listed: ReadonlyMap<NodeId, string>): void {
    for (const machine of this.cores.machines) {
      const { catalogs, archived, catalogReadAtMs } = machine.state
      const facts = { shards: catalogs, archived, readAtMs: catalogReadAtMs }
      this.cores.send(machine, { kind: 'catalogs', ...facts, listed })
    }
  }

  /** Nobody is listed, and the coordinator falls silent. */
  asStrangers(): void {
    this.coordinate([OLD], new Map())
  }

  untilSilent(): void {
    this.cores.run(SILENCE_PARAMETERS.observeAfterMs + 1_000, () =>
      this.cores.machines.every((one) => isStale(one.state, this.cores.now)),
    )
  }

  actsOn(machine: Machine, shard: Shard): boolean {
    return machine.state.shards.has(shard.key)
  }

  get machines(): readonly [Machine, Machine, Machine, Machine] {
    return this.cores.machines as unknown as readonly [Machine, Machine, Machine, Machine]
  }
}
