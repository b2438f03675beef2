import { describe, expect, it } from 'vitest'
import type { Effect } from '../../protocol/core/effect.ts'
import type { ReceiptVerdict } from '../../protocol/core/event.ts'
import { forgetOldReceipts, receiptCame, wantReceipts } from '../../protocol/core/receipts.ts'
import type { NodeId } from '../../protocol/ids.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { Cores, type Machine, testShard } from '../support/cores.ts'

const DAY_MS = 86_400_000
/** Three nodes that hold all of these; the first hears what the others say. */
function holders(shards: number): { cores: Cores; me: Machine; auditor: Machine; accused: Machine } {
  const list = Array.from({ length: shards }, (_, i) =>
    testShard(`t${String.fromCharCode(97 + Math.floor(i / 26))}${String.fromCharCode(97 + (i % 26))}wiki`),
  )
  const cores = new Cores(3, list)
  const [me, auditor, accused] = cores.machines as [Machine, Machine, Machine]
  if (!cores.run(600_000, () => cores.machines.every((one) => cores.allSafe(one))))
    throw new Error('not safe')
  cores.run(1_000)
  return { cores, me, auditor, accused }
}

const audit = (shard: Shard, node: NodeId, atMs: number) => ({
  shard: shard.key,
  node,
  outcome: 'fail' as const,
  atMs,
})
const asked = (out: readonly Effect[]) => out.flatMap((one) => (one.kind === 'ask-receipt' ? [one] : []))

describe('failures that are reported', () => {
  it('are looked into two at a time, the next when one is through', () => {
    const { cores, me, auditor, accused } = holders(5)
    const out: Effect[] = []
    const said = cores.shards.map((shard) => audit(shard, accused.id, cores.now.wallMs))
    wantReceipts(me.state, auditor.id, said, cores.now, out)
    expect(asked(out)).toHaveLength(2)
    for (let done = 0; done < 5; done++) {
      const one = asked(out)[done]
      if (one === undefined) throw new Error('nothing more was asked')
      const { shard, node } = one
      receiptCame(
        me.state,
        { kind: 'receipt', shard: shard.key, node, auditor: auditor.id, verdict: 'none' },
        out,
      )
      expect(asked(out)).toHaveLength(Math.min(5, done + 3))
    }
    expect(new Set(asked(out).map((one) => one.shard.key)).size).toBe(5)
  })

  it('of one auditor who reports without end leave room for those of others', () => {
    const { cores, me, auditor, accused } = holders(40)
    const out: Effect[] = []
    const said = cores.shards.map((shard) => audit(shard, accused.id, cores.now.wallMs))
    wantReceipts(me.state, auditor.id, said, cores.now, out)
    // Sixteen are taken, of which two are asked for at once; the others are not looked into.
    expect(me.state.receipts.waiting.size).toBe(14)
    wantReceipts(
      me.state,
      accused.id,
      [audit(cores.shards[0] as Shard, auditor.id, cores.now.wallMs)],
      cores.now,
      out,
    )
    expect([...me.state.receipts.waiting.values()].at(-1)).toMatchObject({ auditor: accused.id })
  })

  it('are asked for once a day', () => {
    const { cores, me, auditor, accused } = holders(1)
    const out: Effect[] = []
    const say = (ms: number) => {
      const now = { wallMs: cores.now.wallMs + ms, monotonicMs: cores.now.monotonicMs + ms }
      forgetOldReceipts(me.state, now)
      wantReceipts(me.state, auditor.id, [audit(cores.shards[0] as Shard, accused.id, now.wallMs)], now, out)
      return asked(out).length
    }
    expect([say(0), say(1), say(DAY_MS - 1), say(DAY_MS)]).toEqual([1, 1, 1, 2])
  })

  it('of a replica that is another now are not looked into; of one that stands, since then', () => {
    const { cores, me, auditor, accused } = holders(1)
    const shard = cores.shards[0] as Shard
    const since = accused.state.own.get(shard.key)?.sinceMs ?? 0
    const out: Effect[] = []
    wantReceipts(me.state, auditor.id, [audit(shard, accused.id, since - 1)], cores.now, out)
    expect(asked(out)).toEqual([])
    me.state.receipts.askedAtMs.clear()
    wantReceipts(me.state, auditor.id, [audit(shard, accused.id, since)], cores.now, out)
    expect(asked(out)).toMatchObject([{ notBeforeMs: since - cores.parameters.clockSkewMs }])
  })

  it.each<[ReceiptVerdict, string | null]>([
    ['fail', 'disproven'],
    ['pass', 'unfounded'],
    ['invalid', 'unfounded'],
    ['none', null],
    ['unknown', null],
  ])('and whose receipt says %s are told to the operator as %s', (verdict, code) => {
    const { cores, me, auditor, accused } = holders(1)
    const out: Effect[] = []
    const [shard] = cores.shards.map((one) => one.key)
    if (shard === undefined) throw new Error('no shard')
    receiptCame(me.state, { kind: 'receipt', shard, node: accused.id, auditor: auditor.id, verdict }, out)
    expect(out.map((one) => (one.kind === 'notice' ? one.code : one.kind))).toEqual(
      code === null ? [] : [code],
    )
    if (code !== null) {
      const { detail } = out[0] as Extract<Effect, { kind: 'notice' }>
      expect(detail).toContain(auditor.id)
      expect(detail).toContain(accused.id)
    }
  })
})
