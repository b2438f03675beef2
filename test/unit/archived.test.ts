/** What nodes are told of the archive, and what they make of it (PROTOCOL 0, 1, 5, 8). */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { shardStatuses } from '../../node/observe/shard-status.ts'
import { encodeArchiveList, openArchiveList } from '../../protocol/catalog/archive-list.ts'
import { decodeCatalogIndex, encodeCatalogIndex, referenceOf } from '../../protocol/catalog/catalog.ts'
import { ShapeError } from '../../protocol/codec/shape.ts'
import { reservedBytes } from '../../protocol/core/state.ts'
import type { Cycle, ShardKey } from '../../protocol/ids.ts'
import { isArchived } from '../../protocol/ledger/health.ts'
import { Cores, type Machine, TEST_PARAMETERS, testShard } from '../support/cores.ts'
import { NODES, NOW } from '../support/manifests.ts'

const first = (machines: readonly Machine[]) => machines[0] as Machine
const DATES = ['20260101', '20260201', '20260301', '20260401'] as const
const RUNS = DATES.map((date) => testShard('tenwiki', 1_000_000, date))
const OLD = RUNS[0] as (typeof RUNS)[0]
const CYCLE = '2026-01' as Cycle

describe('the list of what is archived', () => {
  const keys = ['tenwiki', 'yowiki'].map((wiki) => testShard(wiki).key).sort()
  const list = { cycle: CYCLE, verified: keys.map((shard, at) => ({ shard, verifiedAtMs: NOW + at })) }
  const bytes = encodeArchiveList(list)

  it('comes back as it was written', () => {
    expect(openArchiveList(bytes, referenceOf(CYCLE, bytes))).toEqual(list)
  })

  it('is refused when a byte of it is another than the signed sha256 says', () => {
    const reference = referenceOf(CYCLE, bytes)
    for (let at = 0; at < bytes.length; at++) {
      const wrong = Uint8Array.from(bytes)
      wrong[at] = (wrong[at] as number) ^ 1
      expect(() => openArchiveList(wrong, reference)).toThrow(ShapeError)
    }
  })

  it('of another cycle, in another order or with a shard twice is refused', () => {
    const opened = (verified: { shard: ShardKey; verifiedAtMs: number }[], cycle = CYCLE) => {
      const raw = encodeArchiveList({ cycle, verified })
      return () => openArchiveList(raw, referenceOf(cycle, raw))
    }
    const [one, two] = list.verified as [(typeof list.verified)[0], (typeof list.verified)[0]]
    expect(opened([two, one])).toThrow('growing keys')
    expect(opened([one, one])).toThrow('growing keys')
    expect(opened([one], '2026-02' as Cycle)).toThrow('a run of 2026-02')
  })

  it('is left out of an index when there is none, so that an index from before lists still opens', () => {
    const index = {
      coordinator: NODES[0] as never,
      sequence: 1,
      issuedAtMs: NOW,
      readAtMs: NOW,
      catalogs: [],
      archives: [],
      operators: [],
    }
    expect(decodeCatalogIndex(encodeCatalogIndex(index))).toEqual(index)
    const named = { ...index, archives: [referenceOf(CYCLE, bytes)] }
    expect(decodeCatalogIndex(encodeCatalogIndex(named))).toEqual(named)
    expect(encodeCatalogIndex(named).length).toBeGreaterThan(encodeCatalogIndex(index).length)
  })
})

describe('a verification of the archive', () => {
  const P = TEST_PARAMETERS

  it('counts from its time on, for auditValidMs and no longer', () => {
    const times = fc
      .integer({ min: -3, max: 3 })
      .chain((day) => fc.integer({ min: -5, max: 5 }).map((ms) => day * P.auditValidMs + ms))
    fc.assert(
      fc.property(times, (ageMs) => {
        expect(isArchived(NOW - ageMs, NOW, P)).toBe(ageMs >= -P.clockSkewMs && ageMs <= P.auditValidMs)
      }),
    )
    expect(isArchived(null, NOW, P)).toBe(false)
    expect(isArchived(undefined, NOW, P)).toBe(false)
  })
})

describe('a node that knows what is archived', () => {
  const told = (cores: Cores, archived: ReadonlyMap<ShardKey, number>) => {
    cores.archived = archived
    const listed = new Map(cores.machines.map((one, at) => [one.id, `operator-${at}`]))
    for (const machine of cores.machines)
      cores.send(machine, { kind: 'catalogs', shards: RUNS, listed, archived, readAtMs: cores.now.wallMs })
  }
  const targets = (machine: Machine) =>
    RUNS.map((run) => machine.state.catalog[machine.state.names.shards.find(run.key)]?.target)

  it('wants one replica of an old archived run, and R of the two newest and of what is not archived', () => {
    const cores = new Cores(1, RUNS)
    told(cores, new Map(RUNS.slice(1).map((run) => [run.key, NOW])))
    expect(targets(first(cores.machines))).toEqual([3, 1, 3, 3])
  })

  it('wants R again when the verification is older than auditValidMs, without being told anything', () => {
    const short = { ...TEST_PARAMETERS, auditValidMs: 30_000 }
    const cores = new Cores(1, RUNS, short)
    told(cores, new Map([[OLD.key, NOW]]))
    cores.run(29_000)
    expect(targets(first(cores.machines))[0]).toBe(1)
    cores.run(5_000)
    expect(targets(first(cores.machines))[0]).toBe(3)
  })

  it('does not count a verification from the future until its time has come', () => {
    const cores = new Cores(1, RUNS)
    told(cores, new Map([[OLD.key, NOW + 10_000]]))
    expect(targets(first(cores.machines))[0]).toBe(3)
    cores.run(13_000)
    expect(targets(first(cores.machines))[0]).toBe(1)
  })

  it('calls a shard safe by the archive and one audited, reachable replica, on its own page', () => {
    const cores = new Cores(2, RUNS)
    const page = () =>
      shardStatuses(first(cores.machines).state, cores.now.wallMs).find((row) => row.key === OLD.key)
    cores.run(60_000)
    expect(page()).toMatchObject({ safe: false, archived: false, replicas: 2 })
    told(cores, new Map([[OLD.key, cores.now.wallMs]]))
    expect(page()).toMatchObject({ safe: true, archived: true })
  })

  it('claims the least recently archived first, of shards that are alike', () => {
    const wikis = ['aawiki', 'yowiki', 'htwiki', 'gdwiki'].map((wiki) => testShard(wiki))
    const agesMs = [2_000, 4_000, 1_000, 3_000]
    const cores = new Cores(0, wikis)
    cores.archived = new Map(wikis.map(({ key }, at) => [key, NOW - (agesMs[at] as number)]))
    const machine = cores.add({ claimsMax: 1 })
    const claimed = () => machine.notices.filter((notice) => notice.startsWith('claimed'))
    cores.run(60_000, () => claimed().length === 4)
    expect(claimed().map((notice) => /dumps\/(\w+)\//.exec(notice)?.[1])).toEqual([
      'yowiki',
      'gdwiki',
      'aawiki',
      'htwiki',
    ])
  })

  it('gives surplus replicas of it back when room is short; who promised to keep it does not', () => {
    const room = Math.ceil((RUNS.reduce((sum, run) => sum + reservedBytes(run), 0) * 100) / 90)
    const cores = new Cores(0, RUNS)
    for (let i = 0; i < 3; i++) cores.add({ bytesTotal: room })
    cores.run(120_000, () => cores.machines.every((machine) => cores.allSafe(machine)))
    expect(cores.holders(OLD)).toHaveLength(3)
    told(cores, new Map([[OLD.key, cores.now.wallMs]]))
    cores.run(120_000)
    expect(cores.holders(OLD)).toHaveLength(2)
    for (const run of RUNS.slice(1)) expect(cores.holders(run)).toHaveLength(3)
    expect(
      shardStatuses(first(cores.machines).state, cores.now.wallMs).find((row) => row.key === OLD.key)?.safe,
    ).toBe(true)
  })
})
