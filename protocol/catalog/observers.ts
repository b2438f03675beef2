/**
 * Who reads upstream on a day while no coordinator is heard of, and when what they said counts (PROTOCOL 1). Pure: the ledger
 * says who is live, who runs whom and who is listed.
 */
import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '../codec/bytes.ts'
import type { NodeId, ShardDigest } from '../ids.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { countPlaces } from '../placement/places.ts'
import { score, scorePrefix } from '../placement/rank.ts'

/** Nodes that read upstream on a day: two must agree, and one may fail. */
export const OBSERVERS = 3
/** Places that must name the same bytes. */
const AGREEING = 2
/** Of a score, from its end: its beginning made the order. */
const PREFIX_BYTES = 6

/** Ranks of observers are drawn by it, as those of a shard by its digest. */
export function observersDigest(day: number): ShardDigest {
  return bytesToHex(sha256(utf8ToBytes(`wikiseed observers ${day}`))) as ShardDigest
}

/** Ms within a wave, drawn by day and node: those whose turn it is do not ask upstream in one moment. */
export function observerDelayMs(day: number, node: NodeId, waveMs: number): number {
  return scorePrefix(score(observersDigest(day), node, 1).subarray(-PREFIX_BYTES)) % waveMs
}

/** 0: a coordinator lists it. 1: it has a replica that was proven. 2: it is known. 3: it is not. The first go first. */
export function observerClass(ledger: Ledger, node: number): number {
  if (node >= 0 && ledger.listedOperator(node) >= 0) return 0
  if (node < 0 || ledger.record(node) === undefined) return 3
  return ledger.isProven(node) ? 1 : 2
}

/** Numbers of the live nodes that `may`, in the order in which they observe; those beside a better one come after all others. */
export function observerOrder(
  ledger: Ledger,
  day: number,
  nowMs: number,
  may: (node: number) => boolean,
): number[] {
  const byClass: number[][] = [[], [], []]
  for (const node of ledger.ranks.order(observersDigest(day))) {
    if (!ledger.isLive(node, nowMs) || !ledger.offersRoom(node) || !may(node)) continue
    byClass[observerClass(ledger, node)]?.push(node)
  }
  const operators = new Set<number>()
  const networks = new Set<number>()
  const apart: number[] = []
  const beside: number[] = []
  for (const node of byClass.flat()) {
    const operator = ledger.operatorNumber(node)
    const network = ledger.networkNumber(node)
    const isBeside = operators.has(operator) || (network >= 0 && networks.has(network))
    if (isBeside) beside.push(node)
    else apart.push(node)
    operators.add(operator)
    if (network >= 0) networks.add(network)
  }
  return [...apart, ...beside]
}

/** Somebody who named a document, as numbers; -1: not listed, network not known. */
export interface Witness {
  readonly isSelf: boolean
  /** As it declares. */
  readonly operator: number
  readonly listedOperator: number
  readonly network: number
}

/** Are as many of those whom coordinators list live as must agree? Then nobody else's word counts. Their numbers, -1: not known. */
export function listedAreLive(ledger: Ledger, listed: Iterable<number>, nowMs: number): boolean {
  const operators: number[] = []
  const networks: number[] = []
  for (const node of listed) {
    if (node < 0 || !ledger.isLive(node, nowMs)) continue
    operators.push(ledger.listedOperator(node))
    networks.push(ledger.networkNumber(node))
  }
  return countPlaces(operators, networks) >= AGREEING
}

/**
 * Why a document counts. `own`: this node read it. `listed`: two whom coordinators list. `open`: two strangers, where too few of those
 * are live, so that whoever fetches it reads upstream first.
 */
export type Basis = 'own' | 'listed' | 'open'

/** Null while too few agree. */
export function basisOf(witnesses: readonly Witness[], strangersCount: boolean): Basis | null {
  if (witnesses.some((one) => one.isSelf)) return 'own'
  const listed = witnesses.filter((one) => one.listedOperator >= 0)
  if (placesOf(listed, (one) => one.listedOperator) >= AGREEING) return 'listed'
  return strangersCount && placesOf(witnesses, (one) => one.operator) >= AGREEING ? 'open' : null
}

function placesOf(witnesses: readonly Witness[], operator: (one: Witness) => number): number {
  return countPlaces(
    witnesses.map(operator),
    witnesses.map((one) => one.network),
  )
}
