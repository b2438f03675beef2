import { describe, expect, it } from 'vitest'
import { auditorRank, mayBeAmong } from '../../protocol/audit/plan.ts'
import { testIdentity, testKey } from '../support/records.ts'

const DAY_MS = 86_400_000
const AUDITORS = Array.from({ length: 100 }, (_, i) => testIdentity(i).nodeId)
const replica = testIdentity(1_000).nodeId

describe('the turns of those who may audit a replica by a whole file', () => {
  it('are one for each place, another on another day', () => {
    const shard = testKey(1)
    const ranks = (ms: number) => AUDITORS.map((one) => auditorRank(shard, replica, one, AUDITORS, ms))
    expect([...ranks(0)].sort((a, b) => a - b)).toEqual(AUDITORS.map((_, i) => i))
    expect(ranks(DAY_MS - 1)).toEqual(ranks(0))
    expect(ranks(DAY_MS)).not.toEqual(ranks(0))
  })

  it('need no look at the others for most who are not among the first, and for hardly anybody who is', () => {
    let looked = 0
    let missed = 0
    for (let number = 0; number < 100; number++) {
      const shard = testKey(number)
      for (const one of AUDITORS) {
        const looks = mayBeAmong(3, AUDITORS.length, shard, replica, one, 0)
        if (looks) looked++
        else if (auditorRank(shard, replica, one, AUDITORS, 0) < 3) missed++
      }
    }
    expect(looked).toBeLessThan(100 * 20)
    expect(missed).toBeLessThanOrEqual(3)
    // Few are all looked at.
    for (const one of AUDITORS) expect(mayBeAmong(3, 12, testKey(1), replica, one, 0)).toBe(true)
  })
})
