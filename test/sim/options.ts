/** What one run is: everything that decides it, besides the code. */
import { DEFAULT_PARAMETERS, type Parameters } from '../../protocol/parameters.ts'
import type { Ratio } from './prng.ts'

/** The world without these is kind: everybody reachable, fast, on time, honest and always on. */
export const FAULTS = {
  loss: 'a message does not reach some receivers',
  late: 'a message reaches some receivers minutes later, after newer ones',
  duplicate: 'a message reaches some receivers twice',
  partition: 'groups of nodes cannot hear each other for hours, some in one direction only',
  crash: 'power cuts in the middle of a step and of a file (torn .part)',
  amnesia: 'a restart with an empty store; the files are still there',
  'disk-full': 'the disk is smaller than its owner said',
  rot: 'bytes of a held file change on disk',
  skew: 'clocks are off by up to 4 minutes, and some jump',
  churn: 'home servers are off at night',
  slow: 'slow and metered lines',
  unreachable: '70 % of the nodes take no inbound connection; two such cannot transfer',
  origin: 'upstream is away for hours, serves wrong bytes now and then',
  coordinator: 'the coordinator is dead, up to 30 days',
  liars: 'claim to hold what they do not have, wholly or half',
  forgers: 'send manifests in the name of others, and garbage',
  replayers: 'send old manifests of others again',
  equivocators: 'sign two manifests with one sequence',
  sybils: 'grind ids until they rank first, then claim',
  hogs: 'claim all they can and fetch nothing',
  'free-riders': 'fetch and never upload',
  leave: 'volunteers leave for good, or give less room',
  'mass-loss': 'at half time 30 % of the nodes are gone for good (not part of "all")',
  parameters: 'at half time the federation changes its parameters, R too (not part of "all")',
} as const
/** What "all" leaves out. */
const APART: ReadonlySet<string> = new Set(['mass-loss', 'parameters'])
export type FaultName = keyof typeof FAULTS
export const FAULT_NAMES = Object.keys(FAULTS) as FaultName[]

const OF_ALL = FAULT_NAMES.filter((one) => !APART.has(one))

export interface SimOptions {
  readonly nodes: number
  readonly days: number
  readonly seed: number
  readonly faults: ReadonlySet<FaultName>
  /** About so many shards over all cycles. */
  readonly shards: number
  readonly parameters: Parameters
  /** Least time between two ticks of a core; when it wants one, it says itself. */
  readonly tickMs: number
  /** News have gone round within this: a machine reads its mail once in it, when there is something that matters. */
  readonly roundMs: number
  /** Gossip bytes that a node receives for each byte of a message: measured (docs/simulation/gossip-amplification.md). */
  readonly amplification: Ratio
  /** After the faults stop, everything must be well within this. */
  readonly livenessHours: number
  /** Samples of the curves in the report. */
  readonly samples: number
}

export function makeOptions(chosen: Partial<SimOptions> = {}): SimOptions {
  const nodes = chosen.nodes ?? 30
  return {
    nodes,
    days: 2,
    seed: 1,
    faults: new Set(),
    shards: nodes * 3,
    parameters: DEFAULT_PARAMETERS,
    tickMs: 1_000,
    roundMs: 4_000,
    amplification: { of: 17, in: 1 },
    livenessHours: 96,
    samples: 120,
    ...chosen,
  }
}

/** `all`, `none`, or names with commas; `-name` takes one out again. Throws RangeError with the names that there are. */
export function parseFaults(text: string): Set<FaultName> {
  const chosen = new Set<FaultName>()
  for (const word of text.split(',').map((one) => one.trim())) {
    if (word === 'none' || word === '') continue
    const name = FAULT_NAMES.find((one) => one === word.replace(/^-/, ''))
    if (word === 'all') for (const one of OF_ALL) chosen.add(one)
    else if (name !== undefined && word.startsWith('-')) chosen.delete(name)
    else if (name !== undefined) chosen.add(name)
    else throw new RangeError(`no fault is called "${word}"; there are: all, none, ${FAULT_NAMES.join(', ')}`)
  }
  return chosen
}

/** As `parseFaults` reads it. */
export function showFaults(faults: ReadonlySet<FaultName>): string {
  if (faults.size === 0) return 'none'
  const missing = OF_ALL.filter((one) => !faults.has(one))
  if (missing.length > OF_ALL.length / 2) return [...faults].join(',')
  const others = [...faults].filter((one) => APART.has(one))
  return ['all', ...others, ...missing.map((one) => `-${one}`)].join(',')
}

/** The command that runs exactly this again. */
export function commandOf(options: SimOptions): string {
  const shards = options.shards === options.nodes * 3 ? '' : ` --shards ${options.shards}`
  return `npm run sim -- --nodes ${options.nodes} --days ${options.days} --seed ${options.seed} --faults ${showFaults(options.faults)}${shards}`
}
