/** What goes wrong when, drawn from the seed before it starts. */
import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from './clock.ts'
import { ownOf } from './core-view.ts'
import type { Machine } from './machine.ts'
import type { FaultName } from './options.ts'
import { hash3, type Prng, type Ratio } from './prng.ts'
import type { Simulation } from './simulation.ts'
import type { SimShard } from './upstream.ts'

/** Chances for each machine and day. */
const CRASH: Ratio = { of: 1, in: 8 }
const AMNESIA: Ratio = { of: 1, in: 100 }
const ROT: Ratio = { of: 1, in: 25 }
const LEAVE: Ratio = { of: 1, in: 200 }
const CLOCK_JUMP: Ratio = { of: 1, in: 12 }
/** Chances for each day. */
const PARTITION: Ratio = { of: 1, in: 2 }
const ORIGIN_AWAY: Ratio = { of: 1, in: 3 }
/** Of the fetches of upstream's bytes. */
const WRONG_BYTES_ONE_IN = 100
const SKEW_MAX_MS = 4 * MINUTE_MS
const NIGHT_FROM_HOUR = 23
const NIGHT_HOURS = 8
/** Of 100 machines. */
const MASS_LOSS = 30

export class FaultPlan {
  readonly #sim: Simulation
  readonly #rng: Prng
  originAway = false
  #fetches = 0

  constructor(sim: Simulation, rng: Prng) {
    this.#sim = sim
    this.#rng = rng
  }

  #has(name: FaultName): boolean {
    return this.#sim.options.faults.has(name)
  }

  /** Draws everything for the days of the run. */
  schedule(): void {
    const { days, nodes } = this.#sim.options
    for (let day = 0; day < days; day++) {
      for (const machine of this.#sim.machines) this.#drawDay(machine, day)
      if (this.#has('partition') && this.#rng.chance(PARTITION)) this.#at(day, () => this.#partition())
      if (this.#has('origin') && this.#rng.chance(ORIGIN_AWAY)) this.#at(day, () => this.#originOutage())
    }
    if (this.#has('churn')) for (const machine of this.#sim.machines) this.#nights(machine)
    if (this.#has('coordinator')) {
      this.#sim.call(Math.floor(days / 5) * DAY_MS + 6 * HOUR_MS, () => this.#killCoordinator())
    }
    if (this.#has('mass-loss')) {
      this.#sim.call(Math.floor((days * DAY_MS) / 2), () =>
        this.#massLoss(Math.floor((nodes * MASS_LOSS) / 100)),
      )
    }
  }

  restartLater(machine: Machine): void {
    // Often at once, sometimes when somebody comes by. A clock without a battery may be wrong then.
    const quick = this.#rng.chance({ of: 1, in: 2 })
    const pauseMs = quick
      ? this.#rng.between(SECOND_MS, MINUTE_MS)
      : this.#rng.between(MINUTE_MS, 2 * HOUR_MS)
    const skewed = this.#has('skew') && this.#rng.chance({ of: 1, in: 2 })
    if (skewed) machine.clock.skewMs = this.#rng.between(0, 2 * SKEW_MAX_MS) - SKEW_MAX_MS
    this.#sim.call(pauseMs, () => this.#sim.lifecycle.boot(machine))
  }

  /** Does upstream serve something else than it lists, this time? */
  wrongBytes(shard: SimShard): boolean {
    if (!this.#has('origin') || !this.#sim.faulty) return false
    return hash3(this.#fetches++, shard.index, 99) % WRONG_BYTES_ONE_IN === 0
  }

  #at(day: number, act: () => void): void {
    this.#sim.call(day * DAY_MS + this.#rng.below(DAY_MS), () => {
      if (this.#sim.faulty) act()
    })
  }

  #drawDay(machine: Machine, day: number): void {
    // The coordinator's own machine is not part of this: it has a fault of its own.
    if (machine.index === 0) return
    if (this.#has('crash') && this.#rng.chance(CRASH)) {
      const effects = this.#rng.below(4)
      this.#at(day, () => {
        // Strikes at the next step, between two effects of it.
        if (machine.up) machine.effectsUntilCrash = effects
      })
    }
    if (this.#has('amnesia') && this.#rng.chance(AMNESIA)) {
      this.#at(day, () => {
        if (!machine.up) return
        this.#sim.lifecycle.crash(machine)
        this.#sim.lifecycle.forget(machine)
        machine.forgot = true
        this.restartLater(machine)
      })
    }
    if (this.#has('leave') && machine.honest && this.#rng.chance(LEAVE)) {
      const leaves = this.#rng.chance({ of: 1, in: 2 })
      this.#at(day, () => (leaves ? this.#leave(machine) : this.#shrink(machine)))
    }
    if (this.#has('rot') && this.#rng.chance(ROT)) this.#at(day, () => this.#rot(machine))
    if (this.#has('skew') && this.#rng.chance(CLOCK_JUMP)) {
      const skewMs = this.#rng.between(0, 2 * SKEW_MAX_MS) - SKEW_MAX_MS
      this.#at(day, () => {
        machine.clock.skewMs = skewMs
        this.#sim.journal.note(this.#sim.timeMs, machine.index, -1, 'clock jumps', `to ${skewMs} ms off`)
      })
    }
  }

  /** It hands over what it has and goes when nothing is left. */
  #leave(machine: Machine): void {
    machine.leaving = true
    this.#sim.journal.note(this.#sim.timeMs, machine.index, -1, 'leaves')
    this.#sim.dispatch(machine, { kind: 'leave' })
    const look = () => {
      if (machine.state !== null && ownOf(machine.state).length === 0) this.#sim.lifecycle.remove(machine)
      else if (!machine.gone) this.#sim.call(HOUR_MS, look)
    }
    this.#sim.call(HOUR_MS, look)
  }

  #shrink(machine: Machine): void {
    machine.bytesTotal = Math.floor(machine.bytesTotal / 2)
    this.#sim.journal.note(
      this.#sim.timeMs,
      machine.index,
      -1,
      'gives less room',
      `${machine.bytesTotal} bytes`,
    )
    this.#sim.dispatch(machine, { kind: 'capacity', bytesTotal: machine.bytesTotal })
  }

  #rot(machine: Machine): void {
    const whole = [...machine.disk.copies.values()].filter((copy) => copy.whole && copy.damaged.length === 0)
    if (whole.length === 0 || !machine.honest) return
    const copy = this.#rng.pick(whole)
    const { sizeBytes } = copy.shard.shard
    // From a sector up to a sixteenth of the shard.
    const length = Math.min(sizeBytes, 4096 + Math.floor((sizeBytes / 16 / 1024) * this.#rng.below(1024)))
    const from = Math.floor(((sizeBytes - length) / 1024) * this.#rng.below(1024))
    machine.disk.damage(copy, { from, to: from + length })
    this.#sim.journal.note(this.#sim.timeMs, machine.index, copy.shard.index, 'rots', `${length} bytes`)
  }

  #partition(): void {
    const { machines, network } = this.#sim
    const groups = Uint8Array.from(machines, () => (this.#rng.chance({ of: 1, in: 3 }) ? 1 : 0))
    const bothWays = this.#rng.chance({ of: 1, in: 2 })
    network.split(groups, [
      [false, true],
      [bothWays, false],
    ])
    const lastsMs = this.#rng.between(HOUR_MS, 12 * HOUR_MS)
    this.#sim.journal.note(
      this.#sim.timeMs,
      -1,
      -1,
      'split',
      `${bothWays ? 'both ways' : 'one way'}, ${lastsMs} ms`,
    )
    this.#sim.call(lastsMs, () => network.heal())
  }

  #originOutage(): void {
    this.originAway = true
    this.#sim.journal.note(this.#sim.timeMs, -1, -1, 'origin away')
    this.#sim.call(this.#rng.between(HOUR_MS, 6 * HOUR_MS), () => {
      this.originAway = false
    })
  }

  #killCoordinator(): void {
    this.stopCoordinator()
    this.#sim.call(30 * DAY_MS, () => this.reviveCoordinator())
  }

  stopCoordinator(): void {
    this.#sim.coordinator.dead = true
    this.#sim.lifecycle.stop(this.#sim.machines[0] as Machine)
  }

  reviveCoordinator(): void {
    this.#sim.coordinator.dead = false
    this.#sim.lifecycle.boot(this.#sim.machines[0] as Machine)
  }

  /** Home servers are off at night, each at its own hour, not every night. */
  #nights(machine: Machine): void {
    if (!machine.profile.offAtNight || machine.index === 0) return
    // Virtual 0 is noon UTC.
    const hour = (NIGHT_FROM_HOUR - 12 - machine.profile.timezoneHours + 48) % 24
    const night = (day: number) => {
      this.#sim.call(day * DAY_MS + hour * HOUR_MS + this.#rng.below(HOUR_MS) - this.#sim.timeMs, () => {
        if (!this.#sim.faulty) return
        // What is not born yet, or lies broken, is not switched on in the morning.
        const wasUp = machine.up
        this.#sim.lifecycle.stop(machine)
        const hours = NIGHT_HOURS * HOUR_MS + this.#rng.below(HOUR_MS)
        if (wasUp) this.#sim.call(hours, () => this.#sim.lifecycle.boot(machine))
        night(day + this.#rng.between(1, 2))
      })
    }
    night(0)
  }

  #massLoss(count: number): void {
    const living = this.#sim.machines.filter(
      (machine) => !machine.gone && machine.honest && machine.index !== 0,
    )
    const lost = this.#rng.shuffle(living).slice(0, count)
    for (const machine of lost) this.#sim.lifecycle.remove(machine)
    this.#sim.journal.note(this.#sim.timeMs, -1, -1, 'mass loss', `${lost.length} nodes are gone for good`)
    this.#sim.metrics.massLost()
  }
}
