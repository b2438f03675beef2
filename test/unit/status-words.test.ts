import { describe, expect, it } from 'vitest'
import {
  ago,
  bytes,
  catalogWords,
  day,
  footWords,
  percent,
  problemWord,
  reachedWords,
  routerWords,
  shortId,
  sourceWord,
  stateOf,
  whoWords,
} from '../../web/status/words.js'

describe("the status page's words", () => {
  it('say that nodes observe upstream while no coordinator does', () => {
    const readAtMs = 1_000_000
    expect(catalogWords({ readAtMs, observed: 1 }, readAtMs + 3 * 86_400_000)).toBe(
      'No coordinator has read Wikimedia for 3 days: nodes observe it instead. 1 dump is known by them only.',
    )
    expect(catalogWords({ readAtMs, observed: 2 }, readAtMs)).toContain('2 dumps are known')
  })

  it('tell who runs the node', () => {
    const status = { operator: '', node: '12D3', version: '0.1.0', nowMs: 61_000, startedAtMs: 0 }
    expect(whoWords(status)).toBe('12D3 · version 0.1.0 · up 1 min')
    expect(whoWords({ ...status, operator: 'Ada' })).toBe('run by Ada · 12D3 · version 0.1.0 · up 1 min')
  })

  it('tell where the node is and how peers are found', () => {
    const dht = { off: null, nodes: 142, announcedAtMs: 988_000 }
    const lsd = { off: 'turned off', nodes: 0, announcedAtMs: null }
    const status = {
      federation: 'f'.repeat(64),
      parametersFingerprint: 'abcd',
      addresses: [],
      bittorrent: { port: 6_881, engine: 'own 0.1.0', discovery: { dht, dht6: lsd, lsd } },
      nowMs: 1_000_000,
    }
    expect(footWords(status)).toBe(
      'Federation ffffffffffffffff… · parameters abcd · no address · BitTorrent port 6881, own 0.1.0 · DHT 142 nodes, announced 12 s ago · DHT over IPv6 off: turned off · local network off: turned off',
    )
    const fresh = { dht: { ...dht, announcedAtMs: null }, dht6: lsd, lsd: { ...lsd, off: null } }
    expect(footWords({ ...status, bittorrent: { ...status.bittorrent, discovery: fresh } })).toContain(
      'DHT 142 nodes, nothing announced yet · DHT over IPv6 off: turned off · local network nothing announced yet',
    )
  })

  it.each([
    [0, '0 bytes'],
    [999, '999 bytes'],
    [1_000, '1.00 KB'],
    [13_000, '13.0 KB'],
    [999_600, '1.00 MB'],
    [1.7e9, '1.70 GB'],
    [5e18, '5000 PB'],
  ])('%d bytes', (count, words) => expect(bytes(count)).toBe(words))

  it('round a share down, so that 100 % means all', () => {
    expect(percent(999, 1_000)).toBe('99 %')
    expect(percent(0, 0)).toBe('')
  })

  it('tell spans and days', () => {
    expect([ago(0), ago(61_000), ago(7_200_000), ago(3 * 86_400_000)]).toEqual([
      '0 s',
      '1 min',
      '2 h',
      '3 days',
    ])
    expect(day('20260101')).toBe('2026-01-01')
    expect(shortId('12D3KooWabcdefghijklmnop')).toBe('12D3KooW…klmnop')
  })

  it('never call safe what is not', () => {
    const row = { safe: false, archived: true, held: 3, claimed: 0, replicas: 2 }
    expect(stateOf(row)).toEqual({ word: 'archived, copies missing', kind: 'wait' })
    expect(stateOf({ ...row, safe: true }).kind).toBe('safe')
    expect(stateOf({ safe: false, archived: false, held: 0, claimed: 0, replicas: 0 }).kind).toBe('bad')
    expect(stateOf({ safe: false, archived: false, held: 0, claimed: 1, replicas: 0 }).word).toBe(
      'on its way',
    )
  })

  it('say who reached a port, and what the router does for it', () => {
    const found = { reachedBy: 0, reachedFromOutsideBy: 0, missedBy: 0, reachedAtMs: null }
    expect(reachedWords(found, 0)).toBe('not tested')
    expect(reachedWords({ ...found, missedBy: 2 }, 0)).toBe('reached by 0 of 2 peers')
    expect(reachedWords({ reachedBy: 3, reachedFromOutsideBy: 2, missedBy: 1, reachedAtMs: 0 }, 60_000)).toBe(
      'reached by 3 of 4 peers, 2 from outside, 1 min ago',
    )
    const forwarding = { by: null, externalHost: null, externalPort: null, error: null }
    const words = (one: Parameters<typeof routerWords>[0]['forwarding'], natMapping: string | null = null) =>
      routerWords({ forwarding: one, natMapping })
    expect(words(null)).toBe('not asked')
    expect(words(null, 'same')).toBe('not asked')
    expect(words(null, 'changing')).toBe('not asked; gives each connection another port: no hole punching')
    expect(words(forwarding)).toBe('being asked')
    expect(words({ ...forwarding, error: 'UPnP: no router answers' })).toBe('does not forward it')
    expect(words({ by: 'UPnP', externalHost: '9.9.9.1', externalPort: 50_000, error: null })).toBe(
      'forwards 9.9.9.1:50000 by UPnP',
    )
  })

  it('say where bytes came from, and leave unknown problems as they are', () => {
    expect(sourceWord({ fromOriginBytes: 1, fromSwarmBytes: 0 })).toBe('from Wikimedia')
    expect(sourceWord({ fromOriginBytes: 0, fromSwarmBytes: 0 })).toBe('')
    expect(problemWord('damaged')).toBe('our copy was damaged')
    expect(problemWord('constructor')).toBe('constructor')
  })
})
