import { describe, expect, it } from 'vitest'
import type { NodeId } from '../../protocol/ids.ts'
import { health } from '../../protocol/ledger/health.ts'
import { Ledger } from '../../protocol/ledger/ledger.ts'
import { DEFAULT_PARAMETERS } from '../../protocol/parameters.ts'
import { entryOf, recordOf, shared } from '../support/ledger-records.ts'
import { KEY, NODES, NOW } from '../support/manifests.ts'

const [alice, bob, carol, dave] = NODES as [NodeId, NodeId, NodeId, NodeId]
const P = DEFAULT_PARAMETERS
const listed = new Map(NODES.map((node, index) => [node, `operator-${index}`]))
const held = (sinceMs = NOW - 1000) => entryOf({ sinceMs })
const pass = (node: NodeId, atMs = NOW - 500) => ({ shard: KEY, node, outcome: 'pass' as const, atMs })
const fail = (node: NodeId, atMs = NOW - 100) => ({ shard: KEY, node, outcome: 'fail' as const, atMs })

function ledgerOf(...records: ReturnType<typeof recordOf>[]): Ledger {
  const ledger = emptyLedger()
  ledger.setListed(listed)
  for (const record of records) expect(ledger.take(record, null, NOW)).toBe('accepted')
  return ledger
}
const emptyLedger = () => new Ledger(shared(), P, dave)
const view = (ledger: Ledger, nowMs = NOW) => ({ ledger, nowMs, parameters: P })

describe('a ledger of node manifests', () => {
  it('keeps the highest sequence of a node, whatever the order of arrival', () => {
    const ledger = ledgerOf(recordOf(alice, { sequence: 7, entries: [held()] }))
    expect(ledger.take(recordOf(alice, { sequence: 6 }), null, NOW)).toBe('old')
    expect(ledger.take(recordOf(alice, { sequence: 7 }), null, NOW)).toBe('repeated')
    expect(ledger.placed(KEY)).toHaveLength(1)
    expect(ledger.take(recordOf(alice, { sequence: 8 }), null, NOW)).toBe('accepted')
    expect(ledger.placed(KEY)).toHaveLength(0)
  })

  it('ignores a manifest from the future and one from a node long gone', () => {
    const ledger = emptyLedger()
    expect(ledger.take(recordOf(alice, { issuedAtMs: NOW + P.clockSkewMs + 1 }), null, NOW)).toBe('future')
    expect(ledger.take(recordOf(alice, { issuedAtMs: NOW - P.goneMs - 1 }), null, NOW)).toBe('expired')
  })

  it('lets a silent node rest, then forgets it', () => {
    const ledger = ledgerOf(recordOf(alice, { entries: [held()] }))
    const silent = (ms: number) => ledger.standing(alice, NOW + ms)
    expect(silent(P.ttlMs)).toBe('live')
    expect(silent(P.ttlMs + P.clockSkewMs + 1)).toBe('resting')
    expect(silent(P.ttlMs + P.clockSkewMs + P.restMs + 1)).toBe('absent')
    expect(ledger.sweep(NOW + P.goneMs + 1)).toEqual([alice])
    expect(ledger.placed(KEY)).toEqual([])
  })

  it('remembers when a claim last grew, as seen from here', () => {
    const claim = (done: number) => entryOf({ state: 'claimed', done })
    const ledger = ledgerOf(recordOf(alice, { sequence: 1, entries: [claim(3)] }))
    ledger.take(recordOf(alice, { sequence: 2, entries: [claim(3)] }), null, NOW + 50)
    expect(ledger.placedBy(KEY, alice)?.changedAtMs).toBe(NOW)
    ledger.take(recordOf(alice, { sequence: 3, entries: [claim(4)] }), null, NOW + 90)
    expect(ledger.placedBy(KEY, alice)?.changedAtMs).toBe(NOW + 90)
  })

  it('takes less and then as much again for no growth', () => {
    const claim = (done: number) => entryOf({ state: 'claimed', done })
    const ledger = ledgerOf(recordOf(alice, { sequence: 1, entries: [claim(1)] }))
    for (const [step, done] of [0, 1, 0, 1].entries()) {
      ledger.take(recordOf(alice, { sequence: 2 + step, entries: [claim(done)] }), null, NOW + 10 * step + 10)
    }
    expect(ledger.placedBy(KEY, alice)).toMatchObject({ entry: { done: 1 }, changedAtMs: NOW })
    ledger.take(recordOf(alice, { sequence: 9, entries: [claim(2)] }), null, NOW + 90)
    expect(ledger.placedBy(KEY, alice)?.changedAtMs).toBe(NOW + 90)
  })
})

describe('safe, as PROTOCOL 0 defines it', () => {
  const holders = [alice, bob, carol].map((node, index) =>
    recordOf(node, { operator: `operator-${index}`, entries: [held()] }),
  )

  it('is not reached by three unaudited replicas', () => {
    const state = health(KEY, view(ledgerOf(...holders)), null)
    expect(state).toMatchObject({ audited: 0, safe: false })
    expect(state.replicas).toHaveLength(3)
  })

  it('is reached by three replicas of three operators that listed others proved', () => {
    const ledger = ledgerOf(...holders, recordOf(dave, { audits: [pass(alice), pass(bob), pass(carol)] }))
    expect(health(KEY, view(ledger), null)).toMatchObject({ audited: 3, safe: true })
  })

  it('does not count what a node has that leaves or collects, however often it is proven (PROTOCOL 8, 9)', () => {
    const leaving = recordOf(carol, { operator: 'operator-2', entries: [held()], bytesTotal: 0 })
    const audits = [pass(alice), pass(bob), pass(carol)]
    const ledger = ledgerOf(...holders.slice(0, 2), leaving, recordOf(dave, { audits }))
    const state = health(KEY, view(ledger), null)
    expect(state).toMatchObject({ audited: 2, safe: false })
    expect(state.replicas.map((one) => one.node).sort()).toEqual([alice, bob].sort())
  })

  it('counts one operator once', () => {
    const same = [alice, bob, carol].map((node) => recordOf(node, { operator: 'one', entries: [held()] }))
    const ledger = ledgerOf(...same, recordOf(dave, { audits: [pass(alice), pass(bob), pass(carol)] }))
    expect(health(KEY, view(ledger), null)).toMatchObject({ audited: 1, safe: false })
  })

  it('does not count the word of an auditor that no coordinator lists', () => {
    const ledger = new Ledger(shared(), P, alice)
    for (const one of [...holders, recordOf(dave, { audits: [pass(alice), pass(bob), pass(carol)] })])
      ledger.take(one, null, NOW)
    expect(health(KEY, view(ledger), null).audited).toBe(0)
    ledger.setListed(new Map([[dave, 'somebody']]))
    expect(health(KEY, view(ledger), null).audited).toBe(3)
  })

  it('does not count an audit from before the replica, nor one older than 30 days', () => {
    const early = ledgerOf(...holders, recordOf(dave, { audits: [pass(alice, NOW - 2000)] }))
    expect(health(KEY, view(early), null).audited).toBe(0)
    const old = ledgerOf(
      recordOf(alice, { entries: [held(1)], ttlMs: 47 * 3_600_000, issuedAtMs: NOW }),
      recordOf(dave, { audits: [pass(alice, NOW - P.auditValidMs - 1)] }),
    )
    expect(health(KEY, view(old), null).audited).toBe(0)
  })

  it('does not count an audit dated after its auditor last spoke, until the auditor speaks again at that time', () => {
    const early = pass(alice, NOW + P.clockSkewMs + 1)
    const ledger = ledgerOf(...holders, recordOf(dave, { audits: [early, pass(bob, NOW + P.clockSkewMs)] }))
    expect(health(KEY, view(ledger), null).audited).toBe(1)
    const nowMs = NOW + P.clockSkewMs + 2
    expect(health(KEY, view(ledger, nowMs), null).audited).toBe(1)
    const again = recordOf(dave, { sequence: 2, issuedAtMs: nowMs, audits: [early, pass(bob, NOW)] })
    expect(ledger.take(again, null, nowMs)).toBe('accepted')
    expect(health(KEY, view(ledger, nowMs), null).audited).toBe(2)
  })

  it('is not kept from a replica by a failure dated far ahead', () => {
    const ahead = fail(alice, NOW + 86_400_000)
    const ledger = ledgerOf(
      ...holders,
      recordOf(bob, { operator: 'operator-1', sequence: 2, entries: [held()], audits: [ahead] }),
      recordOf(dave, { audits: [pass(alice)] }),
    )
    expect(health(KEY, view(ledger), null).audited).toBe(1)
  })

  it('loses a replica that failed an audit after it passed', () => {
    const ledger = ledgerOf(
      ...holders.slice(1),
      recordOf(alice, { operator: 'operator-0', entries: [held()], audits: [fail(bob)] }),
      recordOf(dave, { audits: [pass(alice), pass(bob), pass(carol)] }),
    )
    expect(health(KEY, view(ledger), null)).toMatchObject({ audited: 2, safe: false })
  })

  it('counts replicas in one public network once, and those in private ones each', () => {
    const heldAt = (hosts: readonly string[]) =>
      ledgerOf(
        ...[alice, bob, carol].map((node, index) =>
          recordOf(node, { operator: `operator-${index}`, entries: [held()], host: hosts[index] as string }),
        ),
        recordOf(dave, { audits: [pass(alice), pass(bob), pass(carol)] }),
      )
    const at = (...hosts: string[]) => health(KEY, view(heldAt(hosts)), null)
    expect(at('81.2.69.1', '81.2.69.2', '81.2.70.1')).toMatchObject({ audited: 2, safe: false })
    expect(at('81.2.69.1', '81.2.68.2', '81.2.70.1')).toMatchObject({ audited: 3, safe: true })
    expect(at('192.168.1.1', '192.168.1.2', '192.168.1.3')).toMatchObject({ audited: 3, safe: true })
  })

  it('needs a reachable replica', () => {
    const hidden = [alice, bob, carol].map((node, index) =>
      recordOf(node, { operator: `operator-${index}`, entries: [held()], reachable: false }),
    )
    const ledger = ledgerOf(...hidden, recordOf(dave, { audits: [pass(alice), pass(bob), pass(carol)] }))
    expect(health(KEY, view(ledger), null)).toMatchObject({ audited: 3, safe: false })
  })

  it('is reached by a verified archive copy plus one audited, reachable replica', () => {
    const ledger = ledgerOf(holders[0] as never, recordOf(dave, { audits: [pass(alice)] }))
    expect(health(KEY, view(ledger), NOW - 1000).safe).toBe(true)
    expect(health(KEY, view(ledger), NOW - P.auditValidMs - 1).safe).toBe(false)
  })
})
