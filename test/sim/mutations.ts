/**
 * Rules of the protocol, each removed or bent by one patch of the source. The simulator must notice every one: one that it
 * does not notice is a rule that nothing holds. Patches name exact text, so that they fail loudly when the source moves on.
 */
import type { FaultName } from './options.ts'

export interface Mutation {
  readonly name: string
  /** The clause of docs/PROTOCOL.md that it breaks. */
  readonly clause: string
  readonly file: string
  readonly old: string
  readonly new: string
  /** What kind of run shows it best. */
  readonly run: {
    readonly nodes: number
    readonly days: number
    readonly shards: number
    readonly faults: readonly FaultName[]
  }
}

const CALM = { nodes: 8, days: 1, shards: 16, faults: [] } as const
const HOSTILE = {
  nodes: 10,
  days: 1,
  shards: 16,
  faults: ['forgers', 'replayers', 'late', 'duplicate'],
} as const
const ROUGH = { nodes: 8, days: 1, shards: 16, faults: ['loss', 'crash', 'churn', 'partition'] } as const

export const MUTATIONS: readonly Mutation[] = [
  {
    name: 'signatures are not looked at',
    clause: '3',
    file: 'protocol/manifest/envelope.ts',
    old: 'if (!options.verify(publicKey, message, signature)) return',
    new: 'if (false as boolean) return',
    run: HOSTILE,
  },
  {
    name: 'the domain is not signed',
    clause: '3',
    file: 'protocol/manifest/envelope.ts',
    old: 'const parts = [utf8ToBytes(domain), typeBytes(payloadType), payload]',
    new: 'const parts = [utf8ToBytes(domain.slice(0, 0)), payload]',
    run: HOSTILE,
  },
  {
    name: 'anybody may sign in the name of a node',
    clause: '3',
    file: 'protocol/manifest/trust.ts',
    old: 'if (kind.signer(value) !== envelope.nodeId) {',
    new: 'if (kind.signer(value).length === 0) {',
    run: HOSTILE,
  },
  {
    name: 'a node claims above its capacity',
    clause: '5, 11.2',
    file: 'protocol/core/claiming.ts',
    old: 'if (shard === undefined || reservedBytes(shard) > freeBytes) continue',
    new: 'if (shard === undefined) continue',
    run: { ...CALM, nodes: 6, shards: 400 },
  },
  {
    name: 'one replica less is enough',
    clause: '5',
    file: 'protocol/core/shortage.ts',
    old: 'const need = known.target - operators.length',
    new: 'const need = known.target - operators.length - 1',
    run: CALM,
  },
  {
    name: 'the sequence is not kept over a restart',
    clause: '4',
    file: 'protocol/core/kept.ts',
    old: 'sequence: kept?.sequence ?? 0,',
    new: 'sequence: 0,',
    run: { ...ROUGH, faults: ['crash', 'skew', 'amnesia'], days: 4 },
  },
]
