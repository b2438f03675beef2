import { describe, expect, it } from 'vitest'
import type { Problem } from '../../node/observe/status.ts'
import { shardStatuses } from '../../node/observe/status.ts'
import { makeRun } from '../../protocol/dump/run.ts'
import { health } from '../../protocol/ledger/health.ts'
import { cutRun } from '../../protocol/shard/cut.ts'
import { Cores, type Machine, testShard } from '../support/cores.ts'
import { statusOf } from '../support/status.ts'

const SHARDS = [testShard('aawiki'), testShard('tenwiki', 2_000_000), testShard('htwiki', 3_000_000)]

function first(cores: Cores): Machine {
  const [machine] = cores.machines
  if (machine === undefined) throw new Error('no machine')
  return machine
}

function settled(count = 3): { cores: Cores; machine: Machine } {
  const cores = new Cores(count, SHARDS)
  const machine = first(cores)
  if (!cores.run(200_000, () => cores.machines.every((one) => cores.allSafe(one))))
    throw new Error('not safe in time')
  return { cores, machine }
}

describe('the rows of shards', () => {
  it('say safe exactly when the protocol does, and name the holders', () => {
    const { cores, machine } = settled()
    const rows = shardStatuses(machine.state, cores.now.wallMs)
    expect(rows.map((row) => row.id)).toEqual([
      'dumps/aawiki/20260101',
      'dumps/htwiki/20260101',
      'dumps/tenwiki/20260101',
    ])
    for (const row of rows) {
      expect(row).toMatchObject({
        safe: true,
        replicas: 3,
        held: 3,
        claimed: 0,
        own: 'held',
        done: 16,
        cycle: '2026-01',
      })
      expect(row.holders.map((one) => one.node).sort()).toEqual(cores.machines.map((one) => one.id).sort())
      expect(row.holders.every((one) => one.audited && one.auditedAtMs !== null)).toBe(true)
      expect(row.infohash).toBe(machine.state.own.get(row.key)?.infohash)
    }
  })

  it('count who led: each shard once in the whole federation', () => {
    const { cores } = settled()
    const led = cores.machines.flatMap((one) =>
      shardStatuses(one.state, cores.now.wallMs).filter((row) => row.led),
    )
    expect(led).toHaveLength(SHARDS.length)
    expect(led.every((row) => row.fromOriginBytes === row.bytes && row.fromSwarmBytes === 0)).toBe(true)
  })

  it('name the jobs that failed at Wikimedia, so that no part of a dump passes for a whole one', () => {
    const file = { sizeBytes: 5, digests: { md5: 'ab'.repeat(16) } }
    const status = {
      jobs: new Map([
        [
          'pagetable',
          { state: 'done' as const, updatedMs: 1, files: new Map([['zuwiki-20260101-page.sql.gz', file]]) },
        ],
        ['xmlstubsdump', { state: 'failed' as const, updatedMs: 2, files: new Map() }],
      ]),
    }
    const cores = new Cores(3, [...SHARDS, ...cutRun(makeRun({ wiki: 'zuwiki', date: '20260101' }, status))])
    const { state } = first(cores)
    const rows = shardStatuses(state, cores.now.wallMs)
    expect(rows.map((row) => row.failedJobs)).toEqual([[], [], [], ['xmlstubsdump']])
    expect(statusOf(cores, first(cores)).counts).toMatchObject({ shards: 4, flawed: 1 })
  })

  it('say nothing better before there are copies', () => {
    const cores = new Cores(3, SHARDS)
    const [row] = shardStatuses(first(cores).state, cores.now.wallMs)
    expect(row).toMatchObject({
      safe: false,
      replicas: 0,
      held: 0,
      own: null,
      done: 0,
      infohash: null,
      archived: false,
    })
  })

  it('take archive and publication from whoever knows, and forget an archive copy that nobody looked at for long', () => {
    const { cores, machine } = settled()
    const nowMs = cores.now.wallMs
    const at = (verifiedAtMs: number) =>
      shardStatuses(machine.state, nowMs, {
        outside: (key) =>
          key.includes('tenwiki')
            ? {
                infohash: null,
                archiveItem: 'wikiseed-tenwiki',
                archiveVerifiedAtMs: verifiedAtMs,
                published: true,
              }
            : null,
      }).find((row) => row.wiki === 'tenwiki')
    expect(at(nowMs - 1_000)).toMatchObject({
      archived: true,
      published: true,
      archiveItem: 'wikiseed-tenwiki',
    })
    const long = machine.state.parameters.auditValidMs + 1
    expect(at(nowMs - long)).toMatchObject({ archived: false, archiveItem: 'wikiseed-tenwiki' })
  })

  it('agree with the definition of health, whatever time it is', () => {
    const { cores, machine } = settled()
    for (const laterMs of [0, 20_000, 60_000, machine.state.parameters.auditValidMs * 2]) {
      const nowMs = cores.now.wallMs + laterMs
      for (const row of shardStatuses(machine.state, nowMs)) {
        expect(row.safe).toBe(health(row.key, { ...machine.state, nowMs }, null).safe)
      }
    }
  })
})

describe("a node's status", () => {
  it('counts what it and the federation have', () => {
    const { cores, machine } = settled()
    const now = statusOf(cores, machine)
    expect(now.counts).toMatchObject({
      shards: 3,
      safe: 3,
      held: 3,
      claimed: 0,
      fetching: 0,
      audited: 3,
      nodesLive: 3,
    })
    expect(now.counts.audits.pass).toBeGreaterThan(0)
    expect(now.counts.audits.pass).toBeLessThanOrEqual(6)
    expect(now.counts.audits.fail).toBe(0)
    expect(now.problems).toEqual([])
    expect(now.nodes.map((one) => [one.held, one.standing])).toEqual([
      [3, 'live'],
      [3, 'live'],
      [3, 'live'],
    ])
    expect(now.nodes.filter((one) => one.self)).toHaveLength(1)
    expect(now.capacity.bytesUsed).toBeGreaterThan(6_000_000)
  })

  it('shows what is under way', () => {
    const cores = new Cores(3, SHARDS)
    const machine = first(cores)
    expect(cores.run(60_000, () => machine.fetches.size > 0)).toBe(true)
    const now = statusOf(cores, machine)
    expect(now.counts.fetching).toBe(machine.fetches.size)
    expect(now.fetches.map((one) => one.shard)).toEqual(
      [...machine.fetches.keys()].map((key) => key.split('@')[0]).sort(),
    )
  })

  it('adds the bytes on their way to those of what is held', () => {
    const { cores, machine } = settled()
    const before = statusOf(cores, machine).traffic.swarmDownBytes
    const torrents = [
      { state: 'fetching' as const, downloadedBytes: 70, uploadedBytes: 5 },
      { state: 'seeding' as const, downloadedBytes: 0, uploadedBytes: 9 },
    ]
    expect(statusOf(cores, machine, { torrents }).traffic).toEqual({
      originBytes: 500,
      elsewhereBytes: 70,
      swarmDownBytes: before + 70,
      swarmUpBytes: 14,
    })
  })

  it('names a dump whose bytes are not what upstream says, with the reason', () => {
    const cores = new Cores(3, SHARDS)
    const [bad] = SHARDS
    if (bad === undefined) throw new Error('no shard')
    cores.originFaults.set(bad.key, 'digest-mismatch')
    const failed = () => cores.machines.find((one) => one.state.failures.has(bad.key))
    expect(cores.run(200_000, () => failed() !== undefined)).toBe(true)
    const machine = failed()
    if (machine === undefined) throw new Error('no failure')
    expect(statusOf(cores, machine).problems).toEqual([
      expect.objectContaining({
        shard: bad.id,
        code: 'digest-mismatch',
        detail: 'as the test wants',
        resolvedAtMs: null,
      }),
    ])
  })

  it('names damage, and when it was mended', () => {
    const { cores, machine } = settled()
    const [shard] = SHARDS
    if (shard === undefined) throw new Error('no shard')
    machine.rotten.add(shard.key)
    expect(cores.run(200_000, () => machine.state.damages.length > 0)).toBe(true)
    const open = statusOf(cores, machine).problems
    expect(open).toEqual([
      expect.objectContaining({
        shard: shard.id,
        code: 'damaged',
        files: shard.files.map((one) => one.path),
      }),
    ])
    expect(cores.run(200_000, () => machine.state.damages.every((one) => one.repairedAtMs !== null))).toBe(
      true,
    )
    expect(statusOf(cores, machine).problems[0]?.resolvedAtMs).toBe(machine.state.damages[0]?.repairedAtMs)
  })

  it('puts what is open before what is mended, newest first', () => {
    const { cores, machine } = settled()
    const problem = (code: string, atMs: number, resolvedAtMs: number | null): Problem => ({
      shard: null,
      code,
      detail: '',
      files: [],
      atMs,
      resolvedAtMs,
    })
    const problems = [problem('mended', 9, 10), problem('old', 1, null), problem('new', 5, null)]
    expect(statusOf(cores, machine, { problems }).problems.map((one) => one.code)).toEqual([
      'new',
      'old',
      'mended',
    ])
  })
})
