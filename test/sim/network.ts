/**
 * Gossip and links. What is gossiped stands in one log; the machines read it in groups, one group after the other, as a mesh
 * spreads news in waves. For each message and receiver a hash says whether it is lost, late or doubled. So a delivery costs no
 * draw, no entry in the heap and no allocation, and a machine takes many messages at a time.
 *
 * A heartbeat waits until its receiver has another reason to look: nothing that it changes shows before.
 */
import type { Machine } from './machine.ts'
import type { Topic } from './messages.ts'
import { hash3 } from './prng.ts'
import type { Simulation } from './simulation.ts'

/** Groups of machines: the waves in which news spread. */
const WAVES = 8
/** From sender to the first receivers. */
const HOP_MS = 200
const LATE_MS = 90_000

/** Of 65,536 receivers. */
const LOST = 65
const LATE = 400
const TWICE = 400
/** Read flights are removed from the log in pieces of this many. */
const LOG_PIECE = 4_096

export interface Flight {
  readonly id: number
  readonly bytes: Uint8Array
  readonly topic: Topic
  readonly from: number
  readonly sentAtMs: number
  /** Only to receivers on this side of a fixed cut (0 or 1), or to all (-1): for those who tell two stories. */
  readonly half: number
  /** Sent by an attacker: what comes of it is looked at closely. */
  readonly hostile: boolean
}

export class Network {
  readonly #sim: Simulation
  #log: Flight[] = []
  /** Id of the first flight in the log. */
  #base = 0
  readonly #salt: number
  /** Groups that have something to read and know when. */
  readonly #called = new Uint8Array(WAVES)
  /** Group of each machine while the network is split; `blocked[from][to]` of groups. */
  #sides: Uint8Array
  #blocked: readonly (readonly boolean[])[] = []
  deliveries = 0
  lost = 0

  constructor(sim: Simulation, machines: number, salt: number) {
    this.#sim = sim
    this.#sides = new Uint8Array(machines)
    this.#salt = salt
  }

  /** Splits the machines into sides that hear each other only where `blocked[from][to]` is false. */
  split(sides: Uint8Array, blocked: readonly (readonly boolean[])[]): void {
    this.#sides = sides
    this.#blocked = blocked
  }

  heal(): void {
    this.#blocked = []
  }

  /** Does what `from` sends arrive at `to`? */
  reaches(from: number, to: number): boolean {
    if (this.#blocked.length === 0) return true
    return this.#blocked[this.#sides[from] as number]?.[this.#sides[to] as number] !== true
  }

  /** A connection needs both directions and both ends. */
  canTalk(a: Machine, b: Machine): boolean {
    return a.up && b.up && this.reaches(a.index, b.index) && this.reaches(b.index, a.index)
  }

  /** Where somebody begins to listen: everything before is not for it. */
  get end(): number {
    return this.#base + this.#log.length
  }

  gossip(
    bytes: Uint8Array,
    topic: Topic,
    from: number,
    options: { half?: number; hostile?: boolean; heartbeat?: boolean } = {},
  ): void {
    const { half = -1, hostile = false, heartbeat = false } = options
    const { timeMs } = this.#sim
    this.#log.push({ id: this.end, bytes, topic, from, sentAtMs: timeMs, half, hostile })
    if (this.#log.length % LOG_PIECE === 0) this.#forgetRead()
    if (!heartbeat) this.#callAll()
  }

  /** Each group reads at its own beat of a round. */
  #callAll(): void {
    const { options, timeMs } = this.#sim
    for (let wave = 0; wave < WAVES; wave++) {
      if (this.#called[wave] === 1) continue
      this.#called[wave] = 1
      const beatMs = Math.floor((options.roundMs * wave) / WAVES)
      const earliestMs = timeMs + HOP_MS
      const rounds = Math.ceil((earliestMs - beatMs) / options.roundMs)
      this.#sim.plan(rounds * options.roundMs + beatMs - timeMs, 'wave', wave, 0)
    }
  }

  wave(wave: number): void {
    this.#called[wave] = 0
    const { machines } = this.#sim
    for (let index = wave; index < machines.length; index += WAVES) {
      const machine = machines[index] as Machine
      if (machine.up) this.#sim.readMail(machine)
    }
  }

  /** Everything that has arrived at this machine and was not read. */
  read(machine: Machine): void {
    const { timeMs } = this.#sim
    if (machine.late.length > 0) this.#readLate(machine)
    const { life } = machine
    while (machine.cursor < this.end && machine.life === life) {
      const flight = this.#log[machine.cursor - this.#base]
      if (flight === undefined || flight.sentAtMs + HOP_MS > timeMs) return
      machine.cursor++
      this.#arrive(machine, flight)
    }
  }

  #arrive(machine: Machine, flight: Flight): void {
    const to = machine.index
    if (to === flight.from) return
    if (flight.half >= 0 && (hash3(flight.from, to, 1) & 1) !== flight.half) return
    if (!this.reaches(flight.from, to)) {
      machine.missed(flight.from)
      return
    }
    const { faults } = this.#sim.options
    if (!this.#sim.faulty) {
      this.#deliver(machine, flight)
      return
    }
    const part = hash3(flight.id, to, this.#salt) & 0xffff
    if (part < LOST) {
      if (faults.has('loss')) {
        this.lost++
        machine.missed(flight.from)
        return
      }
    } else if (part < LOST + LATE) {
      if (faults.has('late')) {
        machine.late.push(flight)
        return
      }
    } else if (part < LOST + LATE + TWICE && faults.has('duplicate')) machine.late.push(flight)
    this.#deliver(machine, flight)
  }

  #readLate(machine: Machine): void {
    const { timeMs } = this.#sim
    const { life } = machine
    while (machine.late.length > 0 && machine.life === life) {
      const flight = machine.late[0] as Flight
      if (flight.sentAtMs + LATE_MS > timeMs) return
      machine.late.shift()
      this.#deliver(machine, flight)
    }
  }

  #deliver(machine: Machine, flight: Flight): void {
    this.deliveries++
    this.#sim.deliver(machine, flight.topic, flight.bytes, flight)
  }

  #forgetRead(): void {
    let first = this.end
    for (const machine of this.#sim.machines) if (machine.up) first = Math.min(first, machine.cursor)
    if (first - this.#base < LOG_PIECE) return
    this.#log = this.#log.slice(first - this.#base)
    this.#base = first
  }
}
