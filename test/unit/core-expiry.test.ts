import { describe, expect, it } from 'vitest'
import { sweepEveryMs } from '../../protocol/core/wake.ts'
import { Cores, type Machine, TEST_PARAMETERS, testShard } from '../support/cores.ts'
import { NOW } from '../support/manifests.ts'

const QUIET = { ...TEST_PARAMETERS, auditEveryMs: 10_000_000 }

describe('what nobody speaks of', () => {
  it('a claim that does not grow is taken over though its node renews it and lets nothing go', () => {
    const shard = testShard('aawiki')
    const cores = new Cores(4, [shard], QUIET)
    for (const machine of cores.machines) machine.swarmMs = Number.POSITIVE_INFINITY
    const claimants = () =>
      cores.machines.filter(({ state }) => state.own.get(shard.key)?.state === 'claimed')
    const hasLed = () => cores.holders(shard).length === 1 && claimants().length === 2
    expect(cores.run(60_000, hasLed)).toBe(true)
    const [hog, other] = claimants() as [Machine, Machine]
    const claim = hog.state.own.get(shard.key)
    if (claim === undefined) throw new Error('no claim')
    hog.originMs = Number.POSITIVE_INFINITY
    // It never finds that its claim died.
    Object.assign(claim, { grewAtMs: Number.POSITIVE_INFINITY, claimedAtMs: Number.POSITIVE_INFINITY })
    other.swarmMs = 1_000
    other.fetches.clear()
    cores.send(other, {
      kind: 'fetched',
      shard: shard.key,
      infohash: cores.holders(shard)[0]?.state.own.get(shard.key)?.infohash as never,
      fromOriginBytes: 0,
      fromSwarmBytes: shard.sizeBytes,
    })
    const fourth = cores.machines.find(({ state }) => !state.own.has(shard.key)) as Machine
    fourth.swarmMs = 1_000
    expect(cores.run(QUIET.claimStallMs / 2, () => fourth.state.own.has(shard.key))).toBe(false)
    const withinMs = QUIET.claimStallMs + sweepEveryMs(fourth.state) + 4 * QUIET.waveMs
    expect(cores.run(withinMs, () => cores.holders(shard).includes(fourth))).toBe(true)
  })
})

describe('a lost store', () => {
  it('makes a node begin above all that a clock within the skew can have signed', () => {
    const cores = new Cores(1, [])
    const { state } = cores.machines[0] as Machine
    expect(state.sequence).toBeGreaterThanOrEqual(NOW + 2 * TEST_PARAMETERS.clockSkewMs)
  })
})
