/**
 * Stories of the protocol as text (after etcd raft's `testdata`): commands in, everything that happened out. A file is a list of
 * blocks: lines of commands, `----`, what came of them. Running it gives the same file again, or the protocol has changed.
 */

import { makeRun } from '../../protocol/dump/run.ts'
import { cutRun } from '../../protocol/shard/cut.ts'
import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from './clock.ts'
import { healthOf, ownShard } from './core-view.ts'
import { statusOf } from './dump-sizes.ts'
import { type Line, showLine } from './journal.ts'
import type { Machine } from './machine.ts'
import { makeOptions } from './options.ts'
import type { Profile } from './profiles.ts'
import { Simulation } from './simulation.ts'
import { INVENTED_DATE, infohashOf, type SimShard, Upstream } from './upstream.ts'

const GB = 1_000_000_000
const SEPARATOR = '----'
const DATE = '20261101'
/** Of runs that come in the middle of a story. */
const LATER_DATE = '20261120'

/** The same text, with what really comes of each block. Throws with the number of the line that is wrong. */
export function runTrace(text: string): string {
  const story = new Story()
  const out: string[] = []
  for (const block of text.trimEnd().split(/\n\n+/)) {
    const lines = block.split('\n')
    const end = lines.indexOf(SEPARATOR)
    const commands = end < 0 ? lines : lines.slice(0, end)
    const told: string[] = []
    for (const line of commands)
      if (!line.startsWith('#') && line.trim() !== '') told.push(...story.tell(line))
    const isComment = commands.every((line) => line.startsWith('#') || line.trim() === '')
    out.push(
      isComment
        ? commands.join('\n')
        : [...commands, SEPARATOR, ...(told.length === 0 ? ['ok'] : told)].join('\n'),
    )
  }
  return `${out.join('\n\n')}\n`
}

class Story {
  #sim: Simulation | null = null
  readonly #lines: Line[] = []

  /** Does one command; what came of it, line by line. */
  tell(line: string): string[] {
    const [name = '', ...words] = line.trim().split(/\s+/)
    const command = COMMANDS[name]
    if (command === undefined) throw new Error(`no such command: ${line}`)
    if (name === 'federation') {
      this.#sim = federation(words)
      this.#sim.journal.onLine = (one) => this.#lines.push(one)
      return [
        `n0 is the coordinator; ${this.#sim.machines.length - 1} volunteers, ${this.#sim.upstream.real.length} shards`,
      ]
    }
    if (this.#sim === null) throw new Error('a story begins with a federation')
    this.#lines.length = 0
    const said = command(this.#sim, words)
    const happened = this.#lines.map((one) =>
      showLine(one, (index) => nameOf(this.#sim?.upstream.shards[index])),
    )
    const broken = this.#sim.violations.map((one) => `BROKEN ${one.name}: ${one.detail}`)
    return [...happened, ...broken, ...said]
  }
}

type Command = (sim: Simulation, words: readonly string[]) => string[]

const COMMANDS: Readonly<Record<string, Command>> = {
  federation: () => [],
  run: (sim, [time = '']) => {
    sim.run(sim.timeMs + duration(time))
    return []
  },
  start: (sim, words) => each(sim, words, (machine) => sim.lifecycle.boot(machine)),
  stop: (sim, words) => each(sim, words, (machine) => sim.lifecycle.stop(machine)),
  crash: (sim, words) => each(sim, words, (machine) => sim.lifecycle.crash(machine)),
  /** Gone with its disk. */
  lose: (sim, words) => each(sim, words, (machine) => sim.lifecycle.remove(machine)),
  leave: (sim, words) => each(sim, words, (machine) => sim.dispatch(machine, { kind: 'leave' })),
  rot: (sim, [who = '', what = '']) => {
    const shard = shardOf(sim, what)
    const copy = machineOf(sim, who).disk.copies.get(shard.index)
    if (copy === undefined) return ['it has no copy']
    machineOf(sim, who).disk.damage(copy, { from: 0, to: shard.shard.sizeBytes })
    return []
  },
  origin: (sim, [state]) => {
    sim.faultPlan.originAway = state === 'away'
    return []
  },
  coordinator: (sim, [state]) => {
    if (state === 'back') sim.faultPlan.reviveCoordinator()
    else sim.faultPlan.stopCoordinator()
    return []
  },
  /** `split n1,n2`: these hear only each other. */
  split: (sim, [who = '']) => {
    const apart = new Set(who.split(',').map((one) => machineOf(sim, one).index))
    const sides = Uint8Array.from(sim.machines, (machine) => (apart.has(machine.index) ? 1 : 0))
    sim.network.split(sides, [
      [false, true],
      [true, false],
    ])
    return []
  },
  heal: (sim) => {
    sim.network.heal()
    return []
  },
  /** What really lies on the disks. */
  disks: (sim) =>
    sim.upstream.shards.map((shard) => {
      const holders = sim.machines.filter((machine) => !machine.gone && machine.disk.holds(shard))
      return `${nameOf(shard)}: ${holders.map((machine) => `n${machine.index}`).join(' ') || 'nobody'}`
    }),
  /** What a node believes. */
  ask: (sim, [who = '']) => {
    const machine = machineOf(sim, who)
    const { state } = machine
    if (state === null) return ['it is down']
    return sim.upstream.shards.map((shard) => {
      const { replicas, claims, audited, safe } = healthOf(state, shard.shard.key, sim.timeMs)
      const own = ownShard(state, shard.shard.key)
      const mine = own === null ? 'not mine' : own.held ? 'held' : `claimed, ${own.sixteenths}/16`
      const words = `${replicas.length} replicas, ${audited} audited, ${claims.length} claims, ${safe ? 'safe' : 'not safe'}`
      return `${nameOf(shard)}: ${mine}; ${words}`
    })
  },
}

/**
 * `federation nodes=4 shards=tenwiki:3GB,yowiki:40MB unreachable=n2,n3 small=n1:1GB operators=n1,n2 liars=n3 public=n1,n2`. Of the same
 * wikis: `later=tenwiki:3GB:4d`, which upstream has settled then; `invented=tenwiki:3GB`, which only liars say that it has.
 */
function federation(words: readonly string[]): Simulation {
  const settings = new Map(
    words.map((word) => [word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1)]),
  )
  const list = (name: string) => (settings.get(name) ?? '').split(',').filter((one) => one !== '')
  const nodes = Number(settings.get('nodes') ?? 4) + 1
  const shards: SimShard[] = []
  const add = (date: string, settledAtMs: number, [wiki = '', size = '']: readonly string[]) => {
    const isReal = date !== INVENTED_DATE
    for (const shard of cutRun(makeRun({ wiki, date }, statusOf(wiki, date, bytes(size))))) {
      const times = { settledAtMs, deletedAtMs: isReal ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY }
      shards.push({ index: shards.length, shard, infohash: infohashOf(shard), ...times, isReal })
    }
  }
  for (const one of list('shards')) add(DATE, -DAY_MS, one.split(':'))
  for (const one of list('later')) add(LATER_DATE, duration(one.split(':')[2] ?? ''), one.split(':'))
  for (const one of list('invented')) add(INVENTED_DATE, Number.POSITIVE_INFINITY, one.split(':'))
  const profiles = Array.from({ length: nodes }, (_, index): Partial<Profile> => {
    const name = `n${index}`
    const room = list('small').find((one) => one.startsWith(`${name}:`))
    const bytesTotal = room === undefined ? 1_000 * GB : bytes(room.split(':')[1] ?? '')
    const lies: Partial<Profile> = list('liars').includes(name) ? { kind: 'liar' } : {}
    return {
      ...lies,
      operator: list('operators').includes(name) ? 'one-operator' : `operator-${index}`,
      reachable: !list('unreachable').includes(name),
      bytesTotal,
      diskBytes: bytesTotal,
      skewMs: 0,
      languages: [],
      projects: [],
      isPublic: list('public').includes(name),
    }
  })
  const options = makeOptions({ nodes, days: 1, seed: Number(settings.get('seed') ?? 1) })
  return new Simulation(options, { upstream: new Upstream(shards), profiles })
}

function each(sim: Simulation, words: readonly string[], act: (machine: Machine) => void): string[] {
  for (const word of words) act(machineOf(sim, word))
  return []
}

function machineOf(sim: Simulation, word: string): Machine {
  const machine = sim.machines[Number(word.slice(1))]
  if (machine === undefined || !/^n\d+$/.test(word)) throw new Error(`no machine is called ${word}`)
  return machine
}

function shardOf(sim: Simulation, name: string): SimShard {
  const shard = sim.upstream.shards.find((one) => nameOf(one) === name)
  if (shard === undefined) throw new Error(`no shard is called ${name}`)
  return shard
}

/** `tenwiki`, `tenwiki~2`; with its date when it is another one than that of the story. */
function nameOf(shard: SimShard | undefined): string {
  return shard === undefined ? '?' : shard.shard.id.replace('dumps/', '').replace(`/${DATE}`, '')
}

const UNITS = { s: SECOND_MS, m: MINUTE_MS, h: HOUR_MS, d: DAY_MS } as const

function duration(text: string): number {
  const match = /^(\d+)([smhd])$/.exec(text)
  if (match === null) throw new Error(`a time looks like 90s, 5m, 2h or 3d, not "${text}"`)
  return Number(match[1]) * UNITS[match[2] as keyof typeof UNITS]
}

function bytes(text: string): number {
  const match = /^(\d+)([MGT])B$/.exec(text)
  if (match === null) throw new Error(`a size looks like 40MB, 3GB or 1TB, not "${text}"`)
  return Number(match[1]) * { M: GB / 1000, G: GB, T: GB * 1000 }[match[2] as 'M' | 'G' | 'T']
}
