/** A core is ticked only when it asks for it. These tests show what that costs: nothing, or a bounded delay. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { step } from '../../protocol/core/step.ts'
import { nextWakeMs, sweepEveryMs, watchEveryMs } from '../../protocol/core/wake.ts'
import type { NodeId } from '../../protocol/ids.ts'
import { auditKey } from '../../protocol/manifest/entry.ts'
import { Cores, type Machine, TEST_PARAMETERS, testShard } from '../support/cores.ts'
import { NOW } from '../support/manifests.ts'

const SHARDS = ['aawiki', 'yowiki', 'htwiki', 'gdwiki'].map((wiki) => testShard(wiki))
const TICK_MS = 50

type Act =
  | 'kill'
  | 'restart'
  | 'rot'
  | 'slow'
  | 'fast'
  | 'shrink'
  | 'leave'
  | 'origin-down'
  | 'origin-up'
  | 'hide'
const ACTS: readonly Act[] = [
  'kill',
  'restart',
  'rot',
  'slow',
  'fast',
  'shrink',
  'leave',
  'origin-down',
  'origin-up',
  'hide',
]
interface Step {
  readonly act: Act
  readonly machine: number
  readonly thenMs: number
}

/** The same history gives the same cores, every time. */
function play(history: readonly Step[]): Cores {
  const cores = new Cores(4, SHARDS)
  for (const { act, machine, thenMs } of history) {
    perform(cores, cores.machines[machine] as Machine, act)
    cores.run(thenMs)
  }
  return cores
}

function perform(cores: Cores, machine: Machine, act: Act): void {
  if (act === 'kill') cores.kill(machine)
  else if (act === 'restart' && !machine.up) cores.restart(machine)
  else if (act === 'rot') for (const shard of SHARDS.slice(0, 2)) machine.rotten.add(shard.key)
  else if (act === 'slow') machine.originMs = machine.swarmMs = 60_000
  else if (act === 'fast') machine.originMs = machine.swarmMs = 500
  else if (act === 'shrink') cores.send(machine, { kind: 'capacity', bytesTotal: 2_200_000 })
  else if (act === 'leave') cores.send(machine, { kind: 'leave' })
  else if (act === 'origin-down')
    for (const shard of SHARDS) cores.originFaults.set(shard.key, 'origin-unavailable')
  else if (act === 'origin-up') cores.originFaults.clear()
  else if (act === 'hide') cores.send(machine, { kind: 'reachability', reachable: false })
}

const anyHistory = fc.array(
  fc.record({
    act: fc.constantFrom(...ACTS),
    machine: fc.nat(3),
    thenMs: fc.integer({ min: 1, max: 80 }).map((n) => n * 100),
  }),
  { minLength: 1, maxLength: 10, size: 'max' },
)

/** When the core would first do something if it were ticked all the time, and what; null when it would not before its wake. */
function firstEffect(history: readonly Step[], index: number) {
  const cores = play(history)
  const { state } = cores.machines[index] as Machine
  const wakeMs = nextWakeMs(state, cores.now)
  // While it claims, leads and swarms are watched, but not all the time.
  const lateMs = state.own.claims.length > 0 ? watchEveryMs(state) : 0
  for (let atMs = cores.nowMs; atMs < wakeMs; atMs += TICK_MS) {
    const effects = step(state, { kind: 'tick' }, { wallMs: NOW + atMs, monotonicMs: atMs })
    if (effects.length > 0) return { atMs, wakeMs, lateMs, kinds: effects.map((effect) => effect.kind) }
  }
  return null
}

/**
 * As a node's runtime does it: asks now and then, and ticks when it is due. Null when the core was due before `probeMs`, else what
 * a tick at that moment does.
 */
function effectsOfTickNotDue(history: readonly Step[], index: number, probeMs: number): string[] | null {
  const cores = play(history)
  const { state } = cores.machines[index] as Machine
  const endMs = cores.nowMs + probeMs
  for (let atMs = cores.nowMs + 1; atMs <= endMs; atMs += atMs + 37 > endMs ? Math.max(1, endMs - atMs) : 37)
    if (nextWakeMs(state, { wallMs: NOW + atMs, monotonicMs: atMs }) <= atMs) return null
  return step(state, { kind: 'tick' }, { wallMs: NOW + endMs, monotonicMs: endMs }).map(({ kind }) => kind)
}

/** What follows from a lead or a swarm that stands still, or a claim that died. */
const WATCHED = new Set(['fetch', 'stop-fetch', 'add-peers', 'notice', 'release', 'persist'])

describe('when a core must be ticked', () => {
  it('is never later than its next effect', () => {
    fc.assert(
      fc.property(anyHistory, fc.nat(3), (history, index) => {
        const first = firstEffect(history, index)
        if (first !== null) expect(first.wakeMs - first.atMs).toBeLessThanOrEqual(first.lateMs)
      }),
      { numRuns: 150 },
    )
  })

  it('is not forgotten by who asks a little later than the moment', () => {
    fc.assert(
      fc.property(
        anyHistory,
        fc.nat(3),
        fc.integer({ min: 1, max: 30 }).map((n) => n * 37),
        (history, index, probeMs) => {
          const effects = effectsOfTickNotDue(history, index, probeMs) ?? []
          // Leads and swarms are watched now and then: see above. That a lead began is said at once.
          const began = effects.includes('fetch')
          expect(effects.filter((kind) => !WATCHED.has(kind) && !(began && kind === 'publish'))).toEqual([])
        },
      ),
      { numRuns: 300 },
    )
  })

  it('is in the first waves of a claim four times a wave at least, however often somebody asks', () => {
    const cores = new Cores(3, SHARDS)
    for (const one of cores.machines) one.originMs = one.swarmMs = 60_000
    cores.run(10_000, () => cores.machines.some((one) => one.state.own.size > 0))
    const { state } = cores.machines.find((one) => one.state.own.size > 0) as Machine
    const at = (ms: number) => ({ wallMs: NOW + ms, monotonicMs: ms })
    const tickMs = cores.nowMs + 1
    step(state, { kind: 'tick' }, at(tickMs))
    // Nothing else is due: it has said all and swept.
    Object.assign(state, { unpublished: false, publishedAtMs: tickMs, sweptAtMs: tickMs })
    const stepMs = TEST_PARAMETERS.waveMs / 4
    expect(nextWakeMs(state, at(tickMs + stepMs + 3))).toBe(tickMs + stepMs + 3)
  })

  it('is when the turn of a wave has come, also for who asks a moment after it', () => {
    const cores = new Cores(3, SHARDS, { ...TEST_PARAMETERS, settleMs: 2_300 })
    cores.run(2_200)
    const machine = cores.machines[0] as Machine
    const at = (monotonicMs: number) => ({ wallMs: NOW + monotonicMs, monotonicMs })
    step(machine.state, { kind: 'tick' }, at(2_250))
    expect(machine.state.short.nextDueAtMs).toBe(0)
    expect(nextWakeMs(machine.state, at(2_251))).toBe(2_300)
    expect(nextWakeMs(machine.state, at(2_303))).toBe(2_303)
  })

  it('is at once when audits wait and one of those under way came back, and not before', () => {
    const cores = new Cores(4, SHARDS)
    cores.run(120_000, () => cores.machines.every((one) => cores.allSafe(one)))
    const { state } = cores.machines.find((one) => one.state.own.size > 0) as Machine
    const [own] = [...state.own.values()]
    if (own === undefined) throw new Error('nothing held')
    step(state, { kind: 'tick' }, cores.now)
    const others = cores.machines.slice(0, 4).map((one) => one.id)
    for (const node of others) state.auditing.set(auditKey(own.shard.key, node), 0)
    state.own.checkAudits(own, cores.nowMs)
    expect(nextWakeMs(state, cores.now)).toBeGreaterThan(cores.nowMs)
    const event = {
      kind: 'audited',
      shard: own.shard.key,
      node: others[0] as NodeId,
      outcome: 'pass',
    } as const
    step(state, event, cores.now)
    expect(nextWakeMs(state, cores.now)).toBe(cores.nowMs)
  })

  it('is for an idle, settled core no more often than sweeps, renewals and audits', () => {
    const cores = new Cores(4, SHARDS)
    cores.run(120_000, () => cores.machines.every((one) => cores.allSafe(one)))
    cores.run(5_000)
    const { state } = cores.machines[0] as Machine
    const audits = state.audits.size
    let due = 0
    const FOR_MS = 60_000
    for (let ms = 0; ms < FOR_MS; ms += 100) {
      if (nextWakeMs(state, cores.now) <= cores.nowMs) due++
      cores.run(100)
    }
    const { renewMs, auditEveryMs } = TEST_PARAMETERS
    // Its own audits and news of others' make it plan again; each of both may have to be told later.
    const eachMs =
      FOR_MS / sweepEveryMs(state) + FOR_MS / renewMs + 4 * (audits + 3) * (FOR_MS / auditEveryMs)
    expect(due).toBeLessThan(eachMs)
    expect(due).toBeGreaterThan(FOR_MS / sweepEveryMs(state) - 2)
  })
})
