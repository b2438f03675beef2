/** Federation parameters change over while nodes run, at a time that the root names (PROTOCOL, federation parameters). */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { step } from '../../protocol/core/step.ts'
import { nextWakeMs } from '../../protocol/core/wake.ts'
import { type ParameterChange, parametersAt, parametersFingerprint } from '../../protocol/parameters.ts'
import { Cores, type Machine, TEST_PARAMETERS, testShard } from '../support/cores.ts'
import { NOW } from '../support/manifests.ts'

const first = (machines: readonly Machine[]) => machines[0] as Machine
const SHARDS = ['aawiki', 'yowiki', 'htwiki'].map((wiki) => testShard(wiki))

describe('the set that holds', () => {
  it('is the newest that is active, the first before that, and says from when until when it holds', () => {
    const times = fc.uniqueArray(fc.integer({ min: 0, max: 50 }), { minLength: 1, maxLength: 8 })
    fc.assert(
      fc.property(times, fc.integer({ min: -1, max: 52 }), (all, atMs) => {
        const changes = all
          .sort((a, b) => a - b)
          .map(
            (activatesAtMs): ParameterChange => ({
              activatesAtMs,
              values: { ...TEST_PARAMETERS, waveMs: activatesAtMs },
            }),
          )
        const active = parametersAt(changes, atMs)
        const past = all.filter((one) => one <= atMs)
        expect(active.values.waveMs).toBe(past.length === 0 ? all[0] : past.at(-1))
        expect(active.fingerprint).toBe(parametersFingerprint(active.values))
        expect(atMs >= active.fromMs && atMs < active.untilMs).toBe(true)
        for (const edge of [active.fromMs, active.untilMs - 1])
          if (Number.isFinite(edge)) expect(parametersAt(changes, edge).values).toEqual(active.values)
      }),
    )
  })
})

describe('a running federation', () => {
  const later = { ...TEST_PARAMETERS, replicas: 4, clockSkewMs: 2_000 }
  const CHANGE_MS = 120_000
  const make = (count: number) =>
    new Cores(count, SHARDS, TEST_PARAMETERS, [{ activatesAtMs: NOW + CHANGE_MS, values: later }])

  it('goes by the new set from its activation on: all come to the new R, and every head has the new fingerprint', () => {
    const cores = make(5)
    cores.run(CHANGE_MS - 100)
    for (const shard of SHARDS) expect(cores.holders(shard)).toHaveLength(3)
    const told = () =>
      cores.machines.map(({ id }) => first(cores.machines).state.ledger.knows(id)?.head.parameters)
    expect(new Set(told())).toEqual(new Set([parametersFingerprint(TEST_PARAMETERS)]))
    expect(cores.run(60_000, () => SHARDS.every((shard) => cores.holders(shard).length === 4))).toBe(true)
    cores.run(10_000)
    expect(new Set(told())).toEqual(new Set([parametersFingerprint(later)]))
    expect(cores.machines.every((machine) => machine.state.parameters === later)).toBe(true)
    expect(cores.machines.every((machine) => cores.allSafe(machine))).toBe(true)
  })

  it('is woken at the activation, also when nothing else happens', () => {
    const cores = make(1)
    const machine = first(cores.machines)
    for (const beforeMs of [50_000, 2_000, 1]) {
      const now = { wallMs: NOW + CHANGE_MS - beforeMs, monotonicMs: CHANGE_MS - beforeMs }
      step(machine.state, { kind: 'tick' }, now)
      expect(nextWakeMs(machine.state, now)).toBeLessThanOrEqual(CHANGE_MS)
    }
  })

  it('reckons who is silent by the new set at once', () => {
    const cores = make(2)
    cores.run(CHANGE_MS - 100)
    const { ledger, names } = first(cores.machines).state
    const other = names.nodes.find((cores.machines[1] as Machine).id)
    const before = ledger.silentAfterMs(other)
    step(
      first(cores.machines).state,
      { kind: 'connections', count: 1 },
      { wallMs: NOW + CHANGE_MS, monotonicMs: CHANGE_MS },
    )
    expect(ledger.silentAfterMs(other) - before).toBe(later.clockSkewMs - TEST_PARAMETERS.clockSkewMs)
  })

  it('goes back when its clock was wrong and is set back', () => {
    const cores = make(1)
    const { state } = first(cores.machines)
    const at = (wallMs: number) => step(state, { kind: 'tick' }, { wallMs, monotonicMs: 0 })
    at(NOW + CHANGE_MS)
    expect(state.parameters.replicas).toBe(4)
    at(NOW + CHANGE_MS - 1)
    expect(state.parameters.replicas).toBe(3)
  })
})
