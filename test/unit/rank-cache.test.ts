/** The remembered order of nodes is the order of their scores, whatever happened before. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { NodeId, ShardDigest } from '../../protocol/ids.ts'
import { createNames } from '../../protocol/ledger/names.ts'
import { compareScores, score, scorePrefix, tickets } from '../../protocol/placement/rank.ts'
import { RankCache } from '../../protocol/placement/rank-cache.ts'

const DIGESTS = ['0', '1', '2', '3'].map((digit) => digit.repeat(64) as ShardDigest)
const nodeId = (n: number) => `12D3KooW${String(n).padStart(44, 'x')}` as NodeId

type Command =
  | { readonly kind: 'add'; readonly count: number }
  | { readonly kind: 'tickets'; readonly node: number; readonly count: number }
  | { readonly kind: 'ask'; readonly digest: ShardDigest }

const command: fc.Arbitrary<Command> = fc.oneof(
  fc.record({ kind: fc.constant('add' as const), count: fc.integer({ min: 1, max: 40 }) }),
  fc.record({
    kind: fc.constant('tickets' as const),
    node: fc.nat(100),
    count: fc.integer({ min: 1, max: 4 }),
  }),
  fc.record({ kind: fc.constant('ask' as const), digest: fc.constantFrom(...DIGESTS) }),
)

/** Plays it with room for so many numbers, and compares every answer with a sort by score. */
function play(commands: readonly Command[], numbersMax?: number): void {
  const names = createNames()
  const cache = new RankCache(names, numbersMax)
  const drawn = new Map<number, number>()
  for (const one of commands) {
    if (one.kind === 'add') {
      for (let i = 0; i < one.count; i++) names.nodes.number(nodeId(names.nodes.size))
    } else if (one.kind === 'tickets') {
      // Also for a node that has no name yet: others of the process may give it one.
      drawn.set(one.node, one.count)
      cache.setTickets(one.node, one.count)
    } else {
      const scoreOf = (node: number) => score(one.digest, names.nodes.key(node), drawn.get(node) ?? 1)
      const sorted = Array.from({ length: names.nodes.size }, (_, node) => node).sort((a, b) =>
        compareScores(scoreOf(b), scoreOf(a)),
      )
      expect([...cache.order(one.digest)]).toEqual(sorted)
      expect(sorted.map((node) => cache.place(one.digest, node))).toEqual(sorted.map((_, place) => place))
      expect(cache.place(one.digest, names.nodes.size)).toBe(Number.POSITIVE_INFINITY)
    }
  }
}

describe('the order of nodes for a shard', () => {
  const commands = fc.array(command, { minLength: 4, maxLength: 20, size: 'max' })

  it('is that of their scores, also after nodes came and tickets changed', () => {
    fc.assert(
      fc.property(commands, (all) => play(all)),
      { numRuns: 150 },
    )
  })

  it('is the same when the cache had to forget', () => {
    fc.assert(
      fc.property(commands, fc.integer({ min: 0, max: 100 }), (all, room) => play(all, room)),
      { numRuns: 150 },
    )
  })

  it('stays as it is in memory while nothing changes, and is forgotten when there is no room', () => {
    const names = createNames()
    for (let i = 0; i < 10; i++) names.nodes.number(nodeId(i))
    const [one, other, third] = DIGESTS as [ShardDigest, ShardDigest, ShardDigest]
    const cache = new RankCache(names, 20)
    const first = cache.order(one)
    expect(cache.order(one)).toBe(first)
    cache.order(other)
    expect(cache.order(one)).toBe(first)
    cache.order(third)
    expect(cache.order(one)).not.toBe(first)
    expect(cache.order(one)).toEqual(first)
  })

  it('does not change when a node says a size of the same class', () => {
    const GiB = 1024 ** 3
    expect([1, 127, 128, 1_023, 1_024, 10_239, 10_240].map((size) => tickets(size * GiB))).toEqual([
      1, 1, 2, 2, 3, 3, 4,
    ])
  })

  it('is decided by whole scores where the first 48 bits agree', () => {
    const a = new Uint8Array(32).fill(7)
    const b = a.with(31, 8)
    expect(scorePrefix(a)).toBe(scorePrefix(b))
    expect(compareScores(b, a)).toBeGreaterThan(0)
    expect(scorePrefix(a.with(0, 8))).toBeGreaterThan(scorePrefix(b))
  })
})

describe('tickets', () => {
  it('never make a rank worse when there are more of them, so changing the class to and fro gains nothing over the largest', () => {
    const bytes = fc.integer({ min: 0, max: 2 ** 44 })
    fc.assert(
      fc.property(bytes, bytes, fc.constantFrom(...DIGESTS), fc.nat(1_000), (a, b, digest, node) => {
        const [less, more] = [tickets(Math.min(a, b)), tickets(Math.max(a, b))]
        expect(less).toBeLessThanOrEqual(more)
        const [worse, better] = [score(digest, nodeId(node), less), score(digest, nodeId(node), more)]
        expect(compareScores(worse, better)).toBeLessThanOrEqual(0)
      }),
    )
  })
})
