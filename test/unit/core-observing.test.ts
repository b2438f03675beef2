/** Cores while no coordinator is heard of: who reads upstream, and which runs that others read are acted on (PROTOCOL 1). */
import { describe, expect, it } from 'vitest'
import { OBSERVERS } from '../../protocol/catalog/observers.ts'
import { mustReadFirst } from '../../protocol/core/observing.ts'
import type { NodeId } from '../../protocol/ids.ts'
import { type Machine, testShard } from '../support/cores.ts'
import { BENT, NEW, OLD, SILENCE_PARAMETERS as PARAMETERS, Silence } from '../support/silence.ts'

/** Whom no coordinator lists. */
const STRANGERS = [0, 1].map((at) => ({
  id: `12D3KooW${String.fromCharCode(97 + at).repeat(43)}z` as NodeId,
  state: { settings: { operator: `stranger-${at}` } },
}))

/** Four who act on what others say, and say nothing unless they are made to. */
function silent(are: 'listed' | 'strangers'): Silence {
  const silence = new Silence(4)
  if (are === 'strangers') silence.asStrangers()
  silence.speaks = false
  silence.untilSilent()
  return silence
}

describe('reading upstream', () => {
  it('is left to the coordinator while it is heard of', () => {
    const silence = new Silence(4)
    for (let i = 0; i < 12; i++) {
      silence.cores.run(10_000)
      silence.coordinate([OLD])
    }
    expect(silence.readings).toEqual([])
  })

  it('is done by few, each once a day, not in one moment, when no coordinator read it for long', () => {
    const silence = new Silence(12)
    silence.cores.run(PARAMETERS.observeAfterMs - 1_000)
    expect(silence.readings).toEqual([])
    silence.cores.run(4 * PARAMETERS.observeEveryMs)
    const days = Map.groupBy(silence.readings, (one) => one.day)
    // The first and the last day may have been cut short.
    for (const [, readings] of [...days].slice(1, -1)) {
      expect(readings).toHaveLength(OBSERVERS)
      expect(new Set(readings.map((one) => one.machine)).size).toBe(OBSERVERS)
      expect(new Set(readings.map((one) => one.atMs)).size).toBeGreaterThan(1)
    }
    expect(days.size).toBeGreaterThanOrEqual(4)
    const readers = new Set(silence.readings.map((one) => one.machine))
    expect(readers.size).toBeGreaterThan(OBSERVERS)
  })

  it('is done by others when those whose turn it is do not speak', () => {
    const silence = new Silence(8)
    silence.speaks = false
    silence.untilSilent()
    silence.cores.run(PARAMETERS.observeEveryMs)
    expect(new Set(silence.readings.map((one) => one.machine)).size).toBeGreaterThan(OBSERVERS)
  })

  it('is not kept back by those who say that they read it', () => {
    const silence = new Silence(6)
    silence.untilSilent()
    silence.cores.run(2 * PARAMETERS.observeEveryMs)
    const untilMs = PARAMETERS.observeEveryMs - (silence.cores.now.wallMs % PARAMETERS.observeEveryMs)
    silence.cores.run(untilMs)
    silence.readings.length = 0
    // Everybody is said to have looked, in the first moment of the day.
    silence.speaks = false
    for (const machine of silence.machines) silence.say(machine, [])
    silence.cores.run(PARAMETERS.observeEveryMs - 1_000)
    expect(silence.readings).toHaveLength(OBSERVERS)
  })

  it('stops when a coordinator is heard of again', () => {
    const silence = new Silence(4)
    silence.untilSilent()
    silence.cores.run(2 * PARAMETERS.observeEveryMs)
    expect(silence.readings.length).toBeGreaterThan(0)
    silence.readings.length = 0
    for (let i = 0; i < 12; i++) {
      silence.coordinate([OLD])
      silence.cores.run(10_000)
    }
    expect(silence.readings).toEqual([])
  })
})

describe('a run that others read', () => {
  it('is claimed and held by R nodes once observers agree', () => {
    const silence = new Silence(5)
    silence.upstream = [NEW]
    silence.untilSilent()
    expect(silence.cores.run(200_000, () => silence.cores.holders(NEW).length >= 3)).toBe(true)
    const origin = silence.cores.machines.flatMap((one) => one.originFetches)
    expect(origin.filter((key) => key === NEW.key)).toHaveLength(1)
  })

  it('is nothing to anybody while one operator alone names it, however many nodes he runs', () => {
    const silence = silent('strangers')
    const [one, two, three, reader] = silence.machines
    silence.say(one, [BENT])
    const his = (machine: Machine) => ({ ...machine, state: one.state })
    silence.say(his(two), [BENT])
    silence.say(his(three), [BENT])
    silence.cores.run(1_000)
    expect(silence.actsOn(reader, BENT)).toBe(false)
  })

  it('is acted on when two operators name it; on the word of strangers upstream is read before anything is fetched', () => {
    const silence = silent('strangers')
    const [one, two, three, four] = silence.machines
    silence.say(one, [NEW])
    silence.cores.run(1_000)
    expect([three, four].map((each) => silence.actsOn(each, NEW))).toEqual([false, false])
    silence.say(two, [NEW])
    silence.cores.run(1_000)
    expect([three, four].map((each) => silence.actsOn(each, NEW))).toEqual([true, true])
    expect(mustReadFirst(four.state, NEW.key)).toBe(true)
    expect(mustReadFirst(four.state, OLD.key)).toBe(false)
    // Those two read it themselves.
    expect(mustReadFirst(one.state, NEW.key)).toBe(false)
  })

  it('need not be read again when two whom a coordinator lists name it', () => {
    const silence = silent('listed')
    const [, , , four] = silence.machines
    silence.bothSay(NEW)
    silence.cores.run(1_000)
    expect(silence.actsOn(four, NEW)).toBe(true)
    expect(mustReadFirst(four.state, NEW.key)).toBe(false)
  })

  it('is nothing to anybody when strangers name it, while two whom a coordinator lists are live', () => {
    const silence = new Silence(4)
    silence.list(new Map(silence.machines.map(({ id }, at) => [id, `operator-${at}`])))
    silence.speaks = false
    silence.untilSilent()
    for (const stranger of STRANGERS) silence.say(stranger, [BENT])
    silence.cores.run(1_000)
    expect(silence.machines.map((each) => silence.actsOn(each, BENT))).toEqual([false, false, false, false])
  })

  it('is left alone when upstream gives something else, and looked at again when those who are listed name it', () => {
    const silence = silent('strangers')
    const [one, two, three, four] = silence.machines
    for (const stranger of STRANGERS) silence.say(stranger, [BENT])
    expect(silence.cores.run(60_000, () => four.state.own.has(BENT.key))).toBe(true)
    const disagrees = { code: 'catalog-disagrees', detail: 'as the test wants', infohash: null } as const
    silence.cores.send(four, { kind: 'fetch-failed', shard: BENT.key, ...disagrees })
    silence.cores.run(1_000)
    expect(silence.actsOn(four, BENT)).toBe(false)
    expect(four.state.own.has(BENT.key)).toBe(false)
    expect(silence.actsOn(three, BENT)).toBe(true)
    silence.list(new Map([one, two].map(({ id }, at) => [id, `operator-${at}`])))
    silence.bothSay(BENT)
    silence.cores.run(1_000)
    expect(silence.actsOn(four, BENT)).toBe(true)
  })

  it('is not acted on while a coordinator is heard of', () => {
    const silence = new Silence(4)
    const [, , , four] = silence.machines
    silence.bothSay(NEW)
    silence.cores.run(1_000)
    expect(silence.actsOn(four, NEW)).toBe(false)
    // It was heard too early: once everybody is silent it counts.
    silence.untilSilent()
    silence.cores.run(1_000)
    expect(silence.actsOn(four, NEW)).toBe(true)
  })

  it.each([
    ['is of a wiki that no coordinator named', testShard('awiki', 1_000, '20261101')],
    ['is not newer than what a coordinator named', testShard('tenwiki', 1_100_000, '20251201')],
    ['is from the future', testShard('tenwiki', 1_100_000, '20261201')],
    ['is far larger than the one before', testShard('tenwiki', 1e9, '20261101')],
  ])('is not acted on when it %s', (_why, shard) => {
    const silence = silent('listed')
    const [, , , four] = silence.machines
    silence.bothSay(shard)
    silence.cores.run(1_000)
    expect(silence.actsOn(four, shard)).toBe(false)
  })

  it('is as the coordinator says once it names that run', () => {
    const silence = silent('listed')
    const [, , , four] = silence.machines
    silence.bothSay(BENT)
    silence.cores.run(1_000)
    expect(silence.actsOn(four, BENT)).toBe(true)
    silence.coordinate([OLD, NEW])
    silence.cores.run(1_000)
    expect([OLD, NEW, BENT].map((shard) => silence.actsOn(four, shard))).toEqual([true, true, false])
  })

  it('is given up when a coordinator that came back does not name it in time', () => {
    const silence = silent('listed')
    const [, , , four] = silence.machines
    silence.bothSay(NEW)
    silence.cores.run(1_000)
    silence.coordinate([OLD])
    silence.cores.run(1_000)
    expect(silence.actsOn(four, NEW)).toBe(true)
    for (let i = 0; i < 60 && silence.actsOn(four, NEW); i++) {
      silence.coordinate([OLD])
      silence.cores.run(10_000)
    }
    expect(silence.actsOn(four, NEW)).toBe(false)
  })

  it('still counts after a restart, for whoever held it as for the others', () => {
    const silence = silent('listed')
    const [, , , four] = silence.machines
    silence.bothSay(NEW)
    expect(silence.cores.run(60_000, () => silence.cores.holders(NEW).length >= 3)).toBe(true)
    silence.cores.kill(four)
    silence.cores.restart(four)
    // The coordinator that the harness introduces it to is the one that fell silent.
    silence.cores.run(1_000)
    expect(four.state.observations.counted.size).toBe(1)
    expect(silence.actsOn(four, NEW)).toBe(true)
  })
})
