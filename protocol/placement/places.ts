/**
 * How many independent places some replicas are in (PROTOCOL 5): the most of them of which no two share an operator or a network.
 * A node whose network is not known shares none. Another replica never makes it fewer, whatever it declares, and the order in
 * which they are looked at does not matter.
 */

/** Networks of each operator; null: it has a replica whose network is not known, so it counts whatever the others do. */
type ByOperator = Map<number, Set<number> | null>

/** Operator and network of each replica, as numbers; equal means the same, and network -1 not known. */
export function countPlaces(operators: readonly number[], networks: readonly number[]): number {
  if (areApart(operators, networks)) return operators.length
  const byOperator: ByOperator = new Map()
  for (const [at, operator] of operators.entries()) {
    const network = networks[at] as number
    const known = byOperator.get(operator)
    if (known === null) continue
    if (network < 0) byOperator.set(operator, null)
    else if (known === undefined) byOperator.set(operator, new Set([network]))
    else known.add(network)
  }
  // Operators on the one side, networks on the other: the largest matching, one augmenting path after the other.
  const takenBy = new Map<number, number>()
  let count = 0
  for (const [operator, own] of byOperator) {
    if (own === null || augment(operator, byOperator, takenBy, new Set())) count++
  }
  return count
}

/** The common case, without any memory taken. */
function areApart(operators: readonly number[], networks: readonly number[]): boolean {
  for (let at = 0; at < operators.length; at++) {
    if (operators.indexOf(operators[at] as number) !== at) return false
    const network = networks[at] as number
    if (network >= 0 && networks.indexOf(network) !== at) return false
  }
  return true
}

/** Finds this operator a network, moving others on when they have another one. */
function augment(
  operator: number,
  byOperator: ByOperator,
  takenBy: Map<number, number>,
  tried: Set<number>,
): boolean {
  for (const network of byOperator.get(operator) ?? []) {
    if (tried.has(network)) continue
    tried.add(network)
    const holder = takenBy.get(network)
    if (holder !== undefined && !augment(holder, byOperator, takenBy, tried)) continue
    takenBy.set(network, operator)
    return true
  }
  return false
}
