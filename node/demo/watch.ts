/** Looks at the processes from outside, by their HTTP API and the world's own log, as any user could. */

import { integer, record } from '../../protocol/codec/shape.ts'
import type { NodeStatus, ShardStatus } from '../observe/status.ts'
import type { Plan, PlannedNode } from './plan.ts'

export interface Seen {
  readonly node: PlannedNode
  /** null while it does not answer. */
  readonly status: NodeStatus | null
}

export interface Picture {
  readonly coordinator: Seen
  readonly nodes: readonly Seen[]
  /** As the coordinator sees them; the last known while it does not answer. */
  readonly shards: readonly ShardStatus[]
  /** led and bytes by source, of each node, over all its shards. */
  readonly shares: readonly {
    readonly led: number
    readonly fromOriginBytes: number
    readonly fromSwarmBytes: number
  }[]
  readonly origin: OriginUse
}

export interface OriginUse {
  readonly bytes: number
  readonly requests: number
}

const REQUEST_TIMEOUT_MS = 5_000

export const urlOf = (node: PlannedNode): string => `http://127.0.0.1:${node.httpPort}`

export class Watch {
  readonly #plan: Plan
  readonly #worldUrl: string
  #shards: readonly ShardStatus[] = []
  readonly #shares: { led: number; fromOriginBytes: number; fromSwarmBytes: number }[] = []

  constructor(plan: Plan, worldUrl: string) {
    this.#plan = plan
    this.#worldUrl = worldUrl
    this.#shares = plan.nodes.map(() => ({ led: 0, fromOriginBytes: 0, fromSwarmBytes: 0 }))
  }

  async look(): Promise<Picture> {
    const { coordinator, nodes } = this.#plan
    const [shards, origin, seen, own] = await Promise.all([
      this.#shardsOf(coordinator),
      this.#origin(),
      Promise.all([coordinator, ...nodes].map((node) => this.#see(node))),
      Promise.all(nodes.map((node) => this.#shardsOf(node))),
    ])
    this.#shards = shards ?? this.#shards
    own.forEach((rows, index) => {
      if (rows !== null) this.#shares[index] = shareOf(rows)
    })
    const [first, ...rest] = seen
    return {
      coordinator: first as Seen,
      nodes: rest,
      shards: this.#shards,
      shares: [...this.#shares],
      origin,
    }
  }

  async #see(node: PlannedNode): Promise<Seen> {
    return { node, status: (await get(`${urlOf(node)}/api/v1/status`)) as NodeStatus | null }
  }

  async #shardsOf(node: PlannedNode): Promise<readonly ShardStatus[] | null> {
    const body = (await get(`${urlOf(node)}/api/v1/shards`)) as { shards: ShardStatus[] } | null
    return body?.shards ?? null
  }

  async #origin(): Promise<OriginUse> {
    const summary = await get(`${this.#worldUrl}/_world/summary`)
    if (summary === null) return { bytes: 0, requests: 0 }
    const fields = record(summary, 'summary')
    return {
      bytes: integer(fields.originBytes, 'summary.originBytes'),
      requests: integer(fields.originRequests, 'summary.originRequests'),
    }
  }
}

function shareOf(rows: readonly ShardStatus[]): {
  led: number
  fromOriginBytes: number
  fromSwarmBytes: number
} {
  const share = { led: 0, fromOriginBytes: 0, fromSwarmBytes: 0 }
  for (const row of rows) {
    if (row.led) share.led++
    share.fromOriginBytes += row.fromOriginBytes
    share.fromSwarmBytes += row.fromSwarmBytes
  }
  return share
}

/** null when the process does not answer: it may be starting, or was killed and starts again. */
async function get(url: string): Promise<unknown> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) })
    return response.ok ? await response.json() : null
  } catch {
    return null
  }
}
