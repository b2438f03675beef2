/** What the demo reached, and what it did not. */
import type { ShardStatus } from '../observe/status.ts'
import type { Picture } from './watch.ts'

export interface Summary {
  readonly shards: readonly {
    readonly id: string
    readonly infohash: string | null
    readonly bytes: number
    readonly replicas: number
    readonly archived: boolean
    readonly published: boolean
  }[]
  readonly originBytes: number
  /** Dump bytes of all shards whose archive copy is verified. */
  readonly archivedBytes: number
  readonly originRequests: number
  readonly seconds: number
  /** Every run of the dumps folder is safe by PROTOCOL 0, archived and published. */
  readonly safe: boolean
  readonly uniqueBytes: number
  readonly nodes: readonly {
    readonly name: string
    readonly led: number
    readonly fromOriginBytes: number
    readonly fromSwarmBytes: number
  }[]
  /** One sentence for everything that is not reached. */
  readonly missing: readonly string[]
}

/** The runs that upstream shows, by `wiki/date`: what must be safe in the end. */
export interface Expected {
  readonly runs: readonly string[]
  /** Audited replicas that this many nodes can give. */
  readonly replicas: number
}

export function summarize(picture: Picture, expected: Expected, seconds: number): Summary {
  const { shards, origin } = picture
  const missing = missingOf(shards, expected)
  const sum = (rows: readonly ShardStatus[]) => rows.reduce((bytes, row) => bytes + row.bytes, 0)
  return {
    shards: shards.map(({ id, infohash, bytes, replicas, archived, published }) => ({
      id,
      infohash,
      bytes,
      replicas,
      archived,
      published,
    })),
    originBytes: origin.bytes,
    archivedBytes: sum(shards.filter((row) => row.archived)),
    originRequests: origin.requests,
    seconds: Math.round(seconds * 10) / 10,
    safe: missing.length === 0,
    uniqueBytes: sum(shards),
    nodes: picture.nodes.map(({ node }, index) => ({
      name: node.name,
      led: picture.shares[index]?.led ?? 0,
      fromOriginBytes: picture.shares[index]?.fromOriginBytes ?? 0,
      fromSwarmBytes: picture.shares[index]?.fromSwarmBytes ?? 0,
    })),
    missing,
  }
}

function missingOf(shards: readonly ShardStatus[], expected: Expected): string[] {
  const missing: string[] = []
  for (const run of expected.runs) {
    const rows = shards.filter((row) => `${row.wiki}/${row.date}` === run)
    if (rows.length === 0) missing.push(`${run} is not in the catalog`)
  }
  for (const row of shards) {
    if (!row.safe) missing.push(`${row.id} is not safe: ${row.replicas} audited replicas`)
    else if (row.replicas < expected.replicas)
      missing.push(`${row.id} has only ${row.replicas} audited replicas`)
    if (!row.archived) missing.push(`${row.id} is not verified at the Internet Archive`)
    if (!row.published) missing.push(`${row.id} is not published`)
  }
  return missing
}
