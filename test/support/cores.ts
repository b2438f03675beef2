// Longer than 300 lines: one harness, each effect in one place.
/**
 * Several cores in one virtual time, for tests of the rules: messages arrive at once, fetches take virtual seconds.
 * The deterministic simulator of real bytes is another matter (see docs/ARCHITECTURE.md); this only drives `step`.
 */
import type { Effect } from '../../protocol/core/effect.ts'
import type { Event, Now } from '../../protocol/core/event.ts'
import { initialState, type Kept } from '../../protocol/core/kept.ts'
import type { CoreState, Settings } from '../../protocol/core/state.ts'
import { step } from '../../protocol/core/step.ts'
import { nextWakeMs } from '../../protocol/core/wake.ts'
import type { Infohash, NodeId, ShardKey } from '../../protocol/ids.ts'
import { health } from '../../protocol/ledger/health.ts'
import { applyUpdate } from '../../protocol/manifest/apply-update.ts'
import { nextUpdate } from '../../protocol/manifest/next-update.ts'
import type { NodeRecord } from '../../protocol/manifest/node-record.ts'
import type { NodeUpdate } from '../../protocol/manifest/node-update.ts'
import type { Verified } from '../../protocol/manifest/trust.ts'
import { DEFAULT_PARAMETERS, type ParameterChange, type Parameters } from '../../protocol/parameters.ts'
import { makeShard } from '../../protocol/shard/cut.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { shared } from './ledger-records.ts'
import { NOW } from './manifests.ts'

export const TEST_PARAMETERS: Parameters = {
  ...DEFAULT_PARAMETERS,
  ttlMs: 10_000,
  renewMs: 3_000,
  publishMinMs: 200,
  settleMs: 2_000,
  waveMs: 2_000,
  claimStallMs: 60_000,
  leadStallMs: 8_000,
  auditEveryMs: 20_000,
  clockSkewMs: 1_000,
  restMs: 30_000,
  goneMs: 600_000,
}

export function testShard(wiki: string, sizeBytes = 1_000_000, date = '20260101'): Shard {
  const name = `${wiki}-${date}-pages-articles.xml.bz2`
  return makeShard({
    dataset: 'dumps',
    wiki,
    date,
    part: 0,
    files: [{ path: `${date}/${name}`, sizeBytes, digests: { md5: 'ab'.repeat(16), sha1: 'cd'.repeat(20) } }],
    statusJson: `{"articlesdump":{"files":["${name}"],"status":"done"}}\n`,
    bundleVersion: 1,
  })
}

/** 44 letters that differ for each index. */
function idLetters(index: number): string {
  const letters = 'abcdefghijkmnopqrstuvwxyz'
  const [low, high] = [letters[index % 25], letters[Math.floor(index / 25) % 25]]
  return `${low}${high}`.repeat(22)
}

export interface Machine {
  readonly id: NodeId
  state: CoreState
  kept: Kept | null
  up: boolean
  /** Virtual ms that a fetch from origin and from the swarm take. */
  originMs: number
  swarmMs: number
  fetches: Map<ShardKey, { from: 'origin' | 'swarm'; endsAtMs: number; infohash: Infohash | null }>
  originFetches: ShardKey[]
  swarmFetches: ShardKey[]
  notices: string[]
  /** Whose copies it audited by whole file, and `auditor node` of the receipts that it asked for. */
  fileAudits: NodeId[]
  receiptsAsked: string[]
  /** Who does not answer this machine. */
  unanswered: Set<NodeId>
  /** How far its clock is ahead of the others'. */
  aheadMs: number
  /** Shards whose copy on this machine's disk is damaged. */
  rotten: Set<ShardKey>
  readonly reachable: boolean
}

export class Cores {
  readonly machines: Machine[] = []
  nowMs = 0
  readonly #shared = shared()
  shards: readonly Shard[]
  readonly parameters: Parameters
  readonly schedule: readonly ParameterChange[]
  /** What origin serves for a shard: an error code instead of bytes. */
  /** Reachability of machines that are added from now on. */
  reachable = true
  /** When the archive's copy was verified, as the catalogs say. */
  archived: ReadonlyMap<ShardKey, number> = new Map()
  /** What is done of effects that this harness leaves alone: those about upstream. */
  onOther: (machine: Machine, effect: Effect) => void = () => {}
  readonly originFaults = new Map<ShardKey, 'digest-mismatch' | 'origin-unavailable'>()

  constructor(
    count: number,
    shards: readonly Shard[],
    parameters: Parameters = TEST_PARAMETERS,
    later: readonly ParameterChange[] = [],
  ) {
    this.shards = shards
    this.parameters = parameters
    this.schedule = [{ activatesAtMs: 0, values: parameters }, ...later]
    for (let i = 0; i < count; i++) this.add({})
  }

  get now(): Now {
    return { wallMs: NOW + this.nowMs, monotonicMs: this.nowMs }
  }

  add(settings: Partial<Settings>): Machine {
    const index = this.machines.length
    const id = `12D3KooW${idLetters(index)}` as NodeId
    const machine: Machine = {
      id,
      kept: null,
      state: this.#boot(id, index, settings, null),
      up: true,
      originMs: 3_000,
      swarmMs: 1_000,
      fetches: new Map(),
      originFetches: [],
      swarmFetches: [],
      notices: [],
      fileAudits: [],
      receiptsAsked: [],
      unanswered: new Set(),
      aheadMs: 0,
      rotten: new Set(),
      reachable: this.reachable,
    }
    this.machines.push(machine)
    this.#introduce(machine)
    return machine
  }

  /** kill -9: everything that was not persisted is gone. */
  kill(machine: Machine): void {
    machine.up = false
    machine.fetches.clear()
  }

  restart(machine: Machine): void {
    const index = this.machines.indexOf(machine)
    machine.state = this.#boot(machine.id, index, machine.state.settings, machine.kept)
    machine.up = true
    this.#introduce(machine)
    for (const other of this.machines) {
      const record = this.#last.get(other.id)
      if (record !== undefined) this.send(machine, { kind: 'record', record, change: null })
    }
  }

  readonly #asked = new Map<string, Machine>()
  readonly #last = new Map<NodeId, NodeRecord>()

  #boot(id: NodeId, index: number, settings: Partial<Settings>, kept: Kept | null): CoreState {
    return initialState(
      {
        ...this.#shared,
        self: id,
        schedule: this.schedule,
        settings: {
          role: 'volunteer',
          agent: 'test',
          operator: `operator-${index}`,
          languages: [],
          projects: [],
          bytesTotal: 1e12,
          claimsMax: 8,
          fetchesMax: 4,
          originFallback: true,
          ...settings,
        },
      },
      kept,
      this.now,
    )
  }

  #introduce(machine: Machine): void {
    const listed = new Map(this.machines.concat(machine).map((one, i) => [one.id, `operator-${i}`]))
    for (const one of this.machines) one.state.ledger.setListed(listed)
    this.send(machine, {
      kind: 'catalogs',
      shards: this.shards,
      listed,
      archived: this.archived,
      readAtMs: this.now.wallMs,
    })
    this.send(machine, { kind: 'connections', count: 1 })
    this.send(machine, { kind: 'reachability', reachable: machine.reachable })
    this.send(machine, { kind: 'endpoints', libp2p: [], bittorrent: [{ host: '127.0.0.1', port: 1 }] })
  }

  send(machine: Machine, event: Event): void {
    if (machine.up) this.#run(machine, step(machine.state, event, this.#nowOf(machine)))
  }

  #nowOf(machine: Machine): Now {
    return { ...this.now, wallMs: this.now.wallMs + machine.aheadMs }
  }

  /** Runs virtual time in ticks of 100 ms until the condition holds; false when it did not within `ms`. */
  run(ms: number, until: () => boolean = () => false): boolean {
    for (const end = this.nowMs + ms; this.nowMs < end; this.nowMs += 100) {
      if (until()) return true
      for (const machine of this.machines) {
        this.#finishFetches(machine)
        if (nextWakeMs(machine.state, this.#nowOf(machine)) <= this.nowMs)
          this.send(machine, { kind: 'tick' })
      }
    }
    return until()
  }

  holders(shard: Shard): Machine[] {
    return this.machines.filter((machine) => machine.state.own.get(shard.key)?.state === 'held')
  }

  /** Every shard safe in the eyes of this machine? */
  allSafe(machine: Machine): boolean {
    const view = {
      ledger: machine.state.ledger,
      parameters: machine.state.parameters,
      nowMs: this.now.wallMs,
    }
    return this.shards.every((shard) => health(shard.key, view, null).safe)
  }

  #finishFetches(machine: Machine): void {
    for (const [shard, fetch] of [...machine.fetches]) {
      if (!machine.up || fetch.endsAtMs > this.nowMs) continue
      machine.fetches.delete(shard)
      const fault = fetch.from === 'origin' ? this.originFaults.get(shard) : undefined
      if (fault !== undefined) {
        this.send(machine, {
          kind: 'fetch-failed',
          shard,
          code: fault,
          detail: 'as the test wants',
          infohash: null,
        })
        continue
      }
      const bytes = this.shards.find((one) => one.key === shard)?.sizeBytes ?? 0
      machine.rotten.delete(shard)
      this.send(machine, {
        kind: 'fetched',
        shard,
        infohash: fetch.infohash ?? (shard.slice(-40) as Infohash),
        fromOriginBytes: fetch.from === 'origin' ? bytes : 0,
        fromSwarmBytes: fetch.from === 'swarm' ? bytes : 0,
      })
    }
  }

  #run(machine: Machine, effects: readonly Effect[]): void {
    for (const effect of effects) this.#perform(machine, effect)
  }

  #perform(machine: Machine, effect: Effect): void {
    switch (effect.kind) {
      case 'persist':
        machine.kept = copyOf(effect.kept)
        return
      case 'publish': {
        // The product's own writer and reader of updates; only the envelope is left out.
        const { update } = nextUpdate(this.#last.get(machine.id) ?? null, effect.statement)
        const applied = applyUpdate(
          this.#last.get(machine.id) ?? null,
          update as Verified<NodeUpdate>,
          new Uint8Array(),
        )
        if (!applied.ok) throw new Error(`an update does not apply: ${applied.code}`)
        const { record } = applied
        this.#last.set(machine.id, record)
        for (const other of this.machines) this.send(other, { kind: 'record', record, change: null })
        return
      }
      case 'fetch': {
        const { from, shard } = effect
        const list = from.kind === 'origin' ? machine.originFetches : machine.swarmFetches
        list.push(shard.key)
        machine.fetches.set(shard.key, {
          from: from.kind,
          endsAtMs: this.nowMs + (from.kind === 'origin' ? machine.originMs : machine.swarmMs),
          infohash: from.kind === 'swarm' ? from.infohash : null,
        })
        return
      }
      case 'stop-fetch':
        machine.fetches.delete(effect.shard)
        return
      case 'release':
        machine.fetches.delete(effect.shard.key)
        return
      case 'audit': {
        const other = this.machines.find((one) => one.id === effect.node)
        const rotten = other?.rotten.has(effect.shard.key) === true
        const isAway = other?.up !== true || machine.unanswered.has(effect.node)
        const outcome = isAway ? 'offline' : rotten ? 'fail' : 'pass'
        this.send(machine, { kind: 'audited', shard: effect.shard.key, node: effect.node, outcome })
        return
      }
      case 'audit-file': {
        machine.fileAudits.push(effect.node)
        const other = this.machines.find((one) => one.id === effect.node)
        const outcome =
          other?.up !== true || machine.unanswered.has(effect.node)
            ? 'offline'
            : other.rotten.has(effect.shard.key)
              ? 'fail'
              : 'pass'
        this.send(machine, { kind: 'audited', shard: effect.shard.key, node: effect.node, outcome })
        return
      }
      case 'ask-receipt': {
        const { node, auditor } = effect
        machine.receiptsAsked.push(`${auditor} ${node}`)
        const rotten = this.machines.find((one) => one.id === node)?.rotten.has(effect.shard.key) === true
        const verdict = rotten ? 'fail' : 'pass'
        this.send(machine, { kind: 'receipt', shard: effect.shard.key, node, auditor, verdict })
        return
      }
      case 'ask-promise': {
        const other = this.machines.find((one) => one.id === effect.node)
        this.#asked.set(`${effect.node} ${effect.shard.key} ${machine.id}`, machine)
        if (other?.up === true && !other.rotten.has(effect.shard.key)) {
          this.send(other, { kind: 'promise-asked', shard: effect.shard.key, from: machine.id })
        }
        return
      }
      case 'answer-promise': {
        const asker = this.#asked.get(`${machine.id} ${effect.shard} ${effect.to}`)
        const granted = effect.untilMs !== null
        if (asker !== undefined)
          this.send(asker, { kind: 'promised', shard: effect.shard, node: machine.id, granted })
        return
      }
      case 'check': {
        const damaged = machine.rotten.has(effect.shard.key)
          ? effect.shard.files.map((file) => file.path)
          : []
        this.send(machine, { kind: 'checked', shard: effect.shard.key, damaged })
        return
      }
      case 'notice':
        machine.notices.push(`${effect.code} ${effect.shard ?? ''} ${effect.detail}`)
        return
      default:
        this.onOther(machine, effect)
        return
    }
  }
}

/** As from disk: what the core changes later does not change it. A shard never changes. */
function copyOf({ own, ...rest }: Kept): Kept {
  return { ...structuredClone(rest), own: own.map((one) => ({ ...one })) }
}
