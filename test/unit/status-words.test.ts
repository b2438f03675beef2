import { describe, expect, it } from 'vitest'
import {
  ago,
  bytes,
  catalogWords,
  day,
  percent,
  problemWord,
  shortId,
  sourceWord,
  stateOf,
} from '../../web/status/words.js'

describe("the status page's words", () => {
  it('say that nodes observe upstream while no coordinator does', () => {
    const readAtMs = 1_000_000
    expect(catalogWords({ readAtMs, observed: 1 }, readAtMs + 3 * 86_400_000)).toBe(
      'No coordinator has read Wikimedia for 3 days: nodes observe it instead. 1 dump is known by them only.',
    )
    expect(catalogWords({ readAtMs, observed: 2 }, readAtMs)).toContain('2 dumps are known')
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

  it('say where bytes came from, and leave unknown problems as they are', () => {
    expect(sourceWord({ fromOriginBytes: 1, fromSwarmBytes: 0 })).toBe('from Wikimedia')
    expect(sourceWord({ fromOriginBytes: 0, fromSwarmBytes: 0 })).toBe('')
    expect(problemWord('damaged')).toBe('our copy was damaged')
    expect(problemWord('constructor')).toBe('constructor')
  })
})
