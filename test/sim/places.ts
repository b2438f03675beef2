/** In how many independent places copies really are (docs/PROTOCOL.md, section 5), by trying all choices. */
import { type Machine, networkOf } from './machine.ts'
import type { Simulation } from './simulation.ts'

/** Nobody asks for more. */
const PLACES_MAX = 6

/** Most of these machines of which no two are of one operator or in one public network. */
export function independentPlaces(machines: readonly Machine[]): number {
  return most(machines, 0, new Set(), new Set())
}

function most(
  machines: readonly Machine[],
  from: number,
  operators: Set<string>,
  networks: Set<number>,
): number {
  let best = operators.size
  for (let at = from; at < machines.length && best < PLACES_MAX; at++) {
    const machine = machines[at] as Machine
    const { operator } = machine.profile
    const network = networkOf(machine)
    if (operators.has(operator) || (network !== null && networks.has(network))) continue
    const inNetworks = network === null ? networks : new Set(networks).add(network)
    best = Math.max(best, most(machines, at + 1, new Set(operators).add(operator), inNetworks))
  }
  return Math.min(best, PLACES_MAX)
}

/** Would it be no new place beside these? */
export function isBeside(machine: Machine, others: readonly Machine[]): boolean {
  const network = networkOf(machine)
  return others.some(
    (one) =>
      one.profile.operator === machine.profile.operator || (network !== null && networkOf(one) === network),
  )
}

/**
 * Places of honest machines that are not gone and hold every byte, by shard. `rotten` copies too: those whose bytes changed after
 * they were verified, which nobody may have noticed yet.
 */
export function placesByShard(sim: Simulation, rotten = false): Map<number, number> {
  const holders = new Map<number, Machine[]>()
  for (const machine of sim.machines) {
    if (machine.gone || !machine.honest || !machine.volunteer) continue
    for (const [index, copy] of machine.disk.copies) {
      if (!copy.whole || (!rotten && copy.damaged.length > 0)) continue
      const known = holders.get(index)
      if (known === undefined) holders.set(index, [machine])
      else known.push(machine)
    }
  }
  return new Map([...holders].map(([index, machines]) => [index, independentPlaces(machines)]))
}
