import { describe, expect, it } from 'vitest'
import { niceCeiling, svgOf } from '../sim/chart.ts'
import { showTime } from '../sim/clock.ts'
import { Disk } from '../sim/disk.ts'
import { KeyRing } from '../sim/keys.ts'
import { hostOf, machineOfHost } from '../sim/machine.ts'
import { commandOf, makeOptions, parseFaults } from '../sim/options.ts'
import { Prng } from '../sim/prng.ts'
import type { Profile } from '../sim/profiles.ts'
import { parseSeeds } from '../sim/seeds.ts'
import { drawUpstream, type SimShard } from '../sim/upstream.ts'

const upstream = drawUpstream(makeOptions({ shards: 40, days: 2 }), new Prng(1))
const shardOf = (index: number) => upstream.shards[index] as SimShard

describe('simulated signatures', () => {
  const ring = new KeyRing()
  const key = ring.make(new Prng(1))
  const message = new TextEncoder().encode('a message')
  const sealed = key.seal('domain', 'type', message)
  const signature = sealed.subarray(sealed.length - 64)
  const signed = new TextEncoder().encode('\x06domain\x04type\x09a message')

  it('verify under their own key, domain, type and text', () => {
    expect(ring.verify(key.publicKey, signed, signature)).toBe(true)
  })

  it('fail when any byte of text or signature is another, or the key is', () => {
    for (let at = 0; at < signed.length; at++) {
      const changed = signed.slice()
      changed[at] = (changed[at] ?? 0) ^ 1
      expect(ring.verify(key.publicKey, changed, signature)).toBe(false)
    }
    for (let at = 0; at < signature.length; at++) {
      const changed = signature.slice()
      changed[at] = (changed[at] ?? 0) ^ 128
      expect(ring.verify(key.publicKey, signed, changed)).toBe(false)
    }
    expect(ring.verify(ring.make(new Prng(2)).publicKey, signed, signature)).toBe(false)
    expect(ring.verify(new Uint8Array(32), signed, signature)).toBe(false)
  })
})

describe('a simulated disk', () => {
  it('answers a range with the same bytes as upstream exactly where nothing is damaged', () => {
    const shard = shardOf(0)
    const good = new Disk('a', 1e15)
    const bad = new Disk('b', 1e15)
    for (const disk of [good, bad]) disk.grow(disk.open(shard), shard.shard.sizeBytes)
    bad.damage(bad.open(shard), { from: 0, to: 1 })
    const first = { file: 0, offsetBytes: 0, lengthBytes: 1 }
    const next = { file: 0, offsetBytes: 1, lengthBytes: 1 }
    expect(bad.readRange(shard, first)).not.toEqual(good.readRange(shard, first))
    expect(bad.readRange(shard, next)).toEqual(good.readRange(shard, next))
  })

  it('has nothing to answer with beyond the bytes that are there', () => {
    const shard = shardOf(0)
    const disk = new Disk('a', 1e15)
    disk.grow(disk.open(shard), 10)
    expect(disk.readRange(shard, { file: 0, offsetBytes: 5, lengthBytes: 5 })).not.toBeNull()
    expect(disk.readRange(shard, { file: 0, offsetBytes: 5, lengthBytes: 6 })).toBeNull()
  })

  it('is full when it is full, and counts what is removed', () => {
    const shard = shardOf(0)
    const disk = new Disk('a', 100)
    expect(disk.grow(disk.open(shard), 1_000)).toBe(100)
    expect(disk.freeBytes).toBe(0)
    disk.remove(shard)
    expect(disk.freeBytes).toBe(100)
  })

  it('names the files that damage lies in', () => {
    const shard = upstream.shards.find((one) => one.shard.files.length > 2) as SimShard
    const disk = new Disk('a', 1e15)
    const copy = disk.open(shard)
    disk.grow(copy, shard.shard.sizeBytes)
    expect(disk.damagedFiles(shard)).toEqual([])
    const start = shard.shard.files[0]?.sizeBytes ?? 0
    disk.damage(copy, { from: start, to: start + 1 })
    expect(disk.damagedFiles(shard)).toEqual([shard.shard.files[1]?.path])
  })
})

describe('the simulated upstream', () => {
  it('is the same for the same seed and has shards of every size, none above its bound', () => {
    const again = drawUpstream(makeOptions({ shards: 40, days: 2 }), new Prng(1))
    expect(again.shards.map((one) => one.shard.key)).toEqual(upstream.shards.map((one) => one.shard.key))
    const sizes = upstream.shards.map((one) => one.shard.sizeBytes)
    expect(Math.max(...sizes)).toBeGreaterThan(1e9)
    expect(Math.min(...sizes)).toBeLessThan(5e8)
    expect(upstream.shards.length).toBeLessThanOrEqual(40)
  })

  it('keeps three runs of a wiki: the fourth month ends the first', () => {
    const long = drawUpstream(makeOptions({ shards: 40, days: 30 }), new Prng(2))
    const september = long.shards.find((one) => one.shard.date === '20260901') as SimShard
    const december = long.shards.find((one) => one.shard.date === '20261201') as SimShard
    expect(december.settledAtMs).toBeGreaterThan(september.deletedAtMs)
    expect(september.deletedAtMs).toBeLessThan(30 * 86_400_000)
  })
})

describe('the command line', () => {
  it('reads faults and seeds, and says what there is when a name is wrong', () => {
    expect([...parseFaults('crash, rot')]).toEqual(['crash', 'rot'])
    expect(parseFaults('all').has('mass-loss')).toBe(false)
    expect(() => parseFaults('crsh')).toThrow(/no fault is called "crsh"; there are: all, none, loss/)
    expect(parseSeeds('1-3,9')).toEqual([1, 2, 3, 9])
    expect(() => parseSeeds('3-1')).toThrow(RangeError)
  })

  it('gives the command that runs the same again', () => {
    const options = makeOptions({ nodes: 7, seed: 5, faults: parseFaults('all,mass-loss') })
    expect(commandOf(options)).toBe('npm run sim -- --nodes 7 --days 2 --seed 5 --faults all,mass-loss')
  })
})

describe('small things', () => {
  it('show a virtual time', () => {
    expect(showTime(90_061_007)).toBe('1d 01:01:01.007')
  })

  it('give each machine a host, and find it again', () => {
    for (const isPublic of [false, true])
      for (const index of [0, 255, 256, 65_536, 70_000]) {
        const machine = { index, profile: { isPublic } as Profile }
        expect(machineOfHost(hostOf(machine))).toBe(index)
      }
  })

  it('draw a chart that is well formed and keeps markup out of names', () => {
    const svg = svgOf({
      title: 'a < b',
      xLabel: 'x',
      yLabel: 'y',
      series: [
        {
          name: '"&',
          points: [
            [0, 0],
            [2, 5],
          ],
        },
      ],
    })
    expect(svg).toContain('a &lt; b')
    expect(svg).toContain('&quot;&amp;')
    expect(svg.match(/<svg/g)).toHaveLength(1)
    expect([0, 3, 26, 0.3].map(niceCeiling)).toEqual([1, 4, 40, 0.4])
  })
})
