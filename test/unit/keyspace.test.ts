import { describe, expect, it } from 'vitest'
import { KEYSPACES, keyOf, partsOf, prefixOf } from '../../node/store/keyspace.ts'

describe('the ledger of key spaces', () => {
  it('has unique numbers in ascending order from 1 to 99, and unique names', () => {
    const numbers = KEYSPACES.map((space) => space.number)
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b))
    expect(new Set(numbers).size).toBe(numbers.length)
    expect(Math.min(...numbers)).toBeGreaterThanOrEqual(1)
    expect(Math.max(...numbers)).toBeLessThanOrEqual(99)
    expect(new Set(KEYSPACES.map((space) => space.name)).size).toBe(numbers.length)
  })

  it('keeps the numbers that data folders already use', () => {
    const used = KEYSPACES.slice(0, 23).map((space) => `${space.number} ${space.name}`)
    expect(used).toEqual([
      '1 ownManifest',
      '2 ownEntries',
      '3 peerManifests',
      '4 peerSequences',
      '5 catalogIndex',
      '6 catalogs',
      '7 torrents',
      '8 receipts',
      '9 audits',
      '10 peers',
      '11 findings',
      '12 runs',
      '13 archived',
      '14 merged',
      '15 published',
      '16 own',
      '17 records',
      '18 recordBuckets',
      '19 failures',
      '20 observations',
      '21 heldFiles',
      '22 mirrorProbes',
      '23 torrentLists',
    ])
  })

  it('gives prefixes of which none begins another', () => {
    const prefixes = KEYSPACES.map((space) => prefixOf(space.name))
    for (const a of prefixes) expect(prefixes.filter((b) => b.startsWith(a))).toEqual([a])
  })

  it('gives keys that can be taken apart again', () => {
    const parts = ['dumps/tenwiki/20260101@ab', '12D3KooW']
    expect(partsOf('receipts', keyOf('receipts', ...parts))).toEqual(parts)
  })

  it.each([['a|b'], [''], ['a b'], ['ä'], ['a\n'], ['x'.repeat(600)]])('refuses the part %j', (part) => {
    expect(() => keyOf('peers', part)).toThrow(TypeError)
  })
})
