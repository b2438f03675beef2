// Longer than 300 lines: one claim after the other about one federation of cores.
import { describe, expect, it } from 'vitest'
import { newOwn } from '../../protocol/core/state.ts'
import { step } from '../../protocol/core/step.ts'
import { targetsOf } from '../../protocol/core/targets.ts'
import type { Infohash, ShardKey } from '../../protocol/ids.ts'
import { NODE_MANIFEST_ENTRIES_MAX } from '../../protocol/limits.ts'
import { Cores, type Machine, testShard } from '../support/cores.ts'

const SHARDS = [
  'aawiki',
  'yowiki',
  'htwiki',
  'gdwiki',
  'mgwiki',
  'vowiki',
  'oswiki',
  'cvwiki',
  'liwiki',
  'fowiki',
].map((wiki) => testShard(wiki))
const originFetches = (cores: Cores) => cores.machines.flatMap((machine) => machine.originFetches)
const first = (machines: readonly Machine[]) => machines[0] as Machine

describe('a federation of cores', () => {
  it('brings every shard to exactly three audited replicas, each fetched from origin once', () => {
    const cores = new Cores(5, SHARDS)
    expect(cores.run(120_000, () => cores.machines.every((machine) => cores.allSafe(machine)))).toBe(true)
    for (const shard of SHARDS) expect(cores.holders(shard)).toHaveLength(3)
    expect(originFetches(cores).sort()).toEqual(SHARDS.map((shard) => shard.key).sort())
    expect(
      cores.machines.filter((machine) => machine.originFetches.length > 0).length,
    ).toBeGreaterThanOrEqual(3)
  })

  it('claims nothing before it has heard the others', () => {
    const cores = new Cores(4, SHARDS)
    cores.run(1_900)
    expect(cores.machines.every((machine) => machine.state.own.size === 0)).toBe(true)
  })

  it('is safe with exactly as many nodes as replicas wanted', () => {
    const cores = new Cores(3, SHARDS)
    expect(cores.run(120_000, () => cores.allSafe(first(cores.machines)))).toBe(true)
  })

  it('gives up a lead that dies and lets the next rank lead', () => {
    const cores = new Cores(4, SHARDS)
    for (const machine of cores.machines) machine.originMs = 20_000
    const leading = () => cores.machines.find((machine) => machine.originFetches.length > 0)
    cores.run(10_000, () => leading() !== undefined)
    const dead = leading() as Machine
    cores.kill(dead)
    for (const machine of cores.machines) machine.originMs = 1_000
    const alive = first(cores.machines.filter((machine) => machine !== dead))
    expect(cores.run(300_000, () => cores.allSafe(alive))).toBe(true)
  })

  it('goes on after kill -9 with what it had persisted, and never goes back in sequence', () => {
    const cores = new Cores(4, SHARDS)
    const machine = first(cores.machines)
    for (let round = 0; round < 8; round++) {
      cores.run(1_300)
      const before = machine.state.sequence
      cores.kill(machine)
      cores.run(700)
      cores.restart(machine)
      cores.run(500)
      expect(machine.state.sequence).toBeGreaterThanOrEqual(before)
    }
    expect(cores.run(200_000, () => cores.allSafe(machine))).toBe(true)
    for (const shard of SHARDS) expect(cores.holders(shard).length).toBeGreaterThanOrEqual(3)
  })

  it('goes above the sequence that others remember when its own state is lost', () => {
    const cores = new Cores(4, SHARDS)
    const machine = first(cores.machines)
    cores.run(10_000)
    const before = machine.state.sequence
    cores.kill(machine)
    machine.kept = null
    cores.restart(machine)
    cores.run(1_000)
    expect(machine.state.sequence).toBeGreaterThan(before)
  })

  it('never holds bytes that do not match upstream, says why, and tries again later', () => {
    const cores = new Cores(4, SHARDS.slice(0, 1))
    const shard = SHARDS[0] as (typeof SHARDS)[0]
    cores.originFaults.set(shard.key, 'digest-mismatch')
    cores.run(20_000)
    expect(cores.holders(shard)).toEqual([])
    expect(
      cores.machines.some((machine) => machine.state.failures.get(shard.key)?.code === 'digest-mismatch'),
    ).toBe(true)
    cores.originFaults.clear()
    expect(cores.run(400_000, () => cores.allSafe(first(cores.machines)))).toBe(true)
    expect(first(cores.machines).state.failures.size).toBe(0)
  })

  it('finds a damaged replica by an audit, names the file, and repairs it from the swarm', () => {
    const cores = new Cores(4, SHARDS)
    cores.run(120_000, () => cores.machines.every((machine) => cores.allSafe(machine)))
    const shard = SHARDS[0] as (typeof SHARDS)[0]
    const victim = first(cores.holders(shard))
    const before = originFetches(cores).length
    victim.rotten.add(shard.key)
    expect(cores.run(60_000, () => victim.state.damages.some((damage) => damage.repairedAtMs !== null))).toBe(
      true,
    )
    expect(victim.state.damages[0]).toMatchObject({
      shard: shard.key,
      files: shard.files.map((file) => file.path),
    })
    expect(originFetches(cores)).toHaveLength(before)
    expect(cores.run(60_000, () => cores.allSafe(victim))).toBe(true)
  })

  it('tries a repair that found no room again after a while, not at once, and does not let it go', () => {
    const cores = new Cores(4, SHARDS)
    cores.run(120_000, () => cores.machines.every((machine) => cores.allSafe(machine)))
    const shard = SHARDS[0] as (typeof SHARDS)[0]
    const victim = first(cores.holders(shard))
    cores.send(victim, { kind: 'checked', shard: shard.key, damaged: ['x'] })
    cores.run(10_000, () => victim.fetches.has(shard.key))
    const begun = () => victim.swarmFetches.length
    for (const code of ['disk-full', 'budget-used'] as const) {
      victim.fetches.clear()
      const before = begun()
      cores.send(victim, { kind: 'fetch-failed', shard: shard.key, code, detail: 'test', infohash: null })
      expect(victim.state.own.get(shard.key)?.repairing).toBe(true)
      cores.run(victim.state.parameters.waveMs / 2, () => begun() > before)
      expect(begun()).toBe(before)
      expect(cores.run(60_000, () => begun() > before)).toBe(true)
    }
  })

  it('drops an infohash whose bytes fail upstream, says so, and finds another source', () => {
    const cores = new Cores(4, SHARDS.slice(0, 1))
    const shard = SHARDS[0] as (typeof SHARDS)[0]
    const follower = () => cores.machines.find((machine) => machine.swarmFetches.length > 0)
    cores.run(60_000, () => follower() !== undefined)
    const machine = follower() as Machine
    machine.fetches.clear()
    const infohash = 'ee'.repeat(20) as Infohash
    cores.send(machine, {
      kind: 'fetch-failed',
      shard: shard.key,
      code: 'bad-infohash',
      detail: 'test',
      infohash,
    })
    cores.run(1_000)
    const told = cores.machines
      .filter((one) => one !== machine)
      .every((one) => one.state.ledger.knows(machine.id)?.refuted.get(shard.key)?.length === 1)
    expect(told).toBe(true)
    expect(cores.run(120_000, () => cores.allSafe(machine))).toBe(true)
  })

  it('never reserves more bytes than the volunteer gave', () => {
    const cores = new Cores(3, SHARDS)
    const small = cores.add({ bytesTotal: 2_200_000 })
    cores.run(120_000, () => cores.allSafe(small))
    expect(small.state.own.size).toBeLessThanOrEqual(2)
  })

  it('lets a collector fetch everything from the swarm without counting as a replica', () => {
    const cores = new Cores(4, SHARDS)
    const collector = cores.add({ role: 'collector' })
    const collected = () => SHARDS.every((shard) => collector.state.own.get(shard.key)?.state === 'held')
    expect(cores.run(120_000, () => collected() && cores.allSafe(collector))).toBe(true)
    expect(collector.originFetches).toEqual([])
    for (const shard of SHARDS) {
      expect(cores.holders(shard).filter((machine) => machine !== collector)).toHaveLength(3)
      expect(collector.state.ledger.placedBy(shard.key, collector.id)).toBeUndefined()
    }
  })

  it('gets a shard back from a collector when its holders are gone and upstream has deleted it', () => {
    const cores = new Cores(3, SHARDS.slice(0, 2))
    const collector = cores.add({ role: 'collector' })
    const holders = cores.machines.filter((machine) => machine !== collector)
    const collected = () => collector.state.own.size === 2 && cores.allSafe(collector)
    expect(cores.run(120_000, collected)).toBe(true)
    for (const shard of cores.shards) cores.originFaults.set(shard.key, 'origin-unavailable')
    for (const machine of holders) cores.kill(machine)
    const newcomers = [cores.add({}), cores.add({}), cores.add({})]
    expect(cores.run(400_000, () => newcomers.every((machine) => cores.allSafe(machine)))).toBe(true)
    // Volunteers are enough again, so nothing more is told of it.
    expect(
      cores.run(60_000, () =>
        cores.shards.every((shard) => collector.state.ledger.placedBy(shard.key, collector.id) === undefined),
      ),
    ).toBe(true)
  })

  it('with the origin fallback off, a node that is not the best ranked never touches origin', () => {
    const cores = new Cores(0, SHARDS)
    for (let i = 0; i < 4; i++) cores.add({ originFallback: false })
    expect(cores.run(120_000, () => cores.allSafe(first(cores.machines)))).toBe(true)
    expect(originFetches(cores)).toHaveLength(SHARDS.length)
  })

  it('keeps the last place for a reachable node, so that some replica can be fetched', () => {
    const cores = new Cores(0, SHARDS)
    for (let i = 0; i < 6; i++) {
      cores.reachable = i >= 5
      cores.add({})
    }
    expect(cores.run(240_000, () => cores.allSafe(first(cores.machines)))).toBe(true)
    for (const shard of SHARDS) expect(cores.holders(shard).some((machine) => machine.reachable)).toBe(true)
    const unreachable = cores.machines.filter((machine) => !machine.reachable)
    expect(unreachable.flatMap((machine) => machine.originFetches)).toEqual([])
  })

  it('claims no more than it can say', () => {
    const cores = new Cores(3, SHARDS)
    const full = first(cores.machines)
    const filler = testShard('fillerwiki')
    for (let i = 0; i < NODE_MANIFEST_ENTRIES_MAX; i++) {
      full.state.own.set(`${filler.key}${i}` as ShardKey, {
        ...newOwn(full.state, filler, cores.now),
        state: 'held',
      })
    }
    full.up = false
    full.state.joinedAtMs = -60_000
    const effects = step(full.state, { kind: 'tick' }, cores.now)
    expect(full.state.short.size).toBe(SHARDS.length)
    expect(effects.some((effect) => effect.kind === 'notice' && effect.code === 'claimed')).toBe(false)
  })

  it('takes the languages that the volunteer chose first', () => {
    const cores = new Cores(0, SHARDS)
    const machine = cores.add({ languages: ['yo'], claimsMax: 1 })
    cores.add({})
    cores.run(4_000)
    expect([...machine.state.own.values()][0]?.shard.wiki).toBe('yowiki')
  })

  it('takes what is of a chosen language and project first, then what is of one of them', () => {
    const wikis = ['yowiki', 'dewikisource', 'yowikisource', 'dewiki', 'sourceswiki'].map((wiki) =>
      testShard(wiki),
    )
    const cores = new Cores(0, wikis)
    const machine = cores.add({ languages: ['yo'], projects: ['wikisource'], claimsMax: 1 })
    const claimed = () => machine.notices.filter((notice) => notice.startsWith('claimed'))
    cores.run(60_000, () => claimed().length === wikis.length)
    const order = claimed().map((notice) => /dumps\/(\w+)\//.exec(notice)?.[1])
    expect(order[0]).toBe('yowikisource')
    expect(order.slice(1, 4).sort()).toEqual(['dewikisource', 'sourceswiki', 'yowiki'])
    expect(order[4]).toBe('dewiki')
  })

  it('does not count the claims of a node that said two things under one sequence', () => {
    const cores = new Cores(4, SHARDS)
    const liar = cores.machines[3] as Machine
    cores.run(1_000)
    for (const machine of cores.machines.slice(0, 3))
      cores.send(machine, { kind: 'equivocation', node: liar.id })
    liar.originMs = 1e9
    liar.swarmMs = 1e9
    expect(cores.run(30_000, () => cores.allSafe(first(cores.machines)))).toBe(true)
    expect(first(cores.machines).notices.some((notice) => notice.startsWith('equivocation'))).toBe(true)
  })

  it('lets a newcomer claim only a little while nobody has proven a replica of it', () => {
    const many = Array.from({ length: 40 }, (_, i) =>
      testShard(`w${'abcdefghij'[i % 10]}${'abcdefghij'[Math.floor(i / 10)]}wiki`),
    )
    const cores = new Cores(3, many.slice(0, 2))
    cores.run(60_000, () => cores.allSafe(first(cores.machines)))
    const newcomer = cores.add({ claimsMax: 30 })
    cores.shards = many
    for (const machine of cores.machines)
      cores.send(machine, {
        kind: 'catalogs',
        shards: many,
        listed: machine.state.listed,
        archived: new Map(),
        readAtMs: cores.now.wallMs,
      })
    newcomer.originMs = 1e9
    newcomer.swarmMs = 1e9
    let most = 0
    cores.run(20_000, () => {
      most = Math.max(most, newcomer.state.own.size)
      return false
    })
    expect(most).toBeGreaterThan(0)
    expect(most).toBeLessThanOrEqual(4)
  })
})

describe('room that is given back (PROTOCOL 8)', () => {
  it('a node that leaves hands everything over first, and no shard ever has fewer than three replicas', () => {
    const cores = new Cores(5, SHARDS)
    cores.run(120_000, () => cores.machines.every((machine) => cores.allSafe(machine)))
    const leaver = first(cores.holders(SHARDS[0] as (typeof SHARDS)[0]))
    cores.send(leaver, { kind: 'leave' })
    let fewest = 9
    const gone = cores.run(300_000, () => {
      fewest = Math.min(fewest, ...SHARDS.map((shard) => cores.holders(shard).length))
      return leaver.state.own.size === 0
    })
    expect(gone).toBe(true)
    expect(fewest).toBeGreaterThanOrEqual(3)
    expect(cores.allSafe(first(cores.machines.filter((machine) => machine !== leaver)))).toBe(true)
  })

  it('does not let the last copies go when nobody can take them', () => {
    const cores = new Cores(3, SHARDS)
    cores.run(120_000, () => cores.allSafe(first(cores.machines)))
    const leaver = first(cores.machines)
    cores.send(leaver, { kind: 'leave' })
    cores.run(60_000)
    expect(leaver.state.own.size).toBe(SHARDS.length)
  })

  it('holders that all want to drop do not all drop', () => {
    const cores = new Cores(4, SHARDS)
    cores.run(120_000, () => cores.machines.every((machine) => cores.allSafe(machine)))
    for (const machine of cores.machines) cores.send(machine, { kind: 'capacity', bytesTotal: 1 })
    cores.run(120_000)
    for (const shard of SHARDS) expect(cores.holders(shard).length).toBeGreaterThanOrEqual(3)
  })
})

describe('silent holders (PROTOCOL 4)', () => {
  it('rest while another live replica is proven, and are replaced at once when none is', () => {
    const cores = new Cores(6, SHARDS.slice(0, 1))
    const shard = SHARDS[0] as (typeof SHARDS)[0]
    cores.run(60_000, () => cores.machines.every((machine) => cores.allSafe(machine)))
    const [one, two, three] = cores.holders(shard) as [Machine, Machine, Machine]
    cores.kill(one)
    cores.run(20_000)
    expect(cores.holders(shard).filter((machine) => machine.up)).toHaveLength(2)
    cores.kill(two)
    cores.kill(three)
    expect(cores.run(40_000, () => cores.holders(shard).filter((machine) => machine.up).length === 3)).toBe(
      true,
    )
  })
})

describe('how many replicas a shard should have (PROTOCOL 5)', () => {
  const run = (date: string) => testShard('tenwiki', 1_000, date)
  const dates = ['20260101', '20260201', '20260301', '20260401']

  it('is R for the two newest runs of a wiki, and for older ones that are not archived', () => {
    const shards = dates.map(run)
    const archived = new Set(shards.slice(1).map((shard) => shard.key))
    expect([...targetsOf(shards, archived, 3).values()]).toEqual([3, 1, 3, 3])
  })
})
