import { describe, expect, it } from 'vitest'
import { bytesUsed } from '../../protocol/core/state.ts'
import { health } from '../../protocol/ledger/health.ts'
import { auditKey } from '../../protocol/manifest/entry.ts'
import { Cores, type Machine, TEST_PARAMETERS, testShard } from '../support/cores.ts'

const SHARD = testShard('tenwiki')
/** Nodes of which only the first `holders` may claim. */
function federation(holders: number, others: number): Cores {
  const cores = new Cores(holders, [SHARD])
  for (let i = 0; i < others; i++) cores.add({ claimsMax: 0 })
  return cores
}
const holder = (cores: Cores) => cores.holders(SHARD)[0] as Machine
const auditsOf = (cores: Cores) => cores.machines.flatMap((machine) => machine.fileAudits)
const audited = (cores: Cores, machine: Machine) =>
  health(
    SHARD.key,
    { ledger: machine.state.ledger, parameters: cores.parameters, nowMs: cores.now.wallMs },
    null,
  ).audited
const DAY_MS = 86_400_000
const patienceMs = TEST_PARAMETERS.leadStallMs + 4_000

describe('a replica whose node has a clock that is ahead', () => {
  it('is proven by the first audit, which is dated no earlier than the replica', () => {
    const parameters = { ...TEST_PARAMETERS, clockSkewMs: 8_000 }
    const cores = new Cores(3, [SHARD], parameters)
    const ahead = cores.machines[0] as Machine
    ahead.aheadMs = parameters.clockSkewMs
    expect(cores.run(60_000, () => cores.holders(SHARD).includes(ahead))).toBe(true)
    const auditor = cores.machines[1] as Machine
    const said = () => auditor.state.audits.get(auditKey(SHARD.key, ahead.id))
    expect(cores.run(60_000, () => said() !== undefined)).toBe(true)
    const sinceMs = ahead.state.own.get(SHARD.key)?.sinceMs ?? 0
    expect(said()).toMatchObject({ outcome: 'pass', atMs: expect.toSatisfy((ms: number) => ms >= sinceMs) })
  })
})

describe('a shard that only one node holds', () => {
  it('is proven by one node that does not hold it, for everybody', () => {
    const cores = federation(1, 4)
    expect(cores.run(60_000, () => audited(cores, holder(cores) ?? cores.machines[0]) === 1)).toBe(true)
    expect(auditsOf(cores)).toEqual([holder(cores).id])
    cores.run(1_000)
    for (const machine of cores.machines) expect(audited(cores, machine)).toBe(1)
  })

  it('is proven again when the audit gets old, by one node and not by each', () => {
    const cores = federation(1, 4)
    cores.run(60_000, () => auditsOf(cores).length === 1)
    const beganMs = cores.nowMs
    cores.run(10 * TEST_PARAMETERS.auditEveryMs)
    const everyMs = TEST_PARAMETERS.auditEveryMs + patienceMs
    const rounds = (cores.nowMs - beganMs) / everyMs
    expect(auditsOf(cores).length).toBeGreaterThan(rounds / 2)
    expect(auditsOf(cores).length).toBeLessThanOrEqual(rounds + 2)
  })

  it('is not asked for before others had the time to fetch it', () => {
    const cores = federation(1, 4)
    cores.run(60_000, () => cores.holders(SHARD).length === 1)
    cores.run(TEST_PARAMETERS.leadStallMs)
    expect(auditsOf(cores)).toEqual([])
  })

  it('is read again by its holder when the audit fails, and repaired', () => {
    const cores = federation(1, 3)
    cores.run(60_000, () => auditsOf(cores).length === 1)
    const rotten = holder(cores)
    rotten.rotten.add(SHARD.key)
    expect(cores.run(90_000, () => rotten.state.damages.some((one) => one.repairedAtMs !== null))).toBe(true)
    expect(cores.run(60_000, () => audited(cores, cores.machines[1] as Machine) === 1)).toBe(true)
  })

  it('is left alone by nodes that no coordinator lists', () => {
    const cores = federation(1, 4)
    const listed = new Map([[holder(cores)?.id ?? cores.machines[0]?.id, 'operator-0']])
    for (const machine of cores.machines)
      cores.send(machine, {
        kind: 'catalogs',
        shards: [SHARD],
        listed: listed as never,
        archived: new Map(),
        readAtMs: cores.now.wallMs,
      })
    cores.run(120_000)
    expect(cores.holders(SHARD)).toHaveLength(1)
    expect(auditsOf(cores)).toEqual([])
  })

  it('is not asked of by a node without room for the file', () => {
    const cores = federation(1, 0)
    cores.add({ claimsMax: 0, bytesTotal: SHARD.sizeBytes - 1 })
    cores.run(120_000)
    expect(auditsOf(cores)).toEqual([])
  })

  it('is not passed over because a larger one, for which there is no room, is due for longer', () => {
    const large = testShard('aawiki', 50_000_000)
    const cores = new Cores(1, [large, SHARD])
    cores.run(60_000, () => cores.holders(SHARD).length + cores.holders(large).length === 2)
    const auditor = cores.add({ claimsMax: 0, bytesTotal: 2 * SHARD.sizeBytes })
    cores.run(600_000)
    const audits = [...auditor.state.audits.values()]
    expect(audits).toMatchObject([{ shard: SHARD.key, outcome: 'pass' }])
    // What the file took is free again.
    expect(auditor.state.fileAudits.size).toBe(0)
    expect(bytesUsed(auditor.state)).toBe(0)
  })

  it('is told to have been whole when it was asked, not when the file had come', () => {
    const cores = federation(1, 1)
    const auditor = cores.machines[1] as Machine
    cores.run(60_000, () => cores.holders(SHARD).length === 1)
    const { id } = holder(cores)
    const askedAtMs = cores.now.wallMs
    auditor.state.auditing.set(auditKey(SHARD.key, id), askedAtMs)
    cores.run(5_000)
    cores.send(auditor, { kind: 'audited', shard: SHARD.key, node: id, outcome: 'pass' })
    expect(auditor.state.audits.get(auditKey(SHARD.key, id))?.atMs).toBe(askedAtMs)
  })

  it('is not asked for when nobody can connect to its holder', () => {
    const cores = new Cores(0, [SHARD])
    cores.reachable = false
    cores.add({})
    cores.reachable = true
    for (let i = 0; i < 3; i++) cores.add({ claimsMax: 0 })
    cores.run(120_000)
    expect(cores.holders(SHARD)).toHaveLength(1)
    expect(auditsOf(cores)).toEqual([])
  })
})

describe('an audit by whole file that does not pass', () => {
  it('is tried again by the three of the day, ever more rarely', () => {
    const cores = federation(1, 8)
    cores.run(60_000, () => cores.holders(SHARD).length === 1)
    // It is alive in the words of all, and answers nobody.
    const silent = holder(cores)
    for (const machine of cores.machines) machine.unanswered.add(silent.id)
    cores.run(600_000)
    const auditors = cores.machines.filter((machine) => machine.fileAudits.length > 0)
    expect(auditors.length).toBeGreaterThan(0)
    expect(auditors.length).toBeLessThanOrEqual(3)
    // 8 s, 16 s, 32 s, ... of back-off in ten minutes.
    for (const machine of auditors) {
      expect(machine.fileAudits.length).toBeLessThanOrEqual(8)
      expect(machine.state.audits.size, 'nobody hears of it').toBe(0)
    }
  })
})

/** Days may pass at once, and nobody is forgotten meanwhile. */
const PATIENT = { ...TEST_PARAMETERS, restMs: 40 * DAY_MS, goneMs: 40 * DAY_MS }

describe('the three who may audit a replica by whole file', () => {
  it('are others on another day', () => {
    const cores = new Cores(1, [SHARD], { ...PATIENT, ttlMs: DAY_MS })
    for (let i = 0; i < 12; i++) cores.add({ claimsMax: 0 })
    cores.run(60_000, () => cores.holders(SHARD).length === 1)
    for (const machine of cores.machines) machine.unanswered.add(holder(cores).id)
    const auditors = () => cores.machines.filter((machine) => machine.fileAudits.length > 0).length
    const toHour = (hour: number) => {
      for (; cores.nowMs < hour * 3_600_000; cores.nowMs += 3_600_000) cores.run(2_000)
    }
    // NOW is noon, and the third has its turn after eight hours.
    toHour(11)
    expect([2, 3]).toContain(auditors())
    toHour(6 * 24)
    expect(auditors()).toBeGreaterThan(6)
  })
})

describe('a shard that others hold too', () => {
  it('is audited by a node that does not hold it when they have not managed for a day', () => {
    const cores = new Cores(3, [SHARD], PATIENT)
    cores.run(60_000, () => cores.holders(SHARD).length === 3)
    for (const machine of cores.machines) for (const other of cores.machines) machine.unanswered.add(other.id)
    for (let i = 0; i < 3; i++) cores.add({ claimsMax: 0 })
    cores.run(60_000)
    cores.nowMs += DAY_MS - 240_000
    cores.run(60_000)
    expect(auditsOf(cores)).toEqual([])
    cores.nowMs += 300_000
    cores.run(60_000)
    expect(new Set(auditsOf(cores)).size).toBeGreaterThan(0)
  })

  it('is audited by them alone, byte for byte and without a transfer', () => {
    const cores = federation(3, 4)
    expect(cores.run(60_000, () => cores.allSafe(cores.machines[0] as Machine))).toBe(true)
    cores.run(5 * TEST_PARAMETERS.auditEveryMs)
    expect(auditsOf(cores)).toEqual([])
  })
})

describe('a failure that is told', () => {
  it('is looked into by who holds the bytes, once for each auditor, by the receipt', () => {
    const cores = new Cores(4, [SHARD])
    cores.run(120_000, () => cores.machines.every((machine) => cores.allSafe(machine)))
    const victim = holder(cores)
    victim.rotten.add(SHARD.key)
    cores.run(60_000, () => victim.state.damages.length > 0)
    cores.run(10_000)
    const asked = cores.machines.flatMap((machine) =>
      machine.receiptsAsked.map((one) => [machine, one] as const),
    )
    expect(asked.length).toBeGreaterThan(0)
    expect(victim.receiptsAsked).toEqual([])
    for (const [machine, one] of asked) {
      expect(machine.state.own.get(SHARD.key)?.state).toBe('held')
      expect(one.endsWith(victim.id)).toBe(true)
      expect(machine.receiptsAsked.filter((other) => other === one)).toHaveLength(1)
    }
    expect(cores.machines.flatMap((machine) => machine.notices).join()).toContain('disproven')
  })

  it('makes nobody ask when it is told by somebody whose word does not count', () => {
    const cores = new Cores(4, [SHARD])
    cores.run(120_000, () => cores.machines.every((machine) => cores.allSafe(machine)))
    const nobody = new Map()
    for (const machine of cores.machines)
      cores.send(machine, {
        kind: 'catalogs',
        shards: [SHARD],
        listed: nobody,
        archived: new Map(),
        readAtMs: cores.now.wallMs,
      })
    holder(cores).rotten.add(SHARD.key)
    cores.run(60_000, () => holder(cores).state.damages.length > 0)
    expect(cores.machines.flatMap((machine) => machine.receiptsAsked)).toEqual([])
  })
})
