/** Whole runs of the simulator, small ones: `npm run sim` is for the large. */
import { describe, expect, it } from 'vitest'
import type { NodeId } from '../../protocol/ids.ts'
import { nextUpdate } from '../../protocol/manifest/next-update.ts'
import { encodeNodeUpdate } from '../../protocol/manifest/node-update.ts'
import { DAY_MS, HOUR_MS } from './clock.ts'
import { makeOptions, parseFaults } from './options.ts'
import { runSeed } from './run-seed.ts'
import { Simulation } from './simulation.ts'
import { stateHash } from './state-hash.ts'

const small = { nodes: 8, days: 1, shards: 16 }

describe('a federation in virtual time', () => {
  it.each([1, 2])(
    'without faults brings every shard to R and rests, seed %i',
    (seed) => {
      const { summary, story } = runSeed(makeOptions({ ...small, seed }))
      expect(story).toBe('')
      expect(summary.converged).toMatchObject({ lost: 0, capacityShort: 0 })
      expect(summary.claims).toBeGreaterThanOrEqual(summary.shards * 3)
      expect(summary.originBytes).toBeGreaterThan(0)
      expect(summary.swarmBytes).toBeGreaterThan(summary.originBytes)
    },
    60_000,
  )

  it('comes to the same state, to the bit, from the same seed, and to another from another', () => {
    const hashOf = (seed: number) => {
      const sim = new Simulation(
        makeOptions({ ...small, seed, faults: parseFaults('loss,late,crash,churn,skew,origin') }),
      )
      sim.run(6 * HOUR_MS)
      return stateHash(sim)
    }
    const hash = hashOf(3)
    expect(hashOf(3)).toBe(hash)
    expect(hashOf(4)).not.toBe(hash)
  }, 60_000)
})

describe('an invariant', () => {
  it('is broken by a core that says more than it has', () => {
    const sim = new Simulation(makeOptions({ ...small, seed: 5 }))
    sim.run(3 * HOUR_MS)
    expect(sim.violations).toEqual([])
    const holder = sim.machines.find(
      (one) => one.index > 0 && [...one.disk.copies.values()].some((copy) => copy.whole),
    )
    const copy = [...(holder?.disk.copies.values() ?? [])].find((one) => one.whole)
    expect(copy).toBeDefined()
    // Its file is gone from under it.
    if (copy !== undefined) holder?.disk.remove(copy.shard)
    sim.run(DAY_MS)
    expect(sim.violations[0]).toMatchObject({
      name: 'held-is-whole',
      machine: holder?.index,
      shard: copy?.shard.index,
    })
  }, 60_000)

  it('is broken by a manifest that its node never signed', () => {
    const sim = new Simulation(makeOptions({ ...small, seed: 6 }))
    sim.run(HOUR_MS)
    const [home, one] = sim.machines
    const record = home?.book?.get(one?.id as NodeId)
    if (home === undefined || one === undefined || record === undefined) throw new Error('nobody published')
    // As if its key were stolen: the signature is right, but the node does not know of it.
    const { node, head, ttlMs, issuedAtMs, sequence } = record
    const statement = {
      node,
      head,
      ttlMs,
      issuedAtMs,
      sequence: sequence + 1,
      entries: [],
      refuted: [],
      audits: [],
    }
    const { update } = nextUpdate(null, statement)
    sim.updates.hear(home, sim.messages.sealUpdate(one.key, encodeNodeUpdate(update)), null)
    expect(sim.violations[0]?.name).toBe('no-forgery')
  }, 60_000)
})
