/** What a node's status says of ports that the home router should forward and does not. Pure. */
import type { PortStatus } from '../runtime/reach.ts'
import type { Problem } from './status.ts'

export function notForwarded({
  ports,
  nowMs,
}: {
  readonly ports: readonly PortStatus[]
  readonly nowMs: number
}): Problem[] {
  return ports.flatMap(({ name, port, protocol, forwarding }) => {
    const error = forwarding?.error ?? null
    if (error === null) return []
    const detail = `${name} ${port}/${protocol}: ${error}.`
    return [{ shard: null, code: 'not-forwarded', detail, files: [], atMs: nowMs, resolvedAtMs: null }]
  })
}
